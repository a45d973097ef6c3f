from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import rows_of

from {{ cookiecutter.project_slug }} import feature_engineering
from {{ cookiecutter.project_slug }}.feature_engineering import (
    build_features,
    date_features,
    feature_names,
    learn_vocabulary,
    spell_categories,
    values_of_frame,
    values_of_rows,
)
from {{ cookiecutter.project_slug }}.schema import Column, Table

COLUMNS = [
    Column("size", "category", True, categories=("Small", "Large")),
    Column("town", "category", True),
    Column("class", "integer", True),
    Column("member", "boolean", True),
    Column("since", "date", True),
]
VOCABULARY = {"size": {"Large": 0, "Small": 1}, "town": {"": 0, "Bonn": 1, "bonn": 2}}


def check_that_all_ways_agree(
    frame: pd.DataFrame, rows: list[dict[str, Any]], table: Table
) -> None:
    """Each row alone, all in one list, and the frame give the same features, to the last bit."""
    columns = table.features
    values = values_of_frame(frame, columns)
    vocabulary = learn_vocabulary({n: v[::2] for n, v in values.items()}, columns)
    expected = build_features(values, columns, vocabulary)
    together = build_features(values_of_rows(rows, columns), columns, vocabulary)
    alone = [
        build_features(values_of_rows([row], columns), columns, vocabulary)
        for row in rows
    ]
    assert expected.shape == (len(frame), len(feature_names(columns)))
    for found in (together, np.concatenate(alone)):
        assert found.dtype == expected.dtype == np.float32
        np.testing.assert_array_equal(found, expected)


def test_one_row_of_each_kind() -> None:
    row = {"size": " small ", "town": "Bonn ", "class": 3, "member": True}
    row |= {"since": datetime(2000, 1, 2)}  # a Sunday
    assert feature_names(COLUMNS) == [
        "class",
        "member",
        "since (days)",
        "since (month)",
        "since (weekday)",
        "size",
        "town",
    ]
    features = build_features(values_of_rows([row], COLUMNS), COLUMNS, VOCABULARY)
    assert features.tolist() == [[3, 1, 1, 1, 6, 1, 1]]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_missing_values_are_nan_or_empty_text_whether_null_or_absent(
    count: int,
) -> None:
    rows: list[dict[str, Any]] = [dict.fromkeys(VOCABULARY), {}][:count]
    features = build_features(values_of_rows(rows, COLUMNS), COLUMNS, VOCABULARY)
    assert features.shape == (count, 7)
    assert np.isnan(features[:, :5]).all()
    assert (
        features[:, 5:].tolist() == [[-1, 0]] * count
    )  # a missing town was seen, no missing size


def test_only_an_open_column_tells_letter_case_apart_and_unknown_categories_are_one() -> (
    None
):
    rows = [{"size": "LARGE", "town": "BONN"}, {"size": "huge", "town": "bonn"}]
    features = build_features(values_of_rows(rows, COLUMNS), COLUMNS, VOCABULARY)
    assert features[:, 5:].tolist() == [[0, -1], [-1, 2]]


@pytest.mark.parametrize("kept", ["size", "class", "since"])
@pytest.mark.parametrize("rows", [[{}], [{}, {}]])
def test_a_table_may_lack_a_kind_of_column(
    kept: str, rows: list[dict[str, Any]]
) -> None:
    columns = [column for column in COLUMNS if column.name == kept]
    features = build_features(values_of_rows(rows, columns), columns, VOCABULARY)
    assert features.shape == (len(rows), len(feature_names(columns)))


def test_the_vocabulary_is_the_alphabet_of_what_training_saw() -> None:
    frame = pd.DataFrame({"size": ["small", None, "huge"], "town": ["b", "a", "b"]})
    columns = COLUMNS[:2]
    assert learn_vocabulary(values_of_frame(frame, columns), columns) == {
        "size": {"": 0, "Small": 1, "huge": 2},
        "town": {"a": 0, "b": 1},
    }


def test_a_category_may_be_called_like_a_feature_of_a_date() -> None:
    columns = [Column("d", "date", True), Column("d (days)", "category", True)]
    features = build_features(
        values_of_rows([{}], columns), columns, {"d (days)": {"": 7}}
    )
    assert features[0, 3] == 7
    assert features.shape == (1, 4)


