"""Reports and the model card: pages that anybody can read, and that need nothing but themselves."""

import base64
import json
import os
import re
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from copy import deepcopy
from html import unescape
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import numpy as np
import pytest
from conftest import make_project
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score

import tools.report as report
import tools.report_pages as pages
from {{ cookiecutter.project_slug }}.utils import UserError

from training.description import measure_curves
from training.model_card import draw_card, show_number, show_share

DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
ELSEWHERE = re.compile(r"""(src|data)=["']?(https?:)?//|<link|url\(|@import|import[^;]*from""")


# --- the command ---


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


# --- the pages ---


def display(**data: str) -> nbformat.NotebookNode:
    return new_output("display_data", data={f"text/{name}": text for name, text in data.items()})


def make_report(*cells: nbformat.NotebookNode, error: str = "") -> pages.Report:
    notebook = new_notebook(cells=list(cells))
    return pages.Report("name", notebook, Path(), "2026-01-02 03:04", 5.6, {"size": "7"}, error)


def make_result(*outputs: nbformat.NotebookNode, **metadata: Any) -> nbformat.NotebookNode:
    return new_code_cell("secret = 1", outputs=list(outputs), metadata=metadata)


WARNING = new_output("stream", name="stderr", text="be careful")
TEXT = new_output("stream", name="stdout", text="a <result>")
FIGURE = new_output("display_data", data={"image/png": base64.b64encode(DOT).decode()})
ERROR = new_output(
    "error", ename="ValueError", evalue="no", traceback=["\x1b[31mValueError\x1b[0m: no"]
)


def test_without_code_a_page_has_results_and_no_trace_of_how() -> None:
    page = pages.write_report(make_report(make_result(TEXT, WARNING), make_result()), code=False)
    assert "a &lt;result&gt;" in page
    for hidden in ("secret", "be careful", "In&nbsp;", "Out["):
        assert hidden not in page
    assert page.count('class="output_wrapper"') == 1
    assert "Run on 2026-01-02 03:04, 5.6 s; <code>size = 7</code>" in page


def test_with_code_a_page_has_it_in_colours_for_light_and_dark() -> None:
    page = pages.write_report(make_report(make_result(TEXT, WARNING), make_result()), code=True)
    assert page.count('<span class="n">secret</span>') == 2
    assert "be careful" in page
    assert page.count(".highlight .n ") >= 1
    assert "@media screen and (prefers-color-scheme: dark) {" in page


def test_a_page_needs_nothing_but_itself(tmp_path: Path) -> None:
    (tmp_path / "dot.png").write_bytes(DOT)
    text = "![near](dot.png) ![lost](attachment:lost.png) ![far](https://example.org/far.png)"
    made = make_report(new_markdown_cell(text), make_result(FIGURE, TEXT))
    made = made._replace(folder=tmp_path)
    for code in (False, True):
        for page in (pages.write_report(made, code), pages.write_slides(made, code)):
            assert not ELSEWHERE.search(page)
            assert page.count("data:image/png;base64,") == 2
            assert '<a href="https://example.org/far.png">far</a>' in page
            assert "<em>lost</em>" in page


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


# Two braces are the template's, so they are put together here.
HOSTILE = "<script>alert(1)</script>\"'&" + "{" * 2 + "1}" + "}$x$🦔"

CARD: dict[str, Any] = {
    "model": "gradient_boosting",
    "task": "classification",
    "target": "outcome",
    "target_description": "how it ended",
    "labels": ["lost", "won"],
    "trained": "2026-11-23T08:00:00+00:00",
    "seconds": 2.9,
    "file": {"path": "models/model.onnx", "sha256": "ab" * 32},
    "data": {
        "path": "data/processed/table.parquet",
        "sha256": "cd" * 32,
        "date": "2026-11-23",
        "rows": 5000,
        "columns": 3,
        "dates": {"since": ["2019-01-02", "2025-12-30"]},
    },
    "split": {"kind": "random", "column": None, "since": None},
    "train_rows": 4000,
    "test_rows": 1000,
    "classes": {"lost": 0.71, "won": 0.29},
    "metric": "roc_auc",
    "metrics": {"accuracy": 0.86, "roc_auc": 0.912, "log_loss": None},
    "intervals": {"accuracy": [0.84, 0.88], "roc_auc": [0.89, 0.93], "log_loss": None},
    "baseline": {"accuracy": 0.71, "roc_auc": 0.5, "log_loss": 0.6},
    "importance": [
        {"feature": "charges", "loss": 0.081, "spread": 0.004},
        {"feature": "since", "loss": 0.012, "spread": 0.003},
        {"feature": "member", "loss": -0.0001, "spread": 0.002},
    ],
    "slices": [
        {"column": "size", "value": "Large", "rows": 120, "score": 0.84},
        {"column": "size", "value": "Small", "rows": 880, "score": 0.93},
        {"column": "size", "value": "Tiny", "rows": 1, "score": None},
    ],
    "comparison": [
        {
            "model": "logistic",
            "mean": 0.91,
            "spread": 0.01,
            "fit_seconds": 0.1,
            "predict_seconds": 0.01,
            "note": "tie, the simplest",
        }
    ],
    "tuning": {"candidates": 20, "folds": 5, "score": 0.914, "untuned": 0.910, "tie": True},
    "settings": {"max_leaf_nodes": 8},
    "random_seed": 0,
    "git": {"commit": "0123456789" * 4, "dirty": True},
    "config": "ef" * 32,
    "schema": "01" * 32,
    "versions": {"python": "3.11.7", "scikit-learn": "1.9.1"},
    "notes": ["The label 'won' is rare."],
}

