"""Cells and schema.yaml in detail: spellings, limits, tasks, mistakes."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from customer_churn import feature_engineering
from customer_churn.cells import read_cell
from customer_churn.config import Config, Task, read_config
from customer_churn.feature_engineering import usable_features
from customer_churn.schema import Column, Spelling, read_columns, read_table
from customer_churn.utils import UserError
from test_cells import SPELLING, columns, read
from test_schema import TEXT, write_schema


def test_what_is_not_a_number() -> None:
    for text, unit in (
        *(("MAT101", None), ("EUR 5", "USD"), ("5 $", None), ("12,34", None)),
        *(("-(5)", None), ("1 2", None)),
    ):
        with pytest.raises(ValueError, match="should be a number"):
            read_cell(text, Column("x", "number", unit=unit, spelling=SPELLING))


def test_thousands_may_be_apart_and_zeros_left_out() -> None:
    comma = replace(SPELLING, decimal=",")
    assert read_cell("1 234.5", Column("x", "number", spelling=SPELLING)) == 1234.5
    assert read_cell(",5", Column("x", "number", spelling=comma)) == 0.5
    assert read_cell("1,23,456.5", Column("x", "number", spelling=SPELLING)) == 123456.5
    assert read_cell("1.234,50-", Column("x", "number", spelling=comma)) == -1234.5


def test_times_with_a_zone_are_in_utc() -> None:
    date = Column("x", "date", spelling=SPELLING)
    assert read_cell("2024-01-31T23:05-02:00", date) == datetime(2024, 2, 1, 1, 5)


def test_values_of_json_that_are_refused() -> None:
    for column in columns():
        refused: list[Any] = [[1], {}, float("inf"), 10**400]
        for value in refused:
            assert read(value, column) == "can't be read"
        if column.kind != "boolean":
            assert read(True, column) == "can't be read"


def test_a_date_of_digits_keeps_its_zero() -> None:
    spelling = Spelling(date_formats=("%d%m%Y",))
    column = Column("x", "date", digits=8, spelling=spelling)
    assert read(5032024, column) == datetime(2024, 3, 5)


def test_dates_that_no_format_describes() -> None:
    spelling = Spelling(date_formats=("%B %d, %Y", "%Y-%m", "%m.%Y"))
    column = Column("x", "date", spelling=spelling)
    assert read_cell("March 5th, 2018", column) == datetime(2018, 3, 5)
    assert read_cell("August 31st, 2018", column) == datetime(2018, 8, 31)
    assert [read_cell(f"2024Q{n}", column).month for n in (1, 2, 3, 4)] == [1, 4, 7, 10]
    assert read("01.2020", column) == read(1.202, column) == datetime(2020, 1, 1)


def test_metadata_says_how_values_are_written(config: Config) -> None:
    metadata = {"unit": "sqft", "replace": {"Studio": "0"}, "out_of_range": "missing"}
    write_schema(config, area={"dtype": "Int64", "metadata": metadata})
    (area,) = read_table(config).features
    assert (area.unit, area.replace, area.out_of_range) == tuple(metadata.values())


@pytest.mark.parametrize(
    ("target", "wanted", "task"),
    [
        (TEXT, None, "classification"),
        ({"dtype": "boolean"}, None, "classification"),
        ({"dtype": "Int64", "isin": [1, 2, 3]}, None, "classification"),
        ({"dtype": "Int64"}, None, "regression"),
        ({"dtype": "float64"}, None, "regression"),
        ({"dtype": "Int64"}, "classification", "classification"),
        ({"dtype": "Int64", "isin": [1, 2, 3]}, "regression", "regression"),
    ],
)
def test_the_task_follows_from_config_yaml_or_else_from_the_target(
    config: Config, target: dict[str, Any], wanted: Task, task: Task
) -> None:
    write_schema(config, outcome=target, a={"dtype": "float64"})
    table_config = config.table.model_copy(update={"task": wanted})
    assert read_table(config.model_copy(update={"table": table_config})).task == task


@pytest.mark.parametrize(
    ("checks", "minimum", "maximum"),
    [
        ({"in_range": {"min_value": 1, "max_value": 9}}, 1, 9),
        ({"greater_than": 0}, 5e-324, None),
        ({"less_than_or_equal_to": {"max_value": 3}}, None, 3),
        (
            {"in_range": {"min_value": 1, "max_value": 9, "include_min": False}},
            1 + 2**-52,
            9,
        ),
    ],
)
def test_limits_are_the_last_allowed_values(
    config: Config, checks: dict[str, Any], minimum: float | None, maximum: float | None
) -> None:
    write_schema(config, a={"dtype": "float64", **checks})
    (feature,) = read_table(config).features
    assert (feature.minimum, feature.maximum) == (minimum, maximum)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("columns:", "not a valid schema"),
        ("- a list", "not a valid schema"),
        ("columns: {a: {dtype: float64, in_range: [0, 9]}}", "in_range takes min_value and max"),
        (
            "columns: {a: {dtype: str, metadata: {out_of_range: mising}}}",
            "must be reject or missing",
        ),
    ],
)
def test_other_content_is_refused(config: Config, text: str, message: str) -> None:
    config.schema_file.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_columns(config.schema_file, config.table)
    config.schema_file.unlink()
    with pytest.raises(UserError, match=r"schema\.yaml is not .*No such file"):
        read_columns(config.schema_file, config.table)


def test_a_feature_must_not_have_the_name_of_a_column(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_engineering, "FEATURES", {})

    @feature_engineering.feature(columns=["class"])
    def paid(number: float) -> float:
        return number

    with pytest.raises(UserError, match="'paid' has the name of a column"):
        usable_features([Column("paid", "number"), Column("class", "integer")])


def test_a_key_is_one_column_or_several(config: Config) -> None:
    assert config.table.key == ["id"]
    file = config.root / "config.yaml"
    text = file.read_text(encoding="utf-8")
    for written, key in (("null", []), ("[id, since]", ["id", "since"])):
        file.write_text(text.replace("key: id", f"key: {written}"), encoding="utf-8")
        assert read_config(config.root).table.key == key
