"""Read a cell of text as a value: the one reader of files and of requests.

What a text means depends on its column: on the kind in schema.yaml, and on how the
table spells missing values, booleans, dates and decimals. `data_preprocessing` reads
what is plain for whole columns at once and leaves the rest to these functions.
"""

import math
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from .schema import Column, Kind
from .utils import clean_text, normalize_text

LARGEST_EXACT_INTEGER = 2**53  # a float64 holds every integer up to this one

_EXPECTED: dict[Kind, str] = {
    "number": "should be a number",
    "integer": "should be a whole number",
    "boolean": "should be true or false, or spelled as in the table",
    "date": "should be a date like 2026-01-31",
    "category": "should be text",
}
MOST_LISTED = 20  # categories in an error message
MOST_KNOWN, LONGEST_KNOWN = 1_000, 100  # cached texts of a column, and their length
_TIME_OF_DAY = re.compile(
    r"(\d{1,3})[:h]([0-5]\d)(?::([0-5]\d(?:\.\d+)?))?(?: ?([ap])\.?m\.?)?",
    re.ASCII | re.IGNORECASE,
)
_DATE_PART = re.compile(r"(?<=\d)(?:(?:st|nd|rd|th)\b|[- ]?Q([1-4])$)")
_SWAP_POINT_AND_COMMA = str.maketrans(".,", ",.")
# between thousands:
_SEPARATORS = ",'\u2019\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE} "
_NUMBER = re.compile(
    rf"[-+]?((\d{{1,3}}([{_SEPARATORS}]\d{{3}})+|\d+(,\d\d)+,\d{{3}}|\d+)(\.\d*)?"
    r"|\.\d+)(e[-+]?\d+)?",
    re.ASCII | re.IGNORECASE,
)


def read_cell(text: str, column: Column) -> Any:
    """Return the value of a cell, or None if it spells a missing value.

    Numbers are floats, whole numbers integers, dates naive datetimes in UTC. Raises
    ValueError if the text is not a value of the column's kind.
    """
    text = normalize_text(text)
    text = column.replace.get(text, text)
    if clean_text(text) in cleaned(column.spelling.missing):
        return None

    try:
        return _READERS[column.kind](text, column)
    except (ValueError, OverflowError) as error:
        if column.unreadable == "missing":
            return None
        expected = _EXPECTED[column.kind]
        for form in column.spelling.date_formats[:1]:
            expected += datetime(2026, 1, 31).strftime(f" or {form}")
        raise ValueError(expected) from error


def read_value(value: Any, column: Column) -> Any:
    """Return the value of a cell that JSON holds: as text, or with a type of its own.

    Text is read as in the table's files; so is a number, once it is spelled as there.
    Raises ValueError if it is not a value of the column's kind.
    """
    if value is None or (column.kind == "boolean" and isinstance(value, bool)):
        return value

    if type(value) in (int, float) and abs(value) <= sys.float_info.max:
        value = _spell_number(value, column)
    if not isinstance(value, str):
        raise ValueError(_EXPECTED[column.kind])

    return read_cell(value, column)


def _spell_number(number: float, column: Column) -> str:
    """Spell a number as the table's files do."""
    text = repr(number)
    if column.kind == "date" and number % 1:
        return f"{number:07.4f}"  # 01.2020
    if column.kind != "category":
        whole = text.removesuffix(".0").replace(".", column.spelling.decimal)
        return whole.zfill(column.digits)
    if text in column.categories:
        return text

    return _by_value(column.categories).get(number, text.zfill(column.digits))


@lru_cache
def _by_value(categories: tuple[Any, ...]) -> dict[float, str]:
    """Return the categories that are numbers, such as 2.50, by their values."""
    found = {}
    for category in categories:
        with suppress(ValueError):
            found[float(category)] = category
    return found


def make_reader(column: Column) -> Callable[[Any], Any]:
    """Return a function that reads values of a column as `read_value` does, but faster.

    It raises ValueError also for a value that the schema does not allow.
    """
    limits: Any = column.minimum, column.maximum
    if column.kind == "date":
        limits = [end and datetime.fromisoformat(end) for end in limits]

    low, high = limits
    plain = {"number": (int, float), "integer": (int,)}.get(column.kind, ())
    spelled = [*column.spelling.missing, *column.replace]
    if any(text.strip()[-1:].isdigit() for text in spelled):
        plain = ()  # a number may stand for a missing value

    def check(value: Any) -> Any:
        problem = _find_problem(value, column, low, high)
        if not problem:
            return value
        if column.nullable and column.out_of_range == "missing":
            return None

        raise ValueError(problem)

    @lru_cache(MOST_KNOWN)
    def read_short(text: str) -> Any:
        return check(read_cell(text, column))

    def read(value: Any) -> Any:
        if type(value) is str and len(value) <= LONGEST_KNOWN:
            return read_short(value)
        if type(value) in plain and abs(value) <= LARGEST_EXACT_INTEGER:
            return check(value)
        return check(read_value(value, column))

    return read


