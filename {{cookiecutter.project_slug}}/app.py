"""Serve the model over HTTP.

Examples:
    uv run app.py
    uv run app.py --model models/model.onnx --port 8080 --workers 4
"""

import logging
import os
from pathlib import Path

from flask import Flask, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from {{ cookiecutter.project_slug }} import service
from {{ cookiecutter.project_slug }}.config import read_config
from {{ cookiecutter.project_slug }}.service.http import (
    OneAtATime,
    answer_error,
    as_json,
    read_body,
    wants_explanation,
)
from {{ cookiecutter.project_slug }}.service.model_file import ModelFile, check_model
from {{ cookiecutter.project_slug }}.service.pages import make_pages
from {{ cookiecutter.project_slug }}.service.prediction_log import log_predictions
from {{ cookiecutter.project_slug }}.service.request_validation import read_features
from {{ cookiecutter.project_slug }}.service.server import make_server
from {{ cookiecutter.project_slug }}.utils import command, command_line

OPTIONS = {
    "host": "address to listen on; 0.0.0.0 means all",
    "port": "port to listen on",
    "workers": "number of worker processes",
}


def create_app(model_path: Path | None = None) -> Flask:
    """Build the application. It answers 503 as long as there is no model file."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    config = read_config()
    path = model_path or config.paths.model
    model_file = ModelFile(path, config.serving)
    card = config.root / "reports" / f"{path.stem}_card.html"
    app = Flask(service.__name__)
    app.wsgi_app = OneAtATime(app.wsgi_app, config.serving.max_bytes)  # type: ignore[method-assign]
    app.url_map.strict_slashes = False
    app.register_error_handler(HTTPException, answer_error)
    app.register_blueprint(make_pages(model_file, card))

    @app.post("/predict")
    def predict() -> ResponseReturnValue:
        """Predict for one row, or for each row of a list."""
        model, reader = model_file.get()
        features = read_features(read_body(request.environ), config.serving.max_rows)
        rows = reader.read(features)
        answers = model.predict(rows)
        if config.serving.log_predictions:
            file = config.root / config.serving.log_predictions
            log_predictions(file, rows, answers, model.sha256)
        if wants_explanation(request.environ):
            for row, answer in zip(rows, answers, strict=True):
                answer["explanation"] = model.explain(row, answer)
        if isinstance(features, list):
            return as_json({"predictions": answers})
        return as_json(answers[0])

    @app.get("/health")
    def health() -> ResponseReturnValue:
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
    def openapi() -> ResponseReturnValue:
        """Describe the API of the model that is served."""
        from {{ cookiecutter.project_slug }}.service.api_description import describe_api

        return as_json(describe_api(*model_file.get()))

    return app


@command
def main() -> None:
    """Serve from the command line."""
    parser = command_line(__doc__)
    parser.add_argument("--model", metavar="PATH", help="model file")
    for name, about in OPTIONS.items():
        parser.add_argument(f"--{name}", metavar=name.upper(), help=about)
    options = parser.parse_args()

    # The environment overrides config.yaml, here and in the server's processes.
    if options.model:
        os.environ["PATHS__MODEL"] = str(Path(options.model).absolute())
    for name in OPTIONS:
        if value := getattr(options, name):
            os.environ[f"SERVING__{name.upper()}"] = value
    config = read_config()
    check_model(config.paths.model, config)  # reported once, not by every worker
    make_server("app:create_app", config.serving).serve()


if __name__ == "__main__":
    main()
