from datetime import datetime

import numpy as np
import pandas as pd
import pytest
from conftest import rows_of

from {{ cookiecutter.project_slug }}.columns import Column, Table
from {{ cookiecutter.project_slug }}.feature_engineering import (
    arrays_of_frame,
    arrays_of_rows,
    build_features,
    date_features,
    feature_names,
    spell_categories,
    to_float32,
)

COLUMNS = [
    Column("size", "category", True, categories=("Small", "Large")),
    Column("class", "integer", True),
    Column("member", "boolean", True),
    Column("since", "date", True),
]


def test_one_row_of_each_kind() -> None:
    row = {"size": "small ", "class": 3, "member": True, "since": datetime(2000, 1, 2)}
    features = build_features(arrays_of_rows([row], COLUMNS), COLUMNS)
    assert feature_names(COLUMNS) == [
        "class",
        "member",
        "since (days)",
        "since (month)",
        "since (weekday)",
        "size",
    ]
    assert features.numbers.tolist() == [[3, 1, 1, 1, 6]]  # the second of January was a Sunday
    assert features.categories.tolist() == [["Small"]]


def test_missing_values_are_nan_or_empty_text_whether_null_or_absent() -> None:
    rows = [{name: None for name in ("size", "class", "member", "since")}, {}]
    features = build_features(arrays_of_rows(rows, COLUMNS), COLUMNS)
    assert np.isnan(features.numbers).all()
    assert features.categories.tolist() == [[""], [""]]


@pytest.mark.parametrize("kept", ["size", "class"])
def test_a_table_may_lack_a_kind_of_column(kept: str) -> None:
    columns = [column for column in COLUMNS if column.name == kept]
    features = build_features(arrays_of_rows([{}, {}], columns), columns)
    assert len(features.numbers) == len(features.categories) == 2
    assert features.numbers.shape[1] + features.categories.shape[1] == 1


def test_date_features_count_days_and_know_the_calendar() -> None:
    days = pd.date_range("1999-12-25", "2031-03-01", freq="37h")
    features = date_features("d", days.to_numpy("datetime64[us]"))
    since = (days - pd.Timestamp("2000-01-01")) / pd.Timedelta("1D")
    np.testing.assert_allclose(features["d (days)"], since)
    np.testing.assert_array_equal(features["d (month)"], days.month)
    np.testing.assert_array_equal(features["d (weekday)"], days.day_of_week)


def test_spell_categories_keeps_unknown_ones() -> None:
    spelled = spell_categories(np.array(["LARGE", " huge ", None], dtype=object), ["Large"])
    assert spelled.tolist() == ["Large", "huge", ""]


def test_to_float32_leaves_room_for_a_threshold_between_any_two_values() -> None:
    numbers = np.random.default_rng(0).lognormal(0, 10, 10_000)
    rounded = np.unique(to_float32(numbers))
    np.testing.assert_allclose(to_float32(numbers), numbers, rtol=3e-7)
    middle = (rounded[:-1].astype(float) + rounded[1:].astype(float)) / 2
    threshold = middle.astype(np.float32)
    assert (rounded[:-1] <= threshold).all()
    assert (threshold < rounded[1:]).all()


def test_to_float32_bounds_what_float32_cannot_hold() -> None:
    bounded = to_float32(np.array([1e300, -np.inf, np.nan, 0.0]))
    assert np.isfinite(bounded).tolist() == [True, True, False, True]
    assert bounded[3] == 0


def test_training_and_serving_see_the_same_in_the_project_s_own_table(
    own_processed: pd.DataFrame, own_table: Table
) -> None:
    columns = own_table.features
    rows = rows_of(own_processed, own_table)
    served = build_features(arrays_of_rows(rows, columns), columns)
    trained = build_features(arrays_of_frame(own_processed, columns), columns)
    np.testing.assert_array_equal(served.numbers, trained.numbers)
    np.testing.assert_array_equal(served.categories, trained.categories)
    assert len(feature_names(columns)) == trained.numbers.shape[1] + trained.categories.shape[1]
