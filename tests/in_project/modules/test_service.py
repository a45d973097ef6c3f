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
from collections.abc import Mapping
from pathlib import Path

import app
import pandas as pd
import pytest
from conftest import ROOT, check_answers, make_hard_rows, rows_of, save_trained, train
from customer_churn.config import Config
from customer_churn.evaluation import explain_metrics
from customer_churn.feature_engineering import build_features, values_of_frame
from customer_churn.model_training import MODELS
from customer_churn.schema import Column, Table, read_table
from customer_churn.utils import UserError
from flask.testing import FlaskClient
from customer_churn.service.operations import ModelFile, check_columns
from test_app import ROW, ask, new_model, replace_file
from customer_churn.training.model_saving import typical_row


@pytest.fixture
def client(trained_config: Config, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    monkeypatch.chdir(trained_config.root)
    return app.create_app().test_client()


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


def test_the_rows_are_counted(client: FlaskClient) -> None:
    for count, status in ((10_000, 200), (10_001, 413)):
        answer = client.post("/predict", json={"features": [ROW] * count})
        assert answer.status_code == status


def test_head_and_options_say_what_there_is(client: FlaskClient) -> None:
    assert client.head("/health").status_code == 200
    assert client.head("/predict").status_code == 405
    options = client.options("/predict")
    assert options.status_code == 200
    assert options.allow == {"OPTIONS", "POST"}


def test_the_model_is_served_as_soon_as_its_file_is_there(
    config: Config, trained_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained_config.root)
    client = app.create_app(config.paths.model).test_client()
    assert client.post("/predict", json={"features": ROW}).status_code == 503
    replace_file(config.paths.model, trained_config.paths.model.read_bytes())
    time.sleep(1)
    assert client.post("/predict", json={"features": ROW}).status_code == 200


def test_a_model_with_other_columns_waits_for_a_restart(
    trained_config: Config, tmp_path: Path
) -> None:
    good, path = trained_config.paths.model.read_bytes(), tmp_path / "model.onnx"
    path.write_bytes(good)
    served = ModelFile(path, trained_config.serving)
    before = served.get()
    replace_file(path, new_model(good, "größe", "breite"))
    served.look()
    assert served.get() == before
    assert served.problem == f"{path} has other columns (breite, größe); restart to serve it"
    assert ModelFile(path, trained_config.serving).served


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("  since:", "  until:", "has other columns than schema.yaml (since, until); run: uv run"),
        ("columns:", "Columns:", "schema.yaml is not a pandera schema: 'columns'"),
    ],
)
def test_a_model_of_another_schema_is_refused_at_the_start(
    trained_config: Config, tmp_path: Path, old: str, new: str, told: str
) -> None:
    text = trained_config.schema_file.read_text(encoding="utf-8")
    assert old in text
    config = trained_config.model_copy(update={"root": tmp_path})
    config.schema_file.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(UserError, match=re.escape(told)):
        check_columns(config.paths.model, config)
    config.schema_file.unlink()
    check_columns(config.paths.model, config)


