"""Load the project's own table as a DataFrame, anywhere in the project."""

import pandas as pd

from ..config import Config, read_config
from ..data_preprocessing import transform
from ..schema import read_table
from .sources import load_source


def load_raw(config: Config | None = None) -> pd.DataFrame:
    """Return the raw table: every cell is text, as it is in the source."""
    config = config or read_config()
    names = [column.name for column in read_table(config).columns]
    return load_source(config, names).rows


def load_table(config: Config | None = None) -> pd.DataFrame:
    """Return the clean table: typed, without rejected rows and duplicates.

    The raw rows are cleaned in memory, so the pipeline need not have run. Each row
    has the label that it has in `load_raw()`.
    """
    config = config or read_config()
    return transform(load_raw(config), read_table(config)).kept
