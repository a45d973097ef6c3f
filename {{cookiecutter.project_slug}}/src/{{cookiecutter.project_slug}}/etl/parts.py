"""Process a table part by part, in bounded memory, and write what became of its rows.

A part is a batch of rows that was processed. Parts can be made one after the other or
in parallel: what is written from them, in their order, is the same.
"""

import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from duckdb import DuckDBPyConnection
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from ..data_preprocessing import EMPTIED, OUT_OF_SCOPE
from ..schema import Table
from ..utils import UserError, quote_name, write_atomically
from .raw_csv import RawData
from .raw_data import BATCH_ROWS
from .sources import open_duckdb

MEMORY = "160MB"  # limit for DuckDB, which then uses temporary files
PARTS_BETWEEN_LOGS = 50

log = logging.getLogger("pipeline")


def make_part(raw: RawData, process: Callable) -> tuple:
    """Process a batch of rows, as `transform` does, and count what became of them.

    Returns the counts, the kept rows as a pa.Table, and the rejected rows.
    """
    result = process(raw.rows)
    rejected = _list_rejected(raw, result.rejected)

    reasons = Counter(result.problems["column"] + ": " + result.problems["check"])
    reasons.update(raw.broken["reason"])
    counts = {
        "source": raw.source,
        "rows": len(raw.rows) + len(raw.broken),
        "kept": len(result.kept),
        "rejected": len(rejected),
        "reasons": reasons,
    }

    return counts, pa.Table.from_pandas(result.kept, preserve_index=False), rejected


def _list_rejected(raw: RawData, reasons: pd.Series) -> pd.DataFrame:
    """Return what was rejected: its place, the reason, and the cells as they are.

    A malformed line is whole in the last column, `raw`.
    """
    names = ("source", "line", "reason", "raw")
    source, line, reason, text = (name_new(name, raw.rows) for name in names)

    places = {source: raw.source, line: reasons.index, reason: reasons}
    rows = pd.DataFrame(places).join(raw.rows)
    broken = raw.broken.set_axis([source, line, reason, text], axis=1)

    return pd.concat([rows, broken]).sort_values(line, kind="stable")


def name_new(name: str, taken: Iterable) -> str:
    """Return a name for a new column that none of the others has."""
    return name_new(f"{name}_", taken) if name in taken else name


def write_parts(
    parts: Iterable, open_writer: Callable, folder: Path, origin: str
) -> pd.DataFrame:
    """Write the kept and the rejected rows of all parts into two files of the folder.

    Returns the counts, a row for each part. Raises UserError if all parts are empty.
    """
    counts: list[dict] = []
    bar = tqdm(unit=" rows", unit_scale=True, disable=None)
    file = (folder / "rejected").open("w", encoding="utf-8", newline="")

    with bar, logging_redirect_tqdm(), file, ExitStack() as stack:
        for count, kept, rejected in parts:
            if not counts:
                new = open_writer(folder / "kept", kept.schema)
                writer = stack.enter_context(new)

            writer.write_table(kept)
            # With \n at their ends, Python leaves a cell with a \r unquoted.
            rejected.to_csv(file, header=not counts, index=False, lineterminator="\r\n")

            bar.update(count["rows"])
            counts.append(count)
            level = logging.DEBUG if len(counts) % PARTS_BETWEEN_LOGS else logging.INFO
            log.log(level, "part %d: %d rows kept", len(counts), count["kept"])

    if not any(count["rows"] for count in counts):
        raise UserError(f"{origin} has a header but no rows")

    return pd.DataFrame(counts)


def name_cause(reasons: Counter) -> str:
    """Return the most frequent reason why rows in scope were rejected."""
    return next(
        reason
        for reason, _ in reasons.most_common()
        if not reason.startswith(OUT_OF_SCOPE) and not reason.endswith(EMPTIED)
    )


def save_rejected(folder: Path, output: Path, counts: pd.DataFrame) -> None:
    """Put the rejected rows of all parts in their place."""
    with write_atomically(output) as file:
        shutil.copyfile(folder / "rejected", file)
    log.info("rejected: %d rows to %s", counts["rejected"].sum(), output)


def drop_duplicates(folder: Path, counts: pd.DataFrame, table: Table) -> Path:
    """Write only one of the rows with the same key; log which replaced which.

    Returns the file with the rows that are left: `kept` itself if there are no
    duplicates. Files are compared by DuckDB, in bounded memory.
    """
    kept, unique = folder / "kept", folder / "unique"
    if not table.key:
        return kept

    with (
        open_duckdb(MEMORY, folder) as database,
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

            is_unique = np.full(len(batch), True)
            is_unique[found["row"] - first] = False
            writer.write_batch(batch.filter(pa.array(is_unique)))
            first = end

        _log_replaced(database, counts)

    return unique


def _find_duplicates(database: DuckDBPyConnection, file: Path, table: Table) -> int:
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


def _log_replaced(database: DuckDBPyConnection, counts: pd.DataFrame) -> None:
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
