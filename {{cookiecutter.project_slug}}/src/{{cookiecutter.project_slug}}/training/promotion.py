"""Decide whether a new model is served, and bring an earlier one back.

Each training is archived. A new model takes the place of the served one if it beats the
baseline and is not clearly worse than the served model on the same test rows. A served
model that may have been trained on these rows has an advantage, so it can hold back
only `MOST_HELD_BACK` models in a row.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..config import Config, TrainingConfig
from ..evaluation import Metric, estimate_improvement
from ..feature_engineering import features_of_table
from ..model_training import Dataset
from ..prediction import Model, load_model, predict_features
from ..utils import UserError, fingerprint, write_atomically
from .description import beats_baseline, show_metrics
from .saving import read_history, write_files

ARCHIVE, SERVED = "archive", "served.txt"  # the names of served models, in their order
MOST_HELD_BACK = 3
COMPARED_ROWS = 10_000
FORCE = "to serve it anyway, set training.promote: always in config.yaml"


class Decision(NamedTuple):
    """Whether a new model is promoted, and why.

    `held_back` means that a served model which may know the test rows prevented it.
    """

    promoted: bool
    reason: str
    held_back: bool = False


def decide(
    sha256: str,
    outputs: np.ndarray,
    about: Mapping[str, Any],
    dataset: Dataset,
    metric: Metric,
    served: Path,
    config: TrainingConfig,
) -> Decision:
    """Decide whether a new model is served.

    `sha256` is the hash of its file, `outputs` are its outputs for the test rows.
    """
    if served.exists() and fingerprint(served) == sha256:
        return Decision(False, "it is the served model")
    if config.promote != "if_better":
        reason = f"training.promote is {config.promote}"
        return Decision(config.promote == "always", reason)
    if not beats_baseline(about, metric):
        reason = f"it is not clearly better than the baseline: {show_metrics(about)}"
        return Decision(False, f"{reason}; {FORCE}")
    if not served.exists():
        return Decision(True, "no model was served")
    try:
        model = load_model(served)
    except UserError:
        return Decision(True, "the served model can't be loaded any more")

    random = np.random.default_rng(config.random_seed)
    drawn = random.permutation(len(outputs))[:COMPARED_ROWS]
    others = answer_rows(model, dataset, drawn)
    if others is None:
        return Decision(True, "the served model is for another table")
    thresholds = about["threshold"], model.threshold
    _, high = estimate_improvement(
        *(outputs[drawn], others, dataset.y_test[drawn], metric),
        *(config.random_seed, thresholds),
    )
    if not high < 0:
        return Decision(True, "it is not worse than the served model")
    return hold_back(about, model, served.parent)


def hold_back(about: Mapping[str, Any], model: Model, folder: Path) -> Decision:
    """Decide about a model that is clearly worse than the served one."""
    reason = f"by {about['metric']} it is worse than the served model"
    if is_fair(about["split"], model.about.get("split", {})):
        return Decision(False, f"{reason} on the same test rows; {FORCE}")
    count = count_held_back(folder)
    reason += ", which may have been trained on the test rows"
    if count >= MOST_HELD_BACK:
        return Decision(True, f"{reason} and has held back {count} models")
    reason += f" (held back: {count + 1} of at most {MOST_HELD_BACK})"
    return Decision(False, f"{reason}; {FORCE}", held_back=True)


def is_fair(split: Mapping[str, Any], served: Mapping[str, Any]) -> bool:
    """Whether no test row of a split was a training row of the served model's.

    By time, the test must not begin earlier. By hash, it must be drawn in the same way,
    and not be larger.
    """
    if any(split[name] != served.get(name) for name in ("kind", "column")):
        return False
    if split["kind"] == "time":
        return bool(split["since"] >= served["since"])
    return (
        bool(split["lasting"] and served.get("lasting"))
        and split["key"] == served["key"]
        and split["seed"] == served["seed"]
        and split["share"] <= served["share"]
    )


def answer_rows(model: Model, dataset: Dataset, drawn: np.ndarray) -> np.ndarray | None:
    """Return the served model's outputs for some test rows, or None if it has none.

    The probabilities are in the order of the dataset's labels.
    """
    table, labels = dataset.table, dataset.labels
    if (model.table.task, model.table.target.name) != (table.task, table.target.name):
        return None
    if len(labels) == 2 and model.labels != labels:
        return None
    rows = dataset.rows.iloc[dataset.split.test[drawn]]
    try:
        X = features_of_table(rows, model.table.features)
        outputs = predict_features(model.outputs, X)
    except (
        KeyError,
        TypeError,
        AttributeError,
    ):  # a column is gone, or of another kind
        return None
    if not labels:
        return outputs
    aligned = np.zeros((len(outputs), len(labels)))
    for position, label in enumerate(model.labels):
        if label in labels:
            aligned[:, labels.index(label)] = outputs[:, position]
    return aligned


def count_held_back(folder: Path) -> int:
    """Count the models in a row that the served model has held back until now."""
    count = 0
    for record in reversed(read_history(folder)):
        promotion = record["promotion"] or {"promoted": False, "held_back": False}
        if promotion["promoted"]:
            break
        count += promotion["held_back"]
    return count


def archive_path(served: Path, trained: str, sha256: str) -> Path:
    """Return the archive's name for a model file: when it was trained, and its hash."""
    time = trained[:19].replace("-", "").replace(":", "")
    return served.parent / ARCHIVE / f"{time}-{sha256[:8]}.onnx"


