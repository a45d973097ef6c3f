"""What is to be known of a trained model: how good it is, for whom, by what, and from what."""

import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import auc, confusion_matrix, confusion_matrix_at_thresholds
from sklearn.pipeline import Pipeline

from ..config import Config, Task, TrainingConfig
from ..evaluation import (
    Metric,
    estimate_interval,
    evaluate,
    evaluate_segments,
    find_scorer,
    predict_baseline,
    rank_features,
)
from ..model_training import Dataset
from ..prediction import Outputs, name_label, predict_features
from ..utils import fingerprint

RARE = 0.1  # a class with a smaller share of the rows is told of
FEW = 200  # rows of the test, below which its metrics say little
SHOWN = 20  # slices
MOST_CURVES, MOST_POINTS, MOST_CLASSES, MOST_SAMPLES = 6, 200, 10, 500
MOST_BINS, BIN_ROWS = 10, 25
NORMAL_95 = 1.96


def describe(
    dataset: Dataset,
    model: str,
    pipeline: Pipeline,
    outputs_of: Outputs,
    metrics: Mapping[str, Metric],
    config: TrainingConfig,
    data: Path,
) -> dict[str, Any]:
    """Return the facts about a model that follow from its data and settings alone.

    Metrics are those of the saved model's own answers, `outputs_of`.
    """
    table, split, seed = dataset.table, dataset.split, config.random_seed
    name, metric = next(iter(metrics.items()))
    X_test, y_test = dataset.X_test, dataset.y_test
    outputs = predict_features(outputs_of, X_test)
    baseline = predict_baseline(dataset.y_train, len(y_test), len(dataset.labels))
    segments = dataset.rows.iloc[split.test][
        table.categories if config.slices is None else config.slices
    ]
    facts: dict[str, Any] = {
        "model": model,
        "task": table.task,
        "target": table.target.name,
        "target_description": table.target.description,
        "settings": config.settings.get(model, {}),
        "random_seed": seed,
        "metric": name,
        "metrics": evaluate(outputs, y_test, metrics),
        "intervals": {name: estimate_interval(outputs, y_test, metric, seed)},
        "baseline": evaluate(baseline, y_test, metrics),
        "words": {key: (each.title, explain(each)) for key, each in metrics.items()},
        "split": describe_split(dataset, config),
        "train_rows": len(split.train),
        "test_rows": len(split.test),
        "data": {
            "sha256": fingerprint(data),
            "rows": len(dataset.rows),
            "columns": len(table.features),
            "dates": find_periods(dataset.rows),
        },
        "classes": count_classes(dataset),
        "importance": rank_features(
            pipeline,
            lambda X: predict_features(outputs_of, X),
            X_test,
            y_test,
            find_scorer(metric, len(dataset.labels)),
            seed,
        ),
        "slices": evaluate_segments(segments, outputs, y_test, metric)[:SHOWN],
    }
    return facts | {"notes": list_notes(facts, metric)}


def explain(metric: Metric) -> str:
    """Say what a metric means, and whether more of it is better."""
    better = "higher" if metric.sign > 0 else "lower"
    return f"{metric.meaning}; {better} is better"


def describe_origin(
    about: Mapping[str, Any],
    data: Path,
    dataset: Dataset,
    outputs_of: Outputs,
    config: Config,
) -> dict[str, Any]:
    """Return where a model comes from, and what its figures show."""
    outputs = predict_features(outputs_of, dataset.X_test)
    date = datetime.fromtimestamp(data.stat().st_mtime, UTC).date()
    return {
        "curves": measure_curves(dataset.y_test, outputs, dataset.table.task),
        "config": fingerprint(config.root / "config.yaml"),
        "schema": fingerprint(config.schema_file),
        "git": read_commit(config.root),
        "data": {**about["data"], "path": data.as_posix(), "date": str(date)},
    }


def describe_split(dataset: Dataset, config: TrainingConfig) -> dict[str, Any]:
    """Say how the test rows were chosen; by time also since which day."""
    if config.date:
        first = dataset.rows[config.date].iloc[dataset.split.test].min()
        return {"kind": "time", "column": config.date, "since": str(first.date())}
    kind = "group" if config.group else "random"
    return {"kind": kind, "column": config.group, "since": None}


