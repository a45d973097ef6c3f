"""Clean the raw table: text in, typed rows out, and a reason for every rejected row.

`transform` does it all. It parses each column, checks the schema's limits, and drops
rows whose key another row has; the functions below it each do one of these steps.

Rules about single rows belong here. A statistic, such as a median to fill gaps with,
belongs in the model's pipeline (`model_training.py`): the table is cleaned in batches.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from pandas.api.types import pandas_dtype

from .cells import LARGEST_EXACT_INTEGER, cleaned, name_categories, read_cell
from .schema import DTYPES, Column, Table
from .utils import UserError

UNREADABLE = "can't be read"
EMPTIED = "; set to missing"
OUT_OF_SCOPE = "out of scope"  # in place of a column's name
_ISO_DATE = r"\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)?"


class Transformed(NamedTuple):
    """The outcome of `transform`. Each raw row is in exactly one of the first three.

    `problems` has a row for each cell at fault: its row (the label in the raw table),
    column, problem, and the failed check, which is the problem without the text. Cells
    that were set to missing, as schema.yaml says by `out_of_range: missing`, are there
    too; they reject no row.
    """

    kept: pd.DataFrame
    rejected: pd.Series  # the reasons, by the row's label
    duplicates: pd.Index  # the labels of rows whose key another row has
    problems: pd.DataFrame


def transform(raw: pd.DataFrame, table: Table) -> Transformed:
    """Turn text into typed columns, reject what the schema forbids, drop duplicates.

    `raw` holds text in every column of the table, and each row has its own label. If
    several good rows have the same key, the last one is kept, or the first if the table
    says so. A row out of scope may exceed the limits, but its cells must be readable.
    """
    typed, problems = _check_columns(raw, table.columns)
    if table.filter is not None:
        problems = _apply_filter(table.filter, typed, problems)

    is_emptied = problems["check"].str.endswith(EMPTIED)
    reasons = problems["column"] + ": " + problems["problem"] + "; "
    joined = reasons[~is_emptied].groupby(problems["row"]).sum()
    rejected = joined.str.removesuffix("; ")

    good = typed.drop(rejected.index)
    key = list(table.key)
    kept = good.drop_duplicates(key, keep=table.keep) if key else good
    duplicates = good.index.difference(kept.index)

    return Transformed(kept, rejected, duplicates, problems)


def _check_columns(raw: pd.DataFrame, columns: Iterable[Column]) -> tuple:
    """Parse every column, and check which values the schema allows.

    Returns the typed table, and the problems as `Transformed` has them.
    """
    typed, problems = {}, []
    for column in columns:
        cells = raw[column.name]
        values, is_unreadable = parse_column(cells, column)

        for check, is_wrong in _failed_checks(values, is_unreadable, column):
            for row, text in cells[is_wrong].fillna("").items():
                problems.append((row, column.name, f"{text!r:.50} {check}", check))
            if check.endswith(EMPTIED):
                values = values.mask(is_wrong)

        typed[column.name] = values

    names = ["row", "column", "problem", "check"]

    return pd.DataFrame(typed, raw.index), pd.DataFrame(problems, columns=names)


def _failed_checks(
    values: pd.Series, is_unreadable: np.ndarray, column: Column
) -> Iterator[tuple]:
    """Yield each check of a column, and which values fail it."""
    yield UNREADABLE, is_unreadable
    if not column.nullable:
        yield "is missing", values.isna() & ~is_unreadable

    is_emptied = column.nullable and column.out_of_range == "missing"
    done = EMPTIED if is_emptied else ""
    if column.minimum is not None:
        yield f"is below {column.minimum}{done}", values < column.minimum
    if column.maximum is not None:
        yield f"is above {column.maximum}{done}", values > column.maximum

    if column.categories and column.is_closed:
        is_unknown = values.notna() & ~values.isin(column.categories)
        yield name_categories(column.categories) + done, is_unknown


def _apply_filter(
    query: str, typed: pd.DataFrame, problems: pd.DataFrame
) -> pd.DataFrame:
    """Set aside the readable rows for which the filter is not true.

    Returns the problems with that as the only one of these rows.
    """
    is_unreadable = problems["check"] == UNREADABLE
    readable = typed.drop(problems["row"][is_unreadable])
    try:
        in_scope = readable.query(query, engine="python")
    except Exception as error:  # pandas raises errors of many kinds
        raise UserError(f"config.yaml: filter: {query}: {error}") from error

    rows = readable.index.difference(in_scope.index)
    reason = f"{query} is not true"
    aside = pd.DataFrame({"row": rows, "column": OUT_OF_SCOPE, "problem": reason})
    others = problems[~problems["row"].isin(rows)]

    return pd.concat([others, aside.assign(check=reason)], ignore_index=True)


def parse_column(raw: pd.Series, column: Column) -> tuple[pd.Series, np.ndarray]:
    """Turn texts into values of the column's kind, and say which can't be read.

    Plain texts are parsed all at once, the others one by one by `read_cell`, which
    gives the same values. A text that can't be read is missing in the result.
    """
    if column.kind == "category" and not column.categories:
        return clean_column(raw.astype("str"), column), np.full(len(raw), False)

    # Each distinct text is read once: most columns have few.
    codes, texts = pd.factorize(raw, use_na_sentinel=False)
    text = clean_column(pd.Series(texts, dtype="str"), column)
    values = _parse_plain(text, column)

    read: dict = {}
    unreadable: list = []
    for position, cell in text[values.isna()].dropna().items():
        try:
            read[position] = read_cell(cell, column)
        except ValueError:
            unreadable.append(position)

    values[list(read)] = pd.Series(read, dtype=values.dtype)
    values = values.astype(pandas_dtype(DTYPES[column.kind]))

    return values.take(codes).set_axis(raw.index), np.isin(codes, unreadable)


def clean_column(text: pd.Series, column: Column) -> pd.Series:
    """Do for a whole column what `read_cell` does first, and mark missing values.

    Texts are stripped and replaced as schema.yaml says; a spelling of a missing value
    becomes missing.
    """
    text = text.str.strip()
    if column.replace or not text.dropna().str.isascii().all():
        text = text.str.normalize("NFC").replace(dict(column.replace))
        folded = text.str.casefold()
    else:
        folded = text.str.lower()  # the same for ASCII

    missing = cleaned(column.spelling.missing)
    if any(" " in spelling for spelling in missing):
        folded = folded.str.replace(r"\s+", " ", regex=True)

    return text.mask(folded.isin(missing))


def _parse_plain(text: pd.Series, column: Column) -> pd.Series:
    """Parse texts that need no closer look; the others are missing in the result."""
    if column.kind == "date":
        iso = text.where(text.str.fullmatch(_ISO_DATE))
        return pd.to_datetime(iso, format="ISO8601", errors="coerce").dt.as_unit("us")

    if column.kind not in ("number", "integer"):
        return pd.Series(None, index=text.index, dtype=object)

    if column.spelling.decimal == ",":
        text = text.mask(text.str.contains(".", regex=False, na=False))

    numbers = pd.to_numeric(text, errors="coerce").astype(float)
    is_plain = numbers.abs() <= LARGEST_EXACT_INTEGER
    if column.kind == "integer":
        is_plain &= numbers % 1 == 0

    return numbers.where(is_plain)
