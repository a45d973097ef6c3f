"""Make any table this project's own: write schema.yaml and its part of config.yaml.

Each column is decided on by what all rows have in it. The files that are replaced are
kept beside the new ones.

Examples:
    uv run infer-schema data/raw/orders.csv --target returned
    uv run infer-schema "data/raw/*.csv" --target price --key order_id --exclude remarks
    uv run infer-schema data/raw/ratings.csv --target rating --task regression
    uv run infer-schema --source --target churned
"""

import os
import re
import sys
from argparse import Namespace
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pandas import DataFrame, Series, concat, to_numeric

from ..config import FILE_NAME, Config, TableConfig, read_config
from ..data_preprocessing import transform
from ..etl.raw_data import find_files, open_file
from ..etl.sources import name_source, read_source
from ..schema import Table, describe_table, read_columns
from ..training.leaks import find_leak
from ..utils import UserError, command, command_line, nearest, write_atomically
from . import table_files
from .column_decisions import Evidence, decide
from .column_rules import FREQUENT, looks_like_row
from .sample_cells import leave_sample

SAMPLE_ROWS = 10_000  # the first ones; their order matters
MOST_COUNTED = 100_000  # distinct texts of a column
MOST_MALFORMED = 0.05  # of the lines
MOST_REJECTED_AT_NIGHT = 0.1  # of the rows, for config.yaml


def run(options: Namespace, config: Config) -> list[str]:
    """Infer the schema of a table, write it with its settings; say what was done."""
    table = describe_files(options, config.table)
    source = config.model_copy(update={"table": table})
    sample, counts, notes = read_evidence(read_source(source, pattern=options.file))
    if table_files.is_another_table(config, options.target, counts):
        table = table.model_copy(update={"task": options.task, "filter": None})
    check_names(name_source(config, options.file), list(counts), table)
    decimal = table_files.find_decimal(counts.values(), table.separator)
    table = table.model_copy(update={"decimal": decimal})

    found = {name: decide(name, counts[name], sample[name], table) for name in counts}
    if not options.missing:
        check_words(found, table.target)
    table = complete(table, found)
    columns = [evidence.column for evidence in found.values()]
    rows, typed = read_sample(sample, describe_table(columns, table))
    check_leaks(found, rows, typed)
    table = table.model_copy(update={"filter": typed.filter})
    changes = find_changes(options, config, table, counts)
    notes += write_files(options, config, typed, changes)
    return [*describe(found), *notes]


def describe_files(options: Namespace, table: TableConfig) -> TableConfig:
    """Return how the files are written, and what is wanted.

    Options come first, then what config.yaml says.
    """
    changes = {
        "target": options.target,
        "key": options.key,
        "exclude": options.exclude,
        "task": options.task or table.task,
        "decimal": ".",
        "date_formats": [],
    }
    if options.missing:
        changes["missing_values"] = ["", *options.missing]
    table = table.model_copy(update=changes)
    if options.file:
        file = find_files(options.file)[0]
        dialect = table_files.find_dialect(file, options, table)
        table = table.model_copy(update=dialect)
        check_names(options.file, open_file(file, table)[0], table)
    return table


def check_names(origin: str, names: list[str], table: TableConfig) -> None:
    """Refuse a file without column names, and names that it does not have."""
    shown = ", ".join(map(repr, names[:12]))
    if looks_like_row(names):
        raise UserError(
            f"{origin}: the first line looks like a row, not like the names of "
            f"columns: {shown}; add a line of names above it"
        )
    for name in (table.target, *table.key, *table.exclude):
        if name not in names:
            raise UserError(
                f"{origin} has no column {name!r}{nearest(name, names)}; its first "
                f"line, where the names must be, has {shown}"
            )
    if table.target in (*table.key, *table.exclude):
        raise UserError(f"the target {table.target!r} can't be a key, or excluded")


