"""Process a table part by part, in bounded memory, and join the parts.

A part is what became of some of the rows: a file of those that were kept, a CSV file of
those that were rejected, and how many there are of each. Parts can be made one after
the other or in parallel; what is joined from them in their order is the same.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from ..data_preprocessing import Transformed, transform
from ..schema import DTYPES, Table
from ..utils import quote_name, write_atomically
from .raw_data import BATCH_ROWS, RawData

# Of CSV files. With \n at their ends, Python leaves a cell with a \r unquoted.
FORMAT: Any = {"index": False, "encoding": "utf-8", "lineterminator": "\r\n"}
MEMORY = "160MB"  # of DuckDB; what needs more is kept in files meanwhile

Process = Callable[[RawData], tuple[pa.Table, Transformed]]
Replaced = Counter[tuple[str, str]]  # by the sources of rows and of those kept instead


class Part(NamedTuple):
    """The number of a part, its source, and how many rows there are of each sort.

    `reasons` counts cells at fault by column and check, and malformed lines.
    """

    number: int
    source: str
    rows: int
    kept: int
    rejected: int
    reasons: Counter[str]


def clean(raw: RawData, table: Table) -> tuple[pa.Table, Transformed]:
    """Clean a batch of rows of the table; the types do not depend on the rows."""
    result = transform(raw.rows, table)
    nothing = {each.name: pd.Series(dtype=DTYPES[each.kind]) for each in table.columns}
    types = pa.Schema.from_pandas(pd.DataFrame(nothing), preserve_index=False)
    return pa.Table.from_pandas(result.kept, types, preserve_index=False), result


def write_part(
    numbered: tuple[int, RawData],
    folder: Path,
    process: Process,
    suffix: str = ".parquet",
) -> Part:
    """Process a batch of rows, and write what became of them into the folder.

    The files get their names when they are whole: a worker that is cut off may still be
    writing while another one makes the same part again.
    """
    number, raw = numbered
    kept, result = process(raw)
    rejected = list_rejected(raw, result.rejected)
    with TemporaryDirectory(dir=folder) as own:
        write = pq.write_table if suffix == ".parquet" else write_csv
        write(kept, f"{own}/{number}{suffix}")
        rejected.to_csv(f"{own}/{number}.rejected", header=False, **FORMAT)
        for file in Path(own).iterdir():
            file.replace(folder / file.name)
    reasons = Counter(result.problems["column"] + ": " + result.problems["check"])
    reasons.update(raw.broken["reason"])
    rows = len(raw.rows) + len(raw.broken)
    return Part(number, raw.source, rows, len(kept), len(rejected), reasons)


def list_rejected(raw: RawData, reasons: pd.Series) -> pd.DataFrame:
    """Return what was rejected: its place, the reason, and the cells as they are.

    A malformed line is whole in the last column, `raw`.
    """
    rejected = raw.places.loc[reasons.index].assign(reason=reasons)
    places = pd.concat([rejected, raw.broken.drop(columns="raw")], ignore_index=True)
    cells = raw.rows.loc[reasons.index].reset_index(drop=True)
    lines = raw.broken["raw"].set_axis(places.index[len(cells) :])
    table = pd.concat([places, cells, lines], axis=1)
    return table.loc[places.sort_values("line", kind="stable").index]


def name_new(name: str, taken: Iterable[str]) -> str:
    """Return a name for a new column that none of the others has."""
    return name_new(f"{name}_", taken) if name in taken else name


def write_csv(rows: pa.Table, file: str) -> None:
    """Write rows as lines of CSV, all texts in quotes if one of them needs it."""
    try:
        options = pa.csv.WriteOptions(include_header=False, quoting_style="none")
        pa.csv.write_csv(rows, file, options)
    except pa.ArrowInvalid:  # a cell has a comma, a quote or a line end
        options = pa.csv.WriteOptions(include_header=False)
        pa.csv.write_csv(rows, file, options)


def join_csv(
    parts: Sequence[Part],
    folder: Path,
    suffix: str,
    header: Sequence[str],
    output: Path,
) -> None:
    """Write the CSV files of all parts into one."""
    pd.DataFrame(columns=list(header)).to_csv(output, **FORMAT)
    with output.open("ab") as joined:
        for part in parts:
            with (folder / f"{part.number}{suffix}").open("rb") as rows:
                shutil.copyfileobj(rows, joined)


def save_rejected(
    parts: Sequence[Part], folder: Path, columns: Sequence[str], output: Path
) -> None:
    """Write the rejected rows of all parts into one CSV file."""
    header = [name_new(name, columns) for name in ("source", "line", "reason")]
    header += [*columns, name_new("raw", columns)]
    with write_atomically(output) as file:
        join_csv(parts, folder, ".rejected", header, file)


def join_parts(
    parts: Sequence[Part], folder: Path, output: Path, table: Table | None = None
) -> Replaced:
    """Write the kept rows of all parts into one Parquet file, a key of the table once.

    Returns how many rows were left out, here or before.
    """
    files = [folder / f"{part.number}.parquet" for part in parts]
    replaced = Replaced()
    key = table.key if table else ()
    order = "DESC" if table and table.keep == "last" else "ASC"
    with (
        closing(find_duplicates(files, folder, key, order)) as duplicates,
        pq.ParquetWriter(output, pq.read_schema(files[0])) as writer,
    ):
        for part, file in zip(parts, files, strict=True):
            query = "SELECT row, winner FROM duplicates WHERE part = $part"
            found = duplicates.execute(query, {"part": part.number}).fetchnumpy()
            _copy_rows(file, found["row"], writer)
            replaced.update((part.source, parts[n].source) for n in found["winner"])
            replaced[part.source, part.source] += part.rows - part.kept - part.rejected
    return +replaced


def _copy_rows(file: Path, without: Any, writer: pq.ParquetWriter) -> None:
    """Copy a Parquet file, without some of its rows."""
    first = 0
    with pq.ParquetFile(file) as rows:
        for batch in rows.iter_batches(BATCH_ROWS):
            numbers = np.arange(first, first + len(batch))
            writer.write_batch(batch.filter(pa.array(~np.isin(numbers, without))))
            first += len(batch)


def find_duplicates(
    files: Sequence[Path], folder: Path, key: Sequence[str], order: str
) -> duckdb.DuckDBPyConnection:
    """Find the rows whose key another row has that comes first in the order.

    Returns a database with the table `duplicates`: part, row, winner (a part). What its
    memory can't hold is in the folder.
    """
    pa.default_memory_pool().release_unused()  # for DuckDB
    config: Any = {"memory_limit": MEMORY, "temp_directory": f"{folder}/spilled"}
    database = duckdb.connect(f"{folder}/duplicates", config=config | {"threads": 2})
    database.execute(
        "CREATE TABLE duplicates (part INTEGER, row BIGINT, winner INTEGER)"
    )
    if not key:
        return database
    columns = ", ".join(map(quote_name, key))
    database.execute(
        f"""
        INSERT INTO duplicates
        WITH rows AS (
            SELECT {columns}, file_row_number AS row,
                parse_filename(filename, true)::INTEGER AS part
            FROM read_parquet($files, filename = true, file_row_number = true)
        ), ranked AS (
            SELECT part, row, first_value(part) OVER same AS winner,
                row_number() OVER same AS rank
            FROM rows
            WINDOW same AS (PARTITION BY {columns} ORDER BY part {order}, row {order})
        )
        SELECT part, row, winner FROM ranked WHERE rank > 1
        """,
        {"files": list(map(str, files))},
    )
    return database
