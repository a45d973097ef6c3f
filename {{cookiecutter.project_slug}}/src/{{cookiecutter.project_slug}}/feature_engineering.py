"""Features: what a model sees, each a plain function of columns.

A feature is named after its function, and the function's parameters are columns of the
table. Training calls it with whole columns and the service with the values of one row,
so write what works for both: `+ - * /`, comparisons, `abs`, NumPy functions. Numbers
and booleans arrive as floats, dates as days since 2000-01-01, categories as text; a
missing number is NaN, a missing category "".

To add a feature, write a function that returns a number, and put `@feature` above it.
If the table lacks one of its columns, the feature is left out.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np

from .cells import read_date
from .schema import Column
from .utils import UserError

if TYPE_CHECKING:
    import pandas as pd

EPOCH = datetime(2000, 1, 1)
LARGEST_NUMBER = 1e30  # the models' float32 holds it; infinite values are cut to it


@dataclass(frozen=True)
class Feature:
    """A function of columns, by its name."""

    name: str
    columns: tuple[str, ...]
    function: Callable[..., Any]


FEATURES: dict[str, Feature] = {}


def feature(
    function: Callable[..., Any] | None = None, *, columns: Iterable[str] = ()
) -> Any:
    """Register a feature. Name its `columns` if they are not Python identifiers."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        names = tuple(columns) or tuple(signature(function).parameters)
        FEATURES[function.__name__] = Feature(function.__name__, names, function)
        return function

    return register(function) if function else register


# --- The features of the sample table ------------------------------------------------


@feature
def charge_per_call(monthly_charge, support_calls):
    """Monthly charge for each support call."""
    return monthly_charge / (support_calls + 1)


@feature
def years_from_middle_age(age):
    """Distance from 45 years: the youngest and the oldest customers leave most."""
    return abs(age - 45)


# --- From columns to features, for a table and for a row -----------------------------


def features_of_table(
    table: "pd.DataFrame", columns: Sequence[Column]
) -> "pd.DataFrame":
    """Return the features of a clean table, for training.

    The rows are those of the table; first the numbers, as float32, then the categories,
    as text. Raises UserError if the function of a feature fails.
    """
    import pandas as pd

    values: dict[str, Any] = {}
    dates: dict[str, Any] = {}
    for column in columns:
        cells = table[column.name]
        if column.kind == "category":
            codes, texts = pd.factorize(cells.fillna(""))
            values[column.name] = texts.astype(object)[codes]
        elif column.kind == "date":
            values[column.name] = (cells - pd.Timestamp(EPOCH)) / pd.Timedelta(days=1)
            dates[column.name] = [cells.dt.month, cells.dt.day_of_week, cells.dt.hour]
        else:
            values[column.name] = cells.astype(float)

    with np.errstate(all="ignore"):  # a division by zero is infinite or missing
        numbers, categories = _compute_features(values, dates, columns)
    X = pd.DataFrame(numbers, index=table.index, dtype=float)
    X = X.clip(-LARGEST_NUMBER, LARGEST_NUMBER).astype(np.float32)
    return X.join(pd.DataFrame(categories, index=table.index, dtype=object))


def features_of_row(
    row: Mapping[str, Any], columns: Sequence[Column]
) -> tuple[list[float], list[str]]:
    """Return the features of one row, for the service: its numbers, and its categories.

    They are in the order of `features_of_table`. A value may be absent.
    """
    values: dict[str, Any] = {}
    dates: dict[str, Any] = {}
    for column in columns:
        value = row.get(column.name)
        if column.kind == "category":
            values[column.name] = value or ""
        elif value is None:
            values[column.name] = np.nan
            dates[column.name] = [np.nan] * 3
        elif column.kind == "date":
            date = read_date(value) if isinstance(value, str) else value
            values[column.name] = (date - EPOCH).total_seconds() / 86_400
            dates[column.name] = [date.month, date.weekday(), date.hour]
        else:
            values[column.name] = float(value)

    try:
        numbers, categories = _compute_features(values, dates, columns)
        return list(map(float, numbers.values())), list(categories.values())
    except (UserError, TypeError):  # Python fails where NumPy divides by zero
        values = {
            name: value if isinstance(value, str) else np.float64(value)
            for name, value in values.items()
        }
    with np.errstate(all="ignore"):
        numbers, categories = _compute_features(values, dates, columns)
    return list(map(float, numbers.values())), list(categories.values())


def _compute_features(
    values: Mapping[str, Any], dates: Mapping[str, Any], columns: Sequence[Column]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the numbers and the categories, by the names of the features.

    `values` are those of whole columns or of one row; `dates` has the month, weekday
    and hour of each date.
    """
    numbers: dict[str, Any] = {}
    categories: dict[str, Any] = {}
    for column in columns:
        if column.kind == "category":
            categories[column.name] = values[column.name]
        elif column.kind == "date":
            parts = [values[column.name], *dates[column.name]]
            numbers.update(zip(_date_names(column), parts, strict=False))
        else:
            numbers[column.name] = values[column.name]

    for each in usable_features(columns):
        try:
            numbers[each.name] = each.function(*(values[name] for name in each.columns))
        except Exception as error:
            raise UserError(
                f"the feature {each.name!r} fails ({error}); it must work for whole "
                "columns and for the values of one row: use arithmetic and NumPy "
                "functions, such as np.where instead of `if`"
            ) from error
    return numbers, categories


def _date_names(column: Column) -> list[str]:
    """Return the names of the parts of a date that a model uses."""
    parts = ["days", "month", "weekday", "hour"]
    return [f"{column.name} ({part})" for part in parts[: 4 if column.has_time else 3]]


def usable_features(columns: Iterable[Column]) -> list[Feature]:
    """Return the features whose columns the table has."""
    names = {column.name for column in columns}
    return [each for each in FEATURES.values() if names.issuperset(each.columns)]


def feature_names(columns: Sequence[Column]) -> tuple[list[str], list[str]]:
    """Return the names of the features: of the numbers, and of the categories."""
    numbers: list[str] = []
    for column in columns:
        if column.kind == "date":
            numbers += _date_names(column)
        elif column.kind != "category":
            numbers.append(column.name)
    numbers += [each.name for each in usable_features(columns)]
    return numbers, [column.name for column in columns if column.kind == "category"]


def is_category(X: "pd.DataFrame") -> np.ndarray:
    """Say of each feature whether it is a category."""
    return np.array([dtype.kind == "O" for dtype in X.dtypes], dtype=bool)
