"""Decide what each column is, by the rules of column_rules.py, and say why."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

import pandas as pd

from ..config import TableConfig
from ..data_preprocessing import clean_column, parse_column
from ..schema import Column, find_spelling
from ..utils import UserError
from . import column_rules as rules

ABSURD = 1e6  # times the median: a maximum that is probably a slip


class Decision(NamedTuple):
    """What a column is, why, and what a person should check."""

    column: Column
    why: str
    is_excluded: bool = False
    checks: tuple[str, ...] = ()

    def check(self, text: str) -> "Decision":
        """Return the decision with one more thing to check."""
        return self._replace(checks=(*self.checks, text))


@dataclass(frozen=True)
class Evidence:
    """What decides on a column: how many rows have each text, and a sample of rows.

    `counts` are of texts, `missing` of those that spell missing values.
    """

    column: Column
    counts: pd.Series
    missing: pd.Series
    sample: pd.Series

    def parse(self, **properties: Any) -> tuple[Column, pd.Series, pd.Series]:
        """Read the texts as those of a column with other properties.

        Returns the column, the values by text, and the counts of what can't be read.
        """
        column = replace(self.column, **properties)
        values, is_unreadable = parse_column(self.counts.index.to_series(), column)
        unreadable = self.counts[is_unreadable]
        if len(unreadable):
            column = replace(column, unreadable="missing", nullable=True)
        return column, values, unreadable

    def share_without(self, texts: pd.Series) -> float:
        """Return the share of the rows that have other texts than these."""
        return float(1 - texts.sum() / self.counts.sum())


def gather(
    name: str, counts: pd.Series, sample: pd.Series, config: TableConfig
) -> Evidence:
    """Return the evidence on a column from the counts of its texts as they are."""
    column = Column(name, "category", spelling=find_spelling(name, config))
    texts = clean_column(counts.index.to_series(), column)
    missing = counts[texts.isna()]
    counts = counts.set_axis(texts)[texts.notna().to_numpy()].groupby(level=0).sum()
    nullable = len(missing) > 0 or counts.sum() < rules.MANY
    is_required = name in (config.target, *config.key)
    column = replace(column, nullable=nullable and not is_required)
    return Evidence(column, counts, missing, sample)


def decide(evidence: Evidence, config: TableConfig) -> Decision:
    """Decide what a column is; the first rule that fits wins."""
    column = evidence.column
    if column.name == config.target:
        return decide_target(evidence, config)
    if column.name in config.key:
        distinct, rows = len(evidence.counts), evidence.counts.sum()
        return Decision(column, f"the key: {distinct:,} distinct in {rows:,} rows")
    for rule in (as_constant, as_boolean, as_number, as_date, as_text):
        if decision := rule(evidence):
            return decision
    raise AssertionError  # text always fits


def as_constant(evidence: Evidence) -> Decision | None:
    """A column that says nothing: no value, or the same in all rows."""
    values = rules.merge_spellings(evidence.counts)
    if len(values) > 1 or (len(values) and len(evidence.missing)):
        return None
    why = f"always {values.index[0]}" if len(values) else "has no value"
    return Decision(evidence.column, why, is_excluded=True)


def as_boolean(evidence: Evidence) -> Decision | None:
    """All texts are in true_values or false_values of config.yaml, and both occur."""
    column, values, unreadable = evidence.parse(kind="boolean")
    if len(unreadable) or values.nunique() < 2:
        return None
    return Decision(column, f"spelled {show(evidence.counts)}")


def as_number(evidence: Evidence) -> Decision | None:
    """Nearly all texts are numbers, and they are amounts."""
    unit = rules.find_unit(evidence.counts)
    column, values, unreadable = evidence.parse(kind="number", unit=unit)
    share, name = evidence.share_without(unreadable), column.name
    if share < rules.MOST or rules.is_code(evidence.counts):
        return None
    if rules.is_date_of_digits(evidence.counts):
        return None
    if rules.is_running_number(name, parse_column(evidence.sample, column)[0]):
        why = "a running number or identifier"
        return _exclude_identifier(evidence, why)
    if rules.is_whole(values):
        if rules.is_called_code(name, evidence.counts):
            return None
        column = replace(column, kind="integer")

    low, high = values.min(), values.max()
    limits = [float(limit) for limit in rules.find_limits(low, high)]
    why = f"{low:g} to {high:g}; allowed: {limits[0]:g} to {limits[1]:g}"
    if column.kind == "integer":
        limits = [int(limit) for limit in limits]
    if limits[0] < limits[1]:
        column = replace(column, minimum=limits[0], maximum=limits[1])
    why += f"; {unit} is removed" if unit else ""
    return _check_unreadable(Decision(column, why), unreadable, share)


def as_date(evidence: Evidence) -> Decision | None:
    """Nearly all texts are dates."""
    if not rules.may_be_dates(evidence.counts):
        return None
    formats, is_ambiguous = rules.find_date_formats(evidence.counts)
    spelling = replace(evidence.column.spelling, date_formats=tuple(formats))
    column, dates, unreadable = evidence.parse(kind="date", spelling=spelling)
    share = evidence.share_without(unreadable)
    if share < rules.MOST:
        return None

    low, high = dates.min(), dates.max()
    limits = rules.find_date_limits(low, high)
    has_time = bool((dates != dates.dt.normalize())[dates.notna()].any())
    column = replace(column, minimum=limits[0], maximum=limits[1], has_time=has_time)
    written = " or ".join(formats) or "ISO 8601"
    decision = Decision(
        column, f"{low:%Y-%m-%d} to {high:%Y-%m-%d}, written as {written}"
    )
    if is_ambiguous:
        decision = decision.check(
            "no day is above 12: read as month, day; if the day comes first, swap %m "
            "and %d in date_formats of config.yaml"
        )
    is_past = (dates.isna() | (dates <= datetime.now())).to_numpy()
    future = evidence.share_without(evidence.counts[is_past])
    two_digits = "%y" in written
    if 0 < future < (1 if two_digits else rules.HALF):
        years = "; years of two digits: 69 is 1969, 68 is 2068" if two_digits else ""
        decision = decision.check(
            f"{future:.1%} of the dates are in the future, up to {high:%Y-%m-%d}{years}"
        )
    rows = parse_column(evidence.sample, column)[0]
    if rules.is_monotone(rows) and rows.nunique() >= rules.FEW:
        decision = decision.check(
            "the rows are sorted by it; to test the model on the newest, set "
            f"training.date in config.yaml to {column.name}"
        )
    return _check_unreadable(decision, unreadable, share)


def as_text(evidence: Evidence) -> Decision:
    """Free text and identifiers are excluded, anything else are categories."""
    column, counts = evidence.column, evidence.counts
    if rules.is_nested(counts):
        decision = Decision(column, "lists or structs, which models cannot use", True)
    elif rules.is_free_text(counts):
        decision = Decision(column, f"free text, {len(counts):,} distinct", True)
    elif rules.is_identifier(column.name, counts):
        why = f"an identifier: {len(counts):,} distinct in {counts.sum():,} rows"
        decision = _exclude_identifier(evidence, why)
    else:
        merged = rules.merge_spellings(counts)
        listed, digits = rules.find_categories(merged), rules.count_digits(counts)
        column = replace(column, categories=listed, digits=digits)
        others = "" if listed else "; some are rare, so others are allowed"
        decision = Decision(
            column, f"{len(merged):,} categories: {show(merged)}{others}"
        )

    unreadable = evidence.parse(kind="number", unit=rules.find_unit(counts))[2]
    share = evidence.share_without(unreadable)
    if rules.HALF <= share < 1 and not rules.is_code(counts):
        text = f"{share:.0%} are numbers; the others: {show(unreadable)}"
        decision = decision.check(text)
    return decision


def _check_unreadable(
    decision: Decision, unreadable: pd.Series, share: float
) -> Decision:
    """Point out the texts that are not of the column's kind, if there are any."""
    if unreadable.empty:
        return decision
    return decision.check(
        f"{share:.1%} are {decision.column.kind}s; the others are read as missing: "
        f"{show(unreadable)}"
    )


