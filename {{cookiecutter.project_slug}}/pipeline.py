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
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from {{ cookiecutter.project_slug }} import utils
from {{ cookiecutter.project_slug }}.config import Config, read_config
from {{ cookiecutter.project_slug }}.data_preprocessing import OUT_OF_SCOPE
from {{ cookiecutter.project_slug }}.data_preprocessing import transform as clean
from {{ cookiecutter.project_slug }}.drift import log_drift
from {{ cookiecutter.project_slug }}.etl import parts as etl
from {{ cookiecutter.project_slug }}.etl.raw_csv import RawData
from {{ cookiecutter.project_slug }}.etl.runs import (
    COUNTS,
    follow,
    make_room,
    record_run,
    remove_leftovers,
)
from {{ cookiecutter.project_slug }}.etl.sources import (
    fill_table,
    name_source,
    read_source,
)
from {{ cookiecutter.project_slug }}.etl.workers import run_parallel
from {{ cookiecutter.project_slug }}.schema import Table, read_table
from {{ cookiecutter.project_slug }}.utils import UserError

SHOWN = 20  # reasons why rows were rejected

log = logging.getLogger("pipeline")


def extract(
    pattern: str | None, folder: Path, table: Table, config: Config
) -> Iterator[RawData]:
    """Read the raw rows, batch by batch."""
    columns = [column.name for column in table.columns]
    log.info("extract: %s", name_source(config, pattern))
    return read_source(config, columns, pattern, folder)


def transform(
    batches: Iterator[RawData], table: Table, share: Callable
) -> Iterator[etl.Part]:
    """Clean the rows and check them against the schema, batch by batch."""
    process = partial(etl.make_part, process=partial(clean, table=table))
    return share(process, batches)


def load(new: Path, output: Path, config: Config) -> dict[str, object]:
    """Replace the old clean table, in the database too if config.yaml names a sink.

    Returns how far the table has drifted from the training data, if there is a model.
    """
    if config.sink:
        fill_table(config.sink, new)
        log.info("load: table %s", config.sink.table)
    utils.replace_file(new, output)
    log.info("load: %s", output)
    drift = log_drift(config.paths.model, output, config.training.max_drift)
    return {"drift": drift} if drift else {}


def run(
    pattern: str | None,
    output: Path,
    config: Config,
    share: Callable = run_parallel,
    dry: bool = False,
) -> dict:
    """Run the whole ETL and return its record; a run that fails leaves the old output.

    Without a `pattern` of files, the rows come from where config.yaml says. `share`
    divides the work between processes. A `dry` run reports and writes nothing.
    """
    table, paths = read_table(config), config.paths
    with (
        record_run(output, paths.logs, dry) as record,
        make_room(output, dry) as folder,
    ):
        if not dry:
            remove_leftovers(paths.rejected)

        batches = extract(pattern, folder, table, config)
        parts = transform(batches, table, share)
        origin = name_source(config, pattern)
        counts = etl.write_parts(parts, pq.ParquetWriter, folder, origin)

        new = etl.drop_duplicates(folder, counts, table)
        record.update(count_rows(counts, new))
        if not dry:
            etl.save_rejected(folder, paths.rejected, counts)

        judge(counts, config)
        if not dry:
            record.update(load(new, output, config))
    return record


def count_rows(counts: pd.DataFrame, new: Path) -> dict[str, int]:
    """Return what became of all rows, and log it."""
    read, rejected = counts[["rows", "rejected"]].sum().tolist()
    kept = pq.read_metadata(new).num_rows

    numbers = (read, kept, rejected, read - kept - rejected)
    log.info("transform: %d rows read, %d kept, %d rejected, %d duplicates", *numbers)
    return dict(zip(COUNTS, numbers, strict=True))


def judge(counts: pd.DataFrame, config: Config) -> None:
    """Log why rows were rejected; raise UserError if they are too many.

    Rows out of scope do not count.
    """
    reasons = sum(counts["reasons"], Counter[str]()).most_common()
    for reason, cells in reasons[:SHOWN]:
        log.warning("rejected: %s, %d times", reason, cells)

    aside = sum(count for reason, count in reasons if reason.startswith(OUT_OF_SCOPE))

    read, kept, rejected = counts[["rows", "kept", "rejected"]].sum()
    share = (rejected - aside) / max(read - aside, 1)
    limit = config.table.max_rejected_share

    if share > limit or not kept:
        raise UserError(
            f"{share:.1%} of the rows are rejected, most often "
            f"{reasons[0][0]}; max_rejected_share in config.yaml allows {limit:.1%}; "
            f"see {config.paths.rejected}"
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
    log.setLevel(logging.DEBUG if options.verbose else logging.INFO)

    share = partial(run_parallel, workers=options.workers)
    if options.engine == "dask" or options.scheduler:
        from {{ cookiecutter.project_slug }}.etl import cluster  # Dask is an extra

        share = partial(cluster.run_parallel, scheduler=options.scheduler)

    output = options.output or config.paths.processed
    night = partial(run, options.raw, output, config, share, options.dry_run)
    if options.watch:
        follow(options.raw or config.paths.raw, night)
    else:
        night()


if __name__ == "__main__":
    main()
