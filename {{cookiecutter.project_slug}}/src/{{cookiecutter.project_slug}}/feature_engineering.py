"""Features: what a model sees, each a plain function of columns.

A feature is named after its function, and the function's parameters are columns of the
table. Training calls it with whole columns and the service with the values of one row,
so write what works for both: `+ - * /`, comparisons, `abs`, NumPy functions. Numbers
and booleans arrive as floats, dates as days since 2000-01-01, categories as text; a
missing number is NaN, a missing category "".

To add a feature, write a function that returns a number, and put `@feature` above it.
If the table lacks one of its columns, or has text where a parameter is annotated as
`float`, the feature is left out.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
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
FEW_ROWS = 8  # up to here, one row after the other is faster than whole columns


@dataclass(frozen=True)
class Feature:
    """A function of columns, by its name; `numbers` are those annotated as float."""

    name: str
    columns: tuple[str, ...]
    function: Callable[..., Any]
    numbers: frozenset[str] = frozenset()


FEATURES: dict[str, Feature] = {}


def feature(
    function: Callable[..., Any] | None = None, *, columns: Iterable[str] = ()
) -> Any:
    """Register a feature. Name its `columns` if they are not Python identifiers."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        parameters = signature(function).parameters
        names = tuple(columns) or tuple(parameters)
        types = [parameter.annotation for parameter in parameters.values()]
        numbers = {
            name for name, type_ in zip(names, types, strict=False) if type_ is float
        }
        name = function.__name__
        FEATURES[name] = Feature(name, names, function, frozenset(numbers))
        return function

    return register(function) if function else register


# --- The features of the sample table ------------------------------------------------


@feature
def young_or_old(age: float):
    """Whether a customer is under 30 or over 65: these leave most often."""
    return (age < 30) | (age > 65)


@feature
def charge_without_contract(monthly_charge: float, contract_type):
    """Monthly charge of customers with a monthly contract, whom no contract holds."""
    return monthly_charge * (contract_type == "Monthly")


# --- From columns to features, for a table and for rows ------------------------------


def features_of_table(
    table: "pd.DataFrame", columns: Sequence[Column]
) -> "pd.DataFrame":
    """Return the features of a clean table, for training.

    The rows are those of the table; first the numbers, as float32, then the categories,
    as text. Raises UserError if the function of a feature fails.
    """
    import pandas as pd

    cells: dict[str, Any] = {}
    for column in columns:
        values = table[column.name]
        if column.kind == "category":
            codes, texts = pd.factorize(values.fillna(""))
            cells[column.name] = texts.astype(object)[codes]
        elif column.kind == "date":
            days = (values - pd.Timestamp(EPOCH)) / pd.Timedelta(days=1)
            cells[column.name] = [days, values.dt.month, values.dt.day_of_week]
            if column.has_time:
                cells[column.name].append(values.dt.hour)
        else:
            cells[column.name] = values.astype(float)

    numbers, categories = _arrange(cells, columns, usable_features(columns))
    number_names, category_names = feature_names(columns)
    X = pd.DataFrame(index=table.index, dtype=float)
    X = X.assign(**dict(zip(number_names, numbers, strict=True)))
    X = X.clip(-LARGEST_NUMBER, LARGEST_NUMBER).astype(np.float32)
    return X.assign(**dict(zip(category_names, categories, strict=True)))


def features_of_rows(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[Column],
    features: Sequence[Feature],
) -> tuple[np.ndarray, np.ndarray]:
    """Return the usable features of rows, for the service, as `features_of_table` does.

    The numbers have the shape (rows, n), the categories (rows, m). A value may be
    absent.
    """
    if len(rows) <= FEW_ROWS:
        single = [features_of_row(row, columns, features) for row in rows]
        numbers = np.array([numbers for numbers, _ in single], dtype=float)
        categories = np.array([texts for _, texts in single], dtype=object)
    else:
        cells = {
            column.name: _column_of_rows([row.get(column.name) for row in rows], column)
            for column in columns
        }
        arrays, texts = _arrange(cells, columns, features)
        shape = (-1, len(rows))
        arrays = [np.broadcast_to(array, len(rows)) for array in arrays]
        numbers = np.array(arrays, dtype=float).reshape(shape).T
        categories = np.array(texts, dtype=object).reshape(shape).T
    numbers = np.minimum(np.maximum(numbers, -LARGEST_NUMBER), LARGEST_NUMBER)
    return numbers.astype(np.float32), categories


