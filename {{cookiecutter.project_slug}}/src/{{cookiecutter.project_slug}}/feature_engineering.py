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
LARGEST_NUMBER = 1e30  # fits into float32; larger and infinite values are clipped to it


@dataclass(frozen=True)
class Feature:
    """A function of columns, by its name; `numbers` are those annotated as float."""

    name: str
    columns: tuple[str, ...]
    function: Callable
    numbers: tuple[str, ...] = ()


FEATURES: dict[str, Feature] = {}


def feature(function: Callable | None = None, *, columns: Iterable[str] = ()) -> Any:
    """Register a feature. Name its `columns` if they are not Python identifiers."""
    if function is None:
        return partial(feature, columns=columns)

    parameters = signature(function).parameters
    names = tuple(columns) or tuple(parameters)
    pairs = zip(names, parameters.values(), strict=False)
    numbers = tuple(name for name, each in pairs if each.annotation is float)
    name = function.__name__
    FEATURES[name] = Feature(name, names, function, numbers)

    return function


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
            codes, texts = pd.factorize(values)
            cells[column.name] = np.array([*texts, ""], dtype=object)[codes]
        elif column.kind == "date":
            days = (values - pd.Timestamp(EPOCH)) / pd.Timedelta(days=1)
            cells[column.name] = [days, values.dt.month, values.dt.day_of_week]
            if column.has_time:
                cells[column.name].append(values.dt.hour)
        else:
            cells[column.name] = values.astype(float)

    arranged = _arrange(cells, columns, usable_features(columns))
    numbers, categories = _stack(*arranged, len(table))
    number_names, category_names = feature_names(columns)
    text = pd.DataFrame(categories, table.index, category_names, dtype=object)
    X = pd.DataFrame(numbers, table.index, number_names)

    return pd.concat([X, text], axis=1)


def features_of_rows(
    rows: Sequence[Mapping], columns: Sequence[Column], features: Sequence[Feature]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the features of rows, for the service, as `features_of_table` does.

    The numbers have the shape (rows, n), the categories (rows, m). A value may be
    absent.
    """
    if len(rows) == 1:  # arrays of one value are slow
        numbers, categories = features_of_row(rows[0], columns, features)
        return np.array([numbers], np.float32), np.array([categories], object)

    cells = {}
    for column in columns:
        values = [row.get(column.name) for row in rows]
        if column.kind in ("category", "date"):
            values = [_prepare_value(value, column) for value in values]
        kind = object if column.kind == "category" else float  # None becomes NaN
        cells[column.name] = np.array(values, dtype=kind).T  # a date has several parts

    return _stack(*_arrange(cells, columns, features), len(rows))


def features_of_row(
    row: Mapping, columns: Iterable[Column], features: Iterable[Feature]
) -> tuple[list, list]:
    """Return the features of one row: its numbers, and its categories."""
    cells = {
        column.name: _prepare_value(row.get(column.name), column) for column in columns
    }
    numbers, categories = _arrange(cells, columns, features)
    limit = LARGEST_NUMBER

    return [min(max(float(number), -limit), limit) for number in numbers], categories


def _prepare_value(value: Any, column: Column) -> Any:
    """Return a value of a row as features take it; a date becomes its parts."""
    if column.kind == "category":
        return value or ""
    if column.kind == "date":
        return _date_parts(value, column.has_time)

    # NumPy's numbers can be divided by zero, as those of a table.
    return np.float64(math.nan if value is None else value)


@lru_cache(maxsize=10_000)
def _date_parts(date: datetime | str | None, has_time: bool) -> tuple[float, ...]:
    """Return a date's days since 2000, month, weekday and, if it has a time, hour."""
    if date is None:
        return (np.float64(math.nan),) * (4 if has_time else 3)
    if isinstance(date, str):
        date = read_date(date)

    days = np.float64((date - EPOCH).total_seconds() / 86_400)
    parts = (days, date.month, date.weekday())

    return (*parts, date.hour) if has_time else parts


def _arrange(
    cells: dict, columns: Iterable[Column], features: Iterable[Feature]
) -> tuple[list, list]:
    """Return the numbers, among them the features, and the categories."""
    numbers: list[Any] = []
    categories: list[Any] = []
    values = dict(cells)

    for column in columns:
        cell = cells[column.name]
        if column.kind == "category":
            categories.append(cell)
        elif column.kind == "date":
            numbers += [*cell]
            values[column.name] = cell[0]
        else:
            numbers.append(cell)

    with np.errstate(all="ignore"):
        numbers += [_call(each, values) for each in features]

    return numbers, categories


def _call(each: Feature, values: dict) -> np.ndarray:
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


def _stack(numbers: list, categories: list, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features as arrays of the shapes (rows, n) and (rows, m)."""
    stacked = np.empty((len(numbers), rows), np.float32)
    for place, values in enumerate(numbers):
        stacked[place] = np.clip(values, -LARGEST_NUMBER, LARGEST_NUMBER)
    texts = np.array(categories, dtype=object).reshape(len(categories), rows)
    return stacked.T, texts.T


def usable_features(columns: Iterable[Column]) -> list[Feature]:
    """Return the features that can be computed from the columns.

    The table has their columns, and numbers where the function wants numbers. Raises
    UserError if a feature has the name of a column.
    """
    kinds = {column.name: column.kind for column in columns}
    usable = []
    for each in FEATURES.values():
        has_columns = kinds.keys() >= set(each.columns)
        if has_columns and "category" not in [kinds[name] for name in each.numbers]:
            usable.append(each)
            if each.name in kinds:
                raise UserError(f"the feature {each.name!r} has the name of a column")

    return usable


def feature_names(columns: Sequence[Column]) -> tuple[list[str], list[str]]:
    """Return the names of the numbers, and those of the categories."""
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
    """Return for each feature, shape (n,), whether it is a category."""
    return np.array([dtype.kind == "O" for dtype in X.dtypes], dtype=bool)
