"""Hold out test rows, and make folds: by a hash of the key, by time or by group.

Folds are made of the training rows alone. The test rows are for the chosen model.

The hash decides for each row alone, so a row that tests one model tests every later
one, however the table grows, and no model has been trained on it. That makes a new
model comparable with the served one; see `promotion.py`.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple
from warnings import catch_warnings

import numpy as np
import pandas as pd
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
)

from ..config import Task, TrainingConfig
from ..utils import UserError

FEWEST_ROWS, FOLDS = 10, 5
FEWEST_HASHED = 50  # rows of the second largest class, rows, or groups

Rows = np.ndarray


class Split(NamedTuple):
    """The positions of the rows to train on, and of those to evaluate on."""

    train: Rows
    test: Rows


class HoldOut(NamedTuple):
    """The positions of the rows to train on, and of those to test on.

    `is_lasting` means that test rows stay test rows when the table grows.
    """

    train: Rows
    test: Rows
    is_lasting: bool = False


def split_rows(
    rows: pd.DataFrame,
    y: np.ndarray,
    task: Task,
    config: TrainingConfig,
    key: Sequence[str] = (),
) -> HoldOut:
    """Hold out rows for the test: the newest, or those with the smallest hashes.

    A class that is too rare to be in both parts is trained on and not tested.
    """
    if len(y) < FEWEST_ROWS:
        raise UserError(
            f"{len(y)} rows are too few to train and test a model; "
            f"it takes at least {FEWEST_ROWS}"
        )
    check_options(rows, config)
    if config.date:
        days = _days(rows[config.date])
        split = HoldOut(*_split_by_time(days, [1 - config.test_share])[0])
    else:
        split = _split_by_hash(rows, y, task, config, key)
    if task == "classification":
        return _keep_testable(split, rows, y, config)
    return split


def make_folds(
    rows: pd.DataFrame, y: np.ndarray, task: Task, config: TrainingConfig
) -> list[Split]:
    """Split the training rows into folds: by time, by group or at random."""
    shuffled: dict[str, Any] = {"shuffle": True, "random_state": config.random_seed}
    folds: list[Any]
    if config.date:
        shares = [number / (FOLDS + 1) for number in range(1, FOLDS + 1)]
        folds = _split_by_time(_days(rows[config.date]), shares)
    elif config.group:
        groups = _groups(rows[config.group])
        splitter = StratifiedGroupKFold if task == "classification" else GroupKFold
        count = min(FOLDS, len(np.unique(groups)))
        folds = list(splitter(count, **shuffled).split(y, y, groups))
    elif task == "classification":
        second_largest_class = int(np.sort(np.bincount(y))[-2])
        count = max(2, min(FOLDS, second_largest_class))
        with catch_warnings(action="ignore"):  # of classes with fewer rows than folds
            folds = list(StratifiedKFold(count, **shuffled).split(y, y))
    else:
        folds = list(KFold(FOLDS, **shuffled).split(y))

    splits = [Split(*fold) for fold in folds]
    if task == "regression":
        return splits
    trainable = [each for each in splits if len(np.unique(y[each.train])) > 1]
    if not trainable:
        raise UserError(
            "no fold has two classes to train on; see `training` in config.yaml"
        )
    return [Split(_repeat_lone_rows(each.train, y), each.test) for each in trainable]


def check_options(rows: pd.DataFrame, config: TrainingConfig) -> None:
    """Raise UserError if the table can't be split as config.yaml says."""
    if config.date and config.group:
        raise UserError("config.yaml: training: name a date or a group, not both")
    for name in (config.date, config.group):
        if name and name not in rows:
            raise UserError(
                f"config.yaml: training names {name!r}, but schema.yaml does not"
            )
    if config.date and not pd.api.types.is_datetime64_any_dtype(rows[config.date]):
        raise UserError(
            f"config.yaml: training.date: {config.date!r} is not a column of dates"
        )
    if config.group and rows[config.group].nunique() < 2:
        raise UserError(
            "all rows have the same training.group; a test needs a second one"
        )


def _days(dates: pd.Series) -> np.ndarray:
    """Return the day of each row as a number; rows without a date come first."""
    days = (dates.dt.normalize() - pd.Timestamp(0)) / pd.Timedelta(days=1)
    return days.fillna(-np.inf).to_numpy(dtype=float)


