# /// script
# requires-python = ">=3.11"
# dependencies = ["cookiecutter>=2.7.1,<3", "duckdb", "psutil>=7,<8"]
# ///
"""Measure the generated pipeline.py and its peers. Needs Linux, two cores and uv.

Examples:
    uv run benchmarks/etl.py            writes results/etl.md
    uv run benchmarks/etl.py --quick    writes nothing
"""

import sys
from functools import partial
from importlib.metadata import version

import duckdb
from inputs import PEERS, bake, draw_table, programs, read_options, workspace
from measure import measure_command, measure_rounds
from peers.etl_duckdb import BOOLEANS, COLUMNS, DATES, INTEGERS, KEY, NUMBERS
from report import Column, Goal, Group, report

ROWS, QUICK_ROWS, FEW_ROWS = [2_000_000, 20_000_000], [20_000], 100
OURS, ALONE = "**pipeline.py --workers 2**", "pipeline.py --workers 1"
DUCKDB = "DuckDB, limit 500 MB"

GOALS = (
    Goal(f"seconds / {DUCKDB}", OURS, "seconds", "≤", 1, DUCKDB),
    Goal("peak memory / one worker", OURS, "peak", "≤", 2, ALONE),
    Goal("peak memory / that with the fewest rows", OURS, "growth", "≤", 1.2),
)
START = Goal("start to first row (the whole run), s", OURS, "seconds", "≤", 1.5)
TABLE = {
    "s": Column("seconds"),
    "/ DuckDB": Column("seconds", base=DUCKDB),
    "CPU s": Column("cpu", ".1f"),
    "peak MiB": Column("peak", ",.0f"),
    "/ one worker": Column("peak", base=ALONE),
    "/ fewest rows": Column("growth"),
}


def list_engines(project, raw, is_quick):
    """Return the command of each engine, which ends with its output."""
    output = project.parent / "clean.parquet"
    pipeline = [programs(project) / "python", "pipeline.py"]
    engines = {
        OURS: [*pipeline, "--workers", "2", "--raw", raw, "--output", output],
        DUCKDB: [sys.executable, PEERS / "etl_duckdb.py", raw, output],
    }
    if not is_quick:
        engines[ALONE] = [*pipeline, "--workers", "1", "--raw", raw, "--output", output]
    return engines


def measure_engine(project, name, command, expected):
    """Run an engine once, and check its clean table; return the figures."""
    figures = measure_command(command, project, project / "log")
    output = command[-1]
    for key, found in describe(output).items():
        if expected.setdefault(key, found) != found:
            sys.exit(f"{name} wrote another table: {key} is {found}, not {expected[key]}")
    output.unlink()
    return figures


def describe(file):
    """Return how many rows, keys and values of each column a clean table has.

    The sum of the hashes of each value and its key does not depend on the order of rows.
    """
    columns = ", ".join(
        f"count({name}) AS {name}, sum(hash({KEY}, {cast(name)})::HUGEINT) AS {name}_sum"
        for name in COLUMNS
    )
    query = f"SELECT count(*) AS rows, count(DISTINCT {KEY}) AS keys, {columns} FROM '{file}'"
    found = duckdb.execute(query)
    names = [column[0] for column in found.description]
    return dict(zip(names, found.fetchone(), strict=True))


def cast(name):
    """Return a column in a type that every table can be converted to."""
    if name in NUMBERS | INTEGERS:
        return f"CAST({name} AS DECIMAL(18, 6))"
    kind = "DATE" if name in DATES else "BOOLEAN" if name in BOOLEANS else "VARCHAR"
    return f"CAST({name} AS {kind})"


def measure_rows(project, rows, options):
    """Measure all engines on a table of so many rows; return the figures and the rows kept."""
    raw, expected = draw_table(project / "data" / "raw" / "customers.csv", rows), {}
    jobs = {
        name: partial(measure_engine, project, name, command, expected)
        for name, command in list_engines(project, raw, options.quick).items()
    }
    warm_up = int(rows == FEW_ROWS and not options.quick)
    return measure_rounds(jobs, options.rounds, warm_up), expected["rows"]


def main():
    """Measure from the command line."""
    options = read_options(__doc__)
    sizes = QUICK_ROWS if options.quick else ROWS
    groups, smallest = [], None
    with workspace() as folder:
        project = bake(folder)
        for rows in [FEW_ROWS, *sizes]:
            figures, kept = measure_rows(project, rows, options)
            if smallest:
                figures[OURS]["growth"] = figures[OURS]["peak"] / smallest
            elif rows > FEW_ROWS:
                smallest = figures[OURS]["peak"]
            note = f"All engines keep the same {kept:,} rows with the same values."
            goals = (START,) if rows == FEW_ROWS else GOALS
            groups.append(Group(f"{rows:,} rows", figures, TABLE, goals, note))
    about = f"DuckDB {version('duckdb')}. From the start of a process to its end."
    report("etl", about, groups, options)


if __name__ == "__main__":
    main()
