"""Turn columns into features: one path for training and for serving.

Everything here works on NumPy arrays. Training takes them from a frame, the server from the rows
of a request, and from there on both call the same functions; so a feature can't mean one thing in
training and another in serving, and the server needs no pandas.

To add a feature, add it to `number_features`: a name and an array.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .columns import Column
from .utils import clean_text

if TYPE_CHECKING:
    import pandas as pd

MISSING_CATEGORY = ""
LARGEST_NUMBER = 1e30

Arrays = Mapping[str, NDArray[Any]]


class Features(NamedTuple):
    """What a model is given: one block of numbers and one of categories.

    `numbers` is float32 of shape (rows, number features), missing values NaN; `categories` is text
    of shape (rows, category features), missing values "".
    """

    numbers: NDArray[np.float32]
    categories: NDArray[np.object_]


def arrays_of_frame(frame: "pd.DataFrame", columns: Sequence[Column]) -> Arrays:
    """Take the columns out of a processed table; each array has one element a row."""
    return {column.name: to_array(frame[column.name], column) for column in columns}


def arrays_of_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> Arrays:
    """Take the columns out of the rows of a request; an absent value is a missing one."""
    return {c.name: to_array([row.get(c.name) for row in rows], c) for c in columns}


def to_array(values: Any, column: Column) -> NDArray[Any]:
    """Return values as objects, times in microseconds or floats, as their kind asks."""
    dtype = {"category": "object", "date": "datetime64[us]"}.get(column.kind, "float64")
    return np.asarray(values, dtype=dtype)


def build_features(arrays: Arrays, columns: Sequence[Column]) -> Features:
    """Build all features of all rows from the columns' arrays."""
    numbers = list(number_features(arrays, columns).values())
    categories = list(category_features(arrays, columns).values())
    rows = len(next(iter(arrays.values())))
    return Features(
        to_float32(np.column_stack(numbers)) if numbers else np.empty((rows, 0), np.float32),
        np.column_stack(categories) if categories else np.empty((rows, 0), object),
    )


def number_features(arrays: Arrays, columns: Sequence[Column]) -> dict[str, NDArray[Any]]:
    """Return every feature that is a number, by its name."""
    features: dict[str, NDArray[Any]] = {}
    for column in columns:
        values = arrays[column.name]
        if column.kind == "date":
            features |= date_features(column.name, values)
        elif column.kind != "category":
            features[column.name] = values
    return features


def category_features(arrays: Arrays, columns: Sequence[Column]) -> dict[str, NDArray[np.object_]]:
    """Return every feature that is a category, by its name, spelled as the schema spells it."""
    return {
        column.name: spell_categories(arrays[column.name], column.categories)
        for column in columns
        if column.kind == "category"
    }


def date_features(name: str, dates: NDArray[np.datetime64]) -> dict[str, NDArray[np.float64]]:
    """Return what a model can use of a date: days since 2000, the month and the day of the week.

    Monday is 0; a missing date gives NaN in each.
    """
    missing = np.isnat(dates)
    days = (dates - np.datetime64("2000-01-01")) / np.timedelta64(1, "D")
    month = dates.astype("datetime64[M]").astype(np.int64) % 12 + 1
    weekday = (dates.astype("datetime64[D]").astype(np.int64) + 3) % 7  # 1970 began on a Thursday
    return {
        f"{name} (days)": days,
        f"{name} (month)": np.where(missing, np.nan, month),
        f"{name} (weekday)": np.where(missing, np.nan, weekday),
    }


def spell_categories(values: Iterable[Any], categories: Sequence[str | int]) -> NDArray[np.object_]:
    """Spell categories as the schema does, whatever their blanks and letter case."""
    spelling = {clean_text(str(category)): str(category) for category in categories}
    spelled = [
        spelling.get(clean_text(value), value.strip())
        if isinstance(value, str)
        else MISSING_CATEGORY
        for value in values
    ]
    return np.array(spelled, dtype=object)


def to_float32(numbers: NDArray[Any]) -> NDArray[np.float32]:
    """Round to float32 with two bits to spare, so that every model file decides alike.

    A tree splits half way between two values. With the last two bits of each value at zero, that
    threshold is a float32 too or lies well between them; so scikit-learn, which computes in
    float64, and ONNX, which computes in float32, send every row the same way. What is lost is a
    three-millionth of the value.
    """
    bounded = np.clip(numbers, -LARGEST_NUMBER, LARGEST_NUMBER).astype(np.float32)
    rounded = ((bounded.view(np.uint32) + np.uint32(2)) & np.uint32(0xFFFFFFFC)).view(np.float32)
    return np.where(np.isnan(bounded), np.float32(np.nan), rounded)


def as_frame(features: Features) -> "pd.DataFrame":
    """Put both blocks side by side in one frame, as scikit-learn's pipelines take them."""
    import pandas as pd  # only here: the server has none

    blocks = [pd.DataFrame(features.numbers), pd.DataFrame(features.categories, dtype=object)]
    frame = pd.concat(blocks, axis=1)
    return frame.set_axis([f"feature_{i}" for i in range(frame.shape[1])], axis=1)


def feature_names(columns: Sequence[Column]) -> list[str]:
    """Return the names of all features: first the numbers, then the categories."""
    empty = arrays_of_rows([], columns)
    return [*number_features(empty, columns), *category_features(empty, columns)]
