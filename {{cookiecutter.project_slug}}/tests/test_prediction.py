"""Predictions of rows, as the service makes them."""

import numpy as np
import pytest
from conftest import check_answers, train_model

from {{ cookiecutter.project_slug }}.prediction import load_model, predict_frame
from {{ cookiecutter.project_slug }}.utils import UserError

CLASSES = pytest.mark.parametrize("trained_config", ["classes"], indirect=True)


def plain_rows(frame, columns):
    """Return the features' columns of a clean table as rows of plain values."""
    features = frame[[column.name for column in columns]]
    return features.astype(object).where(features.notna(), None).to_dict("records")


def test_rows_alone_together_and_as_a_table_are_answered_as_by_scikit_learn(
    trained_config,
):
    trained = train_model(trained_config)
    frame = trained.dataset.rows
    model = load_model(trained_config.paths.model)
    rows = plain_rows(frame, model.table.features)
    together = model.predict(rows)
    check_answers(together, trained, trained.dataset.X)
    assert [model.predict([row])[0] for row in rows] == together
    predictions = [answer["prediction"] for answer in together]
    assert predict_frame(model, frame)["prediction"].tolist() == predictions


def test_gaps_and_unknown_categories_are_answered_as_by_scikit_learn(trained_config):
    trained = train_model(trained_config)
    model = load_model(trained_config.paths.model)
    changed = {"größe": "Gigantic", "Total Charges": np.nan}
    X = trained.dataset.X.assign(**changed)
    rows = plain_rows(trained.dataset.rows.assign(**changed), model.table.features)
    check_answers(model.predict(rows), trained, X)
    assert len(model.predict([model.example, {}])) == 2


@CLASSES
def test_any_other_file_is_refused(trained_config, tmp_path):
    real = trained_config.paths.model.read_bytes()
    file = tmp_path / "model.onnx"
    for content in (real[: len(real) // 2], b"a model"):
        file.write_bytes(content)
        with pytest.raises(UserError, match=r"can.t be served .*; run: uv run train"):
            load_model(file)
    file.unlink()
    with pytest.raises(UserError, match=r"no model at .*; run: uv run train"):
        load_model(file)


@CLASSES
def test_a_model_with_other_features_is_refused(trained_config, monkeypatch):
    from {{ cookiecutter.project_slug }} import feature_engineering

    function = feature_engineering.Feature("added", ("class",), abs)
    monkeypatch.setitem(feature_engineering.FEATURES, "added", function)
    with pytest.raises(UserError, match="other features than feature_engineering"):
        load_model(trained_config.paths.model)