ALWAYS = ["data", "metrics", "limits", "made"]


def make_outputs(classes: int, rows: int = 1000) -> tuple[NDArray[Any], NDArray[Any]]:
    draw = np.random.default_rng(0)
    target = np.sort(draw.integers(0, classes, rows) * draw.integers(0, 2, rows))
    scores = draw.random((rows, classes)) + 0.7 * np.eye(classes)[target]
    return target, scores / scores.sum(axis=1, keepdims=True)


def make_numbers(rows: int = 2000) -> tuple[NDArray[Any], NDArray[Any]]:
    draw = np.random.default_rng(0)
    predicted = draw.normal(size=rows)
    return predicted + draw.normal(size=rows) / 3, predicted


def make_card(classes: int = 2, /, **changes: Any) -> dict[str, Any]:
    """Return the sample card for so many classes, for numbers if there are none."""
    card = deepcopy(CARD) | {"labels": [f"label {n}" for n in range(classes)]}
    card["classes"] = {name: 1 / classes for name in card["labels"]}
    if classes:
        card["curves"] = measure_curves(*make_outputs(classes), "classification")
    else:
        card |= {"task": "regression", "metric": "rmse", "tuning": None, "comparison": []}
        for part in ("metrics", "baseline"):
            card[part] = {"rmse": 1234.5, "r2": 0.5}
        card["intervals"] = {"rmse": [1200.0, 1300.0], "r2": None}
        card["curves"] = measure_curves(*make_numbers(), "regression")
    return json.loads(json.dumps(card | changes, allow_nan=False))


class Page(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(re.sub("<style>.*?</style>", "", page, flags=re.DOTALL))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.text += " " if tag in ("dd", "div", "p", "small", "td", "th") else ""

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, attribute: str) -> list[str]:
        return [attrs[attribute] or "" for _, attrs in self.elements if attribute in attrs]

    def tags(self, *names: str) -> list[str]:
        return [tag for tag, _ in self.elements if tag in names]


def read_text(card: Mapping[str, Any]) -> str:
    return " ".join(Page(draw_card(card)).text.split())


# --- what is measured ---


def test_two_classes_have_the_areas_of_scikit_learn() -> None:
    target, outputs = make_outputs(2)
    curves = measure_curves(target, outputs, "classification")
    (roc,), (recall,) = curves["roc"], curves["precision_recall"]
    assert roc["class"] == recall["class"] == 1  # the second; here also the rarer
    assert roc["area"] == pytest.approx(roc_auc_score(target, outputs[:, 1]), abs=1e-5)
    average = average_precision_score(target, outputs[:, 1])
    assert recall["area"] == pytest.approx(average, abs=1e-5)
    thin_area = np.trapezoid(roc["y"], roc["x"])  # what is drawn is the curve
    assert thin_area == pytest.approx(roc["area"], abs=0.005)
    assert np.sum(np.diff(recall["x"]) * recall["y"][1:]) == pytest.approx(average, abs=0.02)


def test_precision_and_recall_are_those_of_the_rarer_class() -> None:
    target, outputs = make_outputs(2)
    curves = measure_curves(1 - target, outputs[:, ::-1], "classification")
    assert curves["roc"][0]["class"] == 1
    assert curves["precision_recall"][0]["class"] == 0


