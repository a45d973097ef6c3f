"""Describe a trained model: how good it is, for which rows, and what it comes from."""

import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from ..config import Config, TrainingConfig
from ..evaluation import (
    Metric,
    estimate_interval,
    evaluate,
    evaluate_segments,
    find_scorer,
    format_number,
    predict_baseline,
    rank_features,
)
from ..model_training import Dataset
from ..prediction import Outputs, name_label, predict_features
from ..utils import fingerprint

RARE_SHARE = 0.1  # of the rows; a rarer class makes accuracy misleading
FEW_ROWS = 200  # in the test, which make its metrics imprecise
SAMPLED_ROWS = 20_000


def describe_model(
    dataset: Dataset,
    model: str,
    pipeline: Pipeline,
    predict: Outputs,
    outputs: np.ndarray,
    metrics: dict[str, Metric],
    threshold: float | None,
    config: TrainingConfig,
) -> dict[str, Any]:
    """Return what follows from the data and the settings alone.

    `outputs` are the saved model's own answers (`predict`) to the test rows.
    """
    name, metric = next(iter(metrics.items()))
    y_test, seed = dataset.y_test, config.random_seed
    classes = len(dataset.labels)
    baseline = predict_baseline(dataset.y_train, len(y_test), classes)
    interval = estimate_interval(outputs, y_test, metric, seed, threshold)
    facts: dict[str, Any] = {
        **describe_data(dataset, config),
        "model": model,
        "settings": config.settings.get(model, {}),
        "random_seed": seed,
        "threshold": threshold,
        "metric": name,
        "metrics": evaluate(outputs, y_test, metrics, threshold),
        "intervals": {name: interval},
        "baseline": evaluate(baseline, y_test, metrics),
        "words": {key: (each.title, explain(each)) for key, each in metrics.items()},
        "importance": rank_features(
            pipeline,
            lambda X: predict_features(predict, X),
            dataset.X_test,
            y_test,
            find_scorer(metric, classes),
            seed,
            threshold,
        ),
        "slices": describe_segments(dataset, outputs, metric, threshold, config),
    }
    notes = list_notes(facts, metric) + note_lost_digits(dataset)
    return {**facts, "notes": notes}


def describe_data(dataset: Dataset, config: TrainingConfig) -> dict[str, Any]:
    """Return what a model was trained and tested on."""
    table = dataset.table
    dates = dataset.rows.select_dtypes("datetime").dropna(axis=1, how="all")
    names = [name_label(label) for label in dataset.labels]
    shares = np.bincount(dataset.y) / len(dataset.y) if names else np.zeros(0)
    return {
        "task": table.task,
        "target": table.target.name,
        "target_description": table.target.description,
        "split": describe_split(dataset, config),
        "train_rows": len(dataset.split.train),
        "test_rows": len(dataset.split.test),
        "data": {
            "rows": len(dataset.rows),
            "columns": len(table.features),
            "dates": {
                str(name): [str(days.min().date()), str(days.max().date())]
                for name, days in dates.items()
            },
        },
        "classes": dict(zip(names, shares.tolist(), strict=True)),
    }


def describe_split(dataset: Dataset, config: TrainingConfig) -> dict[str, Any]:
    """Say how the test rows were chosen; by time also since which day."""
    split: dict[str, Any] = {"kind": "random", "column": None, "since": None}
    if config.date:
        first = dataset.rows[config.date].iloc[dataset.split.test].min()
        split |= {"kind": "time", "column": config.date, "since": str(first.date())}
    elif config.group:
        split |= {"kind": "group", "column": config.group}
    return split | {
        "lasting": dataset.split.is_lasting,
        "key": list(dataset.table.key),
        "share": config.test_share,
        "seed": config.random_seed,
    }


