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
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path

from pandas import DataFrame, Series, concat, to_numeric

from ..config import FILE_NAME, Config, TableConfig, read_config
from ..data_preprocessing import transform
from ..etl.raw_data import find_files, name_source, read_source
from ..schema import Column, Table, describe_table
from ..training.leaks import find_leak, find_separators
from ..utils import UserError, command, command_line, write_atomically
from . import table_files
from .column_decisions import decide
from .column_rules import FREQUENT, find_decimal

SAMPLE_ROWS = 10_000  # from the beginning, because their order matters
MOST_COUNTED = 100_000  # distinct texts counted for a column
MOST_MALFORMED = 0.05  # share of the lines
MOST_REJECTED_AT_NIGHT = 0.1  # share of the rows, for config.yaml


def run(options: Namespace, config: Config) -> list:
    """Infer the schema of a table, write it with its settings; say what was done."""
    table = describe_files(options, config.table)
    source = config.model_copy(update={"table": table})
    sample, counts, note = read_evidence(source, options.file)
    is_same = table_files.is_same_table(config, options.target, counts)

    decimal = options.decimal or find_decimal(counts.values(), source.table.separator)
    changes: dict = {"decimal": decimal}
    if not is_same:
        changes |= {"task": options.task, "filter": None, "max_rejected_share": 0}

    table = table.model_copy(update=changes)
    found = {name: decide(name, counts[name], sample[name], table) for name in counts}
    if not options.missing:
        check_words(found, table.target)

    table = complete(table, found)
    typed = describe_table([each.column for each in found.values()], table)
    check_leaks(found, sample, typed)
    changes = find_changes(options.file, config, table, found)
    notes = write_files(options, config, changes, typed.columns)
    if not is_same:
        notes += table_files.leave_sample(config.root, typed.features)

    return [*describe(found), note, *notes]


def describe_files(options: Namespace, table: TableConfig) -> TableConfig:
    """Return the table's settings: options override config.yaml."""
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
    if options.file:
        file = find_files(options.file)[0]
        changes |= table_files.find_dialect(file, options, table)

    return table.model_copy(update=changes)


def read_evidence(config: Config, pattern: str | None) -> tuple:
    """Return the first rows, how many rows have each text by column, and a note."""
    sample, malformed, rows = DataFrame(), DataFrame(), 0
    counts: dict = {}
    for batch in read_source(config, pattern=pattern):
        if not counts and len(batch.rows.columns):  # none in the files of a query
            origin = name_source(config, pattern)
            table_files.check_names(origin, batch.rows, config.table)

        rows += len(batch.rows)
        malformed = concat([malformed, batch.broken])
        sample = batch.rows.head(SAMPLE_ROWS) if sample.empty else sample

        for name, texts in batch.rows.items():
            found = texts.fillna("").value_counts()
            total = found.add(counts.get(name, 0), fill_value=0).astype(int)
            counts[name] = limit_counts(total)

    check_lines(malformed, rows)
    note = f"{rows:,} rows were read, and {len(malformed):,} lines are malformed."

    return sample, counts, note


def limit_counts(counts: Series) -> Series:
    """Keep the most frequent of too many texts, and the first and the last."""
    if len(counts) <= MOST_COUNTED:
        return counts

    texts = counts.index.to_series()
    numbers = to_numeric(texts, errors="coerce")
    least, most = numbers.nsmallest(1).index, numbers.nlargest(1).index
    ends = [texts.min(), texts.max(), *least, *most]

    return counts[counts.nlargest(MOST_COUNTED).index.union(ends)]


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


def check_words(found: dict, target: str) -> None:
    """Point out frequent words that are read as missing, but may be categories.

    A word by which numeric columns mark missing values is not a category. Raises
    UserError if the target has such a word, because the user must decide.
    """
    known = {
        word
        for evidence in found.values()
        if evidence.column.maximum is not None
        for word in evidence.missing.index
    }
    for name, evidence in found.items():
        for word, count in evidence.missing.items():
            share = count / evidence.rows
            is_word = word.isalpha() or (name == target and word.strip())
            if share < FREQUENT or word in known or not is_word:
                continue

            text = (
                f"{word!r} is read as missing in {share:.0%} of the rows; if it is a "
                "category, remove it from missing_values in config.yaml"
            )
            if name == target:
                raise UserError(f"{target!r}: {text}, else add --missing {word}")
            evidence.checks.append(text)


