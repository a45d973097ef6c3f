"""Run notebooks from top to bottom and write each as an HTML page into reports/.

A page shows text, tables and figures without the code, in one file that opens offline.
Without a name, all notebooks in notebooks/ are run. If one fails, its page ends at the
error, the others still run, and the command exits with code 2.

A value given by -p takes the type of the default in the cell tagged `parameters`.
--slides adds a deck in which a heading of level 1 or 2 starts a slide. --pdf prints the
page with an installed Chrome, Chromium or Edge. Neither needs the network.

Examples:
    uv run report
    uv run report notebooks/01_data_exploration.ipynb -p max_columns 6 --code
    uv run report --slides --pdf
"""

import ast
import logging
import os
import re
import shutil
import subprocess
import sys
from argparse import Namespace
from base64 import b64encode
from contextlib import suppress
from datetime import datetime
from mimetypes import guess_type
from pathlib import Path
from urllib.parse import quote, unquote

import nbformat
from nbclient.exceptions import DeadKernelError
from nbconvert import HTMLExporter, SlidesExporter
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_notebook
from papermill import PapermillExecutionError, execute_notebook

from ..config import read_config
from ..utils import UserError, command, command_line

# The kernel is this environment's, and plotly's figures bring their JavaScript.
os.environ.update(JUPYTER_PREFER_ENV_PATH="1", PLOTLY_RENDERER="notebook")

PARAMETER = re.compile(r"^(\w+)\b[^=\n]*= *([\"']?)", re.MULTILINE)
NOT_OFFLINE = re.compile(
    r"[\"';]https?://(?!\S*mathjax)[^\s\"']*(cdn|unpkg|\.js\b)"
    r"|src=[\"']?https?:(?!\S*mathjax)"
    r"|application/vnd\."
)
OWN_LIBRARY = 200_000  # characters; a longer output includes its own JavaScript
NOT_SHOWN = "an output needs the network or a kernel; save the figure as an image"

# A page loads nothing from elsewhere, so that it looks the same without the network.
CSS = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
HEAD = f"""<meta http-equiv="Content-Security-Policy"
content="default-src 'unsafe-inline' 'unsafe-eval' data: blob:">
<style>{CSS}</style></head>"""
REPLACED = {
    r'<img\b[^>]*src="(https?:[^"]+)"[^>]*>': r'<a href="\1">\1</a>',
    r'<(script|link)\b[^>]*"https?:[^>]*>(\s*</script>)?': "",
    r'(href="[^":]+)\.ipynb': r"\1.html",  # links to other reports
}
BROWSERS = (
    "google-chrome",
    "chromium",
    "microsoft-edge",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Microsoft/Edge/Application/msedge.exe",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)


def find_notebooks(root: Path) -> list[Path]:
    """Return all notebooks below notebooks/, in the order of their names."""
    found = (root / "notebooks").rglob("*.ipynb")
    return sorted(path for path in found if ".ipynb_checkpoints" not in path.parts)


def read_parameters(path: Path, given: dict) -> dict:
    """Return the given parameters that a notebook has, typed by their defaults.

    A default in quotes makes it text; any other makes it a Python literal if it is one.
    """
    try:
        cells = nbformat.read(path, as_version=4).cells
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"cannot read {path}: {error}".splitlines()[0]) from error

    values = {}
    tagged = [
        cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])
    ]

    for name, quoted in PARAMETER.findall("\n".join(tagged)):
        if name in given:
            values[name] = given[name]
            if not quoted:
                with suppress(ValueError, SyntaxError):
                    values[name] = ast.literal_eval(given[name])

    return values


def run_notebook(path: Path, output: Path, values: dict) -> str:
    """Run a notebook in its own folder, write it with its outputs, return the error."""
    try:
        execute_notebook(
            path,
            output,
            values,
            kernel_name="python3",
            language="python",
            cwd=path.parent,
            progress_bar=sys.stderr.isatty(),
            extra_arguments=["--log-level=CRITICAL"],
        )
    except DeadKernelError as error:
        return f"{path}: {error}"
    except PapermillExecutionError as error:
        reason = f"{error.ename}: {error.evalue}".splitlines()[0]
        return f"{path}, In [{error.exec_count}]: {reason}"

    return ""


