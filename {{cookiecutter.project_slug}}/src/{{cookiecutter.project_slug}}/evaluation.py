"""How good a model is: metrics, their intervals, a baseline, segments, importance.

Metrics are scorers of scikit-learn. Each is also an option for `training.metric` in
config.yaml, as is every other scorer that scikit-learn knows by name.
"""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.inspection import permutation_importance
from sklearn.metrics import (
    get_scorer,
    get_scorer_names,
    log_loss,
    make_scorer,
    roc_auc_score,
)

from .config import Task
from .utils import UserError, nearest

RESAMPLES, RESAMPLED_ROWS = 200, 2_000
SHUFFLES, SHUFFLED_ROWS = 5, 2_000
FEWEST_SEGMENT_ROWS, MOST_SEGMENT_VALUES = 30, 20

Scorer = Callable[[Any, Any, np.ndarray], float]  # estimator, X, y: higher is better
Predict = Callable[[pd.DataFrame], np.ndarray]  # from features to outputs


class Metric(NamedTuple):
    """A metric: its scorer in scikit-learn, its title, and what it means."""

    scorer: str
    title: str
    meaning: str

    @property
    def sign(self) -> int:
        """-1 for an error, which scikit-learn's scorers negate, otherwise 1."""
        return -1 if self.scorer.startswith("neg_") else 1


# The first is used if config.yaml names none.
METRICS: dict[Task, dict[str, Metric]] = {
    "classification": {
        "roc_auc": Metric("roc_auc", "ROC AUC", "how well the classes are separated"),
        "accuracy": Metric("accuracy", "accuracy", "share of correct predictions"),
        "balanced_accuracy": Metric(
            "balanced_accuracy", "balanced accuracy", "mean recall of the classes"
        ),
        "log_loss": Metric("neg_log_loss", "log loss", "error of the probabilities"),
    },
    "regression": {
        "rmse": Metric(
            "neg_root_mean_squared_error",
            "RMSE",
            "typical error, dominated by large ones",
        ),
        "mae": Metric("neg_mean_absolute_error", "MAE", "mean absolute error"),
        "r2": Metric("r2", "R²", "share of the variance that is explained"),
    },
}


def list_metrics(name: str | None, task: Task) -> dict[str, Metric]:
    """Return the metrics of a task by name, first the one that config.yaml names."""
    metrics = METRICS[task]
    if name is None:
        return metrics
    if name in metrics:
        return {name: metrics[name], **metrics}
    for others in METRICS.values():
        if name in others:
            raise UserError(
                f"config.yaml: training.metric: {name!r} is not for a {task}; "
                f"use one of {', '.join(metrics)} or another scorer of scikit-learn"
            )
    try:
        get_scorer(name)
    except ValueError as error:
        known = [*metrics, *get_scorer_names()]
        raise UserError(
            f"config.yaml: training.metric: scikit-learn has no scorer {name!r}"
            f"{nearest(name, known)}"
        ) from error
    title = name.removeprefix("neg_").replace("_", " ")
    return {name: Metric(name, title, "a scorer of scikit-learn"), **metrics}


def find_scorer(metric: Metric, classes: int) -> Scorer:
    """Return the scorer of a metric, for so many classes (none: a regression).

    It takes a fitted estimator that may not have seen every class, as happens on folds.
    """
    scorer: Any = get_scorer(metric.scorer)
    if metric.scorer == "roc_auc" and classes > 2:
        scorer = make_scorer(mean_roc_auc, response_method="predict_proba")
    elif metric.scorer == "neg_log_loss":
        labels = list(range(classes))
        how = {"greater_is_better": False, "response_method": "predict_proba"}
        scorer = make_scorer(log_loss, labels=labels, **how)

    def score(estimator: Any, X: Any, y: np.ndarray) -> float:
        outputs = predict_outputs(estimator, X, classes)
        try:
            with warnings.catch_warnings(action="ignore"):  # of classes without a row
                return float(scorer(as_estimator(outputs), np.arange(len(y)), y))
        except ValueError as error:
            reason = " ".join(str(error).split())
            raise UserError(f"training.metric: {metric.title}: {reason}") from error

    return score


