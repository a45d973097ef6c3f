"""The notebooks run from top to bottom, and git holds none of their outputs."""

import subprocess
import warnings
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from {{ cookiecutter.project_slug }}.tools import checks, notebook_filter, report

NOTEBOOKS = report.find_notebooks(ROOT)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_from_top_to_bottom(notebook, runs):
    runs[notebook].result()


def test_git_holds_no_outputs():
    if not any((folder / ".git").exists() for folder in (ROOT, *ROOT.parents)):
        return  # not in git yet
    found = checks.find_outputs()
    assert not found, "\n".join(found)
    setting = ["git", "config", "filter.nbstripout.clean"]
    if subprocess.run(setting, cwd=ROOT, capture_output=True, check=False).returncode:
        advice = "git would keep the outputs of notebooks; run: uv run setup-clone"
        warnings.warn(advice, stacklevel=1)


def write_notebook(root, name, *sources):
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


def test_filter_keeps_the_code_alone(tmp_path):
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


def test_report_runs_with_parameters_and_ends_at_an_error(config, monkeypatch, capsys):
    monkeypatch.chdir(config.root)
    parameters = "month = '2026=01'\nsize = 1  # of it"
    link, show = "# Link to [bad](bad.ipynb)", "print([month, size + 1])"
    write_notebook(config.root, "one", link, parameters, show)
    write_notebook(config.root, "bad", "# Bad", "print('before')", "1 / 0", "# After")
    options = ["-p", "month", "007", "-p", "size", "6", "--slides"]
    monkeypatch.setattr("sys.argv", ["report", *options])
    with pytest.raises(SystemExit) as stop:
        report.main()
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert "bad.ipynb, In [2]: ZeroDivisionError: division by zero; see " in line

    page, bad, slides, index = (
        Path("reports", f"{name}.html").read_text(encoding="utf-8")
        for name in ("one", "bad", "one.slides", "index")
    )
    assert "['007', 7]" in page
    assert "size + 1" not in page
    assert 'href="bad.html"' in page
    assert "<section" in slides
    assert 'href="one.html"' in index
    assert "before" in bad
    assert ">After" not in bad
