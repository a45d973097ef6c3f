"""Clean and check the raw table: text in, typed rows out, and nothing lost on the way.

`transform` is the whole of it: a frame of text in, the rows that fit the schema out, and for every
other row the reasons why not. The functions below it each do one step, on one column at a time.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from .config import TableConfig
from .feature_engineering import spell_categories
from .schema import Column, describe_column
from .utils import UserError, clean_text

LARGEST_EXACT_INTEGER = 2**53
CURRENCY = "[$€£¥₹₽₩]|[A-Z]{3}"


class Transformed(NamedTuple):
    """The outcome of `transform`; each row of the input is in exactly one of the first three.

    `problems` says of each cell that is at fault, by the row's label in the input: row, column,
    problem.
    """

    kept: pd.DataFrame
    rejected: pd.Series  # the reasons, by the row's label in the input
    duplicates: pd.Index  # labels of rows whose key stood in a kept row before
    problems: pd.DataFrame


def transform(raw: pd.DataFrame, schema: pa.DataFrameSchema, config: TableConfig) -> Transformed:
    """Turn text into typed columns, reject what the schema does not allow, drop duplicates.

    `raw` holds text in every column of the schema, with a unique index. Of the rows with the same
    key the first good one is kept.
    """
    text = mark_missing(raw[list(schema.columns)], config.missing_values)
    parsed, found = {}, []
    for name, column in schema.columns.items():
        parsed[name] = parse_column(text[name], describe_column(column), config)
        bad = text.loc[parsed[name].isna() & text[name].notna(), name]
        unread = [f"{cell[:50]!r} can't be read" for cell in bad]
        found.append(pd.DataFrame({"row": bad.index, "column": name, "problem": unread}))
    checked, failures = check_limits(pd.DataFrame(parsed, index=raw.index), schema)
    # Of a cell the first problem is enough: one that can't be read is missing too.
    problems = pd.concat([*found, failures]).drop_duplicates(["row", "column"])
    rejected = join_reasons(problems)

    good = checked.drop(index=rejected.index)
    duplicate = good.duplicated(config.key) if config.key else pd.Series(False, good.index)
    return Transformed(good[~duplicate], rejected, good.index[duplicate], problems)


def mark_missing(raw: pd.DataFrame, spellings: Iterable[str]) -> pd.DataFrame:
    """Take the blanks off every cell, and make those that spell a missing value missing."""
    missing = {clean_text(spelling) for spelling in spellings}
    text = raw.apply(lambda column: column.str.strip())
    return text.mask(text.apply(lambda column: column.str.casefold().isin(missing)))


def parse_column(text: pd.Series, column: Column, config: TableConfig) -> pd.Series:
    """Turn one column of text into its kind; what can't be read is missing, as what is missing."""
    if column.kind in ("number", "integer"):
        return parse_numbers(text, config.decimal, whole=column.kind == "integer")
    if column.kind == "boolean":
        return parse_booleans(text, config.true_values, config.false_values)
    if column.kind == "date":
        return parse_dates(text, config.formats_of(column.name))
    texts = text.dropna().unique().astype(object)
    return text.map(dict(zip(texts, spell_categories(texts, column.categories), strict=True)))


def parse_numbers(text: pd.Series, decimal: str = ".", whole: bool = False) -> pd.Series:
    """Read numbers, also with marks of thousands, a currency or a percent sign (12 % gives 12).

    `whole` refuses fractions, and integers too large to be held exactly.
    """
    direct = text if decimal == "." else text.mask(text.str.contains(".", regex=False, na=False))
    values = pd.to_numeric(direct, errors="coerce").astype(float)
    rest = text[values.isna() & text.notna()]
    if not rest.empty:
        values[rest.index] = pd.to_numeric(take_off_marks(rest, decimal), errors="coerce")
    good = np.isfinite(values)
    if whole:
        good &= (values % 1 == 0) & (values.abs() <= LARGEST_EXACT_INTEGER)
    return values.where(good)


def take_off_marks(text: pd.Series, decimal: str) -> pd.Series:
    """Spell numbers plainly: € 1,234.50 as 1234.50, (5) as -5; what is no number is missing."""
    mark = "," if decimal == "." else r"\."
    whole = r"(?P<whole>\d{1,3}(?:[" + mark + r"'\s]\d{3})+|\d*)"
    pattern = (
        rf"(?P<minus>[-(\u2212])?\s*(?:{CURRENCY})?\s*(?P<sign>[-+])?{whole}"
        rf"(?:\{decimal}(?P<part>\d*))?(?P<power>[eE][-+]?\d+)?\s*(?:{CURRENCY}|%)?\)?"
    )
    found = text.str.extract(f"^{pattern}$")
    minus = found["minus"].fillna("").str.len() + found["sign"].eq("-")
    digits = found["whole"].str.replace(r"\D", "", regex=True)
    part = found["part"].fillna("")
    plain = (digits + "." + part + found["power"].fillna("")).where(digits + part != "")
    return plain.where(minus == 0, "-" + plain).where(minus < 2)


def parse_booleans(text: pd.Series, true: Iterable[str], false: Iterable[str]) -> pd.Series:
    """Read booleans, in any letter case: true, false, and the other spellings."""
    meaning = {"true": True, "false": False}
    meaning |= {clean_text(spelling): True for spelling in true}
    meaning |= {clean_text(spelling): False for spelling in false}
    return text.str.casefold().map(meaning).astype("boolean")


def parse_dates(text: pd.Series, formats: Iterable[str]) -> pd.Series:
    """Read dates as ISO 8601, or in the first of the formats that fits; in UTC if they have a zone.

    A date before 1677 or after 2262 can't be held, and is missing.
    """
    dates = pd.Series(pd.NaT, index=text.index, dtype="datetime64[ns]")
    for form in ("ISO8601", *formats):
        rest = text[dates.isna() & text.notna()]
        read = pd.to_datetime(rest, format=form, errors="coerce", utc=True).dt.tz_localize(None)
        dates[rest.index] = read.where(read.between(pd.Timestamp.min, pd.Timestamp.max))
    return dates


def check_limits(
    parsed: pd.DataFrame, schema: pa.DataFrameSchema
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Check the table against the schema.

    Returns it with the schema's dtypes, and what fails, one row a cell: row, column, problem.
    Raises UserError where a check fails that is not about single cells.
    """
    typed = parsed.astype({name: str(column.dtype) for name, column in schema.columns.items()})
    failures = pd.DataFrame(columns=["index", "column", "check", "failure_case"])
    try:
        schema.validate(typed, lazy=True)
    except SchemaErrors as errors:
        failures = errors.failure_cases
    whole = failures[failures["index"].isna()]
    if not whole.empty:
        name, check = whole[["column", "check"]].iloc[0]
        raise UserError(f"schema.yaml: {name}: {check} fails for the table as a whole")
    problems = [
        "is missing" if check == "not_nullable" else f"{value} fails {check[:80]}"
        for value, check in zip(failures["failure_case"], failures["check"], strict=True)
    ]
    return typed, failures.rename(columns={"index": "row"})[["row", "column"]].assign(
        problem=problems
    )


def join_reasons(problems: pd.DataFrame) -> pd.Series:
    """Make one line of all that is wrong with a row."""
    reasons = problems["column"].astype(str) + ": " + problems["problem"].astype(str)
    return reasons.groupby(problems["row"]).agg("; ".join)
