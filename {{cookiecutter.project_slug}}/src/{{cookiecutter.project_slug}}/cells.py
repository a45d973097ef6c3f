"""Read a cell of text as a value: the one reader of raw files, `predict` and the service.

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

from .schema import Column, Kind, Spelling
from .utils import clean_text

LARGEST_EXACT_INTEGER = 2**53  # a float64 holds every integer up to this one

CURRENCIES = (
    *"$€£¥₹₽₩₺₪₫฿",
    *"AUD BRL CAD CHF CNY CZK DKK EUR GBP HKD HUF ILS INR JPY KRW MXN NOK".split(),
    *"NZD PLN RON RUB SEK SGD THB TRY USD ZAR".split(),
)
_ANY_UNIT = "|".join(re.escape(unit) for unit in (*CURRENCIES, "%"))
_PLAIN_NUMBER = re.compile(
    r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.ASCII | re.IGNORECASE
)
_EXPECTED: dict[Kind, str] = {
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "date": "a date like 2026-01-31",
    "category": "text",
}
_TIME_OF_DAY = re.compile(r"(\d{1,2}):([0-5]\d)(?::([0-5]\d))?", re.ASCII)


def read_cell(text: str, column: Column) -> Any:
    """Return the value of a cell, or None if it spells a missing value.

    Numbers are floats, whole numbers integers, dates naive datetimes in UTC. Raises
    ValueError if the text is not a value of the column's kind.
    """
    spelling = column.spelling
    text = clean_cell(text)
    text = column.replace.get(text, text)
    if is_missing(text, spelling):
        return None
    match column.kind:
        case "number":
            return read_number(text, spelling.decimal, column.unit)
        case "integer":
            return read_integer(text, spelling.decimal, column.unit)
        case "boolean":
            return read_boolean(text, spelling)
        case "date":
            return read_date(text, spelling.date_formats)
        case "category":
            return read_category(text, column.categories)


def read_value(value: Any, column: Column) -> Any:
    """Return the value of a cell that JSON holds: as text, or with a type of its own.

    Text is read as in the table's files. So is a number, unless the column holds
    numbers, too. Raises ValueError if it is not a value of the column's kind.
    """
    if value is None:
        return None
    if isinstance(value, str):
        return read_cell(value, column)
    if isinstance(value, bool) and column.kind == "boolean":
        return value

    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not abs(value) <= sys.float_info.max:
        raise ValueError(f"should be {_EXPECTED[column.kind]}")
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


def clean_cell(text: str) -> str:
    """Remove surrounding whitespace, and write accents in one way (Unicode NFC)."""
    text = text.strip()
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def is_missing(text: str, spelling: Spelling) -> bool:
    """Whether a text spells a missing value, in any letter case."""
    return clean_text(text) in cleaned(spelling.missing)


@lru_cache
def cleaned(texts: tuple[str, ...]) -> frozenset[str]:
    """Return the texts as they are compared: without differences in case and spaces."""
    return frozenset(clean_text(text) for text in texts)


def read_number(text: str, decimal: str = ".", unit: str | None = None) -> float:
    """Read a number: 1,234.50 or 1.234,50, (5) as -5, 12 % as 12, 7:30 as 450 minutes.

    A unit may precede or follow it: the column's own or, if it has none, a currency
    or a percent sign.
    """
    time = _TIME_OF_DAY.fullmatch(text)
    if time:
        hours, minutes, seconds = (int(part or 0) for part in time.groups())
        return hours * 60 + minutes + seconds / 60

    in_parentheses = text.startswith("(") and text.endswith(")")
    digits = text[1:-1] if in_parentheses else text
    digits = digits.replace("\N{MINUS SIGN}", "-")
    digits = _without_unit(digits, unit)
    digits = _without_separators(digits, decimal)
    if not _PLAIN_NUMBER.fullmatch(digits):
        raise ValueError("should be a number")

    number = float(digits)
    if not math.isfinite(number) or (in_parentheses and digits[0] in "+-"):
        raise ValueError("should be a number")
    return -number if in_parentheses else number


def _without_unit(text: str, unit: str | None) -> str:
    """Remove the unit of a number, if it has one: $-5, -$5 and -5 $ become -5."""
    match = _unit_pattern(unit).fullmatch(text)
    if match is None:
        return text
    sign, after, before = match.groups()
    return sign + (after if before is None else before)


@lru_cache
def _unit_pattern(unit: str | None) -> re.Pattern[str]:
    """Return what matches a number with its unit before or after it."""
    unit = _ANY_UNIT if unit is None else re.escape(unit)
    return re.compile(rf"([-+]?)\s*(?:(?:{unit})\s*([-+]?.*?)|(.*?)\s*(?:{unit}))\s*")


def _without_separators(text: str, decimal: str) -> str:
    """Remove thousands separators, and write the decimal sign as a point."""
    thousands = "," if decimal == "." else "."
    whole, point, part = text.partition(decimal)
    if re.fullmatch(rf"[-+]?\d{{1,3}}([{thousands}'’\s]\d{{3}})+", whole, re.ASCII):
        whole = re.sub(rf"[{thousands}'’\s]", "", whole)
    if thousands in whole + part:  # 12.5 where the decimal sign is a comma
        raise ValueError("should be a number")
    return f"{whole}.{part}" if point else whole


def read_integer(text: str, decimal: str = ".", unit: str | None = None) -> int:
    """Read a whole number small enough to be held exactly."""
    number = read_number(text, decimal, unit)
    if number % 1 or abs(number) > LARGEST_EXACT_INTEGER:
        raise ValueError("should be a whole number")
    return int(number)


def read_boolean(text: str, spelling: Spelling) -> bool:
    """Read a boolean in any letter case: true, false, and the table's own spellings."""
    text = clean_text(text)
    if text == "true" or text in cleaned(spelling.true):
        return True
    if text == "false" or text in cleaned(spelling.false):
        return False
    raise ValueError("should be true or false, or spelled as in the table")


def read_date(text: str, formats: Iterable[str] = ()) -> datetime:
    """Read a date in ISO 8601, or in the first of the formats that fits, in UTC."""
    parsers: list[Callable[[str], datetime]] = [datetime.fromisoformat]
    parsers += [_parser(form) for form in formats]
    for parse in parsers:
        try:
            date = parse(text)
            return date.astimezone(UTC).replace(tzinfo=None) if date.tzinfo else date
        except (ValueError, OverflowError):
            continue
    raise ValueError("should be a date like 2026-01-31")


@lru_cache
def _parser(form: str) -> Callable[[str], datetime]:
    """Return a function that reads dates of one format."""
    return lambda text: datetime.strptime(text, form)


def read_category(text: str, categories: tuple[Any, ...] = ()) -> str:
    """Spell a category as the schema does: spaces and letter case do not matter."""
    known = spellings(categories)
    return known.get(text) or known.get(clean_text(text), text)


@lru_cache
def spellings(categories: tuple[Any, ...]) -> dict[str, str]:
    """Return the schema's spelling of each category, and of its cleaned text."""
    names = [clean_cell(str(category)) for category in categories]
    by_cleaned_text = {clean_text(name): name for name in names}
    return by_cleaned_text | {name: name for name in names}
