import json
from functools import partial
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.semi_supervised import LabelPropagation

from {{ cookiecutter.project_slug }} import model_training
from {{ cookiecutter.project_slug }}.config import Config
from {{ cookiecutter.project_slug }}.model_saving import compare, convert_to_onnx, save_model
from {{ cookiecutter.project_slug }}.model_training import (
    BOOSTING,
    LINEAR,
    MODELS,
    Trained,
    read_processed,
    train,
)
from {{ cookiecutter.project_slug }}.prediction import load_model
from {{ cookiecutter.project_slug }}.schema import Table, read_table
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


def test_the_same_training_gives_the_same_file_but_for_its_time(trained_config: Config) -> None:
    first, again = trained_config.paths.model, trained_config.root / "again.onnx"
    model_training.run(trained_config.paths.processed, "gradient_boosting", again, trained_config)
    times = [load_model(path).about["trained"].encode() for path in (again, first)]
    assert again.read_bytes().replace(*times) == first.read_bytes()


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
def test_what_onnx_cannot_answer_alike_is_not_saved(
    trained_config: Config, recipe: Any, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODELS["classification"], "special", recipe)
    output = trained_config.root / "special.onnx"
    output.write_bytes(b"the model before")
    with pytest.raises(UserError, match=f"^special .*{reason}"):
        model_training.run(trained_config.paths.processed, "special", output, trained_config)
    assert output.read_bytes() == b"the model before"


def test_another_suffix_is_refused(trained_config: Config) -> None:
    trained = train_model("gradient_boosting", trained_config)
    data = trained_config.paths.processed
    output = trained_config.root / "model.pkl"
    with pytest.raises(UserError, match=r"must end in \.onnx$"):
        save_model(output, trained, data, trained_config)
    assert not output.exists()


def test_compare_is_absolute_for_probabilities_and_relative_for_numbers() -> None:
    assert compare(np.array([[0.5, 0.5]]), np.array([[0.4, 0.6]])) == pytest.approx(0.1)
    assert compare(np.array([1000.0]), np.array([1001.0])) == pytest.approx(0.001)
