"""Read schema.yaml, the contract: the only file that must know the table's columns.

The file is a pandera schema (https://pandera.readthedocs.io). The dtype says what a
column is: float64 a number, Int64 a whole number, boolean, datetime64[ns] a date, str a
category. `isin` lists the categories, `in_range` and its like are limits, `nullable`
allows missing values; docs/how-to.md describes `metadata`.

Everything is read into plain data, a `Table`, which also goes into the model file. So
the service starts without pandas and pandera.
"""

import math
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from .config import Config, TableConfig, Task, read_config
from .utils import UserError, nearest

if TYPE_CHECKING:
    import pandera.pandas as pa

Kind = Literal["number", "integer", "boolean", "category", "date"]

DTYPES: dict[Kind, str] = {
    "number": "float64",
    "integer": "Int64",
    "boolean": "boolean",
    "date": "datetime64[us]",
    "category": "str",
}
_KIND_OF_DTYPE: dict[str, Kind] = {  # by how its name begins
    "float": "number",
    "int": "integer",
    "uint": "integer",
    "bool": "boolean",
    "datetime": "date",
    "str": "category",
    "object": "category",
}
_COLUMN_PROPERTIES = {
    *("checks", "coerce", "description", "dtype", "metadata", "nullable"),
    *("required", "title"),
}
_METADATA = (
    *("unit", "replace", "out_of_range", "unreadable", "has_time", "digits"),
)


@dataclass(frozen=True)
class Spelling:
    """How the table's files write missing values, booleans, dates and decimals."""

    missing: tuple[str, ...] = ("",)
    true: tuple[str, ...] = ("true",)
    false: tuple[str, ...] = ("false",)
    date_formats: tuple[str, ...] = ()
    decimal: str = "."


@dataclass(frozen=True)
class Column:
    """One column: its kind, the limits of its values, and how they are written.

    Limits of dates are texts in ISO format. `checks` are the pandera checks of
    schema.yaml, by name. `replace` maps texts before they are read, and `unit` is
    removed from numbers. `out_of_range` says what becomes of a value beyond the limits,
    `unreadable` of a text that can't be read. A date that `has_time` gives its hour to
    the model. `digits` is the length of codes such as 01234, for requests that spell
    them as a number.
    """

    name: str
    kind: Kind
    nullable: bool = False
    minimum: float | str | None = None
    maximum: float | str | None = None
    categories: tuple[str | int, ...] = ()
    description: str | None = None
    checks: Mapping[str, Any] = field(default_factory=dict)
    unit: str | None = None
    replace: Mapping[str, str] = field(default_factory=dict)
    out_of_range: Literal["reject", "missing"] = "reject"
    unreadable: Literal["reject", "missing"] = "reject"
    has_time: bool = False
    digits: int = 0
    spelling: Spelling = Spelling()


@dataclass(frozen=True)
class Table:
    """The table's columns in their order, and what they are for."""

    columns: tuple[Column, ...]
    target_name: str
    task: Task
    key: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    @cached_property
    def target(self) -> Column:
        """The column to predict."""
        return next(each for each in self.columns if each.name == self.target_name)

    @cached_property
    def features(self) -> tuple[Column, ...]:
        """The columns that a model may use."""
        unused = {self.target_name, *self.unused}
        return tuple(each for each in self.columns if each.name not in unused)

    @cached_property
    def unused(self) -> tuple[str, ...]:
        """The columns that are neither features nor the target."""
        names = {*self.key, *self.excluded} - {self.target_name}
        return tuple(each.name for each in self.columns if each.name in names)

    @cached_property
    def numbers(self) -> list[str]:
        """The names of the features that are numbers."""
        return [x.name for x in self.features if x.kind in ("number", "integer")]

    @cached_property
    def categories(self) -> list[str]:
        """The names of the features that are categories or booleans."""
        return [x.name for x in self.features if x.kind in ("category", "boolean")]

    @cached_property
    def dates(self) -> list[str]:
        """The names of the features that are dates."""
        return [x.name for x in self.features if x.kind == "date"]


