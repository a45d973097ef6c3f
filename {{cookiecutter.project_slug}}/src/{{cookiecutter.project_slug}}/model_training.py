"""The models, and how one of them is fitted.

To add a model, add a line to `MODELS`: how its features are prepared, and the
estimator. Everything that is learned from the table, such as the median that fills
missing values, is a step of the model's pipeline. It is fitted on the training rows
only, saved with the model, and applied by the service.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import loguniform, randint
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from .config import Task, TrainingConfig
from .feature_engineering import features_of_table, is_category
from .schema import Table
from .splits import HoldOut, make_folds, split_rows
from .utils import UserError, nearest

FEWEST_VALUES = 10  # a number with fewer known values is not used
LARGEST_RATIO_TO_SPREAD = 100  # |mean| / standard deviation; above it, see _find_offset

# --- The models ----------------------------------------------------------------------


fill_gaps = SimpleImputer(strategy="median", keep_empty_features=True)
scale = StandardScaler()
one_hot = OneHotEncoder(handle_unknown="ignore")
number_categories = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)

# How numbers and categories are prepared. Trees need no scaling, and gradient boosting
# handles missing numbers itself.
for_linear_models = (make_pipeline(fill_gaps, scale), one_hot)
for_forests = (fill_gaps, number_categories)
for_boosting = ("passthrough", number_categories)

# From the simplest to the most complex: among models that tie, the first one wins.
MODELS: dict[Task, dict[str, tuple]] = {
    "classification": {
        "logistic": (for_linear_models, LogisticRegression()),
        "random_forest": (for_forests, RandomForestClassifier(n_jobs=-1)),
        "gradient_boosting": (for_boosting, HistGradientBoostingClassifier()),
    },
    "regression": {
        "linear": (for_linear_models, Ridge()),
        "random_forest": (for_forests, RandomForestRegressor(n_jobs=-1)),
        "gradient_boosting": (for_boosting, HistGradientBoostingRegressor()),
    },
}

# The settings that `uv run train --tune` draws from: lists, or distributions of SciPy.
SEARCH_SPACES: dict[str, dict] = {
    "logistic": {"C": loguniform(0.001, 100)},
    "linear": {"alpha": loguniform(0.001, 1000)},
    "random_forest": {
        "max_features": loguniform(0.1, 1),
        "min_samples_leaf": randint(1, 50),
    },
    "gradient_boosting": {
        "learning_rate": loguniform(0.03, 0.3),
        "max_iter": randint(50, 400),
        "max_leaf_nodes": randint(4, 64),
        "min_samples_leaf": randint(5, 100),
        "l2_regularization": loguniform(0.001, 10),
    },
}


def build_pipeline(
    model: str, task: Task, X: pd.DataFrame, config: TrainingConfig
) -> Pipeline:
    """Return the unfitted pipeline of a model for the features in X.

    X has numbers, and categories as text, in any order. Numbers that are nearly always
    missing are not used: a fold may have none of their values. The settings of the
    model in config.yaml go to its estimator.
    """
    (for_numbers, for_categories), estimator = find_model(model, task)
    estimator = clone(estimator)
    settings = config.settings.get(model, {})
    if "random_state" in estimator.get_params():
        settings = {"random_state": config.random_seed, **settings}

    try:
        estimator.set_params(**settings)
    except ValueError as error:
        raise UserError(
            f"training.settings.{model} in config.yaml, or --set: {error}"
        ) from error

    is_text = is_category(X)
    is_number = ~is_text & (X.count() >= FEWEST_VALUES).to_numpy()
    prepare = make_column_transformer(
        (for_numbers, np.flatnonzero(is_number).tolist()),
        (for_categories, np.flatnonzero(is_text).tolist()),
    )

    return Pipeline([("prepare", prepare), ("model", estimator)])


def find_model(model: str, task: Task) -> tuple:
    """Return how a model's features are prepared, and its estimator.

    Raises UserError if there is no such model for the task.
    """
    models = MODELS[task]
    if model not in models:
        raise UserError(
            f"no model {model!r} for a {task}{nearest(model, models)}; "
            f"there are: {', '.join(models)}"
        )

    return models[model]


# --- Training and test rows ----------------------------------------------------------


@dataclass(frozen=True)
class Dataset:
    """The rows that have a target: their features and targets, and how they are split.

    `X` holds the features, one row each; `y` numbers or, in a classification, the
    positions of the classes in `labels`. `rows` is the clean table they come from.

    A model is fitted to `y - offset`. The offset is 0 unless the numbers are large
    beside their spread: the model file computes in float32, which blurs them.
    """

    table: Table
    rows: pd.DataFrame
    X: pd.DataFrame
    y: np.ndarray
    labels: list
    split: HoldOut
    offset: float = 0

    @property
    def X_train(self) -> pd.DataFrame:
        """The features of the training rows."""
        return self.X.iloc[self.split.train]

    @property
    def y_train(self) -> np.ndarray:
        """The targets of the training rows."""
        return self.y[self.split.train]

    @property
    def X_test(self) -> pd.DataFrame:
        """The features of the test rows."""
        return self.X.iloc[self.split.test]

    @property
    def y_test(self) -> np.ndarray:
        """The targets of the test rows."""
        return self.y[self.split.test]


def make_dataset(frame: pd.DataFrame, table: Table, config: TrainingConfig) -> Dataset:
    """Compute the features of a clean table, and hold out the test rows.

    Rows without a target are left out. Raises UserError if config.yaml asks for what
    the target does not allow.
    """
    rows = frame.dropna(subset=[table.target.name])
    target = rows[table.target.name]
    X = features_of_table(rows, table.features)
    labels: list = []
    if table.task == "classification":
        y, labels = encode_classes(target, config.positive)
    else:
        y = target.to_numpy(dtype=float)

    if config.threshold and len(labels) != 2:
        raise UserError("config.yaml: training.threshold needs a target of two classes")

    split = split_rows(rows, y, config, table.key)
    offset = 0 if labels else _find_offset(y[split.train])

    return Dataset(table, rows, X, y, labels, split, offset)


def encode_classes(target: pd.Series, positive: Any = None) -> tuple:
    """Return the classes as positions in a list of labels, and that list.

    The labels are sorted, except that the positive one of two classes comes second: the
    class that config.yaml names, or else the rarer one.
    """
    y, classes = pd.factorize(target, sort=True)
    labels = classes.tolist()
    if len(labels) < 2:
        raise UserError(
            f"the target {target.name!r} has {len(labels)} class(es) in the processed "
            "table, and a model needs at least two; check `target` in config.yaml and "
            "data/rejected/"
        )

    if positive is not None and positive not in labels:
        raise UserError(
            f"config.yaml: training.positive: {positive!r} is not a class of the "
            f"target; there are: {', '.join(map(repr, labels[:20]))} (quote what YAML "
            "reads as something else, such as Yes)"
        )

    if len(labels) == 2:
        if positive is None:
            positive = labels[int(np.mean(y) <= 0.5)]
        if positive == labels[0]:
            return 1 - y, labels[::-1]

    return y, labels


def _find_offset(y_train: np.ndarray) -> float:
    """Return what to subtract from targets that float32 can't tell apart, or 0."""
    spread = np.std(y_train)
    if spread == 0:
        raise UserError("the target has the same value in all rows to train on")
    mean = float(np.mean(y_train))
    return mean if abs(mean) > LARGEST_RATIO_TO_SPREAD * spread else 0


# --- Fitting -------------------------------------------------------------------------


def fit_model(dataset: Dataset, model: str, config: TrainingConfig) -> Pipeline:
    """Fit a model on the training rows. It predicts the target minus the offset."""
    X_train = dataset.X_train
    pipeline = build_pipeline(model, dataset.table.task, X_train, config)
    with explain_errors(model):
        pipeline.fit(X_train, dataset.y_train - dataset.offset)
    return pipeline


@contextmanager
def explain_errors(model: str) -> Iterator:
    """Name the model that scikit-learn can't fit, in one line."""
    try:
        yield
    except ValueError as error:
        raise UserError(f"{model} can't be trained: {str(error)[:300]}") from error


def folds_of(dataset: Dataset, config: TrainingConfig) -> list:
    """Return the folds of the training rows.

    Each is a pair of arrays: the positions in X_train to train on, and to evaluate on.
    """
    rows = dataset.rows.iloc[dataset.split.train]
    return make_folds(rows, dataset.y_train, config)
