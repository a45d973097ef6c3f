"""Say how good a model's outputs are, by several metrics and beside a simple guess.

The metrics are written out, because scikit-learn's own functions check what they are given for
longer than they calculate, and intervals and importances ask for them hundreds of times. The
service imports this module for the words, and starts without scikit-learn.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .config import Task
from .utils import UserError, calculate_rmse

if TYPE_CHECKING:
    import pandas as pd

RESAMPLES, RESAMPLED_ROWS = 200, 2_000
SHUFFLES, SHUFFLED_ROWS = 5, 2_000
SLICE_ROWS, SLICE_VALUES = (
    30,
    20,
)  # the fewest rows of a slice, the most values of its column


class Metric(NamedTuple):
    """What a metric is called, what it means, and whether more of it is better."""

    title: str
    meaning: str
    more_is_better: bool = True


METRICS: dict[
    Task, dict[str, Metric]
] = {  # the first is the headline, if config.yaml names none
    "classification": {
        "roc_auc": Metric(
            "ROC AUC", "how well the classes are told apart, 0.5 is chance"
        ),
        "accuracy": Metric("accuracy", "share of right answers"),
        "balanced_accuracy": Metric(
            "balanced accuracy", "the same, each class counts alike"
        ),
        "log_loss": Metric("log loss", "how wrong the probabilities are", False),
    },
    "regression": {
        "rmse": Metric("RMSE", "typical error, large ones count more", False),
        "mae": Metric("MAE", "mean error", False),
        "r2": Metric("R²", "share of the spread that is explained"),
    },
}


def explain_metrics() -> dict[str, tuple[str, str]]:
    """Return of each metric what it is called and what it means, for the pages."""
    return {
        name: (title, f"{meaning}; {'more' if more_is_better else 'less'} is better")
        for metrics in METRICS.values()
        for name, (title, meaning, more_is_better) in metrics.items()
    }


def find_metric(name: str | None, task: Task) -> str:
    """Return the metric that counts most."""
    if name and name not in METRICS[task]:
        known = ", ".join(METRICS[task])
        raise UserError(
            f"config.yaml: training.metric: no {name!r} for a {task}; one of {known}"
        )
    return name or next(iter(METRICS[task]))


def merit(value: float, metric: str) -> float:
    """Return how good a value of the metric is: the more, the better. Twice gives the value."""
    (found,) = (metrics[metric] for metrics in METRICS.values() if metric in metrics)
    return value if found.more_is_better else -value


def predict_outputs(
    pipeline: Any, features: NDArray[Any], classes: int
) -> NDArray[np.float64]:
    """Return a fitted model's numbers, shape (rows,), or probabilities, shape (rows, classes).

    A class that it has not seen is never likely.
    """
    if pipeline.get_params().get("model__n_jobs") not in (None, 1):
        pipeline.set_params(
            model__n_jobs=1
        )  # threads add up the trees of a forest in any order
    if not classes:
        return np.asarray(pipeline.predict(features), float)
    outputs = np.zeros((len(features), classes))
    outputs[:, pipeline.classes_] = pipeline.predict_proba(features)
    return outputs


def guess(train_target: NDArray[Any], rows: int, classes: int) -> NDArray[np.float64]:
    """Return the baseline's outputs, which look at no feature: the classes' shares, or the mean."""
    if not classes:
        return np.full(rows, train_target.mean())
    shares = np.bincount(train_target, minlength=classes) / len(train_target)
    return np.tile(shares, (rows, 1))


def evaluate(target: NDArray[Any], outputs: NDArray[Any]) -> dict[str, float]:
    """Return the metrics of a model's outputs on rows it has not seen.

    Of numbers, shape (rows,), rmse and mae are in the target's unit. Of probabilities, shape (rows,
    classes), the target is the column of the right class.
    """
    if outputs.ndim == 1:
        return {
            "rmse": calculate_rmse(target, outputs),
            "mae": float(np.mean(np.abs(target - outputs))),
            "r2": calculate_r2(target, outputs),
        }
    right = outputs.argmax(axis=1) == target
    of_class, rows = np.bincount(target, right), np.bincount(target)
    return {
        "roc_auc": calculate_roc_auc(target, outputs),
        "accuracy": float(right.mean()),
        "balanced_accuracy": float(np.mean(of_class[rows > 0] / rows[rows > 0])),
        "log_loss": calculate_log_loss(target, outputs),
    }


def calculate_r2(target: NDArray[Any], predicted: NDArray[Any]) -> float:
    """Return the share of the target's variance that is explained; NaN if there is no variance."""
    variance = float(np.var(target))
    return (
        1 - float(np.mean((target - predicted) ** 2)) / variance
        if variance
        else float("nan")
    )


