"""How `infer-schema` decides what a column is: one rule, one function.

A rule looks at the distinct texts of a column without missing values (`counts`: the
number of rows of each), at its `numbers`, or at its `values` in the order of the rows.
docs/own-table.md lists the rules.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from pandas import Series, concat, to_datetime

from ..cells import LARGEST_EXACT_INTEGER, plain_date
from ..config import Task
from ..data_preprocessing import parse_column
from ..schema import Column, Kind
from ..utils import clean_text

MOST = 0.9  # of the rows must be of a kind; the others then count as missing
HALF = 0.5  # of the rows: such a column is pointed out
FREQUENT, RARE = 0.05, 0.01  # of the rows
FEW = 20  # different whole numbers at most are classes
OFTEN = 5  # rows at least for each category: there will hardly be others
TRIED = 1_000  # texts at most, to find the formats of dates
LISTED = 50  # categories at most are listed

BEGINNING = r"(^|[^A-Za-z]|(?<=[a-z])(?=[A-Z]))"  # of the last word in a name
ID = "(?i:id|uuid|guid|key|no|nr|number|index|serial|rownames|unnamed)"
IS_ID = rf"{BEGINNING}{ID}[^A-Za-z]*$|^column \d+$"  # a column without a name
IS_CODE = rf"{BEGINNING}(?i:id|code|zip|zipcode|postcode|plz)[^A-Za-z]*$"
CODE = (
    r"-?(0\d+|\d{16,}|\d+E\d+)"
    r"|((25[0-5]|2[0-4]\d|1?\d?\d)([.]|$)){4}"  # an IP address
)
UNITS = (
    "(?:US|A|C|R|S|HK|NT)[$]|[$€£¥₹₽₩₺₪₫฿%]|kr|Kč|zł|Rs[.]?|Rp|AUD|BRL|CAD|CHF|CNY"
    "|CZK|DKK|EUR|GBP|HKD|HUF|IDR|ILS|INR|JPY|KRW|MXN|NOK|NZD|PLN|RON|RUB|SEK|SGD|THB"
    "|TRY|USD|ZAR"
    r"|(?<=\d )[A-Za-z/°‰²³]+$|(?<=\d)(?:[°‰][CF]?|[a-z/²³]{2,})$"  # 60 sqft, 60kg
    "|/(?:5|10|20|100)$"  # 8/10; not 1/2
)
DATE = (
    r"(?!\D*\d*[.,]?\d+\D*$).*\d.*[\W_].*\d.*|.*[A-Za-z]{3}\W\d.*"  # not 5.20
    r"|\d\d?[A-Za-z]{3}\d.*|\d{4}\W[A-Za-z]{3,9}"  # 05MAR2024, 2024-Mar
    r"|(19|20)\d{6}(\d{6})?|\d{4}(19|20)\d\d|(0[1-9]|1[0-2])[.](19|20)\d\d"
    r"|(?!(19|20)..(0.|1[0-2])$)\d\d(0[1-9]|1[0-2])([0-2]\d|3[01])"  # not 202012
    r"|\d{4}[- ]?Q[1-4]|\d{4}[年년].+"
)
YEAR = r".*\b(19|20)\d\d\b.*"
DECIMAL = r"([^.:]*(?<![a-z])[.](\d\d?|\d{4}\d*)|\D*0[.]\d+)\D*"  # with a point
THOUSANDS = r"\D*\d\d?\d?[.]\d{3}([.]\d{3})+\D*"  # with at least two points
FORMATS = (
    "%d.%m.%Y|%d.%m.%y|%Y/%m/%d|%Y.%m.%d|%Y-%m-%d|%d %b %Y|%d-%b-%Y|%d/%b/%Y"
    "|%d %B %Y|%d. %B %Y|%d-%b-%y|%d %b %y|%b %d, %Y|%B %d, %Y|%b %d %Y|%a, %d %b %Y"
    "|%Y-%m|%Y/%m|%m/%Y|%m-%Y|%m.%Y|%b-%Y|%b %Y|%B %Y|%B-%Y|%b-%y|%Y-%b|%Y %b|%Y %B"
    "|%d%b%Y|%d%b%y|%Y-%b-%d|%d-%B-%Y|%B %d %Y|%b. %d, %Y|%A, %B %d, %Y|%a %b %d %Y"
    "|%Y年%m月%d日|%Y년 %m월 %d일|%Y. %m. %d.|%Y-%j"
)
MONTH_FIRST = f"{FORMATS}|%m/%d/%Y|%m-%d-%Y|%m/%d/%y|%m-%d-%y|%y%m%d|%m%d%Y"
DAY_FIRST = f"{FORMATS}|%d/%m/%Y|%d-%m-%Y|%d/%m/%y|%d-%m-%y|%d%m%y|%d%m%Y"
TIMES = (
    "| %H:%M| %H:%M:%S| %I:%M %p| %I:%M:%S %p| %H:%M:%S %z| %H:%M:%S UTC"
    "| %H:%M:%S GMT| %H:%M:%S.%f|, %H:%M|, %H:%M:%S|, %I:%M %p|, %I:%M:%S %p|:%H:%M:%S"
    "|:%H:%M:%S %z"
)
MOMENTS = (
    "%Y%m%d%H%M%S|%a %b %d %H:%M:%S %Y|%a %b %d %H:%M:%S %z %Y|%a %b %d %H:%M:%S UTC %Y"
)
NO_DELIMITERS = r"\d\d +[-+]\d[\d:]+|[\w\s]+"  # a zone, such as +0000; words and spaces


@dataclass
class Evidence:
    """What decides on a column, and what was decided.

    `counts` has the number of rows of each text, `missing` that of texts which spell
    missing values, of `rows` in all, and `sample` has some rows in their order.
    `checks` are for a person.
    """

    column: Column
    counts: Series
    missing: Series
    sample: Series
    rows: float
    is_excluded: bool = False
    why: str = ""
    checks: list = field(default_factory=list)

    def parse(self, kind: Kind, **properties: Any) -> tuple:
        """Read the texts as those of a column of a kind.

        Returns the column, the values by text, and the counts of what can't be read.
        """
        column = replace(self.column, kind=kind, **properties)
        values, is_unreadable = parse_column(self.counts.index.to_series(), column)
        if is_unreadable.any():
            column = replace(column, unreadable="missing", nullable=True)
        return column, values, self.counts[is_unreadable]

    def accept(self, kind: str, unreadable: Series) -> bool:
        """Whether nearly all texts are of a kind. Point out if not all are.

        Punctuation and zeros alone, such as a dot or 0000-00-00, count as missing.
        """
        rows = self.counts.sum()
        read = rows - unreadable.sum()
        words = unreadable.filter(regex=r"[^\W0_]").sum()
        is_accepted = read > MOST * (read + words)
        is_near = read >= HALF * rows or len(unreadable) < HALF * len(self.counts)
        if (is_accepted or is_near) and read < rows:
            others = "the others are read as missing" if is_accepted else "the others"
            self.checks.append(
                f"{read / rows:.1%} are {kind}s; {others}: {show(unreadable)}"
            )

        return is_accepted


def show(counts: Series) -> str:
    """Show the most frequent texts and their counts."""
    return ", ".join(
        f"{text} ({count:,})" for text, count in counts.nlargest(6).items()
    )


def share_of(counts: Series, pattern: str) -> float:
    """Return the share of the rows whose whole text matches a pattern."""
    return counts[counts.index.str.fullmatch(pattern)].sum() / max(counts.sum(), 1)


def find_decimal(counts: Iterable[Series], separator: str) -> str:
    """Return the character, point or comma, before the last digits of more cells.

    Before three digits it may be either, unless a zero precedes it, or the column shows
    that it is between thousands. In a file with commas between its columns, texts with
    a comma beside numbers with a point are lists.
    """
    counts = list(counts)
    cells = concat(counts)
    points = share_of(cells, f"{DECIMAL}|{_swap(THOUSANDS)}")
    commas = share_of(cells, f"{_swap(DECIMAL)}|{THOUSANDS}")
    if not points and any(map(_has_thousands, counts)):
        return ","
    if separator == "," and share_of(cells, r"\d+[.]\d+") > FREQUENT * commas:
        return "."
    return "," if commas > points else "."


def _swap(pattern: str) -> str:
    """Return a pattern with points and commas swapped."""
    return pattern.translate(str.maketrans(".,", ",."))


def _has_thousands(counts: Series) -> bool:
    """Whether a point is between thousands: 1.234 and 12.870, and also 850.

    It always precedes three digits, and the numbers without it have up to three.
    """
    texts = counts.index.to_series()
    large = texts.str.fullmatch(r"[1-9]\d?\d?[.]\d{3}")
    small = texts.str.fullmatch(r"[1-9]\d?\d?")
    has_both = min(large.sum(), small.sum()) >= OFTEN
    is_figure = large | small | ~texts.str.contains(r"\d")
    return bool(has_both and is_figure.all())


def count_units(counts: Series) -> Series:
    """Return the number of rows with each unit, such as € or %."""
    units = counts.index.to_series().str.extract(f"({UNITS})")[0]
    return counts.groupby(units).sum()


def find_unit(counts: Series) -> str | None:
    """Return the unit of nearly all numbers that have one."""
    rows = count_units(counts)
    least = max(MOST * rows.sum(), RARE * counts.sum())
    return next(iter(rows.index[rows >= least]), None)


def is_code(counts: Series) -> bool:
    """Whether digits are no amount: 16 or more, leading zeros, 1E3, an IP address.

    A single one is a slip, unless it is a zero and all have the same length.
    """
    same = rf"\d{{{count_digits(counts)}}}"
    odd = share_of(counts, CODE)
    return odd >= FREQUENT or (odd > 0 and share_of(counts, same) == 1)


def count_digits(counts: Series) -> int:
    """Return the length of the shortest code, if some begin with zeros."""
    codes = counts.index[counts.index.str.fullmatch(r"\d+")]
    has_zeros = codes.str.match(r"0\d").any()
    return int(codes.str.len().min()) if has_zeros else 0


def is_whole(numbers: Series) -> bool:
    """Whether all numbers are whole, and small enough to be held exactly."""
    known = numbers.dropna()
    return bool(((known % 1 == 0) & (known.abs() <= LARGEST_EXACT_INTEGER)).all())


def is_called_code(name: str, counts: Series) -> bool:
    """Whether numbers repeat, and the column is called a code."""
    return bool(re.search(IS_CODE, name)) and counts.sum() >= OFTEN * len(counts)


def is_running_number(name: str, values: Series) -> bool:
    """Whether distinct whole numbers count the rows, or are called an id."""
    distinct = values.nunique()
    if distinct < max(FEW, MOST * values.count()) or not is_whole(values):
        return False

    is_dense = values.max() - values.min() < 1.1 * distinct
    is_sorted = distinct == values.count() and is_monotone(values)

    return is_dense or is_sorted or bool(re.search(IS_ID, name))


def is_monotone(values: Series) -> bool:
    """Whether nearly all values rise or stay the same, or fall or stay the same."""
    steps = values.dropna().rank().diff()[1:]
    return max((steps >= 0).mean(), (steps <= 0).mean()) > 0.99


def is_identifier(name: str, counts: Series) -> bool:
    """Whether text is nearly always different, or often and called an id."""
    share = len(counts) / counts.sum()
    is_called_so = share > 0.01 and len(counts) >= FEW and re.search(IS_ID, name)
    return bool(counts.sum() >= FEW and (share > MOST or is_called_so))


def find_date_formats(counts: Series) -> tuple:
    """Return the formats of dates, and whether day and month may be swapped.

    The month comes first, or the day, if more can be read then.
    """
    likely = counts.filter(regex=f"^({DATE})$").index.to_series()
    texts = likely[:: len(likely) // TRIED + 1].map(plain_date)
    month_first, month_rest = _fit_formats(texts, MONTH_FIRST)
    day_first, day_rest = _fit_formats(texts, DAY_FIRST)
    if len(day_rest) < len(month_rest):
        return day_first, False

    return month_first, len(day_rest) == len(month_rest) and day_first != month_first


def _fit_formats(texts: Series, formats: str) -> tuple:
    """Return the formats that read a text which none before can, and the other texts.

    Only formats with the delimiters of some text are tried.
    """
    fitting = []
    delimiters = set(texts.str.replace(NO_DELIMITERS, "", regex=True))
    dates = formats.split("|")
    forms = [date + time for date in dates for time in TIMES.split("|")]

    for form in [*forms, *MOMENTS.split("|")]:
        if re.sub(r"%.|[\w\s]", "", form) not in delimiters:
            continue

        values = to_datetime(texts, format=form, errors="coerce", utc=True)
        if values.notna().any():
            fitting.append(form)
            texts = texts[values.isna()]

    return fitting, texts


def merge_spellings(counts: Series) -> Series:
    """Count texts that differ only in spaces and case as the most frequent of them."""
    cleaned = counts.index.to_series().map(clean_text)
    usual = counts.groupby(cleaned).idxmax()
    return counts.groupby(cleaned.map(usual)).sum()


def find_limits(low: float, high: float) -> tuple:
    """Return limits at ten times the largest size, or 0 if no value is beyond it.

    They are rounded to one digit.
    """
    room = float(f"{10 * max(-low, high):.0e}") or 1.0
    return (0 if low >= 0 else -room), (0 if high < 0 else room)


def infer_task(numbers: Series, counts: Series) -> Task:
    """Return the task: text and few distinct whole numbers are classes."""
    is_number = counts[numbers.notna()].sum() >= MOST * counts.sum()
    is_few = numbers.nunique() <= min(FEW, counts.sum() / 2) and is_whole(numbers)
    is_classes = not is_number or is_few or is_code(counts)
    return "classification" if is_classes else "regression"
