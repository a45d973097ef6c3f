"""Notebooks become pages that anybody can read."""

import json
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from html import unescape
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest
from conftest import make_project
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

import tools.report as report
from {{ cookiecutter.project_slug }}.utils import UserError


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


class Ran(NamedTuple):
    reports: Path
    printed: str
    shown: str
    failure: str


def write_notebook(path: Path, *sources: str) -> Path:
    cells = [new_code_cell(source) for source in sources]
    for cell in cells:
        if cell.source.startswith("size = "):
            cell.metadata["tags"] = ["parameters"]
        if cell.source.startswith("#"):
            cells[cells.index(cell)] = new_markdown_cell(cell.source)
    path.parent.mkdir(parents=True, exist_ok=True)
    kernel = {"name": "another", "display_name": "Another", "language": "R"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


def write_hostile_kernels(folder: Path) -> None:
    for name in ("python3", "another"):
        (folder / "kernels" / name).mkdir(parents=True)
        spec = {"argv": ["no-such-python"], "display_name": name, "language": "python"}
        (folder / "kernels" / name / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Two notebooks run, of which the first fails, on a machine with another's kernels."""
    root = tmp_path_factory.mktemp("root")
    write_hostile_kernels(root / "jupyter")
    write_notebook(
        root / "notebooks" / "1 broken.ipynb",
        "# Broken",
        "size = 1  # how large\nlabel = 'none'\nother = 7",
        "print('made', 'before')",
        "## Where it stops",
        "raise ValueError('first\\nsecond')",
        "# What comes after",
    )
    write_notebook(
        root / "notebooks" / "part" / "2_whole.ipynb",
        "# Whole\n\nWhat is it?\n\nMuch more.",
        "size = 1\nlabel = 'none'\nrate = 0.5\nflag = False",
        "import sys\nfrom pathlib import Path",
        "print([size, label, rate, flag], sys.executable, Path.cwd().name)",
    )
    (root / "reports").mkdir()
    (root / "reports" / "old.html").write_text("old", encoding="utf-8")
    parameters = {"size": 5, "label": "a'b", "rate": 1e-3, "flag": True}
    printed, shown = StringIO(), Terminal()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(root / "jupyter"))
        patch.setenv("JUPYTER_DATA_DIR", str(root / "jupyter"))
        patch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
        patch.chdir(root)
        with (
            redirect_stdout(printed),
            redirect_stderr(shown),
            pytest.raises(UserError) as failure,
        ):
            notebooks = report.choose_notebooks([], Path())
            report.run(notebooks, parameters, Path(), slides=True)
    return Ran(root / "reports", printed.getvalue(), shown.getvalue(), str(failure.value))


def read(ran: Ran, name: str) -> str:
    return (ran.reports / name).read_text(encoding="utf-8")


def test_parameters_reach_the_notebook_with_their_types(ran: Ran) -> None:
    page = unescape(read(ran, "part/2_whole.html"))
    assert """[5, "a'b", 0.001, True]""" in page
    assert '<code>label = "a\'b"</code>' in page


def test_it_runs_with_this_python_in_its_own_folder_whatever_kernels_there_are(ran: Ran) -> None:
    assert f"{sys.executable} part" in read(ran, "part/2_whole.html")


def test_a_failing_notebook_leaves_what_it_made_and_says_where_it_stopped(ran: Ran) -> None:
    page, place = read(ran, "1 broken.html"), "fails in cell 5 (below “Where it stops”)"
    assert place in page
    assert "made before" in page
    assert "ValueError" in page
    assert "What comes after" not in page
    notebook, file = Path("notebooks", "1 broken.ipynb"), Path("reports", "1 broken.html")
    assert ran.failure == f"{notebook} {place}: ValueError: second; up to there: {file}"


def test_the_index_says_what_was_run_and_what_failed(ran: Ran) -> None:
    index = read(ran, "index.html")
    assert index.index("Broken") < index.index("Whole") < index.index("old.html")
    assert "<p>What is it?</p>" in index
    assert "Much more" not in index
    assert index.count("fails in cell 5") == 1
    for name in ("1%20broken.html", "part/2_whole.html", "part/2_whole.slides.html", "old.html"):
        assert f'href="{name}"' in index
    for value in ("size = 5", "label = &quot;a&#x27;b&quot;", "rate = 0.001", "other = 7"):
        assert f"<code>{value}</code>" in index


def test_a_terminal_shows_a_bar_and_each_notebook_has_its_line(ran: Ran) -> None:
    assert "/5 [" in ran.shown.partition("2_whole:")[2]
    lines = ran.printed.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["1 broken", "2_whole", "All of them"]
    assert str(Path("reports", "part", "2_whole.slides.html")) in lines[1]


def test_only_pages_are_left(ran: Ran) -> None:
    files = [path.name for path in ran.reports.rglob("*") if path.is_file()]
    assert sorted(files) == [
        "1 broken.html",
        "1 broken.slides.html",
        "2_whole.html",
        "2_whole.slides.html",
        "index.html",
        "old.html",
    ]


def test_elsewhere_than_at_a_terminal_nothing_but_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    make_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    file = write_notebook(tmp_path / "any" / "lone.ipynb", "size = 1", "print(size * 'x')")
    monkeypatch.setattr(sys, "argv", ["report", str(file), "-p", "size", "4", "--code"])
    report.main()
    page = (tmp_path / "reports" / "lone.html").read_text(encoding="utf-8")
    assert "xxxx" in page
    assert "highlight" in page
    printed = capfd.readouterr()
    assert "%|" not in printed.err
    assert "WARNING" not in printed.err
    assert printed.out.startswith("lone: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "sise", "4"], "no parameter 'sise' in .*1.ipynb.*nearest is 'size'"),
        (["-p", "sise", "4", "notebooks/2.ipynb"], "no parameter 'sise' in .*there are none"),
        (["notebooks/3.ipynb"], "no notebook notebooks/3.ipynb .*nearest is"),
        (["config.yaml"], "config.yaml can't be read as a notebook"),
        (["notebooks/1.ipynb", "notebooks/1.ipynb"], "two pages would be called .*1.html"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    write_notebook(tmp_path / "notebooks" / "1.ipynb", "size = 1")
    write_notebook(tmp_path / "notebooks" / "2.ipynb", "1")
    monkeypatch.setattr(sys, "argv", ["report", *arguments])
    with pytest.raises(SystemExit) as stop:
        report.main()
    assert stop.value.code == 2
    printed = capsys.readouterr().err
    assert len(printed.splitlines()) == 1
    with pytest.raises(UserError, match=message):
        raise UserError(printed)
    assert not (tmp_path / "reports").exists()


def test_checkpoints_are_no_notebooks(tmp_path: Path) -> None:
    for name in ("b/c.ipynb", "a.ipynb", ".ipynb_checkpoints/a.ipynb"):
        write_notebook(tmp_path / "notebooks" / name)
    found = report.choose_notebooks([], tmp_path)
    assert found == [tmp_path / "notebooks" / "a.ipynb", tmp_path / "notebooks" / "b" / "c.ipynb"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("1_000", 1000),
        ("-0.5", -0.5),
        ("1e3", 1000.0),
        ("True", True),
        ("None", None),
        ("true", "true"),
        ("", ""),
        ("2024-01-01", "2024-01-01"),
    ],
)
def test_values_are_typed_as_by_papermill(text: str, value: object) -> None:
    assert report.type_value(text) == value
    assert type(report.type_value(text)) is type(value)


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    report.write_text(page, "old")
    with pytest.raises(UnicodeEncodeError):
        report.write_text(page, "half of it \ud800")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert page.read_text(encoding="utf-8") == "old"


def test_help_has_examples(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["report", "--help"])
    with pytest.raises(SystemExit) as stop:
        report.main()
    assert stop.value.code == 0
    assert "uv run report --slides --pdf" in capsys.readouterr().out


def test_only_root_prints_without_a_sandbox(tmp_path: Path) -> None:
    files = (tmp_path / "a b.html", tmp_path / "a b.pdf", str(tmp_path / "profile"))
    ordered = report.print_command("browser", *files, is_root=False)
    assert ordered[0] == "browser"
    assert ordered[-1].startswith("file:///")
    assert ordered[-1].endswith("/a%20b.html")
    assert f"--print-to-pdf={files[1]}" in ordered
    assert "--no-sandbox" not in ordered
    assert "--no-sandbox" in report.print_command("browser", *files, is_root=True)


def test_a_browser_that_writes_nothing_is_told(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("page", encoding="utf-8")
    with pytest.raises(UserError, match=r"wrote no PDF; open .*page\.html"):
        report.print_page(sys.executable, page, tmp_path / "page.pdf")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_without_a_browser_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PATH", *report.WINDOWS_FOLDERS):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setattr(report, "MACOS_APPS", ())
    with pytest.raises(UserError, match="no Chrome, Chromium or Edge"):
        report.run([tmp_path / "never.ipynb"], {}, tmp_path, pdf=True)
    names = {"nt": "msedge.exe"}.get(os.name, "msedge")
    (tmp_path / names).write_text("", encoding="utf-8")
    (tmp_path / names).chmod(0o755)
    assert Path(report.find_browser()) == tmp_path / names