def _exclude_identifier(evidence: Evidence, why: str) -> Decision:
    """Exclude an identifier, and say what it may be good for."""
    name = evidence.column.name
    decision = Decision(evidence.column, why, is_excluded=True)
    if evidence.counts.max() == 1:
        return decision.check(f"if it identifies a row: --key {name!r}")
    return decision.check(
        "it repeats; to test the model on others than those it was trained on, set "
        f"training.group in config.yaml to {name}"
    )


# --- The target --------------------------------------------------------------------


def decide_target(evidence: Evidence, config: TableConfig) -> Decision:
    """Decide whether the target is a number, or what its classes are."""
    unit = rules.find_unit(evidence.counts)
    column, numbers, unreadable = evidence.parse(kind="number", unit=unit)
    column = replace(column, nullable=False)
    task = config.task or rules.find_task(numbers, evidence.counts)
    if task == "classification":
        return _decide_classes(evidence)

    share = evidence.share_without(unreadable)
    low, high = numbers.min(), numbers.max()
    if not share >= rules.MOST or low == high:
        raise UserError(
            f"the target {column.name!r} can't be predicted as a number: {share:.0%} "
            f"are numbers, from {low:g} to {high:g}; see --task"
        )
    why = f"the target of a regression, {low:g} to {high:g}{_count_missing(evidence)}"
    decision = Decision(column, why)
    middle = numbers.abs().median()
    if high > ABSURD * middle:
        text = f"the largest value, {high:g}, is over a million times its median"
        decision = decision.check(text)
    return _check_unreadable(decision, unreadable, share)


def _decide_classes(evidence: Evidence) -> Decision:
    """Decide what the classes of the target are."""
    column, merged = evidence.column, rules.merge_spellings(evidence.counts)
    if not 2 <= len(merged) <= max(rules.FEW, merged.sum() / 5):
        raise UserError(
            f"the target {column.name!r} has {len(merged):,} distinct values in "
            f"{merged.sum():,} rows (missing: {show(evidence.missing) or 'none'}); "
            "it must be a number, or at least two classes with some rows each"
        )
    why = f"the target of a classification, {len(merged)} classes: {show(merged)}"
    why += _count_missing(evidence)
    column = replace(column, categories=tuple(merged.index))
    whole, numbers, unreadable = evidence.parse(kind="integer")
    if set(merged.index.str.lower()) == {"true", "false"}:
        column = replace(column, kind="boolean", categories=())
    elif unreadable.empty and not rules.is_code(evidence.counts):
        column = replace(whole, categories=tuple(sorted(map(int, set(numbers)))))
        if len(column.categories) > 2:
            text = "whole numbers as classes; if they are amounts: --task regression"
            return Decision(column, why).check(text)
    return Decision(column, why)


def _count_missing(evidence: Evidence) -> str:
    """Say how many rows have no target, if there are any."""
    missing = evidence.missing.sum()
    return f"; {missing:,} rows have none and will be rejected" if missing else ""


def show(counts: pd.Series) -> str:
    """Show the most frequent texts and their counts."""
    shown = [f"{text} ({count:,})" for text, count in counts.nlargest(6).items()]
    return ", ".join([*shown, "…"] if len(counts) > 6 else shown)
