"""Requests as nobody should send them, and the JSON schema of those that are welcome."""

import json
from dataclasses import astuple
from typing import Any

import numpy as np
import pandas as pd
import pytest
from customer_churn.cells import make_reader
from customer_churn.config import ServingConfig
from customer_churn.feature_engineering import Feature, features_of_rows
from customer_churn.schema import Column, Spelling, Table
from customer_churn.service.api_description import describe_column
from customer_churn.service.request_validation import (
    Problem,
    RequestReader,
    read_features,
)
from werkzeug.exceptions import HTTPException

COLUMNS = (
    Column("Total Charges", "number", True, 0, 100),
    Column("class", "integer"),
    Column("größe", "category", True, categories=("Small", "Large")),
    Column("member", "boolean", True, spelling=Spelling(true=("yes", "1"), false=("no", "0"))),
    Column("row", "date", True, "2000-01-01T00:00:00", "2030-12-31T00:00:00"),
)
TARGET = Column("outcome", "category")
TABLE = Table((*COLUMNS, TARGET), COLUMNS, TARGET, "classification")


def read(content: bytes, **serving: Any) -> list[dict[str, Any]]:
    config = ServingConfig(**serving)
    features, _ = read_features(content, config.max_rows)
    return RequestReader(TABLE, config).read(features)


def refuse(content: bytes, **serving: Any) -> Any:
    with pytest.raises(HTTPException) as error:
        read(content, **serving)
    return error.value


def problems(row: dict[str, Any], **serving: Any) -> list[Problem]:
    error = refuse(json.dumps({"features": row}).encode(), **serving)
    assert error.code == 422
    return list(error.description)


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("Total Charges", "five", "should be a number"),
        ("Total Charges", "100.1", "is above 100"),
        ("Total Charges", float("inf"), "should be a number"),
        ("Total Charges", [1], "should be a number"),
        ("Total Charges", {"a": 1}, "should be a number"),
        ("Total Charges", 10**400, "should be a number"),
        ("class", False, "should be a whole number"),
        ("class", 2**53 + 2, "should be a whole number"),
        ("class", None, "is missing"),
        ("class", "", "is missing"),
        ("größe", True, "should be text"),
        ("member", "maybe", "should be true or false"),
        ("row", "31/01/2024", "should be a date like 2026-01-31"),
        ("row", "2024-02-30", "should be a date like 2026-01-31"),
        ("row", "0001-01-01T00:00:00+14:00", "should be a date like 2026-01-31"),
        ("row", "2024-01-31T00:00:00+99:00", "should be a date like 2026-01-31"),
        ("row", "2031-01-01T00:00:00Z", "is above 2030-12-31"),
        ("row", 1706659200, "should be a date like 2026-01-31"),
    ],
)
def test_a_bad_value_is_named(column: str, value: Any, problem: str) -> None:
    (found,) = problems({"class": 1} | {column: value})
    row, name, text = astuple(found)
    assert (row, name) == (0, column)
    assert text.startswith(problem)


def test_what_is_no_number_in_json_is_refused() -> None:
    error = refuse(b'{"features": {"class": 1e400, "Total Charges": -Infinity}}')
    assert [problem.column for problem in error.description] == ["Total Charges", "class"]


def test_a_thousand_problems_are_listed() -> None:
    row = {"class": "x", "Total Charges": "x", "member": "x", "row": "x", "clas": 1}
    error = refuse(json.dumps({"features": [row] * 10_000}).encode())
    assert error.code == 422
    assert len(error.description) == 1000


def test_many_or_long_names_do_no_harm() -> None:
    names = ",".join(f'"{number}": 1' for number in range(100_001))
    error = refuse(b'{"features": {"class": 1, ' + names.encode() + b"}}")
    assert len(error.description) == 1000
    (problem,) = problems({"class": 1, "x" * 1_000_000: 1})
    assert problem == Problem(0, "x" * 100, "is not a column of the schema")


@pytest.mark.parametrize("name", ["__proto__", "constructor", "__class__", "", "a\0b", "🦉"])
def test_no_name_is_special(name: str) -> None:
    assert [problem.column for problem in problems({"class": 1, name: 1})] == [name]


def test_two_spellings_of_a_name_are_refused() -> None:
    (problem,) = problems({"class": 1, "größe": "Large", " größe": "Small"})
    assert problem == Problem(0, None, "has a column twice")


