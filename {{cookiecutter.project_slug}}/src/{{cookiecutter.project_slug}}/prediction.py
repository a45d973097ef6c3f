"""Load a model file and predict with it. Needs neither pandas nor scikit-learn."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from pydantic import TypeAdapter

from .columns import Table
from .feature_engineering import build_features, values_of_rows
from .utils import UserError

# Probabilities of float32 and float64 agree to this many digits, so both find the same label
# where two classes are equally likely.
DIGITS = 6

Outputs = Callable[[NDArray[np.float32]], NDArray[Any]]


@dataclass(frozen=True)
class Model:
    """A model and its contract.

    `outputs` maps a matrix of features to probabilities, shape (rows, labels), or in a regression
    to numbers, shape (rows,). `vocabulary` has the number of each category that training saw,
    `example` a typical row, `about` how the model came about: when, on which data, how good it is.
    """

    table: Table
    labels: list[Any]
    vocabulary: dict[str, dict[str, int]]
    example: dict[str, Any]
    about: dict[str, Any]
    outputs: Outputs

    @cached_property
    def names(self) -> list[str]:
        """The labels as names in JSON."""
        return [name_label(label) for label in self.labels]

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return one answer a row, in the form of the HTTP interface."""
        columns = self.table.features
        features = build_features(values_of_rows(rows, columns), columns, self.vocabulary)
        outputs = self.outputs(features).tolist()
        if self.table.task == "regression":
            return [{"prediction": number} for number in outputs]
        return [self.answer([round(each, DIGITS) for each in row]) for row in outputs]

    def answer(self, probabilities: list[float]) -> dict[str, Any]:
        """Return the label that is most likely, and how likely each is."""
        best = self.labels[probabilities.index(max(probabilities))]
        named = dict(zip(self.names, probabilities, strict=True))
        return {"prediction": best, "probabilities": named}


def name_label(label: Any) -> str:
    """Return a label as a JSON object's name: text as it is, 1 as "1", true as "true"."""
    return label if isinstance(label, str) else json.dumps(label)


def load_model(path: Path) -> Model:
    """Load a model file."""
    try:
        outputs, contract = load_onnx(path.read_bytes())
        contract["table"] = TypeAdapter(Table).validate_python(contract["table"])
        return Model(**contract, outputs=outputs)
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
