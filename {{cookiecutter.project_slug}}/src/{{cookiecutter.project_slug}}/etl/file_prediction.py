"""Predict every row of files of any size, in order; rejected rows are kept beside them.

Examples:
    uv run predict --data data/raw/new.csv --output reports/predictions.csv
    uv run predict --data "data/raw/*.parquet" --output reports/predictions.parquet
"""

import logging
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from ..config import Config, read_config
from ..data_preprocessing import Transformed, transform
from ..drift import DriftMonitor
from ..prediction import Model, answer_names, load_model, predict_frame
from ..schema import read_table, rows_to_predict
from ..utils import (
    UserError,
    command,
    command_line,
    positive_integer,
    replace_file,
    set_up_logging,
)
from .parts import count_reasons, make_part, name_new, save_rejected, write_parts
from .raw_csv import RawData
from .raw_data import find_files, read_batches
from .runs import make_room, show_progress
from .workers import run_parallel

log = logging.getLogger("predict")

DRIFT_FILES = 10  # at most, in which drift is measured

_load_once = lru_cache(1)(load_model)  # in each process


def predict_file(
    data: str,
    output: Path,
    model_path: Path,
    config: Config,
    workers: int | None = None,
) -> None:
    """Predict the rows of the files that match, and write them with their predictions.

    The old output stays until all is done, and also where no row fits.
    """
    start, files, model = time.perf_counter(), find_files(data), load_model(model_path)
    rejected = output.with_name(f"{output.stem}.rejected.csv")
    check_outputs(files, output, rejected)
    answer = partial(answer_batch, path=model_path, config=config)
    batches = read_rows(files, model, config)
    made = run_parallel(partial(make_part, process=answer), batches, workers)
    writer = pa.csv.CSVWriter if output.suffix == ".csv" else pq.ParquetWriter
    with make_room(output) as folder:
        parts = write_parts(show_progress(made, log), writer, folder, data)
        save_rejected(folder, rejected, parts, log)
        answered = sum(part.kept for part in parts)
        if not answered:
            reason, _ = count_reasons(parts)[0]
            raise UserError(
                f"no row of {data} fits, most often {reason}; see {rejected}"
            )
        replace_file(folder / "kept", output)
    log_drift(files, model, config)
    speed = sum(part.rows for part in parts) / (time.perf_counter() - start)
    log.info("predict: %d rows to %s, %d rows/s", answered, output, speed)


def check_outputs(files: Sequence[Path], *outputs: Path) -> None:
    """Refuse an output that can't be written, or that is read as well."""
    for path in outputs:
        if path.suffix not in (".csv", ".parquet"):
            raise UserError(f"{path}: the name must end in .csv or .parquet")
        if path.resolve() in {file.resolve() for file in files}:
            raise UserError(
                f"{path} would be read and written; choose another --output"
            )


def read_rows(files: Sequence[Path], model: Model, config: Config) -> Iterator[RawData]:
    """Read the columns of files: the model's features, and others if they are there.

    Raises UserError if config.yaml has other features than the model.
    """
    names = [column.name for column in model.table.features]
    if names != [column.name for column in read_table(config).features]:
        raise UserError("the model was trained with other columns; run: uv run train")
    # Earlier answers may be there; new ones take their place.
    optional = (*model.table.unused, model.table.target.name, *name_answers(model))
    return read_batches(files, names, config.table, optional)


def log_drift(files: Sequence[Path], model: Model, config: Config) -> None:
    """Log how far the first rows of some files are from the training rows."""
    monitor = DriftMonitor(model)
    table = rows_to_predict(model.table, "accept")
    for path in files[:DRIFT_FILES]:
        for batch in islice(read_rows([path], model, config), 1):
            monitor.add(transform(batch.rows, table).kept)
    monitor.log(config.training.max_drift)


def answer_batch(
    raw: RawData, path: Path, config: Config
) -> tuple[pa.Table, Transformed]:
    """Answer the rows that the service would answer, and reject the others."""
    model = _load_once(path)
    table = rows_to_predict(model.table, config.serving.unknown_categories)
    result = transform(raw.rows, table)
    answers = predict_frame(model, result.kept).set_axis(name_answers(model), axis=1)
    rows = raw.rows.loc[answers.index].drop(columns=answers.columns, errors="ignore")
    answered = pd.concat([rows, answers], axis=1)
    types = describe_output(raw.rows.columns.tolist(), model)
    return pa.Table.from_pandas(answered, types, preserve_index=False), result


def name_answers(model: Model) -> list[str]:
    """Return the names of the answers, which no feature has."""
    taken = [column.name for column in model.table.features]
    return [name_new(name, taken) for name in answer_names(model)]


def describe_output(columns: list[str], model: Model) -> pa.Schema:
    """Return the columns and types of the output: those of the input come first."""
    answers = dict.fromkeys(name_answers(model), pa.float64())
    if model.labels:
        answers[next(iter(answers))] = pa.array(model.labels).type
    texts = {name: pa.string() for name in columns if name not in answers}
    return pa.schema(texts | answers)


@command
def main() -> None:
    """Predict from the command line."""
    parser = command_line(__doc__)
    add = parser.add_argument
    about = "CSV, Parquet or Excel, or a glob"
    add("--data", metavar="PATH", required=True, help=about)
    add("--output", metavar="PATH", type=Path, required=True, help="file to write")
    add("--model", metavar="PATH", type=Path, help="model file")
    about = "processes that predict; default: as many as pay"
    add("--workers", metavar="N", type=positive_integer, help=about)
    options = parser.parse_args()

    config = read_config()
    set_up_logging(config.paths.logs / "predict.log")
    model = options.model or config.paths.model
    predict_file(options.data, options.output, model, config, options.workers)