def test_a_name_stands_once_in_an_object() -> None:
    for content in (
        b'{"features": [{"class": 1}, {"class": 1, "Total Charges": 1, "Total Charges": null}]}',
        b'{"features": {"class": 1}, "features": {"class": 1}}',
        b'{"features": {"class": 1, "\\u0063lass": 1}}',
    ):
        error = refuse(content)
        assert error.code == 400
        assert "uplicate key" in error.description


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"\xff", 400),
        (b'{"features": {"class": 01}}', 400),
        (b"[" * 100_000, 400),
        (b'{"features": ' * 100_000, 400),
        (b'{"features": {"class": 1}} {}', 400),
        (b"{'features': {'class': 1}}", 400),
        (b'{"features": {"class": ' + b"1" * 5000 + b"}}", 400),
        ('{"features": {"class": 1, "größe": "Small"}}'.encode("latin-1"), 400),
        (b'{"features": {"class": "\\ud800"}}', 400),
        (b"null", 422),
        (b"{}", 422),
        (b'{"features": null}', 422),
        (b'{"features": "class"}', 422),
        (b'{"features": []}', 422),
        (b'{"features": [3]}', 422),
        (b'{"features": [null, [], {}]}', 413),
        (b'{"features": [[{"class": 1}]]}', 422),
        (b'{"features": {"class": 1}, "more": 1}', 422),
    ],
)
def test_what_is_no_request_is_refused(content: bytes, status: int) -> None:
    error = refuse(content, max_rows=2)
    assert error.code == status
    assert error.description


def test_unknown_categories_follow_the_config() -> None:
    row = {"class": 1, "größe": "Huge"}
    content = json.dumps({"features": row}).encode()
    assert read(content)[0]["größe"] == "Huge"
    (found,) = problems(row, unknown_categories="reject")
    assert found == Problem(0, "größe", "is not one of Small, Large")


def test_the_json_schema_says_what_is_accepted() -> None:
    reader = RequestReader(TABLE, ServingConfig(unknown_categories="reject"))
    charges, _, size, member, date = map(describe_column, reader.columns)
    assert (charges["minimum"], charges["maximum"]) == (0, 100)
    assert [kind["type"] for kind in charges["anyOf"]] == ["number", "string", "null"]
    assert size["enum"] == ["Small", "Large", None]
    assert member["enum"] == [True, False, 1, 0, "yes", "1", "no", "0", None]
    assert "2030-12-31" in date["description"]


GERMAN = Spelling(("", "k.A.", "-999"), ("ja", "1"), ("nein", "0"), ("%d.%m.%Y",), ",")


@pytest.mark.parametrize(
    ("kind", "sent", "value"),
    [
        ("number", 1.5, 1.5),
        ("number", "1.234,5", 1234.5),
        ("number", -999, None),
        ("integer", 3.0, 3),
        ("boolean", "Ja", True),
        ("boolean", 0, False),
        ("date", "31.01.2024", pd.Timestamp(2024, 1, 31)),
        ("date", "2024-02-01T00:30:00+02:00", pd.Timestamp(2024, 1, 31, 22, 30)),
        ("category", 7, "7"),
        ("category", "k.a.", None),
    ],
)
def test_a_value_is_read_as_the_files_spell_it(kind: Any, sent: Any, value: Any) -> None:
    read = make_reader(Column("x", kind, nullable=True, spelling=GERMAN))
    assert [read(sent), read(sent)] == [value, value]


@pytest.mark.parametrize(
    ("kind", "sent", "problem"),
    [
        ("number", True, "should be a number"),
        ("number", float("nan"), "should be a number"),
        ("number", 101, "is above 100"),
        ("number", "-1", "is below 0"),
        ("integer", 2.5, "should be a whole number"),
        ("integer", None, "is missing"),
        ("boolean", 2, "should be true or false"),
        ("date", "1999-12-31", "is below 2000-01-01"),
        ("category", "", "is missing"),
        ("category", "Huge", "is not one of Small, Large"),
        ("category", ["Small"], "should be text"),
    ],
)
def test_a_bad_value_is_refused(kind: Any, sent: Any, problem: str) -> None:
    limits: tuple[Any, Any] = (None, None)
    if kind in ("number", "date"):
        limits = (0, 100) if kind == "number" else ("2000-01-01", "2030-12-31")
    categories = ("Small", "Large") if kind == "category" else ()
    read = make_reader(Column("x", kind, False, *limits, categories=categories))
    with pytest.raises(ValueError, match=problem):
        read(sent)


@pytest.mark.parametrize("days", ["2024-01-31", None])
def test_a_feature_of_dates_is_the_same_for_one_row_and_for_two(days: str | None) -> None:
    dates = [Column(name, "date", nullable=True) for name in ("since", "until")]
    functions = (
        lambda a, b: 1 / (b - a),
        lambda a, b: ~(b > a),
        lambda a, b: (b > a) & (a > 0),
        lambda a, b: np.log1p(b),
    )
    own = [Feature("new", ("since", "until"), function) for function in functions]
    row = {"since": days, "until": days}
    alone, _ = features_of_rows([row], dates, own)
    both, _ = features_of_rows([row, row], dates, own)
    np.testing.assert_array_equal([*alone, *alone], both)
