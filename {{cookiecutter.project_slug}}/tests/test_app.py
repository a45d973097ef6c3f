"""The service: what it answers, what it refuses, and what it must not import."""

import html
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import ROOT
from flask.testing import FlaskClient

import app
from {{ cookiecutter.project_slug }}.config import Config
from {{ cookiecutter.project_slug }}.etl.file_prediction import predict_file
from {{ cookiecutter.project_slug }}.etl.raw_data import RawData
from {{ cookiecutter.project_slug }}.prediction import load_model
from {{ cookiecutter.project_slug }}.service.model_file import ModelFile
from {{ cookiecutter.project_slug }}.training.train import run

ROW = {"Total Charges": 80, "größe": "Large", "class": 2, "since": "2020-01-31"}
JSON = {"content_type": "application/json"}
CLASSES = pytest.mark.parametrize("trained_config", ["classes"], indirect=True)


@pytest.fixture
def client(trained_config: Config, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    monkeypatch.chdir(trained_config.root)
    return app.create_app().test_client()


def predict(client: FlaskClient, features: Any, query: str = "") -> Any:
    """Send a row or several, which must be answered."""
    answer = client.post(f"/predict{query}", json={"features": features})
    assert answer.status_code == 200, answer.text[:500]
    return answer.get_json()


def find_problems(client: FlaskClient, features: Any) -> list[list[Any]]:
    """Send a row or several, which must be refused."""
    answer = client.post("/predict", json={"features": features})
    assert answer.status_code == 422
    assert answer.mimetype == "application/problem+json"
    return [list(error.values()) for error in json.loads(answer.data)["errors"]]


def test_rows_are_answered_in_their_order_as_alone(client: FlaskClient) -> None:
    rows = [ROW, {"Total Charges": 5, "größe": "Small"}, {}] * 4
    alone = [predict(client, row) for row in rows]
    assert predict(client, rows) == {"predictions": alone}
    assert alone[0] != alone[1]
    assert alone[0]["prediction"] == "won" or alone[0]["prediction"] > 2


# --- Rows as they are in the files ---------------------------------------------------


@pytest.fixture(scope="module")
def own_model(own_config: Config, own_processed: pd.DataFrame) -> Path:
    """A model of the project's own table."""
    paths = own_config.paths
    paths.processed.parent.mkdir(parents=True, exist_ok=True)
    own_processed.to_parquet(paths.processed)
    run(paths.processed, own_config.training.model, paths.model, own_config)
    return paths.model


def type_naively(text: str) -> Any:
    """Return a cell as somebody types it in JSON who knows nothing of the table."""
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    return float(text) if re.fullmatch(r"-?\d+\.\d+", text) else text or None


def test_every_kept_raw_row_is_answered_as_by_predict(
    own_model: Path,
    own_config: Config,
    own_raw: RawData,
    own_processed: pd.DataFrame,
    tmp_path: Path,
) -> None:
    kept = own_raw.rows.loc[own_processed.index]
    file, output = tmp_path / "kept.csv", tmp_path / "answered.csv"
    kept.to_csv(
        file,
        index=False,
        sep=own_config.table.separator,
        encoding=own_config.table.encoding,
    )
    predict_file(str(file), output, own_model, own_config)
    expected = pd.read_csv(output, dtype={"prediction": "str"})["prediction"]

    client = app.create_app(own_model).test_client()
    rows = kept.fillna("").astype(object).to_dict("records")
    typed = [{name: type_naively(text) for name, text in row.items()} for row in rows]
    for sent in (rows, typed):
        answers = predict(client, sent)["predictions"]
        found = pd.Series([answer["prediction"] for answer in answers])
        if load_model(own_model).labels:
            assert found.astype("str").tolist() == expected.tolist()
        else:
            pd.testing.assert_series_equal(
                found, expected.astype(float), check_names=False
            )


# --- What is refused -----------------------------------------------------------------


@CLASSES
def test_all_problems_are_reported_at_once(client: FlaskClient) -> None:
    rows = [ROW, {"Total Charges": 101, "grösse": "Small"}, {"member": 2}, 1]
    found = find_problems(client, rows)
    assert [(row, column) for row, column, _ in found] == [
        (1, "grösse"),
        (1, "Total Charges"),
        (2, "member"),
        (3, None),
    ]
    assert found[0][2].endswith("(the nearest is 'größe')")


@CLASSES
def test_columns_that_are_not_features_are_ignored(client: FlaskClient) -> None:
    more = ROW | {"id": "k1", "outcome": "lost"}
    assert predict(client, more) == predict(client, ROW)
    decomposed = {name.replace("ö", "o\u0308"): value for name, value in ROW.items()}
    assert predict(client, decomposed) == predict(client, ROW)


@CLASSES
def test_what_is_not_a_request_is_a_problem(client: FlaskClient) -> None:
    for body, status, word in (
        (b"{", 400, "not JSON"),
        (b'{"features": {"class": 1, "class": 1}}', 400, "class"),
        (b"\xef\xbb\xbf{}", 400, "byte order mark"),
        ('{"features": {}}'.encode("utf-16"), 400, "UTF-16"),
        (b"\x1f\x8b\x08", 415, "compressed"),
        (b"[]", 422, "the body should be"),
        (b'{"features": []}', 422, "1 to 10,000 rows"),
        (b'{"features": [' + b"{}," * 10_000 + b"{}]}", 413, "1 to 10,000 rows"),
        (b'{"features": "' + b"x" * 10_000_001 + b'"}', 413, ""),
    ):
        answer = client.post("/predict", data=body, **JSON)
        problem = json.loads(answer.data)
        assert (answer.status_code, problem["status"]) == (status, status)
        assert answer.mimetype == "application/problem+json"
        assert word in problem["detail"]


def test_without_a_model_every_answer_is_503(config: Config) -> None:
    client = app.create_app(config.paths.model).test_client()
    for path in ("/", "/health", "/openapi.json"):
        answer = client.get(path)
        assert answer.status_code == 503
        assert "run: uv run train" in json.loads(answer.data)["detail"]


# --- What it says of itself ----------------------------------------------------------


def test_an_explanation_says_what_each_column_changes(
    client: FlaskClient, trained_config: Config
) -> None:
    model = load_model(trained_config.paths.model)
    row = model.example | ROW
    answer = predict(client, row, "?explain=true")
    explanation = {each["column"]: each for each in answer["explanation"]}
    assert set(explanation) == {column.name for column in model.table.features}

    typical = row | {"Total Charges": model.example["Total Charges"]}
    without = predict(client, typical)
    before, after = answer["prediction"], without["prediction"]
    if model.labels:
        before = answer["probabilities"][answer["prediction"]]
        after = without["probabilities"][answer["prediction"]]
    effect = explanation["Total Charges"]["effect"]
    assert effect == pytest.approx(before - after, abs=1e-6)
    effects = [abs(each["effect"]) for each in answer["explanation"]]
    assert effects == sorted(effects, reverse=True)
    assert client.post("/predict?explain=x", json={"features": ROW}).status_code == 422


def test_the_api_is_described_for_the_model(client: FlaskClient) -> None:
    document = client.get("/openapi.json").get_json()
    assert document["servers"] == [{"url": "./"}]
    rules = {rule.rule for rule in client.application.url_map.iter_rules()}
    assert set(document["paths"]) == {"/predict", "/health"}
    assert set(document["paths"]) <= rules
    schemas = document["components"]["schemas"]
    row = schemas["Row"]
    assert set(row["properties"]) == {*ROW, "member", "id", "outcome"}
    assert row["additionalProperties"] is False
    assert row["properties"]["Total Charges"]["maximum"] == 100
    assert "yes" in row["properties"]["member"]["enum"]
    assert "prediction" in schemas["Answer"]["required"]


@CLASSES
def test_pages_are_strict_and_have_a_field_for_each_feature(
    client: FlaskClient,
) -> None:
    answer = client.get("/")
    names = re.findall('data-column="([^"]*)"', answer.text)
    expected = ["Total Charges", "class", "größe", "member", "since"]
    assert [html.unescape(name) for name in names] == expected
    for page in (answer, client.get("/docs")):
        assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert client.get("/docs/").headers["Location"] == "../docs"
    assert client.post("/predict/", json={"features": ROW}).status_code == 200


# --- In operation --------------------------------------------------------------------


@CLASSES
def test_a_new_model_is_served_and_a_broken_one_is_not(
    trained_config: Config, tmp_path: Path
) -> None:
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
def test_the_service_imports_no_library_of_training(trained_config: Config) -> None:
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
    result = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    heavy = {"pandas", "sklearn", "scipy", "matplotlib", "pandera", "pyarrow", "onnx"}
    assert heavy.isdisjoint(result.stdout.decode().split())


def test_starting_without_a_model_says_what_to_run(
    config: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(config.root)
    monkeypatch.setattr("sys.argv", ["app.py"])
    with pytest.raises(SystemExit) as stop:
        app.main()
    assert stop.value.code == 2
    expected = f"error: no model at {Path('models/model.onnx')}; run: uv run train\n"
    assert capsys.readouterr().err == expected
