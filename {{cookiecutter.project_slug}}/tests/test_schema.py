from dataclasses import replace

import pytest
import yaml

from {{ cookiecutter.project_slug }}.schema import Column, read_table
from {{ cookiecutter.project_slug }}.utils import UserError

TEXT = {"dtype": "str"}


def write_schema(config, **columns):
    """Write a schema with a key, the target of the tests' config, and more columns."""
    columns = {"id": TEXT, "outcome": TEXT, **columns}
    content = {"schema_type": "dataframe", "columns": columns}
    config.schema_file.write_text(yaml.safe_dump(content), encoding="utf-8")


def test_columns_are_described(config):
    table = read_table(config)
    spelling = table.columns[0].spelling
    expected = [
        Column("Total Charges", "number", True, 0, 100),
        Column("class", "integer", True),
        Column("größe", "category", True, categories=("Small", "Large")),
        Column("member", "boolean", True),
        Column("since", "date", True),
    ]
    assert list(table.features) == [
        replace(each, spelling=spelling) for each in expected
    ]
    assert (table.target.name, table.task) == ("outcome", "classification")
    assert spelling.missing == ("", "?")
    assert (spelling.true, spelling.false) == (("yes",), ("no",))
    assert table.numbers == ["Total Charges", "class"]
    assert table.categories == ["größe", "member"]
    assert table.dates == ["since"]
    assert table.unused == ["id", "outcome"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, "no column to train on"),
        ({"outcome": {"dtype": "datetime64[ns]"}, "a": TEXT}, "'outcome' is a date"),
        ({"a": {}}, "column 'a': dtype None is not one of float64, "),
        ({"a": {"dtype": "complex"}}, "column 'a': dtype 'complex' is not one of"),
        ({"a": {**TEXT, "isin": [True]}}, "column 'a': categories and .* be text"),
        ({"a": {**TEXT, "is_in": ["x"]}}, "column 'a': unknown check 'is_in'; use"),
        ({"a": {**TEXT, "metadata": {"unti": "x"}}}, "column 'a': .* argument 'unti'"),
    ],
)
def test_a_mistake_is_named(config, columns, message):
    write_schema(config, **columns)
    with pytest.raises(UserError, match=message) as error:
        read_table(config)
    assert "\n" not in str(error.value)


def test_a_column_in_config_yaml_must_be_in_schema_yaml(config):
    table_config = config.table.model_copy(update={"exclude": ["sinse"]})
    changed = config.model_copy(update={"table": table_config})
    with pytest.raises(UserError, match=r"'sinse', but .* nearest is 'since'"):
        read_table(changed)