def read_evidence(batches: Iterable) -> tuple[DataFrame, dict, list[str]]:
    """Return the first rows, how many rows of each column have each text, and notes."""
    sample, malformed, rows = DataFrame(), DataFrame(), 0
    counts: dict = {}
    for batch in batches:
        rows += len(batch.rows)
        malformed = concat([malformed, batch.broken])
        sample = batch.rows.head(SAMPLE_ROWS) if sample.empty else sample
        for name, texts in batch.rows.items():
            found = texts.fillna("").value_counts()
            counts[name] = add_counts(found, counts.get(name, found[:0]))
    check_lines(malformed, rows)
    note = f"{rows:,} rows were read, and {len(malformed):,} lines are malformed."
    return sample, counts, [note]


def add_counts(found: Series, known: Series) -> Series:
    """Add counts of texts; of too many, keep the most frequent and both ends."""
    counts = found.add(known, fill_value=0).astype(int)
    if len(counts) <= MOST_COUNTED:
        return counts
    numbers = to_numeric(counts.index.to_series(), errors="coerce").sort_values()
    kept = {
        *counts.nlargest(MOST_COUNTED).index,
        *numbers.index[[0, numbers.count() - 1]],
        *counts.index.sort_values()[[0, -1]],
    }
    return counts[counts.index.isin(kept)]


def check_lines(malformed: DataFrame, rows: int) -> None:
    """Refuse files without rows, or with many malformed lines."""
    total = rows + len(malformed)
    if not total:
        raise UserError("the files have a header but no rows")
    if len(malformed) > MOST_MALFORMED * total:
        reason = malformed["reason"].mode()[0]
        first = malformed[malformed["reason"] == reason].iloc[0]
        raise UserError(
            f"{len(malformed):,} of {total:,} lines are malformed, most often as in "
            f"{first['source']}, line {first['line']}: {reason}; check the quotes and "
            "the number of names in the first line, or set --separator"
        )


def check_words(found: dict[str, Evidence], target: str) -> None:
    """Point out frequent words that are read as missing, but may be categories.

    A word that numbers are missing by, too, is none. For the target, ask.
    """
    known: set = set()
    for evidence in found.values():
        if evidence.column.kind in ("number", "integer", "date"):
            known.update(evidence.missing.index)
    for name, evidence in found.items():
        shares = evidence.missing / (evidence.missing.sum() + evidence.counts.sum())
        for word in shares.index[shares >= FREQUENT]:
            text = (
                f"{word!r} is read as missing in {shares[word]:.0%} of the rows; if it "
                "is a category, remove it from missing_values in config.yaml"
            )
            if word in known or not word.isalpha():
                continue
            if name == target:
                raise UserError(f"{target!r}: {text}, else add --missing {word}")
            evidence.checks.append(text)


def complete(table: TableConfig, found: dict[str, Evidence]) -> TableConfig:
    """Return the table's part of config.yaml with what was found."""
    excluded = [name for name, each in found.items() if each.is_excluded]
    formats = {name: each.column.spelling.date_formats for name, each in found.items()}
    target = found[table.target]
    missing = target.missing.sum()
    share = MOST_REJECTED_AT_NIGHT + missing / (missing + target.counts.sum())
    is_number = target.column.kind == "number"
    changes = {
        "task": "regression" if is_number else "classification",
        "date_formats": {name: list(each) for name, each in formats.items() if each}
        or [],
        "exclude": list(dict.fromkeys([*table.exclude, *excluded])),
        "max_rejected_share": round(min(1.0, share), 2),
    }
    return table.model_copy(update=changes)


def read_sample(sample: DataFrame, table: Table) -> tuple[DataFrame, Table]:
    """Clean the first rows; drop a filter that names columns which the table lacks."""
    try:
        return transform(sample, table).kept, table
    except UserError:
        return read_sample(sample, replace(table, filter=None))


def check_leaks(found: dict[str, Evidence], rows: DataFrame, table: Table) -> None:
    """Point out features that `train` refuses, as they give the target away."""
    target = rows[table.target.name]
    is_number = table.task == "regression"
    y = target.to_numpy(float) if is_number else target.factorize()[0]
    for column in table.features:
        if leak := find_leak(rows[column.name], y, column, table):
            found[column.name].checks.append(f"{leak}; --exclude {column.name!r}")


