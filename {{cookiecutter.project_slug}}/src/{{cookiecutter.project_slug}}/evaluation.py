"""Say how good a model is: beside the simplest guess, how surely, and for whom it is worst."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.inspection import permutation_importance
from sklearn.metrics import log_loss, mean_absolute_error, r2_score, recall_score, roc_auc_score

from .config import Task
from .utils import UserError, calculate_rmse

METRICS: dict[Task, tuple[str, ...]] = {  # the first is the headline, if config.yaml names none
    "classification": ("roc_auc", "accuracy", "balanced_accuracy", "log_loss"),
    "regression": ("rmse", "mae", "r2"),
}
LESS_IS_BETTER = {"log_loss", "rmse", "mae"}
RESAMPLES, RESAMPLED_ROWS = 200, 2_000
SHUFFLED_ROWS, SHUFFLES = 2_000, 5
SLICE_ROWS, SLICE_VALUES = 30, 20  # the fewest rows of a slice, the most values of its column


def predict_outputs(pipeline: Any, features: NDArray[Any], classes: int) -> NDArray[np.float64]:
    """Return a fitted model's numbers, shape (rows,), or probabilities, shape (rows, classes).

    A class that it has not seen is never likely.
    """
    if not classes:
        return np.asarray(pipeline.predict(features), float)
    outputs = np.zeros((len(features), classes))
    outputs[:, pipeline.classes_] = pipeline.predict_proba(features)
    return outputs


def evaluate(target: NDArray[Any], outputs: NDArray[Any]) -> dict[str, float]:
    """Return the metrics of a model's outputs on rows it has not seen.

    Probabilities, shape (rows, classes): accuracy, balanced_accuracy (the mean over the classes),
    roc_auc (of several classes: the mean of one against the rest), log_loss. Numbers, shape
    (rows,): rmse and mae in the target's unit, r2.
    """
    if outputs.ndim == 1:
        return {
            "rmse": calculate_rmse(target, outputs),
            "mae": float(mean_absolute_error(target, outputs)),
            "r2": float(r2_score(target, outputs)) if len(target) > 1 else float("nan"),
        }
    best, present = outputs.argmax(axis=1), np.unique(target)
    recalls = recall_score(target, best, labels=present, average="macro", zero_division=0)
    return {
        "accuracy": float(np.mean(best == target)),
        "balanced_accuracy": float(recalls),
        "roc_auc": calculate_roc_auc(target, outputs),
        "log_loss": float(log_loss(target, outputs, labels=np.arange(outputs.shape[1]))),
    }


def calculate_roc_auc(target: NDArray[Any], probabilities: NDArray[Any]) -> float:
    """Return the area under the ROC curve, the mean over the classes that are in the target."""
    classes = [1] if probabilities.shape[1] == 2 else range(probabilities.shape[1])
    present = [code for code in classes if 0 < np.mean(target == code) < 1]
    areas = [roc_auc_score(target == code, probabilities[:, code]) for code in present]
    return float(np.mean(areas)) if areas else float("nan")


def guess(train_target: NDArray[Any], rows: int, classes: int) -> NDArray[np.float64]:
    """Return the baseline's outputs: always the classes' shares, or the mean."""
    dummy = DummyClassifier(strategy="prior") if classes else DummyRegressor()
    dummy.fit(np.zeros((len(train_target), 1)), train_target)
    return predict_outputs(dummy, np.zeros((rows, 1)), classes)


def find_metric(name: str | None, task: Task) -> str:
    """Return the metric that counts most."""
    if name and name not in METRICS[task]:
        known = ", ".join(METRICS[task])
        raise UserError(f"config.yaml: training.metric: no {name!r} for a {task}; one of {known}")
    return name or METRICS[task][0]


def merit(value: float, metric: str) -> float:
    """Return how good a value of the metric is: the more, the better. Twice gives the value."""
    return -value if metric in LESS_IS_BETTER else value


def estimate_intervals(
    target: NDArray[Any], outputs: NDArray[Any], seed: int
) -> dict[str, tuple[float, float]]:
    """Return of each metric the interval that holds it with 95 % confidence, by the bootstrap.

    The metric is calculated again on rows drawn with replacement (Efron, "Bootstrap methods",
    1979). Of many rows fewer are drawn, and the spread is made as much smaller as it would be with
    all of them (Bickel, Götze and van Zwet, "Resampling fewer than n observations", 1997).
    """
    rows, draw = len(target), np.random.default_rng(seed)
    drawn = min(rows, RESAMPLED_ROWS)
    samples = [draw.integers(rows, size=drawn) for _ in range(RESAMPLES)]
    tries = pd.DataFrame([evaluate(target[sample], outputs[sample]) for sample in samples])
    metrics, shrink = pd.Series(evaluate(target, outputs)), np.sqrt(drawn / rows)
    low, high = (metrics + (tries.quantile(q) - metrics) * shrink for q in (0.025, 0.975))
    return {name: (float(low[name]), float(high[name])) for name in metrics.index}


def evaluate_slices(
    frame: pd.DataFrame, target: NDArray[Any], outputs: NDArray[Any], metric: str
) -> list[dict[str, Any]]:
    """Evaluate the rows of each value of each column of the frame apart, the worst first.

    Left out are columns with very many values, values with few rows, and those whose rows have one
    class only where the metric needs several.
    """
    slices = []
    for column in frame:
        values = frame[column].astype("string").fillna("missing").to_numpy()
        sizes = pd.Series(values).value_counts()
        for value in sizes.index[sizes >= SLICE_ROWS] if len(sizes) <= SLICE_VALUES else []:
            rows = values == value
            metrics = evaluate(target[rows], outputs[rows])
            place = {"column": column, "value": value, "rows": int(sizes[value])}
            slices.append(place | {"score": metrics[metric]})
    known = [each for each in slices if not np.isnan(each["score"])]
    return sorted(known, key=lambda each: merit(each["score"], metric))


def rank_features(
    pipeline: Any,
    outputs: Callable[[NDArray[Any]], NDArray[Any]],
    features: NDArray[Any],
    target: NDArray[Any],
    names: Sequence[str],
    metric: str,
    seed: int,
) -> list[dict[str, Any]]:
    """Return by how much the metric gets worse when a feature is shuffled, the most first.

    Permutation importance (Breiman, "Random forests", 2001), on as many rows as give a good idea.
    """
    rows = np.random.default_rng(seed).permutation(len(target))[:SHUFFLED_ROWS]

    def score(_: Any, shuffled: NDArray[Any], actual: NDArray[Any]) -> float:
        return merit(evaluate(actual, outputs(shuffled))[metric], metric)

    found = permutation_importance(
        pipeline, features[rows], target[rows], scoring=score, n_repeats=SHUFFLES, random_state=seed
    )
    ranked = zip(names, found.importances_mean, found.importances_std, strict=True)
    return [
        {"feature": name, "loss": float(loss), "spread": float(spread)}
        for name, loss, spread in sorted(ranked, key=lambda each: -each[1])
    ]


def format_metrics(metrics: Mapping[str, float]) -> str:
    """Return the metrics as one line of text."""
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
