"""Make any table this project's own: write schema.yaml and the table's part of config.yaml.

It looks at a sample of the rows, says what it takes each column for and why, and tries the result
on all of them. What it replaces is kept beside the new file.

Examples:
    uv run infer-schema data/raw/orders.csv --target returned
    uv run infer-schema "data/raw/*.csv" --target price --key order_id --exclude remarks
"""

import json
import os
import re
from difflib import unified_diff
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml
from pandera.io import pandas_io
from ruamel.yaml import YAML

from {{ cookiecutter.project_slug }}.columns import Column, Kind
from {{ cookiecutter.project_slug }}.config import FILE_NAME, Config, TableConfig, read_config
from {{ cookiecutter.project_slug }}.data_preprocessing import (
    Transformed,
    mark_missing,
    parse_column,
    parse_numbers,
    transform,
)
from {{ cookiecutter.project_slug }}.raw_data import RawData, find_files, read_raw_data
from {{ cookiecutter.project_slug }}.schema import describe_table
from {{ cookiecutter.project_slug }}.utils import (
    UserError,
    command,
    command_line,
    nearest,
    write_atomically,
)

from . import column_rules as rules

SAMPLE_ROWS = 10_000
SAMPLE_TEXT = 500_000  # characters
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
MOST_REJECTED = 0.05
SHOWN = 40  # lines of a difference
DTYPES = {
    "number": "float64",
    "integer": "Int64",
    "boolean": "boolean",
    "date": "datetime64[ns]",
    "category": "str",
}
HEADER = """\
# The contract: what each column is, and what its values may be. A pandera schema.
# Raw rows that do not fit are kept in data/rejected/; requests that do not fit are refused.
"""
FIXES = {
    "in_range": "widen its in_range in schema.yaml",
    "isin": "add to its isin in schema.yaml, or take that out",
    "is missing": "set its nullable to true in schema.yaml",
    "date": "add its format to date_formats in config.yaml",
    "boolean": "add its spelling to true_values or false_values in config.yaml",
    "": "add it to missing_values in config.yaml, if it spells one; else --exclude the column",
}


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
        return Decision(Column(name, "category"), "the key: rows with the same one are duplicates")
    if different < 2:
        return Decision(unused, f"only {text.dropna().unique().tolist()} in it", excluded=True)
    if rules.is_boolean(text, config):
        spelled = ", ".join(sorted(text.dropna().unique())[:6])
        return Decision(Column(name, "boolean", nullable), f"spelled {spelled}")
    number = rules.is_number(text, config.decimal) and not rules.is_date(text, [])
    if not number and (date := decide_date(name, text, nullable)):
        return date
    if number:
        numbers = parse_numbers(text, config.decimal)
        if rules.is_running_number(name, numbers):
            return Decision(unused, "a running number or identifier", excluded=True, look=key)
        if not rules.is_code(name, numbers):
            kind: Kind = "integer" if rules.is_whole(numbers) else "number"
            low, high = map(int if kind == "integer" else float, rules.find_limits(numbers))
            why = f"{numbers.min():g} to {numbers.max():g}; allowed: {low:g} to {high:g}"
            return Decision(Column(name, kind, nullable, low, high), why)
    if rules.is_free_text(text):
        return Decision(unused, f"free text, {different:,} different ones: not used", excluded=True)
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
    dates = rules.parse_dates(text, formats)
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
        return Decision(Column(name, "number"), f"{why}, {numbers.min():g} to {numbers.max():g}")
    classes = rules.find_classes(text)
    if not 2 <= len(classes) <= max(rules.FEW, text.count() / 10):
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


def warn_of_leak(decision: Decision, text: pd.DataFrame, config: TableConfig) -> Decision:
    """Add a line to look at where a column gives the target away."""
    column, target = decision.column, text[config.target].dropna()
    if decision.excluded or column.name in (config.key, config.target):
        return decision
    if config.task == "regression":
        target = parse_numbers(target, config.decimal).dropna()
    settings = config.model_copy(update={"date_formats": list(decision.formats)})
    values, _ = parse_column(text.loc[target.index, column.name], column, settings)
    if column.kind == "date":
        values = values.astype("int64").where(values.notna())
    leak = rules.find_leak(values, target, config.task or "classification")
    look = f"{leak} gives the target away; if it is known only later, --exclude {column.name!r}"
    return decision._replace(look=f"{decision.look} {look}".strip()) if leak else decision


