"""The nightly ETL: raw files in, one clean table out, and a record of what happened to each row.

Examples:
    uv run pipeline.py
    uv run pipeline.py --raw "data/raw/2026-*.csv.gz" --output data/processed/2026.parquet
    uv run pipeline.py --dry-run --verbose
    uv run pipeline.py --watch
    uv run pipeline.py --engine dask --scheduler tcp://10.0.0.1:8786
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from {{ cookiecutter.project_slug }} import utils
from {{ cookiecutter.project_slug }}.config import Config, read_config
from {{ cookiecutter.project_slug }}.drift import log_drift
from {{ cookiecutter.project_slug }}.etl.parts import Part, join_parts, join_rejected, write_part
from {{ cookiecutter.project_slug }}.etl.raw_data import find_files, read_batches
from {{ cookiecutter.project_slug }}.etl.runs import follow, heal, make_room, record_run, replace
from {{ cookiecutter.project_slug }}.schema import read_table
from {{ cookiecutter.project_slug }}.utils import UserError

Transform = Callable[[Sequence[Path], Path, Config], Iterable[Part]]

SHOWN = 20  # reasons why rows were rejected

log = logging.getLogger("pipeline")


def extract(pattern: str) -> list[Path]:
    """Find the raw files."""
    files = find_files(pattern)
    log.info("extract: %d files match %s", len(files), pattern)
    return files


def transform(files: Sequence[Path], folder: Path, config: Config) -> Iterator[Part]:
    """Clean the rows of the files and check them against the schema, batch by batch."""
    table = read_table(config)
    names = [column.name for column in table.columns]
    for number, batch in enumerate(read_batches(files, names, config.table)):
        yield write_part(number, [batch], folder, table)


def load(new: Path, output: Path) -> None:
    """Put the clean table in the place of the old one."""
    replace(new, output)
    log.info("load: %s", output)


def run(
    pattern: str,
    output: Path,
    config: Config,
    transform: Transform = transform,
    one_file: bool = True,
    dry: bool = False,
) -> dict[str, object]:
    """Run the whole ETL and return its record; a run that fails leaves the old output.

    A `dry` run reports and writes nothing.
    """
    paths = config.paths
    with (
        record_run(output, paths.logs, dry) as record,
        make_room(output, dry) as folder,
    ):
        if not dry:
            heal(paths.rejected)
        parts = show_progress(transform(extract(pattern), folder, config))
        if not any(part.kept + part.rejected for part in parts):
            raise UserError(f"{pattern} has a header but no rows")
        new, kept = join_parts(parts, folder, config.table.key, one_file)
        counts = count_rows(parts, kept)
        record.update(counts)
        log.info(
            "transform: %d rows read, %d kept, %d rejected, %d duplicates",
            *counts.values(),
        )
        if not dry:
            join_rejected(parts, folder, paths.rejected)
            log.info("rejected: %d rows to %s", counts["rows_rejected"], paths.rejected)
        judge(parts, counts, config)
        if not dry:
            load(new, output)
            drift = log_drift(paths.model, output, config.training.max_drift)
            record.update({"drift": drift} if drift else {})
    return record


def show_progress(parts: Iterable[Part]) -> list[Part]:
    """Return the parts in their order; meanwhile show at a terminal how far they are."""
    done = []
    with (
        tqdm(unit=" rows", unit_scale=True, disable=None) as bar,
        logging_redirect_tqdm(),
    ):
        for part in parts:
            done.append(part)
            log.debug("part %d: %d kept, %d rejected, %d duplicates", *part[:4])
            bar.update(sum(part[1:4]))
    return sorted(done, key=lambda part: part.number)


def count_rows(parts: Sequence[Part], kept: int) -> dict[str, int]:
    """Say what became of all rows, `kept` of which are left without duplicates."""
    rejected = sum(part.rejected for part in parts)
    read = sum(part.kept + part.rejected + part.duplicates for part in parts)
    return {
        "rows_read": read,
        "rows_kept": kept,
        "rows_rejected": rejected,
        "rows_duplicate": read - kept - rejected,
    }


def judge(parts: Sequence[Part], counts: dict[str, int], config: Config) -> None:
    """Say why rows were rejected; raise UserError where they are too many."""
    reasons = sum((part.reasons for part in parts), Counter[str]()).most_common()
    for reason, cells in reasons[:SHOWN]:
        log.warning("rejected: %s, %d times", reason, cells)
    share, limit = (
        counts["rows_rejected"] / counts["rows_read"],
        config.table.max_rejected_share,
    )
    if share > limit or not counts["rows_kept"]:
        raise UserError(
            f"{share:.1%} of the rows do not fit schema.yaml, most often {reasons[0][0]}; "
            f"max_rejected_share in config.yaml allows {limit:.1%}; see {config.paths.rejected}"
        )


@utils.command
def main() -> None:
    """Run the pipeline from the command line."""
    parser = utils.command_line(__doc__)
    parser.add_argument(
        "--raw", metavar="GLOB", help="raw files to read: CSV, .gz, .zst, Parquet"
    )
    parser.add_argument(
        "--output", metavar="PATH", type=Path, help="Parquet file to write"
    )
    parser.add_argument("--engine", choices=["pandas", "dask"], default="pandas")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster")
    parser.add_argument(
        "--watch", action="store_true", help="run when a new file is complete"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="report, and write nothing"
    )
    parser.add_argument("--verbose", action="store_true", help="log each part")
    parser.add_argument("--debug", action="store_true", help="open pdb where it failed")
    options = parser.parse_args()

    config = read_config()
    pattern = options.raw or config.paths.raw
    log_file = None if options.dry_run else config.paths.logs / "pipeline.log"
    utils.set_up_logging(log_file)
    log.setLevel(logging.DEBUG if options.verbose else logging.INFO)
    output = options.output or config.paths.processed
    night = partial(run, pattern, output, config, dry=options.dry_run)
    if options.engine == "dask":
        from {{ cookiecutter.project_slug }}.etl import (
            cluster,
        )  # Dask is an extra, see docs/production.md

        cleaned = partial(cluster.transform, scheduler=options.scheduler)
        night = partial(night, transform=cleaned, one_file=False)
    elif options.scheduler:
        raise UserError("--scheduler is for --engine dask")
    if options.watch:
        follow(pattern, night)
    else:
        night()


if __name__ == "__main__":
    main()
