"""The pages for people: the form with the model card, and the API's documentation.

What they look like is in templates/ and static/, beside app.py.
"""

from pathlib import Path
from typing import Any

import flask_swagger_ui
from flask import Flask, Response, render_template, send_from_directory
from flask.typing import ResponseReturnValue

from .prediction import Model

SWAGGER_UI = Path(flask_swagger_ui.__file__).parent / "dist"
# A page loads nothing but this server's own files, runs no inline script, and stands in no frame.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'; img-src 'self' data:; "
    "script-src 'self'; style-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def add_docs(app: Flask) -> None:
    """Add /docs, which reads /openapi.json, and the security headers of every answer but JSON."""
    app.after_request(secure)

    @app.get("/docs")
    def docs() -> ResponseReturnValue:
        """Show the API, to read and to try out."""
        return render_template("docs.html")

    @app.get("/docs/<path:name>")
    def docs_file(name: str) -> ResponseReturnValue:
        """Send a file of Swagger UI out of its package."""
        return send_from_directory(SWAGGER_UI, name)


def secure(response: Response) -> Response:
    """Set the security headers; JSON, which no browser shows as a page, goes without."""
    if not response.is_json:
        response.headers.update(HEADERS)
    return response


def render_page(model: Model, report: dict[str, Any]) -> str:
    """Return the page: a form made from the model's contract, and the model card beside it."""
    return render_template("index.html", model=model, table=model.table, report=report)
