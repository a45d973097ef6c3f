"""The files of a table: how raw files are written, schema.yaml and config.yaml."""

import json
import re
from argparse import Namespace
from codecs import iterdecode
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from io import StringIO
from itertools import count
from pathlib import Path
from statistics import multimode
from typing import Any

import yaml
from pandas import Series, concat
from ruamel.yaml import YAML

from ..config import Config, TableConfig
from ..etl.raw_csv import open_stream
from ..schema import DTYPES, Column, read_columns
from ..utils import UserError

BLOCK = 500_000  # bytes; the first block shows the delimiter
UTF_16 = {b"\xff\xfe|\xfe\xff": "utf-16", b".\0": "utf-16-le", b"\0": "utf-16-be"}
UNPRINTABLE = re.compile(r"[\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
HEADER = """\
# The columns of the table: their types and which values are allowed; docs/own-table.md
# describes every key. Other raw rows are rejected, and other requests are answered
# with 422.
"""

# --- How the raw files are written ------------------------------------------------


def is_another_table(config: Config, target: str, names: Iterable[str]) -> bool:
    """Whether the table has another target, or lacks a column of schema.yaml."""
    try:
        columns = read_columns(config.schema_file, config.table)
    except UserError:
        return True
    known = {column.name for column in columns}
    return target != config.table.target or not known.issubset(names)


def find_dialect(path: Path, options: Namespace, table: TableConfig) -> dict:
    """Return how a file of text is written; of Parquet and Excel, nothing."""
    with open_stream(path) as file:
        beginning = bytes(file.read(BLOCK))
    if beginning.startswith((b"PAR1", b"PK\3\4", b"\xd0\xcf\x11\xe0")):
        return {}
    encoding = options.encoding or find_encoding(path, beginning, table.encoding)
    try:
        text = beginning.decode(encoding, "replace")
    except LookupError as error:
        raise UserError(str(error)) from error
    separator = options.separator or find_separator(text, table.separator)
    if len(separator) != 1:
        raise UserError(f"the separator {separator!r} must be one character")
    return {"encoding": encoding, "separator": separator}


def find_encoding(path: Path, beginning: bytes, preferred: str) -> str:
    """UTF-16 by its mark or its zeros; UTF-8 if every byte fits; what config.yaml says;
    else cp1252, as Windows writes it in Western Europe: a guess.
    """
    for pattern, encoding in UTF_16.items():
        if re.match(pattern, beginning, re.DOTALL):
            return encoding
    for encoding in ("utf-8", preferred, "cp1252"):
        with suppress(UnicodeError, LookupError), open_stream(path) as file:
            blocks = iter(partial(file.read, BLOCK), b"")
            deque(iterdecode(blocks, encoding), maxlen=0)  # to the end
            return encoding
    raise UserError(
        f"{path} is neither UTF-8 nor cp1252; name its encoding, such as "
        "--encoding cp932 (Japanese), cp949 (Korean), cp1250, cp1251"
    )


def find_separator(text: str, preferred: str) -> str:
    """The character that appears as often on most lines, ignoring quoted text."""
    lines = re.sub(r'"[^"]*"', "", text).splitlines()

    def share_of_lines(character: str) -> float:
        counts = [line.count(character) for line in lines if line.strip()]
        usual = max(multimode(counts), default=0)
        return usual and counts.count(usual) / len(counts)

    return max([preferred, *",;\t|"], key=share_of_lines)


def find_decimal(counts: Iterable[Series], separator: str) -> str:
    """The character, point or comma, before the last digits of more cells.

    If it is one as often as the other, a comma where semicolons separate the columns.
    """
    cells = concat(counts)
    points = cells[cells.index.str.fullmatch(r"\D*[\d,]*[.]\d+\D*")].sum()
    commas = cells[cells.index.str.fullmatch(r"\D*[\d.]*[,]\d+\D*")].sum()
    is_comma = commas > points or (commas == points and separator == ";")
    return "," if is_comma else "."


# --- schema.yaml and config.yaml --------------------------------------------------


def write_schema(columns: Iterable[Column]) -> str:
    """Return the text of schema.yaml."""
    described = {}
    for column in columns:
        limits = {"min_value": column.minimum, "max_value": column.maximum}
        names = ("unit", "unreadable", "has_time", "digits")
        properties = {
            "dtype": DTYPES[column.kind],
            "nullable": column.nullable,
            "isin": list(column.categories),
            "in_range": limits if column.maximum is not None else None,
            "metadata": _keep_set({name: getattr(column, name) for name in names}),
        }
        described[column.name] = _keep_set(properties)
    content = {"schema_type": "dataframe", "strict": True, "columns": described}
    return HEADER + yaml.safe_dump(
        content, default_flow_style=None, sort_keys=False, allow_unicode=True, width=100
    )


def _keep_set(properties: dict) -> dict:
    """Return the properties that differ from their defaults."""
    return {key: each for key, each in properties.items() if each and each != "reject"}


def change_config(text: str, changes: dict[str, dict]) -> str:
    """Return the text of config.yaml with changed settings; its comments stay."""
    parser = YAML()
    parser.preserve_quotes, parser.width = True, 4096
    parser.representer.add_representer(  # otherwise nothing is written for null
        type(None),
        lambda writer, _: writer.represent_scalar("tag:yaml.org,2002:null", "null"),
    )
    content = parser.load(text)
    for section, settings in changes.items():
        for name, value in settings.items():
            if content[section].get(name) != value:
                content[section][name] = parser.load(_quote(value))
    parser.dump(content, changed := StringIO())
    return changed.getvalue()


def _quote(value: Any) -> str:
    """Return a value as YAML with all text in quotes, so that "no" is not false."""
    text = json.dumps(value, ensure_ascii=False)
    return UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def keep_old(path: Path) -> str:
    """Keep a copy of a file beside it; return the name of the copy."""
    names = (path.with_suffix(f".old-{number}.yaml") for number in count(1))
    copy = next(name for name in names if not name.exists())
    copy.write_bytes(path.read_bytes())
    return f"{path.name}: the old file is kept as {copy.name}"
