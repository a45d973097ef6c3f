"""Read the rows of a request, and report everything that is wrong with them at once.

A value is read as in the table's files (`cells.read_value`), and must be within the
limits of the contract. This is plain Python, because it is faster than a model of
pydantic and allows the table's own spellings.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from jiter import from_json
from werkzeug.exceptions import HTTPException

from ..cells import make_reader
from ..config import ServingConfig
from ..schema import Table, normalize_name, rows_to_predict
from ..utils import nearest

MOST_PROBLEMS = 1_000  # that one answer lists
LONGEST_NAME = 100  # of an unknown column, in an answer


class Problem(NamedTuple):
    """One thing that is wrong: its row (counted from 0) and column, if it has them."""

    row: int | None
    column: str | None
    problem: str


class InvalidRequest(HTTPException):
    """A request that can't be answered: its HTTP status, and its problems."""

    def __init__(self, status: int, problems: Sequence[Problem]) -> None:
        """Keep the problems, and describe the first of them."""
        row, column, problem = problems[0]
        place = "" if row is None else f"row {row}: {column or ''} "
        count = len(problems)
        total = f" ({count:,} problems are listed)" if count > 1 else ""
        super().__init__(place + problem + total)
        self.code = status
        self.problems = problems


def refuse(status: int, problem: str) -> InvalidRequest:
    """Return what is wrong with a request as a whole."""
    return InvalidRequest(status, [Problem(None, None, problem)])


class RequestReader:
    """Reads the JSON body of a request as rows that fit the contract.

    Columns that the model does not use may be there: target, key, excluded columns.
    """

    def __init__(self, table: Table, config: ServingConfig) -> None:
        """Prepare a reader for each column."""
        self.columns = rows_to_predict(table, config.unknown_categories).columns
        self.readers = {column.name: make_reader(column) for column in self.columns}
        self.names = {column.name for column in table.columns}
        self.max_rows = config.max_rows

    def read(self, features: dict[str, Any] | list[Any]) -> list[dict[str, Any]]:
        """Return the values of one row or several. Raises InvalidRequest."""
        rows = features if isinstance(features, list) else [features]
        try:
            return [self._read_row(row) for row in rows]
        except (ValueError, TypeError, AttributeError):
            problems = list(islice(self._find_problems(rows), MOST_PROBLEMS))
            raise InvalidRequest(422, problems) from None

    def _read_row(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return the values of a row. Raises ValueError at the first problem."""
        if not row.keys() <= self.names:
            row = {normalize_name(name): value for name, value in row.items()}
            if not row.keys() <= self.names:
                raise ValueError("there is an unknown column")
        return {name: read(row.get(name)) for name, read in self.readers.items()}

    def _find_problems(self, rows: list[Any]) -> Iterator[Problem]:
        """Yield each problem of the rows."""
        for number, row in enumerate(rows):
            if not isinstance(row, dict):
                problem = "should be an object with a value for each column"
                yield Problem(number, None, problem)
                continue

            row = {normalize_name(name): value for name, value in row.items()}
            for name in [name for name in row if name not in self.names]:
                short = name[:LONGEST_NAME]
                hint = nearest(short, self.readers)
                yield Problem(number, short, f"is not a column of the schema{hint}")
            for name, read in self.readers.items():
                try:
                    read(row.get(name))
                except ValueError as error:
                    yield Problem(number, name, str(error))


def read_features(content: bytes, max_rows: int) -> Any:
    """Return what the body of a request holds under `features`."""
    try:
        body = from_json(content, catch_duplicate_keys=True)
    except ValueError as error:
        if content.startswith(b"\x1f\x8b"):
            raise refuse(415, "the body must not be compressed (gzip)") from error
        if content.startswith(b"\xef\xbb\xbf"):
            error = ValueError("it begins with a byte order mark; send it without")
        elif b"\0" in content[:4]:
            error = ValueError("it is UTF-16 or UTF-32; send UTF-8")
        raise refuse(400, f"not JSON: {error}") from error

    if not isinstance(body, dict) or body.keys() != {"features"}:
        raise refuse(422, 'the body should be {"features": …} and nothing else')
    features = body["features"]
    count = len(features) if isinstance(features, list) else 1
    if not isinstance(features, dict | list) or not 1 <= count <= max_rows:
        status = 413 if count > max_rows else 422
        raise refuse(status, f"features should be a row or 1 to {max_rows:,} rows")
    return features
