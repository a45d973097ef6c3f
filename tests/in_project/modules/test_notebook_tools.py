"""What notebooks share for looking, in full; what a commit and git are given."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jupytext
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from customer_churn.tools import exploration as look
from matplotlib.colors import to_rgb
from test_notebooks import DRAW, dates, problems, write_notebook
from customer_churn.tools import checks, notebooks


@pytest.fixture(autouse=True)
def figures() -> Iterator[None]:
    """Draw to memory, in a style that is gone after the test."""
    with plt.rc_context(), pd.option_context("display.html.use_mathjax", True):
        plt.switch_backend("agg")
        yield
        plt.close("all")


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


def test_a_matrix_has_its_numbers_written_in() -> None:
    numbers = pd.DataFrame({"a": [1, -0.04], "b": [-0.04, 1]}, index=["a", "b"])
    ax = look.draw_matrix(numbers, "correlation")
    assert [text.get_text() for text in ax.texts] == ["1.0", "0.0", "0.0", "1.0"]


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
