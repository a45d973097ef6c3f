"""Decide what each column is, by the rules of column_rules.py, and say why."""

import re
from dataclasses import replace
from datetime import datetime

from pandas import Series

from ..config import TableConfig, Task
from ..data_preprocessing import clean_column, parse_column
from ..schema import Column, Kind, find_spelling
from ..utils import UserError
from .column_rules import (
    DATE,
    FEW,
    HALF,
    LISTED,
    MOST,
    OFTEN,
    YEAR,
    Evidence,
    count_digits,
    count_units,
    find_date_formats,
    find_limits,
    find_unit,
    infer_task,
    is_called_code,
    is_code,
    is_identifier,
    is_monotone,
    is_running_number,
    is_whole,
    merge_spellings,
    share_of,
    show,
)

MANY = 1000  # rows without a gap: tomorrow's will have none either
ABSURD = 1e5  # times as far from the median as half of the values: probably a slip


def decide(name: str, counts: Series, sample: Series, config: TableConfig) -> Evidence:
    """Decide what a column is, by the counts of its texts; the first rule that fits.

    A rule changes the column and returns why, or nothing if it does not fit.
    """
    column = Column(name, "category", spelling=find_spelling(name, config))
    texts = clean_column(counts.index.to_series(), column)
    known, missing = counts.groupby(texts).sum(), counts[texts.isna()]
    has_gaps = len(missing) > 0 or known.sum() < MANY
    nullable = has_gaps and name not in (config.target, *config.key)
    column = replace(column, nullable=nullable)
    evidence = Evidence(column, known, missing, sample, counts.sum())
    evidence.is_excluded = name in config.exclude

    if name == config.target:
        evidence.why = decide_target(evidence, config.task)
    elif name in config.key:
        evidence.why = f"the key: {len(known):,} distinct in {known.sum():,} rows"
    else:
        for rule in RULES:
            evidence.why = rule(evidence)
            if evidence.why:
                break

    return evidence


def as_constant(evidence: Evidence) -> str:
    """Exclude a column without values, or with the same value in every row."""
    counts = evidence.counts
    if len(counts) > 1 or (len(counts) and len(evidence.missing)):
        return ""
    evidence.is_excluded = True
    return f"always {show(counts) or 'missing'}"


def as_boolean(evidence: Evidence) -> str:
    """Accept a column whose texts are true_values or false_values, if both occur."""
    if len(evidence.counts) > LISTED:
        return ""
    column, values, unreadable = evidence.parse("boolean")
    if len(unreadable) or values.nunique() < 2:
        return ""
    evidence.column = column
    return f"spelled {show(evidence.counts)}"


def as_date(evidence: Evidence) -> str:
    """Accept a column in which nearly all texts are dates."""
    if share_of(evidence.counts, DATE) <= HALF:
        return ""

    formats, is_ambiguous = find_date_formats(evidence.parse("date")[2])
    spelling = replace(evidence.column.spelling, date_formats=tuple(formats))
    column, values, unreadable = evidence.parse("date", spelling=spelling)
    if not evidence.accept("date", unreadable):
        if share_of(evidence.counts, YEAR) > MOST:
            evidence.checks.append(
                "if these are dates, their format is not known: add it to date_formats "
                "in config.yaml, and dtype: datetime64[ns] in schema.yaml"
            )
        return ""

    low, high = values.min(), values.max()
    evidence.column = replace(
        column,
        minimum=f"{max(low.year - 10, 1):04}-01-01",
        maximum=f"{min(high.year + 10, 9999)}-12-31",
        has_time=bool((values > values.dt.normalize()).any()),
        digits=count_digits(evidence.counts),
    )
    if is_ambiguous:
        evidence.checks.append(
            f"day and month, or year, may be swapped: read as {formats[0]}; if that is "
            "wrong, change date_formats in config.yaml"
        )
    _check_dates(evidence, values)
    written = " or ".join(formats) or "ISO 8601"
    return f"{low:%Y-%m-%d} to {high:%Y-%m-%d}, written as {written}"


def _check_dates(evidence: Evidence, values: Series) -> None:
    """Point out dates in the future, and dates by which the rows are sorted."""
    column, checks = evidence.column, evidence.checks
    future = evidence.counts[values > datetime.now()].sum() / evidence.counts.sum()
    if 0 < future < 1:
        checks.append(
            f"{future:.1%} of the dates are in the future, up to {values.max().date()}"
            "; if they have years of two digits: 69 is 1969, 68 is 2068"
        )
    rows = parse_column(evidence.sample, column)[0]
    if rows.nunique() >= FEW and is_monotone(rows):
        checks.append(
            "the rows are sorted by it; to test the model on the newest, set "
            f"training.date in config.yaml to {column.name}"
        )


