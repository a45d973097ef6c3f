"""Train a model on the processed table, evaluate it on rows it has not seen, and save it.

Examples:
    uv run train
    uv run train --model logistic
    uv run train --data data/processed/2026.parquet --model random_forest --output models/rf.onnx
"""

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
from sklearn import ensemble, linear_model
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from .config import Config, Task, TrainingConfig, read_config
from .evaluation import evaluate, evaluate_baseline, format_metrics
from .feature_engineering import build_features, learn_vocabulary, values_of_frame
from .model_saving import save_model, typical_row
from .schema import Column, Table, read_table
from .utils import UserError, command, command_line, set_up_logging

log = logging.getLogger("train")
FEW_ROWS = 20_000

MEDIAN = SimpleImputer(strategy="median", keep_empty_features=True)
ONE_HOT = OneHotEncoder(handle_unknown="ignore", dtype=np.float32)


class Recipe(NamedTuple):
    """How to build a model: what is done to numbers and to categories, and the constructor.

    Categories come as whole numbers, see `build_features`.
    """

    numbers: Any
    categories: Any
    estimator: Callable[..., Any]


# Boosting takes missing numbers as they are; trees get no scaler, which would move thresholds.
BOOSTING = partial(Recipe, "passthrough", "passthrough")
FOREST = partial(Recipe, MEDIAN, "passthrough")
LINEAR = partial(Recipe, make_pipeline(MEDIAN, StandardScaler()), ONE_HOT)

# To add a model, add a line here.
MODELS: dict[Task, dict[str, Recipe]] = {
    "classification": {
        "gradient_boosting": BOOSTING(ensemble.HistGradientBoostingClassifier),
        "random_forest": FOREST(partial(ensemble.RandomForestClassifier, n_jobs=-1)),
        "logistic": LINEAR(linear_model.LogisticRegression),
    },
    "regression": {
        "gradient_boosting": BOOSTING(ensemble.HistGradientBoostingRegressor),
        "random_forest": FOREST(partial(ensemble.RandomForestRegressor, n_jobs=-1)),
        "linear": LINEAR(linear_model.Ridge),
    },
}


class Split(NamedTuple):
    """The positions of the rows a model learns from, and of those it never sees, to evaluate it."""

    train: NDArray[np.intp]
    test: NDArray[np.intp]


class Trained(NamedTuple):
    """A fitted pipeline, the labels of its classes (none in a regression), and how good it is.

    `features` is the matrix of all rows that have a target, `example` a typical row.
    """

    model: str
    table: Table
    pipeline: Pipeline
    labels: list[Any]
    vocabulary: dict[str, dict[str, int]]
    features: NDArray[np.float32]
    split: Split
    metrics: dict[str, float]
    baseline: dict[str, float]
    example: dict[str, Any]


def train(frame: pd.DataFrame, table: Table, model: str, config: TrainingConfig) -> Trained:
    """Fit the named model on part of a processed table and evaluate it on the rest."""
    frame = frame[frame[table.target.name].notna()]
    values = values_of_frame(frame, table.features)
    target, labels = encode_target(frame[table.target.name], table)
    split = split_rows(target, table.task, config)
    seen = {name: each[split.train] for name, each in values.items()}
    vocabulary = learn_vocabulary(seen, table.features)
    features = build_features(values, table.features, vocabulary)
    categories = len(vocabulary)
    numbers = features.shape[1] - categories
    pipeline = build_pipeline(model, table.task, numbers, categories, config)
    known, new = round_for_thresholds(features[split.train]), features[split.test]
    # Gradient boosting fails on a feature without a single value; a constant is as good as none.
    known[:, np.isnan(known).all(axis=0)] = 0
    # With few rows threads only wait for each other, for long where other programs run as well.
    with threadpool_limits(1 if len(frame) < FEW_ROWS else None, "openmp"):
        try:
            pipeline.fit(known, target[split.train])
        except ValueError as error:
            raise UserError(f"{model} can't be trained: {' '.join(str(error).split())}") from error
        metrics = evaluate(pipeline, new, target[split.test], table.task)
    baseline = evaluate_baseline(target[split.train], target[split.test], table.task)
    example = typical_row(frame.iloc[split.train], table.features)
    return Trained(
        model, table, pipeline, labels, vocabulary, features, split, metrics, baseline, example
    )


