"""Save new models, decide which is served, bring an earlier one back, list them all.

Each training is archived. A new model takes the place of the served one if it beats the
baseline and is not clearly worse than the served model on the same test rows. A served
model that may have been trained on these rows has an advantage, so it can hold back
only `MOST_HELD_BACK` models in a row.
"""

import json
import logging
import re
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..config import Config, TrainingConfig
from ..evaluation import Metric, score_outputs
from ..model_training import Dataset
from ..prediction import load_model, predict_table
from ..utils import (
    UserError,
    append_record,
    fingerprint,
    format_number,
    write_atomically,
)
from .description import as_json, estimate_interval
from .model_card import draw_card

ARCHIVE, HISTORY = "archive", "history.jsonl"
MOST_HELD_BACK = 3
SCORED_ROWS = 10_000
FORCE = "to serve it anyway, set training.promote: always in config.yaml"

log = logging.getLogger("train")


class Trained(NamedTuple):
    """The content of a model file, what is known about it, and its test.

    `outputs` are the saved model's answers to the test rows, `metric` is the one that
    counts most, and `about` describes the training as plain values.
    """

    content: bytes
    about: dict
    outputs: np.ndarray
    metric: Metric
    dataset: Dataset


def save_model(trained: Trained, output: Path, origin: dict, config: Config) -> dict:
    """Write the model file, its JSON and its card, and serve it if it is promoted."""
    about, dataset = trained.about, trained.dataset
    history = output.with_name(HISTORY)
    digest = sha256(trained.content).hexdigest()
    promotion = None
    if output == config.paths.model:
        promoted, reason = decide(trained, output, config.training)
        current, _ = find_archived(output)
        replaced = current and current.name
        promotion = {"promoted": promoted, "reason": reason, "replaced": replaced}
        time = re.sub("[-:]", "", origin["trained"][:19])
        output = output.parent / ARCHIVE / f"{time}-{digest[:8]}.onnx"

    added = {
        "data": {**about["data"], **origin["data"]},
        "file": {"path": output.as_posix(), "sha256": digest},
        "promotion": promotion,
        "labels": dataset.labels,
    }
    record = as_json({**about, **origin, **added})
    page = draw_card(record, dataset.y_test, trained.outputs, config.root)
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    write_files(
        {
            output: trained.content,
            output.with_suffix(".json"): text.encode(),
            output.with_suffix(".html"): page.encode(),
        }
    )
    log.info("saved %s in %.1f s", output, origin["seconds"])
    if promotion:
        promote(output, promotion, config)

    append_record(record, history)

    return record


def promote(archived: Path, promotion: dict, config: Config) -> None:
    """Serve an archived model if it is promoted, and log why or why not."""
    if promotion["promoted"]:
        publish(archived, config)
        log.info("promoted: %s", promotion["reason"])
    else:
        log.warning("not promoted: %s", promotion["reason"])

    prune(config)


def decide(trained: Trained, served: Path, config: TrainingConfig) -> tuple:
    """Decide whether a new model is served.

    Returns whether it is, and the reason in a few words.
    """
    if served.exists() and served.read_bytes() == trained.content:
        return False, "it is the served model"
    if config.promote != "if_better":
        return config.promote == "always", f"training.promote is {config.promote}"
    if not trained.about["beats_baseline"]:
        return False, f"it is not clearly better than the baseline; {FORCE}"
    if not served.exists():
        return True, "no model was served"

    dataset = trained.dataset
    rows = dataset.rows.iloc[dataset.split.test]

    try:
        model = load_model(served)
        others = predict_table(model, rows)
    except (UserError, KeyError, TypeError, ValueError, AttributeError):
        return True, "not compared: the served model has other columns or features"

    target = trained.about["target"]
    if model.labels != dataset.labels or model.about["target"] != target:
        return True, "not compared: the served model has another target or classes"

    _, high = estimate_improvement(trained, others, model.threshold)
    if not high < 0:
        return True, "it is not worse than the served model"

    return hold_back(trained.about, model.about["split"], served, config)


def estimate_improvement(
    trained: Trained, others: np.ndarray, threshold: float | None
) -> tuple:
    """Return the 95 % confidence interval of how much better a new model is.

    Both models are scored on the same resampled rows (the paired bootstrap): `others`
    are the outputs of the served one. Positive is better, also if the metric is an
    error.
    """
    y, metric = trained.dataset.y_test, trained.metric

    def improve(rows):
        used = trained.about["threshold"]
        new = score_outputs(trained.outputs[rows], y[rows], metric, used)
        return new - score_outputs(others[rows], y[rows], metric, threshold)

    drawn = np.random.default_rng(0).permutation(len(y))[:SCORED_ROWS]

    return estimate_interval(improve, drawn)