def test_several_classes_have_the_areas_of_the_most_frequent_against_the_rest() -> None:
    target, outputs = make_outputs(9)
    curves = measure_curves(target, outputs, "classification")
    rows = np.bincount(target, minlength=9)
    assert [rows[each["class"]] for each in curves["roc"]] == sorted(rows, reverse=True)[:6]
    for roc, recall in zip(curves["roc"], curves["precision_recall"], strict=True):
        truth, score = target == roc["class"], outputs[:, roc["class"]]
        assert roc["area"] == pytest.approx(roc_auc_score(truth, score), abs=1e-5)
        assert recall["area"] == pytest.approx(average_precision_score(truth, score), abs=1e-5)


def test_calibration_tells_how_often_a_probability_came_true() -> None:
    draw = np.random.default_rng(0)
    score = draw.random(20_000)
    target = (draw.random(20_000) < score).astype(int)
    part = measure_curves(target, np.column_stack([1 - score, score]), "classification")
    part = part["calibration"]
    assert part["rows"] == [2000] * 10
    np.testing.assert_allclose(part["x"], np.arange(0.05, 1, 0.1), atol=0.01)
    np.testing.assert_allclose(part["y"], part["x"], atol=0.03)
    low, high = np.array(part["low"]), np.array(part["high"])
    assert ((low < part["y"]) & (part["y"] < high)).all()


@pytest.mark.parametrize("classes", [2, 11, 60])
def test_confusions_are_counted_and_rare_classes_lumped(classes: int) -> None:
    target, outputs = make_outputs(classes)
    found = measure_curves(target, outputs, "classification")["confusion"]
    every = confusion_matrix(target, outputs.argmax(axis=1), labels=range(classes))
    counts = np.array(found["counts"])
    assert counts.sum() == len(target)
    kept = found["classes"]
    np.testing.assert_array_equal(counts[: len(kept), : len(kept)], every[np.ix_(kept, kept)])
    assert len(counts) == min(classes, 11)
    assert len(kept) == (10 if classes == 60 else classes)
    first = found["mistakes"][0]
    wrong = every - np.diag(np.diag(every))
    assert first["rows"] == wrong.max() == wrong[first["actual"], first["predicted"]]


def test_errors_of_numbers_are_a_sample_and_quantiles() -> None:
    target, predicted = make_numbers()
    curves = measure_curves(target, predicted, "regression")
    sample, errors = curves["sample"], curves["errors"]
    assert len(sample["actual"]) == len(sample["predicted"]) == 500
    assert sum(errors["rows"]) == len(target)
    np.testing.assert_allclose(errors["middle"], 0, atol=0.1)
    np.testing.assert_allclose(errors["high"], 1.2816 / 3, atol=0.12)  # a normal's 90 %
    assert curves == measure_curves(target, predicted, "regression")


@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize("classes", [0, 2, 60])
@pytest.mark.parametrize("constant", [True, False])
def test_few_rows_and_constant_answers_can_be_drawn(
    rows: int, classes: int, constant: bool
) -> None:
    target, outputs = make_outputs(classes, rows) if classes else make_numbers(rows)
    outputs = np.full_like(outputs, 1 / max(1, classes)) if constant else outputs
    curves = measure_curves(target, outputs, "classification" if classes else "regression")
    card = make_card(classes, curves=json.loads(json.dumps(curves, allow_nan=False)))
    assert '<div role="img"' in draw_card(card)


def test_classes_that_no_test_row_has_are_left_out() -> None:
    target, outputs = make_outputs(4)
    curves = measure_curves(np.where(target == 2, 1, target), outputs, "classification")
    assert 2 not in [each["class"] for each in curves["roc"]]
    only = measure_curves(np.ones(50, int), outputs[:50, :2], "classification")
    assert only["roc"] == []
    assert "ROC curve" not in draw_card(make_card(2, curves=only))


@pytest.mark.parametrize("classes", [0, 2, 60])
def test_what_is_kept_stays_small_however_many_rows_there_are(classes: int) -> None:
    target, outputs = make_outputs(classes, 50_000) if classes else make_numbers(50_000)
    curves = measure_curves(target, outputs, "classification" if classes else "regression")
    assert len(json.dumps(curves)) < 60_000


# --- the page ---


@pytest.mark.parametrize("classes", [0, 2, 5, 40])
def test_the_page_holds_every_section(classes: int) -> None:
    page = Page(draw_card(make_card(classes)))
    ids = page.values("id")
    parts = ["errors"] if classes == 0 else ["choice", "classes", "answers"]
    assert set(ALWAYS + parts + ["importance", "slices"]) <= set(ids)
    assert len(ids) == len(set(ids))
    assert page.tags("h1", "h2", "h3") == ["h1"] + ["h2"] * (9 if classes else 7)
    assert len(page.tags("svg")) == (3 if classes else 2)
    assert set(page.values("aria-labelledby")) <= set(ids)
    links = [v.removeprefix("#") for v in page.values("xlink:href")]
    links += re.findall(r"url\(#(.*?)\)", " ".join(page.values("clip-path")))
    assert links
    assert set(links) <= set(ids)