def round_for_thresholds(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round with two bits to spare, so that every model file decides alike.

    A tree splits half way between two values. With the last two bits of each value at zero, that
    threshold is a float32 too; so scikit-learn, which compares with it in float64, and ONNX, which
    does in float32, send every row the same way. What is lost is a three-millionth of the value.
    """
    return ((features.view(np.uint32) + 2) & 0xFFFFFFFC).view(np.float32)


def build_pipeline(
    model: str, task: Task, numbers: int, categories: int, config: TrainingConfig
) -> Pipeline:
    """Build the unfitted scikit-learn pipeline of a model for so many features of each sort."""
    if model not in MODELS[task]:
        known = ", ".join(MODELS[task])
        raise UserError(f"no model {model!r} for a {task}; there are: {known}")
    recipe = MODELS[task][model]
    settings = {"random_state": config.random_seed, **config.settings.get(model, {})}
    try:
        estimator = recipe.estimator(**settings)
    except TypeError as error:
        raise UserError(f"config.yaml: training.settings.{model}: {error}") from error
    blocks = [("numbers", recipe.numbers, slice(0, numbers))] if numbers else []
    rest = slice(numbers, numbers + categories)
    blocks += [("categories", recipe.categories, rest)] if categories else []
    # A step that does nothing would be done with each request all the same.
    changes = any(step != "passthrough" for _, step, _ in blocks)
    preprocess = [("preprocess", ColumnTransformer(blocks))] if changes else []
    return Pipeline([*preprocess, ("model", estimator)])


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


def split_rows(target: NDArray[Any], task: Task, config: TrainingConfig) -> Split:
    """Hold out rows for the test, of each class its share.

    A class too rare to be in both parts is learnt from, not tested on. The only row of a class is
    learnt from twice, because some models hold out a part of each class themselves.
    """
    if len(target) < 10:
        raise UserError(f"{len(target)} rows are too few to train and test a model; 10 at least")
    shares = {"test_size": config.test_share, "random_state": config.random_seed}
    classes = target if task == "classification" else None
    try:
        train, test = train_test_split(np.arange(len(target)), stratify=classes, **shares)
    except ValueError:  # a class with one row, or more classes than test rows
        train, test = train_test_split(np.arange(len(target)), **shares)
    if task == "classification":
        unseen = ~np.isin(target[test], target[train])
        train, test = np.concatenate([train, test[unseen]]), test[~unseen]
        alone = np.bincount(target[train])[target[train]] == 1
        train = np.concatenate([train, train[alone]])
    return Split(train, test)


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


def run(data: Path, model: str, output: Path, config: Config) -> None:
    """Train, evaluate and save."""
    start = time.perf_counter()
    table = read_table(config)
    frame = read_processed(data, [*table.features, table.target])
    log.info("training %s to predict %s from %d rows", model, table.target.name, len(frame))
    trained = train(frame, table, model, config.training)
    log.info("test:     %s", format_metrics(trained.metrics))
    log.info("baseline: %s", format_metrics(trained.baseline))
    save_model(output, trained, data, config)
    log.info("saved %s in %.1f s", output, time.perf_counter() - start)


@command
def main() -> None:
    """Train from the command line."""
    names = sorted({name for models in MODELS.values() for name in models})
    parser = command_line(__doc__)
    parser.add_argument("--data", metavar="PATH", type=Path, help="processed table, Parquet")
    parser.add_argument("--model", metavar="NAME", help=f"one of {', '.join(names)}")
    parser.add_argument("--output", metavar="PATH", type=Path, help="model file to write, .onnx")
    options = parser.parse_args()

    config = read_config()
    set_up_logging(config.paths.logs / "train.log")
    data, output = options.data or config.paths.processed, options.output or config.paths.model
    run(data, options.model or config.training.model, output, config)
