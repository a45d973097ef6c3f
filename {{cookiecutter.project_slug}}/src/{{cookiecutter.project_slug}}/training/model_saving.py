"""Save a trained model as ONNX (https://onnx.ai): a file that loads fast and holds no code.

A pipeline that can't be converted, or answers differently once it is, is not saved at all. The same
data, settings and versions give the same file, byte for byte: when and where it was made stands in
the JSON file beside it.
"""

import json
import logging
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
from numpy.typing import NDArray
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType

from ..feature_engineering import UNKNOWN_CODE
from ..model_training import Trained, limit_threads
from ..prediction import Outputs, load_onnx
from ..schema import Column
from ..utils import (
    UserError,
    append_record,
    fingerprint,
    write_atomically,
)

TOLERANCE = 1e-5
TYPICAL_ROWS = 10_000
HARD_ROWS = (
    10_000  # of the test, that are tried with gaps and with unknown categories as well
)
HISTORY = "history.jsonl"
RECORDED = (  # of model.json, in the history
    *("trained", "model", "settings", "metric", "metrics", "intervals", "baseline"),
    *("data", "git", "seconds", "file"),
)
PACKAGES = ("scikit-learn", "skl2onnx", "onnx", "onnxruntime", "pandas", "numpy")

log = logging.getLogger("train")


def convert_to_onnx(trained: Trained) -> tuple[onnx.ModelProto, Outputs]:
    """Convert the fitted pipeline to ONNX, and make sure that it answers as before.

    Returns the model and the function that answers. The answers are compared on the whole test
    split, on its rows with missing values and with unknown categories, and on single rows. Raises
    UserError where they differ.
    """
    pipeline, test = trained.pipeline, trained.features[trained.split.test]
    inputs = [("features", FloatTensorType([None, test.shape[1]]))]
    options = {id(pipeline): {"zipmap": False}} if trained.labels else None
    try:
        graph = to_onnx(pipeline, initial_types=inputs, options=options)
    except Exception as error:  # skl2onnx raises whatever it stumbles over
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{trained.model} has no conversion to ONNX: {reason}"
        ) from error
    graph.opset_import.sort(key=lambda each: each.domain)  # skl2onnx has a set of them
    onnx.helper.set_model_props(
        graph, {"contract": "{}"}
    )  # what it says is not known yet
    answer, _ = load_onnx(graph.SerializeToString())
    expected = getattr(pipeline, "predict_proba", pipeline.predict)
    differences = [compare(trained.outputs, answer(test))]
    with limit_threads(HARD_ROWS):
        for rows in hard_cases(test, len(trained.vocabulary)):
            differences.append(compare(expected(rows), answer(rows)))
    if max(differences) > TOLERANCE:
        raise UserError(
            f"{trained.model} answers differently as ONNX, by up to {max(differences):.2g}, and is "
            "not saved; try another --model"
        )
    return graph, answer


def hard_cases(
    features: NDArray[np.float32], categories: int
) -> list[NDArray[np.float32]]:
    """Return rows with gaps in the numbers, with unknown categories, and alone."""
    features = features[:HARD_ROWS]
    numbers = np.arange(features.shape[1]) < features.shape[1] - categories
    hole = np.random.default_rng(0).random(features.shape) < 0.3
    gaps = np.where(hole & numbers, np.float32(np.nan), features)
    unknown = np.where(numbers, features, np.float32(UNKNOWN_CODE))
    return [gaps, unknown, *(features[[row]] for row in range(min(5, len(features))))]


def compare(expected: NDArray[Any], answer: NDArray[Any]) -> float:
    """Return the largest difference: of probabilities, or of numbers relative to their size."""
    size = 1 if expected.ndim == 2 else max(1.0, float(np.abs(expected).max()))
    return float(np.abs(expected - answer).max() / size)


def save_model(
    output: Path,
    trained: Trained,
    graph: onnx.ModelProto,
    about: Mapping[str, Any],
    origin: Mapping[str, Any],
) -> dict[str, Any]:
    """Write the model file with what is to be known about it, a JSON file beside it, and a line
    into the history of its folder.

    Where it comes from, which may differ each time, stands in the JSON file alone. Returns the
    content of that.
    """
    if output.suffix != ".onnx":
        raise UserError(f"{output}: a model file's name must end in .onnx")
    contract = {"table": asdict(trained.table), "labels": trained.labels}
    example = typical_row(
        trained.frame.iloc[trained.split.train], trained.table.features
    )
    versions = {"python": platform.python_version()} | {
        name: version(name) for name in PACKAGES
    }
    about = as_json(dict(about) | {"versions": versions})
    content = contract | {
        "vocabulary": trained.vocabulary,
        "example": example,
        "about": about,
    }
    onnx.helper.set_model_props(graph, {"contract": json.dumps(content)})
    with write_atomically(output) as file:
        file.write_bytes(graph.SerializeToString())
    place = {"file": {"path": output.as_posix(), "sha256": fingerprint(output)}}
    record: dict[str, Any] = as_json({**about, **origin, **place, **contract})
    with write_atomically(output.with_suffix(".json")) as file:
        file.write_text(
            json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    append_record({name: record[name] for name in RECORDED}, output.parent / HISTORY)
    return record


def typical_row(frame: pd.DataFrame, columns: Sequence[Column]) -> dict[str, Any]:
    """Return a typical row, as a request has it: the middle value, or the most frequent one."""
    row: dict[str, Any] = {}
    frame = frame.sample(min(len(frame), TYPICAL_ROWS), random_state=0)
    for column in columns:
        known = frame[column.name].dropna().sort_values()
        if column.kind in ("boolean", "category"):
            known = known.mode()
        row[column.name] = known.iloc[len(known) // 2] if len(known) else None
    return json.loads(
        pd.Series(row, dtype=object).to_json(date_format="iso", double_precision=15)
    )


def as_json(value: Any) -> Any:
    """Return plain values that JSON can hold; a number in eight digits, so that the order in which
    processors add up does not show.
    """
    if isinstance(value, Mapping):
        return {str(name): as_json(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(each) for each in value]
    if isinstance(value, float):
        return float(f"{value:.8g}") if math.isfinite(value) else None
    return value


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
