"""What is to be known of a trained model: how good it is, for whom, by what, and from what."""

import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from {{ cookiecutter.project_slug }}.config import TrainingConfig
from {{ cookiecutter.project_slug }}.evaluation import (
    estimate_intervals,
    evaluate_slices,
    rank_features,
)
from {{ cookiecutter.project_slug }}.feature_engineering import feature_names
from {{ cookiecutter.project_slug }}.model_training import Trained
from {{ cookiecutter.project_slug }}.prediction import Outputs, name_label
from {{ cookiecutter.project_slug }}.utils import fingerprint

RARE = 0.1  # a class with a smaller share of the rows is told of
FEW = 200  # rows of the test, below which its metrics say little
SHOWN = 20  # features and slices


def describe(
    trained: Trained, answer: Outputs, metric: str, config: TrainingConfig
) -> dict[str, Any]:
    """Return the facts about a model that follow from its data and settings alone.

    `answer` is the saved model's own function, from features to outputs.
    """
    table, split, seed = trained.table, trained.split, config.random_seed
    test, target = trained.frame.iloc[split.test], trained.target[split.test]
    categories = [c.name for c in table.features if c.kind in ("category", "boolean")]
    slices = test[categories if config.slices is None else config.slices]
    names = feature_names(table.features)
    features = trained.features[split.test]
    facts = {
        "model": trained.model,
        "task": table.task,
        "target": table.target.name,
        "target_description": table.target.description,
        "settings": config.settings.get(trained.model, {}),
        "random_seed": seed,
        "metric": metric,
        "metrics": trained.metrics,
        "intervals": estimate_intervals(target, trained.outputs, seed),
        "baseline": trained.baseline,
        "split": describe_split(trained, config),
        "train_rows": len(split.train),
        "test_rows": len(split.test),
        "data": {"rows": len(trained.frame), "columns": len(table.features)}
        | {"dates": find_periods(trained.frame)},
        "classes": count_classes(trained),
        "importance": rank_features(
            trained.pipeline, answer, features, target, names, metric, seed
        )[:SHOWN],
        "slices": evaluate_slices(slices, target, trained.outputs, metric)[:SHOWN],
    }
    return facts | {"notes": list_notes(facts)}


def describe_split(trained: Trained, config: TrainingConfig) -> dict[str, Any]:
    """Say how the test rows were chosen; by time also since which day."""
    if trained.order.days is not None:
        first = trained.frame[config.date].iloc[trained.split.test].min()
        return {"kind": "time", "column": config.date, "since": str(first.date())}
    kind = "random" if trained.order.groups is None else "group"
    return {"kind": kind, "column": config.group, "since": None}


def find_periods(frame: pd.DataFrame) -> dict[str, list[str]]:
    """Return the first and the last day of each column of dates."""
    known = {name: values.dropna() for name, values in frame.select_dtypes("datetime").items()}
    return {
        str(name): [str(values.min().date()), str(values.max().date())]
        for name, values in known.items()
        if len(values)
    }


def count_classes(trained: Trained) -> dict[str, float]:
    """Return the share of each class in all rows."""
    counts = np.bincount(trained.target) if trained.labels else []
    shares = zip(trained.labels, counts, strict=True)
    return {name_label(label): count / len(trained.target) for label, count in shares}


def list_notes(facts: Mapping[str, Any]) -> list[str]:
    """Say what one should know before one trusts the metrics."""
    notes = []
    rarest = min(facts["classes"], key=facts["classes"].get, default=None)
    if rarest is not None and facts["classes"][rarest] < RARE:
        notes.append(
            f"only {facts['classes'][rarest]:.2%} of the rows are {rarest}: read balanced_accuracy "
            "and roc_auc, not accuracy; `--set class_weight=balanced` finds more of them, but makes "
            "their probabilities too high"
        )
    if facts["test_rows"] < FEW:
        notes.append(f"the test has {facts['test_rows']} rows only: see how wide the intervals are")
    metric = facts["metric"]
    low, high = facts["intervals"][metric]
    if low <= facts["baseline"][metric] <= high:
        notes.append(f"by {metric} the model can't be told from the baseline")
    return notes


def describe_data(path: Path) -> dict[str, Any]:
    """Return where the processed table is, what is in it, and of which day it is."""
    date = datetime.fromtimestamp(path.stat().st_mtime, UTC).date()
    return {"path": path.as_posix(), "sha256": fingerprint(path), "date": str(date)}


def read_commit(folder: Path) -> dict[str, Any] | None:
    """Return the commit that a folder is at, and whether files were changed since."""

    def git(*words: str) -> str:
        result = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True)
        return result.stdout.strip() if result.returncode == 0 else ""

    try:
        commit = git("rev-parse", "HEAD")
    except FileNotFoundError:  # git is not installed
        return None
    return {"commit": commit, "dirty": bool(git("status", "--porcelain"))} if commit else None
