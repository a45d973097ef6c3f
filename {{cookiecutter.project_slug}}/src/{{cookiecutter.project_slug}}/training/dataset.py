"""Read the processed table, and make it the dataset that a model is trained on."""

import logging
from pathlib import Path

import pandas as pd
import pyarrow

from ..config import TrainingConfig
from ..feature_engineering import FEATURES, features_of_table, usable_features
from ..model_training import Dataset, make_dataset
from ..schema import Table
from ..utils import UserError
from .leaks import check_leaks

COMPARED_ROWS = 20

log = logging.getLogger("train")


def load_dataset(data: Path, table: Table, config: TrainingConfig) -> Dataset:
    """Read the processed table and compute its features.

    Logs the features that are left out. Raises UserError if there is no such table, or
    if a column determines the target.
    """
    frame = read_processed(data, table)
    log.info("predicting %s from %d rows", table.target.name, len(frame))

    usable = {each.name for each in usable_features(table.features)}
    for name in sorted(FEATURES.keys() - usable):
        log.info("feature left out, a column is missing or is not a number: %s", name)

    dataset = make_dataset(frame, table, config)
    _check_features(dataset)
    check_leaks(dataset.rows, dataset.y, table)

    return dataset


def _check_features(dataset: Dataset) -> None:
    """Refuse features of a row that depend on other rows: the service has one alone."""
    rows = dataset.rows.head(COMPARED_ROWS)
    columns = dataset.table.features
    alone = [features_of_table(rows[at : at + 1], columns) for at in range(len(rows))]
    for name, values in pd.concat(alone).items():
        if not values.equals(dataset.X[name].head(COMPARED_ROWS)):
            raise UserError(
                f"the feature {name!r} depends on other rows; statistics belong in the "
                "model's pipeline (model_training.py)"
            )


def read_processed(path: Path, table: Table) -> pd.DataFrame:
    """Read the processed table, a Parquet file."""
    if not path.is_file():
        raise UserError(f"no processed table at {path}; run: uv run pipeline.py")

    try:
        return pd.read_parquet(path, columns=[column.name for column in table.columns])
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(
            f"{path} is not Parquet with the columns of schema.yaml; "
            "run: uv run pipeline.py"
        ) from error
