"""Save a trained model in a file that holds no code.

ONNX (https://onnx.ai) by default: it loads fast, runs fast and can't execute anything. A pipeline
that can't be converted, or answers differently once it is, is kept in the skops format instead.
"""

import json
import logging
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pandas as pd
import skops.io
from numpy.typing import NDArray
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.pipeline import Pipeline

from .columns import Table
from .config import Config
from .feature_engineering import MISSING_CATEGORY, Features
from .prediction import TRUSTED_TYPES, run_onnx, run_scikit_learn
from .utils import UserError, fingerprint, write_atomically

if TYPE_CHECKING:
    from .model_training import Trained

log = logging.getLogger("train")

TOLERANCE = 1e-5
PACKAGES = ("scikit-learn", "skl2onnx", "onnx", "onnxruntime", "skops", "pandas", "numpy")


class NotConvertible(Exception):  # noqa: N818 - it is a finding, not a failure
    """The pipeline has no faithful ONNX form; the message says why."""


def save_model(
    output: Path, trained: "Trained", table: Table, model: str, data: Path, config: Config
) -> Path:
    """Write the model file, and beside it a JSON file that says how it came about.

    Returns the model file's path: `output`, or with the suffix .skops if it can't be ONNX.
    """
    if output.suffix not in (".onnx", ".skops"):
        raise UserError(f"{output}: a model file's name must end in .onnx or .skops")
    contract = {"table": table.to_dict(), "labels": trained.labels}
    content = b""
    if output.suffix == ".onnx":
        try:
            content = convert(trained.pipeline, trained.split.test, table, contract)
        except NotConvertible as reason:
            output = output.with_suffix(".skops")
            log.warning("kept as %s, which serves slower: %s", output.name, reason)
    if output.suffix == ".skops":
        content = skops.io.dumps({"pipeline": trained.pipeline, "contract": json.dumps(contract)})
        check_trusted(content)

    with write_atomically(output) as file:
        file.write_bytes(content)
    with write_atomically(output.with_suffix(".json")) as file:
        report = describe(output, trained, model, data, config) | contract
        file.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    other = {".onnx": ".skops", ".skops": ".onnx"}[output.suffix]
    output.with_suffix(other).unlink(missing_ok=True)  # the model this one replaces
    return output


def check_trusted(content: bytes) -> None:
    """Refuse a skops file that the server would refuse."""
    types = set(skops.io.get_untrusted_types(data=content)) - set(TRUSTED_TYPES)
    if types:
        raise UserError(
            f"the server does not trust {', '.join(sorted(types))}; if you know what that is, "
            "add it to TRUSTED_TYPES in prediction.py"
        )


def describe(
    output: Path, trained: "Trained", model: str, data: Path, config: Config
) -> dict[str, Any]:
    """Return what one has to know of a model file: its scores, and what it was made from."""
    return {
        "model": model,
        "trained": datetime.now(UTC).isoformat(timespec="seconds"),
        "metrics": trained.metrics,
        "baseline": trained.baseline,
        "train_rows": len(trained.split.train),
        "test_rows": len(trained.split.test),
        "data": {"path": data.as_posix(), "sha256": fingerprint(data)},
        "file": {"path": output.as_posix(), "sha256": fingerprint(output)},
        "settings": config.training.settings.get(model, {}),
        "random_seed": config.training.random_seed,
        "versions": {"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
    }


def convert(
    pipeline: Pipeline, test: pd.DataFrame, table: Table, contract: dict[str, Any]
) -> bytes:
    """Convert a fitted pipeline to ONNX, and make sure that it answers as before.

    The answers are compared on the whole test split, on the same rows with missing values and with
    unknown categories, and on single rows. Raises NotConvertible where they differ.
    """
    widths = count_blocks(pipeline)
    inputs = [("numbers", FloatTensorType([None, widths[0]]))] if widths[0] else []
    inputs += [("categories", StringTensorType([None, widths[1]]))] if widths[1] else []
    options = {id(pipeline): {"zipmap": False}} if table.task == "classification" else None
    try:
        graph = to_onnx(pipeline, initial_types=inputs, options=options)
    except Exception as error:  # skl2onnx raises whatever it stumbles over
        reason = " ".join(str(error).split())[:200]
        raise NotConvertible(f"no conversion to ONNX ({reason})") from error
    onnx.helper.set_model_props(graph, {"contract": json.dumps(contract)})
    content: bytes = graph.SerializeToString()

    answer = run_onnx(content)
    expected = run_scikit_learn(pipeline)
    for rows in hard_cases(Features(*split_blocks(test, widths[0]))):
        difference = compare(expected(rows), answer(rows))
        if difference > TOLERANCE:
            raise NotConvertible(f"ONNX answers differently, by up to {difference:.2g}")
    return content


def count_blocks(pipeline: Pipeline) -> tuple[int, int]:
    """Return how many number and how many category features a fitted pipeline takes."""
    preprocess = pipeline.named_steps["preprocess"]
    numbers: int = preprocess.transformers_[0][2].stop
    return numbers, preprocess.n_features_in_ - numbers


def split_blocks(
    frame: pd.DataFrame, numbers: int
) -> tuple[NDArray[np.float32], NDArray[np.object_]]:
    """Return the blocks of numbers and of categories that `as_frame` put together."""
    return frame.iloc[:, :numbers].to_numpy(np.float32), frame.iloc[:, numbers:].to_numpy(object)


def hard_cases(features: Features) -> list[Features]:
    """Return the features as they are, with all sorts of gaps, and single rows of them."""
    numbers, categories = features
    hole = np.random.default_rng(0).random(numbers.shape) < 0.3
    missing = Features(
        np.where(hole, np.float32(np.nan), numbers), np.full_like(categories, MISSING_CATEGORY)
    )
    unknown = Features(numbers, np.full_like(categories, "never seen in training"))
    single = [Features(numbers[[row]], categories[[row]]) for row in range(min(5, len(numbers)))]
    return [features, missing, unknown, *single]


def compare(expected: NDArray[Any], answer: NDArray[Any]) -> float:
    """Return the largest difference: of probabilities, or of numbers relative to their size."""
    size = 1 if expected.ndim == 2 else max(1.0, float(np.abs(expected).max()))
    return float(np.abs(expected - answer).max() / size)
