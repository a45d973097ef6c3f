import pandas as pd
import pytest

import tools.column_decisions as decisions
from {{ cookiecutter.project_slug }}.config import TableConfig
from {{ cookiecutter.project_slug }}.schema import Column
from {{ cookiecutter.project_slug }}.utils import UserError

CONFIG = TableConfig(target="y", task="classification", key="k", exclude=["unwanted"])


def infer(**columns: list[str]) -> dict[str, decisions.Decision]:
    frame = pd.DataFrame(columns, dtype="str")
    return {each.column.name: each for each in decisions.infer(frame, CONFIG)}


def test_every_column_is_decided_on_once_and_in_its_order() -> None:
    found = infer(
        k=[f"k{number}" for number in range(40)],
        amount=[f"{number * 7 % 40}.5" for number in range(40)],
        unwanted=["1.5", "2.5"] * 20,
        constant=["x"] * 40,
        flag=["x", ""] * 20,
        empty=[""] * 40,
        note=[f"the parcel {number} came too late" for number in range(40)],
        code=[f"{number % 3:03}" for number in range(40)],
        day=["2024-01-31", "2024-02-01"] * 20,
        y=["yes", "no"] * 20,
    )
    kinds = {name: each.column.kind for name, each in found.items()}
    kinds_of_the_rest = {"amount": "number", "unwanted": "number", "day": "date"}
    assert kinds == dict.fromkeys(found, "category") | kinds_of_the_rest
    excluded = [name for name, each in found.items() if each.excluded]
    assert excluded == ["unwanted", "constant", "empty", "note"]
    assert found["code"].column == Column(
        "code", "category", True, categories=("000", "001", "002")
    )
    assert found["day"].look.startswith("the column gives the target away")


def test_a_target_that_can_be_no_class_is_refused() -> None:
    with pytest.raises(UserError, match="the target 'y' has 30 different values in 30 rows"):
        infer(y=[f"name {number}" for number in range(30)], x=["1", "2"] * 15)
    with pytest.raises(UserError, match="the target 'y' has 1 different values in 30 rows"):
        infer(y=["same"] * 30, x=["1", "2"] * 15)


def test_the_classes_of_the_target() -> None:
    def decide(classes: str) -> Column:
        config = TableConfig(target="y", task="classification")
        return decisions.decide_target(pd.Series(classes.split() * 10), config).column

    assert decide("No Yes yes Yes") == Column("y", "category", categories=("No", "Yes"))
    assert decide("1 2.0 3") == Column("y", "integer", categories=(1, 2, 3))
    assert decide("JFK LAX") == Column("y", "category", categories=("JFK", "LAX"))
    assert decide("01 02") == Column("y", "category", categories=("01", "02"))
    assert decide("True false") == Column("y", "boolean")
