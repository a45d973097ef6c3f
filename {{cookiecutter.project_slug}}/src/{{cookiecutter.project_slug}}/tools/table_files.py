"""The files of a table: how raw files are written, and the project's own."""

import codecs
import re
from argparse import Namespace
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import nbformat
import yaml
from pandas import DataFrame, Series, to_numeric
from ruamel.yaml import YAML

from ..config import Config, TableConfig
from ..etl.raw_csv import open_stream, reading
from ..feature_engineering import usable_features
from ..schema import DTYPES, Column, read_columns
from ..utils import UserError, nearest, write_atomically
from .column_rules import HALF

BEGINNING = 10_000_000  # bytes that show the encoding
BLOCK = 500_000  # bytes that show the separator
BINARY = (b"PAR1", b"PK\3\4", b"\xd0\xcf\x11\xe0")  # Parquet, Excel
COMPRESSED = rb"(?s)\x1f\x8b|PK\x03\x04(?!.*(\[Content_Types\]|mimetype))"  # no Excel
MOST_DAMAGED = 0.05  # of the characters beyond ASCII; their lines are malformed
UTF_16 = {b"\xff\xfe|\xfe\xff": "utf-16", b".\0": "utf-16-le", b"\0": "utf-16-be"}
ENCODINGS = "such as --encoding cp932 (Japanese), cp949 (Korean), cp1250, cp1251"
METADATA = ("unit", "unreadable", "has_time", "digits")
HEADER = """\
# The columns of the table: their types and which values are allowed; docs/own-table.md
# describes every key. Other raw rows are rejected, and other requests are answered
# with 422.
"""

# --- How the raw files are written ------------------------------------------------


def find_dialect(path: Path, options: Namespace, table: TableConfig) -> dict:
    """Return how a file of text is written; of Parquet and Excel, nothing."""
    with open_stream(path) as file:
        beginning = file.read(BEGINNING)

    if re.match(COMPRESSED, beginning):
        raise UserError(
            f"{path} is compressed; unpack it, or let its name end in .gz if it is gzip"
        )

    if beginning.startswith(BINARY):
        return {}

    encoding = options.encoding or find_encoding(path, beginning, table.encoding)
    with reading(path):
        text = beginning[:BLOCK].decode(encoding, "replace")

    separator = (options.separator or "").replace(r"\t", "\t")
    separator = separator or find_separator(text, table.separator)
    if len(separator) != 1:
        raise UserError(f"the separator {separator!r} must be one character")

    return {"encoding": encoding, "separator": separator}


def find_encoding(path: Path, beginning: bytes, preferred: str) -> str:
    """Return the encoding of a file.

    It is UTF-16 if its mark or its zeros show it, UTF-8 if nearly all bytes fit, or the
    one in config.yaml if all do. Else it is cp1252, as Windows writes it in Western
    Europe: a guess.
    """
    for pattern, encoding in UTF_16.items():
        if re.match(pattern, beginning, re.DOTALL):
            return encoding

    for encoding, most in (("utf-8", MOST_DAMAGED), (preferred, 0), ("cp1252", 0)):
        with suppress(UnicodeError, LookupError):
            decoder = codecs.getincrementaldecoder(encoding)("surrogateescape")
            text = decoder.decode(beginning)  # but for a character that is cut off
            beyond = len(text) - len(text.encode("ascii", "ignore"))
            damaged = len(text) - len(text.encode("utf-8", "ignore").decode())
            if damaged <= most * beyond:
                return encoding

    raise UserError(f"{path} is neither UTF-8 nor cp1252; name it, {ENCODINGS}")


def find_separator(text: str, preferred: str) -> str:
    """Return the character that most lines have equally often, ignoring quoted text."""
    lines = re.sub(r'"[^"]*"', "", text).splitlines()
    found = Counter(
        (character, line.count(character))
        for character in dict.fromkeys([preferred, *",;\t|"])
        for line in lines
        if character in line
    )

    return max(found, key=found.__getitem__, default=" ")[0]


def check_names(origin: str, rows: DataFrame, table: TableConfig) -> None:
    """Refuse a file without column names, and names that it does not have."""
    names = [*rows]
    if _looks_like_row(rows):
        raise UserError(
            f"{origin}: the first line looks like a row, not like the names of "
            f"columns: {names[:12]}; add a line of names above it"
        )

    others = [*table.key, *table.exclude]
    for name in [table.target, *others]:
        if name not in names:
            raise UserError(
                f"{origin} has no column {name!r}{nearest(name, names)}; its first "
                f"line, where the names must be, has {names[:12]}; see --separator"
            )

    if table.target in others:
        raise UserError(f"the target {table.target!r} can't be a key, or excluded")


