import html
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import onnx
import pandas as pd
import pytest
from conftest import check_answers, make_hard_rows, rows_of, save_trained, train
from flask.testing import FlaskClient

import app
from {{ cookiecutter.project_slug }}.config import Config, ServingConfig
from {{ cookiecutter.project_slug }}.evaluation import explain_metrics
from {{ cookiecutter.project_slug }}.feature_engineering import build_features, values_of_frame
from {{ cookiecutter.project_slug }}.model_training import MODELS
from {{ cookiecutter.project_slug }}.prediction import load_model
from {{ cookiecutter.project_slug }}.schema import Column, Table, read_table
from {{ cookiecutter.project_slug }}.utils import UserError, write_atomically

from service.operations import ModelFile, check_columns
from service.request_validation import InvalidRequest, Problem, RequestReader
from training.model_saving import typical_row

ROOT = Path(app.__file__).parent
ROW = {"Total Charges": 80, "größe": "Large", "class": 2, "since": "2020-01-31", "member": None}


def new_model(content: bytes, old: str, new: str) -> bytes:
    """Return a model file with another word in its contract."""
    graph = onnx.load_from_string(content)
    (contract,) = (each for each in graph.metadata_props if each.key == "contract")
    assert json.dumps(old) in contract.value
    contract.value = contract.value.replace(json.dumps(old), json.dumps(new))
    return graph.SerializeToString()


def replace_file(path: Path, content: bytes | None) -> None:
    """Put a file in the place of another as `train` does it, or take it away."""
    path.unlink(missing_ok=True)
    if content is not None:
        with write_atomically(path) as file:
            file.write_bytes(content)


