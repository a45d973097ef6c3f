"""The service: what it answers, and what it refuses."""

import html
import json
import re
import socket
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
from {{ cookiecutter.project_slug }}.feature_engineering import build_features, values_of_frame
from {{ cookiecutter.project_slug }}.prediction import load_model
from {{ cookiecutter.project_slug }}.schema import Column, Table
from {{ cookiecutter.project_slug }}.service.operations import ModelFile, check_columns
from {{ cookiecutter.project_slug }}.service.request_validation import (
    InvalidRequest,
    Problem,
    RequestReader,
)
from {{ cookiecutter.project_slug }}.utils import UserError, write_atomically

ROW = {
    "Total Charges": 80,
    "größe": "Large",
    "class": 2,
    "since": "2020-01-31",
    "member": None,
}


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
    answer = client.post(
        "/predict", json={"features": {"Total Charges": 101, "sise": "x"}}
    )
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


def test_health_says_which_model_it_is(
    client: FlaskClient, trained_config: Config
) -> None:
    health = client.get("/health").get_json()
    report = json.loads(
        trained_config.paths.model.with_suffix(".json").read_text(encoding="utf-8")
    )
    assert health["status"] == "ok"
    assert health["target"] == "outcome"
    assert health["file"]["sha256"] == report["file"]["sha256"]
    assert {name: health[name] for name in ("model", "task", "metrics")} == {
        name: report[name] for name in ("model", "task", "metrics")
    }
    assert health["data"].items() < report["data"].items()


def test_without_a_model_every_answer_is_503(config: Config) -> None:
    client = app.create_app(config.paths.model).test_client()
    for answer in (
        client.get("/health"),
        client.post("/predict", json={"features": {}}),
    ):
        assert answer.status_code == 503
        assert "run: uv run train" in json.loads(answer.data)["detail"]


def test_a_new_model_is_served_and_a_broken_one_is_not(
    trained_config: Config, tmp_path: Path
) -> None:
    good, path = trained_config.paths.model.read_bytes(), tmp_path / "model.onnx"
    path.write_bytes(good)
    served = ModelFile(path, trained_config.serving)
    first = served.get()
    replace_file(path, good[: len(good) // 2])
    served.look()
    assert served.get() == first
    assert served.problem
    assert "can't be served" in served.problem
    replace_file(path, new_model(good, "gradient_boosting", "newer"))
    served.look()
    assert served.get()[0].about["model"] == "newer"
    assert served.problem is None


def test_every_answer_has_an_id_and_a_line_in_the_log(
    client: FlaskClient, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = client.post(
        "/predict", json={"features": [ROW, ROW]}, headers={"X-Request-ID": "a-1"}
    )
    made = client.get("/no%0Awhere", headers={"X-Request-ID": "a 1"}).headers[
        "X-Request-ID"
    ]
    assert rows.headers["X-Request-ID"] == "a-1"
    assert re.fullmatch(r"[0-9a-f]{8}-\d+", made)
    first, second = capsys.readouterr().err.splitlines()
    assert re.search(r" a-1 POST '/predict' 200 \d+\.\d ms 2 rows$", first)
    assert re.search(rf" {made} GET '/no\\nwhere' 404 \d+\.\d ms - rows$", second)


def test_a_busy_port_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(
            UserError, match=f"can't listen on 127.0.0.1:{port}: .*another --port"
        ):
            app.check_port("127.0.0.1", port)


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


def test_a_model_of_another_schema_is_refused_at_the_start(
    trained_config: Config, tmp_path: Path
) -> None:
    text = trained_config.schema_file.read_text(encoding="utf-8")
    config = trained_config.model_copy(update={"root": tmp_path})
    config.schema_file.write_text(
        text.replace("  since:", "  until:"), encoding="utf-8"
    )
    with pytest.raises(
        UserError, match=r"has other columns than schema.yaml \(since, until\)"
    ):
        check_columns(config.paths.model, config)


def ask(
    client: FlaskClient, rows: list[dict[str, Any]], at_once: int = 0
) -> list[dict[str, Any]]:
    """Send rows over HTTP, so many in one list, or (0) each alone."""
    answers: list[dict[str, Any]] = []
    for start in range(0, len(rows), at_once or 1):
        features = rows[start : start + at_once] if at_once else rows[start]
        body = json.dumps(
            {"features": features}, default=lambda moment: moment.isoformat()
        )
        answer = client.post("/predict", data=body, content_type="application/json")
        assert answer.status_code == 200, answer.data[:500]
        answers += answer.get_json()["predictions"] if at_once else [answer.get_json()]
    return answers


def test_the_project_s_own_rows_are_answered_as_in_training(
    own_config: Config, own_processed: pd.DataFrame, own_table: Table, tmp_path: Path
) -> None:
    own_config.paths.processed.parent.mkdir(parents=True, exist_ok=True)
    own_processed.to_parquet(own_config.paths.processed)
    trained = train(own_processed, own_table, "gradient_boosting", own_config.training)
    save_trained(tmp_path / "own.onnx", trained, own_config)
    client = app.create_app(tmp_path / "own.onnx").test_client()
    strangers = own_config.serving.unknown_categories == "accept"
    hard = make_hard_rows(own_processed.head(500), own_table, strangers)
    rows, columns = rows_of(hard, own_table), own_table.features
    features = build_features(
        values_of_frame(hard, columns), columns, trained.vocabulary
    )
    check_answers(ask(client, rows, own_config.serving.max_rows), trained, features)
    check_answers(ask(client, rows[::50]), trained, features[::50])


def test_the_form_has_a_field_for_each_column_and_no_other(client: FlaskClient) -> None:
    page = client.get("/").get_data(as_text=True)
    columns = [
        html.unescape(name) for name in re.findall('data-column="([^"]*)"', page)
    ]
    assert columns == ["Total Charges", "class", "größe", "member", "since"]
    assert page.count('<label for="field-') == len(columns)


def test_a_typical_row_is_valid_and_answered(
    client: FlaskClient, trained_config: Config
) -> None:
    row = load_model(trained_config.paths.model).example
    assert row.keys() == {"Total Charges", "class", "größe", "member", "since"}
    assert client.post("/predict", json={"features": row}).status_code == 200
    assert f'value="{row["since"][:10]}"' in client.get("/").get_data(as_text=True)


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_are_served_with_strict_security_headers(
    client: FlaskClient, path: str
) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]


# --- requests ---


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
    row = {
        "class": 3,
        "Total Charges": 1.5,
        "größe": "Small",
        "member": True,
        "row": "2024-01-31",
    }
    expected = row | {"row": datetime(2024, 1, 31)}
    assert read(row) == expected
    assert read([row, {"class": 4.0}]) == [expected, {"class": 4.0}]
    assert read({"class": 3, "größe": None}) == {"class": 3, "größe": None}


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("Total Charges", "5", "should be a valid number"),
        ("Total Charges", 100.1, "should be less than or equal to 100"),
        ("Total Charges", float("nan"), "should be a finite number"),
        ("class", 2.5, "should be a whole number"),
        ("class", None, "should be a valid number"),
        ("größe", 3, "should be a valid string"),
        ("größe", "", "should not be empty"),
        ("member", "yes", "should be a valid boolean"),
        ("row", "31/01/2024", "should be a date like 2026-01-31"),
        ("row", "1999-12-31", "should not be before 2000-01-01"),
    ],
)
def test_a_bad_value_is_named(column: str, value: Any, problem: str) -> None:
    assert problems({"class": 1} | {column: value}) == [Problem(0, column, problem)]


