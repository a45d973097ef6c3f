"""Make any table this project's own: write schema.yaml and its part of config.yaml.

Each column is decided on by what all rows have in it. The files that are replaced are
kept beside the new ones.

Examples:
    uv run infer-schema data/raw/orders.csv --target returned
    uv run infer-schema "data/raw/*.csv" --target price --key order_id --exclude remarks
    uv run infer-schema data/raw/ratings.csv --target rating --task regression
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..config import FILE_NAME, Config, TableConfig, read_config
from ..data_preprocessing import parse_column
from ..etl.raw_data import find_files, open_file, read_batches
from ..schema import Table, describe_table, read_columns
from ..training.leaks import find_leak
from ..utils import UserError, command, command_line, nearest, write_atomically
from . import column_rules as rules
from . import table_files
from .column_decisions import Decision, Evidence, decide, gather
from .sample_cells import leave_sample

SAMPLE_ROWS = 10_000  # the first ones; their order matters
MOST_COUNTED = 100_000  # distinct texts of a column
MOST_REJECTED = 0.05  # of the rows, by a new schema
MOST_REJECTED_AT_NIGHT = 0.1  # and later, for config.yaml


def run(options: argparse.Namespace, config: Config) -> None:
    """Infer the schema of some files, and write it with the table's settings."""
    files = find_files(options.file)
    table = describe_files(files[0], options, config.table)
    check_names(files[0], open_file(files[0], table)[0], table)
    sample, counts, notes = read_evidence(files, table)
    decimal = table_files.find_decimal(counts.values(), table.separator)
    table = table.model_copy(update={"decimal": decimal})

    gathered = [gather(name, counts[name], sample[name], table) for name in counts]
    decisions = [decide(evidence, table) for evidence in gathered]
    if not options.missing:
        decisions = check_words(decisions, gathered, table)
    table = complete(table, decisions, gathered)

    schema, settings = config.schema_file, config.root / FILE_NAME
    is_new_table = table_files.has_other_columns(schema, counts)
    raw = Path(os.path.relpath(options.file, config.root)).as_posix()
    text = table_files.change_config(settings.read_text(encoding="utf-8"), raw, table)
    with write_atomically(schema) as new, write_atomically(settings) as changed:
        columns = [each.column for each in decisions]
        new.write_text(table_files.write_schema(columns), encoding="utf-8")
        changed.write_text(text, encoding="utf-8")
        typed = describe_table(read_columns(new, table), table)
        decisions = check_leaks(decisions, sample, typed)
        if not options.force:
            notes += map(table_files.keep_old, [schema, settings])
    if is_new_table:
        notes += leave_sample(config.root, typed.features)
    if table.encoding == "cp1252" and not options.encoding:
        notes.append("The encoding cp1252 is a guess; others: --encoding cp1250, cp932")
    show_decisions(decisions, notes)


def describe_files(
    file: Path, options: argparse.Namespace, table: TableConfig
) -> TableConfig:
    """Return how the files are written, and what is wanted.

    Options come first, then what config.yaml says about the same target.
    """
    is_same = options.target == table.target
    changes = {
        "target": options.target,
        "key": options.key,
        "exclude": options.exclude,
        "task": options.task or (table.task if is_same else None),
        "filter": table.filter if is_same else None,
        "decimal": ".",
        "date_formats": [],
    }
    if options.missing:
        changes["missing_values"] = ["", *options.missing]
    if table_files.is_text(file):
        encoding = options.encoding or table_files.find_encoding(file, table.encoding)
        text = table_files.read_beginning(file).decode(encoding, "replace")
        separator = table_files.find_separator(text, table.separator)
        changes["encoding"] = encoding
        changes["separator"] = options.separator or separator
    return table.model_copy(update=changes)


def check_names(file: Path, header: Sequence[str], table: TableConfig) -> None:
    """Refuse a file without column names, and names that it does not have."""
    shown = ", ".join(map(repr, header[:12]))
    if rules.looks_like_row(header):
        raise UserError(
            f"{file}: the first line looks like a row, not like the names of columns: "
            f"{shown}; add a line of names above it"
        )
    for name in (table.target, *table.key, *table.exclude):
        if name not in header:
            raise UserError(
                f"{file} has no column {name!r}{nearest(name, header)}; its "
                f"first line, where the names must be, has {shown}"
            )
    if table.target in (*table.key, *table.exclude):
        raise UserError(f"the target {table.target!r} can't be a key, or excluded")


def read_evidence(
    files: Sequence[Path], table: TableConfig
) -> tuple[pd.DataFrame, dict[str, pd.Series], list[str]]:
    """Return the first rows, how many rows of each column have each text, and notes."""
    sample, malformed, rows = pd.DataFrame(), pd.DataFrame(), 0
    counts: dict[str, pd.Series] = {}
    for batch in read_batches(files, [], table):
        rows += len(batch.rows)
        malformed = pd.concat([malformed, batch.broken])
        if sample.empty:
            sample = batch.rows.head(SAMPLE_ROWS)
        for name, texts in batch.rows.items():
            found = counts.get(str(name))
            counts[str(name)] = add_counts(found, texts.fillna(""))
    check_lines(malformed, rows)
    note = f"{rows:,} rows were read, and {len(malformed):,} lines are malformed."
    return sample, counts, [note]


