"""The nightly ETL: raw rows in, one clean table out, a record of what became of them.

Examples:
    uv run pipeline.py
    uv run pipeline.py --raw "data/raw/2026-*.csv.gz" --output 2026.parquet
    uv run pipeline.py --dry-run --verbose
    uv run pipeline.py --workers 4
    uv run pipeline.py --watch
    uv run pipeline.py --engine dask --scheduler tcp://10.0.0.1:8786
"""

import logging
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from {{ cookiecutter.project_slug }} import data_preprocessing, utils
from {{ cookiecutter.project_slug }}.config import Config, read_config
from {{ cookiecutter.project_slug }}.etl import databases, raw_data, runs
from {{ cookiecutter.project_slug }}.etl.workers import run_on_dask, run_parallel
from {{ cookiecutter.project_slug }}.schema import Table, read_table

MOST_REASONS = 20  # that are logged

log = logging.getLogger("pipeline")


def extract(
    pattern: str | None, folder: Path, table: Table, config: Config
) -> Iterator:
    """Read the raw rows, batch by batch."""
    columns = [column.name for column in table.columns]
    log.info("extract: %s", raw_data.name_source(config, pattern))
    return raw_data.read_source(config, columns, pattern, folder)


def transform(batches: Iterator, table: Table, map_batches: Callable) -> Iterator:
    """Clean the rows and check them against the schema, batch by batch.

    Rows with the same key are left in: they may be in different batches.
    """
    clean = partial(data_preprocessing.transform, table=replace(table, key=()))
    return map_batches(partial(runs.make_part, process=clean), batches)


def load(new: Path, output: Path, config: Config) -> dict:
    """Replace the old clean table, in the database too if config.yaml names a sink.

    Returns how far the table has drifted from the training data, if there is a model.
    """
    if config.sink:
        databases.fill_table(config.sink, new)
        log.info("load: table %s", config.sink.table)

    utils.replace_file(new, output)
    log.info("load: %s", output)

    if not config.paths.model.exists():
        return {}

    # SciPy and ONNX Runtime take a while to start.
    from {{ cookiecutter.project_slug }}.drift import log_drift

    drift = log_drift(config.paths.model, output, config.training.max_drift)

    return {"drift": drift} if drift else {}


def run(
    pattern: str | None,
    output: Path,
    config: Config,
    map_batches: Callable = run_parallel,
    dry: bool = False,
) -> dict:
    """Run the whole ETL and return its record; a run that fails leaves the old output.

    Without a `pattern` of files, the rows come from where config.yaml says.
    `map_batches` calls a function with each batch, in parallel. A `dry` run reports and
    writes nothing.
    """
    table, paths = read_table(config), config.paths
    with (
        runs.record_run(output, paths.logs, dry) as record,
        runs.make_room(output, dry) as folder,
    ):
        if not dry:
            runs.remove_leftovers(paths.rejected)

        batches = extract(pattern, folder, table, config)
        cleaned = transform(batches, table, map_batches)
        origin = raw_data.name_source(config, pattern)
        counts = runs.write_parts(cleaned, pq.ParquetWriter, folder, origin)

        new = databases.drop_duplicates(folder, counts, table)
        record.update(count_rows(counts, new))
        if not dry:
            runs.save_rejected(folder, paths.rejected, counts)

        judge(counts, config)
        if not dry:
            record.update(load(new, output, config))

    return record


def count_rows(counts: pd.DataFrame, new: Path) -> dict:
    """Return what became of all rows, and log it."""
    read, rejected = counts[["rows", "rejected"]].sum().tolist()
    kept = pq.read_metadata(new).num_rows

    numbers = (read, kept, rejected, read - kept - rejected)
    log.info("transform: %d rows read, %d kept, %d rejected, %d duplicates", *numbers)

    return dict(zip(runs.COUNTS, numbers, strict=True))


def judge(counts: pd.DataFrame, config: Config) -> None:
    """Log what is wrong with rows; raise UserError if too many are rejected.

    Rows out of scope do not count.
    """
    columns = ["rows", "kept", "rejected", "reasons"]
    read, kept, rejected, reasons = counts[columns].sum()
    for reason, cells in reasons.most_common(MOST_REASONS):
        log.warning("%s, %d times", reason, cells)

    scope = data_preprocessing.OUT_OF_SCOPE
    aside = sum(reasons[reason] for reason in reasons if reason.startswith(scope))
    if aside == read:
        raise utils.UserError("all rows are out of scope; see `filter` in config.yaml")

    rejected_share = (rejected - aside) / (read - aside)
    limit = config.table.max_rejected_share
    if rejected_share > limit or not kept:
        raise utils.UserError(
            f"{rejected_share:.1%} of the rows are rejected, most often "
            f"{runs.name_cause(reasons)}; max_rejected_share in config.yaml allows "
            f"{limit:.1%}; rejected rows go to {config.paths.rejected}"
        )


def read_options() -> Namespace:
    """Read the command line."""
    parser = utils.command_line(__doc__)
    add = parser.add_argument
    add("--raw", metavar="GLOB", help="raw files to read: CSV, Parquet, Excel")
    add("--output", metavar="PATH", type=Path, help="Parquet file to write")
    add("--workers", metavar="N", type=utils.positive_integer, help="processes")
    add("--engine", choices=["pandas", "dask"], default="pandas")
    add("--scheduler", metavar="ADDRESS", help="of a Dask cluster")
    add("--watch", action="store_true", help="run when a new file is complete")
    add("--dry-run", action="store_true", help="report, and write nothing")
    add("--verbose", action="store_true", help="log each part")
    add("--debug", action="store_true", help="open pdb at the error")

    return parser.parse_args()


@utils.command
def main() -> None:
    """Run the pipeline from the command line."""
    options, config = read_options(), read_config()
    log_file = None if options.dry_run else config.paths.logs / "pipeline.log"
    utils.set_up_logging(log_file)
    if options.verbose:
        log.setLevel(logging.DEBUG)

    map_batches = partial(run_parallel, workers=options.workers)
    if options.engine == "dask" or options.scheduler:
        map_batches = partial(run_on_dask, scheduler=options.scheduler)

    output = options.output or config.paths.processed
    run_once = partial(run, options.raw, output, config, map_batches, options.dry_run)
    if options.watch:
        runs.follow(options.raw or config.paths.raw, run_once)
    else:
        run_once()


if __name__ == "__main__":
    main()
