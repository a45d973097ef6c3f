"""Load a model file and predict with it: rows of a request, or of a table.

The service imports this module and starts without pandas; what is for tables imports it itself.
"""

import json
from collections.abc import Callable, Mapping, Sequence
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
        features = build_features(values_of_rows(rows, columns), columns, self.vocabulary)
        outputs = self.outputs(features)
        if self.table.task == "regression":
            return [{"prediction": number} for number in outputs.tolist()]
        best, probabilities = self.decide(outputs)
        return [
            {"prediction": label, "probabilities": dict(zip(self.names, each, strict=True))}
            for label, each in zip(best, probabilities.tolist(), strict=True)
        ]

    def decide(self, outputs: NDArray[Any]) -> tuple[list[Any], NDArray[np.float64]]:
        """Return of each row the label that is most likely, and how likely each label is."""
        probabilities = outputs.astype(float).round(DIGITS)
        return [self.labels[place] for place in probabilities.argmax(axis=1)], probabilities


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
        raise UserError(f"{path} can't be served ({reason}); run: uv run train") from error


def load_onnx(content: bytes) -> tuple[Outputs, dict[str, Any]]:
    """Load an ONNX model and its contract from the content of a file.

    It runs on one thread: one process a core is faster than several threads in each.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    (name,) = (each.name for each in session.get_inputs())
    output = session.get_outputs()[-1].name  # of a classifier the probabilities

    def outputs(matrix: NDArray[np.float32]) -> NDArray[Any]:
        result = session.run([output], {name: matrix})[0]
        return result.ravel() if output == "variable" else result

    return outputs, json.loads(session.get_modelmeta().custom_metadata_map["contract"])


def predict_frame(model: Model, frame: "pd.DataFrame") -> "pd.DataFrame":
    """Return one row of answers for each row of a processed table: its prediction, and of classes
    the probability of each.
    """
    import pandas as pd

    columns = model.table.features
    features = build_features(values_of_frame(frame, columns), columns, model.vocabulary)
    outputs = model.outputs(features)
    if model.table.task == "regression":
        return pd.DataFrame({"prediction": outputs}, frame.index)
    best, probabilities = model.decide(outputs)
    names = [f"probability {name_label(label)}" for label in model.labels]
    answers = pd.DataFrame(probabilities, frame.index, names)
    answers.insert(0, "prediction", pd.Series(best, frame.index).infer_objects())
    return answers
