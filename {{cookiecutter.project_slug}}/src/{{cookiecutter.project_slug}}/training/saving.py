"""Save a model file with what is known about it, and keep a history of trainings."""

import json
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from onnx import ModelProto

from ..drift import as_predictions, describe_rows
from ..evaluation import Metric, format_number
from ..model_training import Dataset
from ..schema import Column
from ..utils import UserError, fingerprint, write_atomically
from .export import set_contract

HISTORY = "history.jsonl"
SAMPLED_ROWS = 20_000


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


def serialize_model(
    onnx_model: ModelProto, dataset: Dataset, outputs: np.ndarray, about: dict
) -> bytes:
    """Return the content of the model file, with what the service must know."""
    columns = dataset.table.features
    train = dataset.rows.iloc[dataset.split.train]
    train = train.sample(min(len(train), SAMPLED_ROWS), random_state=0)
    predictions = as_predictions(outputs, dataset.labels)
    contract = {
        "table": asdict(dataset.table),
        "labels": dataset.labels,
        "features": list(dataset.X),
        "offset": dataset.offset,
        "threshold": about["threshold"],
        "example": example_row(train, columns),
        "reference": describe_rows(train, columns, predictions),
        "about": about,
    }
    set_contract(onnx_model, contract)

    return onnx_model.SerializeToString()


def example_row(frame: pd.DataFrame, columns: tuple[Column, ...]) -> dict:
    """Return a typical row as JSON: the median, or the most frequent value."""
    row: dict = {}
    for column in columns:
        known = frame[column.name].dropna().sort_values(ignore_index=True)
        if column.kind in ("boolean", "category"):
            known = known.mode()
        row[column.name] = known.get(len(known) // 2)

    text = pd.Series(row, dtype=object).to_json(date_format="iso", double_precision=15)
    return json.loads(text)


def as_json(value: Any) -> Any:
    """Return plain values for JSON; numbers have eight digits, so that the order in
    which processors add does not show. What is not defined is null.
    """
    return json.loads(
        json.dumps(value, default=str),
        parse_float=lambda text: float(f"{float(text):.8g}"),
        parse_constant=lambda _: None,
    )


def write_files(contents: Mapping[Path, bytes]) -> None:
    """Write several files, none of them if one can't be written; the first one last."""
    with ExitStack() as stack:
        for path, content in contents.items():
            stack.enter_context(write_atomically(path)).write_bytes(content)


def show_history(served: Path) -> str:
    """Return a table of all trainings into the folder of the served model."""
    file = served.parent / HISTORY
    rows = []
    if not file.exists():
        raise UserError(
            f"nothing has been trained into {served.parent} yet; run: uv run train"
        )

    sha256 = fingerprint(served) if served.exists() else ""
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        with suppress(ValueError):  # of an interrupted write
            rows.append(show_training(json.loads(line), sha256))

    return pd.DataFrame(rows).to_string(index=False)


def show_training(record: dict, served: str) -> dict:
    """Return one line of the table of trainings."""
    metric = record["metric"]
    file = record["file"]
    value = record["metrics"][metric]
    low, high = (format_number(end, value) for end in record["intervals"][metric])
    return {
        "": "served" if file["sha256"] == served else "",
        "trained": record["trained"][:16].replace("T", " "),
        "model": record["model"],
        "metric": metric,
        "test": format_number(value),
        "95 % interval": f"{low} to {high}",
        "baseline": format_number(record["baseline"][metric], value),
        "rows": f"{record['data']['rows']:,}",
        "file": file["path"] if Path(file["path"]).exists() else "(deleted)",
    }
