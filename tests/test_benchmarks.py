"""Each benchmark starts and ends in its quick form, so that none is broken without notice."""

import os
import signal
import subprocess

import pytest
from conftest import PATIENCE, TEMPLATE, snapshot

BENCHMARKS = TEMPLATE / "benchmarks"
# The rows of the project and of its cheapest peer, which must be in the same table.
ROWS = {
    "etl": ("**pipeline.py --workers 2**", "DuckDB, limit 500 MB"),
    "training": ("**uv run train**", "scikit-learn alone"),
    "scoring": ("**uv run predict**", "scikit-learn alone"),
    "serving": ("**app.py**", "floor: Flask answers a constant"),
    "template": ("**this template**", "cookiecutter and a template of one file"),
}


def run_quick(name):
    """Run a benchmark to its end; one that hangs is interrupted, so that it stops its servers."""
    process = subprocess.Popen(
        ["uv", "run", f"benchmarks/{name}.py", "--quick"],
        cwd=TEMPLATE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=15 * PATIENCE)
    except BaseException:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=PATIENCE)
        raise
    assert process.returncode == 0, output + errors
    return output


def cells(output, name):
    """Return the cells of the first row of that name in the tables."""
    line = next(line for line in output.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("|").split("|")[1:]]


@pytest.mark.slow
@pytest.mark.slowest
@pytest.mark.parametrize("name", ROWS)
def test_a_benchmark_measures_the_project_and_a_peer_and_writes_nothing(name):
    before = snapshot(BENCHMARKS / "results")
    output = run_quick(name)
    ours, peer = (cells(output, row) for row in ROWS[name])
    assert len(ours) == len(peer)
    numbers = [float(cell.replace(",", "")) for cell in (*ours, *peer) if cell != "–"]
    assert len(numbers) > 4
    assert all(number > 0 for number in numbers)
    assert peer[1] == "1.00"  # the ratio to itself: the peer is what ours is compared with
    assert snapshot(BENCHMARKS / "results") == before
    assert "Quick form" in output


def test_there_is_a_test_for_each_benchmark():
    commands = {path.stem for path in BENCHMARKS.glob("*.py") if "# /// script" in path.read_text()}
    assert commands == set(ROWS)
    assert {path.stem for path in BENCHMARKS.glob("results/*.md")} == commands


def test_a_goal_is_met_missed_or_not_measured(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from report import Goal, Group, format_goals

    figures = {"ours": {"s": 1.5}, "peer": {"s": 1.0}}
    goals = (
        Goal("at most twice", "ours", "s", "≤", 2, "peer"),
        Goal("at most as long", "ours", "s", "≤", 1, "peer"),
        Goal("at least twice", "ours", "s", "≥", 2, "peer"),
        Goal("a peer that was left out", "ours", "s", "≤", 1, "other"),
    )
    rows = format_goals([Group("group", figures, {}, goals)]).splitlines()[2:]
    verdicts = [row.split(" | ")[-1].rstrip(" |") for row in rows]
    assert verdicts == ["met", "**missed**", "**missed**", "not measured"]