def infer(sample: pd.DataFrame, config: TableConfig) -> list[Decision]:
    """Decide on every column of a sample of raw text, in their order."""
    text = mark_missing(sample, config.missing_values)
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


def write_schema(decisions: list[Decision]) -> str:
    """Return the text of schema.yaml."""
    columns: dict[str, Any] = {}
    for column, *_ in decisions:
        columns[column.name] = {"dtype": DTYPES[column.kind]}
        if column.nullable:
            columns[column.name]["nullable"] = True
        if column.categories:
            columns[column.name]["isin"] = list(column.categories)
        if column.minimum is not None:
            limits = {"min_value": column.minimum, "max_value": column.maximum}
            columns[column.name]["in_range"] = limits
    content = {"schema_type": "dataframe", "strict": True, "columns": columns}
    text = yaml.safe_dump(
        content, default_flow_style=None, sort_keys=False, allow_unicode=True, width=100
    )
    return HEADER + text


def change_config(text: str, raw: str, table: TableConfig) -> str:
    """Return the text of config.yaml for another table, its comments as they were."""
    parser = YAML()
    parser.preserve_quotes, parser.width = True, 4096
    content = parser.load(text)
    name = re.sub(r"[*?\[\]]+", "_", Path(raw).stem).strip("_") or "table"
    paths = {"processed": f"data/processed/{name}.parquet", "rejected": f"data/rejected/{name}.csv"}
    for section, values in (("paths", paths | {"raw": raw}), ("table", table.model_dump())):
        for key, value in values.items():
            if content[section].get(key) != value:
                content[section][key] = parser.load(write_quoted(value))
    parser.dump(content, changed := StringIO())
    return changed.getvalue()


def write_quoted(value: Any) -> str:
    """Return a value as YAML with every text in quotes, so that "no" can't be read as false."""
    text = json.dumps(value, ensure_ascii=False)
    return UNPRINTABLE.sub(lambda sign: f"\\u{ord(sign[0]):04x}", text)


def replace_file(path: Path, text: str, force: bool) -> None:
    """Write a file; keep what stood there beside it, and show the difference."""
    old = path.read_text(encoding="utf-8")
    if old != text and not force:
        names = (path.with_suffix(f".old-{number}.yaml") for number in count(1))
        kept = next(name for name in names if not name.exists())
        kept.write_text(old, encoding="utf-8")
        texts = (old.splitlines(), text.splitlines())
        lines = list(unified_diff(*texts, kept.name, path.name, n=0, lineterm=""))
        more = f"… and {len(lines) - SHOWN} lines more" if len(lines) > SHOWN else ""
        print(f"\n{path.name}: the old one is kept as {kept.name}. What is different:")
        print(*lines[:SHOWN], more, sep="\n")
    with write_atomically(path) as file:
        file.write_text(text, encoding="utf-8")


def check_rows(raw: RawData, result: Transformed, decisions: list[Decision], target: str) -> None:
    """Say what becomes of all rows; raise UserError where too many would be rejected."""
    rows, problems = len(raw.rows) + len(raw.broken), result.problems
    missing = (problems["column"] == target) & (problems["problem"] == "is missing")
    aside = problems.loc[missing, "row"].nunique()
    rejected = len(result.rejected) - aside + len(raw.broken)
    print(
        f"\nOf {rows:,} rows {len(result.kept):,} are kept, {rejected:,} rejected, "
        f"{len(result.duplicates):,} are duplicates, {aside:,} have no target and are kept aside."
    )
    first = problems[~missing].groupby("column")["problem"].agg(["size", "first"])
    if not raw.broken.empty:
        first.loc["no row at all"] = [len(raw.broken), raw.broken["reason"].iloc[0]]
    first = first.sort_values("size", ascending=False)
    for name, (size, problem) in first.head().iterrows():
        print(f"  {size / rows:.2%}  {name}: {problem}")
    if rejected > MOST_REJECTED * rows:
        name, problem = first.index[0], first["first"].iloc[0]
        kind = next((each.column.kind for each in decisions if each.column.name == name), "")
        fix = next(FIXES[word] for word in FIXES if word in problem or word == kind)
        raise UserError(f"{rejected / rows:.0%} of the rows are rejected; {name}: {problem}; {fix}")


