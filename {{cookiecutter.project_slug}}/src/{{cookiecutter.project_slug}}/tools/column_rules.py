"""How `infer-schema` decides what a column is: one rule, one function.

Each looks at a sample of the raw text, its blanks taken off and its missing values marked.
docs/own-table.md lists them.
"""

import re
import warnings
from datetime import datetime

import pandas as pd
from pandas.tseries.api import guess_datetime_format
from sklearn.metrics import balanced_accuracy_score, r2_score
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from ..config import TableConfig, Task
from ..data_preprocessing import (
    LARGEST_EXACT_INTEGER,
    parse_booleans,
    parse_dates,
    parse_numbers,
)
from ..feature_engineering import LARGEST_NUMBER
from ..utils import clean_text

MOST = 0.95  # of the values must be of a kind; the others will be rejected
FEW = 20  # different whole numbers at most are classes
MANY = 1000  # rows without a gap: tomorrow's will have none either
OFTEN = 5  # rows at least for each category: there will hardly be others
LISTED = 50  # categories at most are listed
SURE, UNSURE = 0.98, 0.9  # of the target, with a value that gives it away and without
ID_NAMES = {"id", "uuid", "guid", "key", "no", "nr", "number", "index"}
CODE_NAMES = {"id", "code", "zip", "zipcode", "postcode", "plz"}


