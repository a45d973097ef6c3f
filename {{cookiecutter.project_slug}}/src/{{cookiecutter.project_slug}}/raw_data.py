"""Read raw files as they are, each row with the place it came from; write down the rejected."""

import csv
import io
import logging
from glob import glob
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from .config import TableConfig
from .utils import UserError, nearest, write_atomically

log = logging.getLogger("pipeline")
csv.field_size_limit(2**31 - 1)


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
    pattern: str, columns: list[str], config: TableConfig, optional: tuple[str, ...] = ()
) -> RawData:
    """Read all files that match the pattern, CSV or Parquet, in the order of their names.

    No columns: those of the first file. The optional ones may be there or not.
    """
    parts = []
    for path in find_files(pattern):
        read = read_parquet if path.suffix == ".parquet" else read_csv
        part = read(path, config)
        header = part.rows.columns.to_list()
        columns = columns or header
        check_header(path, header, columns, optional, config.separator)
        parts.append(part if optional else part._replace(rows=part.rows[columns]))
    raw = RawData(*(pd.concat(frames, ignore_index=True) for frames in zip(*parts, strict=True)))
    if raw.rows.empty and raw.broken.empty:
        raise UserError(f"{pattern} has a header but no rows")
    return raw


def find_files(pattern: str) -> list[Path]:
    """Return the files that match, sorted; a pattern that is a file's name means that file."""
    if Path(pattern).is_dir():
        raise UserError(f'{pattern} is a folder; name its files, as in --raw "{pattern}/*.csv"')
    names = [pattern] if Path(pattern).is_file() else glob(pattern, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    files = [Path(name) for name in sorted(names) if Path(name).is_file()]
    if not files:
        raise UserError(f"no file matches {pattern}; put your table there or give --raw GLOB")
    return files


def read_csv(path: Path, config: TableConfig) -> RawData:
    """Read one CSV file."""
    lines = list(io.StringIO(decode(path, config.encoding), newline=""))
    reader = csv.reader(lines, delimiter=config.separator)
    header = name_columns(next(reader, []))

    rows, places, broken = [], [], []
    start = reader.line_num
    for row in reader:
        first, start = start + 1, reader.line_num
        if len(row) == len(header):
            rows.append(row)
            places.append((path.name, first))
        elif row:  # an empty list is an empty line
            reason = f"{len(row)} fields instead of {len(header)}"
            broken.append((path.name, first, reason, "".join(lines[first - 1 : start])))
    return RawData(
        pd.DataFrame(rows, columns=header, dtype="str"),
        pd.DataFrame(places, columns=["source", "line"]),
        pd.DataFrame(broken, columns=["source", "line", "reason", "raw"]),
    )


def read_parquet(path: Path, config: TableConfig) -> RawData:
    """Read one Parquet file, as if it had been exported as CSV."""
    try:
        table = pa.parquet.read_table(path)
        columns = [column.cast(pa.string()) for column in table.columns]
        for place, column in enumerate(table.columns):
            if pa.types.is_floating(column.type):
                columns[place] = pa.compute.replace_substring(columns[place], ".", config.decimal)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise UserError(f"{path} can't be read as text: {' '.join(str(error).split())}") from error
    rows = pd.DataFrame({i: column.to_pandas() for i, column in enumerate(columns)}, dtype="str")
    rows = rows.mask(rows == "nan").set_axis(name_columns(table.column_names), axis=1)
    places = pd.DataFrame({"source": path.name, "line": range(1, len(rows) + 1)})
    return RawData(rows, places, pd.DataFrame(columns=["source", "line", "reason", "raw"]))


def name_columns(header: list[str]) -> list[str]:
    """Take the blanks off the names; a column without one, as of row numbers, is called so."""
    return [name.strip() or f"column {place}" for place, name in enumerate(header, start=1)]


def decode(path: Path, encoding: str) -> str:
    """Return the text of a file, without a byte order mark."""
    content = path.read_bytes()
    try:
        return content.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}, line {line}: byte 0x{content[error.start]:02x} is not {encoding}; "
            "set `encoding` in config.yaml (cp1252 is common for exports from Windows)"
        ) from error
    except LookupError as error:
        raise UserError(f"config.yaml: table.encoding: {encoding!r} is not known") from error


def check_header(
    path: Path, header: list[str], columns: list[str], optional: tuple[str, ...], separator: str
) -> None:
    """Refuse a file whose columns are not the schema's, and name each that differs."""
    if not header:
        raise UserError(f"{path} is empty; it must begin with a line of column names")
    missing = [name for name in columns if name not in header]
    unknown = [name for name in header if name not in (*columns, *optional)]
    other = next((sign for sign in ";\t|," if sign != separator and sign in header[0]), None)
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


def write_rejected(raw: RawData, reasons: pd.Series, output: Path) -> None:
    """Write what did not fit: where it stood, why it was rejected, and its cells as they stood.

    A line that is no row at all stands whole in the last column, `raw`.
    """
    rejected = raw.places.loc[reasons.index].assign(reason=reasons)
    places = pd.concat([rejected, raw.broken.drop(columns="raw")], ignore_index=True)
    cells = raw.rows.loc[reasons.index].reset_index(drop=True)
    whole = pd.Series(raw.broken["raw"].to_numpy(), places.index[len(cells) :], name="raw")
    # Side by side, because the table may have columns of the same names.
    table = pd.concat([places, cells, whole], axis=1)
    table = table.loc[places.sort_values(["source", "line"]).index]
    with write_atomically(output) as file:
        table.to_csv(file, index=False, encoding="utf-8", lineterminator="\n")
    log.info("rejected: %d rows to %s", len(table), output)
