"""Predict every row of files of any size, in order; rejected rows are kept beside them.

Examples:
    uv run predict --data new.csv --output predictions.csv
    uv run predict --data "new/*.parquet" --output predictions.parquet
"""

import logging
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
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
from .raw_csv import RawData
from .raw_data import find_files, read_batches
from .runs import (
    make_part,
    make_room,
    name_cause,
    name_new,
    save_rejected,
    write_parts,
)
from .workers import run_parallel

SAMPLED_ROWS = 50_000  # compared with the training rows

log = logging.getLogger("predict")

_load_once = lru_cache(1)(load_model)  # once in each process


def predict_file(
    data: str,
    output: Path,
    model_path: Path,
    config: Config,
    workers: int | None = None,
) -> None:
    """Predict the rows of the files that match, and write them with their predictions.

    The old output stays until all rows are predicted, and if all rows are rejected.
    """
    files, model = find_files(data), load_model(model_path)
    rejected = output.with_name(f"{output.stem}.rejected.csv")
    if output.suffix not in (".csv", ".parquet"):
        raise UserError(f"{output}: the name must end in .csv or .parquet")
    if {output.resolve(), rejected.resolve()}.intersection(map(Path.resolve, files)):
        raise UserError(f"{output} would be read and written; choose another --output")

    sample: list[pd.DataFrame] = []
    batches = _keep_sample(read_rows(files, model, config), sample)
    answer = partial(_answer_rows, path=model_path, config=config)
    parts = run_parallel(partial(make_part, process=answer), batches, workers)
    writer = pa.csv.CSVWriter if output.suffix == ".csv" else pq.ParquetWriter

    with make_room(output) as folder:
        counts = write_parts(parts, writer, folder, data)
        save_rejected(folder, rejected, counts)

        answered, reasons = counts[["kept", "reasons"]].sum()
        if not answered:
            cause = name_cause(reasons)
            raise UserError(
                f"all rows of {data} are rejected, most often {cause}; see {rejected}"
            )

        replace_file(folder / "kept", output)

    log.info("predict: %d rows to %s", answered, output)

    monitor = DriftMonitor(model)
    table = rows_to_predict(model.table, "accept")
    monitor.add(transform(pd.concat(sample, ignore_index=True), table).kept)
    monitor.log(config.training.max_drift)


def read_rows(files: Sequence[Path], model: Model, config: Config) -> Iterator[RawData]:
    """Read the columns of files: the model's features, and others if they are there.

    Raises UserError if config.yaml has other features than the model.
    """
    names = [column.name for column in model.table.features]
    if {*names} != {column.name for column in read_table(config).features}:
        raise UserError("the model was trained with other columns; run: uv run train")

    # Columns with earlier predictions are replaced.
    optional = (*model.table.unused, *name_answers(model))

    return read_batches(files, names, config.table, optional)


def _keep_sample(batches: Iterator[RawData], sample: list) -> Iterator[RawData]:
    """Yield the batches, and append every n-th row of each to the sample, for drift.

    `n` doubles whenever the sample has more than `SAMPLED_ROWS` rows.
    """
    step = 1
    for batch in batches:
        yield batch
        sample.append(batch.rows[::step])
        while sum(map(len, sample)) > SAMPLED_ROWS:
            sample[:] = [rows[::2] for rows in sample]
            step *= 2


def _answer_rows(rows: pd.DataFrame, path: Path, config: Config) -> Transformed:
    """Answer the rows that the service would answer, and reject the others."""
    model = _load_once(path)
    table = rows_to_predict(model.table, config.serving.unknown_categories)
    result = transform(rows, table)

    answers = predict_frame(model, result.kept).set_axis(name_answers(model), axis=1)

    return result._replace(kept=rows.loc[answers.index].assign(**answers))


def name_answers(model: Model) -> list[str]:
    """Return the names of the answers, which no feature has."""
    taken = [column.name for column in model.table.features]
    return [name_new(name, taken) for name in answer_names(model)]


@command
def main() -> None:
    """Predict from the command line."""
    parser = command_line(__doc__)
    add = parser.add_argument
    add("--data", metavar="PATH", required=True, help="CSV, Parquet or Excel")
    add("--output", metavar="PATH", type=Path, required=True, help="file to write")
    add("--model", metavar="PATH", type=Path, help="model file")
    add("--workers", metavar="N", type=positive_integer, help="processes")
    options = parser.parse_args()

    config = read_config()
    set_up_logging(config.paths.logs / "predict.log")
    model = options.model or config.paths.model
    predict_file(options.data, options.output, model, config, options.workers)
