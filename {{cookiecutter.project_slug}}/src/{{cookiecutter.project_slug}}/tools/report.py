"""Run the notebooks from top to bottom, and write each as a web page into reports/.

A page shows text, tables and figures, opens offline, and needs no other file. By default these are
all notebooks in notebooks/. One that fails leaves a page up to there; the others still run.

Examples:
    uv run report
    uv run report notebooks/01_data_exploration.ipynb -p max_columns 6 --code
    uv run report --slides --pdf
"""

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from datetime import datetime
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any
from urllib.parse import quote

import nbformat
from papermill import inspect_notebook

from ..config import read_config
from ..utils import (
    UserError,
    command,
    command_line,
    nearest,
    write_atomically,
)
from .checks import find_notebooks
from .notebooks import read_notebook, run_notebook
from .report_pages import Report, fill_page, find_question, write_report, write_slides

BROWSERS = (
    *(
        "google-chrome",
        "google-chrome-stable",
        "chromium",
        "chromium-browser",
        "chrome",
    ),
    *("microsoft-edge", "microsoft-edge-stable", "msedge"),
)
WINDOWS_FOLDERS = ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA")
WINDOWS_FILES = (
    "Google/Chrome/Application/chrome.exe",
    "Microsoft/Edge/Application/msedge.exe",
)
MACOS_APPS = ("Google Chrome", "Chromium", "Microsoft Edge")


def type_value(text: str) -> Any:
    """Return a value typed as the command line of papermill does it: a word, a number or text."""
    words = {"True": True, "False": False, "None": None}
    if text in words:
        return words[text]
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def choose_notebooks(names: list[str], root: Path) -> list[Path]:
    """Return the notebooks of these names, by default all."""
    known = find_notebooks(root)
    for name in names:
        if not Path(name).is_file():
            raise UserError(f"no notebook {name}{nearest(name, map(str, known))}")
    chosen = [Path(name) for name in names] or known
    if not chosen:
        raise UserError(f"no notebook in {root / 'notebooks'}")
    return chosen


def name_page(notebook: Path, root: Path) -> Path:
    """Return the page of a notebook; folders below notebooks/ are kept."""
    inside, notebooks = notebook.resolve(), (root / "notebooks").resolve()
    below = (
        inside.relative_to(notebooks)
        if inside.is_relative_to(notebooks)
        else inside.name
    )
    return (root / "reports" / below).with_suffix(".html")


def share_parameters(
    notebooks: list[Path], parameters: dict[str, Any]
) -> dict[Path, dict[str, str]]:
    """Return all parameters of each notebook as they will be, in Python."""
    known = {path: inspect_notebook(read_notebook(path)) for path in notebooks}
    names = {name for each in known.values() for name in each}
    for name in parameters:
        if name not in names:
            places = ", ".join(str(path) for path in notebooks)
            hint = (
                nearest(name, names)
                or f" (there are {', '.join(sorted(names)) or 'none'})"
            )
            raise UserError(f"no parameter {name!r} in {places}{hint}")
    return {
        path: {
            name: repr(parameters[name]) if name in parameters else about["default"]
            for name, about in each.items()
        }
        for path, each in known.items()
    }


def write_text(path: Path, text: str) -> None:
    """Write a page."""
    with write_atomically(path) as file:
        file.write_text(text, encoding="utf-8")


def make_report(
    notebook: Path, parameters: dict[str, Any], all_parameters: dict[str, str]
) -> Report:
    """Run a notebook, and return what there is to tell of it."""
    when, start, error = f"{datetime.now():%Y-%m-%d %H:%M}", perf_counter(), ""
    with TemporaryDirectory() as folder:
        output = Path(folder, "run.ipynb")
        try:
            run_notebook(notebook, output, parameters, progress=sys.stderr.isatty())
        except UserError as failure:
            error = str(failure)
        seconds, made = perf_counter() - start, nbformat.read(output, as_version=4)
    return Report(
        notebook.stem, made, notebook.parent, when, seconds, all_parameters, error
    )


def find_browser() -> str:
    """Return an installed browser that prints pages from the command line."""
    folders = [Path(os.environ[name]) for name in WINDOWS_FOLDERS if name in os.environ]
    places = [folder / file for folder in folders for file in WINDOWS_FILES]
    places += [
        Path(f"/Applications/{app}.app/Contents/MacOS/{app}") for app in MACOS_APPS
    ]
    found = [path for name in BROWSERS if (path := shutil.which(name))]
    found += [str(path) for path in places if path.is_file()]
    if not found:
        raise UserError(
            "no Chrome, Chromium or Edge for --pdf; print the page from your browser"
        )
    return found[0]