def add_counts(counts: pd.Series | None, texts: pd.Series) -> pd.Series:
    """Count texts. Of too many, keep the most frequent, the first and the last."""
    found = texts.value_counts()
    if counts is not None:
        found = found.add(counts, fill_value=0).astype(int)
    if len(found) <= MOST_COUNTED:
        return found
    numbers = pd.to_numeric(found.index.to_series(), errors="coerce")
    ends = [found.index.min(), found.index.max()]
    ends += [*numbers.nsmallest(1).index, *numbers.nlargest(1).index]
    return found[found.index.isin([*found.nlargest(MOST_COUNTED).index, *ends])]


def check_lines(malformed: pd.DataFrame, rows: int) -> None:
    """Refuse files without rows, or with many malformed lines."""
    total = rows + len(malformed)
    if not total:
        raise UserError("the files have a header but no rows")
    if len(malformed) > MOST_REJECTED * total:
        reason = malformed["reason"].mode()[0]
        first = malformed[malformed["reason"] == reason].iloc[0]
        raise UserError(
            f"{len(malformed):,} of {total:,} lines are malformed, most often as in "
            f"{first['source']}, line {first['line']}: {reason}; check the quotes and "
            "the number of names in the first line, or set --separator"
        )


def check_words(
    decisions: list[Decision], gathered: list[Evidence], table: TableConfig
) -> list[Decision]:
    """Point out frequent words that are read as missing, but may be categories.

    A word that numbers are missing by, too, is none. For the target, ask.
    """
    both = list(zip(decisions, gathered, strict=True))
    known = {
        word
        for decision, evidence in both
        if decision.column.kind in rules.ORDERED
        for word in evidence.missing.index
    }
    checked = []
    for decision, evidence in both:
        shares = evidence.missing / (evidence.missing.sum() + evidence.counts.sum())
        for word, share in zip(shares.index.map(str), shares, strict=True):
            if share < rules.FREQUENT or not word.isalpha() or word in known:
                continue
            text = (
                f"{word!r} is read as missing in {share:.0%} of the rows; if it is a "
                "category, remove it from missing_values in config.yaml"
            )
            if decision.column.name == table.target:
                raise UserError(f"{table.target!r}: {text}, else add --missing {word}")
            decision = decision.check(text)
        checked.append(decision)
    return checked


def check_leaks(
    decisions: list[Decision], sample: pd.DataFrame, table: Table
) -> list[Decision]:
    """Point out features that `train` refuses, as they give the target away."""
    target = parse_column(sample[table.target.name], table.target)[0]
    known = target[target.notna()]
    y = (
        known.astype(float).to_numpy()
        if table.task == "regression"
        else known.factorize()[0]
    )
    features = {column.name: column for column in table.features}
    checked = []
    for decision in decisions:
        column = features.get(decision.column.name)
        if column:
            values = parse_column(sample.loc[known.index, column.name], column)[0]
            if leak := find_leak(values, y, column, table):
                decision = decision.check(f"{leak}; --exclude {column.name!r}")
        checked.append(decision)
    return checked


def complete(
    table: TableConfig, decisions: list[Decision], gathered: list[Evidence]
) -> TableConfig:
    """Return the table's part of config.yaml with what was found."""
    columns = [each.column for each in decisions]
    names = [column.name for column in columns]
    excluded = [each.column.name for each in decisions if each.is_excluded]
    target = names.index(table.target)
    missing, known = (
        each.sum() for each in (gathered[target].missing, gathered[target].counts)
    )
    share = round(MOST_REJECTED_AT_NIGHT + missing / (missing + known), 2)
    is_number = columns[target].kind == "number"
    return table.model_copy(
        update={
            "task": "regression" if is_number else "classification",
            "date_formats": merge_formats(
                {c.name: list(c.spelling.date_formats) for c in columns}
            ),
            "exclude": list(dict.fromkeys([*table.exclude, *excluded])),
            "max_rejected_share": min(1.0, share),
        }
    )


def merge_formats(formats: dict[str, list[str]]) -> list[str] | dict[str, list[str]]:
    """Return one list for all columns or, if some contradict others, one for each."""
    formats = {name: each for name, each in formats.items() if each}
    merged = list(dict.fromkeys(form for each in formats.values() for form in each))
    swapped = {rules.swap(form) for form in merged if "%d" in form}
    return merged if swapped.isdisjoint(merged) else formats


def show_decisions(decisions: list[Decision], notes: list[str]) -> None:
    """Print what was decided and why, and what to check."""
    checks = []
    for each in decisions:
        name = each.column.name
        name = name if name.isprintable() else repr(name)
        kind = "excluded" if each.is_excluded else each.column.kind
        print(f"{name:30}  {kind:8}  {each.why}")
        checks += [f"  {name}: {text}" for text in each.checks]
    if checks:
        print("\nCheck manually:", *checks, sep="\n")
    print("", *notes, sep="\n")
    print("\nNext: uv run pipeline.py && uv run train && uv run app.py")


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = command_line(__doc__)
    add = parser.add_argument
    add("file", metavar="FILE", help="CSV, Parquet or Excel, or a glob of them")
    add("--target", metavar="COLUMN", required=True, help="the column to predict")
    for option, value, about in (
        ("--key", "COLUMN", "identifies a row, alone or with others"),
        ("--exclude", "COLUMN", "not used as a feature"),
        ("--missing", "TEXT", "means a missing value; replaces missing_values"),
    ):
        about += "; can be repeated"
        add(option, metavar=value, action="append", default=[], help=about)
    add("--task", choices=["classification", "regression"])
    add("--encoding", metavar="NAME", help="of the files, such as cp1250")
    add("--separator", metavar="CHARACTER", help="between columns")
    add("--force", action="store_true", help="overwrite files without keeping copies")
    return parser.parse_args()


@command
def main() -> None:
    """Infer a schema from the command line."""
    run(read_options(), read_config())
