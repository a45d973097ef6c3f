"""Notebooks run, those that a team adds too; what they share works; git is told of them.

Git is told to strip them, to show them as scripts, and what to refuse in a commit.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from math import log
from pathlib import Path
from random import Random
from typing import Any

import jupytext
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

import tools.checks as checks
import tools.exploration as look
import tools.notebooks as notebooks

DRAW = Random(0)


# --- running ---


@pytest.mark.parametrize("notebook", checks.find_notebooks(ROOT), ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(notebook: Path, tmp_path: Path) -> None:
    notebooks.run_notebook(notebook, tmp_path / "run.ipynb", {})


# --- looking ---


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


def luminance(color: str) -> float:
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return float(np.dot(parts, [0.2126, 0.7152, 0.0722]))


def test_figures_have_paper_of_their_own() -> None:
    look.set_style()
    assert plt.figure().get_facecolor() == (1, 1, 1, 1)
    assert not matplotlib.rcParams["savefig.transparent"]
    assert matplotlib.rcParams["figure.dpi"] >= 110


def test_a_dollar_is_a_dollar() -> None:
    look.set_style()
    _, ax = plt.subplots()
    assert not ax.set_title("$x_1$").get_parse_math()
    assert not pd.options.display.html.use_mathjax


def test_the_colours_differ_from_each_other_and_from_the_paper() -> None:
    paper = luminance(look.PAPER)
    for color in look.PALETTE:
        assert (paper + 0.05) / (luminance(color) + 0.05) > 2, color
    assert len({*look.PALETTE, look.REST, look.PAPER}) == 8


@pytest.mark.parametrize(
    ("text", "expected"),
    [("short", "short"), (" two\nlines", "two lines"), (7, "7"), ("a" * 9 + "b" * 9, "aaaaa…bbbb")],
)
def test_a_long_text_loses_its_middle(text: object, expected: str) -> None:
    assert look.shorten(text, 10) == expected


def test_a_label_has_few_and_short_lines() -> None:
    lines = look.fold("many words " * 30, 32).splitlines()
    assert len(lines) <= 3
    assert max(map(len, lines)) <= 32


def test_a_list_names_the_first_and_counts_the_rest() -> None:
    assert look.list_some([]) == "none"
    assert look.list_some(["a", 2]) == "a, 2"
    assert look.list_some(range(2000), 2) == "0, 1 and 1,998 more"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1234567.8, "1,234,568"), (-1000, "-1,000"), (0.123456, "0.123"), (99.96, "100"), (0, "0")],
)
def test_a_number_shows_the_digits_that_matter(value: float, expected: str) -> None:
    assert look.show_number(value) == expected


@pytest.mark.parametrize(("count", "rows", "across"), [(1, 1, 1), (4, 2, 2), (7, 3, 3)])
def test_there_is_a_panel_for_each_name(count: int, rows: int, across: int) -> None:
    names = [f"n{place}" for place in range(count)]
    made = look.panels(names)
    assert [name for name, _ in made] == names
    grid = made[0][1].get_subplotspec()
    assert grid is not None
    assert grid.get_gridspec().get_geometry() == (rows, across)


def test_without_names_there_is_no_figure() -> None:
    assert look.panels([]) == []
    assert plt.get_fignums() == []


def test_bars_stand_in_the_order_of_the_values() -> None:
    ax = look.draw_bars(pd.Series({"first": 3, "x" * 60: -1}))
    ax.figure.canvas.draw()
    labels = {text.get_text(): text.get_window_extent().y0 for text in ax.get_yticklabels()}
    assert labels["first"] > labels[look.shorten("x" * 60)]
    assert [bar.get_width() for bar in bars_of(ax)] == [3, -1]


def test_a_matrix_has_its_numbers_written_in() -> None:
    numbers = pd.DataFrame({"a": [1, -0.04], "b": [-0.04, 1]}, index=["a", "b"])
    ax = look.draw_matrix(numbers, "correlation")
    assert [text.get_text() for text in ax.texts] == ["1.0", "0.0", "0.0", "1.0"]


def test_a_period_without_rows_is_a_gap() -> None:
    periods = look.to_periods(dates("2024-01-05", "2024-01-30", "2024-04-01"), "month")
    _, (bars, line) = plt.subplots(1, 2)
    look.draw_over_time(bars, periods.value_counts(), bars=True)
    assert [bar.get_height() for bar in bars_of(bars)] == [2, 0, 0, 1]
    look.draw_over_time(line, pd.Series([1.0, 2.0, 4.0]).groupby(periods).mean())
    assert np.array_equal(line.lines[0].get_ydata(), [1.5, np.nan, np.nan, 4], equal_nan=True)
    assert line.get_xlim() == pytest.approx(bars.get_xlim())


@pytest.mark.parametrize(
    ("last", "most", "expected"),
    [
        ("2024-01-01", 60, "day"),
        ("2024-02-20", 60, "day"),
        ("2024-12-31", 60, "week"),
        ("2028-06-01", 60, "month"),
        ("2035-06-01", 60, "quarter"),
        ("2200-01-01", 60, "year"),
        ("2024-02-20", 2, "month"),
        ("2024-02-20", 0, "year"),
    ],
)
def test_the_period_follows_the_span(last: str, most: int, expected: str) -> None:
    period = look.choose_period(dates("2024-01-01", last), most)
    assert period == expected
    assert look.to_periods(dates(last), period)[0].start_time <= pd.Timestamp(last)


def test_dates_and_booleans_become_numbers() -> None:
    days = look.to_numbers(pd.Series([pd.Timestamp(1970, 1, 2), pd.NaT], dtype="datetime64[ns]"))
    assert days.equals(pd.Series([86400e9, np.nan]))
    flags = look.to_numbers(pd.Series([True, None], dtype="boolean"))
    assert flags.equals(pd.Series([1, np.nan]))


def test_what_is_far_out_is_left_out() -> None:
    values = pd.Series([*range(100), 1e6, -1e6])
    assert look.nearby(values).tolist() == list(range(100))
    days = pd.Series([*pd.date_range("2024-01-01", periods=50), pd.Timestamp("1900-01-01")])
    assert look.nearby(days).min() == pd.Timestamp("2024-01-01")
    assert look.nearby(pd.Series([5.0] * 9 + [7.0])).size == 10  # no spread to measure by


def test_numbers_are_cut_into_equal_parts_and_categories_numbered() -> None:
    parts = look.cut(pd.Series(DRAW.sample(range(1000), 1000), dtype="Int64"))
    assert sorted(parts.value_counts()) == [100] * 10
    assert look.cut(pd.Series(["b", None, "a", "b"], dtype="str")).tolist() == [0, -1, 1, 0]
    assert look.cut(pd.Series([True, None, False], dtype="boolean")).tolist() == [0, -1, 1]
    assert look.cut(pd.Series([1.0, None, 2.0])).tolist() == [0, -1, 1]


def test_a_copy_of_the_target_tells_all_of_it_and_noise_nothing() -> None:
    target = pd.Series(["lost", "won"] * 500)
    frame = pd.DataFrame({"copy": target, "noise": [DRAW.random() for _ in target]})
    found = look.signals(frame, target)
    assert found["copy"] == pytest.approx(log(2))
    assert found["noise"] < 0.02


def test_a_column_that_hardly_varies_is_found() -> None:
    columns = {"same": ["a"] * 100, "gaps": [None] * 99 + ["a"], "varied": ["a"] * 98 + ["b"] * 2}
    assert look.find_constant(pd.DataFrame(columns)) == ["same", "gaps"]


def test_columns_that_say_the_same_are_found() -> None:
    meters = pd.Series([DRAW.uniform(0, 9) for _ in range(200)])
    codes = pd.Series([DRAW.choice(["x", "y", "z"]) for _ in meters])
    frame = pd.DataFrame({"meters": meters, "code": codes})
    frame["feet"] = (meters * 3.28).round(2)
    frame["name"] = codes.map({"x": "red", "y": "blue", "z": "green"})
    frame["other"] = meters.sample(frac=1, random_state=0).to_numpy()
    frame["same"] = frame["also the same"] = 1
    frame["start"] = pd.date_range("2024-01-01", periods=20).repeat(10)
    frame["end"] = frame["start"] + pd.to_timedelta(frame["meters"].round(), unit="D")
    frame["id"] = [f"a{row}" for row in frame.index]
    frame["also an id"] = [f"b{row}" for row in frame.index]
    assert look.find_twins(frame) == {"feet": "meters", "name": "code"}


# --- what is refused in a commit ---


LIMITS = {"cells": 3, "function_lines": 3, "module_lines": 5}
LONG = "def long(x):\n    y = x\n    z = y\n    return z"


def write_notebook(root: Path, name: str, *sources: str, kind: str = "code", **more: Any) -> Path:
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
    cells = [cell | {"id": f"c{i}", "source": [text]} | more for i, text in enumerate(sources)]
    content = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def problems(root: Path, **off: list[str]) -> list[str]:
    """Check a folder with the limits of these tests."""
    lines = [f"{name} = {value}" for name, value in LIMITS.items()]
    lines += ["[tool.checks.off]", *(f'"notebooks/{k}.ipynb" = {v}' for k, v in off.items())]
    text = "\n".join(["[tool.checks]", *lines])
    (root / "pyproject.toml").write_text(text, encoding="utf-8")
    return checks.check_folder(root)


def test_the_project_s_own_notebooks_and_modules() -> None:
    found = checks.check_folder(ROOT)
    assert not found, "\n".join(found)


def test_the_project_s_own_commits_hold_no_outputs(tmp_path: Path) -> None:
    if checks.knows_notebooks(ROOT):
        staged = checks.export_staged(ROOT, tmp_path)
        found = checks.check_outputs(staged)
        assert not found, "\n".join(found)


def test_git_strips_notebooks_in_this_clone() -> None:
    known = checks.knows_notebooks(ROOT)
    assert not known or checks.strips_outputs(ROOT), "run: uv run setup-clone"


def test_a_clean_notebook_has_no_problem(tmp_path: Path) -> None:
    write_notebook(tmp_path, "fine", "%matplotlib inline\n!ls\nx = 1", "def f(x):\n    return x")
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
    "text",
    [
        "pd.read_csv('/home/ada/table.csv')",
        "![](/Users/ada/figure.png)",
        'open("C:\\\\data\\\\x.csv")',
        "C:/Users/ada",
        "see ~/notes.md",
        "f'/data/{name}'",
        r"\\server\share",
    ],
)
def test_paths_of_one_machine(tmp_path: Path, kind: str, text: str) -> None:
    write_notebook(tmp_path, "paths", "1", text, kind=kind)
    (line,) = problems(tmp_path)
    assert line.startswith("notebooks/paths.ipynb: cell 2: ")
    assert problems(tmp_path, paths=["paths"]) == []


@pytest.mark.parametrize(
    "text",
    [
        "config.root / 'data/raw'",
        "https://example.org/home/data/",
        "../data/raw/x.csv",
        "a / b, 'raw/data/x', f'{root}/data/x'",
        "rate: 3/data/4",
        "print('a:\\n')",
        "http://host:8000/data/x",
    ],
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
    assert line.startswith("notebooks/team/b.ipynb: same is defined in notebooks/a.ipynb too")


def test_a_notebook_and_its_script_say_the_same(tmp_path: Path) -> None:
    path = write_notebook(tmp_path, "pair", "x = 1", "# %%", metadata={"tags": ["parameters"]})
    script = jupytext.writes(jupytext.read(path), fmt="py:percent")
    path.with_suffix(".py").write_text(script, encoding="utf-8")
    assert problems(tmp_path) == []
    write_notebook(tmp_path, "pair", "x = 1", "# %%", metadata={"tags": ["parameters"]}, outputs=[])
    assert problems(tmp_path) == []
    for sources, tag in ((["x = 2", "# %%"], "parameters"), (["x = 1", "# %%"], "other"), ([], "")):
        write_notebook(tmp_path, "pair", *sources, metadata={"tags": [tag]})
        (line,) = problems(tmp_path)
        assert line.startswith("notebooks/pair.ipynb: differs from notebooks/pair.py")
    path.write_text("<<<<<<< HEAD", encoding="utf-8")
    assert len(problems(tmp_path)) == 2


def test_a_long_module(tmp_path: Path) -> None:
    for name in ("src/package/module.py", "app.py", "tests/test_app.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n" * 6, encoding="utf-8")
    assert problems(tmp_path) == [
        "app.py: 6 lines, 5 are allowed; split the module",
        "src/package/module.py: 6 lines, 5 are allowed; split the module",
    ]


def test_what_is_no_notebook(tmp_path: Path) -> None:
    path = write_notebook(tmp_path, "merged", "1")
    path.write_text("<<<<<<< HEAD\n{}", encoding="utf-8")
    (line,) = problems(tmp_path)
    assert line.startswith("notebooks/merged.ipynb: is no notebook")


def test_outputs_and_execution_counts(tmp_path: Path) -> None:
    output = {"output_type": "stream", "name": "stdout", "text": ["1"]}
    write_notebook(tmp_path, "output", "1", outputs=[output])
    write_notebook(tmp_path, "count", "1", execution_count=1)
    write_notebook(tmp_path, "kept", "1", outputs=[output], metadata={"tags": ["keep_output"]})
    write_notebook(tmp_path, "first", "1", outputs=[output], metadata={"init_cell": True})
    (tmp_path / "merged.ipynb").write_text("<<<<<<< HEAD", encoding="utf-8")
    count, output_line = checks.check_outputs(tmp_path)
    assert count.startswith(
        "notebooks/count.ipynb: cell 1 holds an output; run `uv run setup-clone`"
    )
    assert output_line.startswith("notebooks/output.ipynb")


# --- setting up a clone ---


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


def test_setup_clone_sets_up_a_clone(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.knows_notebooks(clone)
    assert not checks.strips_outputs(clone)
    monkeypatch.setattr("sys.argv", ["setup-clone"])
    for _ in range(2):
        notebooks.set_up_clone()
        assert checks.strips_outputs(clone)
        assert (clone / ".git" / "hooks" / "pre-commit").exists()


def test_setup_clone_leaves_the_hooks_of_others(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hook = clone / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\n", encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["setup-clone"])
    notebooks.set_up_clone()
    assert hook.read_text(encoding="utf-8") == "#!/bin/sh\n"
    assert "is not this project's" in capsys.readouterr().out


def test_setup_clone_outside_of_git(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr(notebooks, "ROOT", tmp_path)
    monkeypatch.setattr("sys.argv", ["setup-clone"])
    with pytest.raises(SystemExit, match="2"):
        notebooks.set_up_clone()
    assert "git init" in capsys.readouterr().err


# --- showing them in git diff ---


SHOWN_CELLS = [
    {"cell_type": "markdown", "id": "a", "metadata": {}, "source": ["# Größe\n", "\n", "text"]},
    {
        "cell_type": "code",
        "id": "b",
        "metadata": {"tags": ["parameters"]},
        "source": ["x = 1\n", "y = 2"],
        "execution_count": 3,
        "outputs": [{"output_type": "stream", "name": "stdout", "text": ["hi\n"]}],
    },
    {"cell_type": "raw", "id": "c", "metadata": {}, "source": "one string"},
]
NOTEBOOK = json.dumps({"cells": SHOWN_CELLS, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
SCRIPT = """# %% [markdown]
# # Größe
#
# text

# %% {"tags": ["parameters"]}
x = 1
y = 2

# %% [raw]
# one string

# metadata: {}
"""


def test_a_notebook_reads_like_a_script() -> None:
    assert notebooks.notebook_text(NOTEBOOK) == SCRIPT


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"cells": [1]}', f"<<<<<<< HEAD\n{NOTEBOOK}"])
def test_what_is_no_notebook_is_shown_as_it_is(text: str) -> None:
    assert notebooks.notebook_text(text) == text


@pytest.mark.parametrize("content", [NOTEBOOK.encode(), b"\xff\xfe broken"])
def test_git_gets_utf_8_and_no_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_bytes(content)
    alone = ("-I", "-S")  # without any package, so it is fast
    command = [sys.executable, *alone, notebooks.__file__, str(tmp_path / "a.ipynb")]
    result = subprocess.run(command, capture_output=True, check=True)
    assert result.stdout.decode() in (SCRIPT, "\ufffd\ufffd broken")
