"""Cells: text means the same in a file, in whole columns and in a request."""

from dataclasses import replace
from datetime import datetime
from typing import get_args

import pandas as pd

from {{ cookiecutter.project_slug }}.cells import read_cell, read_value
from {{ cookiecutter.project_slug }}.data_preprocessing import parse_column
from {{ cookiecutter.project_slug }}.schema import Column, Kind, Spelling

SPELLING = Spelling(("", "n/a", "Not  known"), ("yes", "1"), ("no", "0"), ("%d.%m.%Y",))
TEXTS = [
    "1", " 2.50 ", "-3", "+4", "1e3", "1,234.5", "1.234,5", "(5)", "$5", "5 $", "-$5",
    "1_000", "0x10", "inf", "nan", "1e999", "12,34", "--5", "5 apples", ".", "-", "٣",
    "7:30", "07:30:30", "7:75", "9007199254740993", "-1234567890123456789", "1.0",
    "Yes", "NO", "true", "False", "maybe", "0", "N/A", "not known", "", " ", "None",
    "2024-01-31", "2024-01-31T10:05:07Z", "2024-01-31 23:30+02:00", "31.01.2024",
    "20240131", "2024-02-30", "0001-01-01", "9999-12-31", "2024", "2024-W05-3", "Small",
    "small ", "SMALL", "Zu\u0308rich", "Zürich", "a\tb", "\u22125",
]  # fmt: skip


def columns(**properties):
    """Return a column of each kind."""
    return [
        Column("x", kind, spelling=SPELLING, **properties) for kind in get_args(Kind)
    ]


def read(value, column):
    """Return the value of a cell, or that it can't be read."""
    try:
        return read_value(value, column)
    except ValueError:
        return "can't be read"


def test_whole_columns_are_read_as_single_cells():
    listed = Column("x", "category", categories=("Small", "Zürich"), spelling=SPELLING)
    comma = {"spelling": replace(SPELLING, decimal=",")}
    metadata = {"unit": "$"}, {"unreadable": "missing"}, {"replace": {"Small": "7"}}
    for change in ({}, comma, *metadata):
        for column in [listed, *columns()]:
            column = replace(column, **change)
            values, is_unreadable = parse_column(pd.Series(TEXTS, dtype="str"), column)
            for text, value, wrong in zip(TEXTS, values, is_unreadable, strict=True):
                found = "can't be read" if wrong else value
                found = None if pd.isna(found) else found
                assert read(text, column) == found, (column.kind, text)


def test_numbers():
    for text, decimal, unit, number in (
        ("1,234", ".", None, 1234),
        ("1\u202f234", ".", None, 1234),
        ("1'234.50", ".", None, 1234.5),
        ("1.234,50 €", ",", "€", 1234.5),
        ("-$ 5.20", ".", "$", -5.2),
        ("($1,000)", ".", "$", -1000),
        ("12.5 %", ".", "%", 12.5),
        ("7:30", ".", None, 450),
        ("7:30 PM", ".", None, 1170),
        ("\u22125", ".", None, -5),
    ):
        spelling = replace(SPELLING, decimal=decimal)
        column = Column("x", "number", unit=unit, spelling=spelling)
        assert read_cell(text, column) == number


def test_values_of_json():
    values = [
        (86.4, {"kind": "number", "spelling": replace(SPELLING, decimal=",")}, 86.4),
        (1, {"kind": "boolean"}, True),
        ("no", {"kind": "boolean"}, False),
        (1234, {"kind": "category", "digits": 5}, "01234"),
        (3.0, {"kind": "category", "categories": ("3",)}, "3"),
        (2.5, {"kind": "category", "categories": ("2.50",)}, "2.50"),
        ("ZÜRICH", {"kind": "category", "categories": ("Zu\u0308rich",)}, "Zürich"),
        (20240131, {"kind": "date"}, datetime(2024, 1, 31)),
        (None, {"kind": "date"}, None),
    ]
    for value, properties, expected in values:
        about = {"name": "x", "spelling": SPELLING} | properties
        column = Column(**about)
        assert read_value(value, column) == expected
