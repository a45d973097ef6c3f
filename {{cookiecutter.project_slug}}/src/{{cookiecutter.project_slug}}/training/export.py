"""Make the model file from a fitted pipeline: ONNX (https://onnx.ai), which loads fast
and holds no code.

A pipeline is saved only if the exported model answers like scikit-learn. The same data,
settings and versions give the same file, byte for byte: when and where it was made is
in the JSON file beside it.
"""

import json
from dataclasses import asdict
from itertools import chain

import numpy as np
import pandas as pd
from onnx import ModelProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.pipeline import Pipeline

from ..drift import as_predictions, describe_rows
from ..evaluation import predict_outputs
from ..feature_engineering import is_category
from ..model_training import Dataset
from ..prediction import Predict, load_onnx, predict_features
from ..utils import UserError

# Rounding to float32 sometimes moves a row across a threshold of a tree. Up to this
# share of the compared rows may differ by more than the tolerance, which applies to
# probabilities, or to numbers relative to their standard deviation.
TOLERANCE, TOLERATED_SHARE = 1e-4, 0.001
COMPARED_ROWS = 5_000
SAMPLED_ROWS = 20_000  # training rows that describe the distributions


def export_pipeline(pipeline: Pipeline, dataset: Dataset, model: str) -> tuple:
    """Convert a fitted pipeline, and make sure that it answers as before.

    Returns the ONNX model, and the function from features to its outputs. Raises
    UserError if it can't be converted, or if its answers differ.
    """
    _round_thresholds(pipeline)
    try:
        onnx_model = _convert(pipeline, dataset)
    except Exception as error:  # skl2onnx raises errors of many kinds
        raise UserError(f"{model} can't be exported: {str(error)[:200]}") from error

    contract = {"offset": dataset.offset}
    helper.set_model_props(onnx_model, {"contract": json.dumps(contract)})
    predict, _ = load_onnx(onnx_model.SerializeToString())

    share = _compare_outputs(pipeline, predict, dataset)
    if share > TOLERATED_SHARE:
        raise UserError(
            f"{model} answers differently as ONNX, for {share:.1%} of the compared "
            "rows, and is not saved; try another --model, and look for slips in the "
            "target, numbers far larger than the others"
        )

    return onnx_model, predict


def _round_thresholds(pipeline: Pipeline) -> None:
    """Round the thresholds of boosted trees down to float32, as ONNX holds them.

    Features are float32, so the trees decide as before. Rounded to the nearest, a
    threshold could pass a feature that it was just below.
    """
    for tree in chain(*getattr(pipeline[-1], "_predictors", [])):
        exact = tree.nodes["num_threshold"]
        rounded = exact.astype(np.float32)
        below = np.nextafter(rounded, np.float32(-np.inf))
        tree.nodes["num_threshold"] = np.where(rounded > exact, below, rounded)


def _convert(pipeline: Pipeline, dataset: Dataset) -> ModelProto:
    """Convert a pipeline to ONNX, with the inputs `numbers` and `categories`."""
    is_text = is_category(dataset.X)
    numbers = FloatTensorType([None, int((~is_text).sum())])
    categories = StringTensorType([None, int(is_text.sum())])
    inputs = [("numbers", numbers), ("categories", categories)]
    inputs = [(name, kind) for name, kind in inputs if kind.shape[1]]
    options = {id(pipeline): {"zipmap": False}} if dataset.labels else None
    onnx_model = to_onnx(pipeline, initial_types=inputs, options=options)
    onnx_model.opset_import.sort(key=lambda each: each.domain)  # a set in skl2onnx

    return onnx_model


def _compare_outputs(pipeline: Pipeline, predict: Predict, dataset: Dataset) -> float:
    """Return the share of rows whose outputs differ by more than the tolerance.

    The rows are test rows, and the same with gaps and unknown categories.
    """
    X = dataset.X_test.head(COMPARED_ROWS)
    is_text = is_category(X)
    is_changed = np.random.default_rng(0).random(X.shape) < 0.3
    changed = X.mask(is_changed & ~is_text)
    changed = changed.mask(is_changed & is_text, "a category that no row has")
    X = pd.concat([X, changed], ignore_index=True)

    expected = predict_outputs(pipeline, X, len(dataset.labels)) + dataset.offset
    differences = np.abs(expected - predict_features(predict, X))
    if dataset.labels:
        differences = differences.max(axis=1)
    else:
        differences /= np.std(dataset.y_test) or 1.0

    return float(np.mean(differences > TOLERANCE))


def serialize_model(
    onnx_model: ModelProto,
    dataset: Dataset,
    predict: Predict,
    outputs: np.ndarray,
    about: dict,
) -> bytes:
    """Return the content of the model file.

    Besides the model it holds what the service must know: the contract. `outputs` are
    the model's answers to the test rows, and `about` describes the training.
    """
    columns = dataset.table.features
    drawn = np.random.default_rng(0).permutation(dataset.split.train)[:SAMPLED_ROWS]
    train = dataset.rows.iloc[drawn]
    trained = predict_features(predict, dataset.X.iloc[drawn])
    predictions = [as_predictions(each, dataset.labels) for each in (outputs, trained)]
    contract = {
        "table": asdict(dataset.table),
        "labels": dataset.labels,
        "features": list(dataset.X),
        "offset": dataset.offset,
        "threshold": about["threshold"],
        "example": _example_row(train, columns),
        "reference": describe_rows(train, columns, *predictions),
        "about": about,
    }
    helper.set_model_props(onnx_model, {"contract": json.dumps(contract)})

    return onnx_model.SerializeToString()


def _example_row(frame: pd.DataFrame, columns: tuple) -> dict:
    """Return a typical row as JSON: the median, or the most frequent value."""
    row: dict = {}
    for column in columns:
        known = frame[column.name].dropna().sort_values(ignore_index=True)
        if column.kind == "category":
            known = known.mode()
        row[column.name] = known.get(len(known) // 2)

    text = pd.Series(row, dtype=object).to_json(date_format="iso", double_precision=15)

    return json.loads(text)
