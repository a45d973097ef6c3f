"""Predict every row of files of any size, in order; rejected rows are kept beside them.

Examples:
    uv run predict --data data/raw/new.csv --output reports/predictions.csv
    uv run predict --data "data/raw/*.parquet" --output reports/predictions.parquet
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path

import pandas as pd
import pyarrow as pa

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
from .parts import (
    Part,
    join_csv,
    join_parts,
    name_new,
    save_rejected,
    write_part,
)
from .raw_data import RawData, find_files, open_file, read_batches
from .runs import collect, make_room
from .workers import run_parallel

log = logging.getLogger("predict")

DRIFT_FILES = 10  # at most, in which drift is measured

Reader = Callable[[Sequence[Path]], Iterator[RawData]]

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
    columns, read = find_columns(files, model, config)
    answer = partial(answer_batch, path=model_path, columns=columns, config=config)
    with make_room(output) as folder:
        place = folder.absolute()
        write = partial(write_part, folder=place, process=answer, suffix=output.suffix)
        parts = collect(run_parallel(write, enumerate(read(files)), workers), log)
        if not any(part.rows for part in parts):
            raise UserError(f"{data} has a header but no rows")
        save_rejected(parts, folder, columns, rejected)
        check_answers(parts, data, rejected)
        new = folder / "joined"
        if output.suffix == ".csv":
            join_csv(parts, folder, ".csv", describe_output(columns, model).names, new)
        else:
            join_parts(parts, folder, new)
        replace_file(new, output)
    log_drift(read, files, model, config)
    answered = sum(part.kept for part in parts)
    speed = sum(part.rows for part in parts) / (time.perf_counter() - start)
    log.info("predict: %d rows to %s, %d rows/s", answered, output, speed)


def find_columns(
    files: Sequence[Path], model: Model, config: Config
) -> tuple[list[str], Reader]:
    """Return all columns of the files, and the function that reads files.

    Raises UserError if config.yaml has other features than the model.
    """
    names = [column.name for column in model.table.features]
    if names != [column.name for column in read_table(config).features]:
        raise UserError("the model was trained with other columns; run: uv run train")
    headers = [open_file(path, config.table)[0] for path in files]
    columns = list(dict.fromkeys(name for header in headers for name in header))
    # Earlier answers may be there; new ones take their place.
    optional = (*model.table.unused, model.table.target.name, *name_answers(model))
    read = partial(
        read_batches, columns=names, config=config.table, optional=optional
    )
    return columns, read


def log_drift(
    read: Reader, files: Sequence[Path], model: Model, config: Config
) -> None:
    """Log how far the first rows of some files are from the training rows."""
    monitor = DriftMonitor(model)
    table = rows_to_predict(model.table, "accept")
    for path in files[:: -(-len(files) // DRIFT_FILES)]:
        for batch in islice(read([path]), 1):
            monitor.add(transform(batch.rows, table).kept)
    monitor.log(config.training.max_drift)


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


def check_answers(parts: Sequence[Part], data: str, rejected: Path) -> None:
    """Log how many rows were rejected; raise UserError if all were."""
    count = sum(part.rejected for part in parts)
    log.info("rejected: %d rows to %s", count, rejected)
    if not any(part.kept for part in parts):
        reasons = sum((part.reasons for part in parts), Counter[str]())
        reason = reasons.most_common(1)[0][0]
        raise UserError(f"no row of {data} fits, most often {reason}; see {rejected}")


def answer_batch(
    raw: RawData, path: Path, columns: list[str], config: Config
) -> tuple[pa.Table, Transformed]:
    """Answer the rows that the service would answer, and reject the others.

    A column that a file does not have is empty, so that all batches are alike.
    """
    model = _load_once(path)
    table = rows_to_predict(model.table, config.serving.unknown_categories)
    rows = raw.rows.reindex(columns=columns).astype("str")
    result = transform(rows, table)
    answers = predict_frame(model, result.kept).set_axis(name_answers(model), axis=1)
    rows = rows.loc[answers.index].drop(columns=answers.columns, errors="ignore")
    answered = pd.concat([rows, answers], axis=1)
    types = describe_output(columns, model)
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
