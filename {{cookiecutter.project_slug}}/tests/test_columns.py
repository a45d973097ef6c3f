import json
from dataclasses import asdict
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from {{ cookiecutter.project_slug }}.columns import Column, Table

TABLE = Table(
    features=(
        Column("Total Charges", "number", True, 0, 100.5),
        Column("größe", "category", True, categories=("Small", "Large")),
        Column("since", "date", False, "2000-01-01T00:00:00", None),
    ),
    target=Column("class", "integer", categories=(1, 2, 3)),
    task="classification",
)


def test_a_table_survives_json_as_in_the_model_file() -> None:
    content = json.loads(json.dumps(asdict(TABLE)))
    assert TypeAdapter(Table).validate_python(content) == TABLE


@pytest.mark.parametrize("change", [{"task": "guess"}, {"target": {"name": "y"}}, {"features": 3}])
def test_what_is_no_table_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Table).validate_python(asdict(TABLE) | change)
