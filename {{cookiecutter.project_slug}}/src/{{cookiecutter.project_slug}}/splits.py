"""Hold out test rows, and make folds: by a hash of the key, by time or by group.

Folds are made of the training rows alone. The test rows are for the chosen model.

The hash decides for each row alone, so a row that tests one model tests every later
one, however the table grows, and no model has been trained on it. That makes a new
model comparable with the served one; see `training/promotion.py`.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple
from warnings import catch_warnings

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from .config import TrainingConfig
from .utils import UserError, nearest

FEWEST_ROWS, FOLDS = 10, 5
FEWEST_HASHED = 50  # hashes of the second largest class, for a lasting split


class HoldOut(NamedTuple):
    """The positions of the rows to train on, and of those to test on.

    `is_lasting` means that test rows stay test rows when the table grows.
    """

    train: np.ndarray
    test: np.ndarray
    is_lasting: bool


def split_rows(
    rows: pd.DataFrame,
    y: np.ndarray,
    config: TrainingConfig,
    key: Sequence = (),
) -> HoldOut:
    """Hold out rows for the test: the newest, or those with the smallest hashes.

    A class that is too rare to be in both parts is trained on and not tested.
    """
    _check_options(rows, config)
    strata = _find_strata(y)
    if config.date:
        order = _count_newer(rows[config.date]) / len(rows)
        is_lasting = False
    else:
        hashes = _hash_rows(rows, key, config)
        of_rows = np.zeros_like(strata) if config.group else strata
        order, is_lasting = _order_by_hash(hashes, of_rows)

    is_test = (order < config.test_share) | (order == order.min())
    is_unknown = is_test & ~np.isin(strata, strata[~is_test])
    if config.group:  # the other rows of their groups move too
        is_unknown = is_test & np.isin(hashes, hashes[is_unknown])
    is_test = is_test & ~is_unknown

    if is_test.all() or not is_test.any():
        raise UserError(
            "the table can't be split into training and test rows: too many have the "
            "same training.date or group, or the test rows have classes of their own"
        )

    train = _repeat_lone_rows(np.flatnonzero(~is_test), strata)
    is_lasting = is_lasting and not is_unknown.any()

    return HoldOut(train, np.flatnonzero(is_test), is_lasting)


def _find_strata(y: np.ndarray) -> np.ndarray:
    """Return each row's class, of which each part has its share, or 0 for numbers."""
    return y if y.dtype.kind == "i" else np.zeros(len(y), dtype=int)


def _check_options(rows: pd.DataFrame, config: TrainingConfig) -> None:
    """Raise UserError if the table can't be split as config.yaml says."""
    date = config.date
    group = config.group
    if len(rows) < FEWEST_ROWS:
        raise UserError(
            f"{len(rows)} rows are too few to train and test a model; "
            f"it takes at least {FEWEST_ROWS}"
        )

    for name in filter(None, [date, group, *(config.slices or [])]):
        if name not in rows:
            raise UserError(
                f"config.yaml: training names {name!r}, but schema.yaml does not"
                f"{nearest(name, map(str, rows))}"
            )

    if date and group:
        raise UserError("config.yaml: training: name a date or a group, not both")
    if date and rows[date].dtype.kind != "M":
        raise UserError(
            f"config.yaml: training.date: {date!r} is not a column of dates"
        )


def _hash_rows(rows: pd.DataFrame, key: Sequence, config: TrainingConfig) -> np.ndarray:
    """Return a number from 0 to 1 for each row: of its key, or of all its values.

    Rows of one group have one number. Rows that are equal are counted, so that each has
    its own.
    """
    hash_values = partial(pd.util.hash_pandas_object, index=False)
    # Keys differ, so that making categories of them would only take longer.
    hashes = hash_values(rows[list(key or rows)], categorize=not key)
    if not hashes.is_unique:
        number = hashes.groupby(hashes, sort=False).cumcount()
        repeated = hash_values(pd.DataFrame({"hash": hashes, "number": number}))
        hashes = hashes.where(number == 0, repeated)

    if config.group:
        groups = rows[config.group]
        hashes = hashes.where(groups.isna(), hash_values(groups))

    shift = np.uint64(config.random_seed * 0x9E3779B97F4A7C15 % 2**64)

    return (hashes.to_numpy() + shift) / 2.0**64


def _count_newer(dates: pd.Series) -> np.ndarray:
    """Count the rows of later days than each row's; without a date it is the oldest."""
    days = dates.dt.normalize()
    ranks = days.rank(method="min", ascending=False, na_option="bottom")
    return ranks.to_numpy(dtype=int) - 1


def _order_by_hash(hashes: np.ndarray, strata: np.ndarray) -> tuple:
    """Return a number from 0 to 1 for each row, and whether the split is lasting.

    Rows with the smallest numbers are tested. The numbers are the hashes. With few rows
    of a class, they are the ranks of the hashes within each class, so that each class
    has its share; ranks change when the table grows.
    """
    by_stratum = pd.Series(hashes).groupby(strata)
    if np.sort(by_stratum.nunique())[-2:][0] >= FEWEST_HASHED:
        return hashes, True

    ranks = by_stratum.rank(method="dense")
    sizes = by_stratum.transform("nunique")

    return ((ranks - 0.5) / sizes).to_numpy(), False


def make_folds(rows: pd.DataFrame, y: np.ndarray, config: TrainingConfig) -> list:
    """Split the training rows into folds: by time, by group or at random.

    Returns the positions of the rows to train on, and of those to evaluate on.
    """
    strata = _find_strata(y)
    with catch_warnings(action="ignore"):  # about rare classes, and unused groups
        if config.date:
            positions = _split_by_time(rows[config.date])
        else:
            positions = _split_at_random(rows, strata, config)

        folds = [
            (_repeat_lone_rows(train, strata), test)
            for train, test in positions
            if len(np.unique(y[train])) > 1
        ]

    if not folds:
        raise UserError(
            "no fold has two classes to train on; see `training` in config.yaml"
        )

    return folds


def _split_at_random(
    rows: pd.DataFrame, strata: np.ndarray, config: TrainingConfig
) -> list:
    """Return folds of whole groups, or else of rows, each with its share of each class.

    There are fewer if groups or the rows of each class are few.
    """
    groups = _hash_rows(rows, [], config) if config.group else np.arange(len(rows))
    count = min(FOLDS, np.bincount(strata).max(), len(np.unique(groups)))
    kind = StratifiedGroupKFold if config.group else StratifiedKFold
    splitter = kind(max(2, count), shuffle=True, random_state=config.random_seed)

    return list(splitter.split(strata, strata, groups))


def _split_by_time(dates: pd.Series) -> list:
    """Return folds of consecutive days, each with all earlier rows to train on."""
    older = len(dates) - 1 - _count_newer(dates)
    part = older * (FOLDS + 1) // len(dates)

    return [
        (np.flatnonzero(part < number), np.flatnonzero(part == number))
        for number in np.unique(part)
    ]


def _repeat_lone_rows(train: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Repeat the only row of a class: some models hold out a part of each class."""
    is_alone = np.bincount(y[train])[y[train]] == 1
    return np.concatenate([train, train[is_alone]])
