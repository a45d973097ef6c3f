"""How `infer-schema` decides what a column is: one rule, one function.

`text` is a column of a sample: its missing values are marked, the spaces around the
others removed. docs/own-table.md lists the rules.
"""

import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from warnings import catch_warnings

import pandas as pd
from pandas.api.types import is_numeric_dtype
from sklearn.model_selection import KFold, cross_val_score
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from ..cells import LARGEST_EXACT_INTEGER
from ..config import Task
from ..data_preprocessing import parse_column
from ..feature_engineering import LARGEST_NUMBER
from ..schema import Column
from ..utils import clean_text

MOST = 0.9  # of the values must be of a kind; the others then count as missing
HALF = 0.5  # of the values: such a column is pointed out
FEW = 20  # different whole numbers at most are classes
MANY = 1000  # rows without a gap: tomorrow's will have none either
OFTEN = 5  # rows at least for each category: there will hardly be others
LISTED = 50  # categories at most are listed
SURE = 0.98  # of the target's variation: what predicts it so well gives it away
FREQUENT = 0.05  # of the rows: a word that may be a category
ID_NAMES = {"id", "uuid", "guid", "key", "no", "nr", "number", "index"}
CODE_NAMES = {"id", "code", "zip", "zipcode", "postcode", "plz"}
UNITS = (
    *"$ € £ ¥ ₹ ₽ ₩ ₺ ₪ ₫ ฿ % A$ C$ R$ US$ Kč kr zł".split(),
    *"AUD BRL CAD CHF CNY CZK DKK EUR GBP HKD HUF ILS INR JPY KRW MXN NOK".split(),
    *"NZD PLN RON RUB SEK SGD THB TRY USD ZAR".split(),
)
_DAY_FIRST = "%d/%m/%Y %d-%m-%Y %d.%m.%Y %d/%m/%y %d-%m-%y %d.%m.%y %d%m%Y".split()
_MONTH_FIRST = "%m/%d/%Y %m-%d-%Y %d.%m.%Y %m/%d/%y %m-%d-%y %d.%m.%y %m%d%Y".split()
_DATES = (
    *("%Y/%m/%d", "%Y.%m.%d", "%d %b %Y", "%d-%b-%Y", "%d/%b/%Y", "%d %B %Y"),
    *("%d-%b-%y", "%d %b %y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%d. %B %Y"),
    *("%Y-%m", "%Y/%m", "%m/%Y", "%m-%Y", "%b-%Y", "%b %Y", "%B %Y", "%b-%y"),
    *("%a, %d %b %Y", "%Y-%m-%d"),
)
_TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", " %H:%M:%S %z")


def is_boolean(text: pd.Series, column: Column) -> bool:
    """Every value is true or false by the lists in config.yaml, and both occur."""
    values, is_unreadable = parse_column(text, column)
    return not is_unreadable.any() and values.nunique() == 2


def find_unit(text: pd.Series) -> str | None:
    """The currency or percent sign of nearly all numbers that have one."""
    known = "|".join(re.escape(unit) for unit in sorted(UNITS, key=len, reverse=True))
    found = text.str.extract(rf"^[-+(\s]*({known})[-+\s]*[\d.]|[\d.]\s*({known})[)\s]*$")
    units = found[0].fillna(found[1]).value_counts(normalize=True)
    return str(units.index[0]) if len(units) and units.iloc[0] >= MOST else None


def is_code(text: pd.Series) -> bool:
    """Digits that are no amount: with leading zeros or one length, or 16 and more."""
    digits = text[text.str.fullmatch(r"-?\d+")]
    if digits.empty or digits.str.fullmatch(r"-?\d{16,}").any():
        return not digits.empty
    zeros = digits.str.fullmatch(r"0\d+").mean()
    return bool(zeros >= FREQUENT or (zeros and digits.str.len().nunique() == 1))


def count_digits(text: pd.Series) -> int:
    """The length of codes that begin with zeros, if all have the same."""
    lengths = text[text.str.fullmatch(r"\d+")].str.len().unique()
    return int(lengths[0]) if len(lengths) == 1 and text.str.startswith("0").any() else 0


def is_whole(numbers: pd.Series) -> bool:
    """All numbers are whole, and small enough to be held exactly."""
    is_exact = (numbers % 1 == 0) & (numbers.abs() <= LARGEST_EXACT_INTEGER)
    return bool(is_exact[numbers.notna()].all())


def ends_in(name: str, words: set[str]) -> bool:
    """The last word of order_id, orderID or "Order Id" is one of the words."""
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)
    return bool(parts) and parts[-1].lower() in words


def is_called_code(name: str, numbers: pd.Series) -> bool:
    """Whole numbers that come again and again, and are called a code."""
    is_frequent = numbers.count() >= OFTEN * numbers.nunique()
    return is_frequent and ends_in(name, CODE_NAMES) and is_whole(numbers)


def is_running_number(name: str, numbers: pd.Series) -> bool:
    """Whole numbers, nearly all different, that count the rows or are called an id."""
    values = numbers.dropna()
    distinct = values.nunique()
    if len(values) < FEW or distinct < MOST * len(values) or not is_whole(values):
        return False
    is_dense = values.max() - values.min() < 1.1 * distinct
    is_sorted = is_monotone(values) and distinct == len(values)
    return bool(is_dense or is_sorted or ends_in(name, ID_NAMES))


