"""Read the body of a request, and answer with JSON."""

from collections.abc import Mapping
from threading import Lock
from typing import Any

from flask import Request, Response
from flask.typing import ResponseReturnValue
from pydantic_core import to_json
from werkzeug.exceptions import HTTPException

from .request_validation import refuse


class OneAtATime:
    """Reads the whole body of each request, then lets one request at a time go on.

    Two threads that compute only wait for each other, which takes longer. A client
    that sends slowly keeps nobody waiting.
    """

    def __init__(self, application: Any, most_bytes: int) -> None:
        """Wrap a WSGI application."""
        self.application = application
        self.most_bytes = most_bytes
        self.lock = Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Answer a request."""
        body = environ["wsgi.input"].read(self.most_bytes + 1)
        environ["body"] = body if len(body) <= self.most_bytes else None
        with self.lock:
            return self.application(environ, start_response)


def read_body(environ: dict[str, Any]) -> bytes:
    """Return the body of a request. Raises InvalidRequest if it is not sent as JSON."""
    kind, coding = environ.get("CONTENT_TYPE"), environ.get("HTTP_CONTENT_ENCODING")
    if kind != "application/json" and not Request(environ).is_json:
        raise refuse(415, "the body must be sent as application/json")
    if coding not in (None, "identity"):
        raise refuse(415, f"the body must not be compressed ({coding})")
    if environ["body"] is None:
        raise refuse(413, "the body has more bytes than max_bytes in config.yaml")
    return environ["body"]


def wants_explanation(environ: dict[str, Any]) -> bool:
    """Whether the query string asks for an explanation. Raises InvalidRequest."""
    if not environ.get("QUERY_STRING"):
        return False
    value = Request(environ).args.get("explain", "false")
    if value not in ("true", "false"):
        raise refuse(422, "explain should be true or false")
    return value == "true"


def as_json(content: Any) -> Response:
    """Answer with JSON, which pydantic writes many times faster than Python."""
    return Response(to_json(content), content_type="application/json")


def answer_error(error: HTTPException) -> ResponseReturnValue:
    """Answer an error in the form of RFC 9457, application/problem+json."""
    content = {
        "type": "about:blank",
        "title": error.name,
        "status": error.code,
        "detail": error.description,
        "errors": [each._asdict() for each in getattr(error, "problems", [])],
    }
    headers = dict(error.get_headers()) | {"Content-Type": "application/problem+json"}
    return to_json(content), error.code or 500, headers
