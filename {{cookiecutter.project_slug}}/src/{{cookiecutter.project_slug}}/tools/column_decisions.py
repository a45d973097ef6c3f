"""Decide what each column of a table is, by the rules of column_rules.py, and say why."""

from typing import NamedTuple

import pandas as pd

from ..config import TableConfig
from ..data_preprocessing import (
    mark_missing,
    parse_column,
    parse_dates,
    parse_numbers,
)
from ..schema import Column, Kind
from ..utils import UserError
from . import column_rules as rules


class Decision(NamedTuple):
    """What a column is taken for, why, and what a person should look at."""

    column: Column
    why: str
    excluded: bool = False
    look: str = ""
    formats: tuple[str, ...] = ()


def decide(name: str, text: pd.Series, config: TableConfig) -> Decision:
    """Decide what a column is; the first rule that fits wins."""
    unused = Column(name, "category", nullable=True)
    nullable, different = not rules.is_required(text), text.nunique()
    key = f"if each row has its own, --key {name!r} drops rows that come twice"
    if name == config.key:
        return Decision(
            Column(name, "category"), "the key: rows with the same one are duplicates"
        )
    if different == 0 or (different == 1 and text.notna().all()):
        return Decision(
            unused, f"only {text.dropna().unique().tolist()} in it", excluded=True
        )
    if rules.is_boolean(text, config):
        spelled = ", ".join(sorted(text.dropna().unique())[:6])
        return Decision(Column(name, "boolean", nullable), f"spelled {spelled}")
    number = rules.is_number(text, config.decimal) and not rules.is_date(text, [])
    if not number and (date := decide_date(name, text, nullable)):
        return date
    if number:
        numbers = parse_numbers(text, config.decimal)
        if rules.is_running_number(name, numbers):
            return Decision(
                unused, "a running number or identifier", excluded=True, look=key
            )
        if not rules.is_code(name, numbers):
            kind: Kind = "integer" if rules.is_whole(numbers) else "number"
            low, high = map(
                int if kind == "integer" else float, rules.find_limits(numbers)
            )
            why = (
                f"{numbers.min():g} to {numbers.max():g}; allowed: {low:g} to {high:g}"
            )
            return Decision(Column(name, kind, nullable, low, high), why)
    if rules.is_free_text(text):
        return Decision(
            unused, f"free text, {different:,} different ones: not used", excluded=True
        )
    if rules.is_identifier(name, text):
        why = f"an identifier: {different:,} different ones in {text.count():,} rows"
        return Decision(unused, why, excluded=True, look=key)
    categories = rules.find_categories(text)
    why = f"{different:,} values, some rare: others may come"
    if categories:
        why = f"{len(categories)} categories: {', '.join(categories[:6])}"
    return Decision(Column(name, "category", nullable, categories=categories), why)


def decide_date(name: str, text: pd.Series, nullable: bool) -> Decision | None:
    """Decide whether a column is a date, and whether the day or the month comes first."""
    month_first, unread = rules.find_date_formats(text, day_first=False)
    day_first, still_unread = rules.find_date_formats(text, day_first=True)
    formats = day_first if still_unread < unread else month_first
    if not rules.is_date(text, formats):
        return None
    dates = parse_dates(text, formats)
    written = " or ".join(formats) or "ISO 8601"
    why = f"{dates.min():%Y-%m-%d} to {dates.max():%Y-%m-%d}, written as {written}"
    look = ""
    if unread == still_unread and set(month_first) != set(day_first):
        look = "no day is above 12: read as month, day; else turn %m and %d in date_formats"
    column = Column(name, "date", nullable, *rules.find_date_limits(dates))
    return Decision(column, why, look=look, formats=tuple(formats))


def decide_target(text: pd.Series, config: TableConfig) -> Decision:
    """Decide what the classes of the target are, or that it is a number."""
    name, numbers = config.target, parse_numbers(text, config.decimal)
    why = f"the target of a {config.task}"
    if config.task == "regression":
        return Decision(
            Column(name, "number"), f"{why}, {numbers.min():g} to {numbers.max():g}"
        )
    classes = rules.find_classes(text)
    if not 2 <= len(classes) <= max(rules.FEW, text.count() / 5):
        raise UserError(
            f"the target {name!r} has {len(classes):,} different values in {text.count():,} rows; "
            "it must be a number, or two classes or more with some rows each"
        )
    column, look = Column(name, "category", categories=classes), ""
    if rules.is_number(text, config.decimal) and rules.is_whole(numbers):
        whole = sorted(numbers.dropna().astype(int).unique().tolist())
        column = Column(name, "integer", categories=tuple(whole))
        look = "whole numbers as classes; if they are amounts, set task: regression in config.yaml"
    elif set(map(str.lower, classes)) == {"true", "false"}:
        column = Column(name, "boolean")
    classes = tuple(map(str, column.categories)) or classes
    shown = f"{why}, {len(classes)} classes: {', '.join(classes[:6])}"
    return Decision(column, shown, look=look if len(classes) > 2 else "")


def warn_of_leak(
    decision: Decision, text: pd.DataFrame, config: TableConfig
) -> Decision:
    """Add a line to look at where a column gives the target away."""
    column, target = decision.column, text[config.target].dropna()
    if decision.excluded or column.name in (config.key, config.target):
        return decision
    if config.task == "regression":
        target = parse_numbers(target, config.decimal).dropna()
    settings = config.model_copy(update={"date_formats": list(decision.formats)})
    values = parse_column(text.loc[target.index, column.name], column, settings)
    if column.kind == "date":
        values = values.astype("int64").where(values.notna())
    leak = rules.find_leak(values, target, config.task or "classification")
    look = f"{leak} gives the target away; if it is known only later, --exclude {column.name!r}"
    return (
        decision._replace(look=f"{decision.look} {look}".strip()) if leak else decision
    )


def infer(sample: pd.DataFrame, config: TableConfig) -> list[Decision]:
    """Decide on every column of a sample of raw text, in their order."""
    text = sample.apply(mark_missing, spellings=config.missing_values)
    decisions = []
    for name, values in text.items():
        if name == config.target:
            decision = decide_target(values, config)
        else:
            decision = decide(str(name), values, config)
        if name in config.exclude:
            decision = decision._replace(excluded=True, why=f"by wish; {decision.why}")
        decisions.append(warn_of_leak(decision, text, config))
    return decisions