def mean_roc_auc(y_true: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the mean ROC AUC of each class in y_true against the rest."""
    present = np.unique(y_true)
    if len(present) < 2:
        return float("nan")
    areas = [roc_auc_score(y_true == code, probabilities[:, code]) for code in present]
    return float(np.mean(areas))


def predict_outputs(estimator: Any, X: Any, classes: int) -> np.ndarray:
    """Return numbers, shape (rows,), or probabilities, shape (rows, classes).

    A class that the estimator has not seen has the probability 0.
    """
    if not classes:
        return np.asarray(estimator.predict(X), dtype=float)
    if not hasattr(estimator, "predict_proba"):
        name = type(getattr(estimator, "steps", [("", estimator)])[-1][1]).__name__
        raise UserError(
            f"{name} predicts no probabilities; wrap it in CalibratedClassifierCV"
        )
    outputs = np.zeros((len(X), classes))
    outputs[:, estimator.classes_] = estimator.predict_proba(X)
    return outputs


class GivenProbabilities(ClassifierMixin, BaseEstimator):
    """An estimator with given outputs, for scorers. X is the positions of rows."""

    def __init__(self, outputs: np.ndarray) -> None:
        """Keep probabilities of shape (rows, classes)."""
        self.outputs = outputs
        self.classes_ = np.arange(outputs.shape[1])

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return the probabilities of some rows."""
        return self.outputs[X]

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the most likely class of some rows."""
        return self.outputs[X].argmax(axis=1)


class GivenNumbers(RegressorMixin, BaseEstimator):
    """An estimator with given numbers, for scorers. X is the positions of rows."""

    def __init__(self, outputs: np.ndarray) -> None:
        """Keep predictions of shape (rows,)."""
        self.outputs = outputs

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the predictions for some rows."""
        return self.outputs[X]


def as_estimator(outputs: np.ndarray) -> Any:
    """Return outputs as an estimator, which is what scorers take."""
    return GivenProbabilities(outputs) if outputs.ndim == 2 else GivenNumbers(outputs)


def evaluate(
    outputs: np.ndarray, y: np.ndarray, metrics: dict[str, Metric]
) -> dict[str, float]:
    """Return the metrics of a model's outputs. Errors are in the target's unit."""
    classes = outputs.shape[1] if outputs.ndim == 2 else 0
    estimator, rows = as_estimator(outputs), np.arange(len(y))
    return {
        name: metric.sign * find_scorer(metric, classes)(estimator, rows, y)
        for name, metric in metrics.items()
    }


def predict_baseline(y_train: np.ndarray, rows: int, classes: int) -> np.ndarray:
    """Return the outputs of the baseline: the shares of the classes, or the mean."""
    baseline = DummyClassifier(strategy="prior") if classes else DummyRegressor()
    baseline.fit(np.zeros((len(y_train), 1)), y_train)
    return predict_outputs(baseline, np.zeros((rows, 1)), classes)


def estimate_interval(
    outputs: np.ndarray, y: np.ndarray, metric: Metric, seed: int
) -> tuple[float, float]:
    """Return the 95 % confidence interval of a metric, by the bootstrap.

    The metric is computed again on rows drawn with replacement (Efron, "Bootstrap
    methods", 1979). Of many rows only some are drawn, and the interval is narrowed to
    what all of them would give (Bickel, Götze and van Zwet, "Resampling fewer than n
    observations", 1997).
    """
    rows = len(y)
    drawn_rows = min(rows, RESAMPLED_ROWS)
    random = np.random.default_rng(seed)
    values = []
    for _ in range(RESAMPLES):
        drawn = random.integers(rows, size=drawn_rows)
        values.append(evaluate(outputs[drawn], y[drawn], {"": metric})[""])

    value = evaluate(outputs, y, {"": metric})[""]
    ends = np.nanquantile(values, [0.025, 0.975])
    low, high = value + (ends - value) * np.sqrt(drawn_rows / rows)
    return float(low), float(high)


def evaluate_segments(
    segments: pd.DataFrame, outputs: np.ndarray, y: np.ndarray, metric: Metric
) -> list[dict[str, Any]]:
    """Evaluate the rows of each value of each column apart, the worst first.

    Columns with many values and values with few rows are left out.
    """
    found = []
    for column in segments:
        values = segments[column].astype("string").fillna("missing")
        sizes = values.value_counts()
        if len(sizes) > MOST_SEGMENT_VALUES:
            continue
        for value, size in sizes[sizes >= FEWEST_SEGMENT_ROWS].items():
            rows = (values == value).to_numpy(dtype=bool)
            score = evaluate(outputs[rows], y[rows], {"": metric})[""]
            segment = {"column": column, "value": value, "rows": int(size)}
            if not np.isnan(score):
                found.append({**segment, "score": score})
    return sorted(found, key=lambda segment: metric.sign * segment["score"])


def rank_features(
    pipeline: Any,
    predict: Predict,
    X: pd.DataFrame,
    y: np.ndarray,
    scorer: Scorer,
    seed: int,
) -> list[dict[Any, Any]]:
    """Return by how much the metric gets worse when a feature is shuffled.

    This is permutation importance (Breiman, "Random forests", 2001), largest first, of
    the saved model's answers (`predict`) on at most some thousand rows.
    """
    rows = np.random.default_rng(seed).permutation(len(y))[:SHUFFLED_ROWS]

    def score(_: Any, shuffled: pd.DataFrame, y_true: np.ndarray) -> float:
        estimator = as_estimator(predict(shuffled))
        return scorer(estimator, np.arange(len(y_true)), y_true)

    importance = permutation_importance(
        pipeline,
        X.iloc[rows],
        y[rows],
        scoring=score,
        n_repeats=SHUFFLES,
        random_state=seed,
    )
    ranked = pd.DataFrame(
        {
            "feature": list(X),
            "importance": importance.importances_mean,
            "standard_deviation": importance.importances_std,
        }
    )
    return ranked.sort_values("importance", ascending=False).to_dict("records")


def format_metrics(metrics: dict[str, float]) -> str:
    """Return metrics as one line of text."""
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
