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
def young_or_old(age):
    """Whether a customer is under 30 or over 65: these leave most often."""
    return (age < 30) | (age > 65)


@feature
def charge_without_contract(monthly_charge, contract_type):
    """Monthly charge of customers with a monthly contract, whom no contract holds."""
    return monthly_charge * (contract_type == "Monthly")


# --- From a table, for training ------------------------------------------------------


def features_of_table(
    table: "pd.DataFrame", columns: Sequence[Column]
) -> "pd.DataFrame":
    """Return the features of a clean table: numbers as float32, then categories as text.

    The rows are those of the table. Raises UserError if a feature's function fails.
    """
    import pandas as pd

    numbers: dict[str, Any] = {}
    categories: dict[str, Any] = {}
    values = {column.name: _column_values(table, column) for column in columns}
    for column in columns:
        if column.kind == "category":
            categories[column.name] = values[column.name]
        elif column.kind == "date":
            dates = table[column.name].dt
            parts = [values[column.name], dates.month, dates.day_of_week, dates.hour]
            numbers.update(zip(_date_names(column), parts, strict=False))
        else:
            numbers[column.name] = values[column.name]

    for each in usable_features(columns):
        arguments = [values[name] for name in each.columns]
        numbers[each.name] = _call_on_table(each, arguments)

    X = pd.DataFrame(numbers, index=table.index, dtype="float64")
    X = X.clip(-LARGEST_NUMBER, LARGEST_NUMBER).astype("float32")
    return X.join(pd.DataFrame(categories, index=table.index, dtype=object))


def _column_values(table: "pd.DataFrame", column: Column) -> "pd.Series":
    """Return a column as features see it."""
    import pandas as pd

    values = table[column.name]
    if column.kind == "category":
        codes, texts = pd.factorize(values.fillna(""))
        return pd.Series(texts.astype(object)[codes], index=table.index)
    if column.kind == "date":
        return (values - pd.Timestamp(EPOCH)) / pd.Timedelta(days=1)
    return values.astype("float64")


def _call_on_table(each: Feature, arguments: list["pd.Series"]) -> Any:
    """Return a feature of whole columns."""
    try:
        with np.errstate(all="ignore"):  # a division by zero is infinite or missing
            return np.asarray(each.function(*arguments), dtype="float64")
    except Exception as error:
        raise UserError(
            f"the feature {each.name!r} fails for whole columns ({error}); use "
            "arithmetic and NumPy functions, such as np.where instead of `if`"
        ) from error


# --- From one row, for the service ---------------------------------------------------


def features_of_row(
    row: Mapping[str, Any], columns: Sequence[Column]
) -> tuple[list[float], list[str]]:
    """Return the features of one row, in the same order: its numbers, its categories."""
    numbers: list[float] = []
    categories: list[str] = []
    values: dict[str, Any] = {}
    for column in columns:
        value = row.get(column.name)
        if column.kind == "category":
            values[column.name] = value or ""
            categories.append(value or "")
        elif column.kind != "date":
            values[column.name] = np.nan if value is None else float(value)
            numbers.append(values[column.name])
        else:
            date_parts = _date_parts(value, column.has_time)
            values[column.name] = date_parts[0]
            numbers.extend(date_parts)

    for each in usable_features(columns):
        arguments = [values[name] for name in each.columns]
        numbers.append(_call_on_row(each, arguments))
    return numbers, categories


def _date_parts(date: datetime | str | None, has_time: bool) -> list[float]:
    """Return the days since 2000 of a date, its month, its weekday and maybe its hour."""
    if date is None:
        return [np.nan] * (4 if has_time else 3)
    if isinstance(date, str):
        date = read_date(date)
    days = (date - EPOCH).total_seconds() / 86_400
    parts = [days, date.month, date.weekday()]
    return [*parts, date.hour] if has_time else parts


def _call_on_row(each: Feature, arguments: list[Any]) -> float:
    """Return a feature of the values of one row."""
    try:
        return float(each.function(*arguments))
    except Exception:  # Python raises errors where NumPy gives infinite or missing numbers
        arguments = [_as_numpy(value) for value in arguments]
    try:
        with np.errstate(all="ignore"):
            return float(each.function(*arguments))
    except Exception as error:
        raise UserError(
            f"the feature {each.name!r} fails for a single row ({error}); use "
            "arithmetic and NumPy functions"
        ) from error


def _as_numpy(value: Any) -> Any:
    """Return a number as one of NumPy, and text as it is."""
    return value if isinstance(value, str) else np.float64(value)


# --- Both ------------------------------------------------------------------------------


def usable_features(columns: Iterable[Column]) -> list[Feature]:
    """Return the features whose columns the table has."""
    names = {column.name for column in columns}
    usable = [each for each in FEATURES.values() if names.issuperset(each.columns)]
    for each in usable:
        if each.name in names:
            raise UserError(f"the feature {each.name!r} has the name of a column")
    return usable


def unusable_features(columns: Iterable[Column]) -> list[Feature]:
    """Return the features that are left out, because the table lacks their columns."""
    usable = usable_features(columns)
    return [each for each in FEATURES.values() if each not in usable]


def feature_names(columns: Sequence[Column]) -> tuple[list[str], list[str]]:
    """Return the names of the features: of the numbers, and of the categories."""
    numbers: list[str] = []
    for column in columns:
        if column.kind == "date":
            numbers += _date_names(column)
        elif column.kind != "category":
            numbers.append(column.name)
    numbers += [each.name for each in usable_features(columns)]
    return numbers, [each.name for each in columns if each.kind == "category"]


def _date_names(column: Column) -> list[str]:
    """Return the names of what a model uses of a date; of the time only if it has one."""
    parts = ["days", "month", "weekday", "hour"]
    return [f"{column.name} ({part})" for part in parts[: 4 if column.has_time else 3]]
