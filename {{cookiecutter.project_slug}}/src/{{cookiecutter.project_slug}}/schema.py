"""Read schema.yaml, the contract: the only place that knows the columns of the table.

The file is a pandera schema (https://pandera.readthedocs.io). The dtype says what a column is:
float64 a number, Int64 an integer, boolean, datetime64[ns] a date, str a category; `isin` lists
the categories, `in_range` and its like are the limits, `nullable` allows missing values. What
`metadata` says of a column is for features of your own, see docs/how-to.md.

What it says goes into the model file as plain data, a `Table`. The service reads it from there and
starts without pandas and pandera; so only the functions that need them import them.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from .config import Config, ServingConfig, TableConfig, Task
from .utils import UserError

if TYPE_CHECKING:
    import pandera.pandas as pa

Kind = Literal["number", "integer", "boolean", "category", "date"]
MINIMUM_CHECKS = {"in_range", "greater_than_or_equal_to", "greater_than"}
MAXIMUM_CHECKS = {"in_range", "less_than_or_equal_to", "less_than"}
DTYPES: dict[Kind, str] = {
    "number": "float64",
    "integer": "float64",  # in a request a whole number may be of any size
    "boolean": "boolean",
    "date": "datetime64[ns]",
    "category": "str",
}


@dataclass(frozen=True)
class Column:
    """One column: its name, its kind and the limits of its values (of dates: in ISO format)."""

    name: str
    kind: Kind
    nullable: bool = False
    minimum: float | str | None = None
    maximum: float | str | None = None
    categories: tuple[str | int, ...] = ()
    description: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """The features in their order, the target, and what is to be done with it.

    `unused` names the other columns of a row: the key, and what config.yaml excludes.
    """

    features: tuple[Column, ...]
    target: Column
    task: Task
    unused: tuple[str, ...] = ()


def read_schema(path: Path) -> "pa.DataFrameSchema":
    """Read a pandera schema from a YAML file."""
    from pandera.io import pandas_io

    try:
        text = path.read_text(encoding="utf-8")
        schema = read_metadata(text, pandas_io.from_yaml(text))
    except FileNotFoundError as error:
        raise UserError(
            f"{path} is missing: it must describe the table's columns"
        ) from error
    except (
        Exception
    ) as error:  # pandera passes on whatever YAML, pandas or it itself raises
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is not a pandera schema: {reason}") from error
    if not schema.columns:
        raise UserError(f"{path} names no columns")
    return schema


def read_metadata(text: str, schema: "pa.DataFrameSchema") -> "pa.DataFrameSchema":
    """Return the schema with the metadata of its columns, which pandera leaves in the file."""
    columns = yaml.safe_load(text)["columns"] or {}
    told = {
        name: column["metadata"]
        for name, column in columns.items()
        if "metadata" in column
    }
    json.dumps(told)  # it goes into the model file
    return schema.update_columns(
        {name: {"metadata": about} for name, about in told.items()}
    )


def read_names(path: Path) -> set[str]:
    """Read the names of the columns alone, which needs no pandera."""
    try:
        return set(yaml.safe_load(path.read_text(encoding="utf-8"))["columns"])
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is not a pandera schema: {reason}") from error


def read_table(config: Config) -> Table:
    """Read what the project's schema.yaml says of its features and its target."""
    return describe_table(read_schema(config.schema_file), config.table)


def describe_table(schema: "pa.DataFrameSchema", config: TableConfig) -> Table:
    """Return the schema's features and target as plain data.

    The task is the one config.yaml names. Else a target of text or booleans, or one whose values
    are listed, makes a classification; any other number a regression.
    """
    for name in (config.target, *config.exclude, *([config.key] if config.key else [])):
        if name not in schema.columns:
            raise UserError(
                f"config.yaml names the column {name!r}, but schema.yaml does not"
            )
    columns = {name: describe_column(column) for name, column in schema.columns.items()}
    target = columns.pop(config.target)
    unused = tuple(name for name in columns if name in (config.key, *config.exclude))
    features = tuple(column for name, column in columns.items() if name not in unused)
    if not features:
        raise UserError(
            "schema.yaml leaves no column to learn from; see `exclude` in config.yaml"
        )
    return Table(features, target, find_task(target, config.task), unused)


