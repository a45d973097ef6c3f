import json
from functools import partial
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.semi_supervised import LabelPropagation

from {{ cookiecutter.project_slug }} import model_saving, model_training
from {{ cookiecutter.project_slug }}.columns import Table
from {{ cookiecutter.project_slug }}.config import Config
from {{ cookiecutter.project_slug }}.model_saving import (
    NotConvertible,
    compare,
    convert_to_onnx,
    save_model,
)
from {{ cookiecutter.project_slug }}.model_training import (
    BOOSTING,
    LINEAR,
    MODELS,
    Trained,
    read_processed,
    train,
)
from {{ cookiecutter.project_slug }}.prediction import load_model, run_scikit_learn
from {{ cookiecutter.project_slug }}.schema import read_table
from {{ cookiecutter.project_slug }}.utils import UserError, fingerprint


def train_model(name: str, config: Config) -> Trained:
    table = read_table(config)
    frame = read_processed(config.paths.processed, [*table.features, table.target])
    return train(frame, table, name, config.training)


def test_every_model_converts_and_answers_alike(trained_config: Config) -> None:
    for name in MODELS[read_table(trained_config).task]:
        assert convert_to_onnx(train_model(name, trained_config), {})  # raises if it differs


def test_the_report_says_how_the_model_came_about(trained_config: Config) -> None:
    path = trained_config.paths.model
    report = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert report["model"] == "gradient_boosting"
    assert report["data"]["sha256"] == fingerprint(trained_config.paths.processed)
    assert report["file"]["sha256"] == fingerprint(path)
    assert report["train_rows"] + report["test_rows"] == 300
    assert report["metrics"].keys() == report["baseline"].keys()
    assert TypeAdapter(Table).validate_python(report["table"]) == read_table(trained_config)
    assert {"python", "scikit-learn", "onnxruntime"} <= report["versions"].keys()


def test_the_same_training_gives_the_same_file(trained_config: Config) -> None:
    again = trained_config.root / "again.onnx"
    model_training.run(trained_config.paths.processed, "gradient_boosting", again, trained_config)
    assert again.read_bytes() == trained_config.paths.model.read_bytes()


@pytest.mark.parametrize("trained_config", ["classes"], indirect=True)
@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        (LINEAR(lambda random_state: LabelPropagation()), "no conversion"),
        (
            BOOSTING(partial(HistGradientBoostingClassifier, categorical_features=[1])),
            "answers differently",
        ),
    ],
)
def test_what_cannot_be_onnx_is_kept_as_skops_and_served(
    trained_config: Config,
    recipe: Any,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(MODELS["classification"], "special", recipe)
    onnx_file = trained_config.root / "special.onnx"
    onnx_file.write_bytes(b"the model before")
    data = trained_config.paths.processed
    path = model_training.run(data, "special", onnx_file, trained_config)
    assert path == onnx_file.with_suffix(".skops")
    assert not onnx_file.exists()
    assert reason in caplog.text
    model = load_model(path)
    assert model.predict([{}])[0]["prediction"] in ("lost", "won")


def test_a_conversion_that_differs_is_refused(
    trained_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = train_model("gradient_boosting", trained_config)

    def wrong(pipeline: Pipeline) -> object:
        right = run_scikit_learn(pipeline)
        return lambda features: right(features) + 1e-3 * max(1, len(features.numbers))

    monkeypatch.setattr(model_saving, "run_scikit_learn", wrong)
    with pytest.raises(NotConvertible, match="answers differently, by up to"):
        convert_to_onnx(trained, {})


def test_another_suffix_is_refused(trained_config: Config) -> None:
    trained = train_model("gradient_boosting", trained_config)
    data = trained_config.paths.processed
    output = trained_config.root / "model.pkl"
    with pytest.raises(UserError, match=r"must end in \.onnx or \.skops"):
        save_model(output, trained, data, trained_config)
    assert not output.exists()


def test_compare_is_absolute_for_probabilities_and_relative_for_numbers() -> None:
    assert compare(np.array([[0.5, 0.5]]), np.array([[0.4, 0.6]])) == pytest.approx(0.1)
    assert compare(np.array([1000.0]), np.array([1001.0])) == pytest.approx(0.001)


class Unknown(DummyClassifier):
    """An estimator of the team's own that nobody has vouched for."""


@pytest.mark.parametrize("trained_config", ["classes"], indirect=True)
def test_what_the_server_would_not_trust_is_not_saved(
    trained_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODELS["classification"], "unknown", LINEAR(Unknown))
    output = trained_config.root / "unknown.onnx"
    with pytest.raises(UserError, match=r"would refuse the model: .*Unknown.*TRUSTED_TYPES"):
        model_training.run(trained_config.paths.processed, "unknown", output, trained_config)
    assert not list(trained_config.root.glob("unknown.*"))
