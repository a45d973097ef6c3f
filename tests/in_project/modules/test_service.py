"""The service while its model file changes, and every row of a table over HTTP."""

import html
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import app
import onnx
import pytest
from conftest import ROOT, Trained, check_answers, train_model
from customer_churn.config import Config
from customer_churn.model_training import MODELS
from customer_churn.schema import read_table
from customer_churn.service.model_file import ModelFile, check_model
from customer_churn.training.train import run
from customer_churn.utils import UserError, write_atomically
from flask.testing import FlaskClient

ROW = {"Total Charges": 80, "größe": "Large", "class": 2, "since": "2020-01-31"}


@pytest.fixture
def client(trained_config: Config, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    monkeypatch.chdir(trained_config.root)
    return app.create_app().test_client()


def renamed(content: bytes, old: str, new: str) -> bytes:
    """Return a model file with another word in its contract."""
    graph = onnx.load_from_string(content)
    (contract,) = (each for each in graph.metadata_props if each.key == "contract")
    assert json.dumps(old) in contract.value
    contract.value = contract.value.replace(json.dumps(old), json.dumps(new))
    return graph.SerializeToString()


def put(path: Path, content: bytes | None) -> None:
    """Put a file in the place of another as `train` does it, or take it away."""
    path.unlink(missing_ok=True)
    if content is not None:
        with write_atomically(path) as file:
            file.write_bytes(content)


@pytest.mark.parametrize("more", [-1, 0, 1, 1_000_000])
def test_a_body_sent_in_chunks_has_the_same_limit(client: FlaskClient, more: int) -> None:
    content = json.dumps({"features": ROW}).encode()
    content += b" " * (10_000_000 + more - len(content))
    answer = client.post(
        "/predict",
        input_stream=io.BytesIO(content),
        content_type="application/json",
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert answer.status_code == (413 if more > 0 else 200)


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (None, 415),
        ("", 415),
        ("text/json", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/json; charset=utf-16", 200),
        ("APPLICATION/JSON", 200),
        ("application/vnd.rows+json", 200),
    ],
)
def test_the_content_type_decides(
    client: FlaskClient, content_type: str | None, status: int
) -> None:
    content = json.dumps({"features": ROW}).encode()
    answer = client.post("/predict", data=content, content_type=content_type)
    assert answer.status_code == status


def test_a_compressed_body_is_refused_by_its_header(client: FlaskClient) -> None:
    headers = {"Content-Encoding": "br"}
    answer = client.post("/predict", json={"features": ROW}, headers=headers)
    assert answer.status_code == 415
    assert "compressed" in json.loads(answer.data)["detail"]


def test_head_and_options_say_what_there_is(client: FlaskClient) -> None:
    assert client.head("/health").status_code == 200
    assert client.head("/predict").status_code == 405
    assert client.options("/predict").allow == {"OPTIONS", "POST"}


def test_the_model_file_is_watched(
    trained_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained_config.root)
    good, path = trained_config.paths.model.read_bytes(), tmp_path / "model.onnx"
    client = app.create_app(path).test_client()
    assert client.post("/predict", json={"features": ROW}).status_code == 503
    health = {}
    new = renamed(good, "gradient_boosting", "newer")
    contents = {"first": good, "broken": good[: len(good) // 2], "none": None, "new": new}
    for name, content in contents.items():
        put(path, content)
        time.sleep(1.1)
        assert client.post("/predict", json={"features": ROW}).status_code == 200
        health[name] = client.get("/health").get_json()
    statuses = [each["status"] for each in health.values()]
    assert statuses == ["ok", "degraded", "degraded", "ok"]
    assert "can't be served" in health["broken"]["problem"]
    assert "no model" in health["none"]["problem"]
    models = [each["model"] for each in health.values()]
    assert models == [*["gradient_boosting"] * 3, "newer"]


def test_a_model_with_other_columns_waits_for_a_restart(
    trained_config: Config, tmp_path: Path
) -> None:
    good, path = trained_config.paths.model.read_bytes(), tmp_path / "model.onnx"
    path.write_bytes(good)
    served = ModelFile(path, trained_config.serving)
    before = served.get()
    put(path, renamed(good, "größe", "breite"))
    served.look()
    assert served.get() == before
    assert served.problem
    assert "(breite, größe)" in served.problem
    assert "restart" in served.problem
    assert ModelFile(path, trained_config.serving).served


def test_a_model_of_another_schema_is_refused_at_the_start(
    trained_config: Config, tmp_path: Path
) -> None:
    text = trained_config.schema_file.read_text(encoding="utf-8")
    config = trained_config.model_copy(update={"root": tmp_path})
    config.schema_file.write_text(text.replace("  since:", "  until:"), encoding="utf-8")
    with pytest.raises(UserError, match=r"\(since, until\); run: uv run train"):
        check_model(config.paths.model, config)
    config.schema_file.unlink()
    check_model(config.paths.model, config)


# onnxruntime reports home, but not where it sees CI or a test: so there is a clean environment.
def test_serving_reports_to_nobody(trained_config: Config, tmp_path: Path) -> None:
    code = """
import sys, app
from pathlib import Path
client = app.create_app(Path(sys.argv[1])).test_client()
assert client.post("/predict", json={"features": {}}).status_code == 200
"""
    places = {"HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(trained_config.paths.model)]
    subprocess.run(command, cwd=ROOT, env=places, check=True)
    assert not list(tmp_path.iterdir())


def test_every_model_answers_every_row_as_scikit_learn(
    trained_config: Config, tmp_path: Path
) -> None:
    for name in MODELS[read_table(trained_config).task]:
        path = tmp_path / f"{name}.onnx"
        run(trained_config.paths.processed, name, path, trained_config)
        trained: Trained = train_model(trained_config, name)
        client = app.create_app(path).test_client()
        features = [column.name for column in trained.dataset.table.features]
        text = trained.dataset.rows[features].to_json(orient="records", date_format="iso")
        rows = json.loads(text)
        together = client.post("/predict", json={"features": rows}).get_json()
        check_answers(together["predictions"], trained, trained.dataset.X)
        for row, answer in list(zip(rows, together["predictions"], strict=True))[::30]:
            alone = client.post("/predict", json={"features": row}).get_json()
            assert alone["prediction"] == pytest.approx(answer["prediction"])


def test_the_page_says_how_good_the_model_is(
    trained_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained_config.root)
    client = app.create_app().test_client()
    about = json.loads(trained_config.paths.model.with_suffix(".json").read_text("utf-8"))
    page = client.get("/").text
    for name, value in about["metrics"].items():
        title, meaning = about["words"][name]
        assert f"{title}<small>{meaning}</small>" in page
        assert f"<td>{value:,.4g}" in page
    assert 'href="model-card"' in page
    assert client.get("/model-card").status_code == 200

    alone = Path(shutil.copy(trained_config.paths.model, tmp_path / "alone.onnx"))
    client = app.create_app(alone).test_client()
    assert 'href="model-card"' not in client.get("/").text
    assert client.get("/model-card").status_code == 404


@pytest.mark.parametrize("trained_config", ["classes"], indirect=True)
def test_pages_are_strict_and_have_a_field_for_each_feature(client: FlaskClient) -> None:
    answer = client.get("/")
    names = re.findall('data-column="([^"]*)"', answer.text)
    expected = ["Total Charges", "class", "größe", "member", "since"]
    assert [html.unescape(name) for name in names] == expected
    for page in (answer, client.get("/docs")):
        assert "unsafe" not in page.headers["Content-Security-Policy"]