def find_changes(
    options: Namespace, config: Config, table: TableConfig, names: Iterable[str]
) -> dict[str, dict]:
    """Return the settings of config.yaml by section.

    Those that name columns which the table lacks are reset.
    """
    training = config.training
    used: dict = {"date": [training.date], "group": [training.group]}
    used["slices"] = training.slices or []
    lost = [option for option in used if not {None, *names}.issuperset(used[option])]
    changes = {"table": table.model_dump(), "training": dict.fromkeys(lost)}
    if options.file:
        raw = Path(os.path.relpath(options.file, config.root)).as_posix()
        name = re.sub(r"\W+", "_", Path(raw).stem).strip("_") or "table"
        changes["paths"] = {
            "raw": raw,
            "processed": f"data/processed/{name}.parquet",
            "rejected": f"data/rejected/{name}.csv",
        }
    if options.file and config.source.query:
        changes["source"] = {"query": None}
    return changes


def write_files(
    options: Namespace, config: Config, table: Table, changes: dict[str, dict]
) -> list[str]:
    """Write schema.yaml and config.yaml, both or neither; say what else was done."""
    schema, settings = config.schema_file, config.root / FILE_NAME
    old, names = [], [column.name for column in table.columns]
    with suppress(UserError):  # there is none
        old = [column.name for column in read_columns(schema, config.table)]
    text = table_files.change_config(settings.read_text(encoding="utf-8"), changes)
    notes = [f"config.yaml: training.{name} is reset" for name in changes["training"]]
    with write_atomically(schema) as new, write_atomically(settings) as changed:
        new.write_text(table_files.write_schema(table.columns), encoding="utf-8")
        changed.write_text(text, encoding="utf-8")
        if not options.force:
            notes += [table_files.keep_old(path) for path in (schema, settings)]
    if old != names:
        notes += leave_sample(config.root, table.features)
    if changes["table"]["encoding"] == "cp1252" and not options.encoding:
        notes.append("The encoding cp1252 is a guess; others: --encoding cp1250, cp932")
    return notes


def describe(found: dict[str, Evidence]) -> list[str]:
    """Say what was decided and why, and what to check."""
    lines, checks = [], []
    for name, each in found.items():
        kind = "excluded" if each.is_excluded else each.column.kind
        lines.append(f"{name:30}  {kind:8}  {each.why}")
        checks += [f"  {name}: {text}" for text in each.checks]
    if checks:
        lines += ["", "Check manually:", *checks]
    return [line if line.isprintable() else repr(line)[1:-1] for line in [*lines, ""]]


def read_options() -> Namespace:
    """Read the command line."""
    parser = command_line(__doc__)
    add = parser.add_argument
    again: dict = {"action": "append", "default": []}
    add("file", nargs="?", metavar="FILE", help="CSV, Parquet or Excel, or a glob")
    add("--source", action="store_true", help="the rows of `source` in config.yaml")
    add("--target", required=True, help="the column to predict")
    add("--key", **again, help="a column that identifies a row, alone or with others")
    add("--exclude", **again, help="a column that is not used as a feature")
    add("--missing", **again, help="means a missing value; replaces missing_values")
    add("--task", choices=["classification", "regression"])
    add("--encoding", help="of the files, such as cp1250")
    add("--separator", help="the character between columns")
    add("--force", action="store_true", help="overwrite files without keeping copies")
    options = parser.parse_args()
    if bool(options.file) == options.source:
        parser.error("name a FILE, or --source")
    return options


@command
def main() -> None:
    """Infer a schema from the command line."""
    lines = run(read_options(), read_config())
    lines += ["", "Next: uv run pipeline.py && uv run train && uv run app.py"]
    try:
        print(*lines, sep="\n", flush=True)
    except OSError:  # closed, as by `| head`; Python would complain again at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