def read_table(config: Config | None = None) -> Table:
    """Read schema.yaml and the table's part of config.yaml.

    The task is the one that config.yaml names. Otherwise a target of text, booleans or
    listed values makes a classification, any other number a regression.
    """
    config = config or read_config()
    return describe_table(read_columns(config.schema_file, config.table), config.table)


def describe_table(columns: Iterable[Column], config: TableConfig) -> Table:
    """Return the columns with their uses, as config.yaml names them."""
    columns = tuple(columns)
    names = [column.name for column in columns]
    for name in (config.target, *config.key, *config.exclude):
        if name not in names:
            hint = nearest(name, names)
            raise UserError(
                f"config.yaml names the column {name!r}, but schema.yaml does not{hint}"
            )

    target = columns[names.index(config.target)]
    task = find_task(target, config.task)
    table = Table(
        columns, config.target, task, tuple(config.key), tuple(config.exclude)
    )
    if not table.features:
        raise UserError(
            "schema.yaml leaves no column to train on; see `exclude` in config.yaml"
        )
    return table


def rows_to_predict(table: Table, unknown_categories: str) -> Table:
    """Return what rows to predict look like: no target, no key, and maybe new categories."""
    columns = []
    for column in table.features:
        checks = dict(column.checks)
        if unknown_categories == "accept" and column.kind == "category":
            checks.pop("isin", None)
        columns.append(replace(column, checks=checks))
    return replace(table, columns=tuple(columns), key=(), excluded=())


def find_task(target: Column, wanted: Task | None = None) -> Task:
    """Return the task that is wanted, or the one that the kind of the target asks for."""
    if target.kind == "date":
        raise UserError(
            f"the target {target.name!r} is a date; it must be classes or a number"
        )
    is_classes = target.kind in ("category", "boolean")
    if is_classes and wanted == "regression":
        raise UserError(
            f"config.yaml: task: the target {target.name!r} is not a number"
        )
    if wanted:
        return wanted
    return "classification" if is_classes or target.categories else "regression"


def read_columns(path: Path, config: TableConfig) -> list[Column]:
    """Read the columns that schema.yaml describes."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        properties = dict(content["columns"])
    except FileNotFoundError as error:
        raise UserError(
            f"{path} is missing; it must describe the table's columns"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is not a pandera schema: {reason}") from error
    if not properties:
        raise UserError(f"{path} names no columns")
    columns = []
    for name, about in properties.items():
        try:
            column = _read_column(normalize_name(name), about)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UserError(f"{path}: column {name!r}: {error}") from error
        columns.append(replace(column, spelling=find_spelling(column.name, config)))
    return columns


def normalize_name(name: Any) -> str:
    """Return a column's name without surrounding spaces, its accents in Unicode NFC."""
    return unicodedata.normalize("NFC", str(name).strip())


def find_spelling(name: str, config: TableConfig) -> Spelling:
    """Return how config.yaml says that the values of a column are written."""
    return Spelling(
        missing=tuple(config.missing_values),
        true=tuple(config.true_values),
        false=tuple(config.false_values),
        date_formats=tuple(config.formats_of(name)),
        decimal=config.decimal,
    )


def _read_column(name: str, properties: Mapping[str, Any]) -> Column:
    """Return one column of schema.yaml. Raises ValueError if it is not understood."""
    kind = find_kind(properties.get("dtype"))
    checks = dict(properties.get("checks") or {})
    checks |= {
        key: value for key, value in properties.items() if key not in _COLUMN_PROPERTIES
    }
    metadata = properties.get("metadata") or {}
    minimum, maximum = _find_limits(checks)
    if kind == "date":
        minimum, maximum = _as_iso(minimum), _as_iso(maximum)
    return Column(
        name=name,
        kind=kind,
        nullable=bool(properties.get("nullable", False)),
        minimum=minimum,
        maximum=maximum,
        categories=_find_categories(kind, checks),
        description=properties.get("description"),
        checks=checks,
        **{key: metadata[key] for key in _METADATA if key in metadata},
    )


