"""Train a model on the processed table, evaluate it on rows it has not seen, and save it.

Examples:
    uv run train
    uv run train --model logistic
    uv run train --data data/processed/2026.parquet --model random_forest --output models/rf.onnx
"""

import argparse
import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from .columns import Column, Table, Task
from .config import Config, TrainingConfig, read_config
from .evaluation import evaluate, evaluate_baseline, format_metrics
from .feature_engineering import Features, arrays_of_frame, build_features
from .model_saving import save_model
from .schema import read_table
from .utils import UserError, command, set_up_logging

log = logging.getLogger("train")


def preprocess_for_boosting(numbers: slice, categories: slice) -> ColumnTransformer:
    """Numbers as they are, missing ones too; categories as codes."""
    return ColumnTransformer(
        [("numbers", "passthrough", numbers), ("categories", codes(), categories)]
    )


def preprocess_for_forest(numbers: slice, categories: slice) -> ColumnTransformer:
    """The median for missing numbers; categories as codes. No scaler: it would move thresholds."""
    return ColumnTransformer([("numbers", median(), numbers), ("categories", codes(), categories)])


def preprocess_for_linear(numbers: slice, categories: slice) -> ColumnTransformer:
    """The median for missing numbers, all on one scale; a 0/1 column for each category."""
    scaled = make_pipeline(median(), StandardScaler())
    one_hot = OneHotEncoder(handle_unknown="ignore", dtype=np.float32)
    return ColumnTransformer([("numbers", scaled, numbers), ("categories", one_hot, categories)])


def median() -> SimpleImputer:
    """Fill missing numbers with the column's median."""
    return SimpleImputer(strategy="median", keep_empty_features=True)


def codes() -> OrdinalEncoder:
    """Number the categories; one that was not there in training gets -1."""
    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, dtype=np.float32)


class Recipe(NamedTuple):
    """How to build a model: what is done to the features first, and the estimator's constructor."""

    preprocess: Callable[[slice, slice], ColumnTransformer]
    estimator: Callable[..., Any]


# To add a model, add a line here.
MODELS: dict[Task, dict[str, Recipe]] = {
    "classification": {
        "gradient_boosting": Recipe(preprocess_for_boosting, HistGradientBoostingClassifier),
        "random_forest": Recipe(preprocess_for_forest, partial(RandomForestClassifier, n_jobs=-1)),
        "logistic": Recipe(preprocess_for_linear, LogisticRegression),
    },
    "regression": {
        "gradient_boosting": Recipe(preprocess_for_boosting, HistGradientBoostingRegressor),
        "random_forest": Recipe(preprocess_for_forest, partial(RandomForestRegressor, n_jobs=-1)),
        "linear": Recipe(preprocess_for_linear, Ridge),
    },
}


class Split(NamedTuple):
    """The rows a model learns from, and those it is evaluated on, which it never sees."""

    train: pd.DataFrame
    test: pd.DataFrame
    train_target: NDArray[Any]
    test_target: NDArray[Any]


class Trained(NamedTuple):
    """A fitted pipeline, the labels of its classes (none in a regression), and how good it is."""

    pipeline: Pipeline
    labels: list[Any]
    split: Split
    metrics: dict[str, float]
    baseline: dict[str, float]


def train(frame: pd.DataFrame, table: Table, model: str, config: TrainingConfig) -> Trained:
    """Fit the named model on part of a processed table and evaluate it on the rest."""
    frame = frame[frame[table.target.name].notna()]
    features = build_features(arrays_of_frame(frame, table.features), table.features)
    target, labels = encode_target(frame[table.target.name], table)
    split = split_rows(as_frame(features), target, table.task, config)
    pipeline = build_pipeline(model, table.task, features, config)
    try:
        pipeline.fit(split.train, split.train_target)
    except ValueError as error:
        raise UserError(f"{model} can't be trained: {' '.join(str(error).split())}") from error
    return Trained(
        pipeline,
        labels,
        split,
        evaluate(pipeline, split.test, split.test_target, table.task),
        evaluate_baseline(split.train_target, split.test_target, table.task),
    )


