"""Read schema.yaml, the contract: the only file that must know the table's columns.

Its keys are those of pandera (https://pandera.readthedocs.io). The dtype says what a
column is: float64 a number, Int64 a whole number, boolean, datetime64[ns] a date, str a
category. `isin` lists the categories, `in_range` and its like are limits, `nullable`
allows missing values; docs/own-table.md describes `metadata`.

It is read into plain data, a `Table`, which also goes into the model file. So the
pipeline, `predict` and the service all follow the same contract.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import yaml

from .config import Config, TableConfig, Task, read_config
from .utils import UserError, nearest, normalize_text

Kind = Literal["number", "integer", "boolean", "category", "date"]

DTYPES: dict[Kind, str] = {
    "number": "float64",
    "integer": "Int64",
    "boolean": "boolean",
    "date": "datetime64[us]",
    "category": "str",
}
_KIND_OF_DTYPE: dict[str, Kind] = {  # by the first letters of the dtype
    "float": "number",
    "int": "integer",
    "uint": "integer",
    "bool": "boolean",
    "datetime": "date",
    "str": "category",
    "object": "category",
}
_ARGUMENTS = {  # the arguments of each check
    "in_range": ["min_value", "max_value"],
    "isin": ["allowed_values"],
    "greater_than": ["min_value"],
    "greater_than_or_equal_to": ["min_value"],
    "less_than": ["max_value"],
    "less_than_or_equal_to": ["max_value"],
}
_INCLUDE = {"include_min", "include_max"}
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
    and `unreadable` of a text that can't be read. `has_time` makes the hour of a date a
    feature. `digits` is the length of codes such as 01234, for requests that spell them
    as numbers.
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
    def unused(self) -> list:
        """The names of the columns that are not features."""
        used = {column.name for column in self.features}
        return [column.name for column in self.columns if column.name not in used]

    @property
    def numbers(self) -> list:
        """The names of the features that are numbers."""
        return self._name_features("number", "integer")

    @property
    def categories(self) -> list:
        """The names of the features that are categories or booleans."""
        return self._name_features("category", "boolean")

    @property
    def dates(self) -> list:
        """The names of the features that are dates."""
        return self._name_features("date")

    def _name_features(self, *kinds: Kind) -> list:
        return [column.name for column in self.features if column.kind in kinds]


def read_table(config: Config | None = None) -> Table:
    """Read schema.yaml, and the table's part of config.yaml."""
    config = config or read_config()
    return describe_table(read_columns(config.schema_file, config.table), config.table)


def describe_table(columns: Iterable[Column], config: TableConfig) -> Table:
    """Combine the columns with their roles in config.yaml: target, key, excluded.

    Raises UserError if a column of config.yaml is missing, or if no feature is left.
    """
    by_name = {column.name: column for column in columns}
    unused = [config.target, *config.key, *config.exclude]
    for name in unused:
        if name not in by_name:
            raise UserError(
                f"config.yaml names the column {name!r}, but schema.yaml does not"
                + nearest(name, by_name)
            )

    features = [column for name, column in by_name.items() if name not in unused]
    if not features:
        raise UserError(
            "schema.yaml leaves no column to train on; see `exclude` in config.yaml"
        )

    target = by_name[config.target]

    return Table(
        columns=tuple(by_name.values()),
        features=tuple(features),
        target=target,
        task=find_task(target, config.task),
        key=tuple(config.key),
        keep=config.keep,
        filter=config.filter,
    )


def find_task(target: Column, wanted: Task | None = None) -> Task:
    """Return the task in config.yaml, or else the one that the target's kind asks for.

    Text, booleans and listed values make a classification, other numbers a regression.
    """
    is_class = target.kind in ("category", "boolean")
    if target.kind == "date" or (is_class and wanted == "regression"):
        raise UserError(
            f"the target {target.name!r} is a {target.kind}; a model predicts classes "
            "or a number: see `target` and `task` in config.yaml"
        )

    if is_class:
        return "classification"

    return wanted or ("classification" if target.categories else "regression")


