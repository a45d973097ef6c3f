"""Metrics, their intervals, segments and importance."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics
from sklearn.dummy import DummyRegressor

from {{ cookiecutter.project_slug }}.config import Threshold
from {{ cookiecutter.project_slug }}.evaluation import (
    METRICS,
    estimate_improvement,
    estimate_interval,
    evaluate,
    evaluate_segments,
    find_scorer,
    format_number,
    list_metrics,
    rank_features,
)
from {{ cookiecutter.project_slug }}.training.thresholds import find_threshold
from {{ cookiecutter.project_slug }}.utils import UserError

ACCURACY = METRICS["classification"]["accuracy"]


def draw_outputs(classes: int, rows: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Draw targets, and probabilities of which many are equal."""
    random = np.random.default_rng(classes)
    y = random.integers(classes, size=rows)
    scores = random.integers(1, 4, (rows, classes)) + np.eye(classes)[y]
    return y, scores / scores.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 3, 8])
def test_metrics_of_classes_are_those_of_scikit_learn(classes: int) -> None:
    y, outputs = draw_outputs(classes)
    scores, likeliest = (
        outputs[:, 1] if classes == 2 else outputs,
        outputs.argmax(axis=1),
    )
    expected = {
        "roc_auc": metrics.roc_auc_score(y, scores, multi_class="ovr"),
        "accuracy": metrics.accuracy_score(y, likeliest),
        "balanced_accuracy": metrics.balanced_accuracy_score(y, likeliest),
        "log_loss": metrics.log_loss(y, outputs),
    }
    if classes == 2:
        expected |= {
            "average_precision": metrics.average_precision_score(y, scores),
            "precision": metrics.precision_score(y, likeliest),
            "recall": metrics.recall_score(y, likeliest),
            "f1": metrics.f1_score(y, likeliest),
        }
    known = list_metrics(None, "classification", classes)
    assert evaluate(outputs, y, known) == pytest.approx(expected)


def test_metrics_of_numbers_are_those_of_scikit_learn() -> None:
    y, outputs = np.random.default_rng(0).normal(5, 2, (2, 300))
    assert evaluate(outputs, y, METRICS["regression"]) == pytest.approx(
        {
            "rmse": metrics.root_mean_squared_error(y, outputs),
            "mae": metrics.mean_absolute_error(y, outputs),
            "r2": metrics.r2_score(y, outputs),
        }
    )


def test_a_threshold_decides_what_is_predicted() -> None:
    y, outputs = draw_outputs(2)
    recall = {"": list_metrics("recall", "classification", 2)["recall"]}
    expected = metrics.recall_score(y, outputs[:, 1] >= 0.25)
    assert evaluate(outputs, y, recall, 0.25)[""] == pytest.approx(expected)
    assert expected > evaluate(outputs, y, recall)[""]


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


def test_the_metric_in_config_yaml_is_found_or_refused() -> None:
    assert next(iter(list_metrics(None, "classification"))) == "roc_auc"
    assert next(iter(list_metrics("f1_macro", "classification"))) == "f1_macro"
    with pytest.raises(UserError, match="'mae' is not for a classification"):
        list_metrics("mae", "classification")
    with pytest.raises(UserError, match="'recall' is not for 3 classes"):
        list_metrics("recall", "classification", 3)
    with pytest.raises(UserError, match=r"acuracy.*nearest is 'accuracy'"):
        list_metrics("acuracy", "classification")


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
    assert np.isnan(
        estimate_interval(one, np.array([0, 1, 0, 1, 1]), ACCURACY, 0)
    ).all()


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
    assert worst["score"] == pytest.approx(
        np.mean(outputs[bad].argmax(axis=1) == y[bad])
    )
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


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.9, "0.900"),
        (55384.2, "55,384"),
        (0.0912, "0.0912"),
        (-12.34, "-12.3"),
        (0, "0"),
    ],
)
def test_numbers_are_shown_as_people_write_them(value: float, shown: str) -> None:
    assert format_number(value) == shown
