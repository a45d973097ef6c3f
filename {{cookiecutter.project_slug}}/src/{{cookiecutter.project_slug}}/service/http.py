"""Read the body of a request, and answer with JSON."""

from typing import Any

from flask import Request, Response
from flask.typing import ResponseReturnValue
from pydantic_core import to_json
from werkzeug.exceptions import HTTPException

from .request_validation import refuse

# A page loads only this server's own files, runs no inline script and is never framed.
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'; "
    "img-src 'self' data:; script-src 'self'; style-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# The model card holds its own styles and pictures.
CARD_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def read_body(request: Request, most_bytes: int) -> bytes:
    """Read a JSON body at once, which is far faster than Flask's way, in pieces."""
    environ = request.environ
    if environ.get("CONTENT_TYPE") != "application/json" and not request.is_json:
        raise refuse(415, "the body must be sent as application/json")
    if environ.get("HTTP_CONTENT_ENCODING", "identity") != "identity":
        raise refuse(415, "the body must not be compressed (Content-Encoding)")

    length = request.content_length  # None for a body that is sent in chunks
    content = b""
    if length is None or length <= most_bytes:
        content = environ["wsgi.input"].read(
            most_bytes + 1 if length is None else length
        )
    if max(length or 0, len(content)) > most_bytes:
        raise refuse(413, f"the body should have at most {most_bytes:,} bytes")
    return content


def wants_explanation(request: Request) -> bool:
    """Whether the query string asks for an explanation. Raises InvalidRequest."""
    value = request.args.get("explain", "false") if request.query_string else "false"
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
