"""Choose the threshold above which the positive class is predicted."""

import numpy as np
from sklearn.metrics import confusion_matrix_at_thresholds

from ..config import Threshold, TrainingConfig
from ..evaluation import predict_outputs
from ..model_training import Dataset, build_pipeline, folds_of
from ..prediction import STEPS
from ..utils import UserError


def check_threshold(dataset: Dataset, config: TrainingConfig) -> None:
    """Refuse a threshold for anything but two classes."""
    if config.threshold and len(dataset.labels) != 2:
        count = len(dataset.labels)
        what = f"has {count} classes" if count else "is a number"
        raise UserError(
            f"config.yaml: training.threshold is for two classes, and the target {what}"
        )


def choose_threshold(
    dataset: Dataset, model: str, config: TrainingConfig
) -> float | None:
    """Return the threshold that config.yaml asks for, or None for the likelier class.

    A rule is applied to predictions for the training rows, each by a model that was
    fitted on the other folds.
    """
    rule = config.threshold
    if rule is None:
        return None
    if rule.value is not None:
        return rule.value
    y, outputs = predict_out_of_fold(dataset, model, config)
    return find_threshold(y, outputs[:, 1], rule)


def predict_out_of_fold(
    dataset: Dataset, model: str, config: TrainingConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Return the targets of the training rows, and a model's outputs for them."""
    X, y = dataset.X_train, dataset.y_train
    targets, outputs = [], []
    for train, test in folds_of(dataset, config):
        pipeline = build_pipeline(model, dataset.table.task, X, config)
        pipeline.fit(X.iloc[train], y[train])
        targets.append(y[test])
        outputs.append(predict_outputs(pipeline, X.iloc[test], len(dataset.labels)))
    return np.concatenate(targets), np.concatenate(outputs)


def find_threshold(y: np.ndarray, probabilities: np.ndarray, rule: Threshold) -> float:
    """Return the threshold that fits a rule best.

    For a recall it is the highest that reaches it, for a precision the lowest, for
    costs the cheapest. Raises UserError if none reaches the precision.
    """
    _, false_positives, false_negatives, true_positives, thresholds = (
        confusion_matrix_at_thresholds(y, probabilities)
    )
    if rule.cost:
        costs = rule.cost.false_positive * false_positives
        costs = costs + rule.cost.false_negative * false_negatives
        position = int(np.argmin(costs))
    elif rule.recall:
        recalls = true_positives / (true_positives + false_negatives)
        position = int(np.argmax(recalls >= rule.recall))
    else:
        precisions = true_positives / (true_positives + false_positives)
        reached = np.flatnonzero(precisions >= (rule.precision or 0))
        if len(reached) == 0:
            raise UserError(
                f"config.yaml: training.threshold: no threshold has a precision of "
                f"{rule.precision}; the best has {precisions.max():.3f}"
            )
        position = int(reached[-1])
    return float(np.floor(thresholds[position] * STEPS) / STEPS)
