"""The notebooks run from top to bottom, and git holds none of their outputs."""

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT, make_project
from nbclient import NotebookClient
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
def runs() -> Iterator[dict]:
    """Run all notebooks, some at once."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {path: pool.submit(run, path) for path in NOTEBOOKS}


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_from_top_to_bottom(notebook: Path, runs: dict) -> None:
    runs[notebook].result()


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
    output = nbformat.v4.new_output("stream", name="stdout", text="secret")
    notebook.cells[1].update(execution_count=3, outputs=[output])
    cleaned = notebook_filter.clean(nbformat.writes(notebook))
    assert cleaned == notebook_filter.clean(before)
    assert notebook.cells[1].id in cleaned
    assert "secret" not in cleaned


def test_diff_reads_like_a_script(tmp_path: Path) -> None:
    path = write_notebook(tmp_path, "shown", "# Title", "x = 1")
    cells = notebook_filter.split_cells(path.read_text(encoding="utf-8"))
    assert cells == ["# %% markdown\n# Title\n", "# %% code parameters\nx = 1\n"]


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
