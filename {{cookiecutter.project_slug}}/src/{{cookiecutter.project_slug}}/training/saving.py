"""Save a model file with what is known about it, and keep a history of trainings."""

import json
import logging
import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx
import pandas as pd

from ..model_training import Dataset
from ..utils import UserError, append_record, fingerprint, write_atomically
from .export import as_json, example_row, set_contract

HISTORY = "history.jsonl"
RECORDED = (  # of model.json, in the history
    *("trained", "model", "settings", "metric", "metrics", "intervals", "baseline"),
    *("data", "git", "seconds", "file"),
)
PACKAGES = ("scikit-learn", "skl2onnx", "onnx", "onnxruntime", "pandas", "numpy")

log = logging.getLogger("train")


def save_model(
    output: Path,
    dataset: Dataset,
    onnx_model: onnx.ModelProto,
    about: Mapping[str, Any],
    origin: Mapping[str, Any],
) -> dict[str, Any]:
    """Write the model file, a JSON file beside it, and a line into its folder's history.

    `about` goes into the model file. `origin`, which may differ each time, goes into
    the JSON file alone. Returns the content of that file.
    """
    table = as_json(asdict(dataset.table))
    versions = {"python": platform.python_version()}
    versions |= {name: version(name) for name in PACKAGES}
    about = as_json({**about, "versions": versions})
    contract = {
        "table": table,
        "labels": dataset.labels,
        "features": list(dataset.X),
        "offset": dataset.offset,
        "example": example_row(
            dataset.rows.iloc[dataset.split.train], dataset.table.features
        ),
        "about": about,
    }
    set_contract(onnx_model, contract)
    with write_atomically(output) as file:
        file.write_bytes(onnx_model.SerializeToString())

    place = {"path": output.as_posix(), "sha256": fingerprint(output)}
    named = {"table": table, "labels": dataset.labels, "file": place}
    record = as_json({**about, **origin, **named})
    with write_atomically(output.with_suffix(".json")) as file:
        text = json.dumps(record, indent=2, ensure_ascii=False)
        file.write_text(text + "\n", encoding="utf-8")
    append_record({name: record[name] for name in RECORDED}, output.parent / HISTORY)
    return record


def show_history(folder: Path) -> str:
    """Return a table of all trainings whose model files went into the folder, the oldest first."""
    file, rows = folder / HISTORY, []
    if not file.exists():
        raise UserError(
            f"nothing has been trained into {folder} yet; run: uv run train"
        )
    lines = file.read_text(encoding="utf-8", errors="replace").split("\n")
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(show_training(json.loads(line)) if line else {})
        except (ValueError, KeyError, TypeError):
            log.warning("%s: line %d is no record of a training", file, number)
    return pd.DataFrame(filter(None, rows)).to_string(index=False)


def show_training(record: dict[str, Any]) -> dict[str, str]:
    """Return one line of the table of trainings."""
    metric, git = record["metric"], record["git"]
    low, high = map(show_number, record["intervals"][metric])
    changed = "+" if git and git["dirty"] else ""
    return {
        "trained": record["trained"][:16].replace("T", " "),
        "model": record["model"],
        "metric": metric,
        "test": show_number(record["metrics"][metric]),
        "95 % interval": f"{low} to {high}",
        "baseline": show_number(record["baseline"][metric]),
        "rows": f"{record['data']['rows']:,}",
        "data": record["data"]["sha256"][:8],
        "commit": git["commit"][:8] + changed if git else "",
        "seconds": f"{record['seconds']:.1f}",
        "file": record["file"]["path"],
    }


def show_number(value: float | None) -> str:
    """Return a metric with four digits."""
    return "not defined" if value is None else f"{value:.4g}"
