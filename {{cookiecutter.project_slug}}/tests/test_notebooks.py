"""Notebooks run, those that a team adds too; git is told of them; reports are made of them."""

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from math import log
from pathlib import Path
from random import Random
from typing import Any

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, make_project
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from {{ cookiecutter.project_slug }}.tools import checks as checks
from {{ cookiecutter.project_slug }}.tools import exploration as look
from {{ cookiecutter.project_slug }}.tools import notebooks as notebooks
from {{ cookiecutter.project_slug }}.tools import report as report
from {{ cookiecutter.project_slug }}.tools import report_pages as pages


@pytest.mark.parametrize(
    "notebook", checks.find_notebooks(ROOT), ids=lambda path: path.stem
)
def test_a_notebook_runs_from_top_to_bottom(
    notebook: Path, runs: dict[Path, Future[None]]
) -> None:
    try:
        runs[notebook].result()
    except CellExecutionError as error:
        pytest.fail(f"{notebook.name}: {error}", pytrace=False)


# --- looking ---


DRAW = Random(0)


@pytest.fixture(autouse=True)
def figures() -> Iterator[None]:
    """Draw to memory, in a style that is gone after the test."""
    with plt.rc_context(), pd.option_context("display.html.use_mathjax", True):
        plt.switch_backend("agg")
        yield
        plt.close("all")


def dates(*days: str) -> pd.Series:
    return pd.Series(pd.to_datetime(list(days)))


def bars_of(ax: Axes) -> list[Rectangle]:
    return [bar for bar in ax.patches if isinstance(bar, Rectangle)]


def test_a_list_names_the_first_and_counts_the_rest() -> None:
    assert look.list_some([]) == "none"
    assert look.list_some(["a", 2]) == "a, 2"
    assert look.list_some(range(2000), 2) == "0, 1 and 1,998 more"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1234567.8, "1,234,568"),
        (-1000, "-1,000"),
        (0.123456, "0.123"),
        (99.96, "100"),
        (0, "0"),
    ],
)
def test_a_number_shows_the_digits_that_matter(value: float, expected: str) -> None:
    assert look.show_number(value) == expected


def test_bars_stand_in_the_order_of_the_values() -> None:
    ax = look.draw_bars(pd.Series({"first": 3, "x" * 60: -1}))
    ax.figure.canvas.draw()
    labels = {
        text.get_text(): text.get_window_extent().y0 for text in ax.get_yticklabels()
    }
    assert labels["first"] > labels[look.shorten("x" * 60)]
    assert [bar.get_width() for bar in bars_of(ax)] == [3, -1]


def test_a_period_without_rows_is_a_gap() -> None:
    periods = look.to_periods(dates("2024-01-05", "2024-01-30", "2024-04-01"), "month")
    _, (bars, line) = plt.subplots(1, 2)
    look.draw_over_time(bars, periods.value_counts(), bars=True)
    assert [bar.get_height() for bar in bars_of(bars)] == [2, 0, 0, 1]
    look.draw_over_time(line, pd.Series([1.0, 2.0, 4.0]).groupby(periods).mean())
    assert np.array_equal(
        line.lines[0].get_ydata(), [1.5, np.nan, np.nan, 4], equal_nan=True
    )
    assert line.get_xlim() == pytest.approx(bars.get_xlim())


def test_dates_and_booleans_become_numbers() -> None:
    days = look.to_numbers(
        pd.Series([pd.Timestamp(1970, 1, 2), pd.NaT], dtype="datetime64[ns]")
    )
    assert days.equals(pd.Series([86400e9, np.nan]))
    flags = look.to_numbers(pd.Series([True, None], dtype="boolean"))
    assert flags.equals(pd.Series([1, np.nan]))


def test_what_is_far_out_is_left_out() -> None:
    values = pd.Series([*range(100), 1e6, -1e6])
    assert look.nearby(values).tolist() == list(range(100))
    days = pd.Series(
        [*pd.date_range("2024-01-01", periods=50), pd.Timestamp("1900-01-01")]
    )
    assert look.nearby(days).min() == pd.Timestamp("2024-01-01")
    assert (
        look.nearby(pd.Series([5.0] * 9 + [7.0])).size == 10
    )  # no spread to measure by


def test_numbers_are_cut_into_equal_parts_and_categories_numbered() -> None:
    parts = look.cut(pd.Series(DRAW.sample(range(1000), 1000), dtype="Int64"))
    assert sorted(parts.value_counts()) == [100] * 10
    assert look.cut(pd.Series(["b", None, "a", "b"], dtype="str")).tolist() == [
        0,
        -1,
        1,
        0,
    ]
    assert look.cut(pd.Series([True, None, False], dtype="boolean")).tolist() == [
        0,
        -1,
        1,
    ]
    assert look.cut(pd.Series([1.0, None, 2.0])).tolist() == [0, -1, 1]