def _looks_like_row(rows: DataFrame) -> bool:
    """Whether half of the names are numbers or dates, or values of their columns.

    Years, months or bins are names, such as 2019-01 or 10-20: at least three that rise,
    or four if they have a point, because those of a row may rise by chance.
    """
    names = Series(rows.columns)
    figures = names[names.str.fullmatch(r"\W?\d[-/.,:\d]*\W?")]
    numbers = to_numeric(figures.str.extract(r"(\d+)")[0])
    fewest = 4 if figures.str.contains(".", regex=False).any() else 3
    is_count = len(figures) >= fewest and numbers.is_monotonic_increasing
    repeated = sum(name in set(rows[name]) for name in rows)

    return not is_count and max(len(figures), repeated) >= HALF * len(names)


# --- schema.yaml and config.yaml --------------------------------------------------


def is_same_table(config: Config, target: str, names: Iterable[str]) -> bool:
    """Whether the table has config.yaml's target and schema.yaml's columns."""
    with suppress(UserError):
        columns = read_columns(config.schema_file, config.table)
        known = {column.name for column in columns}
        return target == config.table.target and known.issubset(names)
    return False


def write_schema(columns: Iterable[Column]) -> str:
    """Return the text of schema.yaml, without what is as usual."""
    described = {}
    for column in columns:
        limits = {"min_value": column.minimum, "max_value": column.maximum}
        metadata = {name: getattr(column, name) for name in METADATA}
        properties = {
            "dtype": DTYPES[column.kind],
            "nullable": column.nullable,
            "isin": list(column.categories),
            "in_range": limits if column.maximum is not None else None,
            "metadata": keep_set(metadata),
        }
        described[column.name] = keep_set(properties)

    content = {"schema_type": "dataframe", "strict": True, "columns": described}
    return HEADER + yaml.safe_dump(
        content, default_flow_style=None, sort_keys=False, allow_unicode=True, width=100
    )


def keep_set(properties: dict) -> dict:
    """Return the properties that differ from their defaults."""
    return {key: each for key, each in properties.items() if each and each != "reject"}


def change_config(old: Path, new: Path, changes: dict) -> list:
    """Write config.yaml with changed settings; its comments stay.

    Returns lines to print: which settings were reset.
    """
    parser = YAML()
    parser.preserve_quotes, parser.width = True, 4096
    parser.representer.add_representer(  # otherwise nothing is written for null
        type(None),
        lambda writer, _: writer.represent_scalar("tag:yaml.org,2002:null", "null"),
    )
    content = parser.load(old)

    notes = []
    for section, settings in changes.items():
        for name, value in settings.items():
            before = content.get(section, {}).get(name)
            if value != before:
                # PyYAML reads this file, and quotes what it would misread: yes, on.
                written = yaml.safe_dump(
                    value, default_flow_style=True, sort_keys=False
                )
                content[section][name] = parser.load(written)
                if value is None:
                    notes.append(f"config.yaml: {section}.{name} ({before}) is reset")

    parser.dump(content, new)
    return notes


def keep_old(path: Path) -> str:
    """Keep a copy of a file beside it; return the name of the copy."""
    number = 1
    while (copy := path.with_suffix(f".old-{number}.yaml")).exists():
        number += 1
    copy.write_bytes(path.read_bytes())
    return f"{path.name}: the old file is kept as {copy.name}"


# --- The notebooks ----------------------------------------------------------------


def leave_sample(root: Path, columns: Iterable[Column]) -> list:
    """Remove the notebooks' cells about the sample table: they have the tag `sample`.

    The cells around them follow schema.yaml, and run on any table. Returns lines to
    print: what was removed, and which features of the sample are still computed.
    """
    notes = [
        f"feature_engineering.py: {each.name} uses your column(s) "
        f"{', '.join(each.columns)}; delete it if it is not meant for them"
        for each in usable_features(columns)
    ]
    for path in root.glob("notebooks/*.ipynb"):
        with suppress(ValueError):  # a merge conflict, say
            notebook = nbformat.read(path, as_version=4)
            kept = [
                cell
                for cell in notebook.cells
                if "sample" not in cell.metadata.get("tags", [])
            ]
            if len(kept) < len(notebook.cells):
                notebook.cells = kept
                with write_atomically(path) as file:
                    nbformat.write(notebook, file)
                notes.append(f"{path.name}: cells about the sample are removed")

    return notes
