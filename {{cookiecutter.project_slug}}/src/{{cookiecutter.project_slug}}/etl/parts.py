"""Process a table part by part, in bounded memory, and write what became of its rows.

A part is a batch of rows that was processed. Parts can be made one after the other or
in parallel: what is written from them, in their order, is the same.
"""

import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..data_preprocessing import Transformed, transform
from ..schema import DTYPES, Table
from ..utils import UserError, quote_name, write_atomically
from .raw_csv import RawData
from .raw_data import BATCH_ROWS
from .sources import open_duckdb

MEMORY = "160MB"  # of DuckDB; what needs more is kept in files meanwhile

Process = Callable[[RawData], tuple[pa.Table, Transformed]]
Replaced = Counter[tuple[str, str]]  # by the sources of rows and of those kept instead


class Part(NamedTuple):
    """The source of some rows, and how many there are of each sort.

    `reasons` counts cells at fault by column and check, and malformed lines.
    """

    source: str
    rows: int
    kept: int
    rejected: int
    reasons: Counter[str]


Made = tuple[Part, pa.Table, pd.DataFrame]  # with the rows: the kept, the rejected


def clean(raw: RawData, table: Table) -> tuple[pa.Table, Transformed]:
    """Clean a batch of rows of the table; the types do not depend on the rows."""
    result = transform(raw.rows, table)
    nothing = {each.name: pd.Series(dtype=DTYPES[each.kind]) for each in table.columns}
    types = pa.Schema.from_pandas(pd.DataFrame(nothing), preserve_index=False)
    return pa.Table.from_pandas(result.kept, types, preserve_index=False), result


def make_part(raw: RawData, process: Process) -> Made:
    """Process a batch of rows."""
    kept, result = process(raw)
    rejected = list_rejected(raw, result.rejected)
    reasons = Counter(result.problems["column"] + ": " + result.problems["check"])
    reasons.update(raw.broken["reason"])
    rows = len(raw.rows) + len(raw.broken)
    return Part(raw.source, rows, len(kept), len(rejected), reasons), kept, rejected


def list_rejected(raw: RawData, reasons: pd.Series) -> pd.DataFrame:
    """Return what was rejected: its place, the reason, and the cells as they are.

    A malformed line is whole in the last column, `raw`.
    """
    columns = raw.rows.columns.tolist()
    names = [name_new(name, columns) for name in ("source", "line", "reason", "raw")]
    places = raw.places.loc[reasons.index].assign(reason=reasons)
    cells = raw.rows.loc[reasons.index].set_axis(range(len(columns)), axis=1)
    rejected = pd.concat([pd.concat([places, cells], axis=1), raw.broken])
    rejected = rejected.sort_values("line", kind="stable")
    return rejected.set_axis([*names[:3], *columns, names[3]], axis=1)


def write_parts(
    made: Iterable[Made], open_writer: Any, folder: Path, origin: str
) -> list[Part]:
    """Write the kept and the rejected rows of all parts into two files of the folder.

    Raises UserError if there are no rows.
    """
    parts: list[Part] = []
    filled = (each for each in made if each[0].rows)
    first = next(filled, None)
    if first is None:
        raise UserError(f"{origin} has a header but no rows")
    with (
        open_writer(folder / "kept", first[1].schema) as writer,
        (folder / "rejected").open("w", encoding="utf-8", newline="") as file,
    ):
        for part, kept, rejected in chain([first], filled):
            writer.write_table(kept)
            # With \n at their ends, Python leaves a cell with a \r unquoted.
            rejected.to_csv(file, header=not parts, index=False, lineterminator="\r\n")
            parts.append(part)
    return parts


def save_rejected(
    folder: Path, output: Path, parts: Iterable[Part], log: logging.Logger
) -> None:
    """Put the rejected rows of all parts in their place."""
    with write_atomically(output) as file:
        shutil.copyfile(folder / "rejected", file)
    count = sum(part.rejected for part in parts)
    log.info("rejected: %d rows to %s", count, output)


def name_new(name: str, taken: Iterable[str]) -> str:
    """Return a name for a new column that none of the others has."""
    return name_new(f"{name}_", taken) if name in taken else name


def count_reasons(parts: Iterable[Part]) -> list[tuple[str, int]]:
    """Return the reasons why rows were rejected, the most frequent first."""
    return sum((part.reasons for part in parts), Counter[str]()).most_common()


def drop_duplicates(
    kept: Path, parts: Sequence[Part], table: Table
) -> tuple[Path, Replaced]:
    """Copy the kept rows of all parts, but of those with the same key only one.

    Returns the new file and how many rows were left out, here or before.
    """
    replaced = Replaced()
    if not table.key:
        return kept, replaced
    for part in parts:
        replaced[part.source, part.source] += part.rows - part.kept - part.rejected
    ends, first = np.cumsum([part.kept for part in parts]), 0
    output = kept.with_name("unique")
    with (
        open_duckdb(MEMORY, kept.parent) as database,
        pq.ParquetFile(kept) as rows,
        pq.ParquetWriter(output, rows.schema_arrow) as writer,
    ):
        find_duplicates(database, kept, table)
        for batch in rows.iter_batches(BATCH_ROWS):
            query = "SELECT row, winner FROM duplicates WHERE row >= ? AND row < ?"
            numbers = np.arange(first, first + len(batch))
            found = database.execute(query, [first, first + len(batch)]).fetchnumpy()
            is_kept = ~np.isin(numbers, found["row"])
            writer.write_batch(batch.filter(pa.array(is_kept)))
            places = [np.searchsorted(ends, found[each], "right") for each in found]
            pairs = zip(*places, strict=True)
            replaced.update((parts[a].source, parts[b].source) for a, b in pairs)
            first += len(batch)
    return output, +replaced


def find_duplicates(database: Any, file: Path, table: Table) -> None:
    """Make a table of the rows whose key another row has that is kept instead."""
    pa.default_memory_pool().release_unused()  # for DuckDB
    winner = "max" if table.keep == "last" else "min"
    database.execute(
        f"""
        CREATE TABLE duplicates AS
        SELECT file_row_number AS row, {winner}(file_row_number) OVER same AS winner
        FROM read_parquet(?, file_row_number = true)
        WINDOW same AS (PARTITION BY {", ".join(map(quote_name, table.key))})
        QUALIFY row <> winner
        """,
        [str(file)],
    )
