"""Read raw files as they are, a batch of rows at a time, each row with the place it came from."""

from collections.abc import Iterator, Sequence
from glob import glob
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from ..config import TableConfig
from ..utils import UserError, nearest
from .raw_csv import Lines, cannot_read, name_columns, open_text, read_csv, take_header

BATCH_ROWS = 100_000  # of Parquet that are read at once


class RawData(NamedTuple):
    """What stood in the files, row by row.

    `rows` holds text, one column for each of the schema's; `places` says for each of these rows
    its `source` (file name) and `line` (of Parquet: the row, counted from 1); `broken` holds what
    is no row at all, as it stood: columns `source`, `line`, `reason`, `raw`.
    """

    rows: pd.DataFrame
    places: pd.DataFrame
    broken: pd.DataFrame


def read_raw_data(
    pattern: str,
    columns: list[str],
    config: TableConfig,
    optional: tuple[str, ...] = (),
) -> RawData:
    """Read all that `read_batches` does at once."""
    parts = list(read_batches(find_files(pattern), columns, config, optional))
    if sum(len(part.rows) + len(part.broken) for part in parts) == 0:
        raise UserError(f"{pattern} has a header but no rows")
    return RawData(
        *(pd.concat(frames, ignore_index=True) for frames in zip(*parts, strict=True))
    )


def read_batches(
    files: Sequence[Path],
    columns: list[str],
    config: TableConfig,
    optional: tuple[str, ...] = (),
) -> Iterator[RawData]:
    """Read files, CSV (also .gz and .zst) or Parquet, in their order, in bounded memory.

    No columns: those of the first file. The optional ones may be there or not. Raises UserError
    before the first row where a file does not have the columns.
    """
    headers = [read_header(path, config) for path in files]
    columns = columns or headers[0]
    for path, header in zip(files, headers, strict=True):
        check_header(path, header, columns, optional, config.separator)
    for path, header in zip(files, headers, strict=True):
        read = read_parquet if path.suffix == ".parquet" else read_csv
        for lines in read(path, header, config):
            batch = name_places(lines, path.name)
            yield batch if optional else batch._replace(rows=batch.rows[columns])


def find_files(pattern: str) -> list[Path]:
    """Return the files that match, sorted; a pattern that is a file's name means that file."""
    if Path(pattern).is_dir():
        raise UserError(
            f'{pattern} is a folder; name its files, as in --raw "{pattern}/*.csv"'
        )
    names = [pattern] if Path(pattern).is_file() else glob(pattern, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    files = [Path(name) for name in sorted(names) if Path(name).is_file()]
    if not files:
        raise UserError(
            f"no file matches {pattern}; put your table there or give --raw GLOB"
        )
    return files


def read_header(path: Path, config: TableConfig) -> list[str]:
    """Read the names of a file's columns."""
    if path.suffix == ".parquet":
        try:
            return name_columns(pa.parquet.read_schema(path).names)
        except (pa.ArrowInvalid, OSError) as error:
            raise cannot_read(path, error) from error
    with open_text(path, config.encoding) as text:
        return take_header(path, text, config)[0]


def name_places(lines: Lines, source: str) -> RawData:
    """Say of each row and each broken line where it stood."""
    places = pd.DataFrame({"source": source, "line": lines.numbers}, lines.rows.index)
    broken = pd.DataFrame(lines.broken, columns=["line", "reason", "raw"])
    broken.insert(0, "source", source)
    whole = {"line": "int64"}  # said aloud, because of none pandas can't tell
    return RawData(lines.rows, places.astype(whole), broken.astype(whole))


def read_parquet(path: Path, header: list[str], config: TableConfig) -> Iterator[Lines]:
    """Read a Parquet file in batches, as if it had been exported as CSV."""
    try:
        line = 1
        with pa.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH_ROWS):
                rows = write_as_text(batch, header, config)
                yield Lines(rows, range(line, line := line + len(batch)), [])
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise cannot_read(path, error) from error


def write_as_text(
    batch: pa.RecordBatch, header: list[str], config: TableConfig
) -> pd.DataFrame:
    """Return a table of any types as the text it would be in a CSV file."""
    columns = [column.cast(pa.string()) for column in batch.columns]
    for place, column in enumerate(batch.columns):
        if pa.types.is_floating(column.type):
            columns[place] = pa.compute.replace_substring(
                columns[place], ".", config.decimal
            )
    rows = pd.DataFrame(
        {i: column.to_pandas() for i, column in enumerate(columns)}, dtype="str"
    )
    return rows.mask(rows == "nan").set_axis(header, axis=1)


def check_header(
    path: Path,
    header: list[str],
    columns: list[str],
    optional: tuple[str, ...],
    separator: str,
) -> None:
    """Refuse a file whose columns are not the schema's, and name each that differs."""
    if not header:
        raise UserError(f"{path} is empty; it must begin with a line of column names")
    missing = [name for name in columns if name not in header]
    unknown = [name for name in header if name not in (*columns, *optional)]
    other = next(
        (sign for sign in ";\t|," if sign != separator and sign in header[0]), None
    )
    if len(header) == 1 and missing and other:
        raise UserError(
            f"{path} seems to be separated by {other!r}, not {separator!r}; "
            "set `separator` in config.yaml"
        )
    problems = [f"no column {name!r}{nearest(name, unknown)}" for name in missing]
    problems += [f"unknown column {name!r}" for name in unknown]
    twice = dict.fromkeys(name for name in header if header.count(name) > 1)
    problems += [f"column {name!r} twice" for name in twice]
    if problems:
        fits = "has" if columns == header else "does not fit schema.yaml:"
        raise UserError(f"{path} {fits} {'; '.join(problems)}")


def list_rejected(raw: RawData, reasons: pd.Series) -> pd.DataFrame:
    """Return what did not fit: where it stood, why it was rejected, and its cells as they stood.

    A line that is no row at all stands whole in the last column, `raw`.
    """
    rejected = raw.places.loc[reasons.index].assign(reason=reasons)
    places = pd.concat([rejected, raw.broken.drop(columns="raw")], ignore_index=True)
    cells = raw.rows.loc[reasons.index].reset_index(drop=True)
    whole = raw.broken["raw"].set_axis(places.index[len(cells) :])
    # Side by side, because the table may have columns of the same names.
    table = pd.concat([places, cells, whole], axis=1)
    return table.loc[places.sort_values("line", kind="stable").index]
