"""Say how good a model is, beside the simplest guess one could make."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error, r2_score, roc_auc_score

from .config import Task
from .utils import calculate_rmse


def evaluate(
    pipeline: Any, features: ArrayLike, target: NDArray[Any], task: Task
) -> dict[str, float]:
    """Return the metrics of a fitted model on rows it has not seen.

    Classification: accuracy, roc_auc (of several classes: the mean of one against the rest),
    log_loss. Regression: rmse and mae in the target's unit, r2.
    """
    if task == "regression":
        predicted = pipeline.predict(features)
        return {
            "rmse": calculate_rmse(target, predicted),
            "mae": float(mean_absolute_error(target, predicted)),
            "r2": float(r2_score(target, predicted)),
        }
    probabilities = pipeline.predict_proba(features)
    classes = np.arange(probabilities.shape[1])
    return {
        "accuracy": float(accuracy_score(target, probabilities.argmax(axis=1))),
        "roc_auc": calculate_roc_auc(target, probabilities),
        "log_loss": float(log_loss(target, probabilities, labels=classes)),
    }


def calculate_roc_auc(target: NDArray[Any], probabilities: NDArray[Any]) -> float:
    """Return the area under the ROC curve, the mean over the classes that are in the target."""
    classes = [1] if probabilities.shape[1] == 2 else range(probabilities.shape[1])
    present = [code for code in classes if 0 < np.mean(target == code) < 1]
    areas = [roc_auc_score(target == code, probabilities[:, code]) for code in present]
    return float(np.mean(areas)) if areas else float("nan")


def evaluate_baseline(
    train_target: NDArray[Any], test_target: NDArray[Any], task: Task
) -> dict[str, float]:
    """Return the metrics of always guessing the classes' shares, or the mean."""
    guess = DummyRegressor() if task == "regression" else DummyClassifier(strategy="prior")
    guess.fit(np.zeros((len(train_target), 1)), train_target)
    return evaluate(guess, np.zeros((len(test_target), 1)), test_target, task)


def format_metrics(metrics: dict[str, float]) -> str:
    """Return the metrics as one line of text."""
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
