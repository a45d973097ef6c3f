"""Find columns that give the target away, before a model relies on them."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from ..schema import Column, Table
from ..utils import UserError

# With this many rows, and this many for each value, a rule without exception is no
# coincidence.
FEWEST_ROWS, ROWS_PER_VALUE = 50, 10
FIRST_ROWS = 10_000  # enough to rule out a leak for most features


def check_leaks(rows: pd.DataFrame, y: np.ndarray, table: Table) -> None:
    """Refuse features that number the rows or determine the target by themselves.

    Such a feature is not known yet when a prediction is needed, or no model is needed.
    """
    leaks = {}
    for column in table.features:
        if leak := find_leak(rows[column.name], y, column, table):
            leaks[column.name] = f"{column.name!r} {leak}"

    if leaks:
        raise UserError(
            f"target leakage: {'; '.join(leaks.values())}; add to `exclude` in "
            f"config.yaml: {', '.join(leaks)}"
        )


def find_separators(rows: pd.DataFrame, y: np.ndarray, table: Table) -> list[str]:
    """Return the numbers that tell all classes apart by themselves, as limits do.

    That may be the truth, so they are not refused.
    """
    if table.task == "regression":
        return []

    groups = rows[table.numbers].astype(float).groupby(y)
    low, high = np.sort(groups.min(), axis=0), np.sort(groups.max(), axis=0)
    is_apart = np.all(low[1:] > high[:-1], axis=0)
    is_frequent = groups.count().min() >= ROWS_PER_VALUE

    return is_frequent.index[is_frequent & is_apart].tolist()


def find_leak(values: pd.Series, y: np.ndarray, column: Column, table: Table) -> str:
    """Return what is wrong with a feature, or an empty text.

    Tables of fewer than `FEWEST_ROWS` rows are not checked.
    """
    if len(values) < FEWEST_ROWS:
        return ""

    is_number = column.kind in ("number", "integer")
    if values.notna().all() and values.is_unique:
        has_no_gap = is_number and values.max() - values.min() == len(values) - 1
        if column.kind == "category" or (column.kind == "integer" and has_no_gap):
            return "has a distinct value in each row, like a key"

    if table.task == "classification":
        for known in (values, values.isna()):  # a value may be known for one class only
            is_decided = _holds(_has_one_class, known, y)
            if is_decided and known.nunique(dropna=False) * ROWS_PER_VALUE <= len(y):
                return "determines the target: rows with the same value have one class"
    elif (
        is_number
        and _holds(_is_monotonic, values, y)
        and values.nunique() > ROWS_PER_VALUE
    ):
        return "determines the target: it is a monotonic function of the target"

    return ""


def _holds(condition: Callable, values: pd.Series, y: np.ndarray) -> bool:
    """Whether a condition holds for all rows. If not, most often the first show it."""
    return condition(values[:FIRST_ROWS], y[:FIRST_ROWS]) and condition(values, y)


def _has_one_class(values: pd.Series, y: np.ndarray) -> bool:
    """Whether rows with the same value have one class."""
    codes, _ = pd.factorize(values, use_na_sentinel=False)
    return pd.Series(y).groupby(codes).nunique().max() == 1


def _is_monotonic(values: pd.Series, y: np.ndarray) -> bool:
    """Whether the target is a monotonic function of the values, or constant."""
    pairs = pd.DataFrame({"x": values.astype(float), "y": y})
    return not abs(pairs.corr("spearman").to_numpy()[0, 1]) <= 1 - 1e-9
