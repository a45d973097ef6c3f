"""Read CSV files a block of lines at a time, and set aside each malformed line."""

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import python_calamine

from ..config import TableConfig
from ..schema import normalize_name
from ..utils import UserError

BATCH = 8_000_000  # characters that are read at once
LONGEST_LINE = 4 * BATCH  # a file without line ends must not fill the memory
LINES_OF_A_ROW = 1_000  # a quote that is still open then was never meant to be one
OPEN_QUOTE = "a quote is not closed"
ERRORS = (
    csv.Error,
    duckdb.Error,
    LookupError,
    OSError,
    pa.ArrowInvalid,
    python_calamine.CalamineError,
    UnicodeError,
)

csv.field_size_limit(LONGEST_LINE)


class RawData(NamedTuple):
    """Raw rows of one source, and the malformed lines.

    `rows` holds text, one column for each of the schema's; the label of a row is the
    line where it begins (of Parquet, a sheet or a query: the row). `broken` has the
    columns `source`, `line`, `reason` and `raw`, the line's text, in which \\x.. is a
    byte that can't be text.
    """

    rows: pd.DataFrame
    broken: pd.DataFrame
    source: str = ""


Opened = tuple[list[str], Iterator[RawData]]


def make_batch(
    source: str, rows: pd.DataFrame, lines: Any, broken: Any = ()
) -> RawData:
    """Return rows with their lines, and malformed lines: each a line, reason, text."""
    malformed = pd.DataFrame(broken, columns=["line", "reason", "raw"])
    malformed.insert(0, "source", source)
    return RawData(rows.set_axis(pd.Index(lines, dtype="int64")), malformed, source)


@contextmanager
def reading(path: Path) -> Iterator:
    """Turn the error of a file that is cut off, or missing, into a UserError."""
    try:
        yield
    except ERRORS as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} can't be read: {reason}") from error


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
        encoding = "utf-8-sig"  # which leaves out a byte order mark
    stream = open_stream(path)
    text = io.TextIOWrapper(stream, encoding, errors="surrogateescape", newline="")

    lines = iter(lambda: text.readline(LONGEST_LINE), "")
    reader = csv.reader(lines, delimiter=config.separator, skipinitialspace=True)
    header = next(filter(any, reader), [])  # after empty lines
    if damage := find_damage("".join(header), config.encoding):
        raise UserError(f"{path}, line 1: {damage}")
    header = name_columns(header)
    return header, read_lines(path, text, reader.line_num + 1, header, config)


def name_columns(header: Sequence) -> list:
    """Normalize the names of columns; one without a name is called by its place."""
    numbered = enumerate(header, start=1)
    return [normalize_name(name) or f"column {place}" for place, name in numbered]


def read_lines(
    path: Path, text: TextIO, line: int, header: list, config: TableConfig
) -> Iterator[RawData]:
    """Read the rest of a CSV file, in batches that end where a row ends."""
    rest, is_last = "", False
    while not is_last:
        new = text.read(BATCH)
        end = text.readline(LONGEST_LINE)
        if len(end) == LONGEST_LINE:
            raise UserError(f"{path} has a line of more than {LONGEST_LINE} characters")

        block, is_last = rest + new + end, not new
        batch, used, count = read_block(path.name, block, line, header, config, is_last)

        rest, line = block[used:], line + count
        if count:
            yield batch


def read_block(
    source: str,
    block: str,
    line: int,
    header: list,
    config: TableConfig,
    is_last: bool,
) -> tuple[RawData, int, int]:
    """Read the rows of a block of whole lines, the first of which is number `line`.

    Also returns how many characters and lines of it were used: a row that is still open
    at the end of a block is left for the next one, if there is one.
    """
    plain = read_plain_lines(block, header, config.separator)
    if plain is not None:
        numbers = range(line, line + len(plain))
        return make_batch(source, plain, numbers), len(block), len(plain)

    rows, firsts, broken = [], [], []
    lines, at = list(io.StringIO(block, newline="")), 0
    while at < len(lines):
        cells, count, problem = read_row(lines, at, config.separator)
        is_cut = at + LINES_OF_A_ROW > len(lines) and not is_last
        if problem == OPEN_QUOTE and is_cut:
            break

        text = "".join(lines[at : at + count])
        problem = problem or find_damage(text, config.encoding)
        if not problem and cells and len(cells) != len(header):
            problem = f"{len(cells)} fields instead of {len(header)}"

        if problem:
            known = lines[at].replace("\0", r"\x00").encode("utf-8", "surrogateescape")
            readable = known.decode("utf-8", "backslashreplace")
            broken.append((line + at, problem, readable))
            count = 1  # what follows a malformed line may be a row
        elif cells:  # otherwise an empty line
            rows.append(cells)
            firsts.append(line + at)
        at += count

    table = pd.DataFrame(rows, columns=header, dtype="str")
    used = len(block) - sum(map(len, lines[at:]))
    return make_batch(source, table, firsts, broken), used, at


def read_plain_lines(block: str, header: list, separator: str) -> pd.DataFrame | None:
    """Read a block in which each line is a row without quotes; or return None."""
    is_plain = '"' not in block and "\0" not in block and separator.isascii()
    if not block or not is_plain or block.count("\r") != block.count("\r\n"):
        return None

    count = block.count("\n") + (not block.endswith("\n"))
    types = dict.fromkeys(header, pa.string())
    try:
        content = block.encode()
        table = pa.csv.read_csv(
            pa.BufferReader(content),
            pa.csv.ReadOptions(column_names=header, block_size=len(content) + 1),
            pa.csv.ParseOptions(delimiter=separator, quote_char=False),
            pa.csv.ConvertOptions(column_types=types, null_values=[]),
        )
    except (UnicodeEncodeError, pa.ArrowInvalid):
        return None
    return table.to_pandas() if len(table) == count else None


def read_row(lines: list, at: int, separator: str) -> tuple[list, int, str]:
    """Return the cells of the row that begins at a line, its lines, what is wrong."""
    if '"' not in lines[at]:
        line = lines[at].rstrip("\r\n")
        return line.split(separator) if line else [], 1, ""

    ahead = range(at, min(at + LINES_OF_A_ROW, len(lines)))
    following = (lines[place] for place in ahead)
    reader = csv.reader(
        following, delimiter=separator, skipinitialspace=True, strict=True
    )

    try:
        return next(reader), reader.line_num, ""
    except csv.Error as error:
        return [], 1, OPEN_QUOTE if "end of data" in str(error) else f"quotes: {error}"


def find_damage(text: str, encoding: str) -> str:
    """Say what in a line can't be text: a NUL, or a byte that could not be decoded."""
    if "\0" in text:
        return "a NUL byte; if the file is UTF-16, set `encoding` in config.yaml"

    try:
        text.encode()
    except UnicodeEncodeError as error:
        byte = ord(text[error.start]) & 0xFF
        return (
            f"byte 0x{byte:02x} is not {encoding}; "
            "set `encoding` in config.yaml (cp1252 is common for exports from Windows)"
        )
    return ""
