"""Metrics, and the threshold."""

import numpy as np
import pytest
from sklearn import metrics

from {{ cookiecutter.project_slug }}.evaluation import evaluate, list_metrics
from {{ cookiecutter.project_slug }}.utils import UserError


def draw_outputs(classes, rows=300):
    """Draw targets, and probabilities of which many are equal."""
    random = np.random.default_rng(classes)
    y = random.integers(classes, size=rows)
    scores = random.integers(1, 4, (rows, classes)) + np.eye(classes)[y]
    return y, scores / scores.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 3])
def test_metrics_of_classes_are_those_of_scikit_learn(classes):
    y, outputs = draw_outputs(classes)
    scores = outputs[:, 1] if classes == 2 else outputs
    likeliest = outputs.argmax(axis=1)
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


def test_a_threshold_decides_what_is_predicted():
    y, outputs = draw_outputs(2)
    recall = {"": list_metrics("recall", "classification", 2)["recall"]}
    expected = metrics.recall_score(y, outputs[:, 1] >= 0.25)
    assert evaluate(outputs, y, recall, 0.25)[""] == pytest.approx(expected)
    assert expected > evaluate(outputs, y, recall)[""]


def test_the_metric_in_config_yaml_is_found_or_refused():
    assert next(iter(list_metrics(None, "classification"))) == "roc_auc"
    assert next(iter(list_metrics("f1_macro", "classification"))) == "f1_macro"
    with pytest.raises(UserError, match="'mae' is no metric for this classification"):
        list_metrics("mae", "classification")
    with pytest.raises(UserError, match="'recall' is no metric for this class"):
        list_metrics("recall", "classification", 3)
    with pytest.raises(
        UserError, match=r"'acuracy' is no metric .*nearest is 'accuracy'"
    ):
        list_metrics("acuracy", "classification")
