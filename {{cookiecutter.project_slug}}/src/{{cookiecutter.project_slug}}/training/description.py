"""Describe a trained model: how good it is, for which rows, and what it comes from."""

import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ..config import Config, TrainingConfig
from ..evaluation import Metric, evaluate, predict_baseline, score_outputs
from ..model_training import Dataset
from ..prediction import Predict, name_label, predict_features
from ..utils import fingerprint
from .intervals import estimate_interval, evaluate_segments, rank_features
from .leaks import find_separators

RARE_SHARE = 0.1  # share of the rows; with a rarer class accuracy is misleading
FEW_TEST_ROWS = 200  # with fewer, metrics are imprecise
SHUFFLED_ROWS, SAMPLED_ROWS = 2_000, 20_000
PACKAGES = ("scikit-learn", "skl2onnx", "onnx", "onnxruntime", "pandas", "numpy")


def describe_model(
    dataset: Dataset,
    model: str,
    predict: Predict,
    outputs: np.ndarray,
    metrics: dict[str, Metric],
    threshold: float | None,
    config: TrainingConfig,
) -> dict:
    """Return what follows from the data and the settings alone.

    `predict` is the saved model, and `outputs` are its answers to the test rows.
    """
    name, metric = next(iter(metrics.items()))
    y = dataset.y_test
    baseline = predict_baseline(dataset.y_train, len(y), len(dataset.labels))
    drawn = np.random.default_rng(0).permutation(len(y))[:SHUFFLED_ROWS]
    columns = dataset.table.categories if config.slices is None else config.slices
    segments = dataset.rows[columns].iloc[dataset.split.test]

    def score(rows):
        return metric.sign * score_outputs(outputs[rows], y[rows], metric, threshold)

    def score_features(X):
        return score_outputs(predict_features(predict, X), y[drawn], metric, threshold)

    X = dataset.X_test.iloc[drawn]
    facts = {
        **_describe_data(dataset, config),
        "model": model,
        "settings": config.settings.get(model, {}),
        "random_seed": config.random_seed,
        "threshold": threshold,
        "metric": name,
        "metrics": evaluate(outputs, y, metrics, threshold),
        "intervals": {name: estimate_interval(score, np.arange(len(y)))},
        "baseline": evaluate(baseline, y, metrics),
        "words": {key: _describe_metric(each) for key, each in metrics.items()},
        "importance": rank_features(score_features, X),
        "slices": evaluate_segments(segments, score, metric.sign),
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in PACKAGES},
    }
    facts["beats_baseline"] = beats_baseline(facts, metric.sign)

    return {**facts, "notes": _list_notes(facts, dataset)}


def _describe_metric(metric: Metric) -> tuple:
    """Return the title of a metric, and what it means."""
    better = "higher" if metric.sign > 0 else "lower"
    return metric.title, f"{metric.meaning}; {better} is better"


def _describe_data(dataset: Dataset, config: TrainingConfig) -> dict:
    """Return what a model was trained and tested on."""
    table, rows, split = dataset.table, dataset.rows, dataset.split
    kind = "group" if config.group else "random"
    since = None
    if config.date:
        kind = "time"
        since = str(rows[config.date].iloc[split.test].min().date())

    dates = rows.select_dtypes("datetime").agg(["min", "max"]).dropna(axis=1)
    labels = enumerate(map(name_label, dataset.labels))

    return {
        "task": table.task,
        "target": table.target.name,
        "target_description": table.target.description,
        "split": {
            "kind": kind,
            "column": config.date or config.group,
            "since": since,
            "lasting": split.is_lasting,
            "key": list(table.key),
            "share": config.test_share,
            "seed": config.random_seed,
        },
        "train_rows": len(split.train),
        "test_rows": len(split.test),
        "data": {
            "rows": len(rows),
            "columns": len(table.features),
            "dates": dates.map("{:%Y-%m-%d}".format).to_dict("list"),
        },
        "classes": {label: np.mean(dataset.y == code) for code, label in labels},
    }


def beats_baseline(facts: dict, sign: int) -> bool:
    """Whether a model is clearly better than the baseline.

    With few test rows intervals are wide, and it is enough to be better on them.
    """
    name = facts["metric"]
    ends = facts["intervals"][name]
    if facts["test_rows"] < FEW_TEST_ROWS:
        ends = [facts["metrics"][name]]

    return all(sign * (end - facts["baseline"][name]) > 0 for end in ends)


def _list_notes(facts: dict, dataset: Dataset) -> list:
    """Say what to know before trusting the metrics, each in a sentence."""
    notes = []
    classes, metric = facts["classes"], facts["metric"]
    rows = facts["test_rows"]
    rarest = min(classes, key=classes.get, default="")
    if classes.get(rarest, 1) < RARE_SHARE:
        remedy = " To find more of them, set training.threshold in config.yaml."
        notes.append(
            f"Only {classes[rarest]:.2%} of the rows are {rarest}: look at "
            "balanced_accuracy and roc_auc, not accuracy."
            + (remedy if len(classes) == 2 else "")
        )

    if rows < FEW_TEST_ROWS:
        notes.append(f"The test set has only {rows} rows: look at the interval.")
    if not facts["beats_baseline"]:
        notes.append(f"By {metric} the model is not clearly better than the baseline.")
    if classes and facts["metrics"]["log_loss"] > facts["baseline"]["log_loss"]:
        notes.append("By log_loss its probabilities are worse than the baseline's.")

    for name in find_separators(dataset.rows, dataset.y, dataset.table):
        notes.append(
            f"{name!r} tells the classes apart by itself: if it is known only together "
            "with the target, add it to `exclude` in config.yaml."
        )

    exact = dataset.rows[dataset.table.numbers].head(SAMPLED_ROWS).astype(float)
    distinct = exact.astype("float32").nunique() / exact.nunique()

    for name in distinct.index[distinct < 0.9]:
        notes.append(
            f"The model can't tell all values of {name!r} apart: they are large beside "
            "their differences. Add a feature that subtracts a constant."
        )

    return notes


def describe_origin(data: Path, config: Config) -> dict:
    """Return where a model comes from, which may differ each time."""
    return {
        "trained": datetime.now(UTC).isoformat(timespec="seconds"),
        "comparison": [],
        "tuning": None,
        "config": fingerprint(config.root / "config.yaml"),
        "schema": fingerprint(config.schema_file),
        "git": read_commit(config.root),
        "data": {"path": data.as_posix(), "sha256": fingerprint(data)},
    }


def read_commit(folder: Path) -> dict | None:
    """Return the commit that a folder is at, and whether files were changed since."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    except FileNotFoundError:  # git is not installed
        return None

    commit, dirty, _ = result.stdout.strip().partition("-dirty")

    return {"commit": commit, "dirty": bool(dirty)} if commit else None
