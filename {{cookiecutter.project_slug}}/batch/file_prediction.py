"""Predict every row of a file, in its order; rows that do not fit are kept beside it.

Examples:
    uv run predict --data data/raw/new.csv --output reports/predictions.csv
    uv run predict --data "data/raw/*.parquet" --output reports/predictions.parquet
"""

import logging
from pathlib import Path

import pandas as pd

from {{ cookiecutter.project_slug }}.config import Config, read_config
from {{ cookiecutter.project_slug }}.data_preprocessing import transform
from {{ cookiecutter.project_slug }}.prediction import load_model, predict_frame
from {{ cookiecutter.project_slug }}.schema import read_schema, read_table
from {{ cookiecutter.project_slug }}.utils import (
    UserError,
    command,
    command_line,
    set_up_logging,
    write_atomically,
)

from .raw_data import list_rejected, read_raw_data

log = logging.getLogger("predict")


def predict_file(data: str, output: Path, model_path: Path, config: Config) -> None:
    """Predict the rows of the files that match, and write them with their predictions."""
    if output.suffix not in (".csv", ".parquet"):
        raise UserError(f"{output}: the name of the output must end in .csv or .parquet")
    model, schema = load_model(model_path), read_schema(config.schema_file)
    names = [column.name for column in model.table.features]
    if names != [column.name for column in read_table(config).features]:
        raise UserError(f"{model_path} was trained with other columns; run: uv run train")
    others = tuple(name for name in schema.columns if name not in names)
    raw = read_raw_data(data, names, config.table, optional=others)
    table = config.table.model_copy(update={"key": None})
    result = transform(raw.rows, schema.select_columns(names), table)
    answers = predict_frame(model, result.kept)
    rows = raw.rows.loc[answers.index].drop(columns=answers.columns, errors="ignore")
    rejected = list_rejected(raw, result.rejected)
    with write_atomically(output.with_name(f"{output.stem}.rejected.csv")) as file:
        rejected.to_csv(file, index=False, encoding="utf-8", lineterminator="\n")
    with write_atomically(output) as file:
        predicted = pd.concat([rows, answers], axis=1)
        if output.suffix == ".csv":
            predicted.to_csv(file, index=False, encoding="utf-8", lineterminator="\n")
        else:
            predicted.to_parquet(file, index=False)
    log.info("predict: %d rows to %s, %d rejected", len(predicted), output, len(rejected))


@command
def main() -> None:
    """Predict from the command line."""
    parser = command_line(__doc__)
    parser.add_argument("--data", metavar="PATH", required=True, help="CSV or Parquet, or a glob")
    parser.add_argument("--output", metavar="PATH", type=Path, required=True, help="file to write")
    parser.add_argument("--model", metavar="PATH", type=Path, help="model file")
    options = parser.parse_args()

    config = read_config()
    set_up_logging(config.paths.logs / "predict.log")
    predict_file(options.data, options.output, options.model or config.paths.model, config)
