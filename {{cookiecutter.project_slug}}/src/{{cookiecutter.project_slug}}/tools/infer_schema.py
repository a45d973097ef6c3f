"""Make any table this project's own: write schema.yaml and its part of config.yaml.

A sample of the rows shows what each column is, and all rows show the rest: classes,
limits, missing values. The files that are replaced are kept beside the new ones.

Examples:
    uv run infer-schema data/raw/orders.csv --target returned
    uv run infer-schema "data/raw/*.csv" --target price --key order_id --exclude remarks
    uv run infer-schema data/raw/ratings.csv --target rating --task regression
"""

import argparse
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from ..config import FILE_NAME, Config, TableConfig, read_config
from ..data_preprocessing import MISSING, parse_column, transform
from ..etl.raw_data import find_files, is_parquet, read_batches, read_header
from ..schema import Table, describe_table, read_columns
from ..utils import UserError, command, command_line, nearest, write_atomically
from . import column_rules as rules
from . import table_files
from .column_decisions import Decision, Evidence, decide, gather

SAMPLE_ROWS = 10_000
MOST_REJECTED = 0.05  # of the rows, by a new schema
MOST_REJECTED_AT_NIGHT = 0.1  # and later, for config.yaml

MOST_COUNTED = 100_000  # texts of a column
TEXT = ("category", "boolean")


def run(options: argparse.Namespace, config: Config) -> None:
    """Infer the schema of some files, try it on all rows, and write it."""
    files = find_files(options.file)
    table, notes = describe_files(files[0], options, config.table)
    check_names(files[0], read_header(files[0], table), table)
    sample, counts = read_evidence(files, table)
    decimal = table_files.find_decimal(sample, table.separator)
    table = table.model_copy(update={"decimal": decimal})

    gathered = [gather(name, counts[name], sample[name], table) for name in counts]
    decisions = [decide(evidence, table) for evidence in gathered]
    if not options.missing:
        decisions = check_words(decisions, gathered, table)
    table = complete(table, decisions, gathered)
    decisions = check_leaks(decisions, sample, table)

    schema_file, config_file = config.schema_file, config.root / FILE_NAME
    raw = Path(os.path.relpath(options.file, config.root)).as_posix()
    text = config_file.read_text(encoding="utf-8")
    with write_atomically(schema_file) as new, write_atomically(config_file) as changed:
        schema = table_files.write_schema(each.column for each in decisions)
        new.write_text(schema, encoding="utf-8")
        changed.write_text(table_files.change_config(text, raw, table), encoding="utf-8")
        typed = describe_table(read_columns(new, table), table)
        notes += try_schema(files, typed, table)
        if not options.force:
            notes += map(table_files.keep_old, [schema_file, config_file])
    show_decisions(decisions, notes)


def describe_files(
    file: Path, options: argparse.Namespace, table: TableConfig
) -> tuple[TableConfig, list[str]]:
    """Return how the files are written and what is wanted, and what is only a guess.

    Options come first, then what config.yaml says about this target.
    """
    notes = []
    kept_task = table.task if options.target == table.target else None
    changes = {
        "target": options.target,
        "key": options.key,
        "exclude": options.exclude,
        "task": options.task or kept_task,
        "decimal": ".",
        "date_formats": [],
    }
    if options.missing:
        changes["missing_values"] = ["", *options.missing]
    if not is_parquet(file):
        encoding = options.encoding
        if not encoding:
            encoding = table_files.find_encoding(file, table.encoding)
        if encoding == "cp1252" and not options.encoding:
            notes.append("The encoding cp1252 is a guess; another one: --encoding cp1250")
        beginning = table_files.read_beginning(file).decode(encoding, "replace")
        separator = options.separator
        changes["separator"] = separator or table_files.find_separator(beginning, table.separator)
        changes["encoding"] = encoding
    return table.model_copy(update=changes), notes


def check_names(file: Path, header: Sequence[str], table: TableConfig) -> None:
    """Refuse a first line that is none of names, and names that are not in it."""
    if rules.looks_like_row(header):
        raise UserError(
            f"{file}: the first line looks like a row, not like column names: "
            f"{', '.join(header[:6])}; add a line of names"
        )
    for name in (table.target, *table.key, *table.exclude):
        if name not in header:
            names = ", ".join(map(repr, header[:20]))
            raise UserError(
                f"{file} has no column {name!r}{nearest(name, header)}; "
                f"its first line names {names}"
            )
    if table.target in (*table.key, *table.exclude):
        raise UserError(f"the target {table.target!r} can't be a key or excluded")


