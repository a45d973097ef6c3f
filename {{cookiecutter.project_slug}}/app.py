"""Serve the model over HTTP.

Examples:
    uv run app.py
    uv run app.py --model models/model.onnx --port 8080 --workers 4
"""

import json
import os
import socket
from http import HTTPStatus
from pathlib import Path

from flask import Flask, Response, request
from flask.typing import ResponseReturnValue
from granian import Granian
from granian.constants import Interfaces
from werkzeug.exceptions import HTTPException

from {{ cookiecutter.project_slug }}.config import read_config
from {{ cookiecutter.project_slug }}.prediction import find_model_file, load_model, read_model_report
from {{ cookiecutter.project_slug }}.request_validation import InvalidRequest, Problem, RequestReader
from {{ cookiecutter.project_slug }}.utils import UserError, command, command_line

MODEL_VARIABLE = "MODEL_PATH"  # how the command line tells the server's processes which model


def create_app(model_path: Path | None = None) -> Flask:
    """Build the application that serves a model file; while there is none it answers 503."""
    config = read_config()
    path = model_path or Path(os.environ.get(MODEL_VARIABLE, config.paths.model))
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = config.serving.max_bytes
    app.register_error_handler(HTTPException, answer_http_error)
    app.register_error_handler(InvalidRequest, answer_invalid_request)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    try:
        path = find_model_file(path)
    except UserError as error:
        reason = str(error)
        app.before_request(lambda: problem_response(503, reason, []))
        return app

    model = load_model(path)
    reader = RequestReader(model.table, config.serving)
    report = read_model_report(path)

    @app.get("/health")
    def health() -> ResponseReturnValue:
        """Say which model is served, when it was trained, and on what."""
        described = {name: report.get(name) for name in ("model", "trained", "data", "metrics")}
        return {
            "status": "ok",
            "task": model.table.task,
            "target": model.table.target.name,
            **described,
        }

    @app.post("/predict")
    def predict() -> ResponseReturnValue:
        """Answer one row, or a list of them."""
        if not request.is_json:
            raise InvalidRequest(415, [Problem(None, None, "must be sent as application/json")])
        features = reader.read(request.get_data())
        if isinstance(features, list):
            return {"predictions": model.predict(features)}
        return model.predict([features])[0]

    return app


def answer_invalid_request(error: InvalidRequest) -> Response:
    """Answer with everything that is wrong with the request."""
    first = error.problems[0]
    place = [f"row {first.row}"] if first.row is not None else []
    place += [first.column] if first.column is not None else []
    detail = ": ".join([", ".join(place), first.problem] if place else [first.problem])
    return problem_response(error.status, detail, error.problems)


def answer_http_error(error: HTTPException) -> Response:
    """Answer any other error, such as 404 or 405, in the same form."""
    response = problem_response(error.code or 500, error.description or error.name, [])
    response.headers.extend((k, v) for k, v in error.get_headers() if k == "Allow")
    return response


def problem_response(status: int, detail: str, problems: list[Problem]) -> Response:
    """Build an answer in the form of RFC 9457, application/problem+json."""
    content = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "errors": [problem._asdict() for problem in problems],
    }
    body = json.dumps(content, ensure_ascii=False)
    return Response(body, status=status, mimetype="application/problem+json")


def check_port(host: str, port: int) -> None:
    """Refuse an address that something else listens on, before any process is started."""
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        raise UserError(
            f"can't listen on {host}:{port}: {error.strerror}; try another --port"
        ) from error


@command
def main() -> None:
    """Serve from the command line."""
    parser = command_line(__doc__)
    parser.add_argument("--model", metavar="PATH", type=Path, help="model file")
    parser.add_argument("--host", help="address to listen on; 0.0.0.0: every one")
    parser.add_argument("--port", type=int, help="port to listen on")
    parser.add_argument("--workers", type=int, help="how many processes answer")
    options = parser.parse_args()

    config = read_config()
    path = find_model_file(options.model or config.paths.model)
    load_model(path)  # a broken file is told here in one line, not by every worker
    host = options.host or config.serving.host
    port = config.serving.port if options.port is None else options.port
    check_port(host, port)
    os.environ[MODEL_VARIABLE] = str(path)
    Granian(
        "app:create_app",
        factory=True,
        interface=Interfaces.WSGI,
        address=host,
        port=port,
        workers=options.workers or config.serving.workers,
        websockets=False,
        blocking_threads=2,  # more of them only wait for each other
    ).serve()


if __name__ == "__main__":
    main()