def complete(table: TableConfig, found: dict) -> TableConfig:
    """Return the table's part of config.yaml with what was found."""
    target = found[table.target]
    share = MOST_REJECTED_AT_NIGHT + target.missing.sum() / target.rows
    share = max(share, table.max_rejected_share)
    formats = {
        name: list(each.column.spelling.date_formats)
        for name, each in found.items()
        if each.column.spelling.date_formats
    }
    changes = {
        "task": "regression" if target.column.kind == "number" else "classification",
        "date_formats": formats,
        "exclude": [name for name, each in found.items() if each.is_excluded],
        "max_rejected_share": round(float(min(1, share)), 2),
    }
    return table.model_copy(update=changes)


def check_leaks(found: dict, sample: DataFrame, table: Table) -> None:
    """Point out features that `train` refuses, or that may give the target away."""
    rows = transform(sample, table).kept
    y = rows[table.target.name].to_numpy()
    separators = find_separators(rows, y, table)
    for column in table.features:
        leak = find_leak(rows[column.name], y, column, table)
        if not leak and column.name in separators:
            leak = "tells the classes apart by itself: known only together with them?"
        if leak:
            found[column.name].checks.append(f"{leak}; --exclude {column.name!r}")


def find_changes(
    file: str | None, config: Config, table: TableConfig, names: Iterable
) -> dict:
    """Return the settings to change, by section of config.yaml.

    Those that name columns which the table lacks are reset.
    """
    training = config.training
    used: dict = {
        "date": {training.date},
        "group": {training.group},
        "slices": set(training.slices or []),
    }
    lost = [option for option in used if used[option] - {None, *names}]
    changes = {"table": table.model_dump(), "training": dict.fromkeys(lost)}
    if file:
        name = find_files(file)[0].name.partition(".")[0]
        changes["source"] = {"query": None}
        changes["paths"] = {
            "raw": Path(os.path.relpath(file, config.root)).as_posix(),
            "processed": f"data/processed/{name}.parquet",
            "rejected": f"data/rejected/{name}.csv",
        }

    return changes


def write_files(
    options: Namespace, config: Config, changes: dict, columns: Iterable[Column]
) -> list:
    """Write schema.yaml and config.yaml, both or neither; say what else was done."""
    schema, settings = config.schema_file, config.root / FILE_NAME
    with write_atomically(schema) as new, write_atomically(settings) as changed:
        new.write_text(table_files.write_schema(columns), encoding="utf-8")
        notes = table_files.change_config(settings, changed, changes)
        if not options.force:
            existing = filter(Path.exists, (schema, settings))
            notes += map(table_files.keep_old, existing)

    if changes["table"]["encoding"] == "cp1252" and not options.encoding:
        notes.append(f"The encoding cp1252 is a guess; else {table_files.ENCODINGS}")

    return notes


def describe(found: dict) -> list:
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
    either = parser.add_mutually_exclusive_group(required=True).add_argument
    either("file", nargs="?", metavar="FILE", help="CSV, Parquet, Excel, or a glob")
    either("--source", action="store_true", help="the rows of `source` in config.yaml")
    add("--target", required=True, help="the column to predict")
    add("--key", **again, help="a column that identifies a row, alone or with others")
    add("--exclude", **again, help="a column that is not used as a feature")
    add("--missing", **again, help="means a missing value; replaces missing_values")
    add("--task", choices=["classification", "regression"])
    add("--encoding", help="of the files, such as cp1250")
    add("--separator", help=r"the character between columns; \t is a tab")
    add("--decimal", choices=[".", ","], help="the decimal sign of numbers")
    add("--force", action="store_true", help="overwrite files without keeping copies")
    return parser.parse_args()


@command
def main() -> None:
    """Infer a schema from the command line."""
    lines = run(read_options(), read_config())
    lines += ["", "Next: uv run pipeline.py && uv run train && uv run app.py"]
    try:
        print(*lines, sep="\n", flush=True)
    except OSError:  # stdout was closed, as by `| head`
        os._exit(0)
