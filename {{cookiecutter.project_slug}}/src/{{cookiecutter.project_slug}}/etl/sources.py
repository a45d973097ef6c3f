"""Read the project's rows from files or a query, and load tables into databases."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..config import Config, SinkConfig, TableConfig
from ..utils import UserError, quote_name
from .raw_csv import Lines, name_columns
from .raw_data import (
    BATCH_ROWS,
    RawData,
    check_header,
    find_files,
    join_batches,
    name_places,
    number_rows,
    open_file,
    read_batches,
)

MEMORY = "300MB"  # of DuckDB; what needs more is kept in files meanwhile
PASSWORD = re.compile(r"//[^/@:]*:[^$@/][^/@]*@")
VARIABLE = re.compile(r"\$\{(\w+)\}")


def read_source(
    config: Config,
    columns: Sequence[str] = (),
    pattern: str | None = None,
    folder: Path | None = None,
) -> Iterator[RawData]:
    """Read the rows, in bounded memory: from the files that match, or from the source.

    Without `columns`, those that are found count. What a query over files needs beyond
    its memory is kept in the folder, by default the system's own.
    """
    if config.source.query and not pattern:
        return read_query(config, config.source.query, list(columns), folder)
    files = find_files(pattern or config.paths.raw)
    return read_batches(files, list(columns), config.table)


def load_source(config: Config, columns: Sequence[str] = ()) -> RawData:
    """Read at once all rows of the source that config.yaml names."""
    return join_batches(read_source(config, columns), name_source(config))


def name_source(config: Config, pattern: str | None = None) -> str:
    """Return what a person calls the source."""
    return pattern or str(config.source.query or config.paths.raw)


def read_query(
    config: Config, query: Path, columns: list[str], folder: Path | None
) -> Iterator[RawData]:
    """Read the rows of a query, and the malformed lines of the files that it uses."""
    try:
        sql = query.read_text(encoding="utf-8").strip().removesuffix(";")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"can't read the query {query}: {error}") from error
    database, broken = config.source.database, list[RawData]()
    with connect(database) if database else connect_files(folder) as cursor:
        if database:
            cursor.execute(sql)
            batches = cursor.fetch_record_batch()
        else:
            files = find_tables(sql, Path(config.paths.raw).parent)
            broken = [copy_file(cursor, file, config.table) for file in files]
            batches = cursor.sql(sql).to_arrow_reader(BATCH_ROWS)
        header = name_columns(batches.schema.names)
        columns = columns or header
        check_header(query, header, columns, (), config.table.separator)
        nothing = pd.DataFrame(columns=columns, dtype="str")
        yield from (lines._replace(rows=nothing) for lines in broken)
        for lines in number_rows(query, combine(batches), header, config.table):
            batch = name_places(lines, query.name)
            yield batch._replace(rows=batch.rows[columns])


@contextmanager
def connect_files(folder: Path | None) -> Iterator[Any]:
    """Open a database for the tables of one query; an error is a UserError."""
    with TemporaryDirectory(dir=folder) as room:
        config: Any = {"memory_limit": MEMORY, "temp_directory": room}
        try:
            with duckdb.connect(f"{room}/tables", config=config) as database:
                yield database
        except duckdb.Error as error:
            reason = " ".join(str(error).split())
            raise UserError(f"the query fails: {reason}") from error


def find_tables(sql: str, folder: Path) -> list[Path]:
    """Return the files in a folder whose tables a query names."""
    files = sorted(file for file in folder.iterdir() if file.is_file())
    words = {file: re.escape(name_table(file)) for file in files}
    return [file for file in files if re.search(rf"(?<!\w){words[file]}(?!\w)", sql)]


def name_table(file: Path) -> str:
    """Return the name of a file's table: orders for orders.csv and orders.csv.gz."""
    return file.name.split(".")[0] or file.name


def copy_file(database: Any, file: Path, config: TableConfig) -> RawData:
    """Copy a file into a table of text, empty cells as NULL; return malformed lines."""
    header, batches = open_file(file, config)
    table, view = quote_name(name_table(file)), quote_name(file.name)
    columns = ", ".join(f"{quote_name(name)} VARCHAR" for name in header)
    database.execute(f"CREATE TABLE {table} ({columns})")
    database.execute(f"CREATE VIEW {view} AS SELECT * FROM {table}")
    broken = []
    for lines in batches:
        rows = lines.rows.mask(lines.rows == "")
        database.register("batch", pa.Table.from_pandas(rows, preserve_index=False))
        database.execute(f"INSERT INTO {table} SELECT * FROM batch")
        broken += lines.broken
    return name_places(Lines(pd.DataFrame(), [], broken), file.name)


def combine(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Join small batches into ones of a size that pays."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(map(len, waiting)) >= BATCH_ROWS:
            yield pa.concat_batches(waiting)
            waiting = []
    if waiting:
        yield pa.concat_batches(waiting)


@contextmanager
def connect(database: str) -> Iterator[Any]:
    """Connect to a database by ADBC, and commit at the end; an error is a UserError.

    ${NAME} in the address stands for an environment variable.
    """
    if PASSWORD.search(database):
        hint = "keep the password in an environment variable, such as ${DATABASE_URL}"
        raise UserError(f"config.yaml: database: {hint}")
    for name in VARIABLE.findall(database):
        if not os.environ.get(name):
            raise UserError(f"the environment variable {name} is not set")
    url = VARIABLE.sub(lambda match: os.environ[match[1]], database)
    kind = "postgresql" if url.startswith("postgres") else "sqlite"
    try:
        driver = import_module(f"adbc_driver_{kind}.dbapi")
    except ImportError as error:
        hint = "run: uv sync --extra database"
        raise UserError(f"there is no driver for {database}; {hint}") from error
    try:
        with driver.connect(url.removeprefix("sqlite:///")) as connection:
            with connection.cursor() as cursor:
                yield cursor
            connection.commit()
    except (driver.Error, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"database {database}: {reason}") from error


def fill_table(sink: SinkConfig, file: Path) -> None:
    """Replace all rows of a table by those of a Parquet file, in one transaction.

    A table that does not exist is created. Until the end readers see the old rows;
    views of the table, its indexes and permissions stay.
    """
    *schema, table = sink.table.split(".")
    name = ".".join(map(quote_name, [*schema, table]))
    place = {"db_schema_name": schema[0]} if schema else {}
    with connect(sink.database) as cursor, pq.ParquetFile(file) as rows:
        types = rows.schema_arrow.remove_metadata()
        cursor.adbc_ingest(table, types.empty_table(), mode="create_append", **place)
        cursor.execute(f"DELETE FROM {name}")
        batches = pa.RecordBatchReader.from_batches(
            types, rows.iter_batches(BATCH_ROWS)
        )
        cursor.adbc_ingest(table, batches, mode="append", **place)
