"""What the pages need beside templates/ and static/: security headers, Swagger UI at /docs."""

from functools import partial
from pathlib import Path

import flask_swagger_ui
from flask import Flask, Response, render_template, send_from_directory

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
    """Add /docs, which reads /openapi.json, and the security headers of all answers but JSON."""
    app.after_request(secure)
    app.add_url_rule("/docs", "docs", lambda: render_template("docs.html"))
    app.add_url_rule("/docs/<path:path>", "file", partial(send_from_directory, SWAGGER_UI))


def secure(response: Response) -> Response:
    """Set the security headers; JSON, which no browser shows as a page, goes without."""
    if not response.is_json:
        response.headers.update(HEADERS)
    return response
