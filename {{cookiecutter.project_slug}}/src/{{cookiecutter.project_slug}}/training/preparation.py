"""Prepare the rows for a model: make features, hold out a test, make folds, refuse leaks.

A fold is a part of the rows that a model learns from, and another to evaluate it on. Folds are made
of the training rows alone: the test is for the model that is chosen in the end.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from warnings import catch_warnings

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn import model_selection

from ..config import Task, TrainingConfig
from ..feature_engineering import (
    build_features,
    learn_vocabulary,
    values_of_frame,
)
from ..model_training import (
    Order,
    Prepared,
    Rows,
    Split,
    encode_target,
)
from ..schema import Column, Table
from ..utils import UserError

FEWEST_ROWS, FOLDS = 10, 5
# With so many rows, and so many for each value, what is always so is so by no chance.
ROWS_FOR_CERTAINTY, ROWS_A_VALUE = 50, 10
NO_ORDER = Order()


def prepare(frame: pd.DataFrame, table: Table, config: TrainingConfig) -> Prepared:
    """Make features of the rows that have a target, and split them; refuse leaks."""
    frame = frame[frame[table.target.name].notna()]
    target, labels = encode_target(frame[table.target.name], table)
    order = read_order(frame, config)
    split = split_rows(target, table.task, config, order)
    check_leaks(frame, target, table)
    values = values_of_frame(frame, table.features)
    seen = {name: each[split.train] for name, each in values.items()}
    vocabulary = learn_vocabulary(seen, table.features)
    features = build_features(values, table.features, vocabulary)
    return Prepared(table, frame, features, target, labels, vocabulary, order, split)


def read_order(frame: pd.DataFrame, config: TrainingConfig) -> Order:
    """Return the days or the groups of the rows, as config.yaml asks for them."""
    if config.date and config.group:
        raise UserError("config.yaml: training: name a date or a group, not both")
    for name in (config.date, config.group):
        if name and name not in frame:
            raise UserError(
                f"config.yaml: training names {name!r}, which schema.yaml does not"
            )
    if config.date:
        if not pd.api.types.is_datetime64_any_dtype(frame[config.date]):
            raise UserError(
                f"config.yaml: training.date: {config.date!r} is no column of dates"
            )
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
        raise UserError(
            f"{len(target)} rows are too few to train and test a model; 10 at least"
        )
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
            held_out = (
                "the newest rows" if order.groups is None else "the groups held out"
            )
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
        Split(
            np.flatnonzero(days < since),
            np.flatnonzero((days >= since) & (days < until)),
        )
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
        raise UserError(
            "all rows have the same training.group; a test needs another one"
        )


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
        with catch_warnings(
            action="ignore"
        ):  # of a class with fewer rows than there are folds
            folds = list(
                model_selection.StratifiedKFold(folds_of_all, **how).split(
                    target, target
                )
            )
    else:
        folds = list(model_selection.KFold(FOLDS, **how).split(target))
    if task == "regression":
        return [Split(*fold) for fold in folds]
    several = [fold for fold in folds if len(np.unique(target[fold[0]])) > 1]
    if not several:
        raise UserError(
            "no fold has two classes to learn from; see `training` in config.yaml"
        )
    return [Split(repeat_alone(train, target), test) for train, test in several]


def check_leaks(frame: pd.DataFrame, target: NDArray[Any], table: Table) -> None:
    """Refuse a feature that names the rows, or that tells the target by itself.

    Such a feature is not known yet when a prediction is asked for, or no model is needed.
    """
    if len(frame) < ROWS_FOR_CERTAINTY:
        return
    for column in table.features:
        if names_rows(frame[column.name], column):
            leak = "has another value in each row, as a key has"
        elif tells_classes(frame[column.name], target, table):
            leak = "tells the target by itself: the rows of each of its values have one class"
        elif tells_number(frame[column.name], target, column, table):
            leak = "tells the target by itself: one grows with the other, without exception"
        else:
            continue
        raise UserError(
            f"the feature {column.name!r} {leak}; add it to `exclude` in config.yaml"
        )


def names_rows(values: pd.Series, column: Column) -> bool:
    """Whether a column has another text in each row, or numbers the rows without a gap."""
    if (
        column.kind not in ("category", "integer")
        or values.hasnans
        or not values.is_unique
    ):
        return False
    return column.kind == "category" or values.max() - values.min() == len(values) - 1


def tells_classes(values: pd.Series, target: NDArray[Any], table: Table) -> bool:
    """Whether the rows of each value, missing ones too, are of one class; not by being few."""
    codes, found = pd.factorize(values, use_na_sentinel=False)
    if table.task == "regression" or len(found) * ROWS_A_VALUE > len(values):
        return False
    classes = target.max() + 1
    rows = np.bincount(codes * classes + target, minlength=len(found) * classes)
    return bool((np.count_nonzero(rows.reshape(-1, classes), axis=1) == 1).all())


def tells_number(
    values: pd.Series, target: NDArray[Any], column: Column, table: Table
) -> bool:
    """Whether a number is the target in another unit: in the order of one the other is sorted."""
    known = values.notna().to_numpy()
    if (
        table.task != "regression"
        or column.kind not in ("number", "integer")
        or known.sum() < 2
    ):
        return False
    numbers = values[known].to_numpy(float)
    order = np.argsort(numbers)
    steps, changes = np.diff(numbers[order]) > 0, np.diff(target[known][order])
    up, down = (np.array_equal(steps, changes > 0), np.array_equal(steps, changes < 0))
    return bool(np.count_nonzero(steps) > ROWS_A_VALUE) and (up or down)
