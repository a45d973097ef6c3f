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
from typing import Any

import pandas as pd
import yaml
from pandera.io import pandas_io
from ruamel.yaml import YAML

from ..config import FILE_NAME, Config, TableConfig, read_config
from ..data_preprocessing import Transformed, mark_missing, transform
from ..etl.raw_csv import open_stream
from ..etl.raw_data import RawData, find_files, read_raw_data
from ..schema import describe_table
from ..utils import (
    UserError,
    command,
    command_line,
    nearest,
    write_atomically,
)
from . import column_rules as rules
from .column_decisions import Decision, infer

SAMPLE_ROWS = 10_000
SAMPLE_TEXT = 500_000  # characters
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
MOST_REJECTED = 0.05  # of the rows, with a new schema
MOST_REJECTED_AT_NIGHT = 0.1  # and later, for config.yaml
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
    "fails in_range": "widen its in_range in schema.yaml",
    "fails isin": "add to its isin in schema.yaml, or take that out",
    "is missing": "set its nullable to true in schema.yaml",
    "date": "add its format to date_formats in config.yaml",
    "boolean": "add its spelling to true_values or false_values in config.yaml",
    "no row": "check separator in config.yaml, and the quotes in the file",
    "": "add it to missing_values in config.yaml, if it spells one; else --exclude the column",
}


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
    parser.representer.add_representer(  # else it writes nothing at all
        type(None),
        lambda writer, _: writer.represent_scalar("tag:yaml.org,2002:null", "null"),
    )
    content = parser.load(text)
    name = re.sub(r"[*?\[\]]+", "_", Path(raw).stem).strip("_") or "table"
    paths = {
        "processed": f"data/processed/{name}.parquet",
        "rejected": f"data/rejected/{name}.csv",
    }
    for section, values in (
        ("paths", paths | {"raw": raw}),
        ("table", table.model_dump()),
    ):
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


def check_rows(
    raw: RawData, result: Transformed, decisions: list[Decision], target: str
) -> None:
    """Say what becomes of all rows; raise UserError where too many would be rejected."""
    rows, problems = len(raw.rows) + len(raw.broken), result.problems
    missing = (problems["column"] == target) & (problems["problem"] == "is missing")
    aside = problems.loc[missing, "row"].nunique()
    rejected = len(result.rejected) - aside + len(raw.broken)
    print(
        f"\nOf {rows:,} rows {len(result.kept):,} are kept, {rejected:,} rejected, "
        f"{len(result.duplicates):,} are duplicates, {aside:,} have no target and are kept aside."
    )
    broken = pd.DataFrame(
        {"column": "lines that are no row", "problem": raw.broken["reason"]}
    )
    causes = pd.concat([problems[~missing], broken]).groupby("column")["problem"]
    first = causes.agg(["size", "first"]).sort_values("size", ascending=False)
    for name, (size, problem) in first.head().iterrows():
        print(f"  {size / rows:.2%}  {name}: {problem}")
    if rejected > MOST_REJECTED * rows:
        name, problem = first.index[0], first["first"].iloc[0]
        kinds = {each.column.name: each.column.kind for each in decisions}
        told = [words for words in FIXES if " " in words and words in problem]
        fix = FIXES.get((*told, kinds.get(str(name), "no row"))[0], FIXES[""])
        raise UserError(
            f"{rejected / rows:.0%} of the rows are rejected; {name}: {problem}; {fix}"
        )


def run(pattern: str, table: TableConfig, config: Config, force: bool = False) -> None:
    """Infer the schema of the files that match, write it, and try it on all their rows."""
    first = find_files(pattern)[0]
    table = table.model_copy(update={"decimal": "."})
    if first.suffix != ".parquet":
        with open_stream(first) as file:
            content = file.read()
        encoding = rules.find_encoding(content)
        separator = rules.find_separator(
            content.decode(encoding, "replace")[:SAMPLE_TEXT]
        )
        table = table.model_copy(update={"encoding": encoding, "separator": separator})
    raw = read_raw_data(pattern, [], table)
    if table.target in (table.key, *table.exclude):
        raise UserError(
            f"{table.target!r} can't be the target and the key, or excluded"
        )
    for name in filter(None, (table.target, table.key, *table.exclude)):
        if name not in raw.rows:
            raise UserError(
                f"{first} has no column {name!r}{nearest(name, raw.rows.columns)}"
            )
    sample = raw.rows.sample(
        min(SAMPLE_ROWS, len(raw.rows)), random_state=0
    ).sort_index()
    text = sample.apply(mark_missing, spellings=table.missing_values)
    decimal = (
        "." if first.suffix == ".parquet" else rules.find_decimal(text, table.separator)
    )
    task = rules.find_task(text[table.target], decimal)
    # Rows without a target are set aside each night; they do not count as a change of the source.
    share = round(min(1, MOST_REJECTED_AT_NIGHT + text[table.target].isna().mean()), 2)
    found = {"decimal": decimal, "task": task, "max_rejected_share": share}
    table = table.model_copy(update=found)
    decisions = infer(sample, table)
    formats = {
        each.column.name: list(each.formats) for each in decisions if each.formats
    }
    excluded = [each.column.name for each in decisions if each.excluded]
    table = table.model_copy(
        update={"date_formats": merge_formats(formats), "exclude": excluded}
    )

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
    replace_file(
        file, change_config(file.read_text(encoding="utf-8"), relative, table), force
    )
    contract = pandas_io.from_yaml(schema)
    describe_table(contract, table)  # is there a column to learn from?
    result = transform(raw.rows, contract, table)
    check_rows(raw, result, decisions, table.target)
    print("\nNext: uv run pipeline.py && uv run train && uv run app.py")


def merge_formats(formats: dict[str, list[str]]) -> list[str] | dict[str, list[str]]:
    """Return one list for all columns; or one for each, where some contradict the others."""
    merged = list(dict.fromkeys(form for each in formats.values() for form in each))
    turned = {
        form.translate(str.maketrans("dm", "md")) for form in merged if form[1] in "dm"
    }
    return formats if turned & set(merged) else merged


@command
def main() -> None:
    """Infer a schema from the command line."""
    parser = command_line(__doc__)
    parser.add_argument(
        "file", metavar="FILE", help="the table: CSV or Parquet, or a glob of them"
    )
    parser.add_argument(
        "--target", metavar="COLUMN", required=True, help="what is to be predicted"
    )
    parser.add_argument(
        "--key", metavar="COLUMN", help="what tells one row from another"
    )
    parser.add_argument(
        "--exclude",
        metavar="COLUMN",
        action="append",
        default=[],
        help="not a feature; may come again",
    )
    parser.add_argument(
        "--force", action="store_true", help="keep no copy of what is replaced"
    )
    options = parser.parse_args()

    config = read_config()
    wanted = {"target": options.target, "key": options.key, "exclude": options.exclude}
    run(options.file, config.table.model_copy(update=wanted), config, options.force)
