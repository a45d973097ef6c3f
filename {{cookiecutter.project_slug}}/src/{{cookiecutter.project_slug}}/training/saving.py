"""Save a model file with what is known about it, and keep a history of trainings."""

import json
import logging
import math
import platform
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..drift import describe_columns, describe_predictions
from ..evaluation import format_number
from ..model_training import Dataset
from ..schema import Column
from ..utils import UserError, append_record, fingerprint, write_atomically
from .export import Exported, set_contract

HISTORY = "history.jsonl"
RECORDED = (  # of model.json, in the history
    *("trained", "model", "settings", "metric", "metrics", "intervals", "baseline"),
    *("data", "git", "seconds", "file", "promotion"),
)
PACKAGES = ("scikit-learn", "skl2onnx", "onnx", "onnxruntime", "pandas", "numpy")
EXAMPLE_ROWS = 10_000

log = logging.getLogger("train")


def serialize_model(
    exported: Exported,
    dataset: Dataset,
    outputs: np.ndarray,
    about: Mapping[str, Any],
) -> bytes:
    """Return the content of the model file: the model, and what the service needs."""
    train = dataset.rows.iloc[dataset.split.train]
    columns = dataset.table.features
    contract = {
        "table": asdict(dataset.table),
        "labels": dataset.labels,
        "features": list(dataset.X),
        "offset": dataset.offset,
        "threshold": about["threshold"],
        "example": example_row(train, columns),
        "reference": {
            **describe_predictions(outputs, dataset.labels),
            **describe_columns(train, columns),
        },
        "about": about,
    }
    set_contract(exported.onnx_model, as_json(contract))
    return exported.onnx_model.SerializeToString()


def list_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that make a model."""
    versions = {name: version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **versions}


def describe_file(path: Path, content: bytes) -> dict[str, str]:
    """Return the path and the hash of a file."""
    return {"path": path.as_posix(), "sha256": sha256(content).hexdigest()}


def write_files(contents: Mapping[Path, bytes]) -> None:
    """Write several files, none of them if one can't be written; the first one last."""
    with ExitStack() as stack:
        for path, content in contents.items():
            stack.enter_context(write_atomically(path)).write_bytes(content)


def write_history(folder: Path, record: Mapping[str, Any]) -> None:
    """Add a training to the history of the models in a folder."""
    append_record({name: record[name] for name in RECORDED}, folder / HISTORY)


def read_history(folder: Path) -> list[dict[str, Any]]:
    """Return the trainings whose model files went into a folder, the oldest first."""
    file, records = folder / HISTORY, []
    if not file.exists():
        raise UserError(
            f"nothing has been trained into {folder} yet; run: uv run train"
        )
    lines = file.read_text(encoding="utf-8", errors="replace").split("\n")
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line) if line else {}
            records += [record] if record.keys() >= set(RECORDED) else []
        except (ValueError, AttributeError):
            log.warning("%s: line %d is not a record of a training", file, number)
    return records


def show_history(served: Path) -> str:
    """Return a table of all trainings into the folder of the served model."""
    sha = fingerprint(served) if served.exists() else ""
    rows = [show_training(record, sha) for record in read_history(served.parent)]
    return pd.DataFrame(rows).to_string(index=False)


def show_training(record: Mapping[str, Any], served: str) -> dict[str, str]:
    """Return one line of the table of trainings."""
    metric, git, file = record["metric"], record["git"], record["file"]
    value = record["metrics"][metric]
    low, high = (format_number(end, value) for end in record["intervals"][metric])
    changed = "+" if git and git["dirty"] else ""
    return {
        "": "served" if file["sha256"] == served else "",
        "trained": record["trained"][:16].replace("T", " "),
        "model": record["model"],
        "metric": metric,
        "test": format_number(value),
        "95 % interval": f"{low} to {high}",
        "baseline": format_number(record["baseline"][metric], value),
        "rows": f"{record['data']['rows']:,}",
        "data": record["data"]["sha256"][:8],
        "commit": git["commit"][:8] + changed if git else "",
        "seconds": f"{record['seconds']:.1f}",
        "file": file["path"] if Path(file["path"]).exists() else "(deleted)",
    }


def example_row(frame: pd.DataFrame, columns: tuple[Column, ...]) -> dict[str, Any]:
    """Return a typical row as JSON: the median, or the most frequent value."""
    row: dict[str, Any] = {}
    frame = frame.sample(min(len(frame), EXAMPLE_ROWS), random_state=0)
    for column in columns:
        known = frame[column.name].dropna().sort_values()
        if column.kind in ("boolean", "category"):
            known = known.mode()
        row[column.name] = known.iloc[len(known) // 2] if len(known) else None
    text = pd.Series(row, dtype=object).to_json(date_format="iso", double_precision=15)
    return json.loads(text)


def as_json(value: Any) -> Any:
    """Return plain values for JSON; numbers have eight digits, so that the order in
    which processors add does not show.
    """
    if isinstance(value, Mapping):
        return {str(name): as_json(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(each) for each in value]
    if isinstance(value, float):
        return float(f"{value:.8g}") if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool | None) else str(value)
