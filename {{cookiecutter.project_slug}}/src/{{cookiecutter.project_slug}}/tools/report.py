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
from datetime import datetime
from mimetypes import guess_type
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import nbformat
from nbclient.exceptions import DeadKernelError
from nbconvert import HTMLExporter, SlidesExporter
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_notebook
from papermill import PapermillExecutionError, execute_notebook

from ..config import read_config
from ..utils import UserError, command, command_line

os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"  # the kernel of this environment
os.environ.setdefault("PLOTLY_RENDERER", "notebook")  # embeds its JavaScript

# A page loads nothing from elsewhere, so that it looks the same without the network.
HEAD = """<meta http-equiv="Content-Security-Policy"
content="default-src 'unsafe-inline' 'unsafe-eval' data: blob:">
<style>{css}</style></head>"""
CSS = Path(__file__).with_name("report.css")

PARAMETER = re.compile(r"^(\w+)\b[^=\n]*= *(.+)", re.MULTILINE)
LOADS = re.compile(
    r"https?://(?!\S*mathjax)[^\s\"']*(cdn|unpkg|\.js\b)|src=[\"']?https?:(?!\S*mathjax)"
)
OWN_LIBRARY = 200_000  # characters: an output this long brings its own JavaScript
NOT_SHOWN = "an output needs the network or a kernel; save the figure as an image"

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
    found = sorted((root / "notebooks").rglob("*.ipynb"))
    return [path for path in found if ".ipynb_checkpoints" not in path.parts]


def read_parameters(path: Path, given: dict[str, str]) -> dict[str, Any]:
    """Return the given parameters that a notebook has, typed by their defaults.

    A default in quotes makes it text; any other makes it a Python literal if it is one.
    """
    try:
        cells = nbformat.read(path, as_version=4).cells
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"cannot read {path}: {error}".splitlines()[0]) from error

    tagged = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    defaults = PARAMETER.findall("\n".join(cell.source for cell in tagged))
    return {
        name: given[name] if default[0] in "\"'" else _literal(given[name])
        for name, default in defaults
        if name in given
    }


def _literal(text: str) -> Any:
    """Return the value of a Python literal; the text itself if it is not one."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def run_notebook(path: Path, output: Path, values: dict[str, Any]) -> str:
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


def prepare(run: NotebookNode, path: Path, code: bool) -> None:
    """Replace what a page cannot show; without the code, drop warnings as well."""
    for cell in run.cells:
        for name, files in cell.get("attachments", {}).items():
            ((kind, content),) = files.items()
            url = f"data:{kind};base64,{content}"
            cell.source = cell.source.replace(f"attachment:{quote(name)}", url)

        if cell.source.startswith(("# ", "## ")):
            cell.metadata.setdefault("slideshow", {"slide_type": "slide"})

        outputs = cell.get("outputs", [])
        cell.outputs = [out for out in outputs if code or out.get("name") != "stderr"]
        for output in outputs:
            if not opens_offline(output.get("data", {})):
                place = f"{path}, In [{cell.execution_count}]"
                print(f"warning: {place}: {NOT_SHOWN}", file=sys.stderr)
                output.data = {"text/markdown": f"*Not shown: {NOT_SHOWN}.*"}


def opens_offline(data: dict[str, str]) -> bool:
    """Say whether an output shows without the network and without a kernel."""
    html = data.get("text/html", "") + data.get("application/javascript", "")
    if html:
        return len(html) > OWN_LIBRARY or not LOADS.search(html)
    return "application/vnd." not in str(data.keys())


def write_page(run: NotebookNode, folder: Path, page: Path, code: bool = False) -> None:
    """Write a notebook as a page, or as slides, in one file."""

    def embed(image: re.Match[str]) -> str:
        file = folder / unquote(image[2])
        if not file.is_file():
            return image[0]
        content = b64encode(file.read_bytes()).decode()
        return f"{image[1]}data:{guess_type(file)[0]};base64,{content}"

    exporter = SlidesExporter if ".slides" in page.suffixes else HTMLExporter
    html, _ = exporter(exclude_input=not code).from_notebook_node(run)
    html = re.sub(r'(<img\b[^>]*?src=")([^":]+)', embed, html)
    html = re.sub(
        r'<img\b[^>]*src="(https?:[^"]+)"[^>]*>', r'<a href="\1">\1</a>', html
    )
    html = re.sub(r'<(script|link)\b[^>]*"https?:[^>]*>(\s*</script>)?', "", html)
    html = re.sub(r'(href="[^":]+)\.ipynb', r"\1.html", html)

    head = HEAD.format(css=CSS.read_text(encoding="utf-8"))
    page.write_text(html.replace("</head>", head, 1), encoding="utf-8")


def print_pdf(page: Path) -> None:
    """Print a page with an installed browser."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not browser:
        raise UserError(
            "no Chrome, Chromium or Edge for --pdf; print the page yourself"
        )
    pdf = f"--print-to-pdf={page.with_suffix('.pdf')}"
    options = ["--headless", "--no-sandbox", "--no-pdf-header-footer", pdf]
    subprocess.run(
        [browser, *options, page.resolve().as_uri()], check=True, capture_output=True
    )


def write_report(
    path: Path, reports: Path, values: dict[str, Any], options: Namespace
) -> list[str]:
    """Run a notebook and write its page, slides and PDF; return its errors."""
    page, output = reports / f"{path.stem}.html", reports / path.name
    error = run_notebook(path, output, values)
    run = nbformat.read(output, as_version=4)
    run.metadata.title = path.stem
    # What follows an error is left out: it discusses results that do not exist.
    ran = [cell.metadata.get("papermill", {"start_time": True}) for cell in run.cells]
    run.cells = [
        cell for cell, about in zip(run.cells, ran, strict=True) if about["start_time"]
    ]
    prepare(run, path, options.code)
    when = f"---\nRun on {datetime.now():%Y-%m-%d %H:%M} {values or ''}"
    run.cells.append(new_markdown_cell(when))

    write_page(run, path.parent, page, options.code)
    if options.slides:
        write_page(run, path.parent, page.with_suffix(".slides.html"), options.code)
    if options.pdf:
        print_pdf(page)
    print(f"{path}: {page}")
    return [f"{error}; see {page}"] if error else []


def write_index(reports: Path) -> None:
    """Write the page that lists all reports, model cards and the drift report."""
    pages = [page for page in reports.glob("*.html") if page.name != "index.html"]
    items = [f"* [{page.stem}]({quote(page.name)})" for page in sorted(pages)]
    index = new_notebook(cells=[new_markdown_cell("\n".join(["# Reports", *items]))])
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
    logging.disable()  # papermill and nbclient log what is reported below

    root = read_config().root
    paths = options.notebooks or find_notebooks(root)
    pages = {root / "reports" / f"{path.stem}.html" for path in paths}
    if not paths or len(pages) < len(paths):
        raise UserError(f"no notebook in {root / 'notebooks'}, or two of one name")
    given = dict(options.p)
    values = [read_parameters(path, given) for path in paths]
    for name in given.keys() - set().union(*values):
        raise UserError(f"no notebook has a parameter {name!r}")

    (root / "reports").mkdir(exist_ok=True)
    errors = []
    for path, chosen in zip(paths, values, strict=True):
        errors += write_report(path, root / "reports", chosen, options)
    write_index(root / "reports")
    if errors:
        raise UserError("\nerror: ".join(errors))
