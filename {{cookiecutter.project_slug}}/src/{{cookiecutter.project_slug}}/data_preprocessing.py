"""Clean and check the raw table: text in, typed rows out, and nothing lost on the way.

`transform` is the whole of it: a frame of text in, the rows that fit the schema out, and for every
other row the reasons why not. The functions below it each do one step, on one column at a time.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

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
    problem, and the check that it fails, which is the problem without the cell's value.
    """

    kept: pd.DataFrame
    rejected: pd.Series  # the reasons, by the row's label in the input
    duplicates: pd.Index  # labels of rows whose key stood in a kept row before
    problems: pd.DataFrame


def transform(
    raw: pd.DataFrame, schema: pa.DataFrameSchema, config: TableConfig
) -> Transformed:
    """Turn text into typed columns, reject what the schema does not allow, drop duplicates.

    `raw` holds text in every column of the schema, with a unique index. Of the rows with the same
    key the first good one is kept.
    """
    parsed, found = {}, []
    for name, column in schema.columns.items():
        # Each different cell is read once: most columns hold few.
        codes, cells = pd.factorize(raw[name], use_na_sentinel=False)
        text = mark_missing(pd.Series(cells, dtype="str"), config.missing_values)
        values = parse_column(text, describe_column(column), config)
        parsed[name] = values.take(codes).set_axis(raw.index)
        unread = (values.isna() & text.notna()).to_numpy()[codes]
        told = [f"{cell[:50]!r} can't be read" for cell in text.take(codes[unread])]
        found.append(list_problems(raw.index[unread], name, told, "can't be read"))
    checked, failures = check_limits(pd.DataFrame(parsed, index=raw.index), schema)
    # Of a cell the first problem is enough: one that can't be read is missing too.
    problems = pd.concat([*found, failures]).drop_duplicates(["row", "column"])
    rejected = join_reasons(problems)

    good = checked.drop(index=rejected.index)
    duplicate = (
        good.duplicated(config.key) if config.key else pd.Series(False, good.index)
    )
    return Transformed(good[~duplicate], rejected, good.index[duplicate], problems)


def mark_missing(column: pd.Series, spellings: Iterable[str]) -> pd.Series:
    """Take the blanks off every cell, and make those that spell a missing value missing."""
    text = column.str.strip()
    return text.mask(
        text.str.casefold().isin({clean_text(spelling) for spelling in spellings})
    )


def parse_column(text: pd.Series, column: Column, config: TableConfig) -> pd.Series:
    """Turn one column of text into its kind; what can't be read is missing, as what is missing."""
    if column.kind in ("number", "integer"):
        return parse_numbers(text, config.decimal, whole=column.kind == "integer")
    if column.kind == "boolean":
        return parse_booleans(text, config.true_values, config.false_values)
    if column.kind == "date":
        return parse_dates(text, config.formats_of(column.name))
    if not column.categories:
        return text
    texts = text.dropna().unique().astype(object)
    return text.map(
        dict(zip(texts, spell_categories(texts, column.categories), strict=True))
    )


def parse_numbers(
    text: pd.Series, decimal: str = ".", whole: bool = False
) -> pd.Series:
    """Read numbers, also with marks of thousands, a currency or a percent sign (12 % gives 12).

    `whole` refuses fractions, and integers too large to be held exactly.
    """
    direct = (
        text
        if decimal == "."
        else text.mask(text.str.contains(".", regex=False, na=False))
    )
    values = pd.to_numeric(direct, errors="coerce").astype(float)
    rest = text[values.isna() & text.notna()]
    if not rest.empty:
        values[rest.index] = pd.to_numeric(
            take_off_marks(rest, decimal), errors="coerce"
        )
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


def parse_booleans(
    text: pd.Series, true: Iterable[str], false: Iterable[str]
) -> pd.Series:
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
        read = pd.to_datetime(
            rest, format=form, errors="coerce", utc=True
        ).dt.tz_localize(None)
        dates[rest.index] = read.where(read.between(pd.Timestamp.min, pd.Timestamp.max))
    return dates


def check_limits(
    parsed: pd.DataFrame, schema: pa.DataFrameSchema
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Check the table against the schema.

    Returns it with the schema's dtypes, and what fails, one row a cell, as `list_problems` does.
    Raises UserError where a check fails that is not about single cells.
    """
    typed = parsed.astype(
        {name: str(column.dtype) for name, column in schema.columns.items()}
    )
    failures = pd.DataFrame(columns=["index", "column", "check", "failure_case"])
    try:
        schema.validate(typed, lazy=True)
    except SchemaErrors as errors:
        failures = errors.failure_cases
    whole = failures[failures["index"].isna()]
    if not whole.empty:
        name, check = whole[["column", "check"]].iloc[0]
        raise UserError(f"schema.yaml: {name}: {check} fails for the table as a whole")
    names = {"not_nullable": "is missing"}
    checks = [names.get(check, f"fails {check[:80]}") for check in failures["check"]]
    problems = [
        check if check == "is missing" else f"{str(value)[:50]} {check}"
        for value, check in zip(failures["failure_case"], checks, strict=True)
    ]
    return typed, list_problems(failures["index"], failures["column"], problems, checks)


def list_problems(
    rows: Any, column: Any, problems: list[str], check: Any
) -> pd.DataFrame:
    """Return a row on each cell that is at fault."""
    content = {"row": rows, "column": column, "problem": problems, "check": check}
    return pd.DataFrame(content, dtype="object")


def join_reasons(problems: pd.DataFrame) -> pd.Series:
    """Make one line of all that is wrong with a row."""
    reasons: dict[Any, list[str]] = {}
    for row, column, problem in problems[["row", "column", "problem"]].itertuples(
        index=False
    ):
        reasons.setdefault(row, []).append(f"{column}: {problem}")
    return pd.Series(
        {row: "; ".join(reasons[row]) for row in sorted(reasons)}, dtype="str"
    )
