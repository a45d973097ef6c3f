"""The nightly ETL: raw files in, one clean table out, and a record of what happened to each row.

Examples:
    uv run pipeline.py
    uv run pipeline.py --raw "data/raw/2026-*.csv" --output data/processed/2026.parquet
"""

import json
import logging
import time
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from {{ cookiecutter.project_slug }} import data_preprocessing, utils
from {{ cookiecutter.project_slug }}.config import Config, read_config
from {{ cookiecutter.project_slug }}.data_preprocessing import Transformed
from {{ cookiecutter.project_slug }}.raw_data import RawData, read_raw_data, write_rejected
from {{ cookiecutter.project_slug }}.schema import read_schema

log = logging.getLogger("pipeline")


def extract(pattern: str, config: Config) -> RawData:
    """Read the raw files that match the pattern, as text."""
    columns = list(read_schema(config.schema_file).columns)
    raw = read_raw_data(pattern, columns, config.table)
    log.info("extract: %d rows from %s", len(raw.rows) + len(raw.broken), pattern)
    return raw


def transform(raw: RawData, config: Config) -> Transformed:
    """Clean the rows and check them against the schema."""
    result = data_preprocessing.transform(raw.rows, read_schema(config.schema_file), config.table)
    log.info(
        "transform: %d rows kept, %d rejected, %d duplicates",
        len(result.kept),
        len(result.rejected) + len(raw.broken),
        len(result.duplicates),
    )
    if result.kept.empty:
        reasons = [*result.rejected, *raw.broken["reason"]]
        raise utils.UserError(f"no row fits schema.yaml; the first one: {reasons[0]}")
    return result


def load(table: pd.DataFrame, output: Path) -> None:
    """Write the clean table as Parquet."""
    with utils.write_atomically(output) as file:
        table.to_parquet(file, index=False)
    log.info("load: %d rows to %s", len(table), output)


def run(pattern: str, output: Path, config: Config) -> dict[str, object]:
    """Run the whole ETL and return its record; a run that fails leaves the old output."""
    start = time.perf_counter()
    counts = dict.fromkeys(("rows_read", "rows_kept", "rows_rejected", "rows_duplicate"), 0)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    record: dict[str, object] = {"time": now, "status": "failed", **counts, "output": str(output)}
    try:
        raw = extract(pattern, config)
        result = transform(raw, config)
        write_rejected(raw, result.rejected, config.paths.rejected)
        load(result.kept, output)
        record |= {
            "status": "ok",
            "rows_read": len(raw.rows) + len(raw.broken),
            "rows_kept": len(result.kept),
            "rows_rejected": len(result.rejected) + len(raw.broken),
            "rows_duplicate": len(result.duplicates),
        }
    except Exception as error:
        record["error"] = str(error)
        raise
    finally:
        record["seconds"] = round(time.perf_counter() - start, 3)
        append_record(record, config.paths.logs / "pipeline.jsonl")
    return record


def append_record(record: dict[str, object], file: Path) -> None:
    """Add one line of JSON to the run record."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8", newline="\n") as lines:
        lines.write(json.dumps(record, ensure_ascii=False) + "\n")


@utils.command
def main() -> None:
    """Run the pipeline from the command line."""
    parser = utils.command_line(__doc__)
    parser.add_argument("--raw", metavar="GLOB", help="raw files to read")
    parser.add_argument("--output", metavar="PATH", type=Path, help="Parquet file to write")
    options = parser.parse_args()

    config = read_config()
    utils.set_up_logging(config.paths.logs / "pipeline.log")
    run(options.raw or config.paths.raw, options.output or config.paths.processed, config)


if __name__ == "__main__":
    main()
