"""Hold out test rows, and make folds: at random, by time or by group.

Folds are made of the training rows alone. The test rows are for the chosen model.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple
from warnings import catch_warnings

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    train_test_split,
)

from ..config import Task, TrainingConfig
from ..utils import UserError

FEWEST_ROWS, FOLDS = 10, 5

Rows = NDArray[np.intp]


class Split(NamedTuple):
    """The positions of the rows to train on, and of those to test on."""

    train: Rows
    test: Rows


def split_rows(
    rows: pd.DataFrame, y: NDArray[Any], task: Task, config: TrainingConfig
) -> Split:
    """Hold out rows for the test: the newest, whole groups, or a share of each class.

    A class that is too rare to be in both parts is trained on and not tested.
    """
    if len(y) < FEWEST_ROWS:
        raise UserError(
            f"{len(y)} rows are too few to train and test a model; "
            f"it takes at least {FEWEST_ROWS}"
        )
    check_options(rows, config)
    if config.date:
        split = _split_by_time(_days(rows[config.date]), [1 - config.test_share])[0]
    elif config.group:
        split = _split_by_group(_groups(rows[config.group]), config)
    else:
        split = _split_at_random(y, task, config)
    if task == "classification":
        return _keep_testable(split, rows, y, config)
    return split


def make_folds(
    rows: pd.DataFrame, y: NDArray[Any], task: Task, config: TrainingConfig
) -> list[Split]:
    """Split the training rows into folds, in the same way as the test rows."""
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

    if task == "regression":
        return [Split(*fold) for fold in folds]
    trainable = [fold for fold in folds if len(np.unique(y[fold[0]])) > 1]
    if not trainable:
        raise UserError(
            "no fold has two classes to train on; see `training` in config.yaml"
        )
    return [Split(_repeat_lone_rows(train, y), test) for train, test in trainable]


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


def _days(dates: pd.Series) -> NDArray[np.float64]:
    """Return the day of each row as a number; rows without a date come first."""
    days = (dates.dt.normalize() - pd.Timestamp(0)) / pd.Timedelta(days=1)
    return days.fillna(-np.inf).to_numpy(dtype=float)


def _groups(groups: pd.Series) -> Rows:
    """Number the groups. Rows without a value are each a group of their own."""
    codes, known = pd.factorize(groups)
    is_missing = codes == -1
    codes[is_missing] = len(known) + np.arange(is_missing.sum())
    return codes


def _split_at_random(y: NDArray[Any], task: Task, config: TrainingConfig) -> Split:
    """Hold out a share of the rows, of each class the same share if possible."""
    positions = np.arange(len(y))
    how = {"test_size": config.test_share, "random_state": config.random_seed}
    if task == "classification":
        try:
            return Split(*train_test_split(positions, stratify=y, **how))
        except ValueError:  # a class with one row, or more classes than test rows
            pass
    return Split(*train_test_split(positions, **how))


def _split_by_group(groups: Rows, config: TrainingConfig) -> Split:
    """Hold out whole groups."""
    splitter = GroupShuffleSplit(
        n_splits=1, test_size=config.test_share, random_state=config.random_seed
    )
    return Split(*next(splitter.split(groups, groups=groups)))


def _split_by_time(days: NDArray[np.float64], shares: Sequence[float]) -> list[Split]:
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
    split: Split, rows: pd.DataFrame, y: NDArray[Any], config: TrainingConfig
) -> Split:
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
    return Split(_repeat_lone_rows(train, y), split.test[~is_unknown])


def _repeat_lone_rows(train: Rows, y: NDArray[Any]) -> Rows:
    """Repeat the only row of a class: some models hold out a part of each class."""
    is_alone = np.bincount(y[train])[y[train]] == 1
    return np.concatenate([train, train[is_alone]])
