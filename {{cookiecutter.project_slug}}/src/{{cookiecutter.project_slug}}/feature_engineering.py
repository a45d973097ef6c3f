"""Turn columns into features: one path for training and for serving.

A value here is either an array, with one element a row, or a single number or text: that of the
one row that a request asks for. Every function takes both, because arithmetic is spelled the same
for both; so a feature can't mean one thing in training and another in serving. And one row takes
microseconds, where an array of one element costs as much as one of a thousand.

To add a feature, add it to `number_features`: a name, and what it is made of.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .schema import Column, Kind
from .utils import clean_text

if TYPE_CHECKING:
    import pandas as pd

MISSING_CATEGORY, UNKNOWN_CODE = "", -1
LARGEST_NUMBER = 1e30
EPOCH = datetime(2000, 1, 1)  # a Saturday
MICROSECOND, MICROSECONDS_A_DAY = timedelta(microseconds=1), 86_400e6

Values = Mapping[str, Any]
Vocabulary = Mapping[str, Mapping[str, int]]


def values_of_frame(frame: "pd.DataFrame", columns: Sequence[Column]) -> Values:
    """Take the columns out of a processed table, as arrays; dates as days since 2000."""
    values: dict[str, NDArray[Any]] = {}
    for column in columns:
        if column.kind == "category":
            codes, texts = frame[column.name].factorize(use_na_sentinel=False)
            values[column.name] = np.asarray(texts, object)[
                codes
            ]  # each text is made only once
        elif column.kind == "date":
            dates = frame[column.name].to_numpy("datetime64[us]")
            values[column.name] = (dates - np.datetime64(EPOCH)) / np.timedelta64(
                1, "D"
            )
        else:
            values[column.name] = frame[column.name].to_numpy(float, na_value=np.nan)
    return values


def values_of_rows(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]
) -> Values:
    """Take the columns out of the rows of a request: of one row its values, of more arrays."""
    if len(rows) == 1:
        return {c.name: read_value(rows[0].get(c.name), c.kind) for c in columns}
    values: dict[str, NDArray[Any]] = {}
    for column in columns:
        cells = [row.get(column.name) for row in rows]
        if column.kind == "date":
            times = [count_microseconds(date) for date in cells]
            values[column.name] = np.array(times, float) / MICROSECONDS_A_DAY
        else:
            values[column.name] = np.array(
                cells, object if column.kind == "category" else float
            )
    return values


def read_value(value: Any, kind: Kind) -> Any:
    """Return a category as it is, and else a number, that can be divided by zero as an array."""
    if kind == "category":
        return value
    if kind == "date":
        return np.float64(count_microseconds(value)) / MICROSECONDS_A_DAY
    return np.float64(value)  # of None: NaN


def count_microseconds(date: datetime | None) -> int | None:
    """Return the microseconds since 2000; divided, they are rounded as NumPy rounds them."""
    return None if date is None else (date - EPOCH) // MICROSECOND


def number_features(values: Values, columns: Sequence[Column]) -> dict[str, Any]:
    """Return every feature that is a number, by its name."""
    features: dict[str, Any] = {}
    for column in columns:
        if column.kind == "date":
            features |= date_features(column.name, values[column.name])
        elif column.kind != "category":
            features[column.name] = values[column.name]
    return features


def date_features(name: str, days: Any) -> dict[str, Any]:
    """Return what a model can use of a date: the days since 2000, its month and day of the week.

    Monday is 0; a missing date gives NaN in each. The month is found by arithmetic: in years that
    begin in March, the lengths of the months repeat every five, 153 days (Neri and Schneider,
    "Euclidean affine functions and their application to calendar algorithms", 2022).
    """
    day = days // 1
    of_century = (
        (4 * (day + 730_425) + 3) % 146_097 // 4
    )  # since the first March of year 0
    of_year = (4 * of_century + 3) % 1_461 // 4
    month = (5 * of_year + 2) // 153  # 0 is March
    return {
        f"{name} (days)": days,
        f"{name} (month)": (month + 2) % 12 + 1,
        f"{name} (weekday)": (day + 5) % 7,
    }


def category_features(values: Values, columns: Sequence[Column]) -> dict[str, Any]:
    """Return every feature that is a category, by its name, spelled as the schema spells it."""
    return {
        column.name: spell_categories(values[column.name], column.categories)
        for column in columns
        if column.kind == "category"
    }


def spell_categories(values: Any, categories: Sequence[str | int]) -> Any:
    """Spell a category, or an array of them, as the schema does; blanks and case do not matter."""
    known = spellings(tuple(categories))

    def spell(value: Any) -> str:
        if not isinstance(value, str):
            return MISSING_CATEGORY
        return known.get(value) or known.get(clean_text(value), value.strip())

    if not isinstance(values, np.ndarray):
        return spell(values)
    spelled = {value: spell(value) for value in set(values)}  # each only once
    return list(map(spelled.__getitem__, values))


@cache
def spellings(categories: tuple[str | int, ...]) -> dict[str, str]:
    """Return the schema's spelling of each category: of itself, and of its cleaned text."""
    names = [str(category) for category in categories]
    return {clean_text(name): name for name in names} | dict(
        zip(names, names, strict=True)
    )


def learn_vocabulary(
    values: Values, columns: Sequence[Column]
) -> dict[str, dict[str, int]]:
    """Give each category of each feature a number: its place in the alphabet."""
    features = category_features(values, columns)
    return {
        name: {category: code for code, category in enumerate(sorted(set(spelled)))}
        for name, spelled in features.items()
    }


def build_features(
    values: Values, columns: Sequence[Column], vocabulary: Vocabulary
) -> NDArray[np.float32]:
    """Build all features as one matrix of shape (rows, features).

    First the numbers, bounded to what float32 holds, missing ones NaN; then of each category its
    number in the vocabulary, -1 where training did not see it.
    """
    with np.errstate(
        all="ignore"
    ):  # a feature may divide by zero: that is infinite or missing
        features = list(number_features(values, columns).values())
        for name, spelled in category_features(values, columns).items():
            get = vocabulary[name].get
            one = isinstance(spelled, str)
            codes = (
                get(spelled, UNKNOWN_CODE)
                if one
                else [get(x, UNKNOWN_CODE) for x in spelled]
            )
            features.append(codes)
        matrix = np.array(features, np.float32).reshape(len(features), -1)
    np.minimum(
        np.maximum(matrix, -LARGEST_NUMBER, out=matrix), LARGEST_NUMBER, out=matrix
    )
    return np.ascontiguousarray(matrix.T)


def feature_names(columns: Sequence[Column]) -> list[str]:
    """Return the names of all features: first the numbers, then the categories."""
    nothing = values_of_rows([{}], columns)
    return [*number_features(nothing, columns), *category_features(nothing, columns)]
