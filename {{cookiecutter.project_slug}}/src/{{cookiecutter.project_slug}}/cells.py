"""Read a cell of text as a value: the one reader of files and of requests.

What a text means depends on its column: on the kind in schema.yaml, and on how the
table spells missing values, booleans, dates and decimals. `data_preprocessing` reads
what is plain for whole columns at once and leaves the rest to these functions.
"""

import math
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from .schema import Column, Kind
from .utils import clean_text

LARGEST_EXACT_INTEGER = 2**53  # a float64 holds every integer up to this one

_EXPECTED: dict[Kind, str] = {
    "number": "should be a number",
    "integer": "should be a whole number",
    "boolean": "should be true or false, or spelled as in the table",
    "date": "should be a date like 2026-01-31",
    "category": "should be text",
}
MOST_LISTED = 20  # categories, in a message
MOST_KNOWN, LONGEST_KNOWN = 1_000, 100  # texts of a column that are kept, and letters
_TIME_OF_DAY = re.compile(r"(\d{1,2}):([0-5]\d)(?::([0-5]\d))?", re.ASCII)
_SWAP_POINT_AND_COMMA = str.maketrans(".,", ",.")
_SEPARATORS = (
    ",'\u2019\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE} "  # between thousands
)
_NUMBER = re.compile(
    rf"[-+]?((\d{{1,3}}([{_SEPARATORS}]\d{{3}})+|\d+)(\.\d*)?|\.\d+)(e[-+]?\d+)?",
    re.ASCII | re.IGNORECASE,
)


def read_cell(text: str, column: Column) -> Any:
    """Return the value of a cell, or None if it spells a missing value.

    Numbers are floats, whole numbers integers, dates naive datetimes in UTC. Raises
    ValueError if the text is not a value of the column's kind.
    """
    text = clean_cell(text)
    text = column.replace.get(text, text)
    if clean_text(text) in cleaned(column.spelling.missing):
        return None
    try:
        return _READERS[column.kind](text, column)
    except (ValueError, OverflowError) as error:
        if column.unreadable == "missing":
            return None
        raise ValueError(_EXPECTED[column.kind]) from error


def read_value(value: Any, column: Column) -> Any:
    """Return the value of a cell that JSON holds: as text, or with a type of its own.

    Text is read as in the table's files; so is a number, once it is spelled as there.
    Raises ValueError if it is not a value of the column's kind.
    """
    if value is None:
        return None
    if isinstance(value, str):
        return read_cell(value, column)
    if isinstance(value, bool) and column.kind == "boolean":
        return value

    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not abs(value) <= sys.float_info.max:
        raise ValueError(_EXPECTED[column.kind])
    return read_cell(_as_in_file(value, column), column)


def _as_in_file(number: float, column: Column) -> str:
    """Spell a number as the table's files do."""
    text = repr(number)
    whole = text.removesuffix(".0")
    if column.kind in ("number", "integer"):
        return whole.replace(".", column.spelling.decimal)
    if column.kind != "category":
        return whole
    is_known = whole in column.categories and text not in column.categories
    return whole if is_known else text.zfill(column.digits)


def make_reader(column: Column) -> Callable[[Any], Any]:
    """Return a function that reads values of a column as `read_value` does, but faster.

    It raises ValueError also for a value that the schema does not allow.
    """
    low: Any = column.minimum
    high: Any = column.maximum
    if column.kind == "date":
        low = low and datetime.fromisoformat(low)
        high = high and datetime.fromisoformat(high)
    spelled = "".join([*column.spelling.missing, *column.replace])
    is_plain = not any(character.isdigit() for character in spelled)
    known: dict[Any, Any] = {}  # by texts that came before

    def read(value: Any) -> Any:
        is_text = type(value) is str
        if is_text and value in known:
            return known[value]

        is_value = is_plain and _is_number(value, column.kind)
        result = value if is_value else read_value(value, column)
        problem = None
        if result is not None and low is not None and result < low:
            problem = f"is below {column.minimum}"
        elif result is not None and high is not None and result > high:
            problem = f"is above {column.maximum}"
        if problem and column.out_of_range == "missing":
            result = problem = None

        if result is None and not column.nullable:
            problem = "is missing"
        listed = column.categories if column.is_closed else ()
        if result is not None and listed and result not in listed:
            problem = "is not one of " + ", ".join(map(str, listed[:MOST_LISTED]))
        if problem:
            raise ValueError(problem)
        if is_text and len(value) <= LONGEST_KNOWN and len(known) < MOST_KNOWN:
            known[value] = result
        return result

    return read