def run(pattern: str, table: TableConfig, config: Config, force: bool = False) -> None:
    """Infer the schema of the files that match, write it, and try it on all their rows."""
    first = find_files(pattern)[0]
    table = table.model_copy(update={"decimal": "."})
    if first.suffix != ".parquet":
        encoding = rules.find_encoding(first.read_bytes())
        separator = rules.find_separator(first.read_text(encoding, errors="replace")[:SAMPLE_TEXT])
        table = table.model_copy(update={"encoding": encoding, "separator": separator})
    raw = read_raw_data(pattern, [], table)
    if table.target in (table.key, *table.exclude):
        raise UserError(f"{table.target!r} can't be the target and the key, or excluded")
    for name in filter(None, (table.target, table.key, *table.exclude)):
        if name not in raw.rows:
            raise UserError(f"{first} has no column {name!r}{nearest(name, raw.rows.columns)}")
    sample = raw.rows.sample(min(SAMPLE_ROWS, len(raw.rows)), random_state=0).sort_index()
    text = mark_missing(sample, table.missing_values)
    decimal = "." if first.suffix == ".parquet" else rules.find_decimal(text, table.separator)
    task = rules.find_task(text[table.target], decimal)
    table = table.model_copy(update={"decimal": decimal, "task": task})
    decisions = infer(sample, table)
    formats = {each.column.name: list(each.formats) for each in decisions if each.formats}
    excluded = [each.column.name for each in decisions if each.excluded]
    found = {"date_formats": merge_formats(formats), "exclude": excluded}
    table = table.model_copy(update=found)

    width = min(30, max(len(each.column.name) for each in decisions))
    for each in decisions:
        kind = "excluded" if each.excluded else each.column.kind
        print(f"{each.column.name:{width}}  {kind:8}  {each.why}")
    looks = [f"  {each.column.name}: {each.look}" for each in decisions if each.look]
    if looks:
        print("\nLook at by hand:", *looks, sep="\n")

    schema, file = write_schema(decisions), config.root / FILE_NAME
    replace_file(config.schema_file, schema, force)
    relative = Path(os.path.relpath(pattern, config.root)).as_posix()
    replace_file(file, change_config(file.read_text(encoding="utf-8"), relative, table), force)
    contract = pandas_io.from_yaml(schema)
    describe_table(contract, table)  # is there a column to learn from?
    result = transform(raw.rows, contract, table)
    check_rows(raw, result, decisions, table.target)
    print("\nNext: uv run pipeline.py && uv run train && uv run app.py")


def merge_formats(formats: dict[str, list[str]]) -> list[str] | dict[str, list[str]]:
    """Return one list for all columns; or one for each, where some contradict the others."""
    merged = list(dict.fromkeys(form for each in formats.values() for form in each))
    turned = {form.translate(str.maketrans("dm", "md")) for form in merged if form[1] in "dm"}
    return formats if turned & set(merged) else merged


@command
def main() -> None:
    """Infer a schema from the command line."""
    parser = command_line(__doc__)
    parser.add_argument("file", metavar="FILE", help="the table: CSV or Parquet, or a glob of them")
    parser.add_argument("--target", metavar="COLUMN", required=True, help="what is to be predicted")
    parser.add_argument("--key", metavar="COLUMN", help="what tells one row from another")
    parser.add_argument(
        "--exclude",
        metavar="COLUMN",
        action="append",
        default=[],
        help="not a feature; may come again",
    )
    parser.add_argument("--force", action="store_true", help="keep no copy of what is replaced")
    options = parser.parse_args()

    config = read_config()
    wanted = {"target": options.target, "key": options.key, "exclude": options.exclude}
    run(options.file, config.table.model_copy(update=wanted), config, options.force)
