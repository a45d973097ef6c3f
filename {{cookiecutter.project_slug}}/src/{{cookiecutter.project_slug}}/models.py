"""The models: how each is built, and where to look for better settings.

To add a model, add an entry to `MODELS`: one line says all.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import loguniform, randint
from sklearn import ensemble, linear_model
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from .config import Task, TrainingConfig
from .utils import UserError, nearest

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
        "logistic": LINEAR(linear_model.LogisticRegression, {"C": loguniform(0.001, 100)}),
        "random_forest": FOREST(partial(ensemble.RandomForestClassifier, n_jobs=-1), IN_FOREST),
        "gradient_boosting": BOOSTING(ensemble.HistGradientBoostingClassifier, IN_BOOSTING),
    },
    "regression": {
        "linear": LINEAR(linear_model.Ridge, {"alpha": loguniform(0.001, 1000)}),
        "random_forest": FOREST(partial(ensemble.RandomForestRegressor, n_jobs=-1), IN_FOREST),
        "gradient_boosting": BOOSTING(ensemble.HistGradientBoostingRegressor, IN_BOOSTING),
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
        raise UserError(f"training.settings.{model} in config.yaml, or --set: {error}") from error
    blocks = [("numbers", recipe.numbers, slice(0, numbers))] if numbers else []
    rest = slice(numbers, numbers + categories)
    blocks += [("categories", recipe.categories, rest)] if categories else []
    # A step that does nothing would be done with each request all the same.
    changes = any(step != "passthrough" for _, step, _ in blocks)
    preprocess = [("preprocess", ColumnTransformer(blocks))] if changes else []
    return Pipeline([*preprocess, ("model", estimator)])
