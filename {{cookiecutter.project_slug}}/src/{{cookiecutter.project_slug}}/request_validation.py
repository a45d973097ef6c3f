"""Check the rows of a request against the contract, and say everything that is wrong at once."""

from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, NamedTuple, NotRequired

from pydantic import AfterValidator, Discriminator, Field, Tag, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from typing_extensions import TypedDict
from werkzeug.exceptions import HTTPException

from .columns import Column, Table
from .config import ServingConfig
from .feature_engineering import spellings
from .utils import clean_text, nearest

STRICT = {"extra": "forbid", "strict": True}


class Problem(NamedTuple):
    """One thing that is wrong: the row (counted from 0) and the column, if it is about one."""

    row: int | None
    column: str | None
    problem: str


class InvalidRequest(HTTPException):
    """A request that can't be answered: its HTTP status, and all its problems."""

    def __init__(self, status: int, problems: list[Problem]) -> None:
        """Keep all problems; the description tells the first."""
        row, column, problem = problems[0]
        place = ("" if row is None else f"row {row}: ") + ("" if column is None else f"{column} ")
        super().__init__(place + problem)
        self.code = status
        self.problems = problems


class RequestReader:
    """Reads the JSON body of a request as rows that fit the contract."""

    def __init__(self, table: Table, config: ServingConfig) -> None:
        """Prepare the checks once; a request then takes microseconds."""
        self.columns = [column.name for column in table.features]
        # TypedDicts, because their keys may be any text: "Total Charges", "class", "größe".
        fields = {column.name: field(column, config) for column in table.features}
        fields |= {name: NotRequired[Any] for name in table.unused}
        row = TypedDict("row", fields)  # type: ignore[misc]
        row.__pydantic_config__ = STRICT  # type: ignore[attr-defined]
        rows = Annotated[list[row], Field(min_length=1, max_length=config.max_rows)]
        features = Annotated[
            Annotated[row, Tag("row")] | Annotated[rows, Tag("rows")],
            Discriminator(lambda value: "rows" if isinstance(value, list) else "row"),
        ]
        body = TypedDict("body", {"features": features})  # type: ignore[misc] # noqa: UP013
        body.__pydantic_config__ = STRICT  # type: ignore[attr-defined]
        self.body: TypeAdapter[Any] = TypeAdapter(body)

    def read(self, content: bytes) -> dict[str, Any] | list[dict[str, Any]]:
        """Return the row, or the list of rows. Raises InvalidRequest."""
        try:
            return self.body.validate_json(content)["features"]
        except ValidationError as error:
            details = error.errors(include_url=False)
            status = {"json_invalid": 400, "too_long": 413}.get(details[0]["type"], 422)
            raise InvalidRequest(status, [self.describe(each) for each in details]) from error

    def describe(self, detail: ErrorDetails) -> Problem:
        """Say where a problem is and what it is."""
        place = list(detail["loc"])
        row = column = None
        if place[1:2] == ["row"]:
            row, column = 0, "".join(map(str, place[2:3])) or None
        elif place[1:2] == ["rows"] and len(place) > 2:
            row, column = int(place[2]), "".join(map(str, place[3:4])) or None
        return Problem(row, column, self.explain(detail, column))

    def explain(self, detail: ErrorDetails, column: str | None) -> str:
        """Put pydantic's message in the words of the table."""
        if len(detail["loc"]) == 1:
            return 'the body should be {"features": …} and nothing else'
        if detail["type"] == "missing":
            return "is required"
        if detail["type"] == "extra_forbidden":
            return "is not a column of the schema" + nearest(column or "", self.columns)
        message = detail["msg"].removeprefix("Value error, ").replace("Input should", "should")
        return message.replace("multiple of 1", "whole number")


def field(column: Column, config: ServingConfig) -> Any:
    """Return what pydantic expects of a column: its values, or also none where that is allowed."""
    limits: dict[str, Any] = {"ge": column.minimum, "le": column.maximum}
    kind: Any
    if column.kind == "boolean":
        kind = bool
    elif column.kind == "date":
        kind = Annotated[str, AfterValidator(partial(read_date, column=column))]
    elif column.kind == "category" and column.categories and config.unknown_categories == "reject":
        kind = Annotated[str, AfterValidator(partial(check_category, column=column))]
    elif column.kind == "category":
        kind = Annotated[str, Field(min_length=1)]
    elif column.kind == "integer":
        kind = Annotated[float, Field(**limits, allow_inf_nan=False, multiple_of=1)]
    else:
        kind = Annotated[float, Field(**limits, allow_inf_nan=False)]
    return NotRequired[kind | None] if column.nullable else kind


def read_date(text: str, column: Column) -> datetime:
    """Read a date or a time in ISO format, within the column's limits."""
    try:
        date = datetime.fromisoformat(text)
        if date.tzinfo:
            date = date.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        raise ValueError("should be a date like 2026-01-31") from None
    low, high = str(column.minimum or ""), str(column.maximum or "")
    if low and date < datetime.fromisoformat(low):
        raise ValueError(f"should not be before {low[:10]}")
    if high and date > datetime.fromisoformat(high):
        raise ValueError(f"should not be after {high[:10]}")
    return date


def check_category(text: str, column: Column) -> str:
    """Refuse a category that the schema does not list, whatever its blanks and letter case."""
    known = spellings(column.categories)
    if text not in known and clean_text(text) not in known:
        raise ValueError("should be one of " + ", ".join(map(str, column.categories[:20])))
    return text
