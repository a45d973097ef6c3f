"""Decide what each column is, by the rules of column_rules.py, and say why."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pandas import Series

from ..config import TableConfig, Task
from ..data_preprocessing import clean_column, parse_column
from ..schema import Column, Kind, find_spelling
from ..utils import UserError
from .column_rules import (
    DATE,
    FEW,
    HALF,
    MOST,
    count_digits,
    find_categories,
    find_date_formats,
    find_limits,
    find_task,
    find_unit,
    is_called_code,
    is_code,
    is_free_text,
    is_identifier,
    is_monotone,
    is_running_number,
    is_whole,
    merge_spellings,
    share_of,
)

MANY = 1000  # rows without a gap: tomorrow's will have none either
ABSURD = 1e6  # times the median: a maximum that is probably a slip


@dataclass
class Evidence:
    """What decides on a column, and what was decided.

    `counts` has the number of rows of each text, `missing` that of texts which spell
    missing values, and `sample` some rows in their order. `checks` are for a person.
    """

    column: Column
    counts: Series
    missing: Series
    sample: Series
    why: str = ""
    is_excluded: bool = False
    checks: list = field(default_factory=list)

    def parse(self, kind: Kind, **properties: Any) -> tuple:
        """Read the texts as those of a column of a kind.

        Returns the column, the values by text, and the counts of what can't be read.
        """
        if kind == "number":
            properties["unit"] = find_unit(self.counts)
        column = replace(self.column, kind=kind, **properties)
        values, is_unreadable = parse_column(self.counts.index.to_series(), column)
        unreadable = self.counts[is_unreadable]
        if len(unreadable):
            column = replace(column, unreadable="missing", nullable=True)
        return column, values, unreadable

    def accept(self, kind: str, unreadable: Series) -> bool:
        """Whether nearly all texts are of a kind. Point out if not all are."""
        share = 1 - unreadable.sum() / self.counts.sum()
        is_accepted = share >= MOST
        if HALF <= share < 1:
            others = "the others are read as missing" if is_accepted else "the others"
            text = f"{share:.1%} are {kind}s; {others}: {show(unreadable)}"
            self.checks.append(text)
        return is_accepted


def decide(name: str, counts: Series, sample: Series, config: TableConfig) -> Evidence:
    """Decide what a column is, by the counts of its texts; the first rule that fits.

    A rule changes the column and returns why, or nothing if it does not fit.
    """
    column = Column(name, "category", spelling=find_spelling(name, config))
    texts = clean_column(counts.index.to_series(), column)
    known, missing = counts.groupby(texts).sum(), counts[texts.isna()]
    has_gaps = len(missing) > 0 or int(known.sum()) < MANY
    nullable = has_gaps and name not in (config.target, *config.key)
    column = replace(column, nullable=nullable)
    evidence = Evidence(column, known, missing, sample)

    if name == config.target:
        evidence.why = decide_target(evidence, config.task)
    elif name in config.key:
        evidence.why = f"the key: {len(known):,} distinct in {known.sum():,} rows"
    else:
        evidence.why = next(filter(None, (rule(evidence) for rule in RULES)))
    return evidence


def as_constant(evidence: Evidence) -> str:
    """A column that says nothing: no value, or the same in all rows."""
    values = merge_spellings(evidence.counts)
    if len(values) > 1 or (len(values) and len(evidence.missing)):
        return ""
    evidence.is_excluded = True
    return f"always {values.index[0]}" if len(values) else "has no value"


def as_boolean(evidence: Evidence) -> str:
    """All texts are in true_values or false_values of config.yaml, and both occur."""
    column, values, unreadable = evidence.parse("boolean")
    if len(unreadable) or values.nunique() < 2:
        return ""
    evidence.column = column
    return f"spelled {show(evidence.counts)}"


def as_date(evidence: Evidence) -> str:
    """Nearly all texts are dates."""
    if share_of(evidence.counts, DATE) <= HALF:
        return ""
    formats, is_ambiguous = find_date_formats(evidence.counts)
    spelling = replace(evidence.column.spelling, date_formats=tuple(formats))
    column, values, unreadable = evidence.parse("date", spelling=spelling)
    if not evidence.accept("date", unreadable):
        return ""

    dates = values.dropna()
    low, high = dates.min(), dates.max()
    evidence.column = replace(
        column,
        minimum=f"{max(low.year - 10, 1):04}-01-01",
        maximum=f"{min(high.year + 10, 9999)}-12-31",
        has_time=bool((dates != dates.dt.normalize()).any()),
    )
    _check_dates(evidence, values, is_ambiguous)
    written = " or ".join(formats) or "ISO 8601"
    return f"{low:%Y-%m-%d} to {high:%Y-%m-%d}, written as {written}"


def _check_dates(evidence: Evidence, values: Series, is_ambiguous: bool) -> None:
    """Point out dates that may be others, and dates by which the rows are sorted."""
    column, checks = evidence.column, evidence.checks
    if is_ambiguous:
        checks.append(
            "no day is above 12: read as month, day; if the day comes first, swap %m "
            "and %d in date_formats of config.yaml"
        )
    future = evidence.counts[values > datetime.now()].sum() / evidence.counts.sum()
    has_short_years = "%y" in str(column.spelling.date_formats)
    if 0 < future < (1 if has_short_years else HALF):
        years = "; years of two digits: 69 is 1969, 68 is 2068" * has_short_years
        last = f"up to {values.max():%Y-%m-%d}{years}"
        checks.append(f"{future:.1%} of the dates are in the future, {last}")
    rows = parse_column(evidence.sample, column)[0]
    if is_monotone(rows) and rows.nunique() >= FEW:
        checks.append(
            "the rows are sorted by it; to test the model on the newest, set "
            f"training.date in config.yaml to {column.name}"
        )


def as_number(evidence: Evidence) -> str:
    """Nearly all texts are numbers, and they are amounts."""
    name, counts = evidence.column.name, evidence.counts
    column, values, unreadable = evidence.parse("number")
    if is_code(counts) or not evidence.accept("number", unreadable):
        return ""
    if is_running_number(name, parse_column(evidence.sample, column)[0]):
        return _exclude_identifier(evidence, "a running number or identifier")
    kind: Kind = "integer" if is_whole(values) else "number"
    if kind == "integer" and is_called_code(name, counts):
        return ""

    least, most = values.min(), values.max()
    low, high = map(int if kind == "integer" else float, find_limits(least, most))
    evidence.column = replace(column, kind=kind)
    if low < high:
        evidence.column = replace(evidence.column, minimum=low, maximum=high)
    why = f"{least:g} to {most:g}; allowed: {low:g} to {high:g}"
    return f"{why}; {column.unit} is removed" if column.unit else why


def as_free_text(evidence: Evidence) -> str:
    """Long text that rarely repeats, and lists or structs, are excluded."""
    counts = evidence.counts
    is_nested = share_of(counts, r"\[.*\]|\{.*\}") >= MOST
    if not is_nested and not is_free_text(counts):
        return ""
    evidence.is_excluded = True
    about = "lists or structs, which models cannot use" if is_nested else "free text"
    return f"{about}, {len(counts):,} distinct"


def as_category(evidence: Evidence) -> str:
    """Identifiers are excluded, anything else are categories."""
    counts, column = evidence.counts, evidence.column
    if is_identifier(column.name, counts):
        why = f"an identifier: {len(counts):,} distinct in {counts.sum():,} rows"
        return _exclude_identifier(evidence, why)
    merged = merge_spellings(counts)
    listed, digits = find_categories(merged), count_digits(counts)
    evidence.column = replace(column, categories=listed, digits=digits)
    others = "" if listed else "; some are rare, so others are allowed"
    return f"{len(merged):,} categories: {show(merged)}{others}"


def _exclude_identifier(evidence: Evidence, why: str) -> str:
    """Exclude an identifier, and say what it may be good for."""
    name = evidence.column.name
    evidence.is_excluded = True
    evidence.checks.append(
        f"if it identifies a row: --key {name!r}"
        if evidence.counts.max() == 1
        else "it repeats; to test the model on others than those it was trained on, "
        f"set training.group in config.yaml to {name}"
    )
    return why


RULES = (as_constant, as_boolean, as_date, as_number, as_free_text, as_category)


# --- The target --------------------------------------------------------------------


def decide_target(evidence: Evidence, task: Task | None) -> str:
    """Decide whether the target is a number, or what its classes are."""
    column, numbers, unreadable = evidence.parse("number")
    task = task or find_task(numbers, evidence.counts)
    if task == "classification":
        why = _decide_classes(evidence, column, numbers)
    else:
        evidence.column = replace(column, nullable=False)
        why = f"{numbers.min():g} to {numbers.max():g}"
        if numbers.nunique() < 2 or not evidence.accept("number", unreadable):
            raise UserError(
                f"the target {column.name!r} can't be predicted as a number: it has "
                f"{show(evidence.counts)}; see --task"
            )
        if numbers.max() > ABSURD * numbers.abs().median():
            largest = f"the largest value, {numbers.max():g}"
            evidence.checks.append(f"{largest}, is over a million times its median")
    if missing := evidence.missing.sum():
        why += f"; {missing:,} rows have none and will be rejected"
    return f"the target of a {task}, {why}"


def _decide_classes(evidence: Evidence, column: Column, numbers: Series) -> str:
    """Decide what the classes of the target are."""
    merged = merge_spellings(evidence.counts)
    if not 2 <= len(merged) <= max(FEW, merged.sum() / 5):
        raise UserError(
            f"the target {evidence.column.name!r} has {len(merged):,} distinct values "
            f"in {merged.sum():,} rows (missing: {show(evidence.missing) or 'none'}); "
            "it must be a number, or at least two classes with some rows each"
        )
    text, is_number = evidence.column, numbers.notna().all() and is_whole(numbers)
    if set(merged.index.str.lower()) == {"true", "false"}:
        evidence.column = replace(text, kind="boolean")
    elif is_number and not is_code(evidence.counts):
        classes = tuple(sorted(set(numbers.map(int))))
        evidence.column = replace(column, kind="integer", categories=classes)
        if len(classes) > 2:
            hint = "whole numbers as classes; if they are amounts: --task regression"
            evidence.checks.append(hint)
    else:
        evidence.column = replace(text, categories=tuple(merged.index))
    return f"{len(merged)} classes: {show(merged)}"


def show(counts: Series) -> str:
    """Show the most frequent texts and their counts."""
    shown = [f"{text} ({count:,})" for text, count in counts.nlargest(6).items()]
    return ", ".join([*shown, "…"] if len(counts) > 6 else shown)
