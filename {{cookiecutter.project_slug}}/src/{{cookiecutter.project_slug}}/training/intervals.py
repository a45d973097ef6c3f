"""Confidence intervals, metrics by segment, and feature importance.

Each takes a function that returns the metric: of some rows, or of changed features.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from sklearn.dummy import DummyRegressor
from sklearn.inspection import permutation_importance

RESAMPLES, RESAMPLED_ROWS = 200, 2_000
FEWEST_RESAMPLED_ROWS = 10
SEGMENT_RESAMPLES = 50
MOST_SEGMENTS, MOST_SEGMENT_VALUES = 10, 20
FEWEST_SEGMENT_ROWS = 30
SHUFFLES = 5


def estimate_interval(
    score: Callable,
    rows: np.ndarray,
    resamples: int = RESAMPLES,
) -> tuple:
    """Return the 95 % confidence interval of a score of rows, by the bootstrap.

    See Efron, "Bootstrap methods", 1979. If only some rows are drawn, it is narrowed to
    what all of them would give (Bickel, Götze and van Zwet, "Resampling fewer than n
    observations", 1997). With fewer than ten rows it is NaN.
    """
    random = np.random.default_rng(0)
    size = min(len(rows), RESAMPLED_ROWS)
    scores = [score(random.choice(rows, size)) for _ in range(resamples)]
    if len(rows) < FEWEST_RESAMPLED_ROWS or np.isnan(scores).all():
        return np.nan, np.nan

    value = score(rows)
    ends = np.nanquantile(scores, [0.025, 0.975])
    low, high = value + (ends - value) * np.sqrt(size / len(rows))

    return low, high


def evaluate_segments(
    segments: pd.DataFrame,
    score: Callable,
    sign: int,
) -> list[dict]:
    """Evaluate the rows of each value of each column apart, the worst first.

    Columns with many values and values with few rows are left out. The `sign` is -1 if
    a lower score is better.
    """
    found: list[dict] = []
    for column in segments:
        values = segments[column].astype("string").fillna("missing")
        groups = values.groupby(values).indices
        if len(groups) > MOST_SEGMENT_VALUES:
            continue

        for value, rows in groups.items():
            if len(rows) >= FEWEST_SEGMENT_ROWS:
                segment = {"column": column, "value": value, "rows": rows}
                found.append({**segment, "score": score(rows)})

    found = [each for each in found if not np.isnan(each["score"])]
    worst = sorted(found, key=lambda each: sign * each["score"])[:MOST_SEGMENTS]

    for each in worst:
        each["interval"] = estimate_interval(score, each["rows"], SEGMENT_RESAMPLES)
        each["rows"] = len(each["rows"])

    return worst


def rank_features(score: Callable, X: pd.DataFrame) -> list[dict]:
    """Return by how much the score gets worse when a feature is shuffled.

    This is permutation importance (Breiman, "Random forests", 2001), largest first. A
    higher score must be better.
    """
    found = permutation_importance(
        DummyRegressor(),  # not used: `score` knows the model
        X,
        None,
        scoring=lambda _, X, y: score(X),
        n_repeats=SHUFFLES,
        random_state=0,
    )
    ranked = pd.DataFrame(
        {
            "feature": X.columns,
            "importance": found.importances_mean,
            "standard_deviation": found.importances_std,
        }
    )

    return ranked.sort_values("importance", ascending=False).to_dict("records")
