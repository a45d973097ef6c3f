"""What the notebooks found, as tested modules that every command shares."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from .config import Config

# Must be set before scikit-learn is imported. Its threads then sleep while they wait
# for each other; otherwise training is many times slower on a busy machine.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
os.environ["ORT_DISABLE_TELEMETRY"] = "1"


def load_raw(config: "Config | None" = None) -> "pd.DataFrame":
    """Return the project's raw table: every cell is text, as it is in the source."""
    import pandas as pd

    from .config import read_config
    from .etl.raw_data import read_source
    from .schema import read_table

    config = config or read_config()
    columns = [column.name for column in read_table(config).columns]
    batches = [batch.rows for batch in read_source(config, columns)]
    nothing = pd.DataFrame(columns=columns, dtype="str")

    return pd.concat([nothing, *batches], ignore_index=True)


def load_table() -> "pd.DataFrame":
    """Return the project's clean table: typed, without rejected rows and duplicates.

    The raw rows are cleaned in memory, so the pipeline need not have run. Each row
    has the label that it has in `load_raw()`.
    """
    from .data_preprocessing import transform
    from .schema import read_table

    return transform(load_raw(), read_table()).kept