def find_kind(dtype: Any) -> Kind:
    """Return the kind of a column with a dtype of pandas."""
    if not dtype:
        raise ValueError("it has no dtype")
    for beginning, kind in _KIND_OF_DTYPE.items():
        if str(dtype).lower().startswith(beginning):
            return kind
    raise ValueError(
        f"unknown dtype {dtype!r}; use one of {', '.join(DTYPES.values())}"
    )


def _as_iso(limit: Any) -> str | None:
    """Return a limit of dates, which YAML may hold as text or as a date, as text."""
    return None if limit is None else datetime.fromisoformat(str(limit)).isoformat()


def _find_limits(checks: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return the smallest and the largest value that the checks allow, if they limit it."""
    limits = {name: _argument(value) for name, value in checks.items()}
    if "in_range" in checks:
        both = checks["in_range"]
        limits["ge" if both.get("include_min", True) else "gt"] = both["min_value"]
        limits["le" if both.get("include_max", True) else "lt"] = both["max_value"]

    minimum = limits.get("ge", limits.get("greater_than_or_equal_to"))
    maximum = limits.get("le", limits.get("less_than_or_equal_to"))
    above = limits.get("gt", limits.get("greater_than"))
    below = limits.get("lt", limits.get("less_than"))
    if above is not None:
        minimum = _next_value(above, math.inf)
    if below is not None:
        maximum = _next_value(below, -math.inf)
    return minimum, maximum


def _argument(value: Any) -> Any:
    """Return the only argument of a check, which may be written with its name or without."""
    if isinstance(value, Mapping):
        names = ("min_value", "max_value", "allowed_values", "value")
        return next((value[name] for name in names if name in value), None)
    return value


def _next_value(limit: Any, direction: float) -> Any:
    """Return the number next to a limit that is not allowed itself."""
    return math.nextafter(limit, direction) if isinstance(limit, int | float) else limit


def _find_categories(kind: Kind, checks: Mapping[str, Any]) -> tuple[str | int, ...]:
    """Return the values that the check `isin` lists."""
    listed = _argument(checks.get("isin")) or []
    if kind == "category" and not all(isinstance(each, str) for each in listed):
        raise ValueError(
            'the categories must be text; write "No", "Yes" or "1" in quotes, '
            "because YAML reads them as something else"
        )
    return tuple(listed)


def build_schema(columns: Iterable[Column]) -> "pa.DataFrameSchema":
    """Return the pandera schema of some columns."""
    import pandera.pandas as pa

    pandera_columns = {}
    for column in columns:
        checks = [_build_check(column, *check) for check in column.checks.items()]
        dtype = DTYPES[column.kind]
        pandera_columns[column.name] = pa.Column(
            dtype, checks, nullable=column.nullable
        )
    return pa.DataFrameSchema(pandera_columns)


def _build_check(column: Column, name: str, arguments: Any) -> "pa.Check":
    """Return one check of a column, as pandera has it."""
    import pandas as pd
    import pandera.pandas as pa

    if not isinstance(arguments, Mapping):
        arguments = {"value": arguments}
    arguments = {key: value for key, value in arguments.items() if key != "options"}
    if column.kind == "date":
        arguments = {key: pd.Timestamp(value) for key, value in arguments.items()}
    try:
        check = getattr(pa.Check, name)
        return (
            check(*arguments.values()) if "value" in arguments else check(**arguments)
        )
    except Exception as error:  # pandera raises errors of many kinds
        reason = " ".join(str(error).split())
        raise UserError(
            f"schema.yaml: column {column.name!r}: check {name!r}: {reason}"
        ) from error
