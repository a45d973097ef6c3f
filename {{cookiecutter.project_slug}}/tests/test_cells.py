"""Cells: text means the same in a file, in whole columns and in a request."""

from dataclasses import replace
from datetime import datetime
from typing import Any, get_args

import pandas as pd

from {{ cookiecutter.project_slug }}.cells import read_cell, read_value
from {{ cookiecutter.project_slug }}.data_preprocessing import parse_column, parse_table
from {{ cookiecutter.project_slug }}.etl.raw_data import RawData
from {{ cookiecutter.project_slug }}.schema import Column, Kind, Spelling, Table

SPELLING = Spelling(("", "n/a", "Not  known"), ("yes", "1"), ("no", "0"), ("%d.%m.%Y",))
TEXTS = [
    *(
        "1",
        " 2.50 ",
        "-3",
        "+4",
        "1e3",
        "1,234.5",
        "1.234,5",
        "(5)",
        "$5",
        "5 $",
        "-$5",
    ),
    *(
        "1_000",
        "0x10",
        "inf",
        "nan",
        "1e999",
        "12,34",
        "--5",
        "5 apples",
        ".",
        "-",
        "٣",
    ),
    *("7:30", "07:30:30", "7:75", "9007199254740993", "-1234567890123456789", "1.0"),
    *("Yes", "NO", "true", "False", "maybe", "0", "N/A", "not known", "", " ", "None"),
    *("2024-01-31", "2024-01-31T10:05:07Z", "2024-01-31 23:30+02:00", "31.01.2024"),
    *("20240131", "2024-02-30", "0001-01-01", "9999-12-31", "2024", "2024-W05-3"),
    *("Small", "small ", "SMALL", "Zu\u0308rich", "Z\u00fcrich", "a\tb", "\u22125"),
]


def columns(**properties: Any) -> list[Column]:
    """Return a column of each kind."""
    return [
        Column("x", kind, spelling=SPELLING, **properties) for kind in get_args(Kind)
    ]


def read(value: Any, column: Column) -> Any:
    """Return the value of a cell, or that it can't be read."""
    try:
        return read_value(value, column)
    except ValueError:
        return "can't be read"


def is_same(one: Any, other: Any) -> bool:
    """Whether two values are equal, or both are missing."""
    return (pd.isna(one) and pd.isna(other)) or one == other


def test_whole_columns_are_read_as_single_cells() -> None:
    listed = Column("x", "category", categories=("Small", "Zürich"), spelling=SPELLING)
    comma = {"spelling": replace(SPELLING, decimal=",")}
    metadata = {"unit": "$"}, {"unreadable": "missing"}, {"replace": {"Small": "7"}}
    changes: list[dict[str, Any]] = [{}, comma, *metadata]
    for change in changes:
        for column in [listed, *columns()]:
            column = replace(column, **change)
            values, is_unreadable = parse_column(pd.Series(TEXTS, dtype="str"), column)
            for text, value, wrong in zip(TEXTS, values, is_unreadable, strict=True):
                found = "can't be read" if wrong else value
                expected = read(text, column)
                assert is_same(found, expected), (column.kind, text, found, expected)


def test_numbers() -> None:
    numbers = [
        *(("1,234", ".", None, 1234), ("1 234.5", ".", None, 1234.5)),
        *(("1\u202f234", ".", None, 1234), ("1'234.50", ".", None, 1234.5)),
        *(("1.234,50 €", ",", "€", 1234.5), ("-$ 5.20", ".", "$", -5.2)),
        *(
            (",5", ",", None, 0.5),
            ("($1,000)", ".", "$", -1000),
            ("12.5 %", ".", "%", 12.5),
        ),
        *(("7:30", ".", None, 450), ("\u22125", ".", None, -5)),
    ]
    for text, decimal, unit, number in numbers:
        spelling = replace(SPELLING, decimal=decimal)
        column = Column("x", "number", unit=unit, spelling=spelling)
        assert read_cell(text, column) == number


def test_values_of_json() -> None:
    values: list[tuple[Any, dict[str, Any], Any]] = [
        (86.4, {"kind": "number", "spelling": replace(SPELLING, decimal=",")}, 86.4),
        (1, {"kind": "boolean"}, True),
        ("no", {"kind": "boolean"}, False),
        (1234, {"kind": "category", "digits": 5}, "01234"),
        (3.0, {"kind": "category", "categories": ("3",)}, "3"),
        ("ZÜRICH", {"kind": "category", "categories": ("Zu\u0308rich",)}, "Zürich"),
        (20240131, {"kind": "date"}, datetime(2024, 1, 31)),
        (None, {"kind": "date"}, None),
    ]
    for value, properties, expected in values:
        about: dict[str, Any] = {"name": "x", "spelling": SPELLING} | properties
        column = Column(**about)
        assert read_value(value, column) == expected


def test_the_own_table_is_read_the_same_as_text_and_with_types(
    own_raw: RawData, own_table: Table
) -> None:
    raw = own_raw.rows.head(500)
    parsed, problems = parse_table(raw, own_table.features)
    unreadable = {(row, name) for row, name, *_ in problems}
    for column in own_table.features:
        for row, text in raw[column.name].items():
            if (row, column.name) in unreadable or not isinstance(text, str):
                continue
            for value in (text, as_typed(text)):
                assert is_same(read_value(value, column), parsed.at[row, column.name])


def as_typed(text: str) -> Any:
    """Return a number as a number, nothing as None, and the rest as text."""
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        if abs(number) < float("inf"):
            return number
    return text if text.strip() else None
