"""Describe a trained model: how good it is, for which rows, and what it comes from."""

import json
import platform
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.dummy import DummyRegressor
from sklearn.inspection import permutation_importance

from ..config import Config, TrainingConfig
from ..evaluation import Metric, evaluate, predict_baseline, score_outputs
from ..model_training import Dataset
from ..prediction import Predict, name_label, predict_features
from ..utils import fingerprint
from .leaks import find_separators

RARE_SHARE = 0.1  # share of the rows; with a rarer class accuracy is misleading
FEW_TEST_ROWS = 200  # with fewer, metrics are imprecise
SHUFFLED_ROWS, SAMPLED_ROWS = 2_000, 20_000
RESAMPLES, RESAMPLED_ROWS = 200, 2_000
FEWEST_RESAMPLED_ROWS = 10
SEGMENT_RESAMPLES = 50
MOST_SEGMENTS, MOST_SEGMENT_VALUES = 10, 20
FEWEST_SEGMENT_ROWS = 30
SHUFFLES = 5
PACKAGES = ("scikit-learn", "skl2onnx", "onnx", "onnxruntime", "pandas", "numpy")


def describe_model(
    dataset: Dataset,
    model: str,
    predict: Predict,
    outputs: np.ndarray,
    metrics: dict,
    threshold: float | None,
    config: TrainingConfig,
) -> dict:
    """Return what follows from the data and the settings alone, as plain values.

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

    return as_json({**facts, "notes": _list_notes(facts, dataset)})


def _describe_metric(metric: Metric) -> tuple:
    """Return the title of a metric, and what it means."""
    better = "higher" if metric.sign > 0 else "lower"
    return metric.title, f"{metric.meaning}; {better} is better"


def _describe_data(dataset: Dataset, config: TrainingConfig) -> dict:
    """Return what a model was trained and tested on."""
    table, rows, split = dataset.table, dataset.rows, dataset.split
    since = None
    if config.date:
        since = str(rows[config.date].iloc[split.test].min().date())

    dates = rows.select_dtypes("datetime").agg(["min", "max"]).dropna(axis=1)
    labels = enumerate(map(name_label, dataset.labels))

    return {
        "task": table.task,
        "target": table.target.name,
        "target_description": table.target.description,
        "split": {
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
        notes.append(
            f"Only {classes[rarest]:.2%} of the rows are {rarest}: look at "
            "balanced_accuracy and roc_auc, not accuracy. If there are two classes, "
            "training.threshold in config.yaml can find more of the rarer one."
        )

    if rows < FEW_TEST_ROWS:
        notes.append(f"The test set has only {rows} rows: look at the interval.")
    if not facts["beats_baseline"]:
        notes.append(f"By {metric} the model is not clearly better than the baseline.")

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


def as_json(value: Any) -> Any:
    """Return plain values for JSON; numbers have eight digits, so that the order in
    which processors add does not show. What is not defined is null.
    """
    return json.loads(
        json.dumps(value, default=str),
        parse_float=lambda text: float(f"{float(text):.8g}"),
        parse_constant=lambda _: None,
    )


def estimate_interval(
    score: Callable, rows: np.ndarray, resamples: int = RESAMPLES
) -> tuple:
    """Return the 95 % confidence interval of a score of rows, by the bootstrap.

    See Efron, "Bootstrap methods", 1979. If only some rows are drawn, it is narrowed to
    what all of them would give (Bickel, Götze and van Zwet, "Resampling fewer than n
    observations", 1997). With fewer than ten rows it is NaN.
    """
    random = np.random.default_rng(0)
    size = min(len(rows), RESAMPLED_ROWS)
    scores = [score(random.choice(rows, size)) for _ in range(resamples)]
    if len(rows) < FEWEST_RESAMPLED_ROWS or np.isnan(scores).all():
        return np.nan, np.nan

    value = score(rows)
    ends = np.nanquantile(scores, [0.025, 0.975])
    low, high = value + (ends - value) * np.sqrt(size / len(rows))

    return low, high


def evaluate_segments(segments: pd.DataFrame, score: Callable, sign: int) -> list:
    """Evaluate the rows of each value of each column apart, the worst first.

    Columns with many values and values with few rows are left out. The `sign` is -1 if
    a lower score is better.
    """
    found: list = []
    for column in segments:
        values = segments[column].astype("string").fillna("missing")
        groups = values.groupby(values).indices
        if len(groups) <= MOST_SEGMENT_VALUES:
            found += [
                {"column": column, "value": value, "rows": rows, "score": score(rows)}
                for value, rows in groups.items()
                if len(rows) >= FEWEST_SEGMENT_ROWS
            ]

    found = [each for each in found if not np.isnan(each["score"])]
    worst = sorted(found, key=lambda each: sign * each["score"])[:MOST_SEGMENTS]

    for each in worst:
        each["interval"] = estimate_interval(score, each["rows"], SEGMENT_RESAMPLES)
        each["rows"] = len(each["rows"])

    return worst


def rank_features(score: Callable, X: pd.DataFrame) -> list:
    """Return by how much the score gets worse when a feature is shuffled.

    This is permutation importance (Breiman, "Random forests", 2001), largest first. A
    higher score must be better.
    """
    found = permutation_importance(
        DummyRegressor(),  # not used: `score` knows the model
        X,
        None,
        scoring=lambda _, X, y: score(X),
        n_repeats=SHUFFLES,
        random_state=0,
    )
    ranked = pd.DataFrame(
        {
            "feature": X.columns,
            "importance": found.importances_mean,
            "standard_deviation": found.importances_std,
        }
    )

    return ranked.sort_values("importance", ascending=False).to_dict("records")


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


def read_commit(folder: Path) -> str | None:
    """Return the commit that a folder is at, with -dirty if files were changed."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    except FileNotFoundError:  # git is not installed
        return None

    return result.stdout.strip() or None
