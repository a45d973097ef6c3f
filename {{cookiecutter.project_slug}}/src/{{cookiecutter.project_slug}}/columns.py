"""What the schema says of each column, as plain data that needs neither pandas nor pandera.

Training reads it from schema.yaml (see schema.py) and puts it into the model file; the server
reads it from there. So both follow the same contract, and the server starts in no time.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["number", "integer", "boolean", "category", "date"]
Task = Literal["classification", "regression"]


@dataclass(frozen=True)
class Column:
    """One column: its name, its kind and its limits (of dates: in ISO format)."""

    name: str
    kind: Kind
    nullable: bool = False
    minimum: float | str | None = None
    maximum: float | str | None = None
    categories: tuple[str | int, ...] = ()


@dataclass(frozen=True)
class Table:
    """The features in their order, the target, and what is to be done with it."""

    features: tuple[Column, ...]
    target: Column
    task: Task

    def to_dict(self) -> dict[str, Any]:
        """Return the table as plain dictionaries and lists, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Table":
        """Build the table from what `to_dict` gave."""
        return cls(
            features=tuple(_column(column) for column in content["features"]),
            target=_column(content["target"]),
            task=content["task"],
        )


def _column(content: dict[str, Any]) -> Column:
    return Column(**{**content, "categories": tuple(content["categories"])})
