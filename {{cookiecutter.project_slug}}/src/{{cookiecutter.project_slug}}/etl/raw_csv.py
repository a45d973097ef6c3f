"""Read CSV files a block of lines at a time, and set aside each line that is no row."""

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

import pandas as pd
import pyarrow as pa
import pyarrow.csv

from ..config import TableConfig
from ..utils import UserError

BATCH = 8_000_000  # characters that are read at once
LONGEST_LINE = 4 * BATCH  # a file without line ends must not fill the memory
LINES_OF_A_ROW = 1_000  # a quote that is still open then was never meant to be one
OPEN_QUOTE = "a quote is not closed"

csv.field_size_limit(LONGEST_LINE)


class Lines(NamedTuple):
    """The rows of some lines, the number of the line where each begins, and what is no row: its
    line, the reason, its text, in which \\x.. is a byte that can't be text.
    """

    rows: pd.DataFrame
    numbers: Sequence[int]
    broken: list[tuple[int, str, str]]


def open_stream(path: Path) -> pa.NativeFile:
    """Open a file, decompressed if its name ends in .gz, .zst or .bz2."""
    try:
        return pa.input_stream(str(path), compression="detect")
    except OSError as error:
        raise cannot_read(path, error) from error


def open_text(path: Path, encoding: str) -> TextIO:
    """Open a text file, decompressed; a byte that can't be decoded becomes a lone surrogate."""
    try:
        if codecs.lookup(encoding).name == "utf-8":
            encoding = "utf-8-sig"  # without a byte order mark
    except LookupError as error:
        raise UserError(
            f"config.yaml: table.encoding: {encoding!r} is not known"
        ) from error
    return io.TextIOWrapper(
        open_stream(path), encoding, errors="surrogateescape", newline=""
    )


def take_header(path: Path, text: TextIO, config: TableConfig) -> tuple[list[str], int]:
    """Read the header of an open file; return it, and how many lines it took."""
    reader = csv.reader(
        iter(lambda: text.readline(LONGEST_LINE), ""), delimiter=config.separator
    )
    try:
        header = next(reader, [])
    except (csv.Error, OSError, UnicodeError) as error:
        raise cannot_read(path, error) from error
    damage = find_damage("".join(header), config.encoding)
    if damage:
        raise UserError(f"{path}, line 1: {damage}")
    return name_columns(header), reader.line_num


def name_columns(header: list[str]) -> list[str]:
    """Take the blanks off the names; a column without one, as of row numbers, is called so."""
    return [
        name.strip() or f"column {place}" for place, name in enumerate(header, start=1)
    ]


def read_csv(path: Path, header: list[str], config: TableConfig) -> Iterator[Lines]:
    """Read a CSV file in batches that end where a row ends."""
    with open_text(path, config.encoding) as text:
        line, rest, more = take_header(path, text, config)[1] + 1, "", True
        while more:
            try:
                new = text.read(BATCH)
            except (OSError, UnicodeError) as error:
                raise cannot_read(path, error) from error
            block, more = rest + new, new != ""
            # A last \r may be the first half of \r\n.
            end = (
                max(block.rfind("\n"), block.rfind("\r", 0, -1)) + 1
                if more
                else len(block)
            )
            batch, used, count = read_block(block[:end], line, header, config, not more)
            rest, line = block[used:], line + count
            if len(rest) > LONGEST_LINE:
                raise UserError(
                    f"{path}, line {line}: over {LONGEST_LINE} characters without end"
                )
            if count:
                yield batch


def read_block(
    block: str, line: int, header: list[str], config: TableConfig, last: bool
) -> tuple[Lines, int, int]:
    """Read the rows of a block of whole lines, of which the first has the number `line`.

    Also returns how many characters and lines of it were used: unless it is the `last` block, a
    row that is still open at its end is left for the next.
    """
    plain = read_plain_lines(block, header, config.separator)
    if plain is not None:
        return Lines(plain, range(line, line + len(plain)), []), len(block), len(plain)

    rows, firsts, broken = [], [], []
    texts, at = list(io.StringIO(block, newline="")), 0
    while at < len(texts):
        cells, count, reason = read_row(texts, at, config.separator)
        if reason == OPEN_QUOTE and not last and at + LINES_OF_A_ROW > len(texts):
            break
        reason = reason or find_damage("".join(texts[at : at + count]), config.encoding)
        if not reason and len(cells) == len(header):
            rows.append(cells)
            firsts.append(line + at)
        elif reason or cells:  # no cells: an empty line
            reason = reason or f"{len(cells)} fields instead of {len(header)}"
            broken.append((line + at, reason, make_readable(texts[at])))
            count = 1  # what follows a broken line may be whole
        at += count
    table = pd.DataFrame(rows, columns=header, dtype="str")
    used = len(block) - sum(len(text) for text in texts[at:])
    return Lines(table, firsts, broken), used, at


def read_plain_lines(
    block: str, header: list[str], separator: str
) -> pd.DataFrame | None:
    """Read lines that are a row each, without quotes: fast. None if one needs a closer look."""
    if '"' in block or "\0" in block or not separator.isascii():
        return None
    lines = block.count("\n") + (not block.endswith("\n"))
    if not block or block.count("\r") != block.count("\r\n"):
        return None
    text = pa.string()
    try:
        content = block.encode()
        table = pa.csv.read_csv(
            pa.BufferReader(content),
            pa.csv.ReadOptions(column_names=header, block_size=len(content) + 1),
            pa.csv.ParseOptions(delimiter=separator, quote_char=False),
            pa.csv.ConvertOptions(
                column_types=dict.fromkeys(header, text), null_values=[]
            ),
        )
    except (UnicodeEncodeError, pa.ArrowInvalid):
        return None
    return table.to_pandas() if len(table) == lines else None


def read_row(lines: list[str], at: int, separator: str) -> tuple[list[str], int, str]:
    """Return the cells of the row that begins there, its number of lines, and what is wrong."""
    if '"' not in lines[at]:
        line = lines[at].rstrip("\r\n")
        return line.split(separator) if line else [], 1, ""
    ahead = range(at, min(at + LINES_OF_A_ROW, len(lines)))
    reader = csv.reader(
        (lines[place] for place in ahead), delimiter=separator, strict=True
    )
    try:
        return next(reader), reader.line_num, ""
    except csv.Error as error:
        return [], 1, OPEN_QUOTE if "end of data" in str(error) else f"quotes: {error}"


def find_damage(text: str, encoding: str) -> str:
    """Say what in a line can't be text: a NUL, or a byte that could not be decoded."""
    if "\0" in text:
        return "a NUL byte stands in it"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        byte = ord(text[error.start]) & 0xFF
        return (
            f"byte 0x{byte:02x} is not {encoding}; "
            "set `encoding` in config.yaml (cp1252 is common for exports from Windows)"
        )
    return ""


def make_readable(text: str) -> str:
    """Spell what can't be text as \\x.., so that it can be written and looked at."""
    known = text.replace("\0", r"\x00").encode("utf-8", "surrogateescape")
    return known.decode("utf-8", "backslashreplace")


def cannot_read(path: Path, error: Exception) -> UserError:
    """Return the error for a file that is cut off, or not what its name says."""
    return UserError(f"{path} can't be read: {' '.join(str(error).split())}")
