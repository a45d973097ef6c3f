"""Read raw rows as they are, from files or a query, in batches, each with its place."""

import re
from collections.abc import Iterable, Iterator, Sequence
from glob import glob
from itertools import chain
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from ..config import Config, TableConfig
from ..utils import UserError, nearest, quote_name
from .databases import BATCH_ROWS, connect, open_duckdb
from .raw_csv import Opened, RawData, name_columns, open_csv, reading

MEMORY_FOR_QUERY = "300MB"  # limit for DuckDB, which then uses temporary files


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


def read_batches(
    files: Sequence[Path],
    columns: Sequence,
    config: TableConfig,
    optional: Sequence = (),
) -> Iterator[RawData]:
    """Read files, one after the other, in bounded memory: CSV, Parquet or Excel.

    Without `columns`, the columns of the first file are expected. With `optional`
    columns, which may be missing, every batch has all columns that any file has. Raises
    UserError before the first row if a file has other columns.
    """
    headers = [open_file(path, config)[0] for path in files]

    names = list(columns or headers[0])
    for path, header in zip(files, headers, strict=True):
        check_header(path, header, names, optional, config.separator)

    if optional:
        names = list(dict.fromkeys(chain(*headers)))

    for path in files:
        with reading(path):
            for batch in open_file(path, config)[1]:
                rows = batch.rows.reindex(columns=names).astype("str")
                yield batch._replace(rows=rows)


def find_files(pattern: str) -> list[Path]:
    """Return the files that match; a file's own name means that file.

    They are sorted by their names up to the first dot: data.csv is before data-2.csv.
    Raises UserError if there is none, or if the pattern is a folder.
    """
    path = Path(pattern)
    if path.is_dir():
        raise UserError(f'{pattern} is a folder; give its files, as in "{pattern}/*"')

    if path.is_file():
        return [path]

    names = glob(pattern, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    files = [path for path in map(Path, names) if path.is_file()]
    files.sort(key=lambda path: (path.parent, path.name.partition(".")))
    if not files:
        raise UserError(
            f"no file matches {pattern}; check the path, or `paths.raw` in config.yaml"
        )

    return files


def open_file(path: Path, config: TableConfig) -> Opened:
    """Return the header of a file, and its rows in batches.

    The first bytes say what the file is: names may be wrong.
    """
    with reading(path):
        with path.open("rb") as file:
            beginning = file.read(4)

        if beginning in (b"PK\3\4", b"\xd0\xcf\x11\xe0"):
            return _open_excel(path, config)
        if beginning != b"PAR1":
            return open_csv(path, config)

        table = pa.parquet.ParquetFile(path)
        header = name_columns(table.schema_arrow.names)
        batches = table.iter_batches(BATCH_ROWS)

        return header, read_arrow(path.name, batches, header, config.decimal)


def read_arrow(
    source: str, batches: Iterable, header: list, decimal: str
) -> Iterator[RawData]:
    """Return rows of any types as text, numbered from 1.

    Missing values stay missing.
    """
    first = 1
    for batch in batches:
        texts = [_write_as_text(column, decimal) for column in batch.columns]
        rows = pd.concat(texts, axis=1).set_axis(header, axis=1)
        rows.index += first

        yield RawData(rows.mask(rows == "nan"), source=source)
        first += len(rows)


def _write_as_text(column: pa.Array, decimal: str) -> pd.Series:
    """Return values of any type as the text that they would be in a CSV file."""
    try:
        texts = column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # lists, bytes and the like
        return column.to_pandas().map(str, na_action="ignore")

    if pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        texts = pa.compute.replace_substring(texts, ".", decimal)

    return texts.to_pandas()


def _open_excel(path: Path, config: TableConfig) -> Opened:
    """Return the first row of a sheet of an Excel file, and the others as text."""
    cells = pd.read_excel(
        path,
        config.sheet or 0,
        header=None,
        dtype=object,
        na_filter=False,
        engine="calamine",
    )
    texts = cells.map(write_cell, decimal=config.decimal).astype("str")
    header = name_columns(texts.iloc[0] if len(texts) else [])

    rows = texts[1:].set_axis(header, axis=1)
    rows = rows[(rows != "").any(axis=1)]
    rows.index += 1

    return header, iter([RawData(rows, source=path.name)])


def write_cell(cell: object, decimal: str) -> str:
    """Return a cell of a sheet as the text that it would be in a CSV file."""
    if isinstance(cell, float):
        return str(cell).replace(".", decimal)

    return str(cell).removesuffix(" 00:00:00")  # a date


def check_header(
    path: Path, header: list, columns: list, optional: Sequence, separator: str
) -> None:
    """Refuse a file whose columns are not the schema's, and name each that differs."""
    if not header:
        raise UserError(f"{path} is empty; it must begin with a line of column names")

    missing = [name for name in columns if name not in header]
    if missing and len(header) == 1 and re.search(r"[,;\t|]", header[0]):
        raise UserError(
            f"{path} is not separated by {separator!r} in its first line, "
            f"{header[0][:80]!r}; set `separator` in config.yaml"
        )

    unknown = [name for name in header if name not in (*columns, *optional)]
    twice = {name for name in header if header.count(name) > 1}
    problems = [
        *(f"no column {name!r}{nearest(name, unknown)}" for name in missing),
        *(f"unknown column {name!r}" for name in unknown),
        *(f"column {name!r} twice" for name in sorted(twice)),
    ]
    if problems:
        raise UserError(f"{path} has other columns: {'; '.join(problems)}")


def _read_query(
    config: Config, query: Path, columns: list, folder: Path | None
) -> Iterator[RawData]:
    """Read the malformed lines of the files that a query uses, and then its rows."""
    database, table = config.source.database, config.table
    opened = connect(database) if database else open_duckdb(MEMORY_FOR_QUERY, folder)
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
