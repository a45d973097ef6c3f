"""How good a model is: metrics, their intervals, a baseline, segments, importance.

Metrics are scorers of scikit-learn. Each is also an option for `training.metric` in
config.yaml, as is every other scorer that scikit-learn knows by name.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.inspection import permutation_importance
from sklearn.metrics import get_scorer, get_scorer_names, log_loss

from .config import Task
from .prediction import choose_classes
from .utils import UserError, nearest

RESAMPLES, SEGMENT_RESAMPLES, RESAMPLED_ROWS = 200, 50, 2_000
FEWEST_INTERVAL_ROWS = 10
FEWEST_SEGMENT_ROWS, MOST_SEGMENT_VALUES, MOST_SEGMENTS = 30, 20, 10
SHUFFLES, SHUFFLED_ROWS = 5, 2_000


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

# Of two classes, those of the positive one, which is the second label.
BINARY_METRICS = {
    "average_precision": Metric(
        "average_precision", "average precision", "mean precision over all thresholds"
    ),
    "precision": Metric("precision", "precision", "share of the flagged that is right"),
    "recall": Metric("recall", "recall", "share of the positive class that is flagged"),
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

    named = METRICS["classification"] | METRICS["regression"] | BINARY_METRICS
    others = set(get_scorer_names()) - set(named)
    if name not in others:
        kind = f"{classes} classes" if name in BINARY_METRICS else f"a {task}"
        raise UserError(
            f"config.yaml: training.metric: {name!r} is not for {kind}"
            f"{nearest(name, [*metrics, *others])}; use one of {', '.join(metrics)} "
            "or another scorer of scikit-learn"
        )
    title = name.removeprefix("neg_").replace("_", " ")
    return {name: Metric(name, title, "a scorer of scikit-learn"), **metrics}


# --- From outputs to a score ---------------------------------------------------------


class GivenProbabilities(ClassifierMixin, BaseEstimator):
    """An estimator for scikit-learn's scorers, whose X are its probabilities."""

    def __init__(self, classes: int, threshold: float | None) -> None:
        """Name the classes by their positions."""
        self.classes_ = np.arange(classes)
        self.threshold = threshold

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return the probabilities."""
        return X

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the classes."""
        return choose_classes(X, self.threshold)