@pytest.fixture
def client(trained_config: Config, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    monkeypatch.chdir(trained_config.root)
    return app.create_app().test_client()


def test_one_row(client: FlaskClient, trained_config: Config) -> None:
    answer = client.post("/predict", json={"features": ROW})
    assert answer.status_code == 200
    if load_model(trained_config.paths.model).table.task == "regression":
        assert answer.get_json().keys() == {"prediction"}
        assert answer.get_json()["prediction"] == pytest.approx(2.6, abs=0.5)
    else:
        assert answer.get_json()["prediction"] == "won"
        assert list(answer.get_json()["probabilities"]) == ["lost", "won"]
        assert sum(answer.get_json()["probabilities"].values()) == pytest.approx(1)


def test_a_list_is_answered_in_its_order(client: FlaskClient) -> None:
    rows = [ROW, {"Total Charges": 5, "größe": "Small"}, {}, ROW]
    alone = [client.post("/predict", json={"features": row}).get_json() for row in rows]
    together = client.post("/predict", json={"features": rows})
    assert together.get_json() == {"predictions": alone}
    assert alone[0] != alone[1]


def test_a_bad_request_is_a_problem_with_every_error(client: FlaskClient) -> None:
    answer = client.post("/predict", json={"features": {"Total Charges": 101, "sise": "x"}})
    assert answer.status_code == 422
    assert answer.mimetype == "application/problem+json"
    problem = json.loads(answer.data)
    assert problem["status"] == 422
    assert problem["detail"].startswith("row 0: Total Charges should be less")
    assert [(each["row"], each["column"]) for each in problem["errors"]] == [
        (0, "Total Charges"),
        (0, "sise"),
    ]


def test_the_other_errors_have_the_same_form(client: FlaskClient) -> None:
    big = b'{"features": "' + b"x" * 10_000_001 + b'"}'
    as_json = {"content_type": "application/json"}
    answers = {
        400: client.post("/predict", data=b"{", **as_json),
        404: client.get("/nowhere"),
        405: client.get("/predict"),
        413: client.post("/predict", data=big, **as_json),
        415: client.post("/predict", data=b"{}", content_type="text/plain"),
    }
    for status, answer in answers.items():
        assert answer.status_code == status
        assert answer.mimetype == "application/problem+json"
        assert json.loads(answer.data)["status"] == status
    assert "POST" in answers[405].headers["Allow"]


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


def test_the_api_is_described_with_an_example_that_holds(client: FlaskClient) -> None:
    document = client.get("/openapi.json").get_json()
    predict = document["paths"]["/predict"]["post"]
    asked = predict["requestBody"]["content"]["application/json"]["examples"]
    answered = predict["responses"]["200"]["content"]["application/json"]["examples"]
    assert len(asked) == len(answered) == 2
    for name, example in asked.items():
        answer = client.post("/predict", json=example["value"])
        assert answer.get_json() == answered[name]["value"]
    schemas = document["components"]["schemas"]
    assert set(schemas["row"]["properties"]) == {*ROW, "id"}
    assert schemas["answer"]["required"] == list(answer.get_json()["predictions"][0])
    routes = {rule.rule for rule in client.application.url_map.iter_rules()}
    assert {"/predict", "/health", "/openapi.json"} <= routes & set(document["paths"])


def test_health_says_which_model_it_is(client: FlaskClient, trained_config: Config) -> None:
    health = client.get("/health").get_json()
    report = json.loads(trained_config.paths.model.with_suffix(".json").read_text(encoding="utf-8"))
    assert health["status"] == "ok"
    assert health["target"] == "outcome"
    assert health["file"]["sha256"] == report["file"]["sha256"]
    assert {name: health[name] for name in ("model", "task", "metrics")} == {
        name: report[name] for name in ("model", "task", "metrics")
    }
    assert health["data"].items() < report["data"].items()


def test_without_a_model_every_answer_is_503(config: Config) -> None:
    client = app.create_app(config.paths.model).test_client()
    for answer in (client.get("/health"), client.post("/predict", json={"features": {}})):
        assert answer.status_code == 503
        assert "run: uv run train" in json.loads(answer.data)["detail"]


def test_the_model_is_served_as_soon_as_its_file_is_there(
    config: Config, trained_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained_config.root)
    client = app.create_app(config.paths.model).test_client()
    assert client.post("/predict", json={"features": ROW}).status_code == 503
    replace_file(config.paths.model, trained_config.paths.model.read_bytes())
    time.sleep(1)
    assert client.post("/predict", json={"features": ROW}).status_code == 200


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


def test_every_answer_has_an_id_and_a_line_in_the_log(
    client: FlaskClient, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = client.post("/predict", json={"features": [ROW, ROW]}, headers={"X-Request-ID": "a-1"})
    made = client.get("/no%0Awhere", headers={"X-Request-ID": "a 1"}).headers["X-Request-ID"]
    assert rows.headers["X-Request-ID"] == "a-1"
    assert re.fullmatch(r"[0-9a-f]{8}-\d+", made)
    first, second = capsys.readouterr().err.splitlines()
    assert re.search(r" a-1 POST '/predict' 200 \d+\.\d ms 2 rows$", first)
    assert re.search(rf" {made} GET '/no\\nwhere' 404 \d+\.\d ms - rows$", second)


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


def test_a_busy_port_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(UserError, match=f"can't listen on 127.0.0.1:{port}: .*another --port"):
            app.check_port("127.0.0.1", port)


def test_a_port_that_is_none_is_refused() -> None:
    with pytest.raises(UserError, match=r"can't listen on 127.0.0.1:70000: .*0-65535"):
        app.check_port("127.0.0.1", 70000)


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


def ask(client: FlaskClient, rows: list[dict[str, Any]], at_once: int = 0) -> list[dict[str, Any]]:
    """Send rows over HTTP, so many in one list, or (0) each alone."""
    answers: list[dict[str, Any]] = []
    for start in range(0, len(rows), at_once or 1):
        features = rows[start : start + at_once] if at_once else rows[start]
        body = json.dumps({"features": features}, default=lambda moment: moment.isoformat())
        answer = client.post("/predict", data=body, content_type="application/json")
        assert answer.status_code == 200, answer.data[:500]
        answers += answer.get_json()["predictions"] if at_once else [answer.get_json()]
    return answers


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


def test_the_form_has_a_field_for_each_column_and_no_other(client: FlaskClient) -> None:
    page = client.get("/").get_data(as_text=True)
    columns = [html.unescape(name) for name in re.findall('data-column="([^"]*)"', page)]
    assert columns == ["Total Charges", "class", "größe", "member", "since"]
    assert page.count('<label for="field-') == len(columns)


def test_a_typical_row_is_valid_and_answered(client: FlaskClient, trained_config: Config) -> None:
    row = load_model(trained_config.paths.model).example
    assert row.keys() == {"Total Charges", "class", "größe", "member", "since"}
    assert client.post("/predict", json={"features": row}).status_code == 200
    assert f'value="{row["since"][:10]}"' in client.get("/").get_data(as_text=True)


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


TABLE = Table(
    (
        Column("Total Charges", "number", True, 0, 100),
        Column("class", "integer", False),
        Column("größe", "category", True, categories=("Small", "Large")),
        Column("member", "boolean", True),
        Column("row", "date", True, "2000-01-01T00:00:00", "2030-12-31T00:00:00"),
    ),
    Column("outcome", "category"),
    "classification",
)


def read(features: Any, **serving: Any) -> Any:
    content = json.dumps({"features": features}).encode()
    return RequestReader(TABLE, ServingConfig(**serving)).read(content)


def refuse(content: bytes, **serving: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as error:
        RequestReader(TABLE, ServingConfig(**serving)).read(content)
    return error.value


def problems(row: dict[str, Any], **serving: Any) -> list[Problem]:
    error = refuse(json.dumps({"features": row}).encode(), **serving)
    assert error.code == 422
    return error.problems


def test_a_row_and_a_list_of_rows() -> None:
    row = {"class": 3, "Total Charges": 1.5, "größe": "Small", "member": True, "row": "2024-01-31"}
    expected = row | {"row": datetime(2024, 1, 31)}
    assert read(row) == expected
    assert read([row, {"class": 4.0}]) == [expected, {"class": 4.0}]
    assert read({"class": 3, "größe": None}) == {"class": 3, "größe": None}


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("Total Charges", "5", "should be a valid number"),
        ("Total Charges", True, "should be a valid number"),
        ("Total Charges", 100.1, "should be less than or equal to 100"),
        ("Total Charges", -1, "should be greater than or equal to 0"),
        ("Total Charges", float("nan"), "should be a finite number"),
        ("Total Charges", float("inf"), "should be a finite number"),
        ("Total Charges", [1], "should be a valid number"),
        ("Total Charges", 10**400, "should be a valid number"),
        ("class", 2.5, "should be a whole number"),
        ("class", False, "should be a valid number"),
        ("class", None, "should be a valid number"),
        ("größe", 3, "should be a valid string"),
        ("größe", "", "should not be empty"),
        ("member", 1, "should be a valid boolean"),
        ("member", "true", "should be a valid boolean"),
        ("member", "yes", "should be a valid boolean"),
        ("row", "31/01/2024", "should be a date like 2026-01-31"),
        ("row", "2024-02-30", "should be a date like 2026-01-31"),
        ("row", " 2024-01-31", "should be a date like 2026-01-31"),
        ("row", "1706659200", "should be a date like 2026-01-31"),
        ("row", "1999-12-31", "should not be before 2000-01-01"),
        ("row", "2031-01-01T00:00:00Z", "should not be after 2030-12-31"),
        ("row", "0001-01-01T00:00:00+14:00", "should be a date like 2026-01-31"),
        ("row", "2024-01-31T00:00:00+99:00", "should be a date like 2026-01-31"),
        ("row", 1706659200, "should be a valid string"),
    ],
)
def test_a_bad_value_is_named(column: str, value: Any, problem: str) -> None:
    assert problems({"class": 1} | {column: value}) == [Problem(0, column, problem)]


def test_a_date_may_have_a_time_and_a_zone() -> None:
    for text in ("2024-01-31T22:30:00", "2024-01-31T22:30:00Z", "2024-02-01T00:30:00+02:00"):
        assert read({"class": 1, "row": text})["row"] == datetime(2024, 1, 31, 22, 30)


def test_a_number_beyond_all_numbers_is_refused() -> None:
    error = refuse(b'{"features": {"class": 1e400, "Total Charges": -Infinity}}')
    assert error.problems == [
        Problem(0, "Total Charges", "should be a finite number"),
        Problem(0, "class", "should be a finite number"),
    ]


def test_everything_is_said_at_once() -> None:
    rows = [{"class": 1}, {"Total Charges": "x", "clas": 1}, {"class": "y", "member": 0}]
    content = json.dumps({"features": rows}).encode()
    found = {(problem.row, problem.column) for problem in refuse(content).problems}
    expected = {(1, "Total Charges"), (1, "clas"), (1, "class"), (2, "class"), (2, "member")}
    assert found == expected


def test_a_thousand_problems_are_listed_and_all_are_counted() -> None:
    row = {"class": "x", "Total Charges": "x", "member": "x", "row": "x", "clas": 1}
    error = refuse(json.dumps({"features": [row] * 10_000}).encode())
    assert error.code == 422
    assert len(error.problems) == 1000
    assert error.problems[-1] == Problem(199, "clas", error.problems[4].problem)
    assert str(error.description).endswith("(50,000 problems in all)")


def test_a_hundred_thousand_problems_are_only_counted() -> None:
    names = ",".join(f'"{number}": 1' for number in range(100_001))
    error = refuse(b'{"features": {"class": 1, ' + names.encode() + b"}}")
    assert [problem.row for problem in error.problems] == [None]
    assert "100,001 problems" in error.problems[0].problem


def test_a_long_name_is_cut() -> None:
    (problem,) = problems({"class": 1, "x" * 1_000_000: 1})
    assert problem == Problem(0, "x" * 100, "is not a column of the schema")


@pytest.mark.parametrize("name", ["__proto__", "constructor", "__class__", "", "a\0b", "🦉"])
def test_no_name_is_special(name: str) -> None:
    assert [problem.column for problem in problems({"class": 1, name: 1})] == [name]


def test_a_name_stands_once_in_an_object() -> None:
    for content in (
        b'{"features": {"class": 1, "class": 1}}',
        b'{"features": [{"class": 1}, {"class": 1, "Total Charges": 1, "Total Charges": null}]}',
        b'{"features": {"class": 1}, "features": {"class": 1}}',
        b'{"features": {"class": 1, "\\u0063lass": 1}}',
    ):
        error = refuse(content)
        assert error.code == 400
        assert "uplicate key" in error.problems[0].problem


def test_an_unknown_column_is_refused_and_the_nearest_named() -> None:
    found = problems({"class": 1, "grösse": "Small"})
    hint = "is not a column of the schema (the nearest is 'größe')"
    assert found == [Problem(0, "grösse", hint)]


def test_a_missing_column_is_named() -> None:
    assert problems({}) == [Problem(0, "class", "is required")]


def test_the_key_and_excluded_columns_may_be_there_but_not_the_target() -> None:
    reader = RequestReader(replace(TABLE, unused=("id", "free text")), ServingConfig())
    row = {"class": 3, "id": "k1", "free text": None}
    assert reader.read(json.dumps({"features": row}).encode())
    assert reader.read(json.dumps({"features": [row, {"class": 4, "id": 7}]}).encode())
    with pytest.raises(InvalidRequest) as error:
        reader.read(json.dumps({"features": row | {"outcome": "won"}}).encode())
    assert error.value.problems == [Problem(0, "outcome", "is not a column of the schema")]
    assert [problem.column for problem in problems({"class": 3, "id": "k1"})] == ["id"]


def test_unknown_categories_follow_the_config() -> None:
    row = {"class": 1, "größe": "Huge"}
    assert read(row) == row
    assert read({"class": 1, "größe": " small"}, unknown_categories="reject")
    found = problems(row, unknown_categories="reject")
    assert found == [Problem(0, "größe", "should be one of Small, Large")]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff", 400),
        (b'{"features": {"class": 01}}', 400),
        (b"[" * 100_000, 400),
        (b'{"features": ' * 100_000, 400),
        (b'{"features": {"class": 1}} {}', 400),
        (b'{"features": {"class": 1,}}', 400),
        (b"{'features': {'class': 1}}", 400),
        (b'{"features": {"class": ' + b"1" * 5000 + b"}}", 400),
        (b'\xef\xbb\xbf{"features": {"class": 1}}', 400),
        ('{"features": {"class": 1}}'.encode("utf-16"), 400),
        ('{"features": {"class": 1, "größe": "Small"}}'.encode("latin-1"), 400),
        (b'{"features": {"class": 1, "x\0": 1}}', 400),
        (b"null", 422),
        (b"[]", 422),
        (b"{}", 422),
        (b'{"features": {"class": "\\ud800"}}', 400),
        (b'{"features": {"class": 1, "\\udfff": 1}}', 400),
        (b'{"features": 3}', 422),
        (b'{"features": null}', 422),
        (b'{"features": "class"}', 422),
        (b'{"features": []}', 422),
        (b'{"features": [3]}', 422),
        (b'{"features": [null, [], {}]}', 413),
        (b'{"features": [[{"class": 1}]]}', 422),
        (b'{"features": {"class": 1}, "more": 1}', 422),
        (b'{"features": [{"class": 1}, {"class": 1}, {"class": 1}]}', 413),
    ],
)
def test_what_is_no_request_is_refused(content: bytes, status: int) -> None:
    error = refuse(content, max_rows=2)
    assert error.code == status
    assert all(problem.problem for problem in error.problems)


