"""Read raw files as they are, a batch of rows at a time, each row with its place."""

from collections.abc import Iterable, Iterator, Sequence
from glob import glob
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet
import python_calamine

from ..config import TableConfig
from ..utils import UserError, nearest
from .raw_csv import Lines, cannot_read, name_columns, open_csv

BATCH_ROWS = 100_000  # of Parquet and of queries that are read at once

Opened = tuple[list[str], Iterator[Lines]]


class RawData(NamedTuple):
    """Raw rows, the place of each, and the malformed lines.

    `rows` holds text, one column for each of the schema's. `places` has for each of
    these rows its `source` (file name) and `line` (of Parquet, a sheet or a query: the
    row). `broken` has the malformed lines: columns `source`, `line`, `reason`, `raw`.
    A batch comes from one file, `source`.
    """

    rows: pd.DataFrame
    places: pd.DataFrame
    broken: pd.DataFrame
    source: str = ""


def read_raw_data(
    pattern: str,
    columns: list[str],
    config: TableConfig,
    optional: tuple[str, ...] = (),
) -> RawData:
    """Read at once all that `read_batches` reads from the files that match."""
    batches = read_batches(find_files(pattern), columns, config, optional)
    return join_batches(batches, pattern)


def join_batches(batches: Iterable[RawData], origin: str) -> RawData:
    """Return batches as one. Raises UserError if they have no rows."""
    batches = list(batches)
    if not any(len(batch.rows) + len(batch.broken) for batch in batches):
        raise UserError(f"{origin} has a header but no rows")
    parts = zip(*(batch[:3] for batch in batches), strict=True)
    return RawData(*(pd.concat(frames, ignore_index=True) for frames in parts))


def read_batches(
    files: Sequence[Path],
    columns: list[str],
    config: TableConfig,
    optional: tuple[str, ...] = (),
) -> Iterator[RawData]:
    """Read files, one after the other, in bounded memory: CSV, Parquet or Excel.

    Without `columns`, those of the first file count; the optional ones may be missing.
    Raises UserError before the first row where a file does not have the columns.
    """
    headers = [open_file(path, config)[0] for path in files]
    columns = columns or headers[0]
    for path, header in zip(files, headers, strict=True):
        check_header(path, header, columns, optional, config.separator)
    for path in files:
        for lines in open_file(path, config)[1]:
            batch = name_places(lines, path.name)
            yield batch if optional else batch._replace(rows=batch.rows[columns])


def find_files(pattern: str) -> list[Path]:
    """Return the files that match, sorted; a file's own name means that file."""
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


def open_file(path: Path, config: TableConfig) -> Opened:
    """Return the header of a file, and its rows in batches.

    The first bytes say what the file is: names may be wrong.
    """
    try:
        with path.open("rb") as file:
            beginning = file.read(4)
    except OSError as error:
        raise cannot_read(path, error) from error
    if beginning == b"PAR1":
        return open_parquet(path, config)
    if beginning in (b"PK\3\4", b"\xd0\xcf\x11\xe0"):
        return open_excel(path, config)
    return open_csv(path, config)


def name_places(lines: Lines, source: str) -> RawData:
    """Add to each row and each malformed line where it comes from."""
    places = pd.DataFrame({"source": source, "line": lines.numbers}, lines.rows.index)
    broken = pd.DataFrame(lines.broken, columns=["line", "reason", "raw"])
    broken.insert(0, "source", source)
    whole = {"line": "int64"}  # which pandas can't tell where there are none
    return RawData(lines.rows, places.astype(whole), broken.astype(whole), source)


def open_parquet(path: Path, config: TableConfig) -> Opened:
    """Return the header of a Parquet file, and its rows as text."""
    try:
        file = pa.parquet.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise cannot_read(path, error) from error
    header = name_columns(file.schema_arrow.names)
    return header, number_rows(path, file.iter_batches(BATCH_ROWS), header, config)


def number_rows(
    path: Path,
    batches: Iterable[pa.RecordBatch],
    header: list[str],
    config: TableConfig,
) -> Iterator[Lines]:
    """Return rows of any types as text, numbered from 1."""
    first = 1
    try:
        for batch in batches:
            texts = [write_as_text(column, config.decimal) for column in batch.columns]
            rows = pd.DataFrame(dict(enumerate(texts)), dtype="str")
            rows = rows.mask(rows == "nan").set_axis(header, axis=1)
            yield Lines(rows, range(first, first + len(rows)), [])
            first += len(rows)
    except (pa.ArrowInvalid, OSError) as error:
        raise cannot_read(path, error) from error


def write_as_text(column: pa.Array, decimal: str) -> pd.Series:
    """Return values of any type as the text that they would be in a CSV file."""
    try:
        texts = column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # lists, bytes and the like
        texts = pa.array([each and str(each) for each in column.to_pylist()])
    if pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        texts = pa.compute.replace_substring(texts, ".", decimal)
    return texts.to_pandas()


def open_excel(path: Path, config: TableConfig) -> Opened:
    """Return the first row of a sheet of an Excel file, and the others as text."""
    try:
        book = python_calamine.CalamineWorkbook.from_path(path)
        sheet = config.sheet or book.sheet_names[0]
        cells = book.get_sheet_by_name(sheet).to_python(skip_empty_area=False)
    except python_calamine.WorksheetNotFound as error:
        names = ", ".join(book.sheet_names)
        raise UserError(f"{path} has no sheet {sheet!r}, only {names}") from error
    except (python_calamine.CalamineError, OSError) as error:
        raise cannot_read(path, error) from error
    texts = [[write_cell(cell, config.decimal) for cell in row] for row in cells]
    header = name_columns(texts[0] if texts else [])
    numbers = [number for number, row in enumerate(texts) if number and any(row)]
    rows = pd.DataFrame([texts[n] for n in numbers], columns=header, dtype="str")
    return header, iter([Lines(rows, [number + 1 for number in numbers], [])])


def write_cell(cell: object, decimal: str) -> str:
    """Return a cell of a sheet as the text that it would be in a CSV file."""
    if isinstance(cell, float):
        return str(cell).removesuffix(".0").replace(".", decimal)
    if isinstance(cell, bool):
        return str(cell).lower()
    return str(cell).removesuffix(" 00:00:00")  # a date


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
    others = (each for each in ";\t|," if each != separator and each in header[0])
    other = next(others, None)
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
