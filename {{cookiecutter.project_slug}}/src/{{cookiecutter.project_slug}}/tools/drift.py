"""Compare rows with those that the model was trained on, and show both.

Exits with 1 if a column is beyond training.max_drift in config.yaml.

Examples:
    uv run drift
    uv run drift --data data/raw/2026-12.csv
    uv run drift --data logs/predictions.jsonl
"""

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from ..config import Config, read_config
from ..data_preprocessing import transform
from ..drift import DriftMonitor, read_sample
from ..etl.file_prediction import read_rows
from ..etl.raw_data import find_files, write_cell
from ..prediction import Model, load_model
from ..schema import Table, rows_to_predict
from ..training.model_card import render
from ..utils import (
    UserError,
    command,
    command_line,
    set_up_logging,
    write_atomically,
)

log = logging.getLogger("drift")


def compare(data: str | None, model_path: Path, config: Config) -> bool:
    """Compare rows with a model's training rows. Returns whether no column drifted."""
    monitor = DriftMonitor(load_model(model_path))
    rows = 0
    for frame in read_frames(data, monitor.model, config):
        monitor.add(frame)
        rows += len(frame)

    if not rows:
        raise UserError(f"{data or config.paths.processed} has only rejected rows")

    limit = config.training.max_drift
    alarms = monitor.log(limit)
    text = render("drift.html", monitor=monitor, rows=rows, limit=limit, alarms=alarms)
    page = config.root / "reports" / "drift.html"

    with write_atomically(page) as file:
        file.write_text(text, encoding="utf-8")

    log.info("%d rows, %d columns beyond %s; see %s", rows, len(alarms), limit, page)

    return not alarms


def read_frames(data: str | None, model: Model, config: Config) -> Iterator:
    """Read the processed table, or clean raw files or logged predictions."""
    processed = config.paths.processed
    table = rows_to_predict(model.table, "accept")
    if data is None:
        if not processed.exists():
            raise UserError(
                f"no processed table at {processed}; run: uv run pipeline.py"
            )
        yield read_sample(processed)
    elif data.endswith(".jsonl"):
        yield transform(read_predictions(Path(data), table), table).kept
    else:
        for batch in read_rows(find_files(data), model, config):
            yield transform(batch.rows, table).kept


def read_predictions(file: Path, table: Table) -> pd.DataFrame:
    """Read the rows of logged predictions, each value as the files spell it."""
    try:
        with file.open(encoding="utf-8") as lines:
            rows = [json.loads(line)["features"] for line in lines]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} is not a log of predictions: {error}") from error

    names = [column.name for column in table.features]
    cells = pd.DataFrame(rows, columns=names, dtype=object).fillna("")
    return cells.map(write_cell, decimal=table.target.spelling.decimal).astype("str")


@command
def main() -> None:
    """Compare from the command line."""
    parser = command_line(__doc__)
    about = "raw files or logged predictions (.jsonl)"
    parser.add_argument("--data", metavar="FILE", help=about)
    data = parser.parse_args().data
    config = read_config()
    set_up_logging(config.paths.logs / "drift.log")
    if not compare(data, config.paths.model, config):
        sys.exit(1)
