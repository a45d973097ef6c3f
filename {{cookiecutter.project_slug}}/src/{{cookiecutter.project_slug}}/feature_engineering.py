"""Features: what a model sees, each a plain function of columns.

A feature is named after its function, and the function's parameters are columns of the
table. Training calls it with whole columns and the service with the values of one row,
so write what works for both: `+ - * /`, comparisons, `abs`, NumPy functions. Numbers
and booleans arrive as floats, dates as days since 2000-01-01, categories as text; a
missing number is NaN, a missing category "".

To add a feature, write a function that returns a number, and put `@feature` above it.
If the table lacks one of its columns, the feature is left out.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
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


def feature(function: Any = None, *, columns: Iterable[str] = ()) -> Any:
    """Register a feature. Name its `columns` if they are not Python identifiers."""
    if function is None:
        return partial(feature, columns=columns)
    names = tuple(columns) or tuple(signature(function).parameters)
    FEATURES[function.__name__] = Feature(function.__name__, names, function)
    return function


# --- The features of the sample table ------------------------------------------------


@feature
def young_or_old(age):
    """Whether a customer is under 30 or over 65: these leave most often."""
    return (age < 30) | (age > 65)


@feature
def charge_without_contract(monthly_charge, contract_type):
    """Monthly charge of customers with a monthly contract, whom no contract holds."""
    return monthly_charge * (contract_type == "Monthly")


# --- From columns to features, for a table and for a row -----------------------------


def features_of_table(
    table: "pd.DataFrame", columns: Sequence[Column]
) -> "pd.DataFrame":
    """Return the features of a clean table, for training.

    The rows are those of the table; first the numbers, as float32, then the categories,
    as text. Raises UserError if the function of a feature fails.
    """
    import pandas as pd

    numbers: dict = {}
    categories: dict = {}
    values: dict = {}
    for column in columns:
        name, cells = column.name, table[column.name]
        if column.kind == "category":
            codes, texts = pd.factorize(cells.fillna(""))
            values[name] = categories[name] = texts.astype(object)[codes]
        elif column.kind == "date":
            values[name] = (cells - pd.Timestamp(EPOCH)) / pd.Timedelta(days=1)
            dates = cells.dt
            parts = [values[name], dates.month, dates.day_of_week, dates.hour]
            numbers.update(zip(_date_names(column), parts, strict=False))
        else:
            values[name] = numbers[name] = cells.astype(float)

    for each in usable_features(columns):
        numbers[each.name] = _call(each, values)
    X = pd.DataFrame(numbers, table.index, dtype=float)
    X = X.clip(-LARGEST_NUMBER, LARGEST_NUMBER).astype(np.float32)
    return X.join(pd.DataFrame(categories, table.index, dtype=object))


def features_of_row(
    row: dict,
    columns: Sequence[Column],
    features: Sequence[Feature] | None = None,
) -> tuple[list[float], list[str]]:
    """Return the features of one row, for the service: its numbers, and its categories.

    They are in the order of `features_of_table`. A value may be absent. For many rows,
    find the usable features once and pass them.
    """
    features = usable_features(columns) if features is None else features
    numbers: list[float] = []
    categories: list[str] = []
    values: dict = {}
    for column in columns:
        value = row.get(column.name)
        if column.kind == "category":
            values[column.name] = value or ""
            categories.append(value or "")
        elif column.kind == "date":
            parts = _date_parts(value, column.has_time)
            values[column.name] = np.float64(parts[0])
            numbers += parts
        else:
            # A number of NumPy: one of Python can't be divided by zero.
            number = np.float64(math.nan if value is None else value)
            values[column.name] = number
            numbers.append(number)

    numbers += [float(_call(each, values)) for each in features]
    return numbers, categories


@lru_cache(maxsize=10_000)
def _date_parts(date: datetime | str | None, has_time: bool) -> tuple[float, ...]:
    """Return a date's days since 2000, month, weekday and, if it has a time, hour."""
    if date is None:
        return (math.nan,) * (4 if has_time else 3)
    if isinstance(date, str):
        date = read_date(date)
    days = (date - EPOCH).total_seconds() / 86_400
    parts = (days, date.month, date.weekday())
    return (*parts, date.hour) if has_time else parts


def _call(each: Feature, values: dict) -> np.ndarray:
    """Return a feature of whole columns, or of the values of one row.

    A division by zero is infinite or missing.
    """
    try:
        with np.errstate(all="ignore"):
            result = each.function(*[values[name] for name in each.columns])
            return np.asarray(result, dtype=float)
    except Exception as error:
        raise UserError(
            f"the feature {each.name!r} fails ({error}); it must work for whole "
            "columns and for the values of one row: use arithmetic and NumPy "
            "functions, such as np.where instead of `if`"
        ) from error


def _date_names(column: Column) -> list[str]:
    """Return the names of the parts of a date that a model uses."""
    parts = ["days", "month", "weekday", "hour"]
    return [f"{column.name} ({part})" for part in parts[: 4 if column.has_time else 3]]


def usable_features(columns: Iterable[Column]) -> list[Feature]:
    """Return the features whose columns the table has."""
    names = {column.name for column in columns}
    usable = [each for each in FEATURES.values() if names.issuperset(each.columns)]
    for each in usable:
        if each.name in names:
            raise UserError(f"the feature {each.name!r} has the name of a column")
    return usable


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
