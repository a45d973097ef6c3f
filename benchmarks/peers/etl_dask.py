"""Dask, two workers on this machine: the cleaning of etl_pandas.py, a block of the file at a time.

python etl_dask.py RAW OUTPUT
"""

import sys
import tempfile

import dask.dataframe as dd
import pandas as pd
from dask.distributed import Client, LocalCluster
from etl_pandas import clean
from etl_rules import COLUMNS, KEY

BLOCK = "16MiB"


def clean_block(raw, partition_info=None):
    """Clean a block; say of each row where it stood, to know the first of those with one key."""
    number = partition_info["number"] if partition_info else 0
    return clean(raw).assign(block=number, row=lambda rows: rows.index)


def keep_first(rows):
    """Keep the first row of each key; all rows of one key are here."""
    first = rows.sort_values(["block", "row"]).drop_duplicates(KEY)
    return first[COLUMNS]


def main():
    """Read, clean and write the table."""
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(n_workers=2, threads_per_worker=1, local_directory=folder) as cluster,
        Client(cluster),
    ):
        raw = dd.read_csv(sys.argv[1], blocksize=BLOCK, dtype=str, keep_default_na=False)
        empty = clean_block(pd.DataFrame({name: [] for name in COLUMNS}, dtype=str))
        rows = raw.map_partitions(clean_block, meta=empty)
        # drop_duplicates would gather all rows in one block, or lose which came first.
        clean_rows = rows.shuffle(KEY).map_partitions(keep_first, meta=empty[COLUMNS])
        clean_rows.to_parquet(sys.argv[2], write_index=False)


if __name__ == "__main__":
    main()