def find_encoding(content: bytes) -> str:
    """UTF-16 where its mark is first, UTF-8 where every byte fits, else what Windows writes."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def find_separator(text: str) -> str:
    """The sign that stands equally often, but at least once, in most lines, outside of quotes."""
    lines = [line for line in re.sub(r'"[^"]*"', "", text).splitlines() if line.strip()]

    def share(sign: str) -> float:
        counts = pd.Series([line.count(sign) for line in lines])
        usual = counts.mode().max()
        return float((counts == usual).mean()) if usual > 0 else 0

    return max(",;\t|", key=share)


def find_decimal(text: pd.DataFrame, separator: str) -> str:
    """The sign with which more cells are numbers; where both do, a comma beside a semicolon."""
    cells = pd.concat([text[name] for name in text], ignore_index=True).dropna()
    cells = cells[cells.str.contains(r"\d[.,]\d")].head(100_000)
    point, comma = (parse_numbers(cells, sign).notna().sum() for sign in ".,")
    return "," if comma > point or (comma == point and separator == ";") else "."


def is_boolean(text: pd.Series, config: TableConfig) -> bool:
    """Every value means true or false by the lists in config.yaml, and both occur."""
    cleaned = text.dropna().map(clean_text)
    values = parse_booleans(cleaned, config.true_values, config.false_values)
    return bool(values.notna().all() and values.nunique() == 2)


def is_number(text: pd.Series, decimal: str) -> bool:
    """Nearly all values are numbers, and none is a code: with a leading zero, or 16 digits long."""
    numbers = parse_numbers(text.dropna(), decimal)
    return (
        bool(numbers.notna().mean() >= MOST)
        and not text.str.fullmatch(r"0\d+|\d{16,}").any()
    )


def is_whole(numbers: pd.Series) -> bool:
    """All numbers are whole, and small enough to be held exactly."""
    values = numbers.dropna()
    return bool((values % 1 == 0).all() and values.abs().max() <= LARGEST_EXACT_INTEGER)


def ends_in(name: str, words: set[str]) -> bool:
    """The last word of order_id, orderID or "Order Id" is one of the words."""
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)
    return bool(parts) and parts[-1].lower() in words


def is_code(name: str, numbers: pd.Series) -> bool:
    """Whole numbers that come again and again, and are called a code."""
    often = numbers.count() >= OFTEN * numbers.nunique()
    return is_whole(numbers) and often and ends_in(name, CODE_NAMES)


def is_running_number(name: str, numbers: pd.Series) -> bool:
    """Whole numbers, nearly all different, that count the rows or are called an id."""
    values = numbers.dropna()
    if (
        len(values) < FEW
        or values.nunique() < 0.9 * len(values)
        or not is_whole(values)
    ):
        return False
    dense = values.max() - values.min() < 1.1 * values.nunique()
    steps = (
        values.diff() == values.index.to_series().diff()
    )  # of a sample: as far as the rows
    return bool(dense or steps.mean() > 0.9 or ends_in(name, ID_NAMES))


def is_identifier(name: str, text: pd.Series) -> bool:
    """Text that is nearly always different, or often different and called an id."""
    share = text.nunique() / text.count()
    return text.count() >= FEW and (
        share > 0.9 or (share > 0.01 and ends_in(name, ID_NAMES))
    )


def is_free_text(text: pd.Series) -> bool:
    """Often different, and on average more than three words or fifty letters."""
    long = text.str.count(r"\S+").mean() > 3 or text.str.len().mean() > 50
    return bool(long) and text.nunique() > max(FEW, 0.1 * text.count())


def find_date_formats(text: pd.Series, day_first: bool) -> tuple[list[str], int]:
    """The formats of dates where the day, or the month, is first; and how many stay unread.

    None for ISO 8601, which is always read; several, if the dates are written in several ways.
    """
    formats: list[str] = []
    unread = text[parse_dates(text, []).isna()].dropna()
    for form in [guess_date_format(value, day_first) for value in unread.unique()[:50]]:
        if form and form not in formats:
            read = parse_dates(unread, [form])
            if read.count() > 0.001 * text.count():
                formats.append(form)
                unread = unread[read.isna()]
    return formats, len(unread)


def guess_date_format(value: str, day_first: bool) -> str | None:
    """The format that pandas guesses, once each part has the width that it wants."""
    day_first = day_first or bool(
        re.match(r"\d+\.\d+\.", value)
    )  # dots: the day is first
    wide = re.sub(r"(?<!\d)(\d)(?!\d)", r"0\1", value)
    wide = re.sub(r"\bPM\b", "AM", wide, flags=re.IGNORECASE)
    long = re.sub(r"^(\d\d\W(?:\d\d|[A-Za-z]{3,})\W)(\d\d)(?!\d)", r"\g<1>20\2", wide)
    with warnings.catch_warnings(action="ignore"):
        form = (
            guess_datetime_format(long, day_first)
            if re.search(r"\d.*\d", value)
            else None
        )
    if form is None or "%Y" not in form or re.match(r"%Y\W?%d", form):
        return None
    if re.match(r"%[dm]\W%[dm]\W", form) and form.startswith("%d") != day_first:
        return None
    return form if long == wide else form.replace("%Y", "%y")


def is_date(text: pd.Series, formats: list[str]) -> bool:
    """Nearly all values are dates from 150 years ago to 150 years ahead, and more than a year."""
    dates = parse_dates(text.dropna(), formats)
    near = (dates.dt.year - datetime.now().year).abs() <= 150
    return (
        bool(near.mean() >= MOST)
        and not text.str.fullmatch(r"\d{4}(\.\d+)?|\d{6}").any()
    )


def find_categories(text: pd.Series) -> tuple[str, ...]:
    """The categories as they are mostly spelled; none, if others are likely to come.

    Values seen once tell that some have not been seen at all; five times each, that hardly any
    has not (the estimate of Good and Turing).
    """
    counts = text.value_counts().groupby(clean_text).sum()
    return find_classes(text) if counts.min() >= OFTEN and len(counts) <= LISTED else ()


def find_classes(text: pd.Series) -> tuple[str, ...]:
    """All values that differ in more than blanks and letter case, as they are mostly spelled."""
    spellings = text.value_counts().groupby(clean_text)
    return tuple(sorted(spellings.idxmax()))


def find_limits(numbers: pd.Series) -> tuple[float, float]:
    """Ten times the largest size, rounded up; and 0 where no value is on its other side."""
    low, high = numbers.min(), numbers.max()
    ten_times = 10 * max(abs(low), abs(high))
    digit = 10.0 ** (len(f"{ten_times:.0f}") - 1)
    room = -(-ten_times // digit) * digit
    return (0 if low >= 0 else -room), (0 if high <= 0 else room)


def find_date_limits(dates: pd.Series) -> tuple[str, str]:
    """Whole years, ten before the first and ten after the last."""
    return f"{dates.min().year - 10}-01-01", f"{dates.max().year + 10}-12-31"


def is_required(text: pd.Series) -> bool:
    """No gap in a thousand rows or more."""
    return len(text) >= MANY and bool(text.notna().all())


def find_task(text: pd.Series, decimal: str) -> Task:
    """Text and few different whole numbers are classes; any other numbers a regression."""
    numbers = parse_numbers(text, decimal)
    few = is_whole(numbers) and numbers.nunique() <= min(FEW, numbers.count() / 2)
    return "regression" if is_number(text, decimal) and not few else "classification"


def find_leak(values: pd.Series, target: pd.Series, task: Task) -> str:
    """What gives the target away: all of the column, or one value of it; empty, if nothing does.

    A tree learns the target from half of the rows and this column alone, and is tested on the rest.
    """
    codes = (
        values
        if values.dtype != "str"
        else values.map(values.value_counts().rank(method="first"))
    )
    score, tree = r2_score, DecisionTreeRegressor(max_leaf_nodes=200, random_state=0)
    if task == "classification":
        score, tree = balanced_accuracy_score, DecisionTreeClassifier(random_state=0)
        target = target[target.groupby(target).transform("size") > 1]
    if target.nunique() < 2 or len(target) < FEW:
        return ""
    half = target.sample(frac=0.5, random_state=0).index
    rest = target.index.difference(half)
    column = (
        codes[target.index]
        .astype(float)
        .clip(-LARGEST_NUMBER, LARGEST_NUMBER)
        .to_frame()
    )
    guess = tree.fit(column.loc[half], target[half]).predict(column.loc[rest])
    with warnings.catch_warnings(action="ignore"):  # of classes that only one half has
        if score(target[rest], guess) > SURE:
            return "the column"
    if task == "classification":
        named = values[target.index].astype(object).fillna("a missing value")
        often = named[named.groupby(named).transform("size") >= LISTED]
        shares = pd.crosstab(often, target, normalize="index")
        unsure = target.value_counts(normalize=True) < UNSURE
        for value in shares.index[
            (shares.loc[:, unsure[shares.columns]] > SURE).any(axis=1)
        ]:
            return f"the value {value}"
    return ""
