"""Predictions of rows, as the service makes them."""

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import check_answers, train_model

from {{ cookiecutter.project_slug }}.config import Config
from {{ cookiecutter.project_slug }}.prediction import (
    load_model,
    predict_frame,
)
from {{ cookiecutter.project_slug }}.schema import Column
from {{ cookiecutter.project_slug }}.utils import UserError

CLASSES = pytest.mark.parametrize("trained_config", ["classes"], indirect=True)


def plain_rows(frame: pd.DataFrame, columns: Sequence[Column]) -> list[Any]:
    """Return the features' columns of a clean table as rows of plain values."""
    features = frame[[column.name for column in columns]]
    return features.astype(object).where(features.notna(), None).to_dict("records")


def test_rows_alone_together_and_as_a_table_are_answered_as_by_scikit_learn(
    trained_config: Config,
) -> None:
    trained = train_model(trained_config)
    frame, X = trained.dataset.rows, trained.dataset.X
    model = load_model(trained_config.paths.model)
    rows = plain_rows(frame, model.table.features)
    together = model.predict(rows)
    check_answers(together, trained, X)
    assert [model.predict([row])[0] for row in rows] == together
    predictions = [answer["prediction"] for answer in together]
    assert predict_frame(model, frame)["prediction"].tolist() == predictions


def test_gaps_and_unknown_categories_are_answered_as_by_scikit_learn(
    trained_config: Config,
) -> None:
    trained = train_model(trained_config)
    model = load_model(trained_config.paths.model)
    X = trained.dataset.X.copy()
    X["größe"] = "Gigantic"
    X["Total Charges"] = np.float32("nan")
    frame = trained.dataset.rows.assign(**{"größe": "Gigantic", "Total Charges": None})
    rows = plain_rows(frame, model.table.features)
    check_answers(model.predict(rows), trained, X)


def test_its_own_example_and_an_empty_row_are_answered(trained_config: Config) -> None:
    model = load_model(trained_config.paths.model)
    answers = model.predict([model.example, {}])
    assert len(answers) == 2
    assert model.predict([]) == []


def test_a_missing_file_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"no model at .*model\.onnx; run: uv run train"
    ):
        load_model(tmp_path / "model.onnx")


class Trap:
    """A pickle that would create a file when it is loaded."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.file,)


@CLASSES
def test_any_other_file_is_refused_and_nothing_in_it_runs(
    trained_config: Config, tmp_path: Path
) -> None:
    real, trap = trained_config.paths.model.read_bytes(), tmp_path / "sprung"
    file = tmp_path / "model.onnx"
    for content in (pickle.dumps(Trap(trap)), real[: len(real) // 2], b"a model"):
        file.write_bytes(content)
        with pytest.raises(UserError, match=r"can.t be served .*; run: uv run train"):
            load_model(file)
    assert not trap.exists()


@CLASSES
def test_a_model_with_other_features_is_refused(
    trained_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    from {{ cookiecutter.project_slug }} import feature_engineering

    function = feature_engineering.Feature("added", ("class",), abs)
    monkeypatch.setitem(feature_engineering.FEATURES, "added", function)
    with pytest.raises(UserError, match="other features than feature_engineering"):
        load_model(trained_config.paths.model)