def _find_problem(value: Any, column: Column, low: Any, high: Any) -> str:
    """Return what the schema does not allow about a value, or nothing."""
    if value is None:
        return "" if column.nullable else "is missing"
    if low is not None and value < low:
        return f"is below {column.minimum}"
    if high is not None and value > high:
        return f"is above {column.maximum}"

    listed = column.categories
    if listed and column.is_closed and value not in listed:
        return name_categories(listed)

    return ""


def name_categories(listed: Sequence) -> str:
    """Say which categories a value is not one of."""
    shown = ", ".join(map(str, listed[:MOST_LISTED]))
    rest = len(listed) - MOST_LISTED
    return f"is not one of {shown}" + (f" and {rest} more" if rest > 0 else "")


@lru_cache
def cleaned(texts: tuple[str, ...]) -> frozenset[str]:
    """Return the texts as they are compared.

    Differences in case and spaces do not matter.
    """
    return frozenset(clean_text(text) for text in texts)


def _read_number(text: str, column: Column) -> float:
    """Read a number: 1,234.50 or 1.234,50, (5) or 5.00- as -5, 7:30 am as 450 minutes.

    The column's unit, if it has one, may precede or follow it.
    """
    if time := _TIME_OF_DAY.fullmatch(text):
        *parts, half = time.groups()
        hours, minutes, seconds = (float(part or 0) for part in parts)
        if half:
            hours = hours % 12 + 12 * (half in "pP")
        return hours * 60 + minutes + seconds / 60

    digits = text.replace("\N{MINUS SIGN}", "-")
    if column.unit:
        unit = re.escape(column.unit)
        # It is first, behind a sign, or last.
        digits = re.sub(rf"^([-+(]*) *{unit} *| *{unit}(\)?)$", r"\1\2", digits)
    if column.spelling.decimal == ",":
        digits = digits.translate(_SWAP_POINT_AND_COMMA)
    digits = re.sub(r"^\((.*)\)$|^(.*[.]\d+)-$", r"-\1\2", digits)
    if not _NUMBER.fullmatch(digits):
        raise ValueError(text)

    number = float(re.sub(f"[{_SEPARATORS}]", "", digits))
    if not math.isfinite(number):
        raise ValueError(text)

    return number


def _read_integer(text: str, column: Column) -> int:
    """Read a whole number small enough to be held exactly."""
    number = _read_number(text, column)
    if number % 1 or abs(number) > LARGEST_EXACT_INTEGER:
        raise ValueError(text)
    return int(number)


def _read_boolean(text: str, column: Column) -> bool:
    """Read a boolean in any letter case: true, false, and the table's own spellings."""
    text = clean_text(text)
    if text == "true" or text in cleaned(column.spelling.true):
        return True
    if text == "false" or text in cleaned(column.spelling.false):
        return False

    raise ValueError(text)


def read_date(text: str, formats: Iterable[str] = ()) -> datetime:
    """Read a date in ISO 8601, or in the first of the formats that fits.

    The result has no time zone: a date with one is converted to UTC. Raises ValueError
    if no format fits.
    """
    text = plain_date(text)
    for form in ("", *formats):
        with suppress(ValueError, OverflowError):
            date = (
                datetime.strptime(text, form) if form else datetime.fromisoformat(text)
            )
            return date.astimezone(UTC).replace(tzinfo=None) if date.tzinfo else date

    raise ValueError(text)


def plain_date(text: str) -> str:
    """Write the 5th as 5, and the quarter 2024Q1 as its first month, 2024-01."""
    return _DATE_PART.sub(
        lambda found: f"-{3 * int(found[1]) - 2:02}" if found[1] else "", text
    )


def _read_category(text: str, column: Column) -> str:
    """Spell a category as the schema does: spaces and letter case do not matter."""
    known = spellings(column.categories)
    return known.get(text) or known.get(clean_text(text), text)


@lru_cache
def spellings(categories: tuple[Any, ...]) -> dict[str, str]:
    """Return the schema's spelling of each category, and of its cleaned text."""
    names = [normalize_text(str(category)) for category in categories]
    return {clean_text(name): name for name in names} | {name: name for name in names}


_READERS: dict[Kind, Callable[[str, Column], Any]] = {
    "number": _read_number,
    "integer": _read_integer,
    "boolean": _read_boolean,
    "date": lambda text, column: read_date(text, column.spelling.date_formats),
    "category": _read_category,
}
