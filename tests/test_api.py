"""The API of the running server: what it says of itself holds, whatever it is sent."""

import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PATIENCE
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from test_serving import free_port, wait_until_it_answers

pytestmark = pytest.mark.slow

MOST_BYTES, MOST_ROWS = 10_000_000, 10_000  # as in config.yaml
JSON = {"Content-Type": "application/json"}

# JSON Schema has no limits for dates, nor for numbers that are sent as text.
HOOKS = """
import schemathesis
from datetime import date
from hypothesis import strategies
days = strategies.dates(date(2010, 1, 1), date(2035, 12, 31))
schemathesis.openapi.format("date", days.map(str))
schemathesis.openapi.format("number", strategies.integers(18, 100).map(str))
"""
SETTINGS = """
[checks.negative_data_rejection]
expected-statuses = [400, 413, 415, 422]
"""


@pytest.fixture(scope="module")
def port(bake):
    """The port of a server with a model of the sample table."""
    project = bake()
    for script in ("pipeline.py", "train"):
        result = project.run("uv", "run", script)
        assert result.returncode == 0, result.stderr
    number = free_port()
    command = ["uv", "run", "app.py", "--port", str(number)]
    process = subprocess.Popen(command, cwd=project.path, start_new_session=True)
    wait_until_it_answers(process, number)
    yield number
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def document(port):
    """What the server says of its API."""
    return json.loads(ask(port, "GET", "/openapi.json")[2])


