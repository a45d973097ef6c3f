"""Clean the raw table: text in, typed rows out, and a reason for every rejected row.

`transform` does it all. It parses each column, checks the schema's limits, and drops
rows whose key came before; the functions below it each do one of these steps.

Rules about single rows belong here. A statistic, such as a median to fill gaps with,
belongs in the model's pipeline (`model_training.py`): the table is cleaned in batches.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pandas.api.types import pandas_dtype

from .cells import LARGEST_EXACT_INTEGER, clean_cell, cleaned, read_cell
from .schema import DTYPES, Column, Table
from .utils import UserError

MISSING = "is missing"
UNREADABLE = "can't be read"
EMPTIED = "; set to missing"
OUT_OF_SCOPE = "out of scope"  # stands for a column where a row is set aside
_ISO_DATE = r"\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)?"


class Transformed(NamedTuple):
    """The outcome of `transform`. Each raw row is in exactly one of the first three.

    `problems` has a row for each cell at fault: its row (the label in the raw table),
    column, problem, and the failed check, which is the problem without the value. Cells
    that were set to missing, as schema.yaml says by `out_of_range: missing`, are there
    too; they reject no row.
    """

    kept: pd.DataFrame
    rejected: pd.Series  # the reasons, by the row's label
    duplicates: pd.Index  # the labels of rows whose key another row has
    problems: pd.DataFrame


def transform(raw: pd.DataFrame, table: Table) -> Transformed:
    """Turn text into typed columns, reject what the schema forbids, drop duplicates.

    `raw` holds text in every column of the table, and each row has its own label. Of
    good rows with the same key the last one is kept, or the first. A row that is out of
    scope need not be within the limits, but its cells must be readable.
    """
    parsed, unreadable = parse_table(raw, table.columns)
    out_of_scope = list_out_of_scope(parsed, unreadable["row"], table.filter)
    in_scope = parsed[~parsed.index.isin(out_of_scope["row"])]
    checked, failures = check_limits(in_scope, table.columns)
    # An unreadable cell is missing too: the first problem of each cell is enough.
    problems = pd.concat([unreadable, out_of_scope, failures], ignore_index=True)
    problems = problems.drop_duplicates(["row", "column"])
    is_emptied = problems["check"].str.endswith(EMPTIED)
    rejected = join_reasons(problems[~is_emptied])

    good = checked[~checked.index.isin(rejected.index)]
    is_duplicate = pd.Series(False, index=good.index)
    if table.key:
        is_duplicate = good.duplicated(list(table.key), keep=table.keep)
    duplicates = good.index[is_duplicate]
    return Transformed(good[~is_duplicate], rejected, duplicates, problems)


def parse_table(
    raw: pd.DataFrame, columns: Iterable[Column]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Parse every column. Returns the typed table, and the cells that can't be read."""
    parsed, problems = {}, [list_problems()]
    for column in columns:
        cells = raw[column.name]
        parsed[column.name], is_unreadable = parse_column(cells, column)
        described = [f"{text[:50]!r} {UNREADABLE}" for text in cells[is_unreadable]]
        rows = raw.index[is_unreadable]
        problems.append(list_problems(rows, column.name, described, UNREADABLE))
    return pd.DataFrame(parsed, index=raw.index), pd.concat(problems)


def parse_column(raw: pd.Series, column: Column) -> tuple[pd.Series, np.ndarray]:
    """Turn texts into values of the column's kind, and say which can't be read.

    Plain texts are parsed all at once, the others one by one by `read_cell`, which
    gives the same values. A text that can't be read is missing in the result.
    """
    # Each distinct text is read once: most columns have few.
    codes, texts = pd.factorize(raw, use_na_sentinel=False)
    text = clean_column(pd.Series(texts, dtype="str"), column)
    values = _parse_plain(text, column)
    is_unreadable = np.zeros(len(text), dtype=bool)
    for position in np.flatnonzero(values.isna() & text.notna()).tolist():
        try:
            values.iat[position] = read_cell(str(text.iat[position]), column)
        except ValueError:
            is_unreadable[position] = True
    values = values.astype(pandas_dtype(DTYPES[column.kind]))
    return values.take(codes).set_axis(raw.index), is_unreadable[codes]


