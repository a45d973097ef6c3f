"""What the schema says of each column, as plain data that needs neither pandas nor pandera.

Training reads it from schema.yaml (see schema.py) and puts it into the model file; the server
reads it from there. So both follow the same contract, and the server starts in no time.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["number", "integer", "boolean", "category", "date"]
Task = Literal["classification", "regression"]


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


@dataclass(frozen=True)
class Table:
    """The features in their order, the target, and what is to be done with it.

    `unused` names the other columns of a row: the key, and what config.yaml excludes.
    """

    features: tuple[Column, ...]
    target: Column
    task: Task
    unused: tuple[str, ...] = ()