def read_evidence(
    files: Sequence[Path], table: TableConfig
) -> tuple[pd.DataFrame, dict[str, pd.Series]]:
    """Return random rows in their order, and for each column the counts of its texts.

    Raises UserError if many lines are malformed.
    """
    random, rows, malformed = np.random.default_rng(0), 0, []
    sample, draws, counts = pd.DataFrame(), pd.Series(dtype=float), {}
    for batch in read_batches(files, [], table):
        numbers = range(rows, rows + len(batch.rows))
        rows += len(batch.rows)
        drawn = pd.Series(random.random(len(numbers)), numbers)
        draws = pd.concat([draws, drawn]).nsmallest(SAMPLE_ROWS)
        sample = pd.concat([sample, batch.rows.set_axis(numbers)]).reindex(draws.index)
        malformed.append(batch.broken)
        for name, texts in batch.rows.items():
            counts[name] = add_counts(counts.get(name), texts.fillna(""))
    check_lines(pd.concat(malformed), rows)
    return sample.sort_index(), counts


def add_counts(counts: pd.Series | None, texts: pd.Series) -> pd.Series:
    """Count texts. Of too many, keep the most frequent, the smallest and the largest."""
    found = texts.value_counts()
    if counts is not None:
        found = found.add(counts, fill_value=0).astype(int)
    if len(found) <= MOST_COUNTED:
        return found
    numbers = pd.to_numeric(found.index.to_series(), errors="coerce").sort_values()
    dates = found.index.sort_values()
    ends = [*numbers.dropna().index[[0, -1]], dates[0], dates[-1]] if numbers.any() else [dates[0], dates[-1]]
    return found[found.index.isin([*found.nlargest(MOST_COUNTED).index, *ends])]


def check_lines(malformed: pd.DataFrame, rows: int) -> None:
    """Refuse files of which many lines are malformed, and name the usual reason."""
    total = rows + len(malformed)
    if not total:
        raise UserError("the files have a header but no rows")
    if len(malformed) <= MOST_REJECTED * total:
        return
    reason = malformed["reason"].mode()[0]
    first = malformed[malformed["reason"] == reason].iloc[0]
    raise UserError(
        f"{len(malformed):,} of {total:,} lines are malformed, most often as in "
        f"{first['source']}, line {first['line']}: {reason}; check the quotes and the "
        "number of columns, or set --separator"
    )


def check_words(
    decisions: list[Decision], gathered: list[Evidence], table: TableConfig
) -> list[Decision]:
    """Point out frequent words that are read as missing, but may be categories.

    If numbers are missing by the same word, it is none. For the target, ask.
    """
    is_text = [each.column.kind in TEXT for each in decisions]
    words_of_numbers = {
        word
        for each, text in zip(gathered, is_text, strict=True)
        if not text
        for word in each.missing.index
    }
    checked = []
    for decision, evidence, text in zip(decisions, gathered, is_text, strict=True):
        name = evidence.column.name
        shares = evidence.missing / (evidence.missing.sum() + evidence.counts.sum())
        for word, share in shares[shares >= rules.FREQUENT].items():
            if not word.isalpha() or word in words_of_numbers or not text:
                continue
            said = f"{word!r} is read as missing in {share:.0%} of the rows"
            advice = "if it is a category, remove it from missing_values in config.yaml"
            if name == table.target:
                raise UserError(f"{name!r}: {said}; {advice}, else add --missing {word}")
            decision = decision.check(f"{said}; {advice}")
        checked.append(decision)
    return checked


def check_leaks(
    decisions: list[Decision], sample: pd.DataFrame, table: TableConfig
) -> list[Decision]:
    """Point out features that give the target away."""
    by_name = {each.column.name: each.column for each in decisions}
    target = parse_column(sample[table.target], by_name[table.target])[0]
    checked = []
    for decision in decisions:
        name = decision.column.name
        if name not in (table.target, *table.key, *table.exclude):
            values = parse_column(sample[name], decision.column)[0]
            if rules.is_leak(values, target, table.task):
                decision = decision.check(
                    "predicts the target all but perfectly; if it is known only later: "
                    f"--exclude {name!r}"
                )
        checked.append(decision)
    return checked