def find_task(target: Column, wanted: Task | None = None) -> Task:
    """Return what is to be learnt: what is wanted, or what the kind of the target asks for."""
    if target.kind == "date":
        raise UserError(
            f"the target {target.name!r} is a date; it must be classes or a number"
        )
    if target.kind in ("category", "boolean") and wanted == "regression":
        raise UserError(f"config.yaml: task: the target {target.name!r} is no number")
    listed = target.kind in ("category", "boolean") or target.categories
    return wanted or ("classification" if listed else "regression")


def describe_column(column: "pa.Column") -> Column:
    """Return one column of the schema as plain data."""
    kind = find_kind(column)
    minimum = maximum = None
    categories: tuple[str | int, ...] = ()
    for check in column.checks:
        limits = check.statistics
        if check.name in MINIMUM_CHECKS:
            included = limits.get("include_min", check.name != "greater_than")
            minimum = plain_limit(limits["min_value"], included, math.inf)
        if check.name in MAXIMUM_CHECKS:
            included = limits.get("include_max", check.name != "less_than")
            maximum = plain_limit(limits["max_value"], included, -math.inf)
        if check.name == "isin":
            categories = tuple(limits["allowed_values"])
    if kind == "category" and not all(
        isinstance(category, str) for category in categories
    ):
        raise UserError(
            f"schema.yaml: the categories of {column.name!r} must be text; "
            'write "No", "Yes" or "1" in quotes, which YAML else reads as something else'
        )
    about = column.description, column.metadata or {}
    return Column(
        column.name, kind, column.nullable, minimum, maximum, categories, *about
    )


def find_kind(column: "pa.Column") -> Kind:
    """Return the kind of a column, from its dtype."""
    from pandas.api import types

    tests: dict[Kind, Callable[[Any], bool]] = {
        "boolean": types.is_bool_dtype,
        "date": types.is_datetime64_any_dtype,
        "integer": types.is_integer_dtype,
        "number": types.is_float_dtype,
        "category": types.is_string_dtype,
    }
    if column.dtype is None:
        raise UserError(f"schema.yaml gives the column {column.name!r} no dtype")
    for kind, has_dtype in tests.items():
        if has_dtype(column.dtype.type):
            return kind
    raise UserError(
        f"schema.yaml: {column.name!r} has a dtype nobody knows: {column.dtype}"
    )


def plain_limit(limit: float | datetime, included: bool, inwards: float) -> float | str:
    """Return a limit that is itself allowed: of one that is not, the next number inwards."""
    if isinstance(limit, datetime):
        return limit.isoformat()
    return limit if included else math.nextafter(limit, inwards)


def build_schema(table: Table, config: ServingConfig) -> "pa.DataFrameSchema":
    """Return a schema of the features that lets those rows pass that the service answers."""
    import pandera.pandas as pa

    columns = {}
    for column in table.features:
        dtype, checks = DTYPES[column.kind], list_checks(column, config)
        columns[column.name] = pa.Column(dtype, checks, nullable=column.nullable)
    return pa.DataFrameSchema(columns)


def list_checks(column: Column, config: ServingConfig) -> list["pa.Check"]:
    """Return what service/request_validation.py checks of a column."""
    import pandas as pd
    import pandera.pandas as pa

    if column.kind == "category":
        listed = column.categories and config.unknown_categories == "reject"
        return [pa.Check.isin(column.categories)] if listed else []
    if column.kind == "boolean":
        return []
    read = pd.Timestamp if column.kind == "date" else float
    checks = [pa.Check.ge(read(column.minimum))] if column.minimum is not None else []
    checks += [pa.Check.le(read(column.maximum))] if column.maximum is not None else []
    whole = pa.Check(lambda numbers: numbers % 1 == 0, error="to be a whole number")
    return [*checks, whole] if column.kind == "integer" else checks
