"""The files of a table: how raw files are written, schema.yaml and config.yaml."""

import codecs
import json
import re
from collections.abc import Iterable
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from ruamel.yaml import YAML

from ..config import TableConfig
from ..etl.raw_csv import open_stream
from ..schema import DTYPES, Column
from ..utils import UserError

BLOCK = 500_000  # bytes; the first block shows the delimiter
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_HEADER = """\
# The contract: what each column is, and what its values may be. A pandera schema.
# Raw rows that do not fit are kept in data/rejected/; such requests are refused.
"""

# --- How the raw files are written ------------------------------------------------


def is_text(path: Path) -> bool:
    """Whether a file is neither Parquet nor Excel, by its first bytes."""
    with path.open("rb") as file:
        return file.read(4) not in (b"PAR1", b"PK\3\4", b"\xd0\xcf\x11\xe0")


def find_encoding(path: Path, preferred: str) -> str:
    """UTF-16 by its mark or its zeros; UTF-8 if every byte fits; what config.yaml says;
    else cp1252, as Windows writes it in Western Europe: a guess.
    """
    beginning = read_beginning(path)
    if beginning[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    for encoding, bytes_ in {"le": beginning[1::2], "be": beginning[::2]}.items():
        if bytes_.count(0) > len(beginning) / 4:
            return f"utf-16-{encoding}"
    for encoding in ("utf-8", preferred, "cp1252"):
        if _fits(path, encoding):
            return encoding
    raise UserError(
        f"{path} is neither UTF-8 nor cp1252; name its encoding, such as "
        "--encoding cp932 (Japanese), cp949 (Korean), cp1250, cp1251"
    )


def read_beginning(path: Path) -> bytes:
    """Return the first bytes of a file."""
    with open_stream(path) as file:
        return bytes(file.read(BLOCK))


def _fits(path: Path, encoding: str) -> bool:
    """Whether a whole file can be decoded."""
    with open_stream(path) as file:
        blocks = iter(lambda: file.read(BLOCK), b"")
        try:
            return all(text is not None for text in codecs.iterdecode(blocks, encoding))
        except UnicodeError:
            return False


def find_separator(text: str, preferred: str) -> str:
    """The character that appears as often on most lines, ignoring quoted text."""
    text = re.sub(r'"[^"]*"', "", text)
    lines = pd.Series([line for line in text.splitlines() if line.strip()], dtype="str")

    def share_of_lines(character: str) -> float:
        counts = lines.str.count(re.escape(character))
        usual = counts.mode().max()
        return float((counts == usual).mean()) if usual > 0 else 0

    return max([preferred, *",;\t|"], key=share_of_lines)


def find_decimal(counts: Iterable[pd.Series], separator: str) -> str:
    """The character, point or comma, before the last digits of more cells.

    If it is one as often as the other, a comma where semicolons separate the columns.
    """
    rows = dict.fromkeys(".,", 0.0)
    for each in counts:
        for own, other in (".,", ",."):
            number = rf"\D*(\d+|\d{{1,3}}([{other}]\d{{3}})+)[{own}]\d+\D*"
            rows[own] += each[each.index.str.fullmatch(number)].sum()
    is_tie = rows["."] == rows[","]
    return "," if rows[","] > rows["."] or (is_tie and separator == ";") else "."


# --- schema.yaml and config.yaml --------------------------------------------------


def write_schema(columns: Iterable[Column]) -> str:
    """Return the text of schema.yaml."""
    described: dict[str, Any] = {}
    for column in columns:
        properties: dict[str, Any] = {"dtype": DTYPES[column.kind]}
        if column.nullable:
            properties["nullable"] = True
        if column.categories:
            properties["isin"] = list(column.categories)
        if column.minimum is not None:
            limits = {"min_value": column.minimum, "max_value": column.maximum}
            properties["in_range"] = limits
        names = ("unit", "unreadable", "has_time", "digits")
        metadata = {name: getattr(column, name) for name in names}
        unset = (None, 0, "reject")
        metadata = {key: x for key, x in metadata.items() if x not in unset}
        if metadata:
            properties["metadata"] = metadata
        described[column.name] = properties
    content = {"schema_type": "dataframe", "strict": True, "columns": described}
    return _HEADER + yaml.safe_dump(
        content, default_flow_style=None, sort_keys=False, allow_unicode=True, width=100
    )


def has_other_columns(path: Path, names: Iterable[str]) -> bool:
    """Whether a schema.yaml is that of another table."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return list(content["columns"]) != list(names)


def change_config(text: str, raw: str, table: TableConfig) -> str:
    """Return the text of config.yaml for another table; its comments stay."""
    parser = YAML()
    parser.preserve_quotes, parser.width = True, 4096
    parser.representer.add_representer(  # otherwise nothing is written for null
        type(None),
        lambda writer, _: writer.represent_scalar("tag:yaml.org,2002:null", "null"),
    )
    content = parser.load(text)
    name = re.sub(r"[*?\[\]]+", "_", Path(raw).stem).strip("_") or "table"
    paths = {
        "raw": raw,
        "processed": f"data/processed/{name}.parquet",
        "rejected": f"data/rejected/{name}.csv",
    }
    for section, values in {"paths": paths, "table": table.model_dump()}.items():
        for key, value in values.items():
            if content[section].get(key) != value:
                content[section][key] = parser.load(_quote(value))
    parser.dump(content, changed := StringIO())
    return changed.getvalue()


def _quote(value: Any) -> str:
    """Return a value as YAML with all text in quotes, so that "no" is not false."""
    text = json.dumps(value, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda character: f"\\u{ord(character[0]):04x}", text)


def keep_old(path: Path) -> str:
    """Keep a copy of a file beside it; return the name of the copy."""
    names = (path.with_suffix(f".old-{number}.yaml") for number in count(1))
    copy = next(name for name in names if not name.exists())
    copy.write_bytes(path.read_bytes())
    return f"{path.name}: the old file is kept as {copy.name}"
