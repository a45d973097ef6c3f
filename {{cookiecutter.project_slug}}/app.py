"""Serve the model over HTTP.

Examples:
    uv run app.py
    uv run app.py --model models/model.onnx --port 8080 --workers 4
"""

import os
from os.path import abspath
from pathlib import Path
from typing import Any

from flask import Flask, Response, request
from pydantic_core import to_json
from werkzeug.exceptions import HTTPException

from {{ cookiecutter.project_slug }} import service
from {{ cookiecutter.project_slug }}.config import read_config
from {{ cookiecutter.project_slug }}.service.model_file import (
    ModelFile,
    check_model,
    log_predictions,
)
from {{ cookiecutter.project_slug }}.service.pages import make_pages
from {{ cookiecutter.project_slug }}.service.request_validation import (
    Problem,
    read_body,
    read_explain,
    read_features,
)
from {{ cookiecutter.project_slug }}.service.server import make_server, one_at_a_time
from {{ cookiecutter.project_slug }}.utils import (
    command,
    command_line,
    positive_integer,
    set_up_logging,
)


def create_app(model_path: Path | None = None) -> Flask:
    """Build the application. It answers 503 as long as there is no model file."""
    set_up_logging(None)
    config = read_config()
    serving = config.serving
    path = model_path or config.paths.model
    model_file = ModelFile(path, serving)
    card = path.with_suffix(".html")

    app = Flask(service.__name__)
    app.wsgi_app = one_at_a_time(app.wsgi_app, serving.max_bytes)  # type: ignore[method-assign]
    app.url_map.strict_slashes = False
    app.register_error_handler(HTTPException, answer_error)
    app.register_blueprint(make_pages(model_file, card))

    @app.post("/predict")
    def predict() -> Response:
        """Predict for one row, or for each row of a list."""
        model, reader = model_file.get()
        explain = read_explain(request.environ)
        body = read_body(request.environ, serving.max_bytes)
        features, is_list = read_features(body, serving.max_rows)
        rows = reader.read(features)
        answers = model.predict(rows)
        if serving.log_predictions:
            file = config.root / serving.log_predictions
            log_predictions(file, rows, answers, model.sha256)
        if explain:
            for row, answer in zip(rows, answers, strict=True):
                answer["explanation"] = model.explain(row, answer)

        return as_json({"predictions": answers} if is_list else answers[0])

    @app.get("/health")
    def health() -> Response:
        """Report which model is served, how good it is, and what is wrong."""
        model, _ = model_file.get()
        names = ("model", "task", "target", "data", "metrics")
        status = {
            "status": "degraded" if model_file.problem else "ok",
            "problem": model_file.problem,
            "file": {"sha256": model.sha256, "date": model_file.date},
        }

        return as_json(status | {name: model.about[name] for name in names})

    @app.get("/openapi.json")
    def openapi() -> Response:
        """Describe the API of the model that is served."""
        from {{ cookiecutter.project_slug }}.service.api_description import describe_api

        return as_json(describe_api(*model_file.get()))

    return app


def as_json(content: Any) -> Response:
    """Answer with JSON, which pydantic writes many times faster than Python."""
    return Response(to_json(content), content_type="application/json")


def answer_error(error: HTTPException) -> Response:
    """Answer an error in the form of RFC 9457, application/problem+json."""
    problems: Any = error.description
    if not isinstance(problems, list):
        problems = [Problem(None, None, problems)]

    content = {
        "type": "about:blank",
        "title": error.name,
        "status": error.code,
        "detail": str(problems[0]),
        "errors": problems,
    }
    headers = dict(error.get_headers()) | {"Content-Type": "application/problem+json"}

    return Response(to_json(content), error.code, headers)


@command
def main() -> None:
    """Serve from the command line."""
    parser = command_line(__doc__)
    add = parser.add_argument
    add("--model", metavar="PATH", type=abspath, help="model file")
    add("--host", help="address to listen on; 0.0.0.0 means all")
    add("--port", type=int, help="port to listen on")
    add("--workers", type=positive_integer, help="number of worker processes")

    # The environment overrides config.yaml, here and in the server's processes.
    for name, value in vars(parser.parse_args()).items():
        if value is not None:
            section = "PATHS" if name == "model" else "SERVING"
            os.environ[f"{section}__{name.upper()}"] = str(value)

    config = read_config()
    check_model(config.paths.model, config)  # reported once, not by every worker
    make_server("app:create_app", config.serving).serve()


if __name__ == "__main__":
    main()