def as_number(evidence: Evidence) -> str:
    """Accept a column in which nearly all texts are numbers that are amounts."""
    name, counts = evidence.column.name, evidence.counts
    column, values, unreadable = evidence.parse("number", unit=find_unit(counts))
    if is_code(counts) or is_called_code(name, counts):
        return ""
    if not evidence.accept("number", unreadable):
        units = count_units(counts)
        if not column.unit and units.sum() >= HALF * counts.sum():
            evidence.checks.append(f"numbers with different units: {show(units)}")
        return ""
    if is_running_number(name, parse_column(evidence.sample, column)[0]):
        return _exclude_identifier(evidence)

    kind: Kind = "integer" if is_whole(values) else "number"
    least, most = values.min(), values.max()
    low, high = map(int if kind == "integer" else float, find_limits(least, most))
    evidence.column = replace(column, kind=kind, minimum=low, maximum=high)
    why = f"{least:g} to {most:g}; allowed: {low:g} to {high:g}"
    if column.unit:
        share = share_of(counts, f".*{re.escape(column.unit)}.*")
        why += f"; {column.unit} is removed from {share:.0%} of the values"
    return why


def as_free_text(evidence: Evidence) -> str:
    """Exclude long text that rarely repeats, and lists or structs.

    Long is more than three words or fifty letters on average.
    """
    texts = evidence.counts.index.to_series()
    is_long = texts.str.count(r"\S+").mean() > 3 or texts.str.len().mean() > 50
    is_different = len(texts) > max(FEW, 0.1 * evidence.counts.sum())
    is_nested = share_of(evidence.counts, r"\[.*\]|\{.*\}") >= MOST
    if not is_nested and not (is_long and is_different):
        return ""
    evidence.is_excluded = True
    about = "lists or structs, which models cannot use" if is_nested else "free text"
    return f"{about}, {len(texts):,} distinct"


def as_category(evidence: Evidence) -> str:
    """Exclude identifiers, and accept anything else as categories.

    Values seen once suggest that some have not been seen at all; values seen five times
    each, that hardly any is missing (the estimate of Good and Turing).
    """
    counts, column = evidence.counts, evidence.column
    if is_identifier(column.name, counts):
        return _exclude_identifier(evidence)
    merged = merge_spellings(counts)
    is_complete = merged.min() >= OFTEN and len(merged) <= LISTED
    listed = tuple(merged.index) if is_complete else ()
    evidence.column = replace(column, categories=listed, digits=count_digits(counts))
    others = "" if is_complete else "; some are rare, so others are allowed"
    return f"{len(merged):,} categories: {show(merged)}{others}"


def _exclude_identifier(evidence: Evidence) -> str:
    """Exclude an identifier, and say what it may be good for."""
    name, counts = evidence.column.name, evidence.counts
    evidence.is_excluded = True
    if counts.max() == 1:
        evidence.checks.append(f"if it identifies a row: --key {name!r}")
    elif len(counts) <= HALF * counts.sum():
        evidence.checks.append(
            "it repeats; to test the model on others than those it was trained on, "
            f"set training.group in config.yaml to {name}"
        )
    return f"an identifier: {len(counts):,} distinct in {counts.sum():,} rows"


RULES = (as_constant, as_boolean, as_date, as_number, as_free_text, as_category)


# --- The target --------------------------------------------------------------------


def decide_target(evidence: Evidence, wanted: Task | None) -> str:
    """Decide whether the target is a number, or what its classes are."""
    counts, missing = evidence.counts, evidence.missing
    column, numbers, unreadable = evidence.parse("number", unit=find_unit(counts))
    classes = merge_spellings(counts)
    task = wanted or infer_task(numbers, counts)
    if task == "regression":
        is_possible = numbers.nunique() > 1 and evidence.accept("number", unreadable)
        evidence.column = replace(column, nullable=False)
        why = f"{numbers.min():g} to {numbers.max():g}"
        distances = (numbers - numbers.median()).abs()
        if distances.max() > ABSURD * distances.median():
            evidence.checks.append(
                f"the value {distances.idxmax()} is far from all others; if it is a "
                "slip, correct it: models are fitted to it"
            )
    else:
        has_numbers = unreadable.sum() <= HALF * counts.sum() and not is_code(counts)
        is_mixed = not wanted and has_numbers and numbers.nunique() > FEW
        is_possible = 2 <= len(classes) <= max(FEW, classes.sum() / 5) and not is_mixed
        evidence.column = _decide_classes(evidence, classes, column, numbers)
        why = f"{len(classes)} classes: {show(classes)}"
    if not is_possible:
        raise UserError(
            f"the target {column.name!r} has {len(classes):,} distinct values in "
            f"{classes.sum():,} rows: {show(classes)} (missing: "
            f"{show(missing) or 'none'}); it must be a number, or at least two classes "
            "with some rows each; see --task, and --missing for words that mean none"
        )
    if len(missing):
        why += f"; {missing.sum():,} rows have none and will be rejected"
    return f"the target of a {task}, {why}"


def _decide_classes(
    evidence: Evidence, classes: Series, column: Column, numbers: Series
) -> Column:
    """Return the target with its classes: booleans, whole numbers or text."""
    text = evidence.column
    if set(classes.index.str.lower()) == {"true", "false"}:
        return replace(text, kind="boolean")
    if numbers.isna().any() or not is_whole(numbers) or is_code(classes):
        return replace(text, categories=tuple(classes.index))
    if numbers.nunique() > 2:
        evidence.checks.append(
            "whole numbers as classes; if they are amounts: --task regression"
        )
    listed = tuple(sorted(set(numbers.map(int))))
    return replace(column, kind="integer", categories=listed)
