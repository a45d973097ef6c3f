"""Files of every kind that `uv run infer-schema` is given, and what it says of them."""

from pathlib import Path
from typing import Any

import pandas as pd
import pipeline
import pytest
from conftest import write_raw
from customer_churn.config import Config, read_config
from customer_churn.prediction import load_model
from customer_churn.schema import read_schema, read_table
from customer_churn.utils import UserError
from test_infer_schema import SOME, infer, make_table
from customer_churn.tools import infer_schema
from customer_churn.training.train import run


def test_rows_without_a_target_do_not_fail_the_pipeline(config: Config) -> None:
    table = make_table()
    table.loc[:39, "outcome"] = "?"
    changed = infer(config, table)
    assert changed.table.max_rejected_share == 0.5
    record = pipeline.run(changed.paths.raw, changed.paths.processed, changed)
    assert (record["rows_kept"], record["rows_rejected"]) == (60, 40)


@pytest.mark.parametrize(("target", "model"), [("yes", "logistic"), ("Total Charges", "linear")])
def test_a_model_can_be_trained_on_the_result(config: Config, target: str, model: str) -> None:
    changed = infer(config, make_table(), target=target, key="features")
    table = read_table(changed)
    assert table.task == {"logistic": "classification", "linear": "regression"}[model]
    assert table.unused == ("features", "note")
    pipeline.run(changed.paths.raw, changed.paths.processed, changed)
    run(changed.paths.processed, model, changed.paths.model, changed)
    assert load_model(changed.paths.model).table == table


def test_a_european_export_is_read_as_it_is(config: Config) -> None:
    table = make_table().replace({"Total Charges": {r"\.": ","}}, regex=True)
    file = config.root / "export.csv"
    table.to_csv(file, sep=";", encoding="cp1252", index=False)
    infer_schema.run(str(file), config.table.model_copy(update={"key": "features"}), config)
    changed = read_config(config.root)
    found = changed.table
    assert (found.separator, found.encoding, found.decimal) == (";", "cp1252", ",")
    assert pipeline.run(str(file), changed.paths.processed, changed)["rows_kept"] == 100


def test_a_parquet_file(config: Config) -> None:
    table = make_table().assign(yes=[True, False] * 50, null=[1.5, float("nan"), 2, 3] * 25)
    table["2020"] = pd.to_datetime(table["2020"], format="%d/%m/%Y")
    file = config.root / "table.parquet"
    table.to_parquet(file)
    spelled = {"true_values": ["true"], "false_values": ["false"], "decimal": ","}
    infer_schema.run(str(file), config.table.model_copy(update=spelled | {"key": None}), config)
    changed = read_config(config.root)
    kinds = [column.kind for column in read_table(changed).features]
    assert kinds == ["number", "category", "category", "boolean", "date", "number"]
    assert pipeline.run(str(file), changed.paths.processed, changed)["rows_kept"] == 100