def is_monotone(values: pd.Series) -> bool:
    """Nearly all values are as large as the one before, or larger; or the reverse."""
    steps = values.dropna().diff().dropna()
    zero = steps.iloc[0] * 0 if len(steps) else 0
    return len(steps) > 0 and max((steps >= zero).mean(), (steps <= zero).mean()) > 0.99


def is_identifier(name: str, text: pd.Series) -> bool:
    """Text that is nearly always different, or often different and called an id."""
    share = text.nunique() / max(text.count(), 1)
    called = share > 0.01 and ends_in(name, ID_NAMES)
    return text.count() >= FEW and (share > MOST or called)


def is_free_text(text: pd.Series) -> bool:
    """Often different, and on average more than three words or fifty letters."""
    is_long = text.str.count(r"\S+").mean() > 3 or text.str.len().mean() > 50
    return bool(is_long) and text.nunique() > max(FEW, 0.1 * text.count())


def find_date_formats(text: pd.Series) -> tuple[list[str], bool]:
    """The formats of dates beside ISO 8601, and whether day and month may be swapped.

    The day comes first, or the month, whichever reads more; the month, if both read all.
    """
    month_first, unread = _formats_that_read(text, [*_MONTH_FIRST, *_DATES])
    day_first, still_unread = _formats_that_read(text, [*_DAY_FIRST, *_DATES])
    is_ambiguous = unread == still_unread and day_first != month_first
    return (day_first if still_unread < unread else month_first), is_ambiguous


def _formats_that_read(text: pd.Series, dates: Iterable[str]) -> tuple[list[str], int]:
    """Return formats that read some dates each, and how many texts stay unread."""
    formats: list[str] = []
    unread = text[_read_dates(text, "ISO8601").isna()]
    few = unread.drop_duplicates().head(LISTED)
    candidates = [date + time for date in dates for time in _TIMES]
    candidates = [form for form in candidates if _read_dates(few, form).notna().any()]
    while candidates:
        read = {form: _read_dates(unread, form).notna() for form in candidates}
        best = max(candidates, key=lambda form: read[form].sum())
        if read[best].sum() <= 0.001 * len(text):
            break
        formats.append(best)
        unread = unread[~read[best]]
    return formats, len(unread)


def _read_dates(text: pd.Series, form: str) -> pd.Series:
    """Read dates of one format. Digits alone are a date of our time, in eight digits."""
    is_digits = text.str.fullmatch(r"\d*")
    text = text.where(~is_digits | (text.str.len() == 8))
    dates = pd.to_datetime(text, format=form, errors="coerce", utc=True)
    return dates.where(~is_digits | dates.dt.year.between(1900, 2100))


def find_categories(counts: Counter[str]) -> tuple[str, ...]:
    """The categories as they are mostly spelled; none, if others are likely to come.

    Values seen once suggest that some have not been seen at all; values seen five times
    each, that hardly any is missing (the estimate of Good and Turing).
    """
    rows = Counter[str]()
    for category, count in counts.items():
        rows[clean_text(category)] += count
    is_complete = rows and min(rows.values()) >= OFTEN and len(rows) <= LISTED
    return find_classes(counts) if is_complete else ()


def find_classes(counts: Counter[str]) -> tuple[str, ...]:
    """All values that differ in more than spaces and case, as they are mostly spelled."""
    usual: dict[str, str] = {}
    for category, _ in counts.most_common():
        usual.setdefault(clean_text(category), category)
    return tuple(sorted(usual.values()))


def find_limits(low: float, high: float) -> tuple[float, float]:
    """Ten times the largest size, rounded up; and 0 where no value is on its other side."""
    ten_times = 10 * max(abs(low), abs(high))
    digit = 10.0 ** (len(f"{ten_times:.0f}") - 1)
    room = -(-ten_times // digit) * digit
    return (0 if low >= 0 else -room), (0 if high <= 0 else room)


def find_date_limits(low: datetime, high: datetime) -> tuple[str, str]:
    """Whole years, ten before the first and ten after the last."""
    return f"{max(low.year - 10, 1):04}-01-01", f"{min(high.year + 10, 9999)}-12-31"


def find_task(numbers: pd.Series, share: float) -> Task:
    """Text and few different whole numbers are classes; other numbers a regression."""
    is_few = is_whole(numbers) and numbers.nunique() <= min(FEW, numbers.count() / 2)
    return "regression" if share >= MOST and not is_few else "classification"


def is_leak(values: pd.Series, target: pd.Series, task: Task) -> bool:
    """A tree that learns half of the rows from this column alone predicts the others."""
    kept = target.groupby(target).transform("size") > 1
    if task == "regression":
        kept = target.notna()
    values, target = values[kept], target[kept]
    if len(target) < FEW or target.nunique() < 2:
        return False
    if not is_numeric_dtype(values):  # frequent ones first
        values = values.map(values.value_counts().rank(method="first"))
    X = values.astype(float).clip(-LARGEST_NUMBER, LARGEST_NUMBER).to_frame()
    tree, score = DecisionTreeClassifier(random_state=0), "balanced_accuracy"
    if task == "regression":
        tree, score = DecisionTreeRegressor(max_leaf_nodes=200, random_state=0), "r2"
    halves = KFold(2, shuffle=True, random_state=0)
    with catch_warnings(action="ignore"):  # of classes that only one half has
        return cross_val_score(tree, X, target, cv=halves, scoring=score).mean() > SURE
