"""Split the rows: into those a model learns from and those that test it, and into folds.

A fold is a part of the rows that a model learns from, and another to evaluate it on. Folds are made
of the training rows alone: the test is for the model that is chosen in the end.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple
from warnings import catch_warnings

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn import model_selection

from .config import Task, TrainingConfig
from .utils import UserError

FEWEST_ROWS, FOLDS = 10, 5

Rows = NDArray[np.intp]


class Split(NamedTuple):
    """The positions of the rows a model learns from, and of those it never sees, to evaluate it."""

    train: Rows
    test: Rows


class Order(NamedTuple):
    """What must not be torn apart: the day of each row, or its group; or neither.

    Days are numbers, -inf where the date is missing; groups are whole numbers.
    """

    days: NDArray[np.float64] | None = None
    groups: Rows | None = None

    def take(self, rows: Rows) -> "Order":
        """Return the order of some of the rows."""
        days = None if self.days is None else self.days[rows]
        return Order(days, None if self.groups is None else self.groups[rows])


NO_ORDER = Order()


def read_order(frame: pd.DataFrame, config: TrainingConfig) -> Order:
    """Return the days or the groups of the rows, as config.yaml asks for them."""
    if config.date and config.group:
        raise UserError("config.yaml: training: name a date or a group, not both")
    for name in (config.date, config.group):
        if name and name not in frame:
            raise UserError(f"config.yaml: training names {name!r}, which schema.yaml does not")
    if config.date:
        if not pd.api.types.is_datetime64_any_dtype(frame[config.date]):
            raise UserError(f"config.yaml: training.date: {config.date!r} is no column of dates")
        dates = frame[config.date].to_numpy("datetime64[us]")
        days = (dates - np.datetime64("2000-01-01")) / np.timedelta64(1, "D") // 1
        return Order(days=np.where(np.isnan(days), -np.inf, days))
    if config.group:
        return Order(groups=pd.factorize(frame[config.group], use_na_sentinel=False)[0])
    return NO_ORDER


def split_rows(
    target: NDArray[Any], task: Task, config: TrainingConfig, order: Order = NO_ORDER
) -> Split:
    """Hold out rows for the test: the newest, or whole groups, or of each class its share.

    A class too rare to be in both parts is learnt from, not tested on, and so is the group of its
    rows.
    """
    if len(target) < FEWEST_ROWS:
        raise UserError(f"{len(target)} rows are too few to train and test a model; 10 at least")
    if order.days is not None:
        train, test = split_by_time(order.days, [1 - config.test_share])[0]
    elif order.groups is not None:
        train, test = split_by_group(order.groups, config)
    else:
        shares = {"test_size": config.test_share, "random_state": config.random_seed}
        classes = target if task == "classification" else None
        split = model_selection.train_test_split
        try:
            train, test = split(np.arange(len(target)), stratify=classes, **shares)
        except ValueError:  # a class with one row, or more classes than test rows
            train, test = split(np.arange(len(target)), **shares)
    if task == "classification":
        unseen = ~np.isin(target[test], target[train])
        if order.groups is not None:
            unseen = np.isin(order.groups[test], order.groups[test][unseen])
        if unseen.all():
            held_out = "the newest rows" if order.groups is None else "the groups held out"
            raise UserError(
                f"no row is left to test the model: {held_out} have classes of their own; "
                "see training.date and training.group in config.yaml"
            )
        train = repeat_alone(np.concatenate([train, test[unseen]]), target)
        test = test[~unseen]
    return Split(train, test)


def repeat_alone(rows: Rows, target: NDArray[Any]) -> Rows:
    """Return the rows, the only one of a class twice: some models hold out a part of each class."""
    alone = np.bincount(target[rows])[target[rows]] == 1
    return np.concatenate([rows, rows[alone]])


def split_by_time(days: NDArray[np.float64], shares: Sequence[float]) -> list[Split]:
    """Cut the rows, in the order of their days, where the shares say; a day stays whole.

    Each part after a cut is a test, what is before it is to learn from.
    """
    ordered = np.sort(days)
    cuts = {float(ordered[int(len(days) * share)]) for share in shares} - {ordered[0]}
    if not cuts:
        raise UserError("too many rows have the same training.date to split them by it")
    return [
        Split(np.flatnonzero(days < since), np.flatnonzero((days >= since) & (days < until)))
        for since, until in pairwise([*sorted(cuts), np.inf])
    ]


def split_by_group(groups: Rows, config: TrainingConfig) -> Split:
    """Hold out whole groups."""
    check_groups(groups)
    shares = {"test_size": config.test_share, "random_state": config.random_seed}
    splitter = model_selection.GroupShuffleSplit(1, **shares)
    return Split(*next(splitter.split(groups, groups=groups)))


def check_groups(groups: Rows) -> None:
    """Refuse to split rows of one group."""
    if len(np.unique(groups)) < 2:
        raise UserError("all rows have the same training.group; a test needs another one")


def make_folds(
    target: NDArray[Any], task: Task, config: TrainingConfig, order: Order = NO_ORDER
) -> list[Split]:
    """Split the rows into folds: by time, by group, or so that each has its share of each class."""
    how: dict[str, Any] = {"shuffle": True, "random_state": config.random_seed}
    folds: list[Any]
    if order.days is not None:
        shares = [number / (FOLDS + 1) for number in range(1, FOLDS + 1)]
        folds = split_by_time(order.days, shares)
    elif order.groups is not None:
        check_groups(order.groups)
        of_groups = model_selection.GroupKFold
        if task == "classification":
            of_groups = model_selection.StratifiedGroupKFold
        splitter = of_groups(min(FOLDS, len(np.unique(order.groups))), **how)
        folds = list(splitter.split(target, target, order.groups))
    elif task == "classification":
        folds_of_all = max(2, min(FOLDS, int(np.sort(np.bincount(target))[-2])))
        with catch_warnings(action="ignore"):  # of a class with fewer rows than there are folds
            folds = list(model_selection.StratifiedKFold(folds_of_all, **how).split(target, target))
    else:
        folds = list(model_selection.KFold(FOLDS, **how).split(target))
    if task == "regression":
        return [Split(*fold) for fold in folds]
    several = [fold for fold in folds if len(np.unique(target[fold[0]])) > 1]
    if not several:
        raise UserError("no fold has two classes to learn from; see `training` in config.yaml")
    return [Split(repeat_alone(train, target), test) for train, test in several]
