"""Train a model on the processed table, and evaluate it on rows it has not seen."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from .config import TrainingConfig
from .evaluation import evaluate, guess, predict_outputs
from .feature_engineering import build_features, learn_vocabulary, values_of_frame
from .models import build_pipeline
from .schema import Column, Table
from .splitting import Order, Split, read_order, split_rows
from .utils import UserError

FEW_ROWS = 20_000
# With so many rows, and so many for each value, what is always so is so by no chance.
ROWS_FOR_CERTAINTY, ROWS_A_VALUE = 50, 10


@dataclass(frozen=True)
class Prepared:
    """What models learn from: the rows that have a target, as numbers, and how they are split.

    `features` is the matrix of all rows, shape (rows, features); `target` their numbers, of classes
    the position in `labels`; `vocabulary` the number of each category.
    """

    table: Table
    frame: pd.DataFrame
    features: NDArray[np.float32]
    target: NDArray[Any]
    labels: list[Any]
    vocabulary: dict[str, dict[str, int]]
    order: Order
    split: Split

    @property
    def known(self) -> NDArray[np.float32]:
        """Return the features of the training rows, as a model learns from them."""
        known = round_for_thresholds(self.features[self.split.train])
        # Gradient boosting fails on a feature without a single value; a constant is as good.
        known[:, np.isnan(known).all(axis=0)] = 0
        return known


@dataclass(frozen=True)
class Trained(Prepared):
    """A fitted pipeline, its outputs on the test rows, and how good they are."""

    model: str
    pipeline: Pipeline
    outputs: NDArray[np.float64]
    metrics: dict[str, float]
    baseline: dict[str, float]


def train(frame: pd.DataFrame, table: Table, model: str, config: TrainingConfig) -> Trained:
    """Fit the named model on part of a processed table and evaluate it on the rest."""
    return fit_model(prepare(frame, table, config), model, config)


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


def fit_model(prepared: Prepared, model: str, config: TrainingConfig) -> Trained:
    """Fit the named model on the training rows and evaluate it on those of the test."""
    train, test = prepared.split
    pipeline = build_for(prepared, model, config)
    with limit_threads(len(prepared.frame)):
        try:
            pipeline.fit(prepared.known, prepared.target[train])
        except ValueError as error:
            raise UserError(f"{model} can't be trained: {' '.join(str(error).split())}") from error
        classes, actual = len(prepared.labels), prepared.target[test]
        outputs = predict_outputs(pipeline, prepared.features[test], classes)
    metrics = evaluate(actual, outputs)
    baseline = evaluate(actual, guess(prepared.target[train], len(test), classes))
    return Trained(
        **vars(prepared),
        model=model,
        pipeline=pipeline,
        outputs=outputs,
        metrics=metrics,
        baseline=baseline,
    )


def limit_threads(rows: int) -> Any:
    """Return a context with one thread where rows are few, and threads only wait for each other.

    Linear algebra has one thread always: with more, sums are added up in another order.
    """
    limits = {"blas": 1} | ({"openmp": 1} if rows < FEW_ROWS else {})
    return threadpool_limits(limits)


def build_for(prepared: Prepared, model: str, config: TrainingConfig) -> Pipeline:
    """Build the unfitted pipeline of a model for the features there are."""
    categories = len(prepared.vocabulary)
    numbers = prepared.features.shape[1] - categories
    return build_pipeline(model, prepared.table.task, numbers, categories, config)


def round_for_thresholds(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round with two bits to spare, so that every model file decides alike.

    A tree splits half way between two values. With the last two bits of each value at zero, that
    threshold is a float32 too; so scikit-learn, which compares with it in float64, and ONNX, which
    does in float32, send every row the same way. What is lost is a three-millionth of the value.
    """
    return ((features.view(np.uint32) + 2) & 0xFFFFFFFC).view(np.float32)


def encode_target(target: pd.Series, table: Table) -> tuple[NDArray[Any], list[Any]]:
    """Return the target as numbers, of classes their position in the list of labels beside it."""
    if table.task == "regression":
        return target.to_numpy(dtype=float), []
    codes, labels = pd.factorize(target, sort=True)
    if len(labels) < 2:
        raise UserError(
            f"the target {table.target.name!r} has {len(labels)} class(es) in the processed table; "
            "a model needs at least two: check `target` in config.yaml and data/rejected/"
        )
    return codes, labels.tolist()


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
        raise UserError(f"the feature {column.name!r} {leak}; add it to `exclude` in config.yaml")


def names_rows(values: pd.Series, column: Column) -> bool:
    """Whether a column has another text in each row, or numbers the rows without a gap."""
    if column.kind not in ("category", "integer") or values.hasnans or not values.is_unique:
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


def tells_number(values: pd.Series, target: NDArray[Any], column: Column, table: Table) -> bool:
    """Whether a number is the target in another unit: in the order of one the other is sorted."""
    known = values.notna().to_numpy()
    if table.task != "regression" or column.kind not in ("number", "integer") or known.sum() < 2:
        return False
    numbers = values[known].to_numpy(float)
    order = np.argsort(numbers)
    steps, changes = np.diff(numbers[order]) > 0, np.diff(target[known][order])
    up, down = (np.array_equal(steps, changes > 0), np.array_equal(steps, changes < 0))
    return np.count_nonzero(steps) > ROWS_A_VALUE and (up or down)
