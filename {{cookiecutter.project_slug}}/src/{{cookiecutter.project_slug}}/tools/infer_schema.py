"""Make any table this project's own: write schema.yaml and the table's part of config.yaml.

It looks at a sample of the rows to decide what each column is, and at all of them for
the rest. The files it replaces are kept beside the new ones.

Examples:
    uv run infer-schema data/raw/orders.csv --target returned
    uv run infer-schema "data/raw/*.csv" --target price --key order_id --exclude remarks
    uv run infer-schema data/raw/scores.csv --target grade --task regression
"""

import argparse
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..config import FILE_NAME, Config, TableConfig, read_config
from ..data_preprocessing import parse_column, transform
from ..etl.raw_data import RawData, find_files, read_batches, read_header
from ..schema import describe_table, read_columns
from ..utils import UserError, command, command_line, nearest, write_atomically
from . import column_rules as rules
from .column_decisions import Decision, Summary, decide, settle, summarise
from .table_files import change_config, find_encoding, find_separator, keep_old, write_schema

SAMPLE_ROWS = 10_000
MOST_REJECTED = 0.05  # of the rows, by a new schema
MOST_REJECTED_AT_NIGHT = 0.1  # and later, for config.yaml


def run(pattern: str, table: TableConfig, config: Config, options: argparse.Namespace) -> None:
    """Infer the schema of the files that match, try it on all their rows, write it."""
    files = find_files(pattern)
    table = _describe_files(files[0], table, options)
    _check_names(files[0], read_header(files[0], table), table)
    sample = _draw_sample(files, table)
    table = table.model_copy(update={"decimal": rules.find_decimal(sample, table.separator)})
    decisions = [decide(name, sample[name], table) for name in sample]
    decisions, missing_share = _settle_all(decisions, files, table)
    decisions = [_warn_of_leak(each, decisions, sample) for each in decisions]
    table = _complete(table, decisions, missing_share)

    schema, root = write_schema(decisions), config.root
    raw = Path(os.path.relpath(pattern, root)).as_posix()
    changed = change_config((root / FILE_NAME).read_text(encoding="utf-8"), raw, table)
    with write_atomically(config.schema_file) as new, write_atomically(root / FILE_NAME) as file:
        new.write_text(schema, encoding="utf-8")
        file.write_text(changed, encoding="utf-8")
        columns = read_columns(new, table)
        outcome = _try(files, describe_table(columns, table), table)
        kept = [] if options.force else keep_old(config.schema_file, schema), 
    _print(decisions, outcome)
