"""How `infer-schema` decides what a column is: one rule, one function.

A rule looks at the distinct texts of a column without missing values (`counts`: the
number of rows of each), at its `numbers`, or at its `values` in the order of the rows.
docs/own-table.md lists the rules.
"""

import re
from collections.abc import Sequence
from itertools import product

from numpy import average
from pandas import Series, to_datetime, to_numeric

from ..cells import LARGEST_EXACT_INTEGER
from ..config import Task
from ..data_preprocessing import parse_column
from ..schema import Column, Spelling
from ..utils import clean_text

MOST = 0.9  # of the rows must be of a kind; the others then count as missing
HALF = 0.5  # of the rows: such a column is pointed out
FREQUENT = 0.05  # of the rows
FEW = 20  # different whole numbers at most are classes
OFTEN = 5  # rows at least for each category: there will hardly be others
TRIED = 10_000  # texts at most, to find the formats of dates
LISTED = 50  # categories at most are listed

LAST_WORD = r"(^|[^A-Za-z]|(?<=[a-z])(?=[A-Z]))(?i:{})[^A-Za-z]*$"
IS_ID = re.compile(LAST_WORD.format("id|uuid|guid|key|no|nr|number|index"))
IS_CODE = re.compile(LAST_WORD.format("id|code|zip|zipcode|postcode|plz"))
UNITS = (
    "US[$]|A[$]|C[$]|R[$]|[$€£¥₹₽₩₺₪₫฿%]|kr|Kč|zł|AUD|BRL|CAD|CHF|CNY|CZK|DKK|EUR|GBP"
    "|HKD|HUF|ILS|INR|JPY|KRW|MXN|NOK|NZD|PLN|RON|RUB|SEK|SGD|THB|TRY|USD|ZAR"
    r"|(?<=\d )[a-z]+$|/\d+$"  # 60 sqft, 8/10
)
DATE = (
    r"(?!\D*\d*[.,]?\d+\D*$).*\d.*[\W_].*\d.*|.*[A-Za-z]{3}\W\d.*"  # not 5.20
    r"|(19|20)\d{6}|\d{4}(19|20)\d\d"
)
FORMATS = (
    "%m/%d/%Y|%m-%d-%Y|%m/%d/%y|%m-%d-%y|%m%d%Y|%d/%m/%Y|%d-%m-%Y|%d/%m/%y|%d-%m-%y"
    "|%d%m%Y|%d.%m.%Y|%d.%m.%y|%Y/%m/%d|%Y.%m.%d|%Y-%m-%d|%d %b %Y|%d-%b-%Y|%d/%b/%Y"
    "|%d %B %Y|%d. %B %Y|%d-%b-%y|%d %b %y|%b %d, %Y|%B %d, %Y|%b %d %Y|%a, %d %b %Y"
    "|%Y-%m|%Y/%m|%m/%Y|%m-%Y|%b-%Y|%b %Y|%B %Y|%b-%y"
)
TIMES = "| %H:%M| %H:%M:%S| %I:%M %p| %I:%M:%S %p| %H:%M:%S %z"


def share_of(counts: Series, pattern: str) -> float:
    """The share of the rows whose whole text matches a pattern."""
    return counts[counts.index.str.fullmatch(pattern)].sum() / counts.sum()


def looks_like_row(names: Sequence[str]) -> bool:
    """Half of the names are numbers or dates, and do not count up in equal steps."""
    texts = Series(names, dtype="str")
    numbers = to_numeric(texts, errors="coerce").dropna()
    dates = texts.str.fullmatch(r"\d+[-/.]\d+[-/.]\d+").sum()
    is_count = len(numbers) > 2 and numbers.diff().nunique() == 1
    return 0 < HALF * len(names) <= len(numbers) + dates and not is_count


def find_unit(counts: Series) -> str | None:
    """The currency, percent sign or the like of nearly all numbers that have one."""
    units = counts.index.to_series().str.extract(f"({UNITS})")[0]
    rows = counts.groupby(units).sum()
    least = max(MOST * rows.sum(), FREQUENT * counts.sum())
    return str(rows.idxmax()) if len(rows) and rows.max() >= least else None


def is_code(counts: Series) -> bool:
    """Digits that are no amount: 16 or more, or with leading zeros.

    A single zero is a slip, unless all have the same length.
    """
    digits = counts[counts.index.str.fullmatch(r"-?\d+")]
    lengths = digits.index.str.strip("-").str.len()
    zeros = digits[digits.index.str.match("0.")].sum()
    is_usual = lengths.nunique() == 1 or zeros >= FREQUENT * digits.sum()
    return bool(lengths.max() >= 16 or (zeros and is_usual))


