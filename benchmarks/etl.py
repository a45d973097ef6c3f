# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = [
#     "cookiecutter>=2.7.1,<3",
#     "matplotlib>=3.10,<4",
#     "psutil>=7,<8",
# ]
# ///
"""Measure the generated pipeline.py beside its peers. Linux, two cores and uv.

Examples:
    uv run benchmarks/etl.py            0.2 and 2 million rows: writes the tables and the plot
    uv run benchmarks/etl.py --large    20 million rows as well
    uv run benchmarks/etl.py --only ours duckdb-500MB --rows 200000 --rounds 1
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median

from cookiecutter.main import cookiecutter
from etl_measure import Engine, Stopped, measure
from etl_report import Result, format_report, write_report
from etl_table import make_raw_table
from serving import HERE, PEERS, environment, run

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "etl-benchmark"
ROWS, LARGE = (200_000, 2_000_000), 20_000_000
ROUNDS = 3
BYTES_A_ROW = 400  # on the disk: the raw table, the clean one, what is spilled on the way
ENVIRONMENTS = {
    "pandas": ("pandas", "pyarrow"),
    "polars": ("polars",),
    "duckdb": ("duckdb",),
    "dask": ("dask[dataframe,distributed]",),
}
# Name, title, environment, script, further arguments, suffix of the output.
PEER_ENGINES = (
    ("article", "the article's script: pandas, CSV out", "pandas", "etl_article", (), ".csv"),
    ("pandas", "pandas, well written", "pandas", "etl_pandas", (), ".parquet"),
    ("polars", "polars, streaming", "polars", "etl_polars", (), ".parquet"),
    ("duckdb", "DuckDB, no memory limit", "duckdb", "etl_duckdb", (), ".parquet"),
    ("duckdb-500MB", "DuckDB, limit 500 MB", "duckdb", "etl_duckdb", ("500MB",), ".parquet"),
    ("dask", "Dask, two workers", "dask", "etl_dask", (), ""),
)
OUR_ENGINES = (
    ("ours", "pipeline.py --workers 2", ("--workers", "2")),
    ("ours-alone", "pipeline.py --workers 1", ("--workers", "1")),
    ("ours-dask", "pipeline.py --engine dask", ("--engine", "dask")),
)
NAMES = tuple(name for name, *_ in (*OUR_ENGINES, *PEER_ENGINES))


def bake(folder):
    """Make a project from the template, ready to run."""
    answers = {"no_input": True, "default_config": True, "output_dir": str(folder)}
    project = Path(cookiecutter(str(HERE.parent), **answers))
    run("uv", "sync", "--quiet", folder=project)
    config = project / "config.yaml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("keep: last", "keep: first"), "utf-8")  # as the peers do
    return project


def our_engines(project):
    """Return the ways to run pipeline.py."""
    run("uv", "sync", "--quiet", "--extra", "dask", folder=project)
    command = ["uv", "run", "--no-sync", "pipeline.py", "--raw", "RAW", "--output", "OUTPUT"]
    return [Engine(name, title, [*command, *more], project) for name, title, more in OUR_ENGINES]


def peer_engines(folder, cache):
    """Return the peers, each in an environment with the newest packages of the day it was made."""
    python = {
        name: environment(cache, name, requirements) / "python"
        for name, requirements in ENVIRONMENTS.items()
    }
    return [
        Engine(
            name,
            title,
            [str(python[place]), str(PEERS / f"{script}.py"), "RAW", "OUTPUT", *arguments],
            folder,
            suffix,
        )
        for name, title, place, script, arguments, suffix in PEER_ENGINES
    ]


def check(engine, output, duckdb, expected):
    """Make sure that a clean table holds the same rows as the others."""
    script = str(HERE / "etl_check.py")
    found = json.loads(run(str(duckdb), script, str(output), folder=HERE))
    expected = expected or found
    other = [name for name in found if found[name] != expected[name]]
    if other:
        rows = f"{found['rows']:,} rows, {expected['rows']:,} expected"
        sys.exit(f"{engine.name} keeps other rows: {rows}; these differ: {', '.join(other)}")
    return found


def measure_rows(engines, raw, rounds, folder, duckdb):
    """Measure every engine once a round, back and forth; return the medians."""
    found, stopped, expected = {engine.name: [] for engine in engines}, {}, None
    for number in range(rounds):
        for engine in engines[:: -1 if number % 2 else 1]:
            if engine.name in stopped:
                continue
            place = folder / engine.name
            place.mkdir()
            output = place / f"clean{engine.suffix}"
            try:
                figures = measure(engine, raw, output, folder / f"{engine.name}.log")
                expected = check(engine, output, duckdb, expected)
                found[engine.name].append(figures)
                shown = " ".join(f"{key}={value:.4g}" for key, value in figures.items())
            except Stopped as reason:
                stopped[engine.name] = shown = str(reason)
            shutil.rmtree(place)
            print(f"{number + 1}/{rounds} {engine.name}: {shown}", file=sys.stderr)
    medians = {
        name: {key: median(each[key] for each in several) for key in several[0]}
        for name, several in found.items()
        if several and name not in stopped
    }
    return Result(medians, stopped, expected["rows"] if expected else 0)


def versions(cache):
    """Return the versions of the peers' packages."""
    wanted = {part.split("[")[0] for parts in ENVIRONMENTS.values() for part in parts}
    lines = set()
    for name in ENVIRONMENTS:
        python = cache / name / "bin" / "python"
        lines.update(run("uv", "pip", "freeze", "--python", python, folder=cache).splitlines())
    return sorted(line.replace("==", " ") for line in lines if line.split("==")[0] in wanted)


def main():
    """Measure from the command line."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    about = "sizes of the raw table (default: 200000 2000000)"
    parser.add_argument("--rows", nargs="+", type=int, default=ROWS, metavar="N", help=about)
    parser.add_argument("--large", action="store_true", help=f"{LARGE:,} rows as well")
    about = f"measure these, and write nothing: {', '.join(NAMES)}"
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=NAMES, help=about)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"default: {ROUNDS}")
    parser.add_argument("--cache", type=Path, default=CACHE, help="for the peers and raw tables")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    sizes = sorted({*options.rows, *([LARGE] if options.large else [])})
    need, free = max(sizes) * BYTES_A_ROW, shutil.disk_usage(options.cache).free
    if free < need:
        parser.error(f"{max(sizes):,} rows need {need / 1e9:.0f} GB on the disk")

    for name in ("VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE"):  # each compiles its packages once
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory(dir=options.cache) as name:
        folder = Path(name)
        project = bake(folder)
        engines = [*our_engines(project), *peer_engines(folder, options.cache)]
        engines = [each for each in engines if not options.only or each.name in options.only]
        sample = next(project.glob("data/raw/*.csv"))
        duckdb = options.cache / "duckdb" / "bin" / "python"
        print("warming up with the sample", file=sys.stderr)
        measure_rows(engines, sample, 1, folder, duckdb)
        results = {}
        for rows in sizes:
            raw = make_raw_table(sample, rows, options.cache)
            print(f"{rows:,} rows", file=sys.stderr)
            results[rows] = measure_rows(engines, raw, options.rounds, folder, duckdb)
    titles = {engine.name: engine.title for engine in engines}
    if options.only:
        print(format_report(results, titles))
    else:
        write_report(results, titles, options.rounds, versions(options.cache))


if __name__ == "__main__":
    main()