def find_periods(frame: pd.DataFrame) -> dict[str, list[str]]:
    """Return the first and the last day of each column of dates."""
    known = {
        name: values.dropna()
        for name, values in frame.select_dtypes("datetime").items()
    }
    ends = {
        str(name): [days.min(), days.max()] for name, days in known.items() if len(days)
    }
    return {name: [str(day.date()) for day in days] for name, days in ends.items()}


def count_classes(dataset: Dataset) -> dict[str, float]:
    """Return the share of each class in all rows."""
    shares = np.bincount(dataset.y) / len(dataset.y) if dataset.labels else []
    names = [name_label(label) for label in dataset.labels]
    return dict(zip(names, map(float, shares), strict=True))


def list_notes(facts: Mapping[str, Any], metric: Metric) -> list[str]:
    """Say what to know before trusting the metrics, each in a sentence."""
    notes, name, classes = [], facts["metric"], facts["classes"]
    rarest = min(classes, key=classes.get, default="")
    if classes and classes[rarest] < RARE:
        notes.append(
            f"Only {classes[rarest]:.2%} of the rows are {rarest}: look at "
            "balanced_accuracy and roc_auc, not accuracy. `--set class_weight=balanced` "
            "finds more of them, but its probabilities are too high."
        )
    if facts["test_rows"] < FEW:
        rows = facts["test_rows"]
        notes.append(f"The test has only {rows} rows: look at the interval.")
    low, high = facts["intervals"][name]
    worst_case = low if metric.sign > 0 else high
    if not metric.sign * worst_case > metric.sign * facts["baseline"][name]:
        notes.append(f"By {name} the model is not clearly better than the baseline.")
    if "log_loss" in facts["metrics"]:
        loss, of_baseline = facts["metrics"]["log_loss"], facts["baseline"]["log_loss"]
        if loss > of_baseline:
            notes.append(
                f"Its probabilities are worse than the baseline's: log_loss {loss:.3g}, "
                f"baseline {of_baseline:.3g}. Compare: `uv run train --model all`."
            )
    return notes


def read_commit(folder: Path) -> dict[str, Any] | None:
    """Return the commit that a folder is at, and whether files were changed since."""

    def git(*words: str) -> str:
        result = subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, text=True
        )
        return result.stdout.strip() if result.returncode == 0 else ""

    try:
        commit = git("rev-parse", "HEAD")
    except FileNotFoundError:  # git is not installed
        return None
    return (
        {"commit": commit, "dirty": bool(git("status", "--porcelain"))}
        if commit
        else None
    )


def measure_curves(
    target: NDArray[Any], outputs: NDArray[Any], task: Task
) -> dict[str, Any]:
    """Return what the figures show of the test rows, as plain JSON of limited size.

    `outputs` are probabilities, shape (rows, classes), or numbers, shape (rows,).
    """
    if task == "regression":
        return measure_errors(np.asarray(target, float), np.asarray(outputs, float))
    rows = np.bincount(target, minlength=outputs.shape[1])
    likeliest = outputs.argmax(axis=1)
    if len(rows) == 2:
        chosen, rarer = [1], [int(rows[1] <= rows[0])]
        calibration = measure_calibration(target == 1, outputs[:, 1])
    else:
        chosen = rarer = np.argsort(-rows, kind="stable")[:MOST_CURVES].tolist()
        calibration = measure_calibration(target == likeliest, outputs.max(axis=1))
    traced = {
        c: trace(target == c, outputs[:, c]) for c in {*chosen, *rarer} if rows[c]
    }
    return {
        "rows": rows.tolist(),
        "roc": [
            {"class": c, **traced[c][0]}
            for c in chosen
            if rows[c] not in (0, len(target))
        ],
        "precision_recall": [{"class": c, **traced[c][1]} for c in rarer if rows[c]],
        "calibration": calibration,
        "confusion": count_confusions(target, likeliest, rows),
    }


