"""The service: what it answers, what it refuses, and what it must not import."""

import json
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from conftest import CLASSES, ROOT

import app
from {{ cookiecutter.project_slug }}.etl.file_prediction import predict_file
from {{ cookiecutter.project_slug }}.prediction import load_model, name_label
from {{ cookiecutter.project_slug }}.service.model_file import ModelFile
from {{ cookiecutter.project_slug }}.training.train import run

ROW = {"Total Charges": 80, "größe": "Large", "class": 2, "since": "2020-01-31"}


@pytest.fixture
def client(trained_config, monkeypatch):
    monkeypatch.chdir(trained_config.root)
    return app.create_app().test_client()


def predict(client, features, query=""):
    """Send a row or several, which must be answered."""
    answer = client.post(f"/predict{query}", json={"features": features})
    assert answer.status_code == 200, answer.text[:500]
    return answer.get_json()


def test_rows_are_answered_in_their_order_as_alone(client):
    rows = [ROW, {"Total Charges": 5, "größe": "Small"}, {}] * 4
    alone = [predict(client, row) for row in rows]
    assert predict(client, rows) == {"predictions": alone}
    assert alone[0] != alone[1]
    assert alone[0]["prediction"] == "won" or alone[0]["prediction"] > 2


# --- Rows as they are in the files ---------------------------------------------------


@pytest.fixture
def own_model(own_config, own_processed, tmp_path, empty_figures):
    """A model of the project's own table, whether it would be promoted or not."""
    data, model = tmp_path / "own.parquet", tmp_path / "own.onnx"
    own_processed.to_parquet(data)
    run(data, own_config.training.model, model, own_config)
    return model


def type_naively(text, decimal):
    """Return a cell as somebody types it in JSON who knows nothing of the table."""
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    if re.fullmatch(rf"-?\d+\{decimal}\d+", text):
        return float(text.replace(decimal, "."))
    return text or None


def test_every_kept_raw_row_is_answered_as_by_predict(
    own_model, own_config, own_raw, own_processed, tmp_path, monkeypatch
):
    kept = own_raw.loc[own_processed.index]
    file, output = tmp_path / "kept.csv", tmp_path / "answered.csv"
    look = {"sep": own_config.table.separator, "encoding": own_config.table.encoding}
    kept.to_csv(file, index=False, **look)
    predict_file(str(file), output, own_model, own_config)
    is_label = bool(load_model(own_model).labels)
    expected = pd.read_csv(output, dtype={"prediction": "str" if is_label else "float"})

    monkeypatch.chdir(own_config.root)
    client = app.create_app(own_model).test_client()
    rows = kept.fillna("").astype(object).to_dict("records")
    type_in = partial(type_naively, decimal=own_config.table.decimal)
    typed = [{name: type_in(text) for name, text in row.items()} for row in rows]
    for sent in (rows, typed):
        found = pd.DataFrame(predict(client, sent)["predictions"])["prediction"]
        found = found.map(name_label).astype("str") if is_label else found
        pd.testing.assert_series_equal(found, expected["prediction"])


# --- What is refused -----------------------------------------------------------------


@CLASSES
def test_all_problems_are_reported_at_once(client):
    rows = [ROW, {"Total Charges": 101, "grösse": "Small"}, {"member": 2}, 1]
    answer = client.post("/predict", json={"features": rows})
    assert answer.status_code == 422
    assert answer.mimetype == "application/problem+json"
    errors = json.loads(answer.data)["errors"]
    assert [(error["row"], error["column"]) for error in errors] == [
        (1, "grösse"),
        (1, "Total Charges"),
        (2, "member"),
        (3, None),
    ]
    assert errors[0]["problem"].endswith("(the nearest is 'größe')")


@CLASSES
def test_columns_that_are_not_features_are_ignored(client):
    more = ROW | {"id": "k1", "outcome": "lost"}
    decomposed = {name.replace("ö", "o\u0308"): value for name, value in ROW.items()}
    assert predict(client, more) == predict(client, ROW) == predict(client, decomposed)


