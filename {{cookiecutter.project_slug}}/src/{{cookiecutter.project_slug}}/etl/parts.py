"""Process a table part by part, in bounded memory, and join the parts.

A part is what became of some of the rows: a file of those that were kept, a CSV file of
those that were rejected, and how many there are of each. Parts can be made one after
the other or in parallel; what is joined from them in their order is the same.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

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

LINE_END = "\r\n"  # of rejected rows: with \n, Python leaves a cell with a \r unquoted
MEMORY = "160MB"  # of DuckDB; what needs more is kept in files meanwhile


Replaced = tuple[str, str]  # the source of a row, and that of the row kept instead


class Processed(NamedTuple):
    """What became of a batch of rows."""

    kept: pa.Table
    result: Transformed


class Part(NamedTuple):
    """The number of a part, its source, and how many rows there are of each sort.

    `reasons` counts cells at fault by column and check, and malformed lines; `emptied`
    counts cells that were set to missing.
    """

    number: int
    source: str
    rows: int
    kept: int
    rejected: int
    reasons: Counter[str]
    emptied: Counter[str]


def clean(raw: RawData, table: Table) -> Processed:
    """Clean a batch of rows of the table."""
    result = transform(raw.rows, table)
    nothing = {each.name: pd.Series(dtype=DTYPES[each.kind]) for each in table.columns}
    types = pa.Schema.from_pandas(pd.DataFrame(nothing), preserve_index=False)
    kept = pa.Table.from_pandas(result.kept, types, preserve_index=False)
    return Processed(kept, result)


def write_part(
    numbered: tuple[int, RawData],
    folder: Path,
    process: Callable[[RawData], Processed],
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
        file = name_part(Path(own), number, suffix)
        if suffix == ".csv":
            file.write_bytes(format_csv(kept))
        else:
            pq.write_table(kept, file)
        write_csv(rejected, name_part(Path(own), number, ".rejected"))
        for whole in Path(own).iterdir():
            whole.replace(folder / whole.name)
    reasons = Counter([*_describe(result.problems), *raw.broken["reason"]])
    emptied = Counter(_describe(result.emptied))
    rows = len(raw.rows) + len(raw.broken)
    return Part(number, raw.source, rows, len(kept), len(rejected), reasons, emptied)


def name_part(folder: Path, number: int, suffix: str = ".parquet") -> Path:
    """Return the file of a part's kept rows, or of the rejected ones."""
    return folder / f"part-{number:06}{suffix}"


def _describe(problems: pd.DataFrame) -> pd.Series:
    """Return each problem without the value that has it."""
    return problems["column"] + ": " + problems["check"]


def list_rejected(raw: RawData, reasons: pd.Series) -> pd.DataFrame:
    """Return what was rejected: its place, the reason, and the cells as they are.

    A malformed line is whole in the last column, `raw`.
    """
    rejected = raw.places.loc[reasons.index].assign(reason=reasons)
    places = pd.concat([rejected, raw.broken.drop(columns="raw")], ignore_index=True)
    cells = raw.rows.loc[reasons.index].reset_index(drop=True)
    lines = raw.broken["raw"].set_axis(places.index[len(cells) :])
    table = pd.concat([places, cells, lines], axis=1)
    table.columns = name_rejected(cells.columns)
    return table.loc[places.sort_values("line", kind="stable").index]


def name_rejected(columns: Iterable[str]) -> list[str]:
    """Return the header of rejected rows with these columns."""
    names = list(columns)
    places = [name_new(name, names) for name in ("source", "line", "reason")]
    return [*places, *names, name_new("raw", names)]


def name_new(name: str, taken: Sequence[str]) -> str:
    """Return a name for a new column that none of the others has."""
    while name in taken:
        name += "_"
    return name


def write_csv(rows: pd.DataFrame, file: Path, header: bool = False) -> None:
    """Write rows as CSV with texts of any kind."""
    rows.to_csv(
        file, header=header, index=False, encoding="utf-8", lineterminator=LINE_END
    )


