"""What is to be known of a trained model: how good it is, for whom, by what, and from what."""

import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.inspection import permutation_importance

from {{ cookiecutter.project_slug }}.config import TrainingConfig
from {{ cookiecutter.project_slug }}.evaluation import evaluate, merit
from {{ cookiecutter.project_slug }}.feature_engineering import feature_names
from {{ cookiecutter.project_slug }}.model_training import Trained
from {{ cookiecutter.project_slug }}.prediction import Outputs, name_label

RARE = 0.1  # a class with a smaller share of the rows is told of
FEW = 200  # rows of the test, below which its metrics say little
SHOWN = 20  # slices
SLICE_ROWS, SLICE_VALUES = 30, 20  # the fewest rows of a slice, the most values of its column
RESAMPLES, RESAMPLED_ROWS = 200, 2_000
SHUFFLES, SHUFFLED_ROWS = 5, 2_000


def describe(
    trained: Trained, answer: Outputs, metric: str, config: TrainingConfig, fingerprint: str
) -> dict[str, Any]:
    """Return the facts about a model that follow from its data and settings alone.

    `answer` is the saved model's own function, from features to outputs; `fingerprint` that of the
    processed table.
    """
    table, split, seed = trained.table, trained.split, config.random_seed
    test, target = trained.frame.iloc[split.test], trained.target[split.test]
    categories = [c.name for c in table.features if c.kind in ("category", "boolean")]
    slices = test[categories if config.slices is None else config.slices]
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
        "data": {
            "sha256": fingerprint,
            "rows": len(trained.frame),
            "columns": len(table.features),
            "dates": find_periods(trained.frame),
        },
        "classes": count_classes(trained),
        "importance": rank_features(trained, answer, metric, seed),
        "slices": evaluate_slices(slices, target, trained.outputs, metric)[:SHOWN],
    }
    return facts | {"notes": list_notes(facts)}


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
    tries = [list(evaluate(target[sample], outputs[sample]).values()) for sample in samples]
    metrics, shrink = evaluate(target, outputs), np.sqrt(drawn / rows)
    values = np.array(list(metrics.values()))
    ends = values + (np.nanquantile(tries, [0.025, 0.975], axis=0) - values) * shrink
    return {name: (low, high) for name, low, high in zip(metrics, *ends.tolist(), strict=True)}


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
    trained: Trained, answer: Outputs, metric: str, seed: int
) -> list[dict[str, Any]]:
    """Return by how much the metric gets worse when a feature is shuffled, the most first.

    Permutation importance (Breiman, "Random forests", 2001), on as many rows of the test as give a
    good idea.
    """
    rows = np.random.default_rng(seed).permutation(trained.split.test)[:SHUFFLED_ROWS]

    def score(_: Any, features: NDArray[np.float32], target: NDArray[Any]) -> float:
        return merit(evaluate(target, answer(features))[metric], metric)

    features, target = trained.features[rows], trained.target[rows]
    how: dict[str, Any] = {"scoring": score, "n_repeats": SHUFFLES, "random_state": seed}
    found = permutation_importance(trained.pipeline, features, target, **how)
    names = feature_names(trained.table.features)
    ranked = zip(names, found.importances_mean, found.importances_std, strict=True)
    return [
        {"feature": name, "loss": float(loss), "spread": float(spread)}
        for name, loss, spread in sorted(ranked, key=lambda each: -each[1])
    ]


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
    rows = len(trained.target)
    return {
        name_label(label): np.count_nonzero(trained.target == code) / rows
        for code, label in enumerate(trained.labels)
    }


def list_notes(facts: Mapping[str, Any]) -> list[str]:
    """Say what one should know before one trusts the metrics, each in a sentence."""
    notes, metric, classes = [], facts["metric"], facts["classes"]
    rarest = min(classes, key=classes.get, default="")
    if classes and classes[rarest] < RARE:
        notes.append(
            f"Only {classes[rarest]:.2%} of the rows are {rarest}: read balanced_accuracy and "
            "roc_auc, not accuracy. `--set class_weight=balanced` finds more of them, but makes "
            "their probabilities too high."
        )
    if facts["test_rows"] < FEW:
        notes.append(f"The test has only {facts['test_rows']} rows: trust the intervals.")
    low, high = facts["intervals"][metric]
    if low <= facts["baseline"][metric] <= high:
        notes.append(f"By {metric} the model can't be told from the baseline.")
    loss, of_guess = (facts[name].get("log_loss", 0) for name in ("metrics", "baseline"))
    if loss > of_guess:
        notes.append(
            f"Its probabilities are worse than those of the baseline: log_loss {loss:.3g}, "
            f"{of_guess:.3g}. Compare the models: `uv run train --model all`."
        )
    return notes


def describe_data(path: Path) -> dict[str, Any]:
    """Return where the processed table is, and of which day."""
    date = datetime.fromtimestamp(path.stat().st_mtime, UTC).date()
    return {"path": path.as_posix(), "date": str(date)}


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
