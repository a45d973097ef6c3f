"""Databases: DuckDB for what exceeds the memory, and those of others by ADBC."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..config import SinkConfig
from ..schema import Table
from ..utils import UserError, quote_name

BATCH_ROWS = 100_000  # rows of a Parquet file or a query to read at once
MEMORY_FOR_KEYS = "160MB"  # limit for DuckDB, which then uses temporary files
VARIABLE = re.compile(r"\$\{(\w+)\}")
PASSWORD = re.compile(r"//[^/@:]*:[^$@/][^/@]*@")

log = logging.getLogger("pipeline")


@contextmanager
def open_duckdb(memory: str, folder: Path | None) -> Iterator:
    """Open an empty DuckDB database that spills to the folder.

    Errors of DuckDB are raised as OSError: most are about files.
    """
    with TemporaryDirectory(dir=folder) as room:
        config: dict = {"memory_limit": memory, "temp_directory": room, "threads": 2}
        try:
            with duckdb.connect(f"{room}/database", config=config) as database:
                yield database
        except duckdb.Error as error:
            raise OSError(str(error)) from error


@contextmanager
def connect(database: str) -> Iterator:
    """Connect to a database by ADBC, and commit at the end; an error is a UserError.

    ${NAME} in the address is replaced by an environment variable.
    """
    if PASSWORD.search(database):
        raise UserError(
            "config.yaml: database: keep the password in an environment variable, "
            "such as ${DATABASE_URL}"
        )

    url = os.path.expandvars(database)
    if unset := VARIABLE.search(url):
        raise UserError(f"the environment variable {unset[1]} is not set")

    kind = "postgresql" if url.startswith("postgres") else url.partition(":")[0]
    try:
        driver = import_module(f"adbc_driver_{kind}.dbapi")
    except ImportError as error:
        raise UserError(
            f"there is no driver for the database {database}: it must begin with "
            "postgresql:// or sqlite:///; run: uv sync --extra database"
        ) from error

    options = {"adbc.sqlite.query.batch_rows": BATCH_ROWS} if kind == "sqlite" else {}
    try:
        with driver.connect(url.removeprefix("sqlite:///")) as connection:
            with connection.cursor(adbc_stmt_kwargs=options) as cursor:
                yield cursor
            connection.commit()
    except (driver.Error, pa.ArrowException) as error:
        raise UserError(f"database {database}: {error}") from error


def fill_table(sink: SinkConfig, file: Path) -> None:
    """Replace all rows of a table by those of a Parquet file, in one transaction.

    The table is created if it does not exist. Readers see the old rows until the end;
    the table keeps its views, indexes and permissions.
    """
    schema, _, table = sink.table.rpartition(".")
    name = ".".join(map(quote_name, sink.table.split(".")))

    with connect(sink.database) as cursor, pq.ParquetFile(file) as rows:
        types = rows.schema_arrow.remove_metadata()
        batches = rows.iter_batches(BATCH_ROWS)
        reader = pa.RecordBatchReader.from_batches(types, batches)

        ingest = partial(cursor.adbc_ingest, table, db_schema_name=schema or None)
        ingest(types.empty_table(), mode="create_append")
        cursor.execute(f"DELETE FROM {name}")
        ingest(reader, mode="append")


def drop_duplicates(folder: Path, counts: pd.DataFrame, table: Table) -> Path:
    """Write only one of the rows with the same key; log which replaced which.

    Returns the file with the rows that are left: `kept` itself if there are no
    duplicates. Files are compared by DuckDB, in bounded memory.
    """
    kept, unique = folder / "kept", folder / "unique"
    if not table.key:
        return kept

    with (
        open_duckdb(MEMORY_FOR_KEYS, folder) as database,
        pq.ParquetFile(kept) as rows,
        pq.ParquetWriter(unique, rows.schema_arrow) as writer,
    ):
        if not _find_duplicates(database, kept, table):
            return kept

        first = 0
        for batch in rows.iter_batches(BATCH_ROWS):
            end = first + len(batch)
            query = "SELECT row FROM duplicates WHERE row >= ? AND row < ?"
            found = database.execute(query, [first, end]).fetchnumpy()

            left = np.delete(np.arange(len(batch)), found["row"] - first)
            writer.write_batch(batch.take(left))
            first = end

        _log_replaced(database, counts)

    return unique


def _find_duplicates(
    database: duckdb.DuckDBPyConnection, file: Path, table: Table
) -> int:
    """Make a table of the rows whose key another row has that is kept instead.

    Returns their number. Only keys with the same hash as another are compared.
    """
    pa.default_memory_pool().release_unused()  # makes room for DuckDB

    key = ", ".join(map(quote_name, table.key))
    winner = "max" if table.keep == "last" else "min"
    database.execute(
        f"""
        CREATE TABLE duplicates AS
        SELECT file_row_number AS row, {winner}(file_row_number) OVER same AS winner
        FROM read_parquet($1, file_row_number = true)
        WHERE hash({key}) IN (
            SELECT hash({key}) FROM read_parquet($1) GROUP BY ALL HAVING count(*) > 1
        )
        WINDOW same AS (PARTITION BY {key})
        QUALIFY row <> winner
        """,
        [str(file)],
    )

    return len(database.table("duplicates"))


def _log_replaced(database: duckdb.DuckDBPyConnection, counts: pd.DataFrame) -> None:
    """Log how many rows of a source were replaced by rows of another."""
    parts = counts[["source"]].assign(end=counts["kept"].cumsum())
    parts = parts.drop_duplicates("end")  # without empty parts
    database.register("parts", pa.Table.from_pandas(parts))

    replaced = database.sql(
        """
        SELECT count(*), loser.source, winner.source
        FROM duplicates
        ASOF JOIN parts AS loser ON duplicates.row < loser.end
        ASOF JOIN parts AS winner ON duplicates.winner < winner.end
        WHERE loser.source <> winner.source
        GROUP BY ALL ORDER BY count(*) DESC LIMIT 20
        """
    )

    for found in replaced.fetchall():
        log.info("replaced: %d rows of %s by rows of %s", *found)
