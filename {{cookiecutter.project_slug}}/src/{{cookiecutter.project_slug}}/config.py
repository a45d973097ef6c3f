"""Read config.yaml: everything a team sets without touching code.

An environment variable overrides the file: SERVING__PORT=9000 sets `port` of `serving`.
"""

import os
from glob import escape
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from .utils import UserError

FILE_NAME = "config.yaml"
DELIMITER = "__"  # in SERVING__PORT

Task = Literal["classification", "regression"]
Share = Annotated[float, Field(gt=0, lt=1)]
Rate = Annotated[float, Field(gt=0, le=1)]
Port = Annotated[int, Field(ge=0, le=65535)]


def _as_list(value):
    """Accept a single name without brackets, and null for no name."""
    if value is None:
        return []
    return [value] if isinstance(value, str) else value


class Section(BaseModel):
    """A part of config.yaml. An unknown name in it is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Paths(Section):
    """Where files are; relative to config.yaml. `raw` is a glob."""

    raw: str
    processed: Path
    rejected: Path
    model: Path
    logs: Path


class SourceConfig(Section):
    """Where rows come from, if not from the raw files alone.

    `query` is a file of SQL. `database` names what runs it; otherwise DuckDB does, and
    the query sees the raw files as tables.
    """

    query: Path | None = None
    database: str | None = None


class SinkConfig(Section):
    """A table in a database that the clean rows are loaded into as well."""

    database: str
    table: str


class TableConfig(Section):
    """The format of the table's files, and the role of its columns.

    `sheet` is the sheet of an Excel file, by default the first one. `keep` says which
    of several rows with the same key is kept. `filter` is a pandas query that selects
    the rows in scope. `date_formats` are tried in order after ISO 8601; use a mapping
    from column to formats if columns differ.
    """

    separator: str = Field(default=",", min_length=1, max_length=1)
    sheet: str | None = None
    encoding: str = "utf-8"
    decimal: Literal[".", ","] = "."
    missing_values: list[str] = [""]
    true_values: list[str] = ["true"]
    false_values: list[str] = ["false"]
    date_formats: list[str] | dict[str, list[str]] = []
    key: Annotated[list[str], BeforeValidator(_as_list)] = []
    keep: Literal["last", "first"] = "last"
    filter: str | None = None
    target: str
    task: Task | None = None
    exclude: list[str] = []
    max_rejected_share: float = Field(default=0.1, ge=0, le=1)


class Cost(Section):
    """The cost of each kind of error, in any unit."""

    false_positive: NonNegativeFloat
    false_negative: NonNegativeFloat


class Threshold(Section):
    """The threshold of the positive class, or how to choose it: one of these."""

    value: Share | None = None
    recall: Rate | None = None
    precision: Rate | None = None
    cost: Cost | None = None

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value):
        """Accept a plain number. Refuse more than one rule."""
        rules = value if isinstance(value, dict) else {"value": value}
        if len(rules) != 1:
            raise ValueError(
                "write a number, or one of recall, precision and cost (an environment "
                "variable adds to the rule in config.yaml)"
            )
        return rules


class TrainingConfig(Section):
    """Which model is trained, how it is evaluated, and when it is served."""

    model: str
    metric: str | None = None
    threshold: Threshold | None = None
    positive: bool | int | str | None = None
    promote: Literal["if_better", "always", "never"] = "if_better"
    keep_models: int = Field(default=10, ge=2)
    max_drift: PositiveFloat = 0.1
    test_share: Share = 0.2
    date: str | None = None
    group: str | None = None
    slices: list[str] | None = None
    random_seed: int = 0
    settings: dict[str, dict] = {}

    def with_settings(self, model: str, changed: dict) -> "TrainingConfig":
        """Return a copy with changed settings of a model.

        The other settings of the model, and those of other models, stay.
        """
        of_model = {**self.settings.get(model, {}), **changed}
        return self.model_copy(update={"settings": {**self.settings, model: of_model}})


class ServingConfig(Section):
    """How the model is served over HTTP."""

    host: str = "127.0.0.1"
    port: Port = 8000
    workers: PositiveInt = 1
    unknown_categories: Literal["accept", "reject"] = "accept"
    max_rows: PositiveInt = 10_000
    max_bytes: PositiveInt = 10_000_000
    access_log: bool = True
    metrics_port: Port | None = None
    log_predictions: Path | None = None


class Config(BaseSettings):
    """The whole of config.yaml, and the folder it is in."""

    model_config = SettingsConfigDict(
        frozen=True, env_nested_delimiter=DELIMITER, env_ignore_empty=True
    )

    root: Path
    paths: Paths
    source: SourceConfig = SourceConfig()
    sink: SinkConfig | None = None
    table: TableConfig
    training: TrainingConfig
    serving: ServingConfig

    @classmethod
    def settings_customise_sources(  # type: ignore[override]
        cls, settings_cls, init_settings, env_settings, **others
    ):
        """Let variables such as SERVING__PORT override the file; ignore all others."""
        variables = env_settings.env_vars.items()
        env_settings.env_vars = {
            name: value for name, value in variables if DELIMITER in name
        }
        return env_settings, init_settings

    @property
    def schema_file(self) -> Path:
        """Return the file that describes the table."""
        return self.root / "schema.yaml"


def _find_root(start: Path) -> Path:
    """Return the nearest folder at or above `start` that holds config.yaml."""
    for folder in (start, *start.parents):
        if (folder / FILE_NAME).is_file():
            return folder

    raise UserError(
        f"no {FILE_NAME} in {start} or above; run this from the project's folder"
    )


def read_config(start: Path | None = None) -> Config:
    """Read the config.yaml at or above `start`, by default the current folder.

    By default paths are relative to the current folder, which keeps messages short.
    """
    root = _find_root(start or Path.cwd())
    if start is None:
        root = Path(os.path.relpath(root))

    try:
        content = yaml.safe_load((root / FILE_NAME).read_text(encoding="utf-8"))
        config = Config(root=root, **content)
    except ValidationError as error:
        raise UserError(_describe_error(error)) from error
    except (yaml.YAMLError, OSError, TypeError, ValueError) as error:
        raise UserError(
            f"{FILE_NAME} is not valid YAML, or a list in a variable not JSON: {error}"
        ) from error

    paths: dict = {name: root / path for name, path in config.paths}
    paths["raw"] = str(Path(escape(str(root)), config.paths.raw))
    source = config.source
    if source.query:
        source = source.model_copy(update={"query": root / source.query})

    return config.model_copy(update={"paths": Paths(**paths), "source": source})


def _describe_error(error: ValidationError) -> str:
    """Return where the first mistake is, in the file or a variable, and what it is."""
    errors = error.errors(include_url=False)
    # A misspelled name explains why another one is missing.
    first = min(errors, key=lambda each: each["type"] != "extra_forbidden")
    place = [str(part) for part in first["loc"]]
    variable = DELIMITER.join(place[:2]).upper()
    if variable in {name.upper() for name in os.environ}:
        return f"environment variable {variable}: {first['msg']}"

    return f"{FILE_NAME}: {'.'.join(place)}: {first['msg']}"