def test_a_copy_of_the_target_tells_all_of_it_and_noise_nothing() -> None:
    target = pd.Series(["lost", "won"] * 500)
    frame = pd.DataFrame({"copy": target, "noise": [DRAW.random() for _ in target]})
    found = look.signals(frame, target)
    assert found["copy"] == pytest.approx(log(2))
    assert found["noise"] < 0.02


# --- what is refused in a commit ---


LIMITS = {"cells": 3, "function_lines": 3, "module_lines": 5}


LONG = "def long(x):\n    y = x\n    z = y\n    return z"


def write_notebook(
    root: Path, name: str, *sources: str, kind: str = "code", **more: Any
) -> Path:
    """Write a notebook with a cell for each source."""
    path = root / "notebooks" / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    cell: dict[str, Any] = {
        "cell_type": kind,
        "id": "a",
        "metadata": {},
        "execution_count": None,
        "outputs": [],
    }
    cells = [
        cell | {"id": f"c{i}", "source": [text]} | more
        for i, text in enumerate(sources)
    ]
    content = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def problems(root: Path, **off: list[str]) -> list[str]:
    """Check a folder with the limits of these tests."""
    lines = [f"{name} = {value}" for name, value in LIMITS.items()]
    lines += [
        "[tool.checks.off]",
        *(f'"notebooks/{k}.ipynb" = {v}' for k, v in off.items()),
    ]
    text = "\n".join(["[tool.checks]", *lines])
    (root / "pyproject.toml").write_text(text, encoding="utf-8")
    return checks.check_folder(root)


def test_the_project_s_own_notebooks_modules_and_pins() -> None:
    found = checks.check_folder(ROOT)
    assert not found, "\n".join(found)


def knows_notebooks(root: Path) -> bool:
    """Say whether git holds notebooks of a folder, staged or committed."""
    try:
        return checks.git(root, "ls-files", "*.ipynb") != ""
    except FileNotFoundError:
        return False  # no git
    except subprocess.CalledProcessError:
        # No repository; else git refuses to look at it, and that is no answer.
        return any((folder / ".git").exists() for folder in (root, *root.parents))


def test_the_project_s_own_commits_hold_no_outputs(tmp_path: Path) -> None:
    if knows_notebooks(ROOT):
        staged = checks.export_staged(ROOT, tmp_path)
        found = checks.check_outputs(staged)
        assert not found, "\n".join(found)


def test_git_strips_notebooks_in_this_clone() -> None:
    known = knows_notebooks(ROOT)
    assert not known or checks.strips_outputs(ROOT), "run: uv run setup-clone"


def test_a_clean_notebook_has_no_problem(tmp_path: Path) -> None:
    write_notebook(
        tmp_path, "fine", "%matplotlib inline\n!ls\nx = 1", "def f(x):\n    return x"
    )
    write_notebook(tmp_path, "shell", "%%bash\nls /here && def")
    assert problems(tmp_path) == []


def test_too_many_cells(tmp_path: Path) -> None:
    write_notebook(tmp_path, "long", *"abcd")
    (line,) = problems(tmp_path)
    assert line == "notebooks/long.ipynb: 4 cells, 3 are allowed; split the notebook"
    assert problems(tmp_path, long=["cells"]) == []
    assert problems(tmp_path, other=["cells"]) == [line]


@pytest.mark.parametrize("kind", ["code", "markdown"])
@pytest.mark.parametrize(
    "text", ["open('/home/ada/x.csv')", "C:/Users/ada", "see ~/notes.md"]
)
def test_paths_of_one_machine(tmp_path: Path, kind: str, text: str) -> None:
    write_notebook(tmp_path, "paths", "1", text, kind=kind)
    (line,) = problems(tmp_path)
    assert line.startswith("notebooks/paths.ipynb: cell 2: ")
    assert problems(tmp_path, paths=["paths"]) == []


@pytest.mark.parametrize(
    "text", ["config.root / 'data/raw'", "https://example.org/home/data/"]
)
def test_other_slashes_are_no_such_paths(tmp_path: Path, text: str) -> None:
    write_notebook(tmp_path, "paths", text)
    assert problems(tmp_path) == []


def test_a_long_function_wants_a_module(tmp_path: Path) -> None:
    write_notebook(tmp_path, "a", "1", f"%time 1\n{LONG}")
    (line,) = problems(tmp_path)
    assert line == "notebooks/a.ipynb: cell 2: long has 4 lines; move it to a module"
    assert problems(tmp_path, a=["functions"]) == []


def test_a_function_in_two_notebooks_wants_a_module(tmp_path: Path) -> None:
    write_notebook(tmp_path, "a", "def same(): ...", "def same(): ...")
    write_notebook(tmp_path, "team/b", "1", "def same(): ...")
    (line,) = problems(tmp_path)
    assert line.startswith(
        "notebooks/team/b.ipynb: same is defined in notebooks/a.ipynb too"
    )


