"""Requests as nobody should send them, and the JSON schema of those that are welcome."""

import json
from dataclasses import replace
from typing import Any

import pytest
from customer_churn.config import ServingConfig
from customer_churn.service.request_validation import Problem, RequestReader
from test_app import TABLE, problems, refuse


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("Total Charges", "5", "should be a valid number"),
        ("Total Charges", True, "should be a valid number"),
        ("Total Charges", 100.1, "should be less than or equal to 100"),
        ("Total Charges", -1, "should be greater than or equal to 0"),
        ("Total Charges", float("nan"), "should be a finite number"),
        ("Total Charges", float("inf"), "should be a finite number"),
        ("Total Charges", [1], "should be a valid number"),
        ("Total Charges", 10**400, "should be a valid number"),
        ("class", 2.5, "should be a whole number"),
        ("class", False, "should be a valid number"),
        ("class", None, "should be a valid number"),
        ("größe", 3, "should be a valid string"),
        ("größe", "", "should not be empty"),
        ("member", 1, "should be a valid boolean"),
        ("member", "true", "should be a valid boolean"),
        ("member", "yes", "should be a valid boolean"),
        ("row", "31/01/2024", "should be a date like 2026-01-31"),
        ("row", "2024-02-30", "should be a date like 2026-01-31"),
        ("row", " 2024-01-31", "should be a date like 2026-01-31"),
        ("row", "1706659200", "should be a date like 2026-01-31"),
        ("row", "1999-12-31", "should not be before 2000-01-01"),
        ("row", "2031-01-01T00:00:00Z", "should not be after 2030-12-31"),
        ("row", "0001-01-01T00:00:00+14:00", "should be a date like 2026-01-31"),
        ("row", "2024-01-31T00:00:00+99:00", "should be a date like 2026-01-31"),
        ("row", 1706659200, "should be a valid string"),
    ],
)
def test_a_bad_value_is_named(column: str, value: Any, problem: str) -> None:
    assert problems({"class": 1} | {column: value}) == [Problem(0, column, problem)]


def test_a_number_beyond_all_numbers_is_refused() -> None:
    error = refuse(b'{"features": {"class": 1e400, "Total Charges": -Infinity}}')
    assert error.problems == [
        Problem(0, "Total Charges", "should be a finite number"),
        Problem(0, "class", "should be a finite number"),
    ]


def test_a_thousand_problems_are_listed_and_all_are_counted() -> None:
    row = {"class": "x", "Total Charges": "x", "member": "x", "row": "x", "clas": 1}
    error = refuse(json.dumps({"features": [row] * 10_000}).encode())
    assert error.code == 422
    assert len(error.problems) == 1000
    assert error.problems[-1] == Problem(199, "clas", error.problems[4].problem)
    assert str(error.description).endswith("(50,000 problems in all)")


def test_a_hundred_thousand_problems_are_only_counted() -> None:
    names = ",".join(f'"{number}": 1' for number in range(100_001))
    error = refuse(b'{"features": {"class": 1, ' + names.encode() + b"}}")
    assert [problem.row for problem in error.problems] == [None]
    assert "100,001 problems" in error.problems[0].problem


def test_a_long_name_is_cut() -> None:
    (problem,) = problems({"class": 1, "x" * 1_000_000: 1})
    assert problem == Problem(0, "x" * 100, "is not a column of the schema")


@pytest.mark.parametrize("name", ["__proto__", "constructor", "__class__", "", "a\0b", "🦉"])
def test_no_name_is_special(name: str) -> None:
    assert [problem.column for problem in problems({"class": 1, name: 1})] == [name]


def test_a_name_stands_once_in_an_object() -> None:
    for content in (
        b'{"features": {"class": 1, "class": 1}}',
        b'{"features": [{"class": 1}, {"class": 1, "Total Charges": 1, "Total Charges": null}]}',
        b'{"features": {"class": 1}, "features": {"class": 1}}',
        b'{"features": {"class": 1, "\\u0063lass": 1}}',
    ):
        error = refuse(content)
        assert error.code == 400
        assert "uplicate key" in error.problems[0].problem


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff", 400),
        (b'{"features": {"class": 01}}', 400),
        (b"[" * 100_000, 400),
        (b'{"features": ' * 100_000, 400),
        (b'{"features": {"class": 1}} {}', 400),
        (b'{"features": {"class": 1,}}', 400),
        (b"{'features': {'class': 1}}", 400),
        (b'{"features": {"class": ' + b"1" * 5000 + b"}}", 400),
        (b'\xef\xbb\xbf{"features": {"class": 1}}', 400),
        ('{"features": {"class": 1}}'.encode("utf-16"), 400),
        ('{"features": {"class": 1, "größe": "Small"}}'.encode("latin-1"), 400),
        (b'{"features": {"class": 1, "x\0": 1}}', 400),
        (b"null", 422),
        (b"[]", 422),
        (b"{}", 422),
        (b'{"features": {"class": "\\ud800"}}', 400),
        (b'{"features": {"class": 1, "\\udfff": 1}}', 400),
        (b'{"features": 3}', 422),
        (b'{"features": null}', 422),
        (b'{"features": "class"}', 422),
        (b'{"features": []}', 422),
        (b'{"features": [3]}', 422),
        (b'{"features": [null, [], {}]}', 413),
        (b'{"features": [[{"class": 1}]]}', 422),
        (b'{"features": {"class": 1}, "more": 1}', 422),
        (b'{"features": [{"class": 1}, {"class": 1}, {"class": 1}]}', 413),
    ],
)
def test_what_is_no_request_is_refused(content: bytes, status: int) -> None:
    error = refuse(content, max_rows=2)
    assert error.code == status
    assert all(problem.problem for problem in error.problems)


def test_the_json_schema_says_what_is_accepted() -> None:
    reader = RequestReader(replace(TABLE, unused=("id",)), ServingConfig(max_rows=2))
    schema = reader.body.json_schema()
    row, rows = schema["$defs"]["row"], schema["properties"]["features"]["oneOf"][1]
    assert (rows["minItems"], rows["maxItems"]) == (1, 2)
    assert row["required"] == ["class"]
    assert row["additionalProperties"] is False
    assert list(row["properties"]) == [column.name for column in TABLE.features] + ["id"]
    charges, missing = row["properties"]["Total Charges"]["anyOf"]
    assert charges == {"type": "number", "minimum": 0, "maximum": 100}
    assert missing == {"type": "null"}
    assert row["properties"]["class"]["multipleOf"] == 1
    date = row["properties"]["row"]["anyOf"][0]
    assert date["anyOf"] == [{"format": "date"}, {"format": "date-time"}]
    assert (date["formatMinimum"], date["formatMaximum"]) == (
        "2000-01-01T00:00:00",
        "2030-12-31T00:00:00",
    )


def test_the_json_schema_lists_categories_where_others_are_rejected() -> None:
    sizes = []
    for config in (ServingConfig(), ServingConfig(unknown_categories="reject")):
        schema = RequestReader(TABLE, config).body.json_schema()
        sizes.append(schema["$defs"]["row"]["properties"]["größe"]["anyOf"][0])
    assert sizes[0] == {"type": "string", "minLength": 1, "examples": ["Small", "Large"]}
    assert sizes[1] == {"type": "string", "enum": ["Small", "Large"]}