def ask(port, method, path, body=None, headers=None, chunked=False):
    """Send a request; return the status, the headers and the body of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    chunks = (body[i : i + 2**16] for i in range(0, len(body), 2**16)) if chunked else body
    try:
        connection.request(method, path, chunks, headers or {}, encode_chunked=chunked)
    except OSError:  # the server has answered and listens no more
        pass
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, answer.headers, content


def check(document, path, status, headers, content):
    """Make sure that an answer is one of those in the document."""
    responses = document["paths"][path]["post" if path == "/predict" else "get"]["responses"]
    assert str(status) in responses
    response = responses[str(status)]
    if "$ref" in response:
        response = document["components"]["responses"][response["$ref"].rpartition("/")[2]]
    ((media_type, described),) = response["content"].items()
    assert headers.get_content_type() == media_type
    schema = described["schema"] | {"components": document["components"]}
    answer = json.loads(content)
    Draft202012Validator(schema).validate(answer)
    assert status < 400 or answer["status"] == status
    return answer


def features(text):
    """Return the body of a request."""
    return b'{"features": ' + (text if isinstance(text, bytes) else text.encode()) + b"}"


def test_the_document_is_openapi(document):
    validate(document)
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {"/health", "/predict"}
    assert document["servers"] == [{"url": "./"}]  # right behind a path prefix


def test_the_answers_are_as_the_document_says(port, document):
    check(document, "/health", *ask(port, "GET", "/health"))
    asked = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    for query in ("", "?explain=true"):
        body = json.dumps(asked["example"]).encode()
        answer = ask(port, "POST", f"/predict{query}", body, JSON)
        assert answer[0] == 200
        check(document, "/predict", *answer)


def test_explain_is_true_or_false(port, document):
    status, *answer = ask(port, "POST", "/predict?explain=x", features("{}"), JSON)
    assert status == 422
    problem = check(document, "/predict", status, *answer)
    assert problem["detail"] == "explain should be true or false"


def test_schemathesis_finds_nothing(port, document, tmp_path):
    (tmp_path / "hooks.py").write_text(HOOKS, encoding="utf-8")
    (tmp_path / "schemathesis.toml").write_text(SETTINGS, encoding="utf-8")
    result = subprocess.run(
        [
            Path(sys.executable).with_name("st"),
            *("run", f"http://127.0.0.1:{port}/openapi.json", "--no-color"),
            *("--phases", "examples,coverage,fuzzing", "--checks", "all"),
            *("--max-examples", "100", "--seed", "0", "--generation-database", "none"),
            *("--suppress-health-check", "too_slow", "--request-timeout", str(PATIENCE)),
        ],
        check=False,
        cwd=tmp_path,
        env=os.environ | {"SCHEMATHESIS_HOOKS": "hooks"},
        capture_output=True,
        encoding="utf-8",
        timeout=10 * PATIENCE,
    )
    assert result.returncode == 0, result.stdout[:5000] + result.stderr[-2000:]


ROW = '{"age": 30, "plan": "Basic"}'
CASES = {
    "nothing": (b"", 400),
    "no JSON": (b"features", 400),
    "half of it": (b'{"features": ', 400),
    "something after it": (features("{}") + b"{}", 400),
    "a comment": (features("{/* none */}"), 400),
    "a byte order mark": (b"\xef\xbb\xbf" + features("{}"), 400),
    "UTF-16": (features("{}").decode().encode("utf-16"), 400),
    "Latin-1": (features('{"plan": "Größe"}'.encode("latin-1")), 400),
    "half a character": (features(r'{"plan": "\ud800"}'), 400),
    "a NUL in the text": (features('{"plan": "\0"}'), 400),
    "100,000 brackets": (b"[" * 100_000, 400),
    "100,000 objects": (b'{"features":' * 100_000, 400),
    "a name twice": (features('{"age": 30, "age": 40}'), 400),
    "features twice": (b'{"features": {}, "features": {}}', 400),
    "5,000 digits": (features('{"age": ' + "9" * 5000 + "}"), 400),
    "no object": (b"[]", 422),
    "null": (b"null", 422),
    "no features": (b"{}", 422),
    "more than features": (b'{"features": {}, "model": 1}', 422),
    "features is a number": (features("1"), 422),
    "features is null": (features("null"), 422),
    "features is text": (features('"age"'), 422),
    "no rows": (features("[]"), 422),
    "a row is null": (features("[{}, null]"), 422),
    "a list of lists": (features("[[{}]]"), 422),
    "NaN": (features('{"age": NaN}'), 422),
    "Infinity": (features('{"monthly_charge": Infinity}'), 422),
    "1e400": (features('{"monthly_charge": 1e400}'), 422),
    "400 digits": (features('{"age": ' + "9" * 400 + "}"), 422),
    "below the minimum": (features('{"age": -1}'), 422),
    "half a year": (features('{"age": 30.5}'), 422),
    "words as a number": (features('{"age": "thirty"}'), 422),
    "a boolean as a number": (features('{"age": true}'), 422),
    "2 as a boolean": (features('{"paperless": 2}'), 422),
    "a boolean as a category": (features('{"plan": true}'), 422),
    "a list as a value": (features('{"plan": ["Basic"]}'), 422),
    "a date of another format": (features('{"signup_date": "2026.31.01"}'), 422),
    "a day that is none": (features('{"signup_date": "2026-02-30"}'), 422),
    "a date as seconds": (features('{"signup_date": 1769817600}'), 422),
    "a date too early": (features('{"signup_date": "1999-12-31"}'), 422),
    "a year no calendar has": (features('{"signup_date": "12026-01-31"}'), 422),
    "an unknown column": (features('{"agee": 30}'), 422),
    "__proto__": (features('{"__proto__": {"age": 30}}'), 422),
    "a column without a name": (features('{"": 1}'), 422),
    "100,001 problems": (features("{" + ",".join(f'"{i}":1' for i in range(100_001)) + "}"), 422),
    "10,001 rows": (features("[" + ",".join(["{}"] * (MOST_ROWS + 1)) + "]"), 413),
    "a byte too many": (features("{}").ljust(MOST_BYTES + 1), 413),
    "11 MB": (features("{}").ljust(11_000_000), 413),
    "10 MB": (features("{}").ljust(MOST_BYTES), 200),
    "10,000 rows": (features("[" + ",".join([ROW] * MOST_ROWS) + "]"), 200),
    "gzip": (b"\x1f\x8b\x08\0", 400),
    "an empty row": (features("{}"), 200),
    "the target": (features('{"churned": "No"}'), 200),
    "a number as text": (features('{"age": "30", "monthly_charge": " 1,0 "}'), 422),
    "cells as in the file": (
        features(
            '{"age": "30", "paperless": "Yes", "plan": " basic", "signup_date": "31/01/2026"}'
        ),
        200,
    ),
    "cells typed naively": (features('{"age": 30, "paperless": 0, "plan": 1, "region": ""}'), 200),
    "a row": (features(ROW), 200),
    "nulls": (features('{"age": null, "signup_date": null}'), 200),
    "30.0": (features('{"age": 30.0}'), 200),
    "a category nobody knows": (features(r'{"plan": "\u0000 Größe"}'), 200),
    "a time with a zone": (features('{"signup_date": "2026-01-31T12:00:00+02:00"}'), 200),
    "a time without one": (features('{"signup_date": "2026-01-31T12:00:00"}'), 200),
    "the key": (features('{"customer_id": "C1", "age": 30}'), 200),
}


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
@pytest.mark.parametrize("case", CASES)
def test_every_body_has_its_answer(port, document, case, chunked):
    body, status = CASES[case]
    answer = ask(port, "POST", "/predict", body, JSON, chunked)
    assert answer[0] == status, answer[2][:500]
    check(document, "/predict", *answer)


def test_every_problem_has_its_row_and_column(port, document):
    rows = features('[{}, {"age": "x", "plan": true}, {"agee": 30}]')
    answer = check(document, "/predict", *ask(port, "POST", "/predict", rows, JSON))
    found = [(error["row"], error["column"]) for error in answer["errors"]]
    assert found == [(1, "age"), (1, "plan"), (2, "agee")]
    assert "'age'" in answer["errors"][2]["problem"]


def test_an_answer_lists_a_thousand_problems_at_most(port, document):
    row = json.dumps({f"no {number}": 1 for number in range(10)})
    rows = features("[" + ",".join([row] * MOST_ROWS) + "]")
    status, headers, content = ask(port, "POST", "/predict", rows, JSON)
    assert len(content) < 200_000
    answer = check(document, "/predict", status, headers, content)
    assert len(answer["errors"]) == 1000
    assert answer["detail"].startswith("row 0: no 0 is not a column of the schema")


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("", 415),
        ("text/plain", 415),
        ("multipart/form-data", 415),
        ("application/json; charset=\xe4", 415),
        ("application/json; charset=utf-16", 200),
    ],
)
def test_the_content_type_decides(port, document, content_type, status):
    headers = {"Content-Type": content_type} if content_type else {}
    answer = ask(port, "POST", "/predict", features("{}"), headers)
    assert answer[0] == status
    check(document, "/predict", *answer)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/predict", 405),
        ("PUT", "/predict", 405),
        ("TRACE", "/predict", 405),
        ("NONSENSE", "/predict", 405),
        ("POST", "/health", 405),
        ("DELETE", "/openapi.json", 405),
        ("HEAD", "/health", 200),
        ("HEAD", "/predict", 405),
        ("OPTIONS", "/predict", 200),
        ("GET", "/nowhere", 404),
        ("POST", "/predict/", 415),
        ("GET", "/docs/", 302),
        ("GET", "/..%2f..%2fetc%2fpasswd", 404),
        ("GET", "/%ff%00", 404),
    ],
)
def test_every_method_and_path_has_its_answer(port, method, path, status):
    found, headers, content = ask(port, method, path)
    assert found == status
    if status == 405 or method == "OPTIONS":
        assert "Allow" in headers
    if status >= 400:
        assert headers.get_content_type() == "application/problem+json"
        assert method == "HEAD" or json.loads(content)["status"] == status