def test_an_edited_schema_is_kept_each_time_unless_forced_or_equal(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    infer(config, make_table()[SOME], force=True)
    made = config.schema_file.read_text(encoding="utf-8")
    for number in (1, 2):
        edited = made.replace("max_value: 900.0", f"max_value: {number}")
        config.schema_file.write_text(edited, encoding="utf-8")
        capsys.readouterr()
        infer(config, make_table()[SOME])
        printed = capsys.readouterr().out
        assert f"schema.yaml: the old one is kept as schema.old-{number}.yaml." in printed
        lines = [line for line in printed.splitlines() if "in_range: " in line]
        assert [line[0] for line in lines] == ["-", "+"]
        assert f"max_value: {number}" in lines[0]
        assert "max_value: 900.0" in lines[1]
        assert (config.root / f"schema.old-{number}.yaml").read_text(encoding="utf-8") == edited
    infer(config, make_table()[SOME])
    assert config.schema_file.read_text(encoding="utf-8") == made
    assert "max_value: 1}" in (config.root / "schema.old-1.yaml").read_text(encoding="utf-8")
    names = [file.name for file in config.root.glob("*.old-*")]
    assert sorted(names) == ["schema.old-1.yaml", "schema.old-2.yaml"]


def test_columns_that_write_dates_in_contrary_ways_have_each_their_formats(config: Config) -> None:
    table = make_table()[SOME]
    turned = pd.to_datetime(table["2020"], format="%d/%m/%Y").dt.strftime("%m/%d/%Y")
    changed = infer(config, table.assign(paid=turned))
    assert changed.table.date_formats == {"2020": ["%d/%m/%Y"], "paid": ["%m/%d/%Y"]}
    pipeline.run(changed.paths.raw, changed.paths.processed, changed)
    processed = pd.read_parquet(changed.paths.processed)
    assert processed["2020"].equals(processed["paid"])
    assert processed["paid"].notna().all()
    alike = {"a": ["%d/%m/%Y"], "b": ["%m-%d-%Y"]}
    assert infer_schema.merge_formats(alike) == ["%d/%m/%Y", "%m-%d-%Y"]


def test_what_the_schema_rejects_is_counted(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    table = make_table()[SOME]
    table.loc[:19, "outcome"] = "?"
    table.loc[20:22, "Total Charges"] = "unknown"
    table.loc[30, "features"] = "K00031"
    infer(config, table, key="features")
    printed = capsys.readouterr().out
    assert "Of 100 rows 76 are kept, 3 rejected, 1 are duplicates, 20 have no target" in printed
    assert "\n  3.00%  Total Charges: 'unknown' can't be read\n" in printed


@pytest.mark.parametrize(
    ("column", "value", "fix"),
    [
        ("Total Charges", "a few", "'a few' can't be read; add it to missing_values"),
        ("Total Charges", "basin, date", "'basin, date' can't be read; add it to missing_values"),
        ("2020", "2024 or so", "'2024 or so' can't be read; add its format to date_formats"),
        ("features", "?", "is missing; set its nullable to true in schema.yaml"),
    ],
)
def test_too_many_rejected_rows_end_with_the_fix(
    config: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    column: str, value: str, fix: str,
) -> None:  # fmt: skip
    table = make_table()[SOME]
    table.loc[range(0, 100, 25), column] = value
    file = write_raw(config, ["too,few"] * 3, SOME)
    with file.open("a", encoding="utf-8") as lines:
        table.to_csv(lines, index=False, header=False)
    monkeypatch.chdir(config.root)
    options = ["--target", "outcome", "--key", "features", "--exclude", "2020"]
    monkeypatch.setattr("sys.argv", ["infer-schema", "data/raw/table.csv", *options])
    with pytest.raises(SystemExit) as stop:
        infer_schema.main()
    assert stop.value.code == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith(f"error: 7% of the rows are rejected; {column}: {fix}")
    assert list(read_schema(Path("schema.yaml")).columns) == SOME


def test_too_many_broken_lines_end_with_their_own_fix(config: Config) -> None:
    table = make_table()[SOME]
    lines = table.to_csv(index=False, header=False).splitlines()
    file = write_raw(config, [*lines, *["too,few"] * 10], SOME)
    wanted = config.table.model_copy(update={"key": "features", "exclude": ["2020"]})
    with pytest.raises(UserError, match="2 fields instead of 4; check separator"):
        infer_schema.run(str(file), wanted, config)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"target": "outcme"}, r"table.csv has no column 'outcme' \(the nearest is 'outcome'\)"),
        ({"key": "id"}, "has no column 'id'"),
        ({"exclude": ["Total charges"]}, "the nearest is 'Total Charges'"),
        ({"target": "note"}, "the target 'note' has 100 different values in 100 rows"),
        ({"target": "empty"}, "the target 'empty' has 0 different values in 0 rows"),
    ],
)
def test_a_wish_that_cannot_be_met_changes_nothing(
    config: Config, wanted: dict[str, Any], message: str
) -> None:
    before = config.schema_file.read_bytes()
    with pytest.raises(UserError, match=message):
        infer(config, make_table()[[*SOME, "note"]].assign(empty=""), **wanted)
    assert (config.schema_file.read_bytes(), read_config(config.root)) == (before, config)
