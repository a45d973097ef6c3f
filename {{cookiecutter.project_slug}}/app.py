"""Serve the model over HTTP.

Examples:
    uv run app.py
    uv run app.py --model models/model.onnx --port 8080 --workers 4
"""

import json
import logging
import os
import signal
import socket
from pathlib import Path
from typing import Any

import flask_swagger_ui
from flask import Flask, Response, abort, render_template, request, send_from_directory
from flask.typing import ResponseReturnValue
from granian import Granian
from granian.constants import Interfaces
from pydantic_core import to_json
from werkzeug.exceptions import HTTPException

from {{ cookiecutter.project_slug }} import service
from {{ cookiecutter.project_slug }}.config import read_config
from {{ cookiecutter.project_slug }}.service.operations import AccessLog, ModelFile, check_columns
from {{ cookiecutter.project_slug }}.service.request_validation import describe_api
from {{ cookiecutter.project_slug }}.utils import UserError, command, command_line

MODEL_VARIABLE = (
    "MODEL_PATH"  # how the command line tells the server's processes which model
)
SWAGGER_UI = Path(flask_swagger_ui.__file__).parent / "dist"  # its files, for /docs
# A page loads nothing but this server's own files, runs no inline script, and stands in no frame.
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'; img-src 'self' data:; "
    "script-src 'self'; style-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
DOCS_PAGE = """\
<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>The API</title>
  <link rel="icon" href="data:,">
  <link rel="stylesheet" href="docs/swagger-ui.css">
  <script src="docs/swagger-ui-bundle.js" defer></script>
  <script src="static/page.js" defer></script>
</head>
<body>
  <nav class="swagger-ui" aria-label="Pages"><p class="wrapper"><a href="./">The form</a></p></nav>
  <main id="swagger-ui">
    <noscript>This page needs JavaScript. The same is in openapi.json.</noscript>
  </main>
</body>
</html>
"""
STOP_SECONDS = 8  # for requests in flight to finish; `docker stop` gives 10, then kills


class Server(Granian):  # type: ignore[misc, valid-type]
    """Granian that also stops when a second signal comes at once, as from `uv run` and systemd."""

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        """Stop; a signal in the middle of that would wait for a lock that its own thread holds."""
        if (
            os.getpid() != self.pid
        ):  # a worker has this handler by fork, until it serves
            os._exit(0)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        super().signal_handler_interrupt(*args, **kwargs)


def create_app(model_path: Path | None = None) -> Flask:
    """Build the application that serves a model file; while there is none it answers 503."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    config = read_config()
    path = model_path or Path(os.environ.get(MODEL_VARIABLE, config.paths.model))
    app = Flask(service.__name__)
    app.register_error_handler(HTTPException, answer_error)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.wsgi_app = AccessLog(app.wsgi_app, config.serving.access_log)  # type: ignore[method-assign]
    model_file = ModelFile(path, config.serving)

    @app.get("/")
    def page() -> ResponseReturnValue:
        """Show the form and the model card."""
        model, _ = model_file.get()
        told = {
            "about": model.about,
            "words": model.about["words"],
            "date": model_file.date,
        }
        return render_template("index.html", model=model, table=model.table, **told)

    @app.get("/health")
    def health() -> ResponseReturnValue:
        """Say which model is served, made from what, and how good it is; and what is wrong."""
        (model, _), problem = model_file.get(), model_file.problem
        status = {"status": "degraded" if problem else "ok", "problem": problem}
        told = ("model", "task", "target", "data", "metrics")
        described = {name: model.about[name] for name in told}
        return (
            status
            | described
            | {"file": {"sha256": model.sha256, "date": model_file.date}}
        )

    @app.post("/predict")
    def predict() -> ResponseReturnValue:
        """Answer one row, or a list of them."""
        model, reader = model_file.get()
        if not request.is_json:
            abort(415, "the body must be sent as application/json")
        features = reader.read(read_body(config.serving.max_bytes))
        rows = features if isinstance(features, list) else [features]
        request.environ["rows"] = len(rows)  # for the access log
        if isinstance(features, list):
            return as_json({"predictions": model.predict(rows)})
        return as_json(model.predict(rows)[0])

    @app.get("/openapi.json")
    def openapi() -> ResponseReturnValue:
        """Describe the API of the model that is served."""
        return as_json(describe_api(*model_file.get()))

    @app.get("/docs")
    def docs() -> ResponseReturnValue:
        """Show the API, to read and to try."""
        return DOCS_PAGE

    @app.get("/docs/<path:name>")
    def docs_file(name: str) -> ResponseReturnValue:
        """Send a file of Swagger UI."""
        return send_from_directory(SWAGGER_UI, name)

    @app.after_request
    def secure(response: Response) -> Response:
        """Set the security headers of all that a browser may show."""
        if request.method == "GET":
            response.headers.update(SECURITY_HEADERS)
        return response

    return app


def read_body(most: int) -> bytes:
    """Read the body of a request in one piece; Flask's own way, in several, takes far longer."""
    length = request.content_length  # none of a body that is sent in chunks
    if length is None or length <= most:
        content: bytes = request.environ["wsgi.input"].read(
            most + 1 if length is None else length
        )
        if len(content) <= most:
            return content
    abort(413, f"the body should have at most {most:,} bytes")


def as_json(content: dict[str, Any]) -> Response:
    """Answer with JSON, written many times as fast as by Python's own module."""
    return Response(to_json(content), content_type="application/json")


def answer_error(error: HTTPException) -> ResponseReturnValue:
    """Answer any error in the form of RFC 9457, application/problem+json."""
    content = {
        "type": "about:blank",
        "title": error.name,
        "status": error.code,
        "detail": error.description,
        "errors": [problem._asdict() for problem in getattr(error, "problems", [])],
    }
    headers = dict(error.get_headers()) | {"Content-Type": "application/problem+json"}
    return json.dumps(content, ensure_ascii=False), error.code or 500, headers


def check_port(host: str, port: int) -> None:
    """Refuse an address that something else listens on, before any process is started."""
    try:
        socket.create_server((host, port)).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", error)
        raise UserError(
            f"can't listen on {host}:{port}: {reason}; try another --port"
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
    path = options.model or config.paths.model
    check_columns(path, config)  # told here in one line, not by every worker
    host = options.host or config.serving.host
    port = config.serving.port if options.port is None else options.port
    check_port(host, port)
    os.environ[MODEL_VARIABLE] = str(path)
    Server(
        "app:create_app",
        factory=True,
        interface=Interfaces.WSGI,
        address=host,
        port=port,
        workers=options.workers or config.serving.workers,
        websockets=False,
        blocking_threads=2,  # more of them only wait for each other
        workers_kill_timeout=STOP_SECONDS,
        respawn_failed_workers=True,
    ).serve()


if __name__ == "__main__":
    main()