def test_a_new_model_is_served_and_a_broken_one_is_not(
    trained_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained_config.root)
    good, path = trained_config.paths.model.read_bytes(), tmp_path / "model.onnx"
    path.write_bytes(good)
    client = app.create_app(path).test_client()
    told = {}
    new = new_model(good, "gradient_boosting", "newer")
    contents = {"broken": good[: len(good) // 2], "none": None, "new": new}
    for name, content in contents.items():
        replace_file(path, content)
        time.sleep(1)
        assert client.post("/predict", json={"features": ROW}).status_code == 200
        told[name] = client.get("/health").get_json()
    assert {name: each["status"] for name, each in told.items()} == {
        "broken": "degraded",
        "none": "degraded",
        "new": "ok",
    }
    assert "can't be served" in told["broken"]["problem"]
    assert "no model" in told["none"]["problem"]
    assert told["new"]["problem"] is None
    assert [each["model"] for each in told.values()] == [*["gradient_boosting"] * 2, "newer"]


# onnxruntime reports home, but not where it sees CI or a test: so there is a clean environment.
def test_serving_needs_neither_pandas_nor_scikit_learn_and_reports_to_nobody(
    trained_config: Config, tmp_path: Path
) -> None:
    code = """
import sys, app
client = app.create_app(app.Path(sys.argv[1])).test_client()
for path in ("/", "/health", "/openapi.json", "/docs"):
    assert client.get(path).status_code == 200
assert client.post("/predict", json={"features": {}}).status_code == 200
assert not {"pandas", "sklearn", "pandera", "pyarrow", "scipy"} & set(sys.modules)
"""
    places = {"HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(
        [sys.executable, "-c", code, str(trained_config.paths.model)],
        cwd=ROOT,
        env=places,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert not list(tmp_path.iterdir())


def test_a_port_that_is_none_is_refused() -> None:
    with pytest.raises(UserError, match=r"can't listen on 127.0.0.1:70000: .*0-65535"):
        app.check_port("127.0.0.1", 70000)


def check_every_model(
    frame: pd.DataFrame, table: Table, config: Config, folder: Path, alone: Mapping[str, int]
) -> None:
    """Over HTTP each row gets in a list, and of some models each (or each so many-th) alone, what
    training answers.
    """
    for name in MODELS[table.task]:
        trained = train(frame, table, name, config.training)
        save_trained(folder / "m.onnx", trained, config)
        client = app.create_app(folder / "m.onnx").test_client()
        hard = make_hard_rows(frame, table, config.serving.unknown_categories == "accept")
        rows = rows_of(hard, table)
        features = build_features(
            values_of_frame(hard, table.features), table.features, trained.vocabulary
        )
        check_answers(ask(client, rows, config.serving.max_rows), trained, features)
        if step := alone.get(name):
            check_answers(ask(client, rows[::step]), trained, features[::step])


def test_every_row_is_answered_as_in_training(trained_config: Config, tmp_path: Path) -> None:
    table = read_table(trained_config)
    frame = pd.read_parquet(trained_config.paths.processed)
    check_every_model(frame, table, trained_config, tmp_path, dict.fromkeys(MODELS[table.task], 1))


def test_the_project_s_own_rows_are_answered_as_in_training(
    own_config: Config, own_processed: pd.DataFrame, own_table: Table, tmp_path: Path
) -> None:
    own_config.paths.processed.parent.mkdir(parents=True, exist_ok=True)
    own_processed.to_parquet(own_config.paths.processed)
    alone = {own_config.training.model: 7}  # because it takes its time
    check_every_model(own_processed, own_table, own_config, tmp_path, alone)


def test_a_typical_row_has_middle_and_frequent_values() -> None:
    frame = pd.DataFrame(
        {
            "x": [9.5, None, 1, 2],
            "count": pd.array([3, 1, None, 2], "Int64"),
            "size": ["S", "L", "L", None],
            "member": pd.array([False, None, True, True], "boolean"),
            "since": pd.to_datetime(["2020-01-01T12", "2022-03-04T00", "NaT", "2019-01-01T00"]),
            "empty": pd.array([None] * 4, "Float64"),
        }
    )
    kinds = ("number", "integer", "category", "boolean", "date", "number")
    columns = [Column(name, kind) for name, kind in zip(frame, kinds, strict=True)]  # type: ignore[arg-type]
    assert typical_row(frame, columns) == {
        "x": 2,
        "count": 2,
        "size": "L",
        "member": True,
        "since": "2020-01-01T12:00:00.000",
        "empty": None,
    }


@pytest.mark.parametrize("path", ["/", "/docs", "/docs/swagger-ui-bundle.js", "/static/page.js"])
def test_pages_are_served_with_strict_security_headers(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]


def test_the_model_card_comes_with_the_model_file(
    trained_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained_config.root)
    report = json.loads(trained_config.paths.model.with_suffix(".json").read_text(encoding="utf-8"))
    alone = shutil.copy(trained_config.paths.model, tmp_path)
    page = app.create_app(Path(alone)).test_client().get("/").get_data(as_text=True)
    for name, value in report["metrics"].items():
        title, meaning = explain_metrics()[name]
        low, high = report["intervals"][name]
        assert f"{title}<small>{meaning}</small>" in page
        assert f"<td>{value:.4g}<small>{low:.3g} to {high:.3g}</small></td>" in page
        assert f"<td>{report['baseline'][name]:.4g}</td>" in page
    assert report["file"]["sha256"][:8] in page
    for each in (*(f["feature"] for f in report["importance"][:3]), report["slices"][0]["value"]):
        assert html.escape(each) in page
