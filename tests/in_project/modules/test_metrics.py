"""Metrics, thresholds and intervals in detail."""

import numpy as np
import pandas as pd
import pytest
from customer_churn.config import Threshold
from customer_churn.evaluation import METRICS, evaluate, find_scorer
from customer_churn.training.intervals import (
    estimate_improvement,
    estimate_interval,
    evaluate_segments,
    rank_features,
)
from customer_churn.training.thresholds import find_threshold
from sklearn import metrics
from sklearn.dummy import DummyRegressor
from test_evaluation import ACCURACY, draw_outputs


def test_metrics_of_numbers_are_those_of_scikit_learn() -> None:
    y, outputs = np.random.default_rng(0).normal(5, 2, (2, 300))
    assert evaluate(outputs, y, METRICS["regression"]) == pytest.approx(
        {
            "rmse": metrics.root_mean_squared_error(y, outputs),
            "mae": metrics.mean_absolute_error(y, outputs),
            "r2": metrics.r2_score(y, outputs),
        }
    )


@pytest.mark.parametrize(
    "rule",
    [
        {"recall": 0.9},
        {"precision": 0.9},
        {"cost": {"false_positive": 1, "false_negative": 5}},
    ],
)
def test_a_threshold_fits_its_rule(rule: dict[str, object]) -> None:
    random = np.random.default_rng(0)
    p = random.random(2000).round(3)
    y = (random.random(2000) < p).astype(int)
    chosen = find_threshold(y, p, Threshold.model_validate(rule))

    def measure(threshold: float) -> tuple[float, float, float]:
        flagged = p >= threshold
        costs = (flagged & (y == 0)).sum() + 5 * (~flagged & (y == 1)).sum()
        return (
            metrics.recall_score(y, flagged),
            metrics.precision_score(y, flagged, zero_division=1),
            float(costs),
        )

    recall, precision, cost = measure(chosen)
    if "recall" in rule:
        assert recall >= 0.9 > measure(chosen + 0.001)[0]
    elif "precision" in rule:
        lower = [measure(each)[1] for each in np.unique(p[p < chosen - 1e-9])]
        assert precision >= 0.9 > max(lower)
    else:
        assert cost == min(measure(each)[2] for each in np.unique(p))
        assert chosen == pytest.approx(1 / 6, abs=0.1)


def test_the_interval_contains_the_true_value_as_often_as_it_should() -> None:
    hits = []
    for seed in range(60):
        random = np.random.default_rng(seed)
        p = random.random(400)
        y = (random.random(400) < p).astype(int)
        low, high = estimate_interval(np.column_stack([1 - p, p]), y, ACCURACY, seed)
        hits.append(low <= 0.75 <= high)
    assert np.mean(hits) >= 0.85
    one = np.ones((5, 2)) / 2
    assert np.isnan(estimate_interval(one, np.array([0, 1, 0, 1, 1]), ACCURACY, 0)).all()


def test_an_improvement_is_measured_on_the_same_rows() -> None:
    y, good = np.random.default_rng(0).normal(size=(2, 4000))
    good = y + 0.5 * good
    rmse = METRICS["regression"]["rmse"]
    low, high = estimate_improvement(good, y + 1.02 * (good - y), y, rmse, 0)
    assert 0 < low < high  # clear, although each interval is wider than the difference
    low, high = estimate_improvement(good, good, y, rmse, 0)
    assert low == high == 0


def test_the_worst_segment_is_first_and_small_ones_are_left_out() -> None:
    y, outputs = draw_outputs(2, 1000)
    bad = np.arange(1000) % 4 == 0
    outputs[bad] = outputs[bad][:, ::-1]
    segments = pd.DataFrame({"quarter": np.where(bad, "bad", "fine")})
    segments["small"] = ["few"] * 25 + [None] * 975
    segments["many"] = np.arange(1000) % 30
    found = evaluate_segments(segments, outputs, y, ACCURACY)
    assert [(each["column"], each["value"]) for each in found] == [
        *(("quarter", "bad"), ("small", "missing"), ("quarter", "fine")),
    ]
    worst = found[0]
    assert worst["rows"] == 250
    assert worst["score"] == pytest.approx(np.mean(outputs[bad].argmax(axis=1) == y[bad]))
    assert worst["interval"][0] < worst["score"] < worst["interval"][1] < 0.6


def test_the_feature_that_matters_is_ranked_first() -> None:
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(500, 3)), columns=[*"abc"])
    y = X["b"].to_numpy()
    scorer = find_scorer(METRICS["regression"]["rmse"], 0)
    model = DummyRegressor().fit(X, y)
    ranked = rank_features(model, lambda X: X["b"].to_numpy(), X, y, scorer, 0)
    assert ranked[0]["feature"] == "b"
    assert ranked[0]["importance"] > 1
    assert [each["importance"] for each in ranked[1:]] == [0, 0]