@pytest.mark.parametrize("classes", [0, 2, 40])
def test_the_page_loads_nothing_and_is_the_same_each_time(classes: int) -> None:
    page = draw_card(make_card(classes))
    assert page == draw_card(make_card(classes))
    assert "default-src 'none'; style-src 'unsafe-inline'" in page
    read, body = Page(page), page.split("</style>")[1]
    assert not read.tags("script", "link", "img", "iframe", "image", "object", "base", "form")
    assert not read.values("src") + read.values("href")
    assert not re.search(r"url\((?!#)|@import|DejaVu|<!DOCTYPE svg|\d\d:\d\d:\d\d\.", body)
    assert not re.search(r"(fill|stroke): #", body)  # all of the theme


@pytest.mark.parametrize("text", [HOSTILE, "x" * 200 + "$\\frac$" + "{" + "% endif %}"])
@pytest.mark.parametrize("classes", [0, 5])
def test_hostile_text_is_text(text: str, classes: int) -> None:
    card = make_card(classes, target=text, target_description=text, notes=[text], model=text)
    card["labels"][:1] = [text] if classes else []
    card["classes"] = {text: 0.01, **card["classes"]} if classes else {}
    card["importance"][0]["feature"] = card["slices"][0]["column"] = text
    card["slices"][0]["value"] = text
    card["data"]["dates"] = {text: ["2019-01-02", "2025-12-30"]}
    card["data"]["path"] = card["file"]["path"] = text
    card["settings"] = {text: text}
    page = draw_card(card)
    assert "<script" not in page
    read = Page(page)
    assert read.tags("body") == ["body"]
    assert text in read.text
    assert len(read.tags("svg")) == (3 if classes else 2)


def test_each_number_stands_beside_the_baseline() -> None:
    text = read_text(make_card())
    assert "ROC AUC 0.912 95 % interval 0.890 to 0.930 Baseline, a guess 0.500" in text
    assert "more is better 0.860 0.840 to 0.880 0.710" in text
    assert "not defined" in text  # the log loss


def test_limits_follow_from_the_facts() -> None:
    limits = read_text(make_card()).split("Limits")[1]
    for sentence in (
        *("The label 'won' is rare.", "name a column of dates as training.date in config.yaml"),
        "since is from 2019-01-02 to 2025-12-30",
        "weakest where size is Large (120 rows): ROC AUC 0.840, over all 0.912",
    ):
        assert sentence in limits


def test_limits_that_do_not_hold_are_not_told() -> None:
    limits = read_text(make_card(split={"kind": "time", "column": "since", "since": "2025-06-01"}))
    limits = limits.split("Limits")[1]
    assert "training.date" not in limits
    assert "weakest" not in read_text(make_card(slices=[])).split("Limits")[1]


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("random", "1,000 rows, chosen at random"),
        ("time", "those since 2025-06-01 by since; it learnt from the rows before"),
        ("group", "chosen so that no since is among both"),
    ],
)
def test_the_split_is_told(kind: str, sentence: str) -> None:
    split = {"kind": kind, "column": "since", "since": "2025-06-01"}
    assert sentence in read_text(make_card(split=split))


def test_what_there_is_not_takes_no_room() -> None:
    card = make_card(comparison=[], tuning=None, slices=[], importance=[], git=None, settings={})
    card["data"]["dates"] = {}
    page = Page(draw_card(card))
    assert {"choice", "slices", "importance"}.isdisjoint(page.values("id"))
    assert "not in git" in page.text


@pytest.mark.parametrize(
    ("value", "like", "shown"),
    [
        (0.9, None, "0.900"),
        (12.34, None, "12.3"),
        (1234.5, None, "1,234"),
        (0.0, None, "0.00"),
        (-0.0001, 0.2, "0.000"),
        (1e-9, None, "1.00e-09"),
        (None, None, "not defined"),
    ],
)
def test_numbers_have_three_digits(value: float | None, like: float | None, shown: str) -> None:
    assert show_number(value, like) == shown


def test_a_small_share_is_not_nothing() -> None:
    assert [show_share(s) for s in (0, 0.0004, 0.05, 0.71)] == [
        "0.0 %",
        "under 0.1 %",
        "5.0 %",
        "71 %",
    ]
