"""Find columns that give the target away, before a model relies on them."""

import numpy as np
import pandas as pd

from ..schema import Column, Table
from ..utils import UserError

# With so many rows, and so many for each value, what always holds is no coincidence.
FEWEST_ROWS, ROWS_PER_VALUE = 50, 10


def check_leaks(rows: pd.DataFrame, y: np.ndarray, table: Table) -> None:
    """Refuse features that number the rows or determine the target by themselves.

    Such a feature is not known yet when a prediction is needed, or no model is needed.
    """
    if len(rows) < FEWEST_ROWS:
        return
    leaks = {}
    for column in table.features:
        if leak := find_leak(rows[column.name], y, column, table):
            leaks[column.name] = leak
    if leaks:
        described = "; ".join(f"{name!r} {leak}" for name, leak in leaks.items())
        raise UserError(
            f"target leakage: {described}; add to `exclude` in config.yaml: "
            + ", ".join(leaks)
        )


def find_leak(values: pd.Series, y: np.ndarray, column: Column, table: Table) -> str:
    """Return what is wrong with a feature, or nothing."""
    if _identifies_rows(values, column):
        return "has another value in each row, as a key has"
    if table.task == "classification" and _determines_class(values, y):
        return "determines the target: the rows of each of its values have one class"
    if table.task == "regression" and _determines_number(values, y, column):
        return "determines the target: one grows with the other, without exception"
    return ""


def _identifies_rows(values: pd.Series, column: Column) -> bool:
    """Whether each row has another text, or the next number without a gap."""
    if values.hasnans or not values.is_unique:
        return False
    if column.kind == "integer":
        return values.max() - values.min() == len(values) - 1
    return column.kind == "category"


def _determines_class(values: pd.Series, y: np.ndarray) -> bool:
    """Whether the rows of each value, missing ones too, have one class."""
    codes, distinct = pd.factorize(values, use_na_sentinel=False)
    classes = pd.Series(y).groupby(codes).nunique()
    return len(distinct) * ROWS_PER_VALUE <= len(values) and classes.max() == 1


def _determines_number(values: pd.Series, y: np.ndarray, column: Column) -> bool:
    """Whether a number is the target in another unit: one is ranked as the other is."""
    if column.kind not in ("number", "integer"):
        return False
    numbers = values.to_numpy(float, na_value=np.nan)
    both = pd.DataFrame({"values": numbers, "target": y})
    correlation = both.corr("spearman").to_numpy()[0, 1]
    return values.nunique() > ROWS_PER_VALUE and bool(abs(correlation) > 1 - 1e-9)