def print_command(
    browser: str, page: Path, pdf: Path, profile: str, is_root: bool
) -> list[str]:
    """Return the command that prints a page; a profile of its own lets no open window answer."""
    options = ["--headless", "--no-pdf-header-footer", "--no-first-run"]
    options += ["--disable-background-networking", "--disable-component-update"]
    options += ["--no-sandbox"] if is_root else []
    files = [f"--user-data-dir={profile}", f"--print-to-pdf={pdf.resolve()}"]
    return [browser, *options, *files, page.resolve().as_uri()]


def print_page(browser: str, page: Path, pdf: Path) -> None:
    """Print a page to a PDF."""
    is_root = getattr(os, "geteuid", lambda: 1)() == 0
    with (
        TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        write_atomically(pdf) as file,
    ):
        ordered = print_command(browser, page, file, profile, is_root)
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(ordered, capture_output=True, check=False, timeout=120)
        if not file.is_file():
            raise UserError(
                f"{browser} wrote no PDF; open {page} in your browser and print it"
            )


def write_index(reports: list[tuple[Report, dict[str, Path]]], index: Path) -> str:
    """Return the page that leads to the others: each report with its files, then older ones."""
    entries = []
    for report, files in reports:
        links = {what: link(path, index) for what, path in files.items()}
        ways = " · ".join(
            f'<a href="{to}">{escape(what)}</a>' for what, to in links.items()
        )
        also = f"<p>{ways}</p>" if len(links) > 1 else ""
        failed = f'<p class="failed">{escape(report.error)}</p>' if report.error else ""
        entries.append(
            f'<section class="entry"><h2><a href="{links["page"]}">{escape(report.title)}</a></h2>'
            f"{failed}{find_question(report.notebook)}{report.run_line}{also}</section>"
        )
    known = {index, *(path for _, files in reports for path in files.values())}
    older = sorted(
        {*index.parent.rglob("*.html"), *index.parent.rglob("*.pdf")} - known
    )
    items = [
        f'<li><a href="{link(each, index)}">{escape(each.name)}</a></li>'
        for each in older
    ]
    if items:
        entries.append(
            f'<section class="entry"><h2>Older</h2><ul>{"".join(items)}</ul></section>'
        )
    return fill_page("Reports", "index", f"<h1>Reports</h1>{''.join(entries)}")


def link(path: Path, index: Path) -> str:
    """Return the way from the index to a file, as HTML."""
    return escape(quote(path.relative_to(index.parent).as_posix()))


def run(
    notebooks: list[Path],
    parameters: dict[str, Any],
    root: Path,
    code: bool = False,
    slides: bool = False,
    pdf: bool = False,
) -> None:
    """Run the notebooks, write their pages and an index; raise UserError where one failed."""
    browser = find_browser() if pdf else ""
    index = root / "reports" / "index.html"
    pages = [name_page(notebook, root) for notebook in notebooks]
    for page in pages:
        if [index, *pages].count(page) > 1:
            raise UserError(f"two pages would be called {page}; rename a notebook")
    shared = share_parameters(notebooks, parameters)
    reports: list[tuple[Report, dict[str, Path]]] = []
    for notebook, page in zip(notebooks, pages, strict=True):
        known = shared[notebook]
        given = {name: value for name, value in parameters.items() if name in known}
        report = make_report(notebook, given, known)
        made = {"page": page}
        write_text(page, write_report(report, code))
        if slides:
            made["slides"] = page.with_suffix(".slides.html")
            write_text(made["slides"], write_slides(report, code))
        if browser:
            made["PDF"] = page.with_suffix(".pdf")
            print_page(browser, page, made["PDF"])
        reports.append((report, made))
        print(
            f"{report.name}: {report.seconds:.1f} s, {', '.join(map(str, made.values()))}"
        )
    write_text(index, write_index(reports, index))
    print(f"All of them: {index}")
    failed = [
        f"{each.error}; up to there: {made['page']}"
        for each, made in reports
        if each.error
    ]
    if failed:
        raise UserError("\nerror: ".join(failed))


@command
def main() -> None:
    """Write reports from the command line."""
    parser = command_line(__doc__)
    add = parser.add_argument
    add(
        "notebooks",
        metavar="NOTEBOOK",
        nargs="*",
        help="what to run; all, if none is named",
    )
    add(
        "-p",
        dest="parameters",
        metavar=("NAME", "VALUE"),
        nargs=2,
        action="append",
        default=[],
        help="a parameter, for the notebooks that have it; may come again",
    )
    add("--code", action="store_true", help="show the code too")
    add("--slides", action="store_true", help="also make a deck of slides of each")
    add(
        "--pdf",
        action="store_true",
        help="also print each page, by an installed browser",
    )
    options = parser.parse_args()

    root = read_config().root
    notebooks = choose_notebooks(options.notebooks, root)
    parameters = {name: type_value(value) for name, value in options.parameters}
    run(notebooks, parameters, root, options.code, options.slides, options.pdf)
