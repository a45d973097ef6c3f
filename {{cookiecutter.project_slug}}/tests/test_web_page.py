import html
import re

import pandas as pd
import pytest
from flask.testing import FlaskClient

import app
from {{ cookiecutter.project_slug }}.columns import Column
from {{ cookiecutter.project_slug }}.config import Config
from {{ cookiecutter.project_slug }}.model_saving import typical_row
from {{ cookiecutter.project_slug }}.prediction import load_model


@pytest.fixture
def client(trained_config: Config, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    monkeypatch.chdir(trained_config.root)
    return app.create_app().test_client()


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


def test_without_its_report_a_model_has_a_page_too(
    client: FlaskClient, trained_config: Config
) -> None:
    report = trained_config.paths.model.with_suffix(".json")
    moved = report.rename(report.with_name("moved.json"))
    try:
        page = app.create_app().test_client().get("/")
    finally:
        moved.rename(report)
    assert page.status_code == 200
    assert "does not lie beside the model file" in page.get_data(as_text=True)
