"""A row alone has the same features as in its table. A feature is left out or named."""

import numpy as np
import pandas as pd
import pytest

from {{ cookiecutter.project_slug }} import feature_engineering
from {{ cookiecutter.project_slug }}.feature_engineering import (
    LARGEST_NUMBER,
    charge_without_contract,
    feature,
    feature_names,
    features_of_row,
    features_of_table,
    usable_features,
    young_or_old,
)
from {{ cookiecutter.project_slug }}.schema import DTYPES, Column
from {{ cookiecutter.project_slug }}.utils import UserError

COLUMNS = [
    Column("paid", "number", nullable=True),
    Column("class", "integer", nullable=True),
    Column("member", "boolean", nullable=True),
    Column("größe", "category", nullable=True),
    Column("since", "date", nullable=True, has_time=True),
]
ROWS = [
    (1.5, 0, True, "Small", "2024-02-29 13:30:00"),
    (0.0, 0, False, "Large", "1999-12-31 00:00:00"),
    (-1.0, 0, None, None, None),
    (None, None, True, "Small", "2000-01-01 23:59:59"),
    (1e300, 7, False, "Small", None),
]


@pytest.fixture
def features(monkeypatch):
    """The registered features: at first none."""
    registered = {}
    monkeypatch.setattr(feature_engineering, "FEATURES", registered)
    return registered


def make_table():
    table = pd.DataFrame(ROWS, columns=[column.name for column in COLUMNS])
    return table.astype({column.name: DTYPES[column.kind] for column in COLUMNS})


def check_each_row_alone(table, columns):
    """Each row alone has the features that it has in the table, to the last bit."""
    X = features_of_table(table, columns)
    is_category = X.dtypes == "object"
    names = [column.name for column in columns]
    values = table[names].astype(object).where(table[names].notna(), None)
    usable = usable_features(columns)
    rows = [
        features_of_row(dict(zip(names, row, strict=True)), columns, usable)
        for row in values.itertuples(index=False)
    ]
    numbers = np.array([numbers for numbers, _ in rows], dtype="float64")
    numbers = numbers.clip(-LARGEST_NUMBER, LARGEST_NUMBER).astype("float32")
    assert [list(X.columns[~is_category]), list(X.columns[is_category])] == [
        *feature_names(columns)
    ]
    np.testing.assert_array_equal(X.loc[:, ~is_category].to_numpy(), numbers)
    assert X.loc[:, is_category].to_numpy().tolist() == [texts for _, texts in rows]
    return X


def test_each_row_of_the_project_s_table_alone_has_its_features(
    own_processed, own_table
):
    check_each_row_alone(own_processed, own_table.features)


def test_the_kinds_of_columns(features):
    X = check_each_row_alone(make_table(), COLUMNS)
    assert X.iloc[0].to_dict() == {
        "paid": 1.5,
        "class": 0,
        "member": 1,
        "since (days)": 8825.5625,
        "since (month)": 2,
        "since (weekday)": 3,
        "since (hour)": 13,
        "größe": "Small",
    }
    assert X.loc[2, "größe"] == ""
    assert X.loc[3, ["paid", "class"]].isna().all()
    assert X.loc[4, "paid"] == np.float32(LARGEST_NUMBER)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda a, b, c: a / b, [np.inf, np.nan, -np.inf, np.nan, 1e300 / 7]),
        (lambda a, b, c: a > 1, [1, 0, 0, 0, 1]),
        (lambda a, b, c: a * (c == "Small"), [1.5, 0, 0, np.nan, 1e300]),
        (lambda a, b, c: np.where(b == 0, 0, abs(a)), [0, 0, 0, np.nan, 1e300]),
    ],
    ids=["division by zero", "comparison", "category", "where"],
)
@pytest.mark.filterwarnings("error")
def test_a_feature_gives_the_same_for_a_table_and_for_a_row(
    features, function, expected
):
    function.__name__ = "new"
    feature(function, columns=["paid", "class", "größe"])
    X = check_each_row_alone(make_table(), COLUMNS)
    bounded = np.clip(expected, -LARGEST_NUMBER, LARGEST_NUMBER)
    np.testing.assert_allclose(X["new"], bounded, rtol=1e-6)


def test_a_feature_that_fails_for_a_table_or_for_a_row_is_named(
    features,
):
    @feature
    def size(paid):
        return 1 if paid > 0 else 0

    with pytest.raises(UserError, match=r"^the feature 'size' fails \(The truth value"):
        features_of_table(make_table(), COLUMNS)

    @feature(columns=["class"])
    def filled(number):
        return number.fillna(0)

    with pytest.raises(UserError, match=r"^the feature 'filled' fails .*'fillna'"):
        features_of_row({"class": 1}, COLUMNS, usable_features(COLUMNS))


def test_a_feature_is_left_out_if_the_table_lacks_a_column(
    features,
):
    @feature
    def ratio(paid, owed):
        raise AssertionError

    assert "ratio" not in features_of_table(make_table(), COLUMNS)
    assert usable_features(COLUMNS) == []


# --- The features of the sample table ------------------------------------------------


@pytest.mark.parametrize(("age", "expected"), [(29, 1), (30, 0), (65, 0), (66, 1)])
def test_young_or_old(age, expected):
    assert young_or_old(age) == expected


def test_charge_without_contract():
    assert charge_without_contract(50.0, "Monthly") == 50
    assert charge_without_contract(50.0, "Yearly") == 0
