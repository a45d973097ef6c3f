"""Load a model file, and predict rows of a request or of a table with it.

The service imports this module and must start without pandas and scikit-learn: only
the functions for tables import pandas.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from pydantic import TypeAdapter

from .feature_engineering import (
    Feature,
    feature_names,
    features_of_rows,
    features_of_table,
    is_category,
    usable_features,
)
from .schema import Table
from .utils import UserError

if TYPE_CHECKING:
    import pandas as pd

STEPS = 1e6  # probabilities are rounded to six digits; float32 holds no more

# A function of numbers, shape (rows, n), and categories, shape (rows, m). Its outputs
# are probabilities, shape (rows, labels), or numbers, shape (rows,).
Predict = Callable


@dataclass(frozen=True)
class Model:
    """A model and what it was trained on.

    `labels` are the classes (none in a regression), `features` the names of the
    features, `example` a typical row as JSON, and `about` describes the training:
    data, metrics, versions. `run` computes outputs from features, and `sha256` is the
    hash of the file. With a `threshold`, the second of two labels is predicted if its
    probability reaches it. `drift.py` compares new rows with `reference`.
    """

    table: Table
    labels: list
    features: list[str]
    example: dict
    about: dict
    run: Predict
    sha256: str
    threshold: float | None
    reference: dict

    @cached_property
    def own_features(self) -> list[Feature]:
        """The features of feature_engineering.py that the table has columns for."""
        return usable_features(self.table.features)

    @cached_property
    def names(self) -> list[str]:
        """The labels as names in JSON."""
        return [name_label(label) for label in self.labels]

    def predict(self, rows: Sequence[dict]) -> list:
        """Return the answer to each row, as the HTTP API gives it."""
        if not rows:
            return []

        outputs = self._compute_outputs(rows)
        if self.table.task == "regression":
            return [{"prediction": number} for number in outputs.tolist()]

        positions = choose_classes(outputs, self.threshold).tolist()

        return [
            {
                "prediction": self.labels[position],
                "probabilities": dict(zip(self.names, probabilities, strict=True)),
            }
            for position, probabilities in zip(positions, outputs.tolist(), strict=True)
        ]

    def explain(self, row: dict, answer: dict) -> list:
        """Return the effect of each column on the answer to a row, the largest first.

        The effect is how much higher the probability of the predicted label (or the
        predicted number) is than with the column's typical value. One column is
        replaced at a time, so interactions are not shown.
        """
        names = [column.name for column in self.table.features]
        variants = [{**row, name: self.example.get(name)} for name in names]
        outputs = self._compute_outputs([row, *variants])
        if self.labels:
            outputs = outputs[:, self.labels.index(answer["prediction"])]

        effects = outputs[0] - outputs[1:]
        order = np.argsort(-abs(effects), kind="stable")

        return [
            {
                "column": names[place],
                "value": row.get(names[place]),
                "effect": float(f"{effects[place]:.6g}"),
            }
            for place in order
        ]

    def _compute_outputs(self, rows: Sequence[dict]) -> np.ndarray:
        """Return the probabilities of rows, shape (rows, labels), or their numbers."""
        columns = self.table.features
        return self.run(*features_of_rows(rows, columns, self.own_features))


def choose_classes(probabilities: np.ndarray, threshold: float | None) -> np.ndarray:
    """Return the position of each row's class: the most likely one, or, with a
    threshold, the second of two if its probability reaches it.
    """
    if threshold is None:
        return probabilities.argmax(axis=1)
    return (probabilities[:, 1] >= threshold).astype(np.intp)


def name_label(label: Any) -> str:
    """Return a label as a name in JSON: text as it is, 1 as "1", true as "true"."""
    return label if isinstance(label, str) else json.dumps(label)


def load_model(path: Path) -> Model:
    """Load a model file.

    Raises UserError if it is missing or can't be served, or if feature_engineering.py
    has changed since the training.
    """
    try:
        content = path.read_bytes()
        run, contract = load_onnx(content)
        contract["table"] = TypeAdapter(Table).validate_python(contract["table"])
        model = Model(**contract, run=run, sha256=sha256(content).hexdigest())
    except FileNotFoundError as error:
        raise UserError(f"no model at {path}; run: uv run train") from error
    except Exception as error:  # ONNX Runtime raises errors of many kinds
        reason = str(error)[:200]
        raise UserError(
            f"{path} can't be served ({reason}); run: uv run train"
        ) from error

    numbers, categories = feature_names(model.table.features)
    if model.features != numbers + categories:
        raise UserError(
            f"{path} was trained with other features than feature_engineering.py "
            "has now; run: uv run train"
        )

    return model


def load_onnx(content: bytes) -> tuple:
    """Load an ONNX model from the content of a file, and the contract stored in it.

    It runs on one thread: one process for each core is faster than several threads.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        content, options, providers=["CPUExecutionProvider"]
    )
    contract = json.loads(session.get_modelmeta().custom_metadata_map["contract"])
    inputs = [each.name for each in session.get_inputs()]
    output = session.get_outputs()[-1].name  # a classifier's probabilities
    offset = contract.pop("offset")

    def run(numbers: np.ndarray, categories: np.ndarray) -> np.ndarray:
        given = {"numbers": numbers, "categories": categories}
        result = session.run([output], {name: given[name] for name in inputs})[0]
        if output == "variable":
            return result.ravel().astype(float) + offset
        return np.rint(result.astype(float) * STEPS) / STEPS

    return run, contract


def predict_features(run: Predict, X: "pd.DataFrame") -> np.ndarray:
    """Return the outputs for a table of features.

    `X` has numbers, and categories as text, in the order of `feature_names`.
    """
    is_text = is_category(X)
    numbers = X.loc[:, ~is_text].to_numpy(dtype=np.float32)
    categories = X.loc[:, is_text].to_numpy(dtype=object)
    return run(numbers, categories)


def predict_table(model: Model, frame: "pd.DataFrame") -> np.ndarray:
    """Return the outputs for the rows of a clean table."""
    X = features_of_table(frame, model.table.features)
    return predict_features(model.run, X)


def predict_frame(model: Model, frame: "pd.DataFrame") -> "pd.DataFrame":
    """Return the answers to the rows of a clean table, one row each.

    The columns are `prediction` and, for classes, the probability of each.
    """
    import pandas as pd

    outputs = predict_table(model, frame)
    if model.table.task == "regression":
        return pd.DataFrame({"prediction": outputs}, index=frame.index)

    answers = pd.DataFrame(outputs, index=frame.index, columns=answer_names(model)[1:])
    positions = choose_classes(outputs, model.threshold)
    answers.insert(0, "prediction", pd.Index(model.labels).take(positions))

    return answers


def answer_names(model: Model) -> list[str]:
    """Return the names of the columns that `predict_frame` returns."""
    return ["prediction", *(f"probability {name}" for name in model.names)]
