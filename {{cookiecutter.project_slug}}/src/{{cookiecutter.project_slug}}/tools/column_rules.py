"""How `infer-schema` decides what a column is: one rule, one function.

A rule looks at the distinct texts of a column without missing values (`counts`: the
number of rows of each), at its `numbers`, or at its `values` in the order of the rows.
docs/own-table.md lists the rules.
"""

import re
from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..cells import LARGEST_EXACT_INTEGER, read_date
from ..config import Task
from ..utils import clean_text

MOST = 0.9  # of the rows must be of a kind; the others then count as missing
HALF = 0.5  # of the rows: such a column is pointed out
FEW = 20  # different whole numbers at most are classes
MANY = 1000  # rows without a gap: tomorrow's will have none either
OFTEN = 5  # rows at least for each category: there will hardly be others
TRIED = 10_000  # texts at most, to find the formats of dates
LISTED = 50  # categories at most are listed
FREQUENT = 0.05  # of the rows

ORDERED = ("number", "integer", "date")
ID_NAMES = {"id", "uuid", "guid", "key", "no", "nr", "number", "index"}
CODE_NAMES = {"id", "code", "zip", "zipcode", "postcode", "plz"}
UNITS = (
    "US[$]|A[$]|C[$]|R[$]|[$€£¥₹₽₩₺₪₫฿%]|kr|Kč|zł|AUD|BRL|CAD|CHF|CNY|CZK|DKK|EUR|GBP"
    "|HKD|HUF|ILS|INR|JPY|KRW|MXN|NOK|NZD|PLN|RON|RUB|SEK|SGD|THB|TRY|USD|ZAR"
)
DAY_FIRST = ("%d/%m/%Y", "%d-%m-%Y", "%d/%m/%y", "%d-%m-%y", "%d%m%Y")
DATES = (
    *("%d.%m.%Y", "%d.%m.%y", "%Y/%m/%d", "%Y.%m.%d", "%Y-%m-%d", "%d %b %Y"),
    *("%d-%b-%Y", "%d/%b/%Y", "%d %B %Y", "%d. %B %Y", "%d-%b-%y", "%d %b %y"),
    *("%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%a, %d %b %Y", "%Y-%m", "%Y/%m"),
    *("%m/%Y", "%m-%Y", "%b-%Y", "%b %Y", "%B %Y", "%b-%y"),
)
TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", " %H:%M:%S %z")


def looks_like_row(names: Sequence[str]) -> bool:
    """Half of the names are numbers or dates, and do not count up in equal steps."""
    texts = pd.Series(names, dtype="str")
    numbers = pd.to_numeric(texts, errors="coerce")
    is_value = numbers.notna() | texts.str.fullmatch(r"\d+[-/.]\d+[-/.]\d+")
    is_count = numbers.count() > 2 and numbers.dropna().diff().nunique() == 1
    return bool(is_value.mean() >= HALF and not is_count)


def find_unit(counts: pd.Series) -> str | None:
    """The currency or percent sign of nearly all numbers that have one."""
    pattern = rf"^[-+(\s]*({UNITS})[-+\s]*[\d.]|[\d.]\s*({UNITS})[)\s]*$"
    found = counts.index.to_series().str.extract(pattern)
    rows = counts.groupby(found[0].fillna(found[1])).sum()
    is_clear = len(rows) and rows.max() >= MOST * rows.sum()
    return str(rows.idxmax()) if is_clear else None


def is_code(counts: pd.Series) -> bool:
    """Digits that are no amount: 16 or more, or with leading zeros.

    A single zero is a slip, unless all have the same length.
    """
    digits = counts[counts.index.str.fullmatch(r"-?\d+")]
    if digits.index.str.fullmatch(r"-?\d{16,}").any():
        return True
    zeros = digits[digits.index.str.fullmatch(r"0\d+")].sum()
    has_one_length = digits.index.str.len().nunique() == 1
    return bool(zeros and (has_one_length or zeros >= FREQUENT * digits.sum()))


def count_digits(counts: pd.Series) -> int:
    """The length of codes that may begin with zeros, if all have the same."""
    lengths = counts.index[counts.index.str.fullmatch(r"\d+")].str.len().unique()
    has_zeros = counts.index.str.startswith("0").any()
    return int(lengths[0]) if has_zeros and len(lengths) == 1 else 0


def is_whole(numbers: pd.Series) -> bool:
    """All numbers are whole, and small enough to be held exactly."""
    known = numbers.dropna()
    return bool(((known % 1 == 0) & (known.abs() <= LARGEST_EXACT_INTEGER)).all())


def ends_in(name: str, words: set[str]) -> bool:
    """The last word of order_id, orderID or "Order Id" is one of the words."""
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)
    return bool(parts) and parts[-1].lower() in words


def is_called_code(name: str, counts: pd.Series) -> bool:
    """Numbers that come again and again, and are called a code."""
    return ends_in(name, CODE_NAMES) and counts.sum() >= OFTEN * len(counts)


def is_running_number(name: str, values: pd.Series) -> bool:
    """Whole numbers, nearly all different, that count the rows or are called an id."""
    values = values.dropna()
    distinct = values.nunique()
    if len(values) < FEW or distinct < MOST * len(values) or not is_whole(values):
        return False
    is_dense = values.max() - values.min() < 1.1 * distinct
    is_sorted = is_monotone(values) and distinct == len(values)
    return is_dense or is_sorted or ends_in(name, ID_NAMES)


def is_monotone(values: pd.Series) -> bool:
    """Nearly all values are at least as large as the one before, or at most."""
    ranks = values.dropna().rank(method="dense")
    steps = ranks.diff().dropna()
    return max((steps >= 0).mean(), (steps <= 0).mean()) > 0.99