def format_csv(rows: pa.Table) -> pa.Buffer:
    """Return rows as lines of CSV, all texts in quotes if one of them needs it."""
    for quotes in ("none", "needed"):
        lines = pa.BufferOutputStream()
        options = pa.csv.WriteOptions(include_header=False, quoting_style=quotes)
        try:
            pa.csv.write_csv(rows, lines, options)
            break
        except pa.ArrowInvalid:  # a cell has a comma, a quote or a line end
            continue
    return lines.getvalue()


def join_csv(
    parts: Sequence[Part],
    folder: Path,
    suffix: str,
    header: Sequence[str],
    output: Path,
) -> None:
    """Write the files of all parts into one CSV file."""
    write_csv(pd.DataFrame(columns=list(header)), output, header=True)
    with output.open("ab") as joined:
        for part in parts:
            with name_part(folder, part.number, suffix).open("rb") as rows:
                shutil.copyfileobj(rows, joined)


def save_rejected(
    parts: Sequence[Part], folder: Path, columns: Sequence[str], output: Path
) -> None:
    """Write the rejected rows of all parts into one CSV file."""
    with write_atomically(output) as file:
        join_csv(parts, folder, ".rejected", name_rejected(columns), file)


def join_parts(
    parts: Sequence[Part], folder: Path, output: Path, table: Table | None = None
) -> Counter[Replaced]:
    """Write the kept rows of all parts into one Parquet file, a key of the table once.

    Returns how many rows were left out, here or before.
    """
    files = [name_part(folder, part.number) for part in parts]
    has_key = table is not None and table.key
    search = find_duplicates(files, folder, table) if has_key else nullcontext()
    replaced = Counter[Replaced]()
    types = pq.read_schema(files[0])
    with search as database, pq.ParquetWriter(output, types) as writer:
        for part, file in zip(parts, files, strict=True):
            rows = winners = np.array([], dtype=int)
            if database:
                query = "SELECT row, winner FROM duplicates WHERE part = $part"
                found = database.execute(query, {"part": part.number}).fetchnumpy()
                rows, winners = found["row"], found["winner"]
            _copy_rows(file, rows, writer)
            replaced.update((part.source, parts[n].source) for n in winners)
            before = part.rows - part.kept - part.rejected
            replaced[part.source, part.source] += before
    return +replaced


def _copy_rows(file: Path, without: np.ndarray, writer: pq.ParquetWriter) -> None:
    """Copy a Parquet file, without some of its rows."""
    first = 0
    with pq.ParquetFile(file) as rows:
        for batch in rows.iter_batches(BATCH_ROWS):
            numbers = np.arange(first, first + len(batch))
            writer.write_batch(batch.filter(pa.array(~np.isin(numbers, without))))
            first += len(batch)


def find_duplicates(
    files: Sequence[Path], folder: Path, table: Table
) -> closing[duckdb.DuckDBPyConnection]:
    """Find the rows whose key another row has that is kept instead.

    Returns a database with the table `duplicates`: part, row, winner (a part). What its
    memory can't hold is in the folder.
    """
    pa.default_memory_pool().release_unused()  # for DuckDB
    config = {"memory_limit": MEMORY, "temp_directory": f"{folder}/spilled"}
    database = duckdb.connect(f"{folder}/duplicates", config=config | {"threads": 2})
    key = ", ".join(map(quote_name, table.key))
    order = "DESC" if table.keep == "last" else "ASC"
    database.execute(
        f"""
        CREATE TABLE duplicates AS
        WITH rows AS (
            SELECT {key}, file_row_number AS row,
                parse_filename(filename)[6:11]::INTEGER AS part
            FROM read_parquet($files, filename = true, file_row_number = true)
        ), ranked AS (
            SELECT part, row, row_number() OVER same AS rank,
                first_value(part) OVER same AS winner
            FROM rows
            WINDOW same AS (PARTITION BY {key} ORDER BY part {order}, row {order})
        )
        SELECT part, row, winner FROM ranked WHERE rank > 1
        """,
        {"files": list(map(str, files))},
    )
    return closing(database)