def calculate_log_loss(target: NDArray[Any], probabilities: NDArray[Any]) -> float:
    """Return the mean of -log(probability of the right class), 1e-15 at least."""
    found = probabilities[np.arange(len(target)), target]
    return float(-np.mean(np.log(np.clip(found, 1e-15, 1))))


def calculate_roc_auc(target: NDArray[Any], probabilities: NDArray[Any]) -> float:
    """Return the area under the ROC curve, the mean over the classes that are in the target.

    It is the share of all pairs of a row of the class and another row in which the first has the
    higher probability (Hanley and McNeil, 1982); one as high counts half.
    """
    classes = [1] if probabilities.shape[1] == 2 else range(probabilities.shape[1])
    areas = []
    for code in classes:
        of_class, scores = target == code, probabilities[:, code]
        inside, others = scores[of_class], np.sort(scores[~of_class])
        if len(inside) and len(others):
            below = np.searchsorted(others, inside, "left").mean()
            not_above = np.searchsorted(others, inside, "right").mean()
            areas.append((below + not_above) / 2 / len(others))
    return float(np.mean(areas)) if areas else float("nan")


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
    tries = [
        list(evaluate(target[sample], outputs[sample]).values()) for sample in samples
    ]
    metrics, shrink = evaluate(target, outputs), np.sqrt(drawn / rows)
    values = np.array(list(metrics.values()))
    ends = values + (np.nanquantile(tries, [0.025, 0.975], axis=0) - values) * shrink
    return {
        name: (low, high)
        for name, low, high in zip(metrics, *ends.tolist(), strict=True)
    }


def evaluate_slices(
    frame: "pd.DataFrame", target: NDArray[Any], outputs: NDArray[Any], metric: str
) -> list[dict[str, Any]]:
    """Evaluate the rows of each value of each column of the frame apart, the worst first.

    Left out are columns with very many values, values with few rows, and those whose rows have one
    class only where the metric needs several.
    """
    slices = []
    for column in frame:
        values = frame[column].astype("string").fillna("missing")
        sizes = values.value_counts()
        for value in (
            sizes.index[sizes >= SLICE_ROWS] if len(sizes) <= SLICE_VALUES else []
        ):
            rows = (values == value).to_numpy(bool)
            score = evaluate(target[rows], outputs[rows])[metric]
            place = {"column": column, "value": value, "rows": int(sizes[value])}
            slices.append(place | {"score": score})
    known = [each for each in slices if not np.isnan(each["score"])]
    return sorted(known, key=lambda each: merit(each["score"], metric))


def rank_features(
    pipeline: Any,
    outputs: Callable[[NDArray[np.float32]], NDArray[Any]],
    features: NDArray[np.float32],
    target: NDArray[Any],
    names: Sequence[str],
    metric: str,
    seed: int,
) -> list[dict[str, Any]]:
    """Return by how much the metric gets worse when a feature is shuffled, the most first.

    Permutation importance (Breiman, "Random forests", 2001), on as many rows as give a good idea.
    """
    from sklearn.inspection import permutation_importance  # not for the service

    rows = np.random.default_rng(seed).permutation(len(target))[:SHUFFLED_ROWS]

    def score(_: Any, shuffled: NDArray[np.float32], actual: NDArray[Any]) -> float:
        return merit(evaluate(actual, outputs(shuffled))[metric], metric)

    how: dict[str, Any] = {
        "scoring": score,
        "n_repeats": SHUFFLES,
        "random_state": seed,
    }
    found = permutation_importance(pipeline, features[rows], target[rows], **how)
    losses = found.importances_mean.tolist(), found.importances_std.tolist()
    ranked = sorted(zip(names, *losses, strict=True), key=lambda each: -each[1])
    return [
        {"feature": name, "loss": loss, "spread": spread}
        for name, loss, spread in ranked
    ]


def format_metrics(metrics: Mapping[str, float]) -> str:
    """Return the metrics as one line of text."""
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