def is_identifier(name: str, counts: pd.Series) -> bool:
    """Text that is nearly always different, or often different and called an id."""
    share = len(counts) / counts.sum()
    is_called_so = share > 0.01 and ends_in(name, ID_NAMES)
    return bool(counts.sum() >= FEW and (share > MOST or is_called_so))


def is_nested(counts: pd.Series) -> bool:
    """Lists or structs, as Parquet may hold."""
    rows = counts[counts.index.str.fullmatch(r"\[.*\]|\{.*\}")].sum()
    return bool(rows >= MOST * counts.sum())


def is_free_text(counts: pd.Series) -> bool:
    """Often different, and on average more than three words or fifty letters."""
    words = (counts.index.str.count(r"\S+") * counts).sum() / counts.sum()
    letters = (counts.index.str.len() * counts).sum() / counts.sum()
    is_different = len(counts) > max(FEW, 0.1 * counts.sum())
    return is_different and (words > 3 or letters > 50)


def may_be_dates(counts: pd.Series) -> bool:
    """Most texts have digits in groups, or a month, or eight digits."""
    pattern = r".*\d.*[\W_].*\d.*|.*[A-Za-z]{3}\W\d.*|\d{8}"
    return bool(counts[counts.index.str.fullmatch(pattern)].sum() > HALF * counts.sum())


def is_date_of_digits(counts: pd.Series) -> bool:
    """Nearly all texts are dates in eight digits, as 20240131 or 01312024."""
    if not counts.index.str.fullmatch(r"\d{8}").mean() >= MOST:
        return False
    rows = [counts[_are_dates(counts, form)].sum() for form in ("%d%m%Y", "%m%d%Y")]
    return bool(max(rows) >= MOST * counts.sum())


def find_date_formats(counts: pd.Series) -> tuple[list[str], bool]:
    """The formats of dates beside ISO 8601, and whether day and month may be swapped.

    The month comes first, or the day, if more can be read then.
    """
    counts = counts.nlargest(TRIED)
    month_first = [swap(form) for form in DAY_FIRST]
    month_formats, unread = _formats_that_read(counts, (*month_first, *DATES))
    day_formats, still_unread = _formats_that_read(counts, (*DAY_FIRST, *DATES))
    is_ambiguous = unread == still_unread and month_formats != day_formats
    return (day_formats if still_unread < unread else month_formats), is_ambiguous


def swap(form: str) -> str:
    """Return a format of dates with the day and the month swapped."""
    return form.translate(str.maketrans("dm", "md"))


def _formats_that_read(
    counts: pd.Series, dates: Sequence[str]
) -> tuple[list[str], int]:
    """Return formats that read some dates each, and the number of unread rows."""
    unread = counts[~_are_dates(counts)]
    few = unread[:: len(unread) // LISTED + 1]
    forms = [date + time for date in dates for time in TIMES]
    forms = [form for form in forms if _are_dates(few, form).any()]
    forms.sort(key=lambda form: -unread[_are_dates(unread, form)].sum())

    formats: list[str] = []
    for form in forms:
        is_read = _are_dates(unread, form)
        if unread[is_read].sum() > 0.001 * counts.sum():
            formats.append(form)
            unread = unread[~is_read]
    return formats, int(unread.sum())


def _are_dates(counts: pd.Series, *formats: str) -> NDArray[np.bool_]:
    """Which texts are dates, in ISO 8601 or a format."""
    return np.array([_is_date(text, formats) for text in counts.index], dtype=bool)


def _is_date(text: str, formats: Sequence[str]) -> bool:
    """Whether a text is a date. Digits alone must be eight, and of our time."""
    try:
        year = read_date(text, formats).year
    except ValueError:
        return False
    return not text.isdigit() or (len(text) == 8 and 1900 <= year <= 2100)


def merge_spellings(counts: pd.Series) -> pd.Series:
    """Count texts that differ only in spaces and case as the most frequent of them."""
    counts = counts.sort_values(ascending=False, kind="stable")
    cleaned = counts.index.map(clean_text)
    usual = dict(zip(reversed(cleaned), reversed(counts.index), strict=True))
    return counts.groupby(cleaned.map(usual)).sum()


def find_categories(merged: pd.Series) -> tuple[str, ...]:
    """The categories; none, if others are likely to come.

    Values seen once suggest that some have not been seen at all; values seen five times
    each, that hardly any is missing (the estimate of Good and Turing).
    """
    is_complete = merged.min() >= OFTEN and len(merged) <= LISTED
    return tuple(merged.index) if is_complete else ()


def find_limits(low: float, high: float) -> tuple[float, float]:
    """Ten times the largest size, rounded up; 0 if no value is on its other side."""
    ten_times = 10 * max(abs(low), abs(high))
    digit = 10.0 ** (len(f"{ten_times:.0f}") - 1)
    room = -(-ten_times // digit) * digit
    return (0 if low >= 0 else -room), (0 if high <= 0 else room)


def find_date_limits(low: datetime, high: datetime) -> tuple[str, str]:
    """Whole years, ten before the first and ten after the last."""
    return f"{max(low.year - 10, 1):04}-01-01", f"{min(high.year + 10, 9999)}-12-31"


def find_task(numbers: pd.Series, counts: pd.Series) -> Task:
    """Text and few different whole numbers are classes; other numbers a regression."""
    is_few = numbers.nunique() <= min(FEW, counts.sum() / 2)
    is_number = counts[numbers.notna().to_numpy()].sum() >= MOST * counts.sum()
    is_classes = not is_number or is_code(counts) or (is_few and is_whole(numbers))
    return "classification" if is_classes else "regression"
