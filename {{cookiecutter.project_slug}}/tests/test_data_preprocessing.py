from datetime import datetime

import pandas as pd
import pytest
from conftest import HEADER, make_lines

from {{ cookiecutter.project_slug }}.config import Config
from {{ cookiecutter.project_slug }}.data_preprocessing import (
    Transformed,
    mark_missing,
    parse_booleans,
    parse_column,
    parse_dates,
    parse_numbers,
    transform,
)
from {{ cookiecutter.project_slug }}.schema import Column, read_schema
from {{ cookiecutter.project_slug }}.utils import UserError

from batch.raw_data import RawData


def text(*values: str | None) -> pd.Series:
    return pd.Series(values, dtype="str")


def clean(config: Config, *lines: str) -> Transformed:
    raw = pd.DataFrame([line.split(",") for line in lines], columns=HEADER, dtype="str")
    return transform(raw, read_schema(config.schema_file), config.table)


def test_mark_missing_knows_every_spelling() -> None:
    marked = mark_missing(text("", "  ", "NA", " n/a ", "0", " x y "), ["", "na", "N/A"])
    assert marked.isna().tolist() == [True, True, True, True, False, False]
    assert marked.tolist()[4:] == ["0", "x y"]


def test_parse_numbers() -> None:
    numbers = parse_numbers(text("1.5", "-2e3", "12 units", "inf", "nan", None))
    assert numbers.tolist()[:2] == [1.5, -2000]
    assert numbers.isna().tolist() == [False, False, True, True, True, True]


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


def test_parse_whole_numbers_refuses_fractions_and_what_a_float_cannot_hold() -> None:
    numbers = parse_numbers(text("3", "3.0", "3.5", "9007199254740993000"), whole=True)
    assert numbers.isna().tolist() == [False, False, True, True]


def test_parse_booleans() -> None:
    booleans = parse_booleans(text("Yes", "NO", "maybe", None), ["yes"], ["no"])
    assert booleans.tolist() == [True, False, pd.NA, pd.NA]


def test_parse_dates_takes_the_first_format_that_fits() -> None:
    formats = ["%Y-%m-%d", "%d/%m/%Y"]
    dates = parse_dates(text("2024-03-01", "02/03/2024", "2024-02-30", None), formats)
    expected = [pd.Timestamp(2024, 3, 1), pd.Timestamp(2024, 3, 2), pd.NaT, pd.NaT]
    assert dates.tolist() == expected


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


def test_categories_are_spelled_as_the_schema_does(config: Config) -> None:
    column = Column("x", "category", categories=("Small", "Two words"))
    matched = parse_column(text("two  words", "SMALL", "huge", None), column, config.table)
    assert matched.tolist()[:3] == ["Two words", "Small", "huge"]
    assert pd.isna(matched[3])


def test_transform_gives_the_schema_s_types(config: Config) -> None:
    kept = clean(config, "k1, 1.5 ,2,small,Yes,2024-01-31,won", "k2,?,?,?,?,?,lost").kept
    assert kept.dtypes.astype(str).tolist() == [
        "string", "float64", "Int64", "string", "boolean", "datetime64[ns]", "string",
    ]  # fmt: skip
    assert list(kept.loc[0]) == ["k1", 1.5, 2, "Small", True, pd.Timestamp(2024, 1, 31), "won"]
    assert kept.loc[1, HEADER[1:6]].isna().all()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("k1,abc,,,,,won", "Total Charges: 'abc' can't be read"),
        ("k1,101,,,,,won", "Total Charges: 101.0 fails in_range(0, 100)"),
        ("k1,,2.5,,,,won", "class: '2.5' can't be read"),
        ("k1,,,huge,,,won", "größe: huge fails isin(['Small', 'Large'])"),
        ("k1,,,,perhaps,,won", "member: 'perhaps' can't be read"),
        ("k1,,,,,2024-02-30,won", "since: '2024-02-30' can't be read"),
        ("k1,,,,,,?", "outcome: is missing"),
        ("k1,,x,,y,,?", "class: 'x' can't be read; member: 'y' can't be read; outcome: is missing"),
    ],
)
def test_transform_rejects_with_the_reason(config: Config, line: str, reason: str) -> None:
    result = clean(config, "k0,,,,,,won", line)
    assert result.rejected.to_dict() == {1: reason}
    assert result.kept["id"].tolist() == ["k0"]


def test_problems_name_each_bad_cell_once(config: Config) -> None:
    result = clean(config, "k0,,,,,,won", "k1,101,x,,,,?", "k2,,,huge,,,won")
    assert sorted(result.problems.itertuples(index=False, name=None)) == [
        (1, "Total Charges", "101.0 fails in_range(0, 100)", "fails in_range(0, 100)"),
        (1, "class", "'x' can't be read", "can't be read"),
        (1, "outcome", "is missing", "is missing"),
        (2, "größe", "huge fails isin(['Small', 'Large'])", "fails isin(['Small', 'Large'])"),
    ]
    assert clean(config, "k0,,,,,,won").problems.empty


def test_transform_keeps_the_first_good_row_of_a_key(config: Config) -> None:
    result = clean(config, "k1,bad,,,,,won", "k1,2,,,,,won", "k1,3,,,,,won", " k1 ,4,,,,,won")
    assert result.kept["Total Charges"].tolist() == [2]
    assert result.rejected.index.tolist() == [0]
    assert result.duplicates.tolist() == [2, 3]


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


def test_transform_leaves_its_input_alone(config: Config) -> None:
    raw = pd.DataFrame([line.split(",") for line in make_lines(20)], columns=HEADER, dtype="str")
    before = raw.copy()
    transform(raw, read_schema(config.schema_file), config.table)
    pd.testing.assert_frame_equal(raw, before)


def test_the_project_s_own_rows_are_each_in_one_place(own_raw: RawData, own_config: Config) -> None:
    result = transform(own_raw.rows, read_schema(own_config.schema_file), own_config.table)
    parts = [*result.kept.index, *result.rejected.index, *result.duplicates]
    assert sorted(parts) == own_raw.rows.index.tolist()
    if own_config.table.key:
        assert result.kept[own_config.table.key].is_unique
