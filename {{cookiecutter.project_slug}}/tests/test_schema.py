"""What config.yaml and schema.yaml say, and the small helpers of utils."""

import json
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from {{ cookiecutter.project_slug }}.config import Config, Task, read_config
from {{ cookiecutter.project_slug }}.schema import (
    Column,
    Table,
    describe_table,
    read_schema,
    read_table,
)
from {{ cookiecutter.project_slug }}.utils import (
    UserError,
    calculate_rmse,
    clean_text,
    command,
    fingerprint,
    nearest,
    write_atomically,
)


def write_schema(config: Config, columns: dict[str, Any]) -> None:
    content = {"schema_type": "dataframe", "columns": columns}
    config.schema_file.write_text(yaml.safe_dump(content), encoding="utf-8")


def test_describes_the_features_and_the_target(config: Config) -> None:
    table = read_table(config)
    assert table.features == (
        Column("Total Charges", "number", True, 0, 100),
        Column("class", "integer", True),
        Column("größe", "category", True, categories=("Small", "Large")),
        Column("member", "boolean", True),
        Column("since", "date", True),
    )
    assert table.target == Column("outcome", "category", categories=("lost", "won"))
    assert table.task == "classification"


@pytest.mark.parametrize(
    ("target", "task"),
    [
        ({"dtype": "str"}, "classification"),
        ({"dtype": "boolean"}, "classification"),
        ({"dtype": "Int64", "isin": [1, 2, 3]}, "classification"),
        ({"dtype": "Int64"}, "regression"),
        ({"dtype": "float64"}, "regression"),
    ],
)
def test_the_kind_of_the_target_decides_the_task(
    config: Config, target: dict[str, Any], task: str
) -> None:
    write_schema(
        config, {"id": {"dtype": "str"}, "a": {"dtype": "float64"}, "outcome": target}
    )
    assert read_table(config).task == task


@pytest.mark.parametrize(
    ("target", "task"),
    [
        ({"dtype": "Int64"}, "classification"),
        ({"dtype": "Int64", "isin": [1, 2, 3]}, "regression"),
        ({"dtype": "str"}, "classification"),
    ],
)
def test_the_task_in_the_config_decides_first(
    config: Config, target: dict[str, Any], task: Task
) -> None:
    write_schema(
        config, {"id": {"dtype": "str"}, "a": {"dtype": "float64"}, "outcome": target}
    )
    table = config.table.model_copy(update={"task": task})
    assert describe_table(read_schema(config.schema_file), table).task == task


@pytest.mark.parametrize("dtype", ["str", "boolean"])
def test_a_regression_needs_a_number(config: Config, dtype: str) -> None:
    columns = {
        "id": {"dtype": "str"},
        "a": {"dtype": "float64"},
        "outcome": {"dtype": dtype},
    }
    write_schema(config, columns)
    table = config.table.model_copy(update={"task": "regression"})
    with pytest.raises(UserError, match="task: the target 'outcome' is no number"):
        describe_table(read_schema(config.schema_file), table)


def test_the_key_and_the_excluded_columns_are_unused(config: Config) -> None:
    schema = read_schema(config.schema_file)
    assert describe_table(schema, config.table).unused == ("id",)
    excluded = config.table.model_copy(update={"exclude": ["since", "class"]})
    table = describe_table(schema, excluded)
    assert table.unused == ("id", "class", "since")
    assert [column.name for column in table.features] == [
        "Total Charges",
        "größe",
        "member",
    ]
    unknown = config.table.model_copy(update={"key": None, "exclude": ["sinse"]})
    assert (
        describe_table(schema, config.table.model_copy(update={"key": None})).unused
        == ()
    )
    with pytest.raises(
        UserError, match=r"config\.yaml names the column 'sinse', but schema"
    ):
        describe_table(schema, unknown)


@pytest.mark.parametrize(
    ("checks", "minimum", "maximum"),
    [
        ({"in_range": {"min_value": 0, "max_value": 9}}, 0, 9),
        ({"greater_than_or_equal_to": 0, "less_than_or_equal_to": 9}, 0, 9),
        ({"greater_than": 0}, 5e-324, None),
        ({"less_than": 9.0}, None, 8.999999999999998),
        (
            {"in_range": {"min_value": 1, "max_value": 9, "include_min": False}},
            1 + 2**-52,
            9,
        ),
    ],
)
def test_limits_are_the_last_values_allowed(
    config: Config, checks: dict[str, Any], minimum: float | None, maximum: float | None
) -> None:
    column = {"dtype": "float64", **checks}
    outcome = {"dtype": "str"}
    write_schema(config, {"id": {"dtype": "str"}, "a": column, "outcome": outcome})
    (feature,) = read_table(config).features
    assert (feature.minimum, feature.maximum) == (minimum, maximum)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": {"dtype": "float64"}}, "'outcome', but schema.yaml does not"),
        (
            {"id": {"dtype": "str"}, "outcome": {"dtype": "str"}},
            "no column to learn from",
        ),
        (
            {
                "id": {"dtype": "str"},
                "a": {"dtype": "str"},
                "outcome": {"dtype": "datetime64[ns]"},
            },
            "the target 'outcome' is a date",
        ),
        (
            {"id": {"dtype": "str"}, "a": {}, "outcome": {"dtype": "str"}},
            "'a' no dtype",
        ),
        (
            {
                "id": {"dtype": "str"},
                "a": {"dtype": "str", "isin": [True]},
                "outcome": {},
            },
            "the categories of 'a' must be text",
        ),
        ({"id": {"dtype": "nonsense"}}, "not a pandera schema"),
        ({}, "names no columns"),
    ],
)
def test_a_mistake_is_named(
    config: Config, columns: dict[str, Any], message: str
) -> None:
    write_schema(config, columns)
    with pytest.raises(UserError, match=message) as error:
        read_table(config)
    assert "\n" not in str(error.value)


