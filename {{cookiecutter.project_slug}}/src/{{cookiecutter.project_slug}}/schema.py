"""Read schema.yaml, the contract: the only file that must know the table's columns.

The file is a pandera schema (https://pandera.readthedocs.io). The dtype says what a
column is: float64 a number, Int64 a whole number, boolean, datetime64[ns] a date, str a
category. `isin` lists the categories, `in_range` and its like are limits, `nullable`
allows missing values; docs/own-table.md describes `metadata`.

It is read into plain data, a `Table`, which also goes into the model file. So the
pipeline, `predict` and the service all follow the same contract.
"""

import math
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import yaml

from .config import Config, TableConfig, Task, read_config
from .utils import UserError, nearest

Kind = Literal["number", "integer", "boolean", "category", "date"]

DTYPES: dict[Kind, str] = {
    "number": "float64",
    "integer": "Int64",
    "boolean": "boolean",
    "date": "datetime64[us]",
    "category": "str",
}
_KIND_OF_DTYPE: dict[str, Kind] = {  # by the beginning of its name
    "float": "number",
    "int": "integer",
    "uint": "integer",
    "bool": "boolean",
    "datetime": "date",
    "str": "category",
    "object": "category",
}
_CHECKS = (
    *("in_range", "isin", "greater_than", "greater_than_or_equal_to"),
    *("less_than", "less_than_or_equal_to"),
)
_PROPERTIES = {"coerce", "description", "dtype", "metadata", "nullable", "required"}


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

    Limits of dates are texts in ISO format. Categories are closed if no others are
    allowed. From `metadata`: `unit` is removed from numbers, `replace` maps texts
    before they are read, `out_of_range` says what becomes of a value beyond the limits
    and `unreadable` of a text that can't be read, and of a date that `has_time` the
    model sees the hour. `digits` is the length of codes such as 01234, for requests
    that spell them as numbers.
    """

    name: str
    kind: Kind
    nullable: bool = False
    minimum: int | float | str | None = None
    maximum: int | float | str | None = None
    categories: tuple[str | int, ...] = ()
    description: str | None = None
    is_closed: bool = True
    spelling: Spelling = Spelling()
    unit: str | None = None
    replace: Mapping[str, str] = field(default_factory=dict)
    out_of_range: Literal["reject", "missing"] = "reject"
    unreadable: Literal["reject", "missing"] = "reject"
    has_time: bool = False
    digits: int = 0


@dataclass(frozen=True)
class Table:
    """The table's columns in their order, and what they are for."""

    columns: tuple[Column, ...]
    features: tuple[Column, ...]
    target: Column
    task: Task
    key: tuple[str, ...] = ()
    keep: Literal["last", "first"] = "last"
    filter: str | None = None

    @property
    def unused(self) -> list[str]:
        """The names of the columns that are neither features nor the target."""
        used = {self.target.name, *(column.name for column in self.features)}
        return [column.name for column in self.columns if column.name not in used]

    @property
    def numbers(self) -> list[str]:
        """The names of the features that are numbers."""
        return [x.name for x in self.features if x.kind in ("number", "integer")]

    @property
    def categories(self) -> list[str]:
        """The names of the features that are categories or booleans."""
        return [x.name for x in self.features if x.kind in ("category", "boolean")]

    @property
    def dates(self) -> list[str]:
        """The names of the features that are dates."""
        return [x.name for x in self.features if x.kind == "date"]


def read_table(config: Config | None = None) -> Table:
    """Read schema.yaml, and the table's part of config.yaml."""
    config = config or read_config()
    return describe_table(read_columns(config.schema_file, config.table), config.table)


def describe_table(columns: Iterable[Column], config: TableConfig) -> Table:
    """Return the columns with their uses, as config.yaml names them."""
    by_name = {column.name: column for column in columns}
    for name in (config.target, *config.key, *config.exclude):
        if name not in by_name:
            raise UserError(
                f"config.yaml names the column {name!r}, but schema.yaml does not"
                + nearest(name, by_name)
            )

    target = by_name[config.target]
    unused = {config.target, *config.key, *config.exclude}
    features = [column for name, column in by_name.items() if name not in unused]
    if not features:
        raise UserError(
            "schema.yaml leaves no column to train on; see `exclude` in config.yaml"
        )
    task = find_task(target, config.task)
    columns = tuple(by_name.values())
    return Table(
        columns,
        tuple(features),
        target,
        task,
        tuple(config.key),
        config.keep,
        config.filter,
    )