def hold_back(about: dict, split: dict, served: Path, config: TrainingConfig) -> tuple:
    """Decide about a model that is clearly worse than the served one.

    `split` is how the served model's test rows were held out. Returns the same as
    `decide`.
    """
    reason = f"by {about['metric']} it is worse than the served model"
    if is_fair(about["split"], split):
        return False, f"{reason} on the same test rows; {FORCE}"

    reason += ", which may have been trained on the test rows"
    current, _ = find_archived(served)
    models = (served.parent / ARCHIVE).glob("*.onnx")
    count = sum(not current or model > current for model in models)
    most = min(MOST_HELD_BACK, config.keep_models)
    if count >= most:
        return True, f"{reason} and has held back {most} models"

    return False, f"{reason} (held back: {count + 1} of at most {most}); {FORCE}"


def is_fair(split: dict, served: dict) -> bool:
    """Whether no test row of a split was a training row of the served model's.

    By time, the test must not begin earlier. By hash, it must be drawn in the same way.
    """
    if split != {**served, "since": split["since"]}:
        return False

    return split["since"] >= served["since"] if split["since"] else split["lasting"]


def write_files(contents: Mapping[Path, bytes]) -> None:
    """Write several files. No file is replaced before all are written."""
    with ExitStack() as stack:
        for path, content in contents.items():
            stack.enter_context(write_atomically(path)).write_bytes(content)


def publish(archived: Path, config: Config) -> None:
    """Serve a model of the archive: all its files at once, or none of them.

    Raises UserError if one of them can't be read or written.
    """
    served = config.paths.model
    card = config.root / "reports" / "model_card.html"
    try:
        contents = {
            served.with_suffix(suffix): archived.with_suffix(suffix).read_bytes()
            for suffix in (".onnx", ".json", ".html")
        }
        write_files({**contents, card: contents[served.with_suffix(".html")]})
    except OSError as error:
        raise UserError(f"can't read {error.filename}: {error.strerror}") from error


def find_archived(model: Path) -> tuple:
    """Return the archived files of a model, and of the one that it replaced.

    Either is None if it is not known.
    """
    archive = model.parent if model.parent.name == ARCHIVE else model.parent / ARCHIVE
    try:
        record = json.loads(model.with_suffix(".json").read_text(encoding="utf-8"))
        paths = record["file"]["path"], record["promotion"]["replaced"]
    except (OSError, ValueError, KeyError, TypeError):
        return None, None

    return tuple(path and archive / Path(path).name for path in paths)


def roll_back(config: Config) -> Path:
    """Serve the previous model again, and return its archived file."""
    _, previous = find_archived(config.paths.model)
    while previous and previous.exists():
        try:
            load_model(previous)
        except UserError as error:
            log.warning("skipped: %s", error)
            _, previous = find_archived(previous)
        else:
            publish(previous, config)
            return previous

    raise UserError("there is no earlier model; see: uv run train --list")


def prune(config: Config) -> None:
    """Delete the oldest archived models, but not the served and the previous one."""
    served = config.paths.model
    kept = find_archived(served)
    models = sorted((served.parent / ARCHIVE).glob("*.onnx"))

    for model in models[: -config.training.keep_models]:
        if model not in kept:
            for file in model.parent.glob(f"{model.stem}.*"):
                file.unlink()


def show_history(served: Path) -> str:
    """Return a table of all trainings into the folder of the served model.

    It has a line for each training, as text. Raises UserError if there is none.
    """
    file = served.parent / HISTORY
    if not file.exists():
        raise UserError(
            f"nothing has been trained into {served.parent} yet; run: uv run train"
        )

    sha256 = fingerprint(served) if served.exists() else ""
    rows = []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        with suppress(ValueError):  # an interrupted write
            rows.append(_show_training(json.loads(line), sha256))

    return pd.DataFrame(rows).to_string(index=False)


def _show_training(record: dict, served: str) -> dict:
    """Return one line of the table of trainings."""
    metric = record["metric"]
    file = record["file"]
    value = record["metrics"][metric]
    low, high = map(format_number, record["intervals"][metric])

    return {
        "": "served" if file["sha256"] == served else "",
        "trained": record["trained"][:16].replace("T", " "),
        "model": record["model"],
        "metric": metric,
        "test": format_number(value),
        "95 % interval": f"{low} to {high}",
        "baseline": format_number(record["baseline"][metric]),
        "rows": f"{record['data']['rows']:,}",
        "file": file["path"] if Path(file["path"]).exists() else "(deleted)",
    }