@CLASSES
def test_what_is_not_a_request_is_a_problem(client):
    for body, status, word in (
        (b"{", 400, "not JSON"),
        (b'{"features": {"class": 1, "class": 1}}', 400, "class"),
        (b"\xef\xbb\xbf{}", 400, "byte order mark"),
        ('{"features": {}}'.encode("utf-16"), 400, "UTF-8"),
        (b"\x1f\x8b\x08", 400, "not compressed"),
        (b"[]", 422, "the body should be"),
        (b'{"features": []}', 422, "1 to 10,000 rows"),
        (b'{"features": [' + b"{}," * 10_000 + b"{}]}", 413, "1 to 10,000 rows"),
        (b'{"features": "' + b"x" * 10_000_001 + b'"}', 413, ""),
    ):
        answer = client.post("/predict", data=body, content_type="application/json")
        problem = json.loads(answer.data)
        assert (answer.status_code, problem["status"]) == (status, status)
        assert answer.mimetype == "application/problem+json"
        assert word in problem["detail"]


def test_without_a_model_the_answer_and_the_command_say_what_to_run(
    config, monkeypatch, capsys
):
    client = app.create_app(config.paths.model).test_client()
    for path in ("/", "/health", "/openapi.json"):
        answer = client.get(path)
        assert answer.status_code == 503
        assert "run: uv run train" in json.loads(answer.data)["detail"]

    monkeypatch.chdir(config.root)
    monkeypatch.setattr("sys.argv", ["app.py"])
    with pytest.raises(SystemExit) as stop:
        app.main()
    assert stop.value.code == 2
    expected = f"error: no model at {Path('models/model.onnx')}; run: uv run train\n"
    assert capsys.readouterr().err == expected


# --- What it says of itself ----------------------------------------------------------


def test_an_explanation_says_what_each_column_changes(client, trained_config):
    model = load_model(trained_config.paths.model)
    row = model.example | ROW
    answer = predict(client, row, "?explain=true")
    effects = {each["column"]: each["effect"] for each in answer["explanation"]}
    assert set(effects) == {column.name for column in model.table.features}
    sizes = [abs(effect) for effect in effects.values()]
    assert sizes == sorted(sizes, reverse=True)

    charges = "Total Charges"
    without = predict(client, row | {charges: model.example[charges]})
    before, after = answer["prediction"], without["prediction"]
    if model.labels:
        after = without["probabilities"][before]
        before = answer["probabilities"][before]
    assert effects[charges] == pytest.approx(before - after, abs=1e-6)


# --- In operation --------------------------------------------------------------------


@CLASSES
def test_a_new_model_is_served_and_a_broken_one_is_not(trained_config, tmp_path):
    good, path = trained_config.paths.model.read_bytes(), tmp_path / "model.onnx"
    path.write_bytes(good)
    file = ModelFile(path, trained_config.serving)
    first, _ = file.get()
    path.write_bytes(good[: len(good) // 2])
    file.look()
    assert file.get()[0] is first
    assert "can't be served" in str(file.problem)
    path.write_bytes(good)
    file.look()
    assert file.get()[0] is not first
    assert file.problem is None


@CLASSES
def test_the_service_imports_no_library_of_training(trained_config):
    code = """
import os, sys
import app
os.chdir(sys.argv[1])
client = app.create_app().test_client()
for path in ("/", "/docs", "/health", "/openapi.json"):
    assert client.get(path).status_code == 200, path
rows = dict(features=[dict()] * 20)
assert client.post("/predict?explain=true", json=rows).status_code == 200
print(*sys.modules)
"""
    command = [sys.executable, "-c", code, str(trained_config.root)]
    modules = subprocess.check_output(command, cwd=ROOT, text=True).split()
    heavy = {"pandas", "sklearn", "scipy", "matplotlib", "pandera", "pyarrow", "onnx"}
    assert heavy.isdisjoint(modules)
