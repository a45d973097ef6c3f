"""Load the project's own table as a DataFrame, anywhere in the project."""

import pandas as pd

from ..config import Config, read_config
from ..data_preprocessing import transform
from ..schema import read_table
from .raw_data import RawData, read_raw_data


def load_raw(config: Config | None = None) -> pd.DataFrame:
    """Return the raw table: every cell is text, as it is in the files."""
    return _read(config or read_config()).rows


def load_table(config: Config | None = None) -> pd.DataFrame:
    """Return the clean table: typed, without rejected rows and duplicates.

    The raw files are cleaned in memory, so the pipeline need not have run.
    """
    config = config or read_config()
    return transform(_read(config).rows, read_table(config)).kept


def _read(config: Config) -> RawData:
    """Read the raw files that config.yaml names."""
    names = [column.name for column in read_table(config).columns]
    return read_raw_data(config.paths.raw, names, config.table)
