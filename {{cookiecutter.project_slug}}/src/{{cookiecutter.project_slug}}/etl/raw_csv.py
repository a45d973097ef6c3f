"""Read CSV files a block of lines at a time, and set aside each malformed line."""

import codecs
import csv
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple, TextIO

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import python_calamine

from ..config import TableConfig
from ..utils import UserError, normalize_text

BATCH = 8_000_000  # characters to read at once
LONGEST_LINE = 4 * BATCH  # so that a file without line ends does not fill the memory
LINES_OF_A_ROW = 1_000  # a quote that is still open after these is a stray character
ERRORS = (
    csv.Error,
    LookupError,
    OSError,
    python_calamine.CalamineError,
    ValueError,
)

NO_LINES = pd.DataFrame(columns=["source", "line", "reason", "raw"])

csv.field_size_limit(LONGEST_LINE)


class RawData(NamedTuple):
    """Raw rows of one source, and the malformed lines.

    `rows` holds text, one column for each of the schema's; the label of a row is the
    line where it begins (of Parquet, a sheet or a query: the row). `broken` has the
    columns of NO_LINES: `raw` is the line's text, in which \\x.. is a byte that can't
    be text.
    """

    rows: pd.DataFrame
    broken: pd.DataFrame = NO_LINES
    source: str = ""


Opened = tuple[list[str], Iterator[RawData]]  # a header, and the rows below it


@contextmanager
def reading(path: Path) -> Iterator:
    """Turn the error of a file that is cut off, or missing, into a UserError."""
    try:
        yield
    except ERRORS as error:
        raise UserError(f"{path} can't be read: {error}") from error


def open_stream(path: Path) -> pa.NativeFile:
    """Open a file, decompressed if its name ends in .gz, .zst or .bz2."""
    with reading(path):
        return pa.input_stream(str(path), compression="detect")


def open_csv(path: Path, config: TableConfig) -> Opened:
    """Return the header of a CSV file, and its rows in batches.

    Bytes that can't be decoded become lone surrogates.
    """
    encoding = codecs.lookup(config.encoding).name
    if encoding == "utf-8":
        encoding = "utf-8-sig"  # skips a byte order mark

    stream = open_stream(path)
    text = io.TextIOWrapper(stream, encoding, errors="surrogateescape", newline="")

    lines = iter(partial(_read_line, text), "")
    reader = csv.reader(lines, delimiter=config.separator, skipinitialspace=True)
    header = next(filter(any, reader), [])  # skips empty lines
    _check_text("".join(header), config.encoding)
    header = name_columns(header)

    return header, _read_blocks(path.name, text, reader.line_num + 1, header, config)


def name_columns(header: Iterable) -> list:
    """Normalize the names of columns; one without a name is called by its place."""
    numbered = enumerate(header, start=1)
    return [normalize_text(str(name)) or f"column {place}" for place, name in numbered]


def _read_line(text: TextIO) -> str:
    """Read a line with its end, or nothing at the end of the file."""
    line = text.readline(LONGEST_LINE)
    if len(line) == LONGEST_LINE:
        raise OSError(f"a line has more than {LONGEST_LINE} characters")
    return line


def _read_blocks(
    source: str, text: TextIO, first: int, header: list, config: TableConfig
) -> Iterator[RawData]:
    """Read the rest of a CSV file, a block of whole lines at a time."""
    while block := text.read(BATCH) + _read_line(text):
        rows = _read_plain_lines(block, header, config.separator)
        if rows is not None:
            rows.index += first
            yield RawData(rows, source=source)
            count = len(rows)
        else:
            lines = list(io.StringIO(block, newline=""))
            yield _read_lines(source, lines, text, first, header, config)
            count = len(lines)  # including those that the last row needed

        first += count


def _read_plain_lines(block: str, header: list, separator: str) -> pd.DataFrame | None:
    """Read a block in which each line is a row without quotes; or return None."""
    is_odd = '"' in block or "\0" in block
    if is_odd or block.count("\r") != block.count("\r\n"):
        return None

    types = dict.fromkeys(header, pa.string())
    try:
        content = block.encode()
        table = pa.csv.read_csv(
            pa.BufferReader(content),
            pa.csv.ReadOptions(column_names=header, block_size=len(content) + 1),
            pa.csv.ParseOptions(delimiter=separator),
            pa.csv.ConvertOptions(column_types=types),
        )
    except ValueError:  # a wrong number of cells, or a byte that is not text
        return None

    count = block.count("\n") + (not block.endswith("\n"))

    return table.to_pandas() if len(table) == count else None


def _read_lines(
    source: str,
    lines: list,
    text: TextIO,
    first: int,
    header: list,
    config: TableConfig,
) -> RawData:
    """Read the rows that begin in a list of lines, and set aside malformed lines.

    Where a row goes on after the last line, lines are added from the file.
    """
    rows, numbers, broken = [], [], []
    at = 0
    while at < len(lines):
        count = 1  # after a malformed line, the next one may be a row again
        try:
            cells, count = _read_row(lines, at, text, len(header), config)
        except csv.Error as error:
            known = lines[at].replace("\0", r"\x00").encode("utf-8", "surrogateescape")
            readable = known.decode("utf-8", "backslashreplace")
            broken.append((source, first + at, str(error), readable))
        else:
            if cells:  # else the line is empty
                rows.append(cells)
                numbers.append(first + at)

        at += count

    return RawData(
        pd.DataFrame(rows, numbers, header, dtype="str"),
        pd.DataFrame(broken, columns=NO_LINES.columns),
        source,
    )


def _read_row(
    lines: list, at: int, text: TextIO, width: int, config: TableConfig
) -> tuple[list, int]:
    """Return the cells of the row that begins at a line, and its number of lines.

    Raises csv.Error if the line is malformed.
    """
    reader = csv.reader(
        _follow_lines(lines, at, text),
        delimiter=config.separator,
        skipinitialspace='"' in lines[at],  # a space before a quote
        strict=True,
    )
    try:
        cells, count = next(reader), reader.line_num
    except csv.Error as error:
        raise csv.Error(f"quotes: {error}") from error

    _check_text("".join(lines[at : at + count]), config.encoding)
    if cells and len(cells) != width:
        raise csv.Error(f"{len(cells)} fields instead of {width}")

    return cells, count


def _follow_lines(lines: list, at: int, text: TextIO) -> Iterator[str]:
    """Yield the lines of a row; where the list ends, add lines from the file to it."""
    for place in range(at, at + LINES_OF_A_ROW):
        if place == len(lines):
            lines.append(_read_line(text))  # empty at the end of the file
        yield lines[place]


def _check_text(text: str, encoding: str) -> None:
    """Raise csv.Error if a line has a NUL, or a byte that could not be decoded."""
    if "\0" in text:
        raise csv.Error(
            "a NUL byte; if the file is UTF-16, set `encoding` in config.yaml"
        )

    try:
        text.encode()
    except UnicodeEncodeError as error:
        byte = ord(text[error.start]) & 0xFF
        raise csv.Error(
            f"byte 0x{byte:02x} is not {encoding}; set `encoding` in config.yaml "
            "(cp1252 is common for exports from Windows)"
        ) from error
