"""Predict every row of files of any size, in order; rows that do not fit are kept beside them.

Examples:
    uv run predict --data data/raw/new.csv --output reports/predictions.csv
    uv run predict --data "data/raw/*.parquet" --output reports/predictions.parquet
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from ..config import Config, read_config
from ..data_preprocessing import transform
from ..prediction import (
    Model,
    answer_names,
    load_model,
    predict_frame,
)
from ..schema import read_table, rows_to_predict
from ..utils import UserError, command, command_line, set_up_logging
from .parts import LINE_END
from .raw_data import RawData, find_files, list_rejected, read_batches, read_header
from .runs import make_room, replace

NEWS = 30  # seconds between two lines in the log, where no terminal shows a bar

log = logging.getLogger("predict")


class Predicted(NamedTuple):
    """What became of some rows: those with an answer, those rejected, and the reasons why."""

    answered: pd.DataFrame
    rejected: pd.DataFrame
    reasons: Counter[str]


def predict_file(data: str, output: Path, model_path: Path, config: Config) -> None:
    """Predict the rows of the files that match, and write them with their predictions.

    The old output stays until all is done, and also where no row fits.
    """
    start, files, model = time.perf_counter(), find_files(data), load_model(model_path)
    rejected = output.with_name(f"{output.stem}.rejected.csv")
    check_outputs(files, output, rejected)
    names = [column.name for column in model.table.features]
    if names != [column.name for column in read_table(config).features]:
        raise UserError(
            f"{model_path} was trained with other columns; run: uv run train"
        )
    # Earlier answers may be there; new ones take their place.
    optional = (*model.table.unused, model.table.target.name, *answer_names(model))
    headers = [read_header(path, config.table) for path in files]
    columns = list(dict.fromkeys(name for header in headers for name in header))
    batches = read_batches(files, names, config.table, optional)
    with make_room(output) as folder:
        new, beside = folder / f"answered{output.suffix}", folder / "rejected.csv"
        parts = show_progress(predict_batches(batches, columns, model, config))
        answered, left, reasons = write_all(parts, columns, model, new, beside)
        if answered + left == 0:
            raise UserError(f"{data} has a header but no rows")
        replace(beside, rejected)
        log.info("rejected: %d rows to %s", left, rejected)
        if answered == 0:
            reason = reasons.most_common(1)[0][0]
            raise UserError(
                f"no row of {data} fits, most often {reason}; see {rejected}"
            )
        replace(new, output)
    speed = (answered + left) / (time.perf_counter() - start)
    log.info(
        "predict: %d rows to %s, %d rejected, %d rows/s", answered, output, left, speed
    )


def check_outputs(files: Sequence[Path], output: Path, rejected: Path) -> None:
    """Refuse an output that can't be, or that is read as well."""
    if output.suffix not in (".csv", ".parquet"):
        raise UserError(
            f"{output}: the name of the output must end in .csv or .parquet"
        )
    for path in (output, rejected):
        if path.is_dir():
            raise UserError(f"can't write {path}: it is a folder")
        place = path.resolve()
        if place.exists() and any(place.samefile(file) for file in files):
            raise UserError(
                f"{path} would be read and written; choose another --output"
            )


def predict_batches(
    batches: Iterable[RawData], columns: list[str], model: Model, config: Config
) -> Iterator[Predicted]:
    """Answer the rows that the service would answer, batch by batch, and reject the others.

    A column that a file does not have is empty, so that all batches are alike.
    """
    table = rows_to_predict(model.table, config.serving.unknown_categories)
    for raw in batches:
        raw = raw._replace(rows=raw.rows.reindex(columns=columns).astype("str"))
        result = transform(raw.rows, table)
        answers = predict_frame(model, result.kept)
        rows = raw.rows.loc[answers.index].drop(
            columns=answers.columns, errors="ignore"
        )
        reasons = Counter(result.problems["column"] + ": " + result.problems["check"])
        reasons.update(raw.broken["reason"])
        rejected = list_rejected(raw, result.rejected)
        yield Predicted(pd.concat([rows, answers], axis=1), rejected, reasons)


def show_progress(batches: Iterable[Predicted]) -> Iterator[Predicted]:
    """Pass the batches on; show at a terminal how far they are, and elsewhere in the log."""
    rows, told = 0, time.monotonic()
    with (
        tqdm(unit=" rows", unit_scale=True, disable=None) as bar,
        logging_redirect_tqdm(),
    ):
        for batch in batches:
            yield batch
            new = len(batch.answered) + len(batch.rejected)
            bar.update(new)
            rows += new
            if bar.disable and time.monotonic() > told + NEWS:
                log.info("predict: %d rows so far", rows)
                told = time.monotonic()


def write_all(
    batches: Iterable[Predicted],
    columns: list[str],
    model: Model,
    new: Path,
    beside: Path,
) -> tuple[int, int, Counter[str]]:
    """Write what became of the rows; return how many were answered and rejected, and why."""
    answered, rejected, reasons = 0, 0, Counter[str]()
    header = pd.DataFrame(columns=["source", "line", "reason", *columns, "raw"])
    types = describe_output(columns, model)
    rejects = beside.open("w", encoding="utf-8", newline="")
    with rejects, open_output(new, types) as write:
        header.to_csv(rejects, index=False, lineterminator=LINE_END)
        for batch in batches:
            write(pa.Table.from_pandas(batch.answered, types, preserve_index=False))
            batch.rejected.to_csv(
                rejects, index=False, header=False, lineterminator=LINE_END
            )
            answered += len(batch.answered)
            rejected += len(batch.rejected)
            reasons += batch.reasons
    return answered, rejected, reasons


def describe_output(columns: list[str], model: Model) -> pa.Schema:
    """Return the columns of the output and their types: those of the input, as text, first."""
    answers = dict.fromkeys(answer_names(model), pa.float64())
    if model.labels:
        answers["prediction"] = pa.array(model.labels).type
    texts = {name: pa.string() for name in columns if name not in answers}
    return pa.schema(texts | answers)


@contextmanager
def open_output(file: Path, types: pa.Schema) -> Iterator[Callable[[pa.Table], object]]:
    """Open a CSV or Parquet file, and give the function that adds rows to it."""
    if file.suffix == ".parquet":
        with pq.ParquetWriter(file, types) as writer:
            yield writer.write_table
    else:
        with file.open("wb") as lines:
            lines.write(
                format_csv(pa.table([[name] for name in types.names], types.names))
            )
            yield lambda rows: lines.write(format_csv(rows))


def format_csv(rows: pa.Table) -> pa.Buffer:
    """Return rows as lines of CSV, all their texts in quotes if one of them needs it."""
    for quotes in ("none", "needed"):
        lines = pa.BufferOutputStream()
        options = pa.csv.WriteOptions(include_header=False, quoting_style=quotes)
        try:
            pa.csv.write_csv(rows, lines, options)
            break
        except pa.ArrowInvalid:  # a comma, a quote or a line end stands in a cell
            continue
    return lines.getvalue()


@command
def main() -> None:
    """Predict from the command line."""
    parser = command_line(__doc__)
    parser.add_argument(
        "--data", metavar="PATH", required=True, help="CSV or Parquet, or a glob"
    )
    parser.add_argument(
        "--output", metavar="PATH", type=Path, required=True, help="file to write"
    )
    parser.add_argument("--model", metavar="PATH", type=Path, help="model file")
    options = parser.parse_args()

    config = read_config()
    set_up_logging(config.paths.logs / "predict.log")
    predict_file(
        options.data, options.output, options.model or config.paths.model, config
    )