def _groups(groups: pd.Series) -> Rows:
    """Number the groups. Rows without a value are each a group of their own."""
    codes, known = pd.factorize(groups)
    is_missing = codes == -1
    codes[is_missing] = len(known) + np.arange(is_missing.sum())
    return codes


def _split_by_hash(
    rows: pd.DataFrame,
    y: np.ndarray,
    task: Task,
    config: TrainingConfig,
    key: Sequence[str],
) -> HoldOut:
    """Hold out the rows whose hash is below the test share.

    Of few rows, or few rows of a class, the share with the smallest hashes is held
    out instead; where that ends may move when the table grows.
    """
    hashes = _hash_rows(rows, key, config)
    strata, smallest = np.zeros(len(y), int), len(np.unique(hashes))
    if task == "classification" and not config.group:
        strata, smallest = y, int(np.sort(np.bincount(y))[-2])
    if smallest >= FEWEST_HASHED:
        is_test = hashes < config.test_share
        return HoldOut(np.flatnonzero(~is_test), np.flatnonzero(is_test), True)

    is_test = np.zeros(len(y), dtype=bool)
    for stratum in np.unique(strata):
        in_stratum = strata == stratum
        distinct = np.unique(hashes[in_stratum])
        count = round(config.test_share * len(distinct))
        is_test |= in_stratum & np.isin(hashes, distinct[:count])
    if not is_test.any():  # many classes of one or two rows, or two groups
        is_test = hashes == hashes.min()
    return HoldOut(np.flatnonzero(~is_test), np.flatnonzero(is_test))


def _hash_rows(
    rows: pd.DataFrame, key: Sequence[str], config: TrainingConfig
) -> np.ndarray:
    """Return a number from 0 to 1 for each row: of its key, or of all its values.

    Rows of one group have one number. Rows that are equal are counted, so that each has
    its own.
    """
    values = rows[list(key)] if key else rows
    hashes = pd.util.hash_pandas_object(values, index=False)
    if hashes.duplicated().any():
        counted = hashes.groupby(hashes).cumcount()
        pairs = pd.DataFrame({"hash": hashes, "number": counted})
        repeated = pd.util.hash_pandas_object(pairs, index=False)
        hashes = hashes.where(counted == 0, repeated)
    if config.group:
        of_group = pd.util.hash_pandas_object(rows[config.group], index=False)
        hashes = hashes.where(rows[config.group].isna(), of_group)
    shift = np.uint64(config.random_seed * 0x9E3779B97F4A7C15 % 2**64)
    return (hashes.to_numpy() + shift) / 2.0**64


def _split_by_time(days: np.ndarray, shares: Sequence[float]) -> list[Split]:
    """Cut the rows, ordered by day, where the shares say; a day stays whole.

    The rows after each cut are a test, and all rows before it are to train on.
    """
    ordered = np.sort(days)
    cuts = {float(ordered[int(len(days) * share)]) for share in shares} - {ordered[0]}
    if not cuts:
        raise UserError(
            "too many rows have the same training.date to split the table by it"
        )
    splits = []
    for since, until in pairwise([*sorted(cuts), np.inf]):
        is_test = (days >= since) & (days < until)
        splits.append(Split(np.flatnonzero(days < since), np.flatnonzero(is_test)))
    return splits


def _keep_testable(
    split: HoldOut, rows: pd.DataFrame, y: np.ndarray, config: TrainingConfig
) -> HoldOut:
    """Move test rows to the training rows if their class would be unknown there.

    With groups, the other rows of their groups move as well.
    """
    is_unknown = ~np.isin(y[split.test], y[split.train])
    if config.group:
        groups = _groups(rows[config.group])[split.test]
        is_unknown = np.isin(groups, groups[is_unknown])
    if is_unknown.all():
        raise UserError(
            "no row is left to test the model on: the test rows have classes of their "
            "own; see training.date and training.group in config.yaml"
        )
    train = np.concatenate([split.train, split.test[is_unknown]])
    test = split.test[~is_unknown]
    is_lasting = split.is_lasting and not is_unknown.any()
    return HoldOut(_repeat_lone_rows(train, y), test, bool(is_lasting))


def _repeat_lone_rows(train: Rows, y: np.ndarray) -> Rows:
    """Repeat the only row of a class: some models hold out a part of each class."""
    is_alone = np.bincount(y[train])[y[train]] == 1
    return np.concatenate([train, train[is_alone]])
