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
from ..utils import UserError, command, command_line, nearest, write_atomically
from . import table_files
from .column_decisions import decide
from .column_rules import FREQUENT, find_decimal, looks_like_row

SAMPLE_ROWS = 10_000  # from the beginning, because their order matters
MOST_COUNTED = 100_000  # distinct texts counted for a column
MOST_MALFORMED = 0.05  # share of the lines
MOST_REJECTED_AT_NIGHT = 0.1  # share of the rows, for config.yaml


def run(options: Namespace, config: Config) -> list:
    """Infer the schema of a table, write it with its settings; say what was done."""
    table = describe_files(options, config.table)
    source = config.model_copy(update={"table": table})
    sample, counts, notes = read_evidence(source, options.file)
    is_same = table_files.is_same_table(config, options.target, counts)
    detected: dict = {"decimal": find_decimal(counts.values())}
    if not is_same:
        detected |= {"task": options.task, "filter": None}

    table = table.model_copy(update=detected)
    found = {name: decide(name, counts[name], sample[name], table) for name in counts}
    if not options.missing:
        check_words(found, table.target)

    table = complete(table, found)
    typed = describe_table([each.column for each in found.values()], table)
    check_leaks(found, sample, typed)

    changes = find_changes(options.file, config, counts)
    changes["table"] = table.model_dump()
    if config.table.filter and not table.filter:
        notes.append(f"config.yaml: the filter {config.table.filter!r} is reset")

    notes += write_files(options, config, typed.columns, changes)
    if not is_same:
        notes += table_files.leave_sample(config.root, typed.features)

    return [*describe(found), *notes]


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
    """Return the first rows, how many rows of each column have each text, and notes."""
    sample, malformed, rows = DataFrame(), DataFrame(), 0
    counts: dict = {}
    for batch in read_source(config, pattern=pattern):
        if names := [*batch.rows]:  # empty for the files that a query reads
            check_names(name_source(config, pattern), names, config.table)

        rows += len(batch.rows)
        malformed = concat([malformed, batch.broken])
        sample = batch.rows.head(SAMPLE_ROWS) if sample.empty else sample

        for name, texts in batch.rows.items():
            found = texts.fillna("").value_counts()
            total = found.add(counts.get(name, 0), fill_value=0).astype(int)
            counts[name] = limit_counts(total)

    check_lines(malformed, rows)
    note = f"{rows:,} rows were read, and {len(malformed):,} lines are malformed."

    return sample, counts, [note]


def check_names(origin: str, names: list, table: TableConfig) -> None:
    """Refuse a file without column names, and names that it does not have."""
    shown = ", ".join(map(repr, names[:12]))
    if looks_like_row(names):
        raise UserError(
            f"{origin}: the first line looks like a row, not like the names of "
            f"columns: {shown}; add a line of names above it"
        )

    others = [*table.key, *table.exclude]
    for name in [table.target, *others]:
        if name not in names:
            raise UserError(
                f"{origin} has no column {name!r}{nearest(name, names)}; its first "
                f"line, where the names must be, has {shown}"
            )

    if table.target in others:
        raise UserError(f"the target {table.target!r} can't be a key, or excluded")


def limit_counts(counts: Series) -> Series:
    """Keep the most frequent of too many texts, and the first and the last."""
    if len(counts) <= MOST_COUNTED:
        return counts

    texts = counts.index.sort_values()
    numbers = to_numeric(texts.to_series(), errors="coerce").dropna().sort_values()
    ends = [*texts[[0, -1]], *numbers.index[:1], *numbers.index[-1:]]

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
    numeric = [each for each in found.values() if each.column.maximum is not None]
    known = {word for each in numeric for word in each.missing.index}
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
    formats = {
        name: list(each.column.spelling.date_formats)
        for name, each in found.items()
        if each.column.spelling.date_formats
    }
    changes = {
        "task": "regression" if target.column.kind == "number" else "classification",
        "date_formats": formats or [],
        "exclude": [name for name, each in found.items() if each.is_excluded],
        "max_rejected_share": round(min(1.0, float(share)), 2),
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


def find_changes(file: str | None, config: Config, names: Iterable[str]) -> dict:
    """Return the settings beside those of the table, by section of config.yaml.

    Those that name columns which the table lacks are reset.
    """
    training = config.training
    used: dict = {"date": [training.date], "group": [training.group]}
    used["slices"] = training.slices or []
    lost = [option for option in used if not {None, *names}.issuperset(used[option])]
    changes: dict = {"training": dict.fromkeys(lost)}
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
    options: Namespace, config: Config, columns: Iterable[Column], changes: dict
) -> list:
    """Write schema.yaml and config.yaml, both or neither; say what else was done."""
    schema, settings = config.schema_file, config.root / FILE_NAME
    text = table_files.change_config(settings.read_text(encoding="utf-8"), changes)
    notes = [f"config.yaml: training.{name} is reset" for name in changes["training"]]
    with write_atomically(schema) as new, write_atomically(settings) as changed:
        new.write_text(table_files.write_schema(columns), encoding="utf-8")
        changed.write_text(text, encoding="utf-8")
        if not options.force:
            old = filter(Path.exists, (schema, settings))
            notes += map(table_files.keep_old, old)
    named = (options.encoding, config.table.encoding)
    if changes["table"]["encoding"] == "cp1252" and "cp1252" not in named:
        notes.append(
            "The encoding cp1252 is a guess; if letters look wrong, name it, "
            + table_files.ENCODINGS
        )
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
    except OSError:  # stdout was closed, as by `| head`
        os._exit(0)