def test_the_json_schema_says_what_is_accepted() -> None:
    reader = RequestReader(replace(TABLE, unused=("id",)), ServingConfig(max_rows=2))
    schema = reader.body.json_schema()
    row, rows = schema["$defs"]["row"], schema["properties"]["features"]["oneOf"][1]
    assert (rows["minItems"], rows["maxItems"]) == (1, 2)
    assert row["required"] == ["class"]
    assert row["additionalProperties"] is False
    assert list(row["properties"]) == [column.name for column in TABLE.features] + ["id"]
    charges, missing = row["properties"]["Total Charges"]["anyOf"]
    assert charges == {"type": "number", "minimum": 0, "maximum": 100}
    assert missing == {"type": "null"}
    assert row["properties"]["class"]["multipleOf"] == 1
    date = row["properties"]["row"]["anyOf"][0]
    assert date["anyOf"] == [{"format": "date"}, {"format": "date-time"}]
    assert (date["formatMinimum"], date["formatMaximum"]) == (
        "2000-01-01T00:00:00",
        "2030-12-31T00:00:00",
    )


def test_the_json_schema_lists_categories_where_others_are_rejected() -> None:
    sizes = []
    for config in (ServingConfig(), ServingConfig(unknown_categories="reject")):
        schema = RequestReader(TABLE, config).body.json_schema()
        sizes.append(schema["$defs"]["row"]["properties"]["größe"]["anyOf"][0])
    assert sizes[0] == {"type": "string", "minLength": 1, "examples": ["Small", "Large"]}
    assert sizes[1] == {"type": "string", "enum": ["Small", "Large"]}