def _is_number(value: Any, kind: Kind) -> bool:
    """Whether JSON holds a number where the column does, which needs no closer look."""
    if type(value) not in (int, float) or not abs(value) <= LARGEST_EXACT_INTEGER:
        return False
    return kind == "number" or (kind == "integer" and value % 1 == 0)


def clean_cell(text: str) -> str:
    """Remove surrounding whitespace, and write accents in one way (Unicode NFC)."""
    text = text.strip()
    return text if text.isascii() else unicodedata.normalize("NFC", text)


@lru_cache
def cleaned(texts: tuple[str, ...]) -> frozenset[str]:
    """Return the texts as they are compared: without differences in case and spaces."""
    return frozenset(clean_text(text) for text in texts)


def read_number(text: str, column: Column) -> float:
    """Read a number: 1,234.50 or 1.234,50, (5) as -5, 7:30 as 450 minutes.

    The column's unit, if it has one, may precede or follow it.
    """
    if time := _TIME_OF_DAY.fullmatch(text):
        hours, minutes, seconds = (int(part or 0) for part in time.groups())
        return hours * 60 + minutes + seconds / 60

    digits = text.replace("\N{MINUS SIGN}", "-")
    if column.spelling.decimal == ",":
        digits = digits.translate(_SWAP_POINT_AND_COMMA)
    if column.unit:
        before, _, after = (part.strip() for part in digits.partition(column.unit))
        digits = before + after if not before.strip("+-(") or not after else text
    if digits.startswith("(") and digits.endswith(")"):
        digits = f"-{digits[1:-1]}"
    if not _NUMBER.fullmatch(digits):
        raise ValueError(text)

    number = float(re.sub(f"[{_SEPARATORS}]", "", digits))
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def read_integer(text: str, column: Column) -> int:
    """Read a whole number small enough to be held exactly."""
    number = read_number(text, column)
    if number % 1 or abs(number) > LARGEST_EXACT_INTEGER:
        raise ValueError(text)
    return int(number)


def read_boolean(text: str, column: Column) -> bool:
    """Read a boolean in any letter case: true, false, and the table's own spellings."""
    text = clean_text(text)
    for value in (True, False):
        spelled = column.spelling.true if value else column.spelling.false
        if text == str(value).lower() or text in cleaned(spelled):
            return value
    raise ValueError(text)


def read_date(text: str, formats: Iterable[str] = ()) -> datetime:
    """Read a date in ISO 8601, or in the first of the formats that fits, in UTC."""
    for form in ("", *formats):
        try:
            date = (
                datetime.strptime(text, form) if form else datetime.fromisoformat(text)
            )
            return date.astimezone(UTC).replace(tzinfo=None) if date.tzinfo else date
        except (ValueError, OverflowError):
            continue
    raise ValueError(text)


def _read_category(text: str, column: Column) -> str:
    """Spell a category as the schema does: spaces and letter case do not matter."""
    known = spellings(column.categories)
    return known.get(text) or known.get(clean_text(text), text)


@lru_cache
def spellings(categories: tuple[Any, ...]) -> dict[str, str]:
    """Return the schema's spelling of each category, and of its cleaned text."""
    names = [clean_cell(str(category)) for category in categories]
    return {clean_text(name): name for name in names} | {name: name for name in names}


_READERS: dict[Kind, Callable[[str, Column], Any]] = {
    "number": read_number,
    "integer": read_integer,
    "boolean": read_boolean,
    "date": lambda text, column: read_date(text, column.spelling.date_formats),
    "category": _read_category,
}
