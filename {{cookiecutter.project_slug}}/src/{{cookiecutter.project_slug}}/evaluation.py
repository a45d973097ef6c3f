"""How good a model is: metrics, and a baseline to compare them with.

Metrics are scorers of scikit-learn. Each is also an option for `training.metric` in
config.yaml, as is every other scorer that scikit-learn knows by name.
"""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import (
    get_scorer,
    get_scorer_names,
    log_loss,
    make_scorer,
)

from .config import Task
from .prediction import choose_classes
from .utils import UserError, nearest

Scorer = Callable[[Any, Any, np.ndarray], float]  # estimator, X, y: higher is better


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
            "root mean squared error",
        ),
        "mae": Metric("neg_mean_absolute_error", "MAE", "mean absolute error"),
        "r2": Metric("r2", "R²", "explained share of the variance"),
    },
}

# Of two classes, those of the positive one, which is the second label.
BINARY_METRICS = {
    "average_precision": Metric(
        "average_precision", "average precision", "mean precision over all thresholds"
    ),
    "precision": Metric(
        "precision", "precision", "share of positive predictions that are correct"
    ),
    "recall": Metric(
        "recall", "recall", "share of positive rows predicted as positive"
    ),
    "f1": Metric("f1", "F1", "harmonic mean of precision and recall"),
}


def list_metrics(
    name: str | None, task: Task, classes: int | None = None
) -> dict[str, Metric]:
    """Return the metrics of a task by name, first the one that config.yaml names.

    With two classes there are also those of the positive class.
    """
    metrics = METRICS[task]
    if task == "classification" and classes == 2:
        metrics = metrics | BINARY_METRICS
    if name is None:
        return metrics
    if name in metrics:
        return {name: metrics[name], **metrics}
    for others in (*METRICS.values(), BINARY_METRICS):
        if name in others:
            kind = f"{classes} classes" if name in BINARY_METRICS else f"a {task}"
            raise UserError(
                f"config.yaml: training.metric: {name!r} is not for {kind}; "
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
    if metric.scorer == "neg_log_loss":
        labels = list(range(classes))
        how = {"greater_is_better": False, "response_method": "predict_proba"}
        scorer = make_scorer(log_loss, labels=labels, **how)

    def score(estimator: Any, X: Any, y: np.ndarray) -> float:
        if not isinstance(estimator, GivenProbabilities | GivenNumbers):
            estimator = as_estimator(predict_outputs(estimator, X, classes))
            X = np.arange(len(y))
        if metric.scorer == "roc_auc":  # ten times as fast as scikit-learn's
            return calculate_roc_auc(y, estimator.outputs[X])
        try:
            with warnings.catch_warnings(action="ignore"):  # of classes without a row
                return float(scorer(estimator, X, y))
        except ValueError as error:
            reason = " ".join(str(error).split())
            raise UserError(f"training.metric: {metric.title}: {reason}") from error

    return score


def calculate_roc_auc(y: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the ROC AUC of the second of two classes.

    Of more classes it is the mean of each against the rest. Classes that y lacks are
    left out; with one class it is NaN.
    """
    present = np.unique(y)
    if len(present) < 2:
        return float("nan")
    positives = [1] if probabilities.shape[1] == 2 else present
    return float(
        np.mean([_area(y == code, probabilities[:, code]) for code in positives])
    )


def _area(is_positive: np.ndarray, scores: np.ndarray) -> float:
    """Return the share of pairs of a positive and a negative row that are in order.

    It is the area under the ROC curve (Hanley and McNeil, 1982).
    """
    positives = int(is_positive.sum())
    negatives = len(is_positive) - positives
    ranks = rankdata(scores)[is_positive].sum() - positives * (positives + 1) / 2
    return float(ranks / (positives * negatives))


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

    def __init__(self, outputs: np.ndarray, threshold: float | None = None) -> None:
        """Keep probabilities of shape (rows, classes)."""
        self.outputs = outputs
        self.threshold = threshold
        self.classes_ = np.arange(outputs.shape[1])

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return the probabilities of some rows."""
        return self.outputs[X]

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the classes of some rows."""
        return choose_classes(self.outputs[X], self.threshold)


class GivenNumbers(RegressorMixin, BaseEstimator):
    """An estimator with given numbers, for scorers. X is the positions of rows."""

    def __init__(self, outputs: np.ndarray) -> None:
        """Keep predictions of shape (rows,)."""
        self.outputs = outputs

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the predictions for some rows."""
        return self.outputs[X]


def as_estimator(outputs: np.ndarray, threshold: float | None = None) -> Any:
    """Return outputs as an estimator, which is what scorers take."""
    if outputs.ndim == 2:
        return GivenProbabilities(outputs, threshold)
    return GivenNumbers(outputs)


def count_classes(outputs: np.ndarray) -> int:
    """Return the number of classes that outputs are for, or 0 for numbers."""
    return outputs.shape[1] if outputs.ndim == 2 else 0


def evaluate(
    outputs: np.ndarray,
    y: np.ndarray,
    metrics: dict[str, Metric],
    threshold: float | None = None,
) -> dict[str, float]:
    """Return the metrics of a model's outputs. Errors are in the target's unit."""
    estimator, rows = as_estimator(outputs, threshold), np.arange(len(y))
    classes = count_classes(outputs)
    return {
        name: metric.sign * find_scorer(metric, classes)(estimator, rows, y)
        for name, metric in metrics.items()
    }


def predict_baseline(y_train: np.ndarray, rows: int, classes: int) -> np.ndarray:
    """Return the outputs of the baseline: the shares of the classes, or the mean."""
    baseline = DummyClassifier(strategy="prior") if classes else DummyRegressor()
    baseline.fit(np.zeros((len(y_train), 1)), y_train)
    return predict_outputs(baseline, np.zeros((rows, 1)), classes)


def format_metrics(metrics: dict[str, float]) -> str:
    """Return metrics as one line of text."""
    return ", ".join(
        f"{name} {format_number(value)}" for name, value in metrics.items()
    )


def format_number(value: float | None, like: float | None = None) -> str:
    """Return a number as people write it: 55,384 or 0.0912, with three or more digits.

    It has as many decimals as `like`, a number beside it, if there is one.
    """
    if value is None or np.isnan(value):
        return "not defined"
    size = abs(value if like is None else like)
    if not size or not np.isfinite(size):
        return f"{value:g}"
    decimals = int(np.clip(3 - np.ceil(np.log10(size)), 0, 12))
    return f"{value:z,.{decimals}f}"
