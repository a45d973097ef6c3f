"""Read the body of a request, and report everything that is wrong with its rows.

A value is read as in the table's files (`cells.read_value`), and must be within the
limits of the contract. This is plain Python, because it is faster than a model of
pydantic and allows the table's own spellings.
"""

from dataclasses import dataclass
from typing import Any

from flask import Request, abort
from jiter import from_json

from ..cells import make_reader
from ..config import ServingConfig
from ..schema import Table, rows_to_predict
from ..utils import nearest, normalize_text

MOST_PROBLEMS = 1_000  # listed in one answer
LONGEST_NAME = 100  # letters of an unknown column's name in an answer
EXPECTED = "send UTF-8 without a byte order mark, not compressed"


@dataclass
class Problem:
    """One thing that is wrong: its row (counted from 0) and column, if it has them."""

    row: int | None
    column: str | None
    problem: str

    def __str__(self) -> str:
        """Say it in one line."""
        place = None if self.row is None else f"row {self.row}:"
        return " ".join(filter(None, [place, self.column, self.problem]))


class RequestReader:
    """Reads rows of JSON as rows that fit the contract.

    Columns that the model does not use may be there: target, key, excluded columns.
    """

    def __init__(self, table: Table, config: ServingConfig) -> None:
        """Prepare a reader for each column."""
        self.columns = rows_to_predict(table, config.unknown_categories).columns
        self.readers = {column.name: make_reader(column) for column in self.columns}
        self.names = {column.name for column in table.columns}
        self.max_rows = config.max_rows

    def read(self, features: list) -> list[dict]:
        """Return the values of rows. Answers 422 with the problems if there are any."""
        rows: list[dict] = []
        problems: list[Problem] = []
        for row in features:
            values, wrong = self._read_row(row)
            problems += [Problem(len(rows), *each) for each in wrong]
            rows.append(values)
            if len(problems) >= MOST_PROBLEMS:
                break

        if problems:
            abort(422, problems[:MOST_PROBLEMS])

        return rows

    def _read_row(self, row: Any) -> tuple[dict, list]:
        """Return the values of a row, and its problems: pairs of column and problem."""
        if not isinstance(row, dict):
            return {}, [(None, "should be an object with a value for each column")]

        values: dict = {}
        problems: list[tuple] = []
        if not row.keys() <= self.names:
            given = len(row)
            row = {normalize_text(name): value for name, value in row.items()}
            if len(row) < given:
                problems.append((None, "has a column twice"))
            unknown = [name[:LONGEST_NAME] for name in row if name not in self.names]
            for name in unknown[:MOST_PROBLEMS]:
                hint = nearest(name, self.readers)
                problems.append((name, f"is not a column of the schema{hint}"))

        for name, read in self.readers.items():
            try:
                values[name] = read(row.get(name))
            except ValueError as error:
                problems.append((name, str(error)))

        return values, problems


def read_body(environ: dict, max_bytes: int) -> bytes:
    """Return the body of a request.

    Answers 415 if it is not sent as JSON or is compressed, and 413 if it is too large.
    """
    body = environ["body"]  # see `server.one_at_a_time`
    kind = environ.get("CONTENT_TYPE")
    if kind != "application/json" and not Request(environ).is_json:
        abort(415, "the body must be sent as application/json")
    if environ.get("HTTP_CONTENT_ENCODING", "identity") != "identity":
        abort(415, "the body must not be compressed")
    if len(body) > max_bytes:
        abort(413, f"the body should have at most {max_bytes:,} bytes")

    return body


def read_features(content: bytes, max_rows: int) -> tuple[list, bool]:
    """Return the rows that the body of a request holds, and whether it is a list.

    Answers 400 if the body is not JSON, 422 if it holds anything else, and 413 if there
    are too many rows.
    """
    try:
        body = from_json(content, catch_duplicate_keys=True)
    except ValueError as error:
        abort(400, f"not JSON: {error}; {EXPECTED}")

    if not isinstance(body, dict) or body.keys() != {"features"}:
        abort(422, 'the body should be {"features": …} and nothing else')

    features = body["features"]
    is_list = isinstance(features, list)
    rows = features if is_list else [features]
    if not 1 <= len(rows) <= max_rows:
        status = 413 if rows else 422
        abort(status, f"features should be a row or 1 to {max_rows:,} rows")

    return rows, is_list


def read_explain(environ: dict) -> bool:
    """Return whether the query string asks for explanations.

    Answers 422 if the value is neither true nor false.
    """
    if not environ.get("QUERY_STRING"):
        return False

    value = Request(environ).args.get("explain", "false")
    if value not in ("true", "false"):
        abort(422, "explain should be true or false")

    return value == "true"