@pytest.mark.filterwarnings("error")
def test_any_value_means_the_same_in_a_row_a_list_and_a_frame() -> None:
    """Gaps, dates from 1677 to 2262, the largest numbers, known and unknown categories."""
    draw, count = np.random.default_rng(0), 600
    moments = draw.integers(-(2**63) // 1000 + 1, 2**63 // 1000, count).astype(
        "datetime64[us]"
    )
    moments[::3] = moments[::3].astype("datetime64[D]")
    moments[1::3] = moments[1::3].astype("datetime64[D]") - np.timedelta64(1, "us")
    integers = draw.integers(-(2**62), 2**62, count) >> draw.integers(0, 60, count)
    frame = pd.DataFrame(
        {
            "size": draw.choice(["Small", " LARGE", "huge", "Große"], count).astype(
                object
            ),
            "town": draw.choice(["Bonn", "bonn", "a b", "a  b"], count).astype(object),
            "class": pd.Series(integers, dtype="Int64"),
            "member": pd.Series(draw.random(count) < 0.5, dtype="boolean"),
            "since": moments.astype("datetime64[ns]"),
            "huge": draw.choice([1e300, -1e300, 1e30, 1e-300, -0.0, np.nan], count),
            "x": draw.lognormal(0, 30, count),
        }
    )
    frame = frame.mask(draw.random(frame.shape) < 0.1)
    columns = (*COLUMNS, Column("huge", "number", True), Column("x", "number", True))
    table = Table(columns, Column("y", "number"), "regression")
    rows = rows_of(frame, table)
    for row in rows:  # as the server reads a date
        row["since"] = row["since"] and row["since"].to_pydatetime()
    for size in (count, 1):
        check_that_all_ways_agree(frame.head(size), rows[:size], table)
    empty = values_of_frame(frame.head(0), columns)
    assert build_features(empty, columns, VOCABULARY).shape == (0, 9)


@pytest.mark.filterwarnings("error")
def test_a_feature_may_divide_by_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    def ratio(values: Any, columns: Any) -> dict[str, Any]:
        return {"ratio": values["a"] / values["b"]}

    monkeypatch.setattr(feature_engineering, "number_features", ratio)
    columns = [Column("a", "number"), Column("b", "number")]
    rows = [{"a": 1, "b": 0}, {"a": 0, "b": 0}, {"a": -1, "b": 0}, {"a": 1, "b": 2}]
    together = build_features(values_of_rows(rows, columns), columns, {})
    alone = [
        build_features(values_of_rows([row], columns), columns, {})[0] for row in rows
    ]
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_allclose(together[:, 0], [1e30, np.nan, -1e30, 0.5], rtol=1e-6)


def test_date_features_count_days_and_know_the_calendar() -> None:
    days = pd.date_range("1677-09-22", "2262-04-11", freq="37h")
    since = (days - pd.Timestamp("2000-01-01")) / pd.Timedelta("1D")
    features = date_features("d", since.to_numpy())
    np.testing.assert_array_equal(features["d (days)"], since)
    np.testing.assert_array_equal(features["d (month)"], days.month)
    np.testing.assert_array_equal(features["d (weekday)"], days.day_of_week)


@pytest.mark.parametrize("year", [1, 1900, 2000, 2100, 9999])
def test_a_request_may_name_any_date_that_python_knows(year: int) -> None:
    columns = [Column("d", "date")]
    for date in (
        datetime(year, 3, 1) - timedelta(days=1) * (year > 1),
        datetime(year, 12, 31, 23),
    ):
        found = build_features(values_of_rows([{"d": date}], columns), columns, {})
        assert found[0, 1:].tolist() == [date.month, date.weekday()]


def test_spell_categories_keeps_unknown_ones() -> None:
    values = np.array(["LARGE", " huge ", None], dtype=object)
    assert spell_categories(values, ["Large"]) == ["Large", "huge", ""]
    assert [spell_categories(value, ["Large"]) for value in values] == [
        "Large",
        "huge",
        "",
    ]


def test_numbers_that_float32_cannot_hold_are_bounded() -> None:
    columns = [Column("x", "number")]
    values = {"x": np.array([1e300, -np.inf, np.nan, 0.1])}
    matrix = build_features(values, columns, {})
    assert matrix.dtype == np.float32
    assert np.isfinite(matrix[:, 0]).tolist() == [True, True, False, True]
    assert matrix[3, 0] == np.float32(0.1)


def test_training_and_serving_see_the_same_in_the_project_s_own_table(
    own_processed: pd.DataFrame, own_table: Table
) -> None:
    check_that_all_ways_agree(
        own_processed, rows_of(own_processed, own_table), own_table
    )