def test_metadata_is_plain_data_for_features(config: Config) -> None:
    a: dict[str, Any] = {
        "dtype": "Int64",
        "description": "calls",
        "metadata": {"per": "b"},
    }
    columns = {"id": {"dtype": "str"}, "outcome": {"dtype": "str"}, "a": a}
    write_schema(config, columns)
    assert read_table(config).features == (
        Column("a", "integer", description="calls", metadata={"per": "b"}),
    )
    a["metadata"] = {"since": date(2026, 1, 1)}
    write_schema(config, columns)
    with pytest.raises(UserError, match=r"not a pandera schema: .* date is not JSON"):
        read_table(config)


def test_a_missing_file_is_named(config: Config) -> None:
    config.schema_file.unlink()
    with pytest.raises(UserError, match=r"schema\.yaml is missing"):
        read_schema(config.schema_file)


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


@pytest.mark.parametrize(
    "change", [{"task": "guess"}, {"target": {"name": "y"}}, {"features": 3}]
)
def test_what_is_no_table_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Table).validate_python(asdict(TABLE) | change)


def test_paths_start_at_the_folder_of_the_file(config: Config) -> None:
    assert config.paths.model == config.root / "models" / "model.onnx"
    assert config.paths.raw == str(config.root / "data" / "raw" / "*.csv")


def test_is_found_from_a_folder_below(config: Config) -> None:
    below = config.root / "notebooks"
    below.mkdir()
    assert read_config(below).root == config.root


def test_without_the_file_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"no config\.yaml in .*; run this from the project"
    ):
        read_config(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("test_share: 0.2", "test_share: 2", r"training\.test_share: .* less than 1"),
        ("test_share: 0.2", "test_shore: 0.2", r"training\.test_shore: Extra inputs"),
        ("test_share: 0.2", "test_share: [", "not valid YAML"),
        ("target: outcome", "goal: outcome", r"table\."),
    ],
)
def test_a_mistake_in_config_yaml_is_named(
    config: Config, old: str, new: str, message: str
) -> None:
    file = config.root / "config.yaml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(UserError, match=message) as error:
        read_config(config.root)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["", "- a list", "text"])
def test_other_content_is_one_line_too(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"config\.yaml"):
        read_config(tmp_path)


# --- small helpers ---


def test_clean_text_removes_blanks_and_capitals() -> None:
    assert clean_text(" Hello World ") == "hello world"
    assert clean_text("two\t words\n") == "two words"


def test_calculate_rmse() -> None:
    assert calculate_rmse([1, 2, 3], [1, 2, 3]) == 0
    assert calculate_rmse([0, 0], [3, 4]) == pytest.approx(12.5**0.5)


def test_nearest_names_the_similar_one_or_nothing() -> None:
    assert nearest("hight", ["height", "width"]) == " (the nearest is 'height')"
    assert nearest("xyz", ["height", "width"]) == ""


def test_fingerprint_follows_the_content_of_files_and_folders(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("one", encoding="utf-8")
    before = fingerprint(file), fingerprint(tmp_path)
    assert before == (fingerprint(file), fingerprint(tmp_path))
    file.write_text("two", encoding="utf-8")
    assert fingerprint(file) != before[0]
    assert fingerprint(tmp_path) != before[1]


def test_write_atomically_replaces_the_file_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file.txt"
    with write_atomically(target) as file:
        file.write_text("new", encoding="utf-8")
        assert not target.exists()
    assert target.read_text(encoding="utf-8") == "new"
    assert list(target.parent.iterdir()) == [target]


def test_write_atomically_keeps_the_old_file_when_writing_fails(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old", encoding="utf-8")
    with pytest.raises(ZeroDivisionError), write_atomically(target) as file:
        file.write_text("half", encoding="utf-8")
        raise ZeroDivisionError
    assert target.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_command_tells_a_user_error_in_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    @command
    def main() -> None:
        raise UserError("no such table; run: make one")

    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: no such table; run: make one\n"
