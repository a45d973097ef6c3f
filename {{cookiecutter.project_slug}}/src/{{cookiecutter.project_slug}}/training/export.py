"""Export a fitted pipeline as ONNX (https://onnx.ai): a file that loads fast and holds
no code.

A pipeline is saved only if the exported model answers like scikit-learn. The same data,
settings and versions give the same file, byte for byte: when and where it was made is
in the JSON file beside it.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
import pandas as pd
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.pipeline import Pipeline

from ..evaluation import predict_outputs
from ..feature_engineering import features_of_row, is_category, usable_features
from ..model_training import Dataset
from ..prediction import Outputs, load_onnx, predict_features
from ..schema import Column
from ..utils import UserError

# float32 moves a row across a threshold of a tree now and then: of all rows compared,
# this share may differ by more than the tolerance, which is one of probabilities, or of
# numbers relative to their standard deviation.
TOLERANCE, TOLERATED_SHARE = 1e-4, 0.001
COMPARED_ROWS = 5_000
SINGLE_ROWS = 20


class Exported(NamedTuple):
    """An ONNX model, and the function from features to its outputs."""

    onnx_model: onnx.ModelProto
    outputs: Outputs


def export_pipeline(pipeline: Pipeline, dataset: Dataset, model: str) -> Exported:
    """Convert a fitted pipeline, and make sure that it answers as before.

    Raises UserError if it can't be converted, or if its answers differ.
    """
    _round_thresholds(pipeline)
    onnx_model = _convert(pipeline, dataset, model)
    set_contract(onnx_model, {"offset": dataset.offset})
    outputs, _ = load_onnx(onnx_model.SerializeToString())
    _check_outputs(pipeline, outputs, dataset, model)
    _check_single_rows(outputs, dataset)
    return Exported(onnx_model, outputs)


def _round_thresholds(pipeline: Pipeline) -> None:
    """Round the thresholds of boosted trees down to float32, as ONNX holds them.

    Features are float32, so the trees decide as before. Rounded to the nearest, a
    threshold could pass a feature that it was just below.
    """
    for trees in getattr(pipeline[-1], "_predictors", []):
        for tree in trees:
            exact = tree.nodes["num_threshold"]
            rounded = exact.astype(np.float32)
            below = np.nextafter(rounded, np.float32(-np.inf))
            tree.nodes["num_threshold"] = np.where(rounded > exact, below, rounded)


def _convert(pipeline: Pipeline, dataset: Dataset, model: str) -> onnx.ModelProto:
    """Convert a pipeline to ONNX, with the inputs `numbers` and `categories`."""
    is_text = is_category(dataset.X)
    inputs = []
    if not is_text.all():
        inputs.append(("numbers", FloatTensorType([None, int((~is_text).sum())])))
    if is_text.any():
        inputs.append(("categories", StringTensorType([None, int(is_text.sum())])))
    options = {id(pipeline): {"zipmap": False}} if dataset.labels else None
    try:
        onnx_model = to_onnx(pipeline, initial_types=inputs, options=options)
    except Exception as error:  # skl2onnx raises errors of many kinds
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{model} can't be exported to ONNX: {reason}") from error
    onnx_model.opset_import.sort(key=lambda each: each.domain)  # skl2onnx has a set
    return onnx_model


def set_contract(onnx_model: onnx.ModelProto, contract: Mapping[str, Any]) -> None:
    """Store what the service must know in the model."""
    onnx.helper.set_model_props(onnx_model, {"contract": json.dumps(contract)})


def _check_outputs(
    pipeline: Pipeline, outputs: Outputs, dataset: Dataset, model: str
) -> None:
    """Compare the outputs on test rows, also with gaps and with unknown categories."""
    classes = len(dataset.labels)
    X = _hard_cases(dataset.X_test)
    expected = predict_outputs(pipeline, X, classes) + dataset.offset
    scale = 1.0 if classes else float(np.std(dataset.y_test)) or 1.0

    differences = np.abs(expected - predict_features(outputs, X)) / scale
    differences = differences.reshape(len(differences), -1).max(axis=1)
    if np.mean(differences > TOLERANCE) > TOLERATED_SHARE:
        raise UserError(
            f"{model} answers differently as ONNX, by up to {differences.max():.2g}, "
            "and is not saved; try another --model"
        )


def _hard_cases(X: pd.DataFrame) -> pd.DataFrame:
    """Return rows as they are, with missing numbers, and with unknown categories."""
    X = X.head(COMPARED_ROWS)
    is_text = is_category(X)
    is_gap = np.random.default_rng(0).random(X.shape) < 0.3
    with_gaps = X.mask(is_gap & ~is_text)
    with_unknown = X.copy()
    with_unknown.loc[:, is_text] = "a category that no row has"
    return pd.concat([X, with_gaps, with_unknown], ignore_index=True)


def _check_single_rows(outputs: Outputs, dataset: Dataset) -> None:
    """Compare some rows one by one, as the service computes them, with the table."""
    columns = dataset.table.features
    custom = usable_features(columns)
    sample = dataset.split.test[:SINGLE_ROWS]
    X = dataset.X.iloc[sample]
    expected = predict_features(outputs, X)
    for position, row in enumerate(plain_rows(dataset.rows.iloc[sample], columns)):
        numbers, categories = features_of_row(row, columns, custom)
        for name, one in zip(X, [*numbers, *categories], strict=True):
            other = X[name].iat[position]
            if not _is_same(one, other):
                raise UserError(
                    f"the feature {name!r} is {one!r} for a single row, but {other!r} "
                    "for the same row of the table"
                )
        given = np.array([numbers], np.float32), np.array([categories], object)
        np.testing.assert_allclose(outputs(*given)[0], expected[position], atol=1e-4)


def _is_same(one: Any, other: Any) -> bool:
    """Compare a feature of a single row with that of the table, in float32."""
    if isinstance(one, str):
        return bool(one == other)
    return bool(np.isclose(one, other, rtol=1e-6, equal_nan=True))


def plain_rows(frame: pd.DataFrame, columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Return the features' columns of a clean table as rows of plain values."""
    features = frame[[column.name for column in columns]]
    rows = features.astype(object).where(features.notna(), None)
    return [
        {str(name): _plain(value) for name, value in row.items()}
        for row in rows.to_dict("records")
    ]


def _plain(value: Any) -> Any:
    """Return a value of pandas or NumPy as one of Python."""
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime()
    return value.item() if isinstance(value, np.generic) else value
