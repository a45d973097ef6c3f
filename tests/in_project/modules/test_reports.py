"""Reports: notebooks that fail, parameters, browsers, formulas, slides."""

import json
import os
import re
import sys
from contextlib import redirect_stderr, redirect_stdout
from html import unescape
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest
from customer_churn.tools import report_pages as pages
from conftest import make_project
from customer_churn.utils import UserError
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from test_notebooks import FIGURE, TEXT, WARNING, make_report, make_result
from customer_churn.tools import report


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


def display(**data: str) -> nbformat.NotebookNode:
    return new_output("display_data", data={f"text/{name}": text for name, text in data.items()})


ERROR = new_output(
    "error", ename="ValueError", evalue="no", traceback=["\x1b[31mValueError\x1b[0m: no"]
)


def test_with_code_a_page_has_it_in_colours_for_light_and_dark() -> None:
    page = pages.write_report(make_report(make_result(TEXT, WARNING), make_result()), code=True)
    assert page.count('<span class="n">secret</span>') == 2
    assert "be careful" in page
    assert page.count(".highlight .n ") >= 1
    assert "@media screen and (prefers-color-scheme: dark) {" in page


def test_what_a_cell_would_load_is_not_let_in() -> None:
    script = display(html='<script src="https://example.org/far.js"></script>')
    page = pages.write_report(make_report(make_result(script)), code=False)
    rules = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert rules
    assert rules[1].startswith("default-src 'none';")
    assert "http" not in rules[1]
    assert page.index("Content-Security-Policy") < page.index("far.js")


def test_a_program_of_a_cell_is_shown_as_its_text() -> None:
    script = new_output("display_data", data={"application/javascript": "1", "text/plain": "chart"})
    page = pages.write_report(make_report(make_result(script)), code=False)
    assert "chart" in page
    assert "$(" not in page


def test_formulas_are_mathml_and_bad_ones_stay_as_they_are() -> None:
    text = "A $\\frac{1}{n}$, a $\\frac{$.\n\n$$x^2$$\n\n\\begin{align} y &= 1 \\end{align}"
    page = pages.write_report(make_report(new_markdown_cell(text)), code=False)
    assert page.count("<math ") == 3
    assert page.count('display="block"') == 2 + 1  # and one in the style
    assert "<mfrac>" in page
    assert "$\\frac{$" in page
    page = pages.write_report(make_report(make_result(display(latex="$z^2$"))), code=False)
    assert page.count("<math ") == 1


def test_a_failed_page_ends_with_the_error_below_a_banner() -> None:
    marker = new_markdown_cell("marker", metadata={"tags": [pages.MARKER]})
    after = new_markdown_cell("What comes after")
    cells = (marker, make_result(TEXT), make_result(ERROR), after)
    page = pages.write_report(make_report(*cells, error="it fails & stops"), code=False)
    order = ["it fails &amp; stops", "a &lt;result&gt;", '<span class="ansi-red-fg">ValueError']
    assert [page.index(each) for each in order] == sorted(page.index(each) for each in order)
    assert "What comes after" not in page
    assert ">marker<" not in page
    assert "What comes after" in pages.write_report(make_report(*cells), code=False)


def test_figures_say_where_they_belong_to_those_who_cannot_see_them() -> None:
    heading = new_markdown_cell("# Top\n\n## Some *part* & `code`")
    page = pages.write_report(make_report(heading, make_result(FIGURE)), code=False)
    assert 'alt="Figure in the part “Some part &amp; code”"' in page


def test_the_title_is_the_first_heading_else_the_name() -> None:
    heading = new_markdown_cell("Before.\n\nTitle <b>1</b> & more\n===")
    assert make_report(make_result(TEXT), heading).title == "Title 1 & more"
    assert make_report(new_markdown_cell("Words")).title == "name"
    assert "<title>Title 1 &amp; more</title>" in pages.write_slides(make_report(heading), False)


@pytest.mark.parametrize("text", ["# T\n\nWhat $5?$", "What?\n\nMore"])
def test_the_question_is_the_first_paragraph(text: str) -> None:
    found = pages.find_question(make_report(new_markdown_cell(text)).notebook)
    assert found.startswith("<p>What")
    assert "More" not in found


def sizes(*cells: nbformat.NotebookNode) -> list[int]:
    return [len(slide) for slide in pages.split_slides(list(cells))]


def test_a_slide_starts_at_a_large_heading_and_at_each_further_figure() -> None:
    large, small = new_markdown_cell("text\n\n## Large"), new_markdown_cell("### Small")
    figure, text = make_result(FIGURE), make_result(TEXT)
    assert sizes(small, large, small, text, figure, figure, small, large) == [1, 4, 2, 1]
    assert sizes(large, figure, text, figure, large) == [2, 2, 1]
    assert sizes() == []


def test_slide_types_go_before_headings() -> None:
    def slide(kind: str) -> nbformat.NotebookNode:
        return new_markdown_cell("# Large", metadata={"slideshow": {"slide_type": kind}})

    kinds = ["-", "slide", "fragment", "skip", "subslide", "notes", "-"]
    assert sizes(*map(slide, kinds)) == [1, 2, 2]


def test_a_deck_has_a_section_a_slide() -> None:
    cells = [new_markdown_cell("# One"), make_result(TEXT), new_markdown_cell("## Two")]
    deck = pages.write_slides(make_report(*cells), code=False)
    assert deck.count('<section class="slide">') == 2
    assert '<body class="slides">' in deck
    assert "ArrowRight" in deck
    assert pages.write_slides(make_report(), code=False).count('<section class="slide">') == 1