def features_of_row(
    row: Mapping[str, Any], columns: Sequence[Column], features: Sequence[Feature]
) -> tuple[list[Any], list[str]]:
    """Return the features of one row: its numbers, and its categories."""
    cells: dict[str, Any] = {}
    for column in columns:
        value = row.get(column.name)
        if column.kind == "category":
            cells[column.name] = value or ""
        elif column.kind == "date":
            cells[column.name] = _date_parts(value, column.has_time)
        else:  # NumPy's numbers can be divided by zero, as those of a table
            cells[column.name] = np.float64(math.nan if value is None else value)
    return _arrange(cells, columns, features)


def _column_of_rows(values: list[Any], column: Column) -> Any:
    """Return a column's values as arrays."""
    if column.kind == "category":
        return np.array([value or "" for value in values], dtype=object)
    if column.kind == "date":
        return np.array([_date_parts(date, column.has_time) for date in values]).T
    return np.array(values, dtype=float)  # None becomes NaN


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


def _arrange(
    cells: Mapping[str, Any], columns: Iterable[Column], features: Iterable[Feature]
) -> tuple[list[Any], list[Any]]:
    """Return the numbers, among them the features, and the categories."""
    numbers: list[Any] = []
    categories: list[Any] = []
    values: dict[str, Any] = {}
    for column in columns:
        cell = values[column.name] = cells[column.name]
        if column.kind == "category":
            categories.append(cell)
        elif column.kind == "date":
            numbers += [*cell]
            values[column.name] = cell[0]
        else:
            numbers.append(cell)

    with np.errstate(all="ignore"):
        for each in features:
            numbers.append(_call(each, values))
    return numbers, categories


def _call(each: Feature, values: Mapping[str, Any]) -> np.ndarray:
    """Return a feature of whole columns or of the values of one row."""
    try:
        result = each.function(*[values[name] for name in each.columns])
        return np.asarray(result, dtype=float)
    except Exception as error:
        raise UserError(
            f"the feature {each.name!r} fails ({error}); it must work for whole "
            "columns and for the values of one row: use arithmetic and NumPy "
            "functions, such as np.where instead of `if`"
        ) from error


def usable_features(columns: Iterable[Column]) -> list[Feature]:
    """Return the features whose columns the table has, numbers where they must be."""
    kinds = {column.name: column.kind for column in columns}
    texts = {name for name, kind in kinds.items() if kind == "category"}
    usable = [
        each
        for each in FEATURES.values()
        if kinds.keys() >= set(each.columns) and texts.isdisjoint(each.numbers)
    ]
    for each in usable:
        if each.name in kinds:
            raise UserError(f"the feature {each.name!r} has the name of a column")
    return usable


def feature_names(columns: Sequence[Column]) -> tuple[list[str], list[str]]:
    """Return the names of the features: of the numbers, and of the categories."""
    numbers: list[str] = []
    for column in columns:
        if column.kind == "date":
            parts = ["days", "month", "weekday", *["hour"] * column.has_time]
            numbers += [f"{column.name} ({part})" for part in parts]
        elif column.kind != "category":
            numbers.append(column.name)
    numbers += [each.name for each in usable_features(columns)]
    return numbers, [column.name for column in columns if column.kind == "category"]


def is_category(X: "pd.DataFrame") -> np.ndarray:
    """Say of each feature whether it is a category."""
    return np.array([dtype.kind == "O" for dtype in X.dtypes], dtype=bool)