def complete(
    table: TableConfig, decisions: list[Decision], gathered: list[Evidence]
) -> TableConfig:
    """Return the table's part of config.yaml with what was found."""
    formats = {
        each.column.name: list(each.column.spelling.date_formats) for each in decisions
    }
    formats = {name: each for name, each in formats.items() if each}
    excluded = [each.column.name for each in decisions if each.is_excluded]
    names = [each.column.name for each in decisions]
    position = names.index(table.target)
    target, evidence = decisions[position].column, gathered[position]
    missing = evidence.missing.sum()
    share = MOST_REJECTED_AT_NIGHT + missing / (missing + evidence.counts.sum())
    is_number = target.kind == "number"
    return table.model_copy(
        update={
            "task": "regression" if is_number else "classification",
            "date_formats": merge_formats(formats),
            "exclude": list(dict.fromkeys([*table.exclude, *excluded])),
            "max_rejected_share": round(min(1, share), 2),
        }
    )


def merge_formats(formats: dict[str, list[str]]) -> list[str] | dict[str, list[str]]:
    """Return one list for all columns or, if some contradict others, one for each."""
    merged = list(dict.fromkeys(form for each in formats.values() for form in each))
    swapped = {rules.swap(form) for form in merged if "%d" in form}
    is_contrary = not swapped.isdisjoint(merged)
    return formats if is_contrary else merged


def try_schema(files: Sequence[Path], typed: Table, table: TableConfig) -> list[str]:
    """Clean all rows, and say what becomes of them.

    Raises UserError if too many are rejected. Rows without a target do not count.
    """
    counts, problems, keys = Counter[str](), Counter[tuple[str, str]](), []
    for batch in read_batches(files, [], table):
        result = transform(batch.rows, replace(typed, key=()))
        found = result.problems
        has_no_target = (found["column"] == table.target) & (found["check"] == MISSING)
        aside = found.loc[has_no_target, "row"].nunique()
        counts["rows"] += len(batch.rows) + len(batch.broken)
        counts["aside"] += aside
        counts["rejected"] += len(result.rejected) - aside + len(batch.broken)
        found = found[~has_no_target].drop_duplicates("row")
        problems.update(zip(found["column"], found["problem"], strict=True))
        if table.key:
            keys.append(pd.util.hash_pandas_object(result.kept[table.key], index=False))
    hashes = pd.concat(keys) if keys else pd.Series()
    duplicates = int(hashes.duplicated().sum())
    kept = counts["rows"] - counts["rejected"] - counts["aside"] - duplicates
    lines = [
        f"Of {counts['rows']:,} rows {kept:,} are kept, {counts['rejected']:,} rejected, "
        f"{duplicates:,} are duplicates, {counts['aside']:,} have no target."
    ]
    lines += [f"  {count:,}  {name}: {problem}" for (name, problem), count in problems.most_common(5)]
    if counts["rejected"] > MOST_REJECTED * counts["rows"]:
        raise UserError(
            f"{counts['rejected'] / counts['rows']:.0%} of the rows would be rejected;"
            f"{lines[1] if problems else ''}; --exclude the column"
        )
    return lines


def show_decisions(decisions: list[Decision], notes: list[str]) -> None:
    """Print what was decided and why, and what to check."""
    checks = []
    for each in decisions:
        name, kind = each.column.name, each.column.kind
        name = name if name.isprintable() else repr(name)
        print(f"{name:30}  {'excluded' if each.is_excluded else kind:8}  {each.why}")
        checks += [f"  {name}: {text}" for text in each.checks]
    if checks:
        print("\nCheck manually:", *checks, sep="\n")
    print("", *notes, sep="\n")
    print("\nNext: uv run pipeline.py && uv run train && uv run app.py")


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = command_line(__doc__)
    again = {"action": "append", "default": []}
    parser.add_argument("file", metavar="FILE", help="CSV or Parquet, or a glob of them")
    parser.add_argument("--target", metavar="COLUMN", required=True, help="what to predict")
    parser.add_argument("--key", metavar="COLUMN", help="identifies a row; again for more", **again)
    parser.add_argument("--exclude", metavar="COLUMN", help="not a feature; again for more", **again)
    parser.add_argument("--task", choices=["classification", "regression"])
    parser.add_argument("--encoding", metavar="NAME", help="such as cp1250")
    parser.add_argument("--separator", metavar="CHARACTER", help="between columns")
    parser.add_argument("--missing", metavar="TEXT", help="means missing, instead of missing_values in config.yaml; again for more", **again)
    parser.add_argument("--force", action="store_true", help="keep no copies of replaced files")
    return parser.parse_args()


@command
def main() -> None:
    """Infer a schema from the command line."""
    run(read_options(), read_config())
