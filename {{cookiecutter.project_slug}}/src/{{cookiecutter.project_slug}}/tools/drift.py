"""Compare rows with those that the model was trained on, and draw both.

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
from typing import Any

import pandas as pd

from ..config import Config, read_config
from ..data_preprocessing import transform
from ..drift import DriftMonitor, read_sample
from ..etl.raw_data import find_files, read_batches
from ..figures import as_svg, draw_shift
from ..prediction import Model, load_model
from ..schema import rows_to_predict
from ..training.model_card import render
from ..utils import (
    UserError,
    command,
    command_line,
    set_up_logging,
    write_atomically,
)

MOST_DRAWN = 24  # columns

log = logging.getLogger("drift")


def compare(data: str | None, model_path: Path, config: Config) -> bool:
    """Compare rows with a model's training rows. Returns whether no column drifted."""
    monitor = DriftMonitor(load_model(model_path))
    rows = 0
    for frame in read_rows(data, monitor.model, config):
        monitor.add(frame)
        rows += len(frame)
    if not rows:
        raise UserError(f"{data or config.paths.processed} has no row that fits")

    limit = config.training.max_drift
    drift, alarms = monitor.log(limit), monitor.find_alarms(limit)
    page = config.root / "reports" / "drift.html"
    with write_atomically(page) as file:
        file.write_text(draw_page(monitor, rows, limit), encoding="utf-8")
    worst = next(iter(drift))
    log.info(
        "%d rows, %d columns beyond %s; the largest index is that of %s, %.2f; see %s",
        *(rows, len(alarms), limit, worst, drift[worst], page),
    )
    return not alarms


def read_rows(data: str | None, model: Model, config: Config) -> Iterator[pd.DataFrame]:
    """Read the processed table, or clean raw files or logged predictions."""
    if data is None:
        if not config.paths.processed.exists():
            raise UserError(
                f"no processed table at {config.paths.processed}; "
                "run: uv run pipeline.py"
            )
        yield read_sample(config.paths.processed)
        return

    table = rows_to_predict(model.table, "accept")
    if data.endswith(".jsonl"):
        yield transform(read_predictions(Path(data), model), table).kept
        return
    names = [column.name for column in table.features]
    optional = (*model.table.unused, model.table.target.name)
    for batch in read_batches(find_files(data), names, config.table, optional):
        yield transform(batch.rows, table).kept


def read_predictions(file: Path, model: Model) -> pd.DataFrame:
    """Read the rows of logged predictions, each value as text."""
    names = [column.name for column in model.table.features]
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line)["features"] for line in lines]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{file} is not a log of predictions: {error}") from error
    texts = [[_as_text(row.get(name)) for name in names] for row in rows]
    return pd.DataFrame(texts, columns=names, dtype="str")


def _as_text(value: Any) -> str:
    """Return a value of JSON as a file would have it."""
    return "" if value is None else str(value)


def draw_page(monitor: DriftMonitor, rows: int, limit: float) -> str:
    """Return a page with the distributions of each column then and now."""
    drift, alarms = monitor.measure(), monitor.find_alarms(limit)
    columns = []
    for number, (name, psi) in enumerate(drift.items()):
        then, now = monitor.shares(name)
        names = bin_names(monitor.model.reference[name])
        svg = ""
        if number < MOST_DRAWN:
            svg = as_svg(f"shift-{number}", draw_shift, then, now, names)
        details = monitor.explain(name)
        columns.append((name, psi, name in alarms, details, svg))
    return render("drift.html", columns=columns, rows=rows, limit=limit)


def bin_names(reference: dict[str, Any]) -> list[str]:
    """Return a name for each bin of a column."""
    if "categories" in reference:
        names = [text[:16] for text in reference["categories"]]
        return [*names, "other", "missing"]
    edges = [f"{edge:.4g}" for edge in reference["edges"]]
    if reference["kind"] == "date":
        days = pd.to_datetime(reference["edges"], unit="D")
        edges = [str(day.date()) for day in days]
    return [f"< {edge}" for edge in edges] + [
        f"≥ {edges[-1]}" if edges else "any",
        "missing",
    ]


@command
def main() -> None:
    """Compare from the command line."""
    parser = command_line(__doc__)
    parser.add_argument(
        "--data", metavar="FILE", help="raw files or logged predictions (.jsonl)"
    )
    parser.add_argument("--model", metavar="PATH", type=Path, help="model file")
    options = parser.parse_args()

    config = read_config()
    set_up_logging(config.paths.logs / "drift.log")
    if not compare(options.data, options.model or config.paths.model, config):
        sys.exit(1)