def build_pipeline(model: str, task: Task, features: Features, config: TrainingConfig) -> Pipeline:
    """Build the unfitted scikit-learn pipeline of a model."""
    if model not in MODELS[task]:
        known = ", ".join(MODELS[task])
        raise UserError(f"no model {model!r} for a {task}; there are: {known}")
    recipe = MODELS[task][model]
    settings = {"random_state": config.random_seed, **config.settings.get(model, {})}
    try:
        estimator = recipe.estimator(**settings)
    except TypeError as error:
        raise UserError(f"config.yaml: training.settings.{model}: {error}") from error
    numbers, categories = features.numbers.shape[1], features.categories.shape[1]
    preprocess = recipe.preprocess(slice(0, numbers), slice(numbers, numbers + categories))
    return Pipeline([("preprocess", preprocess), ("model", estimator)])


def as_frame(features: Features) -> pd.DataFrame:
    """Put both blocks side by side in one frame, as scikit-learn's pipelines take them."""
    blocks = [pd.DataFrame(features.numbers), pd.DataFrame(features.categories, dtype=object)]
    frame = pd.concat(blocks, axis=1)
    return frame.set_axis([f"feature_{i}" for i in range(frame.shape[1])], axis=1)


def encode_target(target: pd.Series, table: Table) -> tuple[NDArray[Any], list[Any]]:
    """Return the target as numbers, of classes their position in the list of labels beside it."""
    if table.task == "regression":
        return target.to_numpy(dtype=float), []
    codes, uniques = pd.factorize(target, sort=True)
    labels = [label.item() if hasattr(label, "item") else label for label in uniques]
    if len(labels) < 2:
        raise UserError(
            f"the target {table.target.name!r} has {len(labels)} class(es) in the processed table; "
            "a model needs at least two: check `target` in config.yaml and data/rejected/"
        )
    return codes, labels


def split_rows(
    features: pd.DataFrame, target: NDArray[Any], task: Task, config: TrainingConfig
) -> Split:
    """Hold out rows for the test, of each class its share.

    A class too rare to be in both parts is learnt from, not tested on.
    """
    if len(target) < 10:
        raise UserError(f"{len(target)} rows are too few to train and test a model; 10 at least")
    rows = np.arange(len(target))
    split = partial(
        train_test_split, rows, test_size=config.test_share, random_state=config.random_seed
    )
    classes = target if task == "classification" else None
    try:
        train_rows, test_rows = split(stratify=classes)
    except ValueError:  # a class with one row, or more classes than test rows
        train_rows, test_rows = split()
    if task == "classification":
        unseen = ~np.isin(target[test_rows], target[train_rows])
        train_rows = np.concatenate([train_rows, test_rows[unseen]])
        test_rows = test_rows[~unseen]
    return Split(
        features.iloc[train_rows], features.iloc[test_rows], target[train_rows], target[test_rows]
    )


def read_processed(path: Path, columns: list[Column]) -> pd.DataFrame:
    """Read the processed table, a Parquet file or a folder of them."""
    if not path.exists():
        raise UserError(f"no processed table at {path}; run: uv run pipeline.py")
    try:
        frame = pd.read_parquet(path)
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise UserError(f"{path} is not Parquet; make it with: uv run pipeline.py") from error
    missing = [column.name for column in columns if column.name not in frame]
    if missing:
        raise UserError(f"{path} has no column {missing[0]!r}; run again: uv run pipeline.py")
    return frame


def run(data: Path, model: str, output: Path, config: Config) -> Path:
    """Train and save; return the file the model is in."""
    start = time.perf_counter()
    table = read_table(config)
    frame = read_processed(data, [*table.features, table.target])
    log.info("training %s to predict %s from %d rows", model, table.target.name, len(frame))
    trained = train(frame, table, model, config.training)
    log.info("test:     %s", format_metrics(trained.metrics))
    log.info("baseline: %s", format_metrics(trained.baseline))
    path = save_model(output, trained, table, model, data, config)
    log.info("saved %s in %.1f s", path, time.perf_counter() - start)
    return path


@command
def main() -> None:
    """Train from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = sorted({name for models in MODELS.values() for name in models})
    parser.add_argument("--data", metavar="PATH", type=Path, help="processed table, Parquet")
    parser.add_argument("--model", metavar="NAME", help=f"one of {', '.join(names)}")
    parser.add_argument("--output", metavar="PATH", type=Path, help="model file to write, .onnx")
    arguments = parser.parse_args()

    config = read_config()
    set_up_logging(config.paths.logs / "train.log")
    run(
        arguments.data or config.paths.processed,
        arguments.model or config.training.model,
        arguments.output or config.paths.model,
        config,
    )