def trace(
    truth: NDArray[np.bool_], score: NDArray[Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the ROC curve and the precision-recall curve of one class against the rest."""
    _, false, _, true, _ = confusion_matrix_at_thresholds(truth, score)
    alarms = np.append(0, false / max(1, false[-1]))
    recall = np.append(0, true / true[-1])
    precision = np.append(1, true / (true + false))
    average = np.sum(np.diff(recall) * precision[1:])
    return thin(alarms, recall, auc(alarms, recall)), thin(recall, precision, average)


def thin(x: NDArray[Any], y: NDArray[Any], area: float) -> dict[str, Any]:
    """Return a curve with few points, evenly along its length, and the area below all of it."""
    length = np.append(0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y))))
    steps = np.searchsorted(length, np.linspace(0, length[-1], MOST_POINTS))
    kept = np.unique([0, *steps, len(x) - 1])
    return {"area": short(area), "x": short(x[kept]), "y": short(y[kept])}


def measure_calibration(
    truth: NDArray[np.bool_], score: NDArray[Any]
) -> dict[str, Any]:
    """Return by bins of about as many rows: the mean probability, and how often it came true.

    `low` and `high` are the 95 % interval of the latter (Wilson, 1927).
    """
    bins = cut(score)
    rows = np.bincount(bins)
    share = np.bincount(bins, truth) / rows
    spread = NORMAL_95 * np.sqrt(
        share * (1 - share) / rows + (NORMAL_95 / rows / 2) ** 2
    )
    middle, whole = share + NORMAL_95**2 / rows / 2, 1 + NORMAL_95**2 / rows
    return {
        "rows": rows.tolist(),
        "x": short(np.bincount(bins, score) / rows),
        "y": short(share),
        "low": short(np.maximum(0, (middle - spread) / whole)),
        "high": short((middle + spread) / whole),
    }


def cut(values: NDArray[Any]) -> NDArray[np.intp]:
    """Number the bins of values, cut at their quantiles; equal values share one, none is empty."""
    count = int(np.clip(len(values) / BIN_ROWS, 1, MOST_BINS))
    inner = np.quantile(values, np.linspace(0, 1, count + 1)[1:-1])
    return np.unique(np.searchsorted(inner, values), return_inverse=True)[1]


def count_confusions(
    target: NDArray[Any], likeliest: NDArray[Any], rows: NDArray[Any]
) -> dict[str, Any]:
    """Count the rows of each class by what was predicted; of many classes the rare ones as one."""
    every = confusion_matrix(target, likeliest, labels=range(len(rows)))
    order = np.argsort(-rows, kind="stable")
    kept = (
        np.sort(order[:MOST_CLASSES])
        if len(rows) > MOST_CLASSES + 1
        else np.arange(len(rows))
    )
    place = np.full(len(rows), len(kept))
    place[kept] = np.arange(len(kept))
    counts = np.zeros((place.max() + 1,) * 2, int)
    np.add.at(counts, (place[:, None], place), every)
    wrong = every * (1 - np.eye(len(rows), dtype=int))
    worst = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CLASSES]
    pairs = [
        divmod(int(position), len(rows)) for position in worst if wrong.flat[position]
    ]
    mistakes = [
        {"actual": a, "predicted": p, "rows": int(wrong[a, p])} for a, p in pairs
    ]
    return {"classes": kept.tolist(), "counts": counts.tolist(), "mistakes": mistakes}


def measure_errors(target: NDArray[Any], predicted: NDArray[Any]) -> dict[str, Any]:
    """Return predicted and actual numbers of some rows, and by bins the quantiles of the errors."""
    error, bins = target - predicted, cut(predicted)
    groups = [bins == each for each in range(bins.max() + 1)]
    quantiles = np.array(
        [np.quantile(error[group], [0.1, 0.5, 0.9]) for group in groups]
    )
    kept = np.unique(np.linspace(0, len(target) - 1, MOST_SAMPLES).astype(int))
    return {
        "sample": {"predicted": short(predicted[kept]), "actual": short(target[kept])},
        "errors": {
            "rows": np.bincount(bins).tolist(),
            "x": short([predicted[group].mean() for group in groups]),
            **{
                name: short(quantiles[:, at])
                for at, name in enumerate(["low", "middle", "high"])
            },
        },
    }


def short(values: Any) -> Any:
    """Return a number, or a list of them, with the five digits that a figure can show."""
    return (
        [short(v) for v in values] if np.ndim(values) else float(f"{float(values):.5g}")
    )