def prepare(cell: NotebookNode, path: Path) -> NotebookNode:
    """Start slides at headings, and replace what a page cannot show."""
    if cell.source.startswith(("# ", "## ")):
        cell.metadata.setdefault("slideshow", {"slide_type": "slide"})

    for name, files in cell.get("attachments", {}).items():
        for kind, content in files.items():
            url = f"data:{kind};base64,{content}"
            cell.source = cell.source.replace(f"attachment:{quote(name)}", url)

    for output in cell.get("outputs", []):
        data = output.get("data", {})
        html = data.get("text/html", "") + data.get("application/javascript", "")
        shown = html or str(data.keys())
        if len(shown) < OWN_LIBRARY and NOT_OFFLINE.search(shown):
            place = f"{path}, In [{cell.execution_count}]"
            print(f"warning: {place}: {NOT_SHOWN}", file=sys.stderr)
            output.data = {"text/markdown": f"*Not shown: {NOT_SHOWN}.*"}

    return cell


def write_page(run: NotebookNode, folder: Path, page: Path, code: bool = False) -> None:
    """Write a notebook as a page, or as slides, in one file."""

    def embed(image: re.Match) -> str:
        file = folder / unquote(image[2])
        if not file.is_file():
            return image[0]
        content = b64encode(file.read_bytes()).decode()
        return f"{image[1]}data:{guess_type(file)[0]};base64,{content}"

    exporter = SlidesExporter if ".slides" in page.suffixes else HTMLExporter
    html, _ = exporter(exclude_input=not code).from_notebook_node(run)
    html = re.sub(r'(<img\b[^>]*?src=")([^":]+)', embed, html)

    for pattern, replacement in REPLACED.items():
        html = re.sub(pattern, replacement, html)

    page.write_text(html.replace("</head>", HEAD, 1), encoding="utf-8")


def find_browser() -> str:
    """Return an installed browser that can print to PDF."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not browser:
        raise UserError(
            "no Chrome, Chromium or Edge for --pdf; print the page yourself"
        )

    return browser


def print_pdf(page: Path, browser: str) -> None:
    """Print a page with a browser."""
    pdf = f"--print-to-pdf={page.with_suffix('.pdf')}"
    options = ["--headless", "--no-sandbox", "--no-pdf-header-footer", pdf]
    arguments = [browser, *options, page.resolve().as_uri()]
    if subprocess.run(arguments, capture_output=True).returncode:
        raise UserError(f"{browser} could not print {page}")


def write_report(path: Path, values: dict, reports: Path, options: Namespace) -> str:
    """Run a notebook and write its page, slides and PDF; return its error."""
    page = reports / f"{path.stem}.html"
    output = reports / path.name
    error = run_notebook(path, output, values)
    run = nbformat.read(output, as_version=4)
    run.metadata.title = path.stem
    # What follows an error is left out: it discusses results that do not exist.
    run.cells = [
        prepare(cell, path)
        for cell in run.cells
        if cell.metadata.get("papermill", {}).get("status") != "pending"
    ]
    when = f"---\nRun on {datetime.now():%Y-%m-%d %H:%M} {values or ''}"
    run.cells.append(new_markdown_cell(when))

    write_page(run, path.parent, page, options.code)
    if options.slides:
        write_page(run, path.parent, page.with_suffix(".slides.html"), options.code)
    if options.pdf:
        print_pdf(page, options.pdf)

    print(f"{path}: {page}")

    return error and f"{error}; see {page}"


def write_index(reports: Path) -> None:
    """Write the page that lists all reports, model cards and the drift report."""
    text = "# Reports\n"
    for page in sorted(reports.glob("*.html")):
        if page.name != "index.html":
            text += f"* [{page.stem}]({quote(page.name)})\n"

    index = new_notebook(cells=[new_markdown_cell(text)])
    write_page(index, reports, reports / "index.html")


@command
def main() -> None:
    """Write reports from the command line."""
    parser = command_line(__doc__)
    add = parser.add_argument
    add("notebooks", metavar="NOTEBOOK", nargs="*", type=Path, help="what to run")
    add("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    add("--code", action="store_true", help="show the code as well")
    add("--slides", action="store_true", help="also write slides")
    add("--pdf", action="store_true", help="also print each page to a PDF")
    options = parser.parse_args()

    if options.pdf:
        options.pdf = find_browser()  # before anything is run
    for name in ("papermill", "nbclient"):  # their errors are reported below
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)

    root = read_config().root
    paths = options.notebooks or find_notebooks(root)
    if not paths or len({path.stem for path in paths}) < len(paths):
        raise UserError(f"no notebook in {root / 'notebooks'}, or two of one name")

    given = dict(options.p)
    runs = {path: read_parameters(path, given) for path in paths}

    for name in given.keys() - set().union(*runs.values()):
        raise UserError(f"no notebook has a parameter {name!r}")

    reports = root / "reports"
    reports.mkdir(exist_ok=True)
    errors = [write_report(*run, reports, options) for run in runs.items()]
    write_index(reports)
    if any(errors):
        raise UserError("; ".join(filter(None, errors)))
