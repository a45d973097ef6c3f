"""Load a model file and predict with it: rows of a request, or of a table.

The service imports this module and starts without pandas; what is for tables imports it itself.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from pydantic import TypeAdapter

from .feature_engineering import build_features, values_of_frame, values_of_rows
from .schema import Table
from .utils import UserError

if TYPE_CHECKING:
    import pandas as pd

# Probabilities of float32 and float64 agree to this many digits, so both find the same label
# where two classes are equally likely.
DIGITS = 6
SLICE_ROWS = 25_000  # of a table that a thread predicts at once

Outputs = Callable[[NDArray[np.float32]], NDArray[Any]]


@dataclass(frozen=True)
class Model:
    """A model and its contract.

    `outputs` maps a matrix of features to probabilities, shape (rows, labels), or in a regression
    to numbers, shape (rows,). `vocabulary` has the number of each category that training saw,
    `example` a typical row, `about` how the model came about: on which data, how good it is;
    `sha256` is the fingerprint of its file.
    """

    table: Table
    labels: list[Any]
    vocabulary: dict[str, dict[str, int]]
    example: dict[str, Any]
    about: dict[str, Any]
    outputs: Outputs
    sha256: str

    @cached_property
    def names(self) -> list[str]:
        """The labels as names in JSON."""
        return [name_label(label) for label in self.labels]

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return one answer a row, in the form of the HTTP interface."""
        columns = self.table.features
        features = build_features(
            values_of_rows(rows, columns), columns, self.vocabulary
        )
        outputs = self.outputs(features)
        if self.table.task == "regression":
            return [{"prediction": number} for number in outputs.tolist()]
        best, probabilities = self.decide(outputs)
        return [
            {
                "prediction": self.labels[place],
                "probabilities": dict(zip(self.names, each, strict=True)),
            }
            for place, each in zip(best.tolist(), probabilities.tolist(), strict=True)
        ]

    def decide(
        self, outputs: NDArray[Any]
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Return of each row the place of the most likely label, and how likely each label is."""
        probabilities = outputs.astype(float).round(DIGITS)
        return probabilities.argmax(axis=1), probabilities


def name_label(label: Any) -> str:
    """Return a label as a JSON object's name: text as it is, 1 as "1", true as "true"."""
    return label if isinstance(label, str) else json.dumps(label)


def load_model(path: Path) -> Model:
    """Load a model file."""
    try:
        content = path.read_bytes()
        outputs, contract = load_onnx(content)
        contract["table"] = TypeAdapter(Table).validate_python(contract["table"])
        return Model(**contract, outputs=outputs, sha256=sha256(content).hexdigest())
    except FileNotFoundError as error:
        raise UserError(f"no model at {path}; run: uv run train") from error
    except Exception as error:  # ONNX Runtime raises whatever it stumbles over
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path} can't be served ({reason}); run: uv run train"
        ) from error


def load_onnx(content: bytes) -> tuple[Outputs, dict[str, Any]]:
    """Load an ONNX model and its contract from the content of a file.

    It runs on one thread: one process a core is faster than several threads in each.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        content, options, providers=["CPUExecutionProvider"]
    )
    (name,) = (each.name for each in session.get_inputs())
    output = session.get_outputs()[-1].name  # of a classifier the probabilities

    def outputs(matrix: NDArray[np.float32]) -> NDArray[Any]:
        result = session.run([output], {name: matrix})[0]
        return result.ravel() if output == "variable" else result

    return outputs, json.loads(session.get_modelmeta().custom_metadata_map["contract"])


def predict_frame(model: Model, frame: "pd.DataFrame") -> "pd.DataFrame":
    """Return one row of answers for each row of a processed table: its prediction, and of classes
    the probability of each.

    Slices of it are predicted beside each other, each on one thread: where ONNX Runtime shares a
    row between threads, they add up in another order, and the last digits differ.
    """
    import pandas as pd

    def predict_slice(start: int) -> NDArray[Any]:
        columns, part = model.table.features, frame.iloc[start : start + SLICE_ROWS]
        values = values_of_frame(part, columns)
        return model.outputs(build_features(values, columns, model.vocabulary))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        slices = pool.map(predict_slice, range(0, max(len(frame), 1), SLICE_ROWS))
        outputs = np.concatenate(list(slices))
    if model.table.task == "regression":
        return pd.DataFrame({"prediction": outputs.astype(float)}, frame.index)
    best, probabilities = model.decide(outputs)
    answers = pd.DataFrame(probabilities, frame.index, name_answers(model)[1:])
    answers.insert(
        0, "prediction", pd.Series(model.labels).take(best).set_axis(frame.index)
    )
    return answers


def name_answers(model: Model) -> list[str]:
    """Return the names of the columns that `predict_frame` answers."""
    return ["prediction", *(f"probability {name}" for name in model.names)]