def test_a_date_may_have_a_time_and_a_zone() -> None:
    for text in (
        "2024-01-31T22:30:00",
        "2024-01-31T22:30:00Z",
        "2024-02-01T00:30:00+02:00",
    ):
        assert read({"class": 1, "row": text})["row"] == datetime(2024, 1, 31, 22, 30)


def test_everything_is_said_at_once() -> None:
    rows = [
        {"class": 1},
        {"Total Charges": "x", "clas": 1},
        {"class": "y", "member": 0},
    ]
    content = json.dumps({"features": rows}).encode()
    found = {(problem.row, problem.column) for problem in refuse(content).problems}
    expected = {
        (1, "Total Charges"),
        (1, "clas"),
        (1, "class"),
        (2, "class"),
        (2, "member"),
    }
    assert found == expected


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
    assert error.value.problems == [
        Problem(0, "outcome", "is not a column of the schema")
    ]
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
        (b'{"features": {"class": 1, "class": 1}}', 400),
        (b"[]", 422),
        (b'{"features": []}', 422),
        (b'{"features": {"class": 1}, "more": 1}', 422),
        (b'{"features": [{"class": 1}, {"class": 1}, {"class": 1}]}', 413),
    ],
)
def test_what_is_no_request_is_refused(content: bytes, status: int) -> None:
    error = refuse(content, max_rows=2)
    assert error.code == status
    assert all(problem.problem for problem in error.problems)


def test_the_json_schema_says_what_is_accepted() -> None:
    schema = RequestReader(TABLE, ServingConfig(max_rows=2)).body.json_schema()
    row, rows = schema["$defs"]["row"], schema["properties"]["features"]["oneOf"][1]
    assert (rows["minItems"], rows["maxItems"]) == (1, 2)
    assert row["required"] == ["class"]
    assert row["additionalProperties"] is False
    assert list(row["properties"]) == [column.name for column in TABLE.features]
    charges, missing = row["properties"]["Total Charges"]["anyOf"]
    assert charges == {"type": "number", "minimum": 0, "maximum": 100}
    assert missing == {"type": "null"}