class GivenNumbers(RegressorMixin, BaseEstimator):
    """An estimator for scikit-learn's scorers, whose X are its predictions."""

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the predictions."""
        return X


def score_outputs(
    outputs: np.ndarray, y: np.ndarray, metric: Metric, threshold: float | None = None
) -> float:
    """Return a metric of numbers, shape (rows,), or probabilities, (rows, classes).

    It is NaN where it is not defined, such as the ROC AUC of rows of one class.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # of classes without a row
            if metric.scorer == "roc_auc":
                return calculate_roc_auc(y, outputs)
            if metric.scorer == "neg_log_loss":
                return float(log_loss(y, outputs, labels=range(outputs.shape[1])))
            estimator: Any = GivenNumbers()
            if outputs.ndim == 2:
                estimator = GivenProbabilities(outputs.shape[1], threshold)
            return metric.sign * float(get_scorer(metric.scorer)(estimator, outputs, y))
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"training.metric: {metric.title}: {reason}") from error


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

    It is the area under the ROC curve (Hanley and McNeil, 1982), ten times as fast as
    by scikit-learn.
    """
    ranks = rankdata(scores)[is_positive]
    return (ranks.mean() - (len(ranks) + 1) / 2) / (len(scores) - len(ranks))


def evaluate(
    outputs: np.ndarray,
    y: np.ndarray,
    metrics: dict[str, Metric],
    threshold: float | None = None,
) -> dict[str, float]:
    """Return metrics of probabilities or numbers by name; errors are positive."""
    return {
        name: score_outputs(outputs, y, metric, threshold)
        for name, metric in metrics.items()
    }


# --- From an estimator to a score ----------------------------------------------------


@dataclass(frozen=True)
class Scorer:
    """Scores a fitted estimator for scikit-learn: higher is better.

    The estimator may not have seen every class, as happens on folds.
    """

    metric: Metric
    classes: int

    def __call__(self, estimator: Any, X: Any, y: np.ndarray) -> float:
        """Return the metric, an error as a negative number."""
        outputs = predict_outputs(estimator, X, self.classes)
        return self.metric.sign * score_outputs(outputs, y, self.metric)


def find_scorer(metric: Metric, classes: int) -> Scorer:
    """Return the scorer of a metric, for so many classes (none: a regression)."""
    return Scorer(metric, classes)


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


def predict_baseline(y_train: np.ndarray, rows: int, classes: int) -> np.ndarray:
    """Return the outputs of a model that always predicts the classes' shares, or the
    mean.
    """
    baseline = DummyClassifier() if classes else DummyRegressor()
    baseline.fit(np.zeros((len(y_train), 1)), y_train)
    return predict_outputs(baseline, np.zeros((rows, 1)), classes)


# --- Intervals, segments, importance -------------------------------------------------


def bootstrap(
    score: Callable[[np.ndarray], float],
    rows: int,
    seed: int,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """Return the 95 % confidence interval of a score, a function of rows' positions.

    The rows are drawn with replacement (Efron, "Bootstrap methods", 1979). If only some
    are drawn, the interval is narrowed to what all of them would give (Bickel, Götze
    and van Zwet, "Resampling fewer than n observations", 1997). Of fewer than ten rows
    it is not defined (NaN).
    """
    if rows < FEWEST_INTERVAL_ROWS:
        return float("nan"), float("nan")
    random = np.random.default_rng(seed)
    drawn = random.integers(rows, size=(resamples, min(rows, RESAMPLED_ROWS)))
    scores = pd.Series([score(positions) for positions in drawn])

    value = score(np.arange(rows))
    ends = scores.quantile([0.025, 0.975]).to_numpy()
    low, high = value + (ends - value) * np.sqrt(min(1, RESAMPLED_ROWS / rows))
    return float(low), float(high)


def estimate_interval(
    outputs: np.ndarray,
    y: np.ndarray,
    metric: Metric,
    seed: int,
    threshold: float | None = None,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """Return the 95 % confidence interval of a metric."""

    def score(rows: np.ndarray) -> float:
        return score_outputs(outputs[rows], y[rows], metric, threshold)

    return bootstrap(score, len(y), seed, resamples)


def estimate_improvement(
    outputs: np.ndarray,
    others: np.ndarray,
    y: np.ndarray,
    metric: Metric,
    seed: int,
    thresholds: Sequence[float | None] = (None, None),
) -> tuple[float, float]:
    """Return the 95 % confidence interval of how much better outputs are than others.

    Both are scored on the same resampled rows (the paired bootstrap). Positive is
    better, whether or not the metric is an error.
    """

    def score(rows: np.ndarray) -> float:
        one = score_outputs(outputs[rows], y[rows], metric, thresholds[0])
        other = score_outputs(others[rows], y[rows], metric, thresholds[1])
        return metric.sign * (one - other)

    return bootstrap(score, len(y), seed)


def evaluate_segments(
    segments: pd.DataFrame,
    outputs: np.ndarray,
    y: np.ndarray,
    metric: Metric,
    seed: int = 0,
    threshold: float | None = None,
) -> list[dict]:
    """Evaluate the rows of each value of each column apart, the worst first.

    Columns with many values and values with few rows are left out. Each segment has its
    95 % confidence interval.
    """
    found: list[dict] = []
    for column in segments:
        values = segments[column].astype("string").fillna("missing")
        rows_of = values.groupby(values.to_numpy()).indices
        if len(rows_of) > MOST_SEGMENT_VALUES:
            continue
        for value, rows in rows_of.items():
            if len(rows) < FEWEST_SEGMENT_ROWS:
                continue
            score = score_outputs(outputs[rows], y[rows], metric, threshold)
            segment = {"column": column, "value": value, "rows": len(rows)}
            if not np.isnan(score):
                found.append({**segment, "score": score, "positions": rows})

    worst = sorted(found, key=lambda each: metric.sign * each["score"])[:MOST_SEGMENTS]
    for each in worst:
        positions = each.pop("positions")
        each["interval"] = estimate_interval(
            outputs[positions],
            y[positions],
            metric,
            seed,
            threshold,
            SEGMENT_RESAMPLES,
        )
    return worst


def rank_features(
    pipeline: Any,
    predict: Callable[[pd.DataFrame], np.ndarray],
    X: pd.DataFrame,
    y: np.ndarray,
    scorer: Scorer,
    seed: int,
    threshold: float | None = None,
) -> list[dict]:
    """Return by how much the metric gets worse when a feature is shuffled.

    This is permutation importance (Breiman, "Random forests", 2001), largest first, of
    the saved model's answers (`predict`) on at most some thousand rows.
    """
    rows = np.random.default_rng(seed).permutation(len(y))[:SHUFFLED_ROWS]
    X, y, metric = X.iloc[rows], y[rows], scorer.metric

    def score(_: Any, shuffled: pd.DataFrame, y_true: np.ndarray) -> float:
        return metric.sign * score_outputs(predict(shuffled), y_true, metric, threshold)

    importance = permutation_importance(
        pipeline, X, y, scoring=score, n_repeats=SHUFFLES, random_state=seed
    )
    ranked = pd.DataFrame(
        {
            "feature": list(X),
            "importance": importance.importances_mean,
            "standard_deviation": importance.importances_std,
        }
    )
    return ranked.sort_values("importance", ascending=False).to_dict("records")


# --- Numbers in text -----------------------------------------------------------------


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
    if not size > 0:
        return f"{value:g}"
    decimals = int(np.clip(3 - np.ceil(np.log10(size)), 0, 12))
    return f"{value:z,.{decimals}f}"