def count_digits(counts: Series) -> int:
    """The length of codes that may begin with zeros, if all have the same."""
    codes = counts.index[counts.index.str.fullmatch(r"\d+")]
    lengths = set(codes.str.len()) if codes.str.startswith("0").any() else set()
    return lengths.pop() if len(lengths) == 1 else 0


def is_whole(numbers: Series) -> bool:
    """All numbers are whole, and small enough to be held exactly."""
    known = numbers.dropna()
    return bool(((known % 1 == 0) & (known.abs() <= LARGEST_EXACT_INTEGER)).all())


def is_called_code(name: str, counts: Series) -> bool:
    """Numbers that come again and again, and are called a code."""
    return bool(IS_CODE.search(name)) and counts.sum() >= OFTEN * len(counts)


def is_running_number(name: str, values: Series) -> bool:
    """Whole numbers, nearly all different, that count the rows or are called an id."""
    values = values.dropna()
    distinct = values.nunique()
    if len(values) < FEW or distinct < MOST * len(values) or not is_whole(values):
        return False
    is_dense = values.max() - values.min() < 1.1 * distinct
    is_sorted = values.is_unique and is_monotone(values)
    return is_dense or is_sorted or bool(IS_ID.search(name))


def is_monotone(values: Series) -> bool:
    """Nearly all values are at least as large as the one before, or at most."""
    steps = values.dropna().rank(method="dense").diff().dropna()
    return max((steps >= 0).mean(), (steps <= 0).mean()) > 0.99


def is_identifier(name: str, counts: Series) -> bool:
    """Text that is nearly always different, or often different and called an id."""
    share = len(counts) / counts.sum()
    is_called_so = share > 0.01 and IS_ID.search(name)
    return bool(counts.sum() >= FEW and (share > MOST or is_called_so))


def is_free_text(counts: Series) -> bool:
    """Often different, and on average more than three words or fifty letters."""
    words = average(counts.index.str.count(r"\S+"), weights=counts)
    letters = average(counts.index.str.len(), weights=counts)
    is_different = len(counts) > max(FEW, 0.1 * counts.sum())
    return bool(is_different and (words > 3 or letters > 50))


def find_date_formats(counts: Series) -> tuple[list, bool]:
    """The formats of dates beside ISO 8601, and whether day and month may be swapped.

    The month comes first, or the day, if more can be read then.
    """
    unread = count_unread(counts[:: len(counts) // TRIED + 1])
    few = unread.index[:: len(unread) // LISTED + 1]
    times = TIMES if few.str.contains(":").any() else ""
    month_first, day_first = [], []
    for day, time in product(FORMATS.split("|"), times.split("|")):
        form = day + time
        dates = to_datetime(few, format=form, errors="coerce", utc=True)
        if dates.notna().any():
            month_first += [form] * (not re.match("%d[-/]?%m", form))
            day_first += [form] * (not re.match("%m[-/]?%d", form))
        if "%m" not in form:  # of "5 May 2024" one reading is enough
            few = few[dates.isna()]

    rest = count_unread(unread, *month_first).sum()
    day_rest = count_unread(unread, *day_first).sum()
    if day_rest < rest:
        return day_first, False
    return month_first, day_rest == rest and month_first != day_first


def count_unread(counts: Series, *formats: str) -> Series:
    """The texts that are no dates in ISO 8601 or in a format."""
    column = Column("", "date", spelling=Spelling(date_formats=formats))
    return counts[parse_column(counts.index.to_series(), column)[1]]


def merge_spellings(counts: Series) -> Series:
    """Count texts that differ only in spaces and case as the most frequent of them."""
    cleaned = counts.index.to_series().map(clean_text)
    usual = counts.groupby(cleaned).idxmax()
    return counts.groupby(cleaned.map(usual)).sum()


def find_categories(merged: Series) -> tuple[str, ...]:
    """The categories; none, if others are likely to come.

    Values seen once suggest that some have not been seen at all; values seen five times
    each, that hardly any is missing (the estimate of Good and Turing).
    """
    is_complete = merged.min() >= OFTEN and len(merged) <= LISTED
    return tuple(merged.index) if is_complete else ()


def find_limits(low: float, high: float) -> tuple[float, float]:
    """Ten times the largest size, rounded up; 0 if no value is on its other side."""
    ten_times = 10 * max(-low, high)
    digit = 10.0 ** (len(f"{ten_times:.0f}") - 1)
    room = -(-ten_times // digit) * digit
    return (0 if low >= 0 else -room), (0 if high <= 0 else room)


def find_task(numbers: Series, counts: Series) -> Task:
    """Text and few different whole numbers are classes; other numbers a regression."""
    is_number = counts[numbers.notna()].sum() >= MOST * counts.sum()
    is_few = numbers.nunique() <= min(FEW, counts.sum() / 2) and is_whole(numbers)
    is_classes = not is_number or is_few or is_code(counts)
    return "classification" if is_classes else "regression"
