"""Read the processed table, and make it the dataset that a model is trained on."""

import logging
from pathlib import Path

import pandas as pd
import pyarrow

from ..config import TrainingConfig
from ..feature_engineering import FEATURES, usable_features
from ..model_training import Dataset, make_dataset
from ..schema import Table
from ..utils import UserError, nearest
from .leaks import check_leaks
from .thresholds import check_threshold

log = logging.getLogger("train")


def load_dataset(data: Path, table: Table, config: TrainingConfig) -> Dataset:
    """Read the processed table, compute its features, and refuse target leakage."""
    frame = read_processed(data, table, config)
    log.info("predicting %s from %d rows", table.target.name, len(frame))
    usable = [each.name for each in usable_features(table.features)]
    for name in FEATURES:
        if name not in usable:
            log.info("feature left out, the table lacks its columns: %s", name)
    dataset = make_dataset(frame, table, config)
    check_threshold(dataset, config)
    check_leaks(dataset.rows, dataset.y, table)
    return dataset


def read_processed(path: Path, table: Table, config: TrainingConfig) -> pd.DataFrame:
    """Read what training needs of the processed table: Parquet, or a folder of it."""
    names = [column.name for column in (*table.features, table.target)]
    names += [*table.key, *name_columns(table, config)]
    if not path.exists():
        raise UserError(f"no processed table at {path}; run: uv run pipeline.py")
    try:
        frame = pd.read_parquet(path)
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise UserError(
            f"{path} is not Parquet; create it with: uv run pipeline.py"
        ) from error
    for name in names:
        if name not in frame:
            raise UserError(
                f"{path} has no column {name!r}; run again: uv run pipeline.py"
            )
    return frame[list(dict.fromkeys(names))]


def name_columns(table: Table, config: TrainingConfig) -> list[str]:
    """Return the columns that config.yaml names under `training`."""
    options = {"date": [config.date], "group": [config.group], "slices": config.slices}
    known = [column.name for column in table.columns]
    found = []
    for option, names in options.items():
        for name in filter(None, names or []):
            if name not in known:
                raise UserError(
                    f"config.yaml: training.{option}: schema.yaml has no column "
                    f"{name!r}{nearest(name, known)}"
                )
            found.append(name)
    return found