def find_task(target: Column, wanted: Task | None = None) -> Task:
    """Return the task in config.yaml, or else the one that the target's kind asks for.

    Text, booleans and listed values make a classification, other numbers a regression.
    """
    if target.kind == "date":
        raise UserError(
            f"the target {target.name!r} is a date; it must be classes or a number"
        )
    if target.kind in ("category", "boolean"):
        if wanted == "regression":
            raise UserError(
                f"config.yaml: task: the target {target.name!r} is not a number"
            )
        return "classification"
    return wanted or ("classification" if target.categories else "regression")


def read_columns(path: Path, config: TableConfig) -> list[Column]:
    """Read the columns that schema.yaml describes. Raises UserError if it is wrong."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        described = dict(content["columns"] or {})
    except FileNotFoundError as error:
        raise UserError(
            f"{path} is missing; it describes the table's columns"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError, LookupError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is not a pandera schema: {reason}") from error
    if not described:
        raise UserError(f"{path} names no columns")

    columns = []
    for name, properties in described.items():
        try:
            columns.append(_read_column(normalize_name(name), properties, config))
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise UserError(f"{path}: column {name!r}: {error}") from error
    return columns


def normalize_name(name: Any) -> str:
    """Return a column's name without surrounding spaces, accents in Unicode NFC."""
    return unicodedata.normalize("NFC", str(name).strip())


def _read_column(
    name: str, properties: Mapping[str, Any], config: TableConfig
) -> Column:
    """Return one column of schema.yaml. Raises ValueError if it is wrong."""
    kind = find_kind(properties.get("dtype"))
    checks = {key: properties[key] for key in properties if key not in _PROPERTIES}
    for check in checks:
        if check not in _CHECKS:
            raise ValueError(f"unknown check {check!r}; use {', '.join(_CHECKS)}")
    minimum, maximum = _find_limits(kind, checks)
    metadata = properties.get("metadata") or {}
    replaced = metadata.get("replace") or {}
    if not all(isinstance(each, str) for each in (*replaced, *replaced.values())):
        raise ValueError('`replace` maps text to text; write "0" and "No" in quotes')
    return Column(
        name,
        kind,
        properties.get("nullable", False),
        minimum,
        maximum,
        _find_categories(kind, checks),
        properties.get("description"),
        spelling=find_spelling(name, config),
        **metadata,
    )


def find_spelling(name: str, config: TableConfig) -> Spelling:
    """Return how config.yaml says that the values of a column are written."""
    return Spelling(
        tuple(config.missing_values),
        tuple(config.true_values),
        tuple(config.false_values),
        tuple(config.formats_of(name)),
        config.decimal,
    )


def find_kind(dtype: Any) -> Kind:
    """Return the kind of a column with a dtype of pandas."""
    for beginning, kind in _KIND_OF_DTYPE.items():
        if str(dtype).lower().startswith(beginning):
            return kind
    raise ValueError(f"dtype {dtype!r} is not one of {', '.join(DTYPES.values())}")


def _find_limits(kind: Kind, checks: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return the smallest and the largest allowed value; of dates as text."""
    low = high = None
    for name, limit in checks.items():
        both = limit if isinstance(limit, Mapping) else {}
        if name == "in_range" or name.startswith("greater_than"):
            is_open = name == "greater_than" or both.get("include_min") is False
            low = _allowed(both.get("min_value", limit), is_open, math.inf)
        if name == "in_range" or name.startswith("less_than"):
            is_open = name == "less_than" or both.get("include_max") is False
            high = _allowed(both.get("max_value", limit), is_open, -math.inf)
    if kind == "date":
        low, high = (end and _write_date(end) for end in (low, high))
    return low, high


def _write_date(limit: Any) -> str:
    """Return a limit of dates in ISO format, without a time of day if that is 0:00."""
    text = datetime.fromisoformat(str(limit)).isoformat()
    return text.removesuffix("T00:00:00")


def _allowed(limit: Any, is_open: bool, inside: float) -> Any:
    """Return a limit or, if it is not allowed itself, the next number inside."""
    return math.nextafter(limit, inside) if is_open else limit


def _find_categories(kind: Kind, checks: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the values that the check `isin` lists."""
    listed = checks.get("isin", [])
    if isinstance(listed, Mapping):
        listed = listed["allowed_values"]
    if kind == "category" and not all(isinstance(each, str) for each in listed):
        raise ValueError(
            'the categories must be text; write "No", "Yes" or "1" in quotes, '
            "because YAML reads them as something else"
        )
    return tuple(listed)


def rows_to_predict(table: Table, unknown_categories: str) -> Table:
    """Return the table of rows to predict: no target, no key, maybe new categories."""
    is_closed = unknown_categories == "reject"
    columns = [replace(column, is_closed=is_closed) for column in table.features]
    return replace(table, columns=tuple(columns), key=(), filter=None)
