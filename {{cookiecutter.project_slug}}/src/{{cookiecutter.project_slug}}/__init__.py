"""What the notebooks found, as tested modules that every command shares."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

# Must be set before scikit-learn is imported. Its threads then sleep while they wait
# for each other; otherwise training is many times slower on a busy machine.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
os.environ["ORT_DISABLE_TELEMETRY"] = "1"


def load_raw() -> "pd.DataFrame":
    """Return the project's raw table: every cell is text, as it is in the files."""
    from .etl.sources import load_raw

    return load_raw()


def load_table() -> "pd.DataFrame":
    """Return the project's clean table: typed, without rejected rows and duplicates."""
    from .etl.sources import load_table

    return load_table()
