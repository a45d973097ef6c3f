"""Confidence intervals of metrics, metrics by segment, and feature importance."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.inspection import permutation_importance

from ..evaluation import (
    Metric,
    Scorer,
    as_estimator,
    count_classes,
    evaluate,
    find_scorer,
)

RESAMPLES, RESAMPLED_ROWS = 200, 2_000
SEGMENT_RESAMPLES, MOST_SEGMENTS = 50, 10
FEWEST_SEGMENT_ROWS, MOST_SEGMENT_VALUES = 30, 20
FEWEST_INTERVAL_ROWS = 10
SHUFFLES, SHUFFLED_ROWS = 5, 2_000

Predict = Callable[[pd.DataFrame], np.ndarray]  # from features to outputs


def estimate_interval(
    outputs: np.ndarray,
    y: np.ndarray,
    metric: Metric,
    seed: int,
    threshold: float | None = None,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """Return the 95 % confidence interval of a metric, by the bootstrap.

    Of fewer than ten rows it is not defined (NaN).
    """
    scores = _resample([as_estimator(outputs, threshold)], y, metric, seed, resamples)
    low, high = _find_interval(scores[:, 0], len(y))
    return (low, high) if metric.sign > 0 else (-high, -low)


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
    pair = map(as_estimator, (outputs, others), thresholds)
    scores = _resample(list(pair), y, metric, seed, RESAMPLES)
    return _find_interval(scores[:, 0] - scores[:, 1], len(y))


def _resample(
    estimators: Sequence[Any],
    y: np.ndarray,
    metric: Metric,
    seed: int,
    resamples: int,
) -> np.ndarray:
    """Score estimators on all rows, and then on rows drawn with replacement.

    Returns the scores, shape (1 + resamples, estimators). See Efron, "Bootstrap
    methods", 1979.
    """
    rows, random = len(y), np.random.default_rng(seed)
    scorer = find_scorer(metric, count_classes(estimators[0].outputs))
    scores = [[scorer(each, np.arange(rows), y) for each in estimators]]
    for _ in range(resamples):
        drawn = random.integers(rows, size=min(rows, RESAMPLED_ROWS))
        scores.append([scorer(each, drawn, y[drawn]) for each in estimators])
    return np.array(scores)


def _find_interval(scores: np.ndarray, rows: int) -> tuple[float, float]:
    """Return the 95 % interval of a score, from its value on all rows and on resamples.

    If only some rows were drawn, it is narrowed to what all of them would give (Bickel,
    Götze and van Zwet, "Resampling fewer than n observations", 1997).
    """
    value, resampled = scores[0], scores[1:]
    if rows < FEWEST_INTERVAL_ROWS or np.isnan(resampled).all():
        return float("nan"), float("nan")
    ends = np.nanquantile(resampled, [0.025, 0.975])
    low, high = value + (ends - value) * np.sqrt(min(1, RESAMPLED_ROWS / rows))
    return float(low), float(high)


def evaluate_segments(
    segments: pd.DataFrame,
    outputs: np.ndarray,
    y: np.ndarray,
    metric: Metric,
    seed: int = 0,
    threshold: float | None = None,
) -> list[dict[str, Any]]:
    """Evaluate the rows of each value of each column apart, the worst first.

    Columns with many values and values with few rows are left out. Each segment has its
    95 % confidence interval.
    """
    found = []
    for column in segments:
        values = segments[column].astype("string").fillna("missing")
        sizes = values.value_counts()
        if len(sizes) > MOST_SEGMENT_VALUES:
            continue
        for value, size in sizes[sizes >= FEWEST_SEGMENT_ROWS].items():
            rows = (values == value).to_numpy(dtype=bool)
            score = evaluate(outputs[rows], y[rows], {"": metric}, threshold)[""]
            segment = {"column": column, "value": value, "rows": int(size)}
            if not np.isnan(score):
                found.append((metric.sign * score, rows, {**segment, "score": score}))

    worst = sorted(found, key=lambda each: each[0])[:MOST_SEGMENTS]
    for _, rows, segment in worst:
        segment["interval"] = estimate_interval(
            outputs[rows], y[rows], metric, seed, threshold, SEGMENT_RESAMPLES
        )
    return [segment for _, _, segment in worst]


def rank_features(
    pipeline: Any,
    predict: Predict,
    X: pd.DataFrame,
    y: np.ndarray,
    scorer: Scorer,
    seed: int,
    threshold: float | None = None,
) -> list[dict[Any, Any]]:
    """Return by how much the metric gets worse when a feature is shuffled.

    This is permutation importance (Breiman, "Random forests", 2001), largest first, of
    the saved model's answers (`predict`) on at most some thousand rows.
    """
    rows = np.random.default_rng(seed).permutation(len(y))[:SHUFFLED_ROWS]

    def score(_: Any, shuffled: pd.DataFrame, y_true: np.ndarray) -> float:
        estimator = as_estimator(predict(shuffled), threshold)
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
