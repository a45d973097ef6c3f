"""Read the project's rows from files or a query, and load tables into databases."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..config import Config, SinkConfig, TableConfig
from ..utils import UserError, quote_name
from .raw_csv import RawData, name_columns, reading
from .raw_data import (
    BATCH_ROWS,
    check_header,
    find_files,
    open_file,
    read_arrow,
    read_batches,
)

MEMORY = "300MB"  # limit for DuckDB, which then uses temporary files
VARIABLE = re.compile(r"\$\{(\w+)\}")
PASSWORD = re.compile(r"//[^/@:]*:[^$@/][^/@]*@")


def name_source(config: Config, pattern: str | None = None) -> str:
    """Return the source's name for log lines."""
    return pattern or str(config.source.query or config.paths.raw)


def read_source(
    config: Config,
    columns: Sequence = (),
    pattern: str | None = None,
    folder: Path | None = None,
) -> Iterator[RawData]:
    """Read the rows, in bounded memory: from the files that match, or from the source.

    Without `columns`, all columns are read. A query over files keeps what exceeds its
    memory in the folder, by default the system's folder for temporary files.
    """
    if config.source.query and not pattern:
        return _read_query(config, config.source.query, list(columns), folder)
    return read_batches(find_files(pattern or config.paths.raw), columns, config.table)


def _read_query(
    config: Config, query: Path, columns: list, folder: Path | None
) -> Iterator[RawData]:
    """Read the malformed lines of the files that a query uses, and then its rows."""
    database, table = config.source.database, config.table
    opened = connect(database) if database else open_duckdb(MEMORY, folder)
    with reading(query), opened as cursor:
        sql = query.read_text(encoding="utf-8").strip().removesuffix(";")
        if database:
            cursor.execute(sql)
            batches = cursor.fetch_record_batch()
        else:
            for file in sorted(Path(config.paths.raw).parent.glob("[!.]*.*")):
                name = file.name.partition(".")[0]  # `orders` for orders.csv.gz
                if re.search(rf"\b{re.escape(name)}\b", sql, re.IGNORECASE):
                    yield from _copy_file(cursor, name, file, columns, table)
            batches = cursor.sql(sql).to_arrow_reader(BATCH_ROWS)

        header = name_columns(batches.schema.names)
        columns = columns or header
        check_header(query, header, columns, (), table.separator)

        for batch in read_arrow(query.name, batches, header, table.decimal):
            yield batch._replace(rows=batch.rows[columns])


def _copy_file(
    database: duckdb.DuckDBPyConnection,
    table: str,
    file: Path,
    columns: list,
    config: TableConfig,
) -> Iterator[RawData]:
    """Copy a file into a table of text, empty cells as NULL; give malformed lines."""
    names = ", ".join(f"{quote_name(name)} TEXT" for name in open_file(file, config)[0])
    database.execute(f"CREATE TABLE {quote_name(table)} ({names})")
    database.execute(f"CREATE VIEW {quote_name(file.name)} AS FROM {quote_name(table)}")

    nothing = pd.DataFrame(columns=columns, dtype="str")
    for batch in read_batches([file], [], config):
        database.append(table, batch.rows.mask(batch.rows == ""))
        yield batch._replace(rows=nothing)


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
