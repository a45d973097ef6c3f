"""Turn a notebook that was run into pages of HTML that need nothing but themselves."""

import re
from collections.abc import Iterator
from html import escape, unescape
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

from jinja2 import pass_context
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import (
    InvalidNotebook,
    IPythonRenderer,
    MarkdownWithMath,
)
from nbformat import NotebookNode
from pygments.formatters import HtmlFormatter
from traitlets.config import Config

TEMPLATE = Path(__file__).with_name("report.html")
HEADING = re.compile(r"<h[1-6][^>]*>(.*?)</h[1-6]>", re.DOTALL)
MARKER = "papermill-error-cell-tag"  # cells that papermill adds; the page has a banner instead
BIG_HEADING = re.compile(r"<h[12][ >]")
PARAGRAPH = re.compile(r"<p>.*?</p>", re.DOTALL)
FORMATS = [
    "text/html",
    "text/markdown",
    "image/svg+xml",
    "image/png",
    "image/jpeg",
    "text/plain",
]


class Report(NamedTuple):
    """What the pages say of a notebook that was run; `error` is empty when all went well."""

    name: str
    notebook: NotebookNode
    folder: Path
    when: str
    seconds: float
    parameters: dict[str, str]
    error: str = ""

    @property
    def title(self) -> str:
        """Return the first heading of the notebook, else its name."""
        return next(headings(self.notebook.cells), self.name)

    @property
    def run_line(self) -> str:
        """Return when and how the notebook was run, as HTML."""
        values = [
            f"<code>{escape(f'{k} = {v}')}</code>" for k, v in self.parameters.items()
        ]
        ran = f"Run on {self.when}, {self.seconds:.1f} s"
        return f'<p class="run">{"; ".join([ran, " ".join(values)]) if values else ran}</p>'

    @property
    def banner(self) -> str:
        """Return what went wrong, as HTML; nothing if all went well."""
        told = (
            f"<strong>{escape(self.error)}.</strong> Below is what it made until then."
        )
        return f'<p class="failed">{told}</p>' if self.error else ""


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


def write_markdown(
    source: str, folder: str = "", files: dict[str, Any] | None = None
) -> str:
    """Return Markdown as HTML with its images, which are in the folder or attached, embedded."""
    renderer = Renderer(
        escape=False,
        embed_images=True,
        anchor_link_text="",
        path=folder,
        attachments=files or {},
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


def find_question(notebook: NotebookNode) -> str:
    """Return the first paragraph below the title as HTML, without images: what is asked."""
    cells = (
        cell for cell in notebook.cells if MARKER not in cell.metadata.get("tags", [])
    )
    first = next(cells, None)
    if first is None or first.cell_type != "markdown":
        return ""
    found = PARAGRAPH.search(write_markdown(first.source))
    return re.sub("<img[^>]*>", "", found[0]) if found else ""


def choose_cells(report: Report, code: bool) -> list[NotebookNode]:
    """Return what a reader gets to see: without the code also no warnings, but every error."""
    chosen, title = [], report.title
    for cell in report.notebook.cells:
        if MARKER in cell.metadata.get("tags", []):
            continue
        if cell.cell_type == "code":
            outputs = [
                read_formula(each)
                for each in cell.outputs
                if code or not is_warning(each)
            ]
            alt = {"alt": f"Figure in the part “{title}”"}
            cell = NotebookNode(
                cell, outputs=outputs, metadata=NotebookNode(alt | cell.metadata)
            )
            if outputs or code:
                chosen.append(cell)
            if report.error and has_error(cell):
                break  # what comes after it talks of results that are not there
        else:
            title = (list(headings([cell])) or [title])[-1]
            chosen.append(cell)
    return chosen


def has_display(cell: NotebookNode) -> bool:
    """Say whether a cell shows a figure or a table, not just printed lines."""
    return any("data" in output for output in cell.get("outputs", []))


def is_warning(output: NotebookNode) -> bool:
    """Say whether an output is a warning, or another line on stderr."""
    return output.get("name") == "stderr"


def read_formula(output: NotebookNode) -> NotebookNode:
    """Return an output that is LaTeX as Markdown, which shows it as a formula."""
    data = output.get("data", {})
    if "text/latex" not in data:
        return output
    return NotebookNode(
        output, data=NotebookNode(data, **{"text/markdown": data["text/latex"]})
    )


def make_exporter(code: bool) -> HTMLExporter:
    """Return nbconvert's writer of the plain inner HTML of cells."""
    return HTMLExporter(
        template_name="basic",
        exclude_input=not code,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        filters={"markdown2html": write_cell},
        config=Config({"NbConvertBase": {"display_data_priority": FORMATS}}),
    )


def write_cells(
    exporter: HTMLExporter, cells: list[NotebookNode], report: Report
) -> str:
    """Return the inner HTML of some cells."""
    part = NotebookNode(report.notebook, cells=cells)
    resources = {"metadata": {"path": str(report.folder), "name": report.name}}
    return exporter.from_notebook_node(part, resources)[0]


def fill_page(title: str, kind: str, body: str) -> str:
    """Return a whole page."""
    light = HtmlFormatter(style="friendly", nobackground=True).get_style_defs(
        ".highlight"
    )
    dark = HtmlFormatter(style="github-dark", nobackground=True).get_style_defs(
        ".highlight"
    )
    highlighting = (
        f"{light}\n@media screen and (prefers-color-scheme: dark) " + "{" + dark + "}"
    )
    page = Template(TEMPLATE.read_text(encoding="utf-8"))
    return page.substitute(
        title=escape(title), kind=kind, body=body, highlighting=highlighting
    )


def write_report(report: Report, code: bool) -> str:
    """Return the page of a notebook."""
    body = write_cells(make_exporter(code), choose_cells(report, code), report)
    return fill_page(
        report.title, "report", report.banner + body + "<hr>" + report.run_line
    )


def split_slides(cells: list[NotebookNode]) -> list[list[NotebookNode]]:
    """Split the cells by their slide types, where there are any.

    Else a large heading starts a slide, and so does each table or figure after the first below it.
    """
    types = [cell.metadata.get("slideshow", {}).get("slide_type", "") for cell in cells]
    slides: list[list[NotebookNode]] = []
    for cell, kind in zip(cells, types, strict=True):
        if kind in ("skip", "notes"):
            continue
        if "slide" in types:
            new = kind in ("slide", "subslide")
        elif cell.cell_type == "markdown":
            new = bool(BIG_HEADING.search(write_markdown(cell.source)))
        else:
            new = bool(slides) and any(has_display(each) for each in slides[-1])
        if new or not slides:
            slides.append([])
        slides[-1].append(cell)
    return slides


def write_slides(report: Report, code: bool) -> str:
    """Return a notebook as a deck of slides."""
    exporter = make_exporter(code)
    slides = split_slides(choose_cells(report, code))
    parts = [write_cells(exporter, cells, report) for cells in slides] or [""]
    parts[0] = report.banner + parts[0]
    parts[-1] += report.run_line
    body = "\n".join(
        f'<section class="slide"><div>{part}</div></section>' for part in parts
    )
    return fill_page(report.title, "slides", body)
