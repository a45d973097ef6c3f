"""The pages for people: a form, the model card, and the documentation of the API."""

from pathlib import Path

import flask_swagger_ui
from flask import (
    Blueprint,
    Response,
    redirect,
    render_template,
    request,
    send_from_directory,
)
from flask.typing import ResponseReturnValue

from . import TITLE
from .model_file import ModelFile

SWAGGER_UI = Path(flask_swagger_ui.__file__).parent / "dist"
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


def make_pages(model_file: ModelFile, card: Path) -> Blueprint:
    """Return the pages about the model that is served."""
    pages = Blueprint(
        "pages", __name__, static_folder=SWAGGER_UI, static_url_path="/docs"
    )

    @pages.get("/")
    def form() -> ResponseReturnValue:
        """Show a form for one row, and how good the model is."""
        model, _ = model_file.get()
        shown = {"title": TITLE, "date": model_file.date, "has_card": card.exists()}
        return render_template("index.html", model=model, **shown)

    @pages.get("/model-card")
    def model_card() -> ResponseReturnValue:
        """Show the model card, if there is one."""
        response = send_from_directory(card.parent.absolute(), card.name)
        response.headers["Content-Security-Policy"] = CARD_POLICY
        return response

    @pages.get("/docs")
    def docs() -> ResponseReturnValue:
        """Show the API's description, to read and to try."""
        if request.path.endswith("/"):  # otherwise the page's links would lead nowhere
            return redirect("../docs")
        return render_template("docs.html", title=TITLE)

    @pages.after_app_request
    def secure(response: Response) -> Response:
        """Set the security headers of everything that a browser may show."""
        if request.method == "GET":
            for name, value in SECURITY_HEADERS.items():
                response.headers.setdefault(name, value)
        return response

    return pages
