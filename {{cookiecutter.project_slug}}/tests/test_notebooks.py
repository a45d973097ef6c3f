"""The notebooks run from top to bottom, and git holds none of their outputs."""

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT, make_project
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from {{ cookiecutter.project_slug }}.tools import checks, notebook_filter, report

NOTEBOOKS = report.find_notebooks(ROOT)
AT_ONCE = 3  # a notebook waits most of the time for its kernel to start


def run(path: Path) -> None:
    """Run a notebook in its own folder with this Python, whatever kernel it names."""
    client = NotebookClient(
        nbformat.read(path, as_version=4),
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
    )
    quick = {"MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}  # figures are not drawn
    client.execute(env=os.environ | quick)


@pytest.fixture(scope="module")
def runs() -> Iterator[dict[Path, Future[None]]]:
    """Run all notebooks, some at once."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {path: pool.submit(run, path) for path in NOTEBOOKS}


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_from_top_to_bottom(
    notebook: Path, runs: dict[Path, Future[None]]
) -> None:
    try:
        runs[notebook].result()
    except CellExecutionError as error:
        pytest.fail(f"{notebook.name}: {error}", pytrace=False)


def test_git_holds_no_outputs() -> None:
    if not any((folder / ".git").exists() for folder in (ROOT, *ROOT.parents)):
        return  # not in git yet
    found = checks.find_outputs()
    assert not found, "\n".join(found)
    setting = ["git", "config", "filter.nbstripout.clean"]
    if subprocess.run(setting, cwd=ROOT, capture_output=True, check=False).returncode:
        advice = "git would keep the outputs of notebooks; run: uv run setup-clone"
        warnings.warn(advice, stacklevel=1)


def write_notebook(root: Path, name: str, *sources: str) -> Path:
    """Write a notebook; a source that starts with # is Markdown."""
    cells = [
        new_markdown_cell(source) if source[0] == "#" else new_code_cell(source)
        for source in sources
    ]
    cells[1].metadata.tags = ["parameters"]
    path = root / "notebooks" / f"{name}.ipynb"
    path.parent.mkdir(exist_ok=True)
    nbformat.write(new_notebook(cells=cells), path)
    return path


def test_filter_keeps_the_code_alone(tmp_path: Path) -> None:
    path = write_notebook(tmp_path, "ran", "# Title", "x = 1")
    before = path.read_text(encoding="utf-8")
    notebook = nbformat.reads(before, as_version=4)
    notebook.metadata.kernelspec = {"name": "x", "display_name": ".venv (3.11.7)"}
    notebook.cells[1].update(execution_count=3)
    notebook.cells[1].outputs.append(
        nbformat.v4.new_output("stream", name="stdout", text="secret")
    )
    cleaned = notebook_filter.clean(nbformat.writes(notebook))
    assert cleaned == notebook_filter.clean(before)
    assert nbformat.reads(cleaned, as_version=4).cells[1].id == notebook.cells[1].id
    assert "secret" not in cleaned
    assert notebook_filter.clean("") == ""


def test_diff_reads_like_a_script(tmp_path: Path) -> None:
    path = write_notebook(tmp_path, "shown", "# Title", "x = 1")
    text = path.read_text(encoding="utf-8")
    script = "# %% markdown\n# Title\n\n# %% code parameters\nx = 1\n"
    assert notebook_filter.show(text) == script
    assert notebook_filter.show("<<<<<<< HEAD") == "<<<<<<< HEAD"


def test_path_of_one_machine_is_found(tmp_path: Path) -> None:
    lines = ("open('/home/ada/x.csv')", "open('/home/ada/x.csv')  # noqa", "a/home/b")
    path = write_notebook(tmp_path, "paths", *lines)
    (problem,) = checks.check_notebook(path, most_cells=50)
    assert "cell 1: /home/" in problem


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a config.yaml and no notebooks yet, as the current folder."""
    make_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_report_has_the_results_of_a_run_with_parameters(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_notebook(
        project,
        "one",
        "# Link to [two](two.ipynb)",
        "month = '2026=01'\nsize = 1  # of it",
        "print([month, size + 1])",
    )
    arguments = ["report", "-p", "month", "007", "-p", "size", "6", "--slides"]
    monkeypatch.setattr(sys, "argv", arguments)
    report.main()
    page = (project / "reports" / "one.html").read_text(encoding="utf-8")
    assert "['007', 7]" in page
    assert "size + 1" not in page
    assert 'href="two.html"' in page
    assert "<section" in (project / "reports" / "one.slides.html").read_text("utf-8")
    assert 'href="one.html"' in (project / "reports" / "index.html").read_text("utf-8")


def test_report_of_a_failing_notebook_ends_at_the_error(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_notebook(project, "bad", "# Bad", "print('before')", "1 / 0", "# After")
    monkeypatch.setattr(sys, "argv", ["report"])
    with pytest.raises(SystemExit) as stop:
        report.main()
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert "bad.ipynb, In [2]: ZeroDivisionError: division by zero; see " in line
    page = (project / "reports" / "bad.html").read_text(encoding="utf-8")
    assert "before" in page
    assert ">After" not in page


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ({"text/html": "<b>table</b>"}, True),
        ({"image/png": "", "text/plain": ""}, True),
        ({"text/html": "<script src='https://cdn.org/x.js'>"}, False),
        ({"application/vnd.jupyter.widget-view+json": {}, "text/plain": ""}, False),
    ],
)
def test_output_that_needs_the_network_is_known(
    data: dict[str, str], shown: bool
) -> None:
    assert report.opens_offline(data) == shown
