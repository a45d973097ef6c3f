"""The models, and how one is fitted to the training rows and evaluated on those of the test.

To add a model, add an entry to `MODELS`: one line says all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import loguniform, randint
from sklearn import ensemble, linear_model
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from .config import Task, TrainingConfig
from .evaluation import evaluate, guess, predict_outputs
from .schema import Table
from .utils import UserError, nearest

FEW_ROWS = 20_000

MEDIAN = SimpleImputer(strategy="median", keep_empty_features=True)
ONE_HOT = OneHotEncoder(handle_unknown="ignore", dtype=np.float32)


class Recipe(NamedTuple):
    """How to build a model: what is done to numbers and to categories, and the constructor.

    Categories come as whole numbers, see `build_features`. `space` has the settings that
    `uv run train --tune` tries, each a list or a distribution of SciPy.
    """

    numbers: Any
    categories: Any
    estimator: Callable[..., Any]
    space: Mapping[str, Any] = {}


# Boosting takes missing numbers as they are; trees get no scaler, which would move thresholds.
BOOSTING = partial(Recipe, "passthrough", "passthrough")
FOREST = partial(Recipe, MEDIAN, "passthrough")
LINEAR = partial(Recipe, make_pipeline(MEDIAN, StandardScaler()), ONE_HOT)

IN_BOOSTING = {
    "learning_rate": loguniform(0.03, 0.3),
    "max_iter": randint(50, 400),
    "max_leaf_nodes": randint(4, 64),
    "min_samples_leaf": randint(5, 100),
    "l2_regularization": loguniform(0.001, 10),
}
IN_FOREST = {"max_features": loguniform(0.1, 1), "min_samples_leaf": randint(1, 50)}

# From the simplest to the most complex: of two that are as good as each other the first wins.
MODELS: dict[Task, dict[str, Recipe]] = {
    "classification": {
        "logistic": LINEAR(
            linear_model.LogisticRegression, {"C": loguniform(0.001, 100)}
        ),
        "random_forest": FOREST(
            partial(ensemble.RandomForestClassifier, n_jobs=-1), IN_FOREST
        ),
        "gradient_boosting": BOOSTING(
            ensemble.HistGradientBoostingClassifier, IN_BOOSTING
        ),
    },
    "regression": {
        "linear": LINEAR(linear_model.Ridge, {"alpha": loguniform(0.001, 1000)}),
        "random_forest": FOREST(
            partial(ensemble.RandomForestRegressor, n_jobs=-1), IN_FOREST
        ),
        "gradient_boosting": BOOSTING(
            ensemble.HistGradientBoostingRegressor, IN_BOOSTING
        ),
    },
}


def find_recipe(model: str, task: Task) -> Recipe:
    """Return the recipe of a model."""
    if model not in MODELS[task]:
        known = ", ".join(MODELS[task])
        raise UserError(
            f"no model {model!r} for a {task}{nearest(model, MODELS[task])}; there are: {known}"
        )
    return MODELS[task][model]


def build_pipeline(
    model: str, task: Task, numbers: int, categories: int, config: TrainingConfig
) -> Pipeline:
    """Build the unfitted scikit-learn pipeline of a model for so many features of each sort."""
    recipe = find_recipe(model, task)
    settings = {"random_state": config.random_seed, **config.settings.get(model, {})}
    try:
        estimator = recipe.estimator(**settings)
    except TypeError as error:
        raise UserError(
            f"training.settings.{model} in config.yaml, or --set: {error}"
        ) from error
    blocks = [("numbers", recipe.numbers, slice(0, numbers))] if numbers else []
    rest = slice(numbers, numbers + categories)
    blocks += [("categories", recipe.categories, rest)] if categories else []
    # A step that does nothing would be done with each request all the same.
    changes = any(step != "passthrough" for _, step, _ in blocks)
    preprocess = [("preprocess", ColumnTransformer(blocks))] if changes else []
    return Pipeline([*preprocess, ("model", estimator)])


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
        return round_for_thresholds(take_known(self.features, self.split.train))


@dataclass(frozen=True)
class Trained(Prepared):
    """A fitted pipeline, its outputs on the test rows, and how good they are."""

    model: str
    pipeline: Pipeline
    outputs: NDArray[np.float64]
    metrics: dict[str, float]
    baseline: dict[str, float]


def fit_model(prepared: Prepared, model: str, config: TrainingConfig) -> Trained:
    """Fit the named model on the training rows and evaluate it on those of the test."""
    train, test = prepared.split
    pipeline = build_for(prepared, model, config)
    with limit_threads(len(prepared.frame)):
        try:
            pipeline.fit(prepared.known, prepared.target[train])
        except ValueError as error:
            raise UserError(
                f"{model} can't be trained: {' '.join(str(error).split())}"
            ) from error
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


def take_known(features: NDArray[np.float32], rows: Rows) -> NDArray[np.float32]:
    """Return the rows to learn from.

    Gradient boosting fails on a feature without a single value; a constant is as good.
    """
    known = features[rows]
    known[:, np.isnan(known).all(axis=0)] = 0
    return known


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
