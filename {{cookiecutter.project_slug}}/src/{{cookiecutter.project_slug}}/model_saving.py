"""Save a trained model as ONNX (https://onnx.ai): a file that loads fast and holds no code.

A pipeline that can't be converted, or answers differently once it is, is not saved at all.
"""

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pandas as pd
from numpy.typing import NDArray
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType

from .config import Config
from .feature_engineering import UNKNOWN_CODE
from .prediction import load_onnx
from .schema import Column
from .utils import UserError, fingerprint, write_atomically

if TYPE_CHECKING:
    from .model_training import Trained

TOLERANCE = 1e-5
PACKAGES = ("scikit-learn", "skl2onnx", "onnx", "onnxruntime", "pandas", "numpy")


def save_model(output: Path, trained: "Trained", data: Path, config: Config) -> None:
    """Write the model file, and beside it a JSON file that says how it came about."""
    if output.suffix != ".onnx":
        raise UserError(f"{output}: a model file's name must end in .onnx")
    about = describe(trained, data, config)
    contract = {"table": asdict(trained.table), "labels": trained.labels}
    learnt = {"vocabulary": trained.vocabulary, "example": trained.example, "about": about}
    content = convert_to_onnx(trained, contract | learnt)
    with write_atomically(output) as file:
        file.write_bytes(content)
    report = about | {"file": {"path": output.as_posix(), "sha256": fingerprint(output)}} | contract
    with write_atomically(output.with_suffix(".json")) as file:
        file.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def typical_row(frame: pd.DataFrame, columns: Sequence[Column]) -> dict[str, Any]:
    """Return a typical row, as a request has it: the middle value, or the most frequent one."""
    row: dict[str, Any] = {}
    for column in columns:
        known = frame[column.name].dropna().sort_values()
        if column.kind in ("boolean", "category"):
            known = known.mode()
        row[column.name] = known.iloc[len(known) // 2] if len(known) else None
    return json.loads(pd.Series(row, dtype=object).to_json(date_format="iso", double_precision=15))


def describe(trained: "Trained", data: Path, config: Config) -> dict[str, Any]:
    """Return what one has to know of a model: its scores, and what it was made from."""
    date = datetime.fromtimestamp(data.stat().st_mtime, UTC).date()
    return {
        "model": trained.model,
        "trained": datetime.now(UTC).isoformat(timespec="seconds"),
        "metrics": trained.metrics,
        "baseline": trained.baseline,
        "train_rows": len(trained.split.train),
        "test_rows": len(trained.split.test),
        "data": {"path": data.as_posix(), "sha256": fingerprint(data), "date": str(date)},
        "settings": config.training.settings.get(trained.model, {}),
        "random_seed": config.training.random_seed,
        "versions": {"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
    }


def convert_to_onnx(trained: "Trained", contract: dict[str, Any]) -> bytes:
    """Convert the fitted pipeline to ONNX, and make sure that it answers as before.

    The answers are compared on the whole test split, on the same rows with missing values and with
    unknown categories, and on single rows. Raises UserError where they differ.
    """
    pipeline, test = trained.pipeline, trained.features[trained.split.test]
    inputs = [("features", FloatTensorType([None, test.shape[1]]))]
    options = {id(pipeline): {"zipmap": False}} if trained.labels else None
    try:
        graph = to_onnx(pipeline, initial_types=inputs, options=options)
    except Exception as error:  # skl2onnx raises whatever it stumbles over
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{trained.model} has no conversion to ONNX: {reason}") from error
    onnx.helper.set_model_props(graph, {"contract": json.dumps(contract)})
    content: bytes = graph.SerializeToString()

    answer, expected = load_onnx(content)[0], getattr(pipeline, "predict_proba", pipeline.predict)
    for rows in hard_cases(test, len(trained.vocabulary)):
        difference = compare(expected(rows), answer(rows))
        if difference > TOLERANCE:
            raise UserError(
                f"{trained.model} answers differently as ONNX, by up to {difference:.2g}, and is "
                "not saved; try another --model"
            )
    return content


def hard_cases(features: NDArray[np.float32], categories: int) -> list[NDArray[np.float32]]:
    """Return rows as they are, with gaps in the numbers, with unknown categories, and alone."""
    numbers = np.arange(features.shape[1]) < features.shape[1] - categories
    hole = np.random.default_rng(0).random(features.shape) < 0.3
    gaps = np.where(hole & numbers, np.float32(np.nan), features)
    unknown = np.where(numbers, features, np.float32(UNKNOWN_CODE))
    return [features, gaps, unknown, *(features[[row]] for row in range(min(5, len(features))))]


def compare(expected: NDArray[Any], answer: NDArray[Any]) -> float:
    """Return the largest difference: of probabilities, or of numbers relative to their size."""
    size = 1 if expected.ndim == 2 else max(1.0, float(np.abs(expected).max()))
    return float(np.abs(expected - answer).max() / size)
