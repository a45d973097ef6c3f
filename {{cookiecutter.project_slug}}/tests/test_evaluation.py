import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from {{ cookiecutter.project_slug }}.evaluation import (
    calculate_roc_auc,
    evaluate,
    evaluate_baseline,
    format_metrics,
)

FEATURES = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0]})
CLASSES = np.array([0, 0, 1, 1])
NUMBERS = np.array([1.0, 3.0, 5.0, 7.0])


def test_a_perfect_classifier() -> None:
    model = LogisticRegression(C=1e6).fit(FEATURES, CLASSES)
    metrics = evaluate(model, FEATURES, CLASSES, "classification")
    assert metrics["accuracy"] == metrics["roc_auc"] == 1
    assert metrics["log_loss"] == pytest.approx(0, abs=1e-3)


def test_a_perfect_regression() -> None:
    model = LinearRegression().fit(FEATURES, NUMBERS)
    metrics = evaluate(model, FEATURES, NUMBERS, "regression")
    assert metrics == pytest.approx({"rmse": 0, "mae": 0, "r2": 1}, abs=1e-9)


def test_the_baseline_guesses_the_most_frequent_class_or_the_mean() -> None:
    train = np.array([0, 0, 0, 1])
    metrics = evaluate_baseline(train, CLASSES, "classification")
    assert metrics["accuracy"] == metrics["roc_auc"] == 0.5
    metrics = evaluate_baseline(NUMBERS, NUMBERS, "regression")
    assert metrics["rmse"] == pytest.approx(5**0.5)
    assert metrics["r2"] == pytest.approx(0)


def test_roc_auc_of_several_classes_is_the_mean_and_skips_an_absent_class() -> None:
    probabilities = np.eye(3)[[0, 1, 1, 1]]
    assert calculate_roc_auc(np.array([0, 1, 1, 1]), probabilities) == 1
    mixed = calculate_roc_auc(np.array([0, 1, 2, 1]), probabilities)
    assert mixed == pytest.approx((1 + 0.75 + 0.5) / 3)
    assert np.isnan(calculate_roc_auc(np.array([0, 0]), probabilities[:2]))


def test_format_metrics_is_one_line() -> None:
    assert format_metrics({"accuracy": 0.83114, "rmse": 123.456}) == "accuracy 0.8311, rmse 123.5"
