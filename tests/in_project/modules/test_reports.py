"""Reports: what a page shows offline, and what a mistake says."""

import base64
import json
import sys
from pathlib import Path

import nbformat
import pytest
from conftest import make_project
from customer_churn.tools import report
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without notebooks, on a machine with another project's kernel."""
    make_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    kernel = tmp_path / "jupyter" / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    about = {"argv": ["no-such-python"], "display_name": "x", "language": "python"}
    kernel.write_text(json.dumps(about), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    (tmp_path / "notebooks").mkdir()
    return tmp_path


def write(path: Path, *cells: nbformat.NotebookNode) -> None:
    nbformat.write(new_notebook(cells=list(cells)), path)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["report", *arguments])
    report.main()


def test_images_are_in_the_page_whatever_their_names(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("notebooks/my dot.png", "dot.png"):
        (project / name).write_bytes(DOT)
    text = (
        '<img src="attachment:a%20b.png"> ![](attachment:a%20b.png) ![](my%20dot.png)'
        ' <img src="my%20dot.png"> ![](../dot.png) ![](https://example.org/far.png)'
    )
    cell = new_markdown_cell(text)
    cell.attachments = {"a b.png": {"image/png": base64.b64encode(DOT).decode()}}
    write(project / "notebooks" / "one.ipynb", cell)
    run(monkeypatch)
    page = (project / "reports" / "one.html").read_text(encoding="utf-8")
    assert page.count('src="data:image/png;base64,') == 5
    assert '<a href="https://example.org/far.png">' in page


def test_what_needs_the_network_is_named(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = """
from IPython.display import HTML, display
display(HTML("<script src='https://cdn.example.org/chart.js'></script>secret"))
display({"application/vnd.jupyter.widget-view+json": {}, "text/plain": "IntSlider()"}, raw=True)
"""
    diagram = "from sklearn.linear_model import Ridge; Ridge()"  # its script names a source
    cells = new_code_cell(source), new_code_cell(diagram)
    write(project / "notebooks" / "one.ipynb", *cells)
    run(monkeypatch, "--slides")
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(", In [1]: ")[0] for line in lines] == [
        f"warning: {Path('notebooks', 'one.ipynb')}"
    ] * 2
    for name in ("one.html", "one.slides.html"):
        page = (project / "reports" / name).read_text(encoding="utf-8")
        assert page.count("Not shown: ") == 2
        assert "sk-estimator" in page
        assert "secret" not in page
        assert "IntSlider" not in page


@pytest.mark.parametrize(
    ("default", "text", "shown"),
    [
        ("'a=b'", "007", "'007'"),
        ("'x'", "nan", "'nan'"),
        ("'x'", "2026_01", "'2026_01'"),
        ("1  # how many", "6", "6"),
        ("0.5", "1e-3", "0.001"),
        ("False", "True", "True"),
        ("None", "2026-01-02", "'2026-01-02'"),
        ("[1]", "[2, 3]", "[2, 3]"),
    ],
)
def test_the_default_decides_the_type(project: Path, default: str, text: str, shown: str) -> None:
    path = project / "notebooks" / "one.ipynb"
    source = (
        f'from typing import Any, Literal\nother = 1\nvalue: Literal["x", "y"] | Any = {default}'
    )
    write(path, new_code_cell(source, metadata={"tags": ["parameters"]}))
    values = report.read_parameters(path, {"value": text})
    assert repr(values["value"]) == shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "sise", "4"], "no notebook has a parameter 'sise'"),
        (["notebooks/3.ipynb"], "cannot read notebooks/3.ipynb: "),
        (["notebooks/empty.ipynb"], "cannot read notebooks/empty.ipynb: "),
        (["notebooks/1.ipynb", "notebooks/1.ipynb"], "or two of one name"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str],
    message: str,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(project / "notebooks" / "1.ipynb", new_code_cell("1"))
    (project / "notebooks" / "empty.ipynb").touch()
    named = arguments if "-p" not in arguments else [*arguments, "notebooks/1.ipynb"]
    with pytest.raises(SystemExit) as stop:
        run(monkeypatch, *named)
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (project / "reports").exists()


def test_a_kernel_that_dies_and_the_notebooks_after_it(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    died = (new_code_cell("print('before')"), new_code_cell("import os; os._exit(3)"))
    write(project / "notebooks" / "1.ipynb", *died)
    write(project / "notebooks" / "2.ipynb", new_code_cell("print('after it')"))
    with pytest.raises(SystemExit):
        run(monkeypatch)
    (line,) = capsys.readouterr().err.splitlines()
    assert "Kernel died; see " in line
    assert "before" in (project / "reports" / "1.html").read_text(encoding="utf-8")
    assert "after it" in (project / "reports" / "2.html").read_text(encoding="utf-8")


def test_a_page_is_printed_by_an_installed_browser_if_there_is_one(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(project / "notebooks" / "1.ipynb", new_markdown_cell("# A page"))
    run(monkeypatch, "--pdf")
    assert (project / "reports" / "1.pdf").read_bytes().startswith(b"%PDF-")
    monkeypatch.setattr(report, "BROWSERS", ["no-such-browser"])
    with pytest.raises(SystemExit):
        run(monkeypatch, "--pdf")
    assert "no Chrome, Chromium or Edge" in capsys.readouterr().err


def test_the_index_lists_what_others_wrote(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "reports").mkdir()
    for name in ("model_card.html", "drift.html"):
        (project / "reports" / name).touch()
    write(project / "notebooks" / "1 of 2.ipynb", new_markdown_cell("# A page"))
    run(monkeypatch)
    index = (project / "reports" / "index.html").read_text(encoding="utf-8")
    for name in ("1%20of%202.html", "drift.html", "model_card.html"):
        assert f'href="{name}"' in index
