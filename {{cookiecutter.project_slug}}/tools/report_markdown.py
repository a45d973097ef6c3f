"""Write the Markdown of notebooks as HTML that needs no other file."""

import re
from collections.abc import Iterator
from html import escape, unescape
from typing import Any

from jinja2 import pass_context
from latex2mathml.converter import convert
from nbconvert.filters.markdown_mistune import InvalidNotebook, IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode

HEADING = re.compile(r"<h[1-6][^>]*>(.*?)</h[1-6]>", re.DOTALL)
MARKER = "papermill-error-cell-tag"  # cells that papermill adds; the page has a banner instead


class Renderer(IPythonRenderer):
    """Writes Markdown as HTML, its formulas as MathML, which browsers know by themselves."""

    def block_math(self, body: str) -> str:
        """Write a formula that stands on its own."""
        return write_formula(body, "block") or super().block_math(body)

    def inline_math(self, body: str) -> str:
        """Write a formula in a line."""
        return write_formula(body, "inline") or super().inline_math(body)

    def latex_environment(self, name: str, body: str) -> str:
        """Write a formula in an environment."""
        whole = r"\begin{" + name + "}" + body + r"\end{" + name + "}"
        return write_formula(whole, "block") or super().latex_environment(name, body)

    def image(self, text: str, url: str, title: str | None = None) -> str:
        """Write an image into the page; one on the web becomes a link, a lost one its text."""
        if url.startswith(("http:", "https:", "//")):
            return self.link(text, url, title)
        try:
            return super().image(text, url, title)
        except InvalidNotebook:
            return f"<em>{escape(text)}</em>"


def write_formula(latex: str, display: str) -> str:
    """Return a formula as MathML, or nothing where it can't be read: then it stays as it is."""
    try:
        return convert(latex, display=display)
    except Exception:  # the library's errors have no common class
        return ""


def write_markdown(source: str, folder: str = "", files: dict[str, Any] | None = None) -> str:
    """Return Markdown as HTML with its images, which are in the folder or attached, embedded."""
    renderer = Renderer(
        escape=False, embed_images=True, anchor_link_text="", path=folder, attachments=files or {}
    )
    return MarkdownWithMath(renderer=renderer).render(source)


@pass_context
def write_cell(context: Any, source: str) -> str:
    """Return a Markdown cell as HTML, for nbconvert."""
    files = context.get("cell", {}).get("attachments", {})
    return write_markdown(source, context["resources"]["metadata"]["path"], files)


def headings(cells: list[NotebookNode]) -> Iterator[str]:
    """Give the text of each heading."""
    for cell in cells:
        if cell.cell_type == "markdown" and MARKER not in cell.metadata.get("tags", []):
            for found in HEADING.finditer(write_markdown(cell.source)):
                yield unescape(re.sub("<[^>]*>", "", found[1])).strip()


def has_error(cell: NotebookNode) -> bool:
    """Say whether a cell was left by an error."""
    return any(output.output_type == "error" for output in cell.get("outputs", []))