def card_path(model: Path, config: Config) -> Path:
    """Return where a model's card is: in reports, or beside it in the archive."""
    if model.parent.name == ARCHIVE:
        return model.with_suffix(".html")
    return config.root / "reports" / f"{model.stem}_card.html"


def publish(archived: Path, config: Config) -> None:
    """Serve a model of the archive: all its files at once, or none of them."""
    served = config.paths.model
    names = list_served(served)
    try:
        contents = {
            served: archived.read_bytes(),
            served.with_suffix(".json"): archived.with_suffix(".json").read_bytes(),
            card_path(served, config): card_path(archived, config).read_bytes(),
        }
    except OSError as error:
        raise UserError(f"can't read {error.filename}: {error.strerror}") from error
    write_files(contents)
    if archived.name not in names:
        with write_atomically(served.parent / ARCHIVE / SERVED) as file:
            file.write_text("\n".join([*names, archived.name]), encoding="utf-8")


def list_served(served: Path) -> list[str]:
    """Return the archived models that were served, in their order; the last one is now.

    Models that were rolled back are not listed. The last name is empty if the served
    model is not in the archive.
    """
    file = served.parent / ARCHIVE / SERVED
    names = file.read_text(encoding="utf-8").split() if file.exists() else []
    sha256 = fingerprint(served) if served.exists() else ""
    for count in range(len(names), 0, -1):
        if names[count - 1].endswith(f"-{sha256[:8]}.onnx"):
            return names[:count]
    return [*names, ""]


def roll_back(config: Config) -> Path:
    """Serve the previous model again, and return its archived file."""
    served = config.paths.model
    for name in reversed(list_served(served)[:-1]):
        archived = served.parent / ARCHIVE / name
        if archived.exists():
            load_model(archived)
            publish(archived, config)
            return archived
    raise UserError(
        f"there is no earlier model in {served.parent / ARCHIVE} to roll back to; "
        "see: uv run train --list"
    )


def prune(config: Config) -> None:
    """Delete the oldest archived models, except the served and the previous one."""
    served = config.paths.model
    models = sorted((served.parent / ARCHIVE).glob("*.onnx"))
    protected = list_served(served)[-2:]
    for model in models[: -config.training.keep_models]:
        if model.name not in protected:
            for suffix in (".onnx", ".json", ".html"):
                model.with_suffix(suffix).unlink(missing_ok=True)
