"""Decide what each column is, by the rules of column_rules.py, and say why.

`decide` looks at a sample and finds a column's kind. `summarise` reads all rows, a
batch at a time, and `settle` derives the rest from that: classes, limits, gaps.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

import pandas as pd

from ..cells import read_integer
from ..config import TableConfig, Task
from ..data_preprocessing import clean_column, parse_column
from ..schema import Column, find_spelling
from ..utils import UserError
from . import column_rules as rules

MOST_COUNTED = 10_000  # texts that a summary keeps
ABSURD = 1e6  # times the median: a maximum that is probably a slip


class Decision(NamedTuple):
    """What a column is, why, and what a person should check."""

    column: Column
    why: str
    excluded: bool = False
    checks: tuple[str, ...] = ()

    def check(self, text: str) -> "Decision":
        """Return the decision with one more thing to check."""
        return self._replace(checks=(*self.checks, text))


@dataclass
class Summary:
    """What rows say about a column.

    `counts` are of texts, under what they are: missing, unreadable, a category, or a
    number with a fraction and a date with a time, without the text. `limits` are the
    smallest and the largest value.
    """

    rows: int = 0
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    limits: tuple[Any, ...] = ()

    def __add__(self, other: "Summary") -> "Summary":
        """Return the summary of the rows of both."""
        counts = Counter(dict((self.counts + other.counts).most_common(MOST_COUNTED)))
        limits = sorted((*self.limits, *other.limits))
        return Summary(self.rows + other.rows, counts, (*limits[:1], *limits[-1:]))

    def of(self, what: str) -> Counter[str]:
        """Return the counts of the texts that are missing, unreadable and so on."""
        return Counter({text: n for (kind, text), n in self.counts.items() if kind == what})


def summarise(raw: pd.Series, column: Column) -> Summary:
    """Summarise some rows of a column."""
    counts = raw.fillna("").str.strip().value_counts()
    texts = pd.Series(counts.index, dtype="str")
    values, is_unreadable = parse_column(texts, replace(column, unreadable="reject"))
    what = pd.Series("plain", index=values.index)
    known = values.dropna()
    if column.kind in ("category", "boolean"):
        what[:] = "category"
    elif column.kind == "date":
        what[known.index[known != known.dt.normalize()]] = "time"
    elif not rules.is_whole(known):
        what[known.index] = "fraction"
    what[values.isna()] = "missing"
    what[is_unreadable] = "unreadable"

    texts = texts.where(what.isin(["category", "missing", "unreadable"]), "")
    found = Counter[tuple[str, str]]()
    for key in zip(what, texts, counts, strict=True):
        found[key[:2]] += key[2]
    limits = () if known.empty or known.dtype == "str" else (known.min(), known.max())
    return Summary(len(raw), found, limits)


# --- The kind, from a sample -----------------------------------------------------------


def decide(name: str, raw: pd.Series, config: TableConfig) -> Decision:
    """Decide what kind of column it is; the first rule that fits wins."""
    column = Column(name, "category", spelling=find_spelling(name, config))
    text = clean_column(raw, column).dropna()
    if name in config.key:
        return Decision(column, "the key")
    if name == config.target:
        return _decide_target(text, column, config)
    if rules.is_boolean(text, replace(column, kind="boolean")):
        return Decision(replace(column, kind="boolean"), "")

    number, share = _as_number(text, column)
    is_number = share >= rules.MOST and not rules.is_code(text)
    date = None if is_number and not _is_compact(text) else _decide_date(text, column)
    if date:
        return date
    numbers = parse_column(text, number)[0]
    if is_number and rules.is_running_number(name, numbers):
        return _exclude_identifier(column, "a running number or identifier", text)
    if is_number and not rules.is_called_code(name, numbers):
        return Decision(number, "")
    return _decide_text(text, column, share)


def _as_number(text: pd.Series, column: Column) -> tuple[Column, float]:
    """Return the column as one of numbers, and the share of the texts that are numbers."""
    column = replace(column, kind="number", unit=rules.find_unit(text))
    is_unreadable = parse_column(text, column)[1]
    return column, 1 - is_unreadable.mean() if len(text) else 0


def _is_compact(text: pd.Series) -> bool:
    """Whether most texts are eight digits, as dates may be."""
    return bool(text.str.fullmatch(r"\d{8}").mean() >= rules.MOST)


def _decide_date(text: pd.Series, column: Column) -> Decision | None:
    """Decide whether a column is a date, and whether the day or the month comes first."""
    formats, is_ambiguous = rules.find_date_formats(text)
    spelling = replace(column.spelling, date_formats=tuple(formats))
    column = replace(column, kind="date", spelling=spelling)
    dates = parse_column(text, column)[0]
    if not dates.notna().mean() >= rules.MOST:
        return None

    decision = Decision(column, f"written as {' or '.join(formats) or 'ISO 8601'}")
    if is_ambiguous:
        decision = decision.check(
            "no day is above 12: read as month, day; otherwise swap %m and %d in "
            "date_formats"
        )
    future = (dates > datetime.now()).mean()
    if 0 < future < rules.HALF:
        years = " (years of two digits)" if "%y" in str(formats) else ""
        decision = decision.check(
            f"{future:.1%} of the dates are in the future{years}, up to {dates.max():%Y-%m-%d}"
        )
    if rules.is_monotone(dates) and dates.nunique() >= rules.FEW:
        decision = decision.check(
            "sorts the rows; to test on the newest, set training.date in config.yaml: "
            + column.name
        )
    return decision


def _decide_text(text: pd.Series, column: Column, share: float) -> Decision:
    """Decide what becomes of text: categories, or a reason to exclude the column."""
    distinct = text.nunique()
    if rules.is_free_text(text):
        decision = Decision(column, f"free text, {distinct:,} distinct", excluded=True)
    elif rules.is_identifier(column.name, text):
        why = f"an identifier: {distinct:,} distinct in {text.count():,} rows"
        decision = _exclude_identifier(column, why, text)
    else:
        decision = Decision(replace(column, digits=rules.count_digits(text)), "")
    if rules.HALF <= share < rules.MOST:
        others = parse_column(text, _as_number(text, column)[0])[1]
        shown = _show(Counter(text[others]))
        return decision.check(f"{share:.0%} are numbers; the others: {shown}")
    return decision


def _exclude_identifier(column: Column, why: str, text: pd.Series) -> Decision:
    """Exclude an identifier, and say what it may be good for."""
    decision = Decision(column, why, excluded=True)
    if text.is_unique:
        return decision.check(f"if it identifies the rows: --key {column.name!r}")
    return decision.check(
        "repeats; to test on others than those trained on, set training.group in "
        f"config.yaml: {column.name}"
    )


def _decide_target(text: pd.Series, column: Column, config: TableConfig) -> Decision:
    """Decide whether the target is a number or classes."""
    number, share = _as_number(text, column)
    numbers = parse_column(text, number)[0]
    task = config.task or rules.find_task(numbers, share)
    if task == "classification":
        return Decision(column, task)
    if not share >= rules.MOST:
        raise UserError(f"the target {column.name!r} is no number: {share:.0%} are")
    decision = Decision(number, task)
    if numbers.abs().max() > ABSURD * numbers.abs().median() > 0:
        decision = decision.check(f"the largest value, {numbers.max():g}, is a million medians")
    return decision


# --- The rest, from all rows -----------------------------------------------------------


def settle(decision: Decision, summary: Summary, config: TableConfig) -> Decision:
    """Complete the decision on a column with what all rows say about it."""
    column, unreadable = decision.column, summary.of("unreadable")
    missing = summary.of("missing").total() + unreadable.total()
    if column.name == config.target:
        return _settle_target(decision, summary)
    nullable = missing > 0 or summary.rows < rules.MANY
    column = replace(column, nullable=nullable and column.name not in config.key)
    if unreadable and column.kind == "boolean":
        return Decision(replace(column, kind="category"), "not only true and false")
    if unreadable:
        column = replace(column, unreadable="missing")
        share = 1 - unreadable.total() / (summary.rows - missing + unreadable.total())
        decision = decision.check(
            f"{share:.1%} are {column.kind}s; the others count as missing: {_show(unreadable)}"
        )
    decision = decision._replace(column=column)
    if decision.excluded:
        return decision
    if _is_constant(summary) and not (missing and summary.counts.total() > missing):
        only = ", ".join(summary.of("category")) or summary.limits[:1] or "no value"
        return decision._replace(why=f"constant: {only}", excluded=True)
    return _settle_values(decision, summary)


def _is_constant(summary: Summary) -> bool:
    """Whether a column has at most one value."""
    return len(summary.of("category")) < 2 and len(set(summary.limits)) < 2


def _settle_values(decision: Decision, summary: Summary) -> Decision:
    """Decide what values a column may have."""
    column, categories = decision.column, summary.of("category")
    if column.kind == "boolean":
        return decision._replace(why=f"spelled {_show(categories)}")
    if column.kind == "category" and decision.why != "the key":
        listed = rules.find_categories(categories)
        why = f"{len(categories):,} categories: {_show(categories)}"
        if not listed:
            why += "; others may come, because some are rare"
        return Decision(replace(column, categories=listed), why, False, decision.checks)
    if not summary.limits:
        return decision

    low, high = summary.limits
    if column.kind == "date":
        limits = rules.find_date_limits(low, high)
        column = replace(column, has_time=bool(summary.of("time")))
        why = f"{low:%Y-%m-%d} to {high:%Y-%m-%d}, {decision.why}"
    else:
        limits = rules.find_limits(low, high)
        why = f"{low:g} to {high:g}; allowed: {limits[0]:g} to {limits[1]:g}"
        why += f"; the unit {column.unit} is removed" if column.unit else ""
    if column.kind == "number" and not summary.of("fraction"):
        column, limits = replace(column, kind="integer"), [int(each) for each in limits]
    if limits[0] != limits[1]:
        column = replace(column, minimum=limits[0], maximum=limits[1])
    return decision._replace(column=column, why=why)


def _settle_target(decision: Decision, summary: Summary) -> Decision:
    """Decide what classes the target has, or say its range."""
    column, task = decision.column, decision.why
    why = f"the target of a {task}"
    if task == "regression":
        low, high = summary.limits or (0, 0)
        if low == high:
            raise UserError(f"the target {column.name!r} is always {low:g}")
        return decision._replace(why=f"{why}, {low:g} to {high:g}")

    counts = summary.of("category")
    classes: tuple[Any, ...] = rules.find_classes(counts)
    if not 2 <= len(classes) <= max(rules.FEW, counts.total() / 5):
        raise UserError(
            f"the target {column.name!r} has {len(classes):,} different values in "
            f"{counts.total():,} rows; it must be a number, or at least two classes "
            "with some rows each"
        )
    if whole := _as_integers(classes, column):
        column, classes = replace(column, kind="integer"), whole
        if len(classes) > 2:
            decision = decision.check("whole numbers as classes; for amounts: --task regression")
    elif {text.lower() for text in classes} == {"true", "false"}:
        column, classes = replace(column, kind="boolean"), ()
    column = replace(column, categories=classes)
    why += f" with {len(counts):,} classes: {_show(counts)}"
    return decision._replace(column=column, why=why)


def _as_integers(classes: tuple[str, ...], column: Column) -> tuple[int, ...]:
    """Return classes as whole numbers, or nothing if they are not."""
    if rules.is_code(pd.Series(classes, dtype="str")):
        return ()
    try:
        return tuple(sorted({read_integer(text, column) for text in classes}))
    except ValueError:
        return ()


def _show(counts: Counter[str]) -> str:
    """Show the most frequent texts and their counts."""
    shown = [f"{text} ({count:,})" for text, count in counts.most_common(6)]
    return ", ".join([*shown, "…"] if len(counts) > 6 else shown)
