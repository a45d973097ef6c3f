"""How good a model is: metrics, and a baseline to compare them with.

Metrics are scorers of scikit-learn. Each is also an option for `training.metric` in
config.yaml, as is every other scorer that scikit-learn knows by name.
"""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import get_scorer, get_scorer_names, log_loss

from .config import Task
from .prediction import choose_classes
from .utils import UserError, nearest


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
            "neg_root_mean_squared_error", "RMSE", "root mean squared error"
        ),
        "mae": Metric("neg_mean_absolute_error", "MAE", "mean absolute error"),
        "r2": Metric("r2", "R²", "explained share of the variance"),
    },
}

# Only for two classes: metrics of the positive class, which is the second label.
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


def list_metrics(name: str | None, task: Task, classes: int = 2) -> dict:
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

    for_others = METRICS["classification"] | METRICS["regression"] | BINARY_METRICS
    scorers = get_scorer_names()
    if name in for_others or name not in scorers:
        raise UserError(
            f"config.yaml: training.metric: {name!r} is no metric for this {task}; use "
            f"one of {', '.join(metrics)} or another scorer of scikit-learn"
            + nearest(name, [*metrics, *scorers])
        )

    title = name.removeprefix("neg_").replace("_", " ")
    return {name: Metric(name, title, "a scorer of scikit-learn"), **metrics}


def find_metric(name: str | None, task: Task) -> tuple:
    """Return the metric that config.yaml names, or the first of the task."""
    return next(iter(list_metrics(name, task).items()))


def find_scorer(metric: Metric, classes: int) -> Callable:
    """Return the scorer of a metric, for so many classes (none: a regression).

    It takes a fitted estimator, which may not have seen every class, as happens on
    folds, X and y. A higher score is better.
    """

    def score(estimator, X, y):
        return score_outputs(predict_outputs(estimator, X, classes), y, metric)

    return score


def predict_outputs(estimator: Any, X: Any, classes: int) -> np.ndarray:
    """Return numbers, shape (rows,), or probabilities, shape (rows, classes).

    A class that the estimator has not seen has the probability 0.
    """
    if not classes:
        return np.asarray(estimator.predict(X), dtype=float)
    if not hasattr(estimator, "predict_proba"):
        name = type(estimator[-1]).__name__
        raise UserError(
            f"{name} predicts no probabilities; wrap it in CalibratedClassifierCV"
        )

    outputs = np.zeros((len(X), classes))
    outputs[:, estimator.classes_] = estimator.predict_proba(X)

    return outputs


class _GivenNumbers(BaseEstimator):
    """A model for scorers: X holds its predictions already."""

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the predictions."""
        return X


class _GivenProbabilities(ClassifierMixin, BaseEstimator):
    """A classifier for scorers: X holds its probabilities already."""

    def __init__(self, classes: int, threshold: float | None) -> None:
        """Set what scorers and `predict` need."""
        self.classes_ = np.arange(classes)
        self.threshold = threshold

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return the probabilities."""
        return X

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the classes."""
        return choose_classes(X, self.threshold)


def score_outputs(
    outputs: np.ndarray, y: np.ndarray, metric: Metric, threshold: float | None = None
) -> float:
    """Return the score of a model's outputs; higher is better.

    `outputs` are numbers, shape (rows,), or probabilities, shape (rows, classes), and
    `y` holds the numbers or the positions of the classes. Raises UserError if the
    metric does not fit them.
    """
    estimator: Any = _GivenNumbers()
    if outputs.ndim == 2:
        estimator = _GivenProbabilities(outputs.shape[1], threshold)

    try:
        with warnings.catch_warnings(action="ignore"):  # about classes without rows
            if metric.scorer == "roc_auc":
                return _calculate_roc_auc(y, outputs)
            if metric.scorer == "neg_log_loss":
                return -log_loss(y, outputs, labels=estimator.classes_)
            return float(get_scorer(metric.scorer)(estimator, outputs, y))
    except (AttributeError, ValueError) as error:
        raise UserError(f"training.metric: {metric.title}: {error}") from error


def _calculate_roc_auc(y: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the ROC AUC of the second of two classes.

    With more classes it is the mean over each class against the rest, without classes
    that y lacks; with a single class it is NaN. The area is the share of pairs of a
    positive and a negative row that are ranked correctly, where ties count as half
    (Hanley and McNeil, 1982). scikit-learn takes many times as long.
    """
    codes = [1] if probabilities.shape[1] == 2 else np.unique(y)
    areas = []
    for code in codes:
        positive = np.sort(probabilities[y == code, code])
        negative = np.sort(probabilities[y != code, code])
        below = np.searchsorted(negative, positive)
        not_above = np.searchsorted(negative, positive, "right")
        areas.append(np.mean(below + not_above) / 2 / len(negative))

    return float(np.mean(areas))


def evaluate(
    outputs: np.ndarray,
    y: np.ndarray,
    metrics: dict,
    threshold: float | None = None,
) -> dict:
    """Return the metrics of a model's outputs, by name.

    Errors are positive, in the target's unit. `outputs` and `y` are as in
    `score_outputs`.
    """
    return {
        name: metric.sign * score_outputs(outputs, y, metric, threshold)
        for name, metric in metrics.items()
    }


def predict_baseline(y_train: np.ndarray, rows: int, classes: int) -> np.ndarray:
    """Return the outputs of the baseline for a number of rows.

    It predicts the shares of the classes in the training rows, or their mean.
    """
    baseline = DummyClassifier(strategy="prior") if classes else DummyRegressor()
    baseline.fit(y_train, y_train)
    return predict_outputs(baseline, np.zeros(rows), classes)