def describe_segments(
    dataset: Dataset,
    outputs: np.ndarray,
    metric: Metric,
    threshold: float | None,
    config: TrainingConfig,
) -> list[dict[str, Any]]:
    """Evaluate the values of some columns apart, on some of the test rows."""
    columns = dataset.table.categories if config.slices is None else config.slices
    random = np.random.default_rng(config.random_seed)
    drawn = random.permutation(len(outputs))[:SAMPLED_ROWS]
    segments = dataset.rows[columns].iloc[dataset.split.test[drawn]]
    y, seed = dataset.y_test[drawn], config.random_seed
    return evaluate_segments(segments, outputs[drawn], y, metric, seed, threshold)


def explain(metric: Metric) -> str:
    """Say what a metric means, and whether higher or lower is better."""
    better = "higher" if metric.sign > 0 else "lower"
    return f"{metric.meaning}; {better} is better"


def beats_baseline(facts: Mapping[str, Any], metric: Metric) -> bool:
    """Whether a model is clearly better than the baseline.

    With few test rows intervals are wide, and it is enough to be better on them.
    """
    name = facts["metric"]
    low, high = facts["intervals"][name]
    worst_case = low if metric.sign > 0 else high
    if facts["test_rows"] < FEW_ROWS:
        worst_case = facts["metrics"][name]
    return bool(metric.sign * (worst_case - facts["baseline"][name]) > 0)


def list_notes(facts: Mapping[str, Any], metric: Metric) -> list[str]:
    """Say what to know before trusting the metrics, each in a sentence."""
    notes, name, classes = [], facts["metric"], facts["classes"]
    rarest = min(classes, key=classes.get, default="")
    if classes and classes[rarest] < RARE_SHARE:
        notes.append(
            f"Only {classes[rarest]:.2%} of the rows are {rarest}: look at "
            "balanced_accuracy and roc_auc, not accuracy. To find more of them, set "
            "training.threshold in config.yaml."
        )
    if facts["test_rows"] < FEW_ROWS:
        rows = facts["test_rows"]
        notes.append(f"The test set has only {rows} rows: look at the interval.")
    if not beats_baseline(facts, metric):
        notes.append(f"By {name} the model is not clearly better than the baseline.")
    loss, of_baseline = (
        facts[part].get("log_loss", 0) for part in ("metrics", "baseline")
    )
    if loss > of_baseline:
        notes.append(
            f"Its probabilities are worse than the baseline's: log_loss {loss:.3g}, "
            f"baseline {of_baseline:.3g}. Compare: `uv run train --model all`."
        )
    return notes


def note_lost_digits(dataset: Dataset) -> list[str]:
    """Name the columns whose values are too large beside their spread for float32."""
    rows = dataset.rows.iloc[dataset.split.train[:SAMPLED_ROWS]]
    lost = []
    for name in dataset.table.numbers:
        exact = rows[name].dropna().to_numpy(dtype=float)
        kept = np.unique(exact.astype(np.float32))
        if len(kept) < 0.9 * len(np.unique(exact)):
            lost.append(name)
    return [
        f"The model can't tell all values of {name!r} apart, large beside their "
        "differences. Add a feature that subtracts a constant."
        for name in lost
    ]


def describe_origin(data: Path, config: Config) -> dict[str, Any]:
    """Return where a model comes from, which may differ each time."""
    date = datetime.fromtimestamp(data.stat().st_mtime, UTC).date()
    return {
        "trained": datetime.now(UTC).isoformat(timespec="seconds"),
        "comparison": [],
        "tuning": None,
        "config": fingerprint(config.root / "config.yaml"),
        "schema": fingerprint(config.schema_file),
        "git": read_commit(config.root),
        "data": {
            "path": data.as_posix(),
            "date": str(date),
            "sha256": fingerprint(data),
        },
    }


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
    if not commit:
        return None
    return {"commit": commit, "dirty": bool(git("status", "--porcelain"))}


def show_metrics(facts: Mapping[str, Any]) -> str:
    """Return the headline metric with its interval and the baseline, in one line."""
    name = facts["metric"]
    value = facts["metrics"][name]
    low, high = (format_number(end, value) for end in facts["intervals"][name])
    baseline = format_number(facts["baseline"][name], value)
    return (
        f"{name} {format_number(value)} (95 % confidence interval {low} to {high}); "
        f"baseline {baseline}"
    )