def clean_column(text: pd.Series, column: Column) -> pd.Series:
    """Do for a whole column what `read_cell` does first, and mark missing values."""
    text = text.str.strip()
    if not text.dropna().str.isascii().all():
        text = text.map(clean_cell, na_action="ignore").astype("str")
    if column.replace:
        text = text.replace(dict(column.replace))
    return text.mask(text.str.casefold().isin(cleaned(column.spelling.missing)))


def _parse_plain(text: pd.Series, column: Column) -> pd.Series:
    """Parse texts that need no closer look; the others are missing in the result."""
    if column.kind in ("number", "integer"):
        return _parse_plain_numbers(text, column)
    if column.kind == "date":
        iso = text.where(text.str.fullmatch(_ISO_DATE))
        dates = pd.to_datetime(iso, format="ISO8601", errors="coerce")
        return dates.dt.as_unit("us")
    if column.kind == "category" and not column.categories:
        return text.astype(object)
    return pd.Series(None, index=text.index, dtype=object)


def _parse_plain_numbers(text: pd.Series, column: Column) -> pd.Series:
    """Parse numbers of plain digits; the others are missing in the result."""
    if column.spelling.decimal == ",":
        text = text.mask(text.str.contains(".", regex=False, na=False))
    numbers = pd.to_numeric(text, errors="coerce").astype(float)
    is_plain = np.isfinite(numbers)
    if column.kind == "integer":
        is_plain &= (numbers % 1 == 0) & (numbers.abs() <= LARGEST_EXACT_INTEGER)
    return numbers.where(is_plain)


def check_limits(
    parsed: pd.DataFrame, columns: Iterable[Column]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Find the cells that the schema does not allow.

    Returns the table, in which those of a column with `out_of_range: missing` are
    missing, and the cells as `list_problems` does.
    """
    checked, problems = {}, [list_problems()]
    for column in columns:
        values = checked[column.name] = parsed[column.name]
        for check, is_wrong in _failed_checks(values, column):
            wrong = values[is_wrong]
            described: Any = [f"{str(value)[:50]} {check}" for value in wrong]
            if check == MISSING:
                described = check
            if column.nullable and column.out_of_range == "missing":
                checked[column.name] = checked[column.name].mask(is_wrong)
                check += EMPTIED
            problems.append(list_problems(wrong.index, column.name, described, check))
    return pd.DataFrame(checked, index=parsed.index), pd.concat(problems)


def _failed_checks(
    values: pd.Series, column: Column
) -> Iterator[tuple[str, pd.Series]]:
    """Give each check of a column, and which values fail it."""
    if not column.nullable:
        yield MISSING, values.isna()
    if column.minimum is not None:
        yield f"is below {column.minimum}", (values < column.minimum).fillna(False)
    if column.maximum is not None:
        yield f"is above {column.maximum}", (values > column.maximum).fillna(False)
    if column.categories and column.is_closed:
        listed = ", ".join(map(str, column.categories[:6]))
        is_unknown = values.notna() & ~values.isin(column.categories)
        yield f"is not one of {listed}", is_unknown


def list_out_of_scope(
    parsed: pd.DataFrame, unreadable: pd.Series, query: str | None
) -> pd.DataFrame:
    """Return the readable rows for which the filter is not true, as problems."""
    if query is None:
        return list_problems()
    readable = parsed[~parsed.index.isin(unreadable)]
    try:
        is_true: Any = readable.eval(query, engine="python")
        is_in_scope = is_true.fillna(False).astype(bool).to_numpy()
        rows = readable.index[~is_in_scope]
    except Exception as error:  # pandas raises errors of many kinds
        reason = " ".join(str(error).split())
        raise UserError(f"config.yaml: filter: {query}: {reason}") from error
    problem = f"{query} is not true"
    return list_problems(rows, OUT_OF_SCOPE, problem, problem)


def list_problems(
    rows: Any = (), column: str = "", problems: Any = "", check: str = ""
) -> pd.DataFrame:
    """Return a table with a row for each cell at fault."""
    content = {"row": rows, "column": column, "problem": problems, "check": check}
    return pd.DataFrame(content, dtype="object")


def join_reasons(problems: pd.DataFrame) -> pd.Series:
    """Join all problems of a row into one line, by the row's label."""
    described = problems["column"] + ": " + problems["problem"]
    return described.groupby(problems["row"]).agg("; ".join).astype("str")