def test_what_is_asked_for_must_be_pinned(tmp_path: Path) -> None:
    others = ["four @ https://example.org/four", "five; python_version < '3'"]
    groups = {"dev": ["three", *others, {"include-group": "site"}]}
    content = {
        "project": {"dependencies": ["one>=1,<2", "Two[x]>=2"]},
        "dependency-groups": groups,
    }
    assert [*checks.check_pins(tmp_path, content)] == []  # who has no pins needs none
    pins = "one==1.5 \\\n    --hash=sha256:00\ntwo[x]==1.9 ; python_full_version >= '3.12'\n"
    (tmp_path / "requirements.txt").write_text(pins, encoding="utf-8")
    missing = [
        text.partition(";")[0] for _, _, text in checks.check_pins(tmp_path, content)
    ]
    assert missing == ["does not pin Two[x]>=2", "does not pin three"]


def test_outputs_and_execution_counts(tmp_path: Path) -> None:
    output = {"output_type": "stream", "name": "stdout", "text": ["1"]}
    write_notebook(tmp_path, "output", "1", outputs=[output])
    write_notebook(tmp_path, "count", "1", execution_count=1)
    write_notebook(
        tmp_path, "kept", "1", outputs=[output], metadata={"tags": ["keep_output"]}
    )
    write_notebook(
        tmp_path, "first", "1", outputs=[output], metadata={"init_cell": True}
    )
    (tmp_path / "merged.ipynb").write_text("<<<<<<< HEAD", encoding="utf-8")
    count, output_line = checks.check_outputs(tmp_path)
    assert count.startswith(
        "notebooks/count.ipynb: cell 1 holds an output; run `uv run setup-clone`"
    )
    assert output_line.startswith("notebooks/output.ipynb")


# --- git ---


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one notebook in it, for `setup-clone` to set up."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "no-config"))
    root = tmp_path / "a clone"
    notebook = write_notebook(root, "first", "1")
    (root / ".gitattributes").write_text("*.ipynb filter=nbstripout", encoding="utf-8")
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    checks.git(root, "add", notebook.as_posix())
    monkeypatch.setattr(notebooks, "ROOT", root)
    return root


def test_setup_clone_sets_up_a_clone(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert knows_notebooks(clone)
    assert not checks.strips_outputs(clone)
    monkeypatch.setattr("sys.argv", ["setup-clone"])
    for _ in range(2):
        notebooks.set_up_clone()
        assert checks.strips_outputs(clone)
        assert (clone / ".git" / "hooks" / "pre-commit").exists()


# --- reports ---


DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


ELSEWHERE = re.compile(
    r"""(src|data)=["']?(https?:)?//|<link|url\(|@import|import[^;]*from"""
)


def test_a_report_is_a_page_of_a_notebook_run_with_parameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    cells = ("size = 1", "print(size * 'x')")
    file = write_notebook(tmp_path, "lone", *cells, metadata={"tags": ["parameters"]})
    monkeypatch.setattr(sys, "argv", ["report", str(file), "-p", "size", "4", "--code"])
    report.main()
    page = (tmp_path / "reports" / "lone.html").read_text(encoding="utf-8")
    assert "xxxx" in page
    assert "highlight" in page
    assert capsys.readouterr().out.startswith("lone: ")


def test_a_mistake_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    write_notebook(tmp_path, "first", "1")
    monkeypatch.setattr(sys, "argv", ["report", "notebooks/fist.ipynb"])
    with pytest.raises(SystemExit) as stop:
        report.main()
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith(
        "error: no notebook notebooks/fist.ipynb (the near"
    )
    assert not (tmp_path / "reports").exists()


def make_report(*cells: nbformat.NotebookNode, error: str = "") -> pages.Report:
    notebook = new_notebook(cells=list(cells))
    return pages.Report(
        "name", notebook, Path(), "2026-01-02 03:04", 5.6, {"size": "7"}, error
    )


def make_result(
    *outputs: nbformat.NotebookNode, **metadata: Any
) -> nbformat.NotebookNode:
    return new_code_cell("secret = 1", outputs=list(outputs), metadata=metadata)


TEXT = new_output("stream", name="stdout", text="a <result>")


FIGURE = new_output("display_data", data={"image/png": base64.b64encode(DOT).decode()})


WARNING = new_output("stream", name="stderr", text="be careful")


def test_without_code_a_page_has_results_and_no_trace_of_how() -> None:
    page = pages.write_report(
        make_report(make_result(TEXT, WARNING), make_result()), code=False
    )
    assert "a &lt;result&gt;" in page
    for hidden in ("secret", "be careful", "In&nbsp;", "Out["):
        assert hidden not in page
    assert page.count('class="output_wrapper"') == 1
    assert "Run on 2026-01-02 03:04, 5.6 s; <code>size = 7</code>" in page


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
