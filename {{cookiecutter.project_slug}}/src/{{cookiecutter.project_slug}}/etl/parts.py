"""Clean a table part by part, in bounded memory, and put the parts together without duplicates.

A part is what became of some of the rows: a Parquet file of those that were kept, a CSV file of
those that were rejected, and how many there were of each. Parts can be made one after another or
beside each other; what is put together from them in their order is the same.
"""

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..data_preprocessing import transform
from ..schema import Table
from ..utils import write_atomically
from .raw_data import RawData, list_rejected

BATCH_ROWS = 100_000  # that are copied at once
LINE_END = (
    "\r\n"  # of rejected rows; with \n alone Python leaves a cell with a \r unquoted
)
MEMORY = "160MB"  # of DuckDB; what needs more is kept in files meanwhile


class Part(NamedTuple):
    """The number of a part, how many rows it has of each sort, and why rows were rejected.

    `reasons` counts the cells at fault by column and check, and the lines that are no row.
    """

    number: int
    kept: int
    rejected: int
    duplicates: int
    reasons: Counter[str]


def name_part(folder: Path, number: int) -> Path:
    """Return the file of a part's kept rows; those that were rejected are in a .csv beside it."""
    return folder / f"part-{number:06}.parquet"


def write_part(
    number: int,
    batches: Iterable[RawData],
    folder: Path,
    table: Table,
) -> Part:
    """Clean batches of rows, and write what became of them into the folder.

    The files get their names when they are whole: a worker that is cut off may still be writing
    while another does the same part again.
    """
    nothing = pd.DataFrame(
        columns=[column.name for column in table.columns], dtype="str"
    )
    types = pa.Schema.from_pandas(transform(nothing, table).kept, preserve_index=False)
    counts, reasons = np.zeros(3, int), Counter[str]()
    with TemporaryDirectory(dir=folder) as own:
        file = name_part(Path(own), number)
        rejects = file.with_suffix(".csv").open("w", encoding="utf-8", newline="")
        with pq.ParquetWriter(file, types) as kept, rejects:
            for raw in batches:
                result = transform(raw.rows, table)
                kept.write_table(
                    pa.Table.from_pandas(result.kept, types, preserve_index=False)
                )
                rejected = list_rejected(raw, result.rejected)
                rejected.to_csv(
                    rejects, index=False, header=False, lineterminator=LINE_END
                )
                counts += len(result.kept), len(rejected), len(result.duplicates)
                reasons.update(
                    result.problems["column"] + ": " + result.problems["check"]
                )
                reasons.update(raw.broken["reason"])
        for whole in (file, file.with_suffix(".csv")):
            whole.replace(folder / whole.name)
    kept_rows, rejected_rows, duplicates = counts.tolist()
    return Part(number, kept_rows, rejected_rows, duplicates, reasons)


def find_duplicates(
    parts: Sequence[Part], folder: Path, key: Sequence[str]
) -> duckdb.DuckDBPyConnection:
    """Find the rows whose key stood in a row before, over all parts.

    Returns a database with the table `duplicates`: part, row. It lies in the folder, as does all
    that DuckDB can't hold in its memory.
    """
    pa.default_memory_pool().release_unused()  # what the cleaning needed is for DuckDB now
    database = duckdb.connect(
        str(folder / "duplicates.duckdb"),
        config={
            "memory_limit": MEMORY,
            "temp_directory": str(folder / "spilled"),
            "threads": 2,
        },
    )
    columns = ", ".join('"' + name.replace('"', '""') + '"' for name in key)
    database.execute(
        f"""
        CREATE TABLE duplicates AS
        WITH rows AS (
            SELECT {columns}, file_row_number AS row,
                parse_filename(filename)[6:11]::INTEGER AS part
            FROM read_parquet($files, filename = true, file_row_number = true)
        ), counted AS (
            SELECT part, row, row_number() OVER (PARTITION BY {columns} ORDER BY part, row) AS nth
            FROM rows
        )
        SELECT part, row FROM counted WHERE nth > 1
        """,
        {"files": [str(name_part(folder, part.number)) for part in parts]},
    )
    return database


def read_unique(
    part: Part, folder: Path, database: duckdb.DuckDBPyConnection | None
) -> Iterator[pa.RecordBatch]:
    """Read the rows of a part without those that are duplicates."""
    duplicates: Any = []
    if database:
        query = "SELECT row FROM duplicates WHERE part = $part"
        duplicates = database.execute(query, {"part": part.number}).fetchnumpy()["row"]
    with pq.ParquetFile(name_part(folder, part.number)) as file:
        start = 0
        for batch in file.iter_batches(BATCH_ROWS):
            rows = np.arange(start, start := start + len(batch))
            yield batch.filter(pa.array(~np.isin(rows, duplicates)))


def join_parts(
    parts: Sequence[Part], folder: Path, key: Sequence[str], one_file: bool
) -> tuple[Path, int]:
    """Put the kept rows of all parts together, without duplicates.

    Returns one Parquet file, or a folder with a file for each part; and its number of rows.
    """
    types = pq.read_schema(name_part(folder, parts[0].number))
    joined, rows = folder / "joined", 0
    if not one_file:
        joined.mkdir()
    groups = [parts] if one_file else [[part] for part in parts]
    with find_duplicates(parts, folder, key) if key else nullcontext() as database:
        for group in groups:
            output = joined if one_file else name_part(joined, group[0].number)
            with pq.ParquetWriter(output, types) as writer:
                for part in group:
                    for batch in read_unique(part, folder, database):
                        writer.write_batch(batch)
                        rows += len(batch)
    return joined, rows


def join_rejected(parts: Sequence[Part], folder: Path, output: Path) -> None:
    """Write the rejected rows of all parts into one CSV file."""
    columns = pq.read_schema(name_part(folder, parts[0].number)).names
    header = pd.DataFrame(columns=["source", "line", "reason", *columns, "raw"])
    with write_atomically(output) as file:
        header.to_csv(file, index=False, encoding="utf-8", lineterminator=LINE_END)
        with file.open("ab") as joined:
            for part in parts:
                with (
                    name_part(folder, part.number)
                    .with_suffix(".csv")
                    .open("rb") as rows
                ):
                    shutil.copyfileobj(rows, joined)
