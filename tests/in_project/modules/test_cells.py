"""Every way in which a number, a date or a gap may be written, and rows of every kind."""

from datetime import datetime

import pandas as pd
import pytest
from conftest import HEADER
from customer_churn.config import Config
from customer_churn.data_preprocessing import parse_dates, parse_numbers, transform
from customer_churn.schema import read_schema
from customer_churn.utils import UserError
from test_pipeline import clean, text


@pytest.mark.parametrize(
    ("cell", "decimal", "number"),
    [
        ("1,234", ".", 1234),
        ("-1,234,567.50", ".", -1_234_567.5),
        ("1 234.5", ".", 1234.5),
        ("1\u202f234", ".", 1234),  # the narrow blank of French exports
        ("1'234.50", ".", 1234.5),
        ("12,5", ",", 12.5),
        ("1.234,50", ",", 1234.5),
        ("1.234", ",", 1234),
        (",5", ",", 0.5),
        ("1,5e3", ",", 1500),
        ("$5", ".", 5),
        ("€ 1,234.50", ".", 1234.5),
        ("-$5.20", ".", -5.2),
        ("$ -5.20", ".", -5.2),
        ("12.50 USD", ".", 12.5),
        ("1.234,50 €", ",", 1234.5),
        ("12.5 %", ".", 12.5),
        ("12%", ",", 12),
        ("(5)", ".", -5),
        ("(1,234.50)", ".", -1234.5),
        ("($5)", ".", -5),
        ("\u22125", ".", -5),  # a minus sign that is no hyphen
    ],
)
def test_numbers_with_marks(cell: str, decimal: str, number: float) -> None:
    assert parse_numbers(text(cell, None), decimal)[0] == number


@pytest.mark.parametrize(
    ("cell", "decimal"),
    [
        *(("12,34", "."), ("1,23,456", "."), ("1.2.3", "."), ("1,234.5", ","), ("1.5", ",")),
        *(("5 apples", "."), ("--5", "."), ("-(5)", "."), ("1-5", ".")),
        *(("JFK", "."), ("E12", "."), ("$", "."), ("-", "."), ("%", "."), ("()", "."), ("", ".")),
    ],
)
def test_what_is_no_number(cell: str, decimal: str) -> None:
    assert parse_numbers(text(cell), decimal).isna().all()


@pytest.mark.parametrize(
    ("cell", "date"),
    [
        ("2024-01-31", datetime(2024, 1, 31)),
        ("20240131", datetime(2024, 1, 31)),
        ("2024-01-31 10:05", datetime(2024, 1, 31, 10, 5)),
        ("2024-01-31T10:05:07.5", datetime(2024, 1, 31, 10, 5, 7, 500_000)),
        ("2024-01-31T10:05:07Z", datetime(2024, 1, 31, 10, 5, 7)),
        ("2024-01-31T23:05:07-02:00", datetime(2024, 2, 1, 1, 5, 7)),
        ("2024-01-31 00:30+0100", datetime(2024, 1, 30, 23, 30)),
        ("31/01/2024 13:00 +0200", datetime(2024, 1, 31, 11)),
    ],
)
def test_parse_dates_reads_iso_forms_and_turns_time_zones_into_utc(
    cell: str, date: datetime
) -> None:
    dates = parse_dates(text("2020-02-29", cell, None), ["%d/%m/%Y %H:%M %z"])
    assert dates.tolist() == [datetime(2020, 2, 29), date, pd.NaT]
    assert dates.dtype == "datetime64[ns]"


@pytest.mark.parametrize("cell", ["2024-02-30", "31/01/2024", "9999-12-31", "0001-01-01", "soon"])
def test_what_is_no_date(cell: str) -> None:
    assert parse_dates(text(cell, "2024-01-31"), []).isna().tolist() == [True, False]


def test_problems_name_each_bad_cell_once(config: Config) -> None:
    result = clean(config, "k0,,,,,,won", "k1,101,x,,,,?", "k2,,,huge,,,won")
    assert sorted(result.problems.itertuples(index=False, name=None)) == [
        (1, "Total Charges", "101.0 fails in_range(0, 100)", "fails in_range(0, 100)"),
        (1, "class", "'x' can't be read", "can't be read"),
        (1, "outcome", "is missing", "is missing"),
        (2, "größe", "huge fails isin(['Small', 'Large'])", "fails isin(['Small', 'Large'])"),
    ]
    assert clean(config, "k0,,,,,,won").problems.empty


def test_transform_without_a_key_drops_nothing(config: Config) -> None:
    table = config.table.model_copy(update={"key": None})
    result = clean(config.model_copy(update={"table": table}), *["k1,2,,,,,won"] * 3)
    assert len(result.kept) == 3


def test_a_check_that_is_not_about_single_cells_is_not_passed_over(config: Config) -> None:
    text = config.schema_file.read_text(encoding="utf-8")
    text += "    unique_values_eq: [lost, won, drawn]\n"  # of the last column
    config.schema_file.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"outcome: unique_values_eq.* for the table as a whole"):
        clean(config, "k1,,,,,,won", "k2,,,,,,lost")


def test_transform_takes_an_empty_table(config: Config) -> None:
    raw = pd.DataFrame(columns=HEADER, dtype="str")
    result = transform(raw, read_schema(config.schema_file), config.table)
    assert (len(result.kept), len(result.rejected), len(result.duplicates)) == (0, 0, 0)
