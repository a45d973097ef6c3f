"""Serve the model over HTTP.

Examples:
    uv run app.py
    uv run app.py --model models/model.onnx --port 8080 --workers 4
"""

import logging
import os
from pathlib import Path

import flask_swagger_ui
from flask import Blueprint, Flask, Response, redirect, render_template, request
from flask import send_from_directory
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from {{ cookiecutter.project_slug }} import service
from {{ cookiecutter.project_slug }}.config import read_config
from {{ cookiecutter.project_slug }}.service.http import (
    CARD_POLICY,
    SECURITY_HEADERS,
    answer_error,
    as_json,
    read_body,
    wants_explanation,
)
from {{ cookiecutter.project_slug }}.service.model_file import ModelFile, check_model
from {{ cookiecutter.project_slug }}.service.request_validation import read_features
from {{ cookiecutter.project_slug }}.service.server import make_server
from {{ cookiecutter.project_slug }}.utils import command, command_line

TITLE = service.__name__.split(".")[0].replace("_", " ").capitalize()
OPTIONS = {
    "host": "address to listen on; 0.0.0.0: every one",
    "port": "port to listen on",
    "workers": "how many processes answer",
}
SWAGGER_UI = Path(flask_swagger_ui.__file__).parent / "dist"


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
    app.url_map.strict_slashes = False
    app.register_error_handler(HTTPException, answer_error)
    files = Blueprint(
        "docs", __name__, static_folder=SWAGGER_UI, static_url_path="/docs"
    )
    app.register_blueprint(files)

    @app.post("/predict")
    def predict() -> ResponseReturnValue:
        """Predict for one row, or for each row of a list."""
        model, reader = model_file.get()
        content = read_body(request, config.serving.max_bytes)
        features = read_features(content, config.serving.max_rows)
        rows = reader.read(features)
        answers = model.predict(rows)
        if wants_explanation(request):
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

    @app.get("/")
    def page() -> ResponseReturnValue:
        """Show a form, and how good the model is."""
        model, _ = model_file.get()
        shown = {"title": TITLE, "date": model_file.date, "has_card": card.exists()}
        return render_template("index.html", model=model, **shown)

    @app.get("/model-card")
    def model_card() -> ResponseReturnValue:
        """Show the model card, where there is one."""
        response = send_from_directory(card.parent.absolute(), card.name)
        response.headers["Content-Security-Policy"] = CARD_POLICY
        return response

    @app.get("/openapi.json")
    def openapi() -> ResponseReturnValue:
        """Describe the API of the model that is served."""
        from {{ cookiecutter.project_slug }}.service.api_description import describe_api

        return as_json(describe_api(*model_file.get()))

    @app.get("/docs")
    def docs() -> ResponseReturnValue:
        """Show the API's description, to read and to try."""
        if request.path.endswith("/"):  # where the page's links would lead nowhere
            return redirect("../docs")
        return render_template("docs.html", model=model_file.get()[0])

    @app.after_request
    def secure(response: Response) -> Response:
        """Set the security headers of everything that a browser may show."""
        if request.method == "GET":
            for name, value in SECURITY_HEADERS.items():
                response.headers.setdefault(name, value)
        return response

    return app


@command
def main() -> None:
    """Serve from the command line."""
    parser = command_line(__doc__)
    parser.add_argument(
        "--model",
        dest="PATHS__MODEL",
        metavar="PATH",
        type=os.path.abspath,
        help="model file",
    )
    for name, about in OPTIONS.items():
        parser.add_argument(
            f"--{name}", dest=f"SERVING__{name.upper()}", metavar="VALUE", help=about
        )
    options = vars(parser.parse_args())

    # The environment overrides config.yaml, here and in the server's processes.
    os.environ.update({name: value for name, value in options.items() if value})
    config = read_config()
    check_model(config.paths.model, config)  # reported once, not by every worker
    make_server("app:create_app", config.serving).serve()


if __name__ == "__main__":
    main()