def read_columns(path: Path, config: TableConfig) -> list[Column]:
    """Read the columns that schema.yaml describes. Raises UserError if it is wrong."""
    columns = []
    place = ""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        for name, properties in content["columns"].items():
            place = f"column {name!r}: "
            name = normalize_text(str(name))
            columns.append(_read_column(name, properties, config))
    except Exception as error:  # of many kinds: YAML may hold anything
        raise UserError(f"{path} is not a valid schema: {place}{error}") from error

    return columns


def _read_column(name: str, properties: dict, config: TableConfig) -> Column:
    """Return one column of schema.yaml. Raises ValueError if it is wrong."""
    kind = _find_kind(properties.get("dtype"))
    checks = {key: properties[key] for key in properties if key not in _PROPERTIES}
    limits = _read_checks(checks)
    low, high = limits.get("min_value"), limits.get("max_value")
    if kind == "date":
        low, high = (end and _write_date(end) for end in (low, high))

    categories = tuple(limits.get("allowed_values", ()))
    metadata = properties.get("metadata") or {}
    metadata = {option: value for option, value in metadata.items() if value}
    for option in ("out_of_range", "unreadable"):
        if metadata.get(option, "reject") not in ("reject", "missing"):
            raise ValueError(f"{option} must be reject or missing")

    replaced = metadata.get("replace", {})
    texts = [*replaced, *replaced.values()]
    if kind == "category":
        texts += categories
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(
            'categories and `replace` must be text; write "No", "Yes" or "1" in '
            "quotes, because YAML reads them as something else"
        )

    return Column(
        name,
        kind,
        nullable=properties.get("nullable", False),
        minimum=low,
        maximum=high,
        categories=categories,
        description=properties.get("description"),
        spelling=find_spelling(name, config),
        **metadata,
    )


def _read_checks(checks: dict) -> dict:
    """Return the arguments of all checks; a limit is the last value that is allowed."""
    arguments: dict = {}
    for check, given in checks.items():
        if check not in _ARGUMENTS:
            raise ValueError(f"unknown check {check!r}; use {', '.join(_ARGUMENTS)}")
        names = _ARGUMENTS[check]
        if not isinstance(given, Mapping):
            given = {names[0]: given}
        if set(given) - _INCLUDE != set(names):
            raise ValueError(f"{check} takes {' and '.join(names)}")
        arguments |= given

    if "greater_than" in checks or arguments.get("include_min") is False:
        arguments["min_value"] = math.nextafter(arguments["min_value"], math.inf)
    if "less_than" in checks or arguments.get("include_max") is False:
        arguments["max_value"] = math.nextafter(arguments["max_value"], -math.inf)

    return arguments


def _write_date(limit: Any) -> str:
    """Return a limit of dates in ISO format, without a time of day if that is 0:00."""
    text = datetime.fromisoformat(str(limit)).isoformat()
    return text.removesuffix("T00:00:00")


def find_spelling(name: str, config: TableConfig) -> Spelling:
    """Return how config.yaml says that the values of a column are written."""
    formats = config.date_formats
    if isinstance(formats, dict):
        formats = formats.get(name, [])

    return Spelling(
        tuple(config.missing_values),
        tuple(config.true_values),
        tuple(config.false_values),
        tuple(formats),
        config.decimal,
    )


def _find_kind(dtype: Any) -> Kind:
    """Return the kind of a column with a dtype of pandas."""
    for beginning, kind in _KIND_OF_DTYPE.items():
        if str(dtype).lower().startswith(beginning):
            return kind
    raise ValueError(f"dtype {dtype!r} is not one of {', '.join(DTYPES.values())}")


def rows_to_predict(table: Table, unknown_categories: str) -> Table:
    """Return the table of rows to predict: only features, no key and no filter."""
    is_closed = unknown_categories == "reject"
    columns = [replace(column, is_closed=is_closed) for column in table.features]
    return replace(table, columns=tuple(columns), key=(), filter=None)
