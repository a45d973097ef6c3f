"""Every notebook runs from top to bottom, those that a team adds too; and what they share works."""

from collections.abc import Iterator
from math import log
from pathlib import Path
from random import Random

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

import tools.exploration as look
from tools.checks import find_notebooks
from tools.notebooks import run_notebook

DRAW = Random(0)


# --- running ---


@pytest.mark.parametrize("notebook", find_notebooks(ROOT), ids=lambda notebook: notebook.stem)
def test_a_notebook_runs_from_top_to_bottom(notebook: Path, tmp_path: Path) -> None:
    run_notebook(notebook, tmp_path / "run.ipynb", {})


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
