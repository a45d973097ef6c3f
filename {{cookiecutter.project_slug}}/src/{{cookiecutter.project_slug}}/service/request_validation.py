"""Check the rows of a request against the contract, and say everything that is wrong at once.

`describe_api` says the same in advance, as an OpenAPI document.
"""

import json
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple, NotRequired

import yaml
from jiter import from_json
from pydantic import (
    AfterValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import ErrorDetails
from typing_extensions import TypedDict
from werkzeug.exceptions import HTTPException

from ..cells import spellings
from ..config import ServingConfig
from ..prediction import Model
from ..schema import Column, Table
from ..utils import clean_text, nearest

STRICT = ConfigDict(extra="forbid", strict=True)
MOST_LISTED, MOST_READ = (
    1_000,
    100_000,
)  # problems of one request: a million of them fill 1 GB
LONGEST_NAME = 100  # of a column that nobody knows
TEXTS = {
    "dict_type": "should be an object with a value for each column",
    "missing": "is required",
    "multiple_of": "should be a whole number",
    "string_too_short": "should not be empty",
}


class Problem(NamedTuple):
    """One thing that is wrong: the row (counted from 0) and the column, if it is about one."""

    row: int | None
    column: str | None
    problem: str


class InvalidRequest(HTTPException):
    """A request that can't be answered: its HTTP status, and its problems."""

    def __init__(self, status: int, problems: list[Problem], count: int = 1) -> None:
        """Keep the problems; the description tells the first, and how many there are in all."""
        row, column, problem = problems[0]
        place = ("" if row is None else f"row {row}: ") + (
            "" if column is None else f"{column} "
        )
        super().__init__(
            place + problem + (f" ({count:,} problems in all)" if count > 1 else "")
        )
        self.code = status
        self.problems = problems


class RequestReader:
    """Reads the JSON body of a request as rows that fit the contract."""

    def __init__(self, table: Table, config: ServingConfig) -> None:
        """Prepare the checks once; a request then takes microseconds."""
        columns = [column.name for column in table.features]
        self.hint = lru_cache(MOST_LISTED)(lambda name: nearest(name, columns))
        self.rows = f"1 to {config.max_rows:,} rows"
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
            body = from_json(content, catch_duplicate_keys=True)
            return self.body.validate_python(body)["features"]
        except ValidationError as error:
            raise self.refuse(error) from error
        except ValueError as error:
            raise InvalidRequest(
                400, [Problem(None, None, f"not JSON: {error}")]
            ) from error

    def refuse(self, error: ValidationError) -> InvalidRequest:
        """Return what the answer to a request says of all its problems."""
        count = error.error_count()
        if count > MOST_READ:
            problem = f"{count:,} problems are too many to list; send fewer rows"
            return InvalidRequest(422, [Problem(None, None, problem)])
        details = error.errors(
            include_url=False, include_context=False, include_input=False
        )
        status = 413 if details[0]["type"] == "too_long" else 422
        problems = [self.describe(each) for each in details[:MOST_LISTED]]
        return InvalidRequest(status, problems, count)

    def describe(self, detail: ErrorDetails) -> Problem:
        """Say where a problem is and what it is, in the words of the table."""
        kind, place = (
            detail["type"],
            detail["loc"],
        )  # like ("features", "rows", 3, name)
        if len(place) < 2:
            more = f", without {place[0]!r:.100}" if kind == "extra_forbidden" else ""
            return Problem(None, None, 'the body should be {"features": …}' + more)
        if len(place) == 2:
            return Problem(
                None, None, f"features should be one row or a list of {self.rows}"
            )
        row, *names = (0, *place[2:]) if place[1] == "row" else place[2:]
        column = str(names[0]) if names else None
        if column is not None and kind == "extra_forbidden":
            column = column[:LONGEST_NAME]
            problem = "is not a column of the schema" + self.hint(column)
        else:
            problem = TEXTS.get(kind) or detail["msg"].removeprefix("Value error, ")
        return Problem(int(row), column, problem.replace("Input should", "should"))


def field(column: Column, config: ServingConfig) -> Any:
    """Return what pydantic expects of a column: its values, or also none where that is allowed."""
    limits: dict[str, Any] = {"ge": column.minimum, "le": column.maximum}
    kind: Any
    if column.kind == "boolean":
        kind = bool
    elif column.kind == "date":
        low, high = (
            each and datetime.fromisoformat(str(each)) for each in limits.values()
        )
        read = partial(read_date, low=low, high=high)
        kind = Annotated[
            str, AfterValidator(read), WithJsonSchema(describe_dates(column))
        ]
    elif (
        column.kind == "category"
        and column.categories
        and config.unknown_categories == "reject"
    ):
        listed = {"type": "string", "enum": list(column.categories)}
        check = partial(check_category, column=column)
        kind = Annotated[str, AfterValidator(check), WithJsonSchema(listed)]
    elif column.kind == "category":
        kind = Annotated[
            str, Field(min_length=1, examples=list(column.categories) or None)
        ]
    elif column.kind == "integer":
        kind = Annotated[float, Field(**limits, allow_inf_nan=False, multiple_of=1)]
    else:
        kind = Annotated[float, Field(**limits, allow_inf_nan=False)]
    kind = kind | None if column.nullable else kind
    kind = Annotated[kind, Field(description=column.description)]
    return NotRequired[kind] if column.nullable else kind


def describe_dates(column: Column) -> dict[str, Any]:
    """Return what the API's description says of a date; JSON Schema has no words for its limits."""
    limits = {"formatMinimum": column.minimum, "formatMaximum": column.maximum}
    formats = {"type": "string", "anyOf": [{"format": "date"}, {"format": "date-time"}]}
    return formats | {name: limit for name, limit in limits.items() if limit}


def read_date(text: str, low: datetime | None, high: datetime | None) -> datetime:
    """Read a date or a time in ISO format, within the limits."""
    try:
        date = datetime.fromisoformat(text)
        if date.tzinfo:
            date = date.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        raise ValueError("should be a date like 2026-01-31") from None
    if low and date < low:
        raise ValueError(f"should not be before {low.date()}")
    if high and date > high:
        raise ValueError(f"should not be after {high.date()}")
    return date


def check_category(text: str, column: Column) -> str:
    """Refuse a category that the schema does not list, whatever its blanks and letter case."""
    known = spellings(column.categories)
    if text not in known and clean_text(text) not in known:
        raise ValueError(
            "should be one of " + ", ".join(map(str, column.categories[:20]))
        )
    return text


def describe_api(model: Model, reader: RequestReader) -> dict[str, Any]:
    """Return the document: openapi.yaml with the schemas and an example of this model."""
    text = Path(__file__).with_name("openapi.yaml").read_text(encoding="utf-8")
    document: dict[str, Any] = yaml.safe_load(text)
    schema = reader.body.json_schema(ref_template="#/components/schemas/{model}")
    rows = schema.pop("$defs")
    document["components"]["schemas"] |= rows | {
        "body": schema,
        "answer": describe_answer(model),
    }

    row = model.example
    features: Any = reader.read(json.dumps({"features": [row]}).encode())
    (answer,) = model.predict(features)
    predict = document["paths"]["/predict"]["post"]
    predict["requestBody"]["content"]["application/json"]["examples"] = {
        "one row": {"value": {"features": row}},
        "several rows": {"value": {"features": [row, row]}},
    }
    predict["responses"]["200"]["content"]["application/json"]["examples"] = {
        "one row": {"value": answer},
        "several rows": {"value": {"predictions": [answer, answer]}},
    }
    return document


def describe_answer(model: Model) -> dict[str, Any]:
    """Return the schema of the answer to one row."""
    properties: dict[str, Any] = {"prediction": {"type": "number"}}
    if model.table.task == "classification":
        shares = {
            name: {"type": "number", "minimum": 0, "maximum": 1} for name in model.names
        }
        properties = {
            "prediction": {"enum": model.labels},
            "probabilities": close({"type": "object", "properties": shares}),
        }
    return close({"type": "object", "properties": properties})


def close(schema: dict[str, Any]) -> dict[str, Any]:
    """Require all properties of an object, and allow no others."""
    return schema | {
        "required": list(schema["properties"]),
        "additionalProperties": False,
    }
