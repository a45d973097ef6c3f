import json
import re
from pathlib import Path

import pandas as pd
import pytest
from conftest import HEADER, make_lines, write_raw

import pipeline
from {{ cookiecutter.project_slug }}.config import Config
from {{ cookiecutter.project_slug }}.utils import UserError

from batch import raw_csv
from batch.operations import record_run
from batch.raw_data import RawData, list_rejected

LINES = ["k1,1.5,,Small,,,won", "k2,999,,,,,lost", "too,few", "k1,2.5,,,,,won", "k3,,,,,,lost"]


def run(config: Config) -> dict[str, object]:
    return pipeline.run(config.paths.raw, config.paths.processed, config)


def records(config: Config) -> list[dict[str, object]]:
    lines = (config.paths.logs / "pipeline.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_every_row_is_accounted_for(config: Config) -> None:
    write_raw(config, LINES)
    record = run(config)
    assert record["status"] == "ok"
    assert (record["rows_read"], record["rows_kept"]) == (5, 2)
    assert (record["rows_rejected"], record["rows_duplicate"]) == (2, 1)
    assert records(config) == [record]
    kept = pd.read_parquet(config.paths.processed)
    assert kept["id"].tolist() == ["k1", "k3"]


def test_rejected_rows_are_kept_with_their_reason_and_place(config: Config) -> None:
    write_raw(config, LINES)
    run(config)
    rejected = pd.read_csv(config.paths.rejected, dtype="str", keep_default_na=False)
    assert rejected.columns.tolist() == ["source", "line", "reason", *HEADER, "raw"]
    assert rejected["source"].tolist() == ["table.csv", "table.csv"]
    assert rejected["line"].tolist() == ["3", "4"]
    assert rejected["reason"].tolist() == [
        "Total Charges: 999.0 fails in_range(0, 100)",
        "2 fields instead of 7",
    ]
    assert list(rejected.loc[0, HEADER]) == ["k2", "999", "", "", "", "", "lost"]
    assert rejected.loc[1, "raw"] == "too,few\n"


def test_a_table_may_have_columns_named_like_those_of_the_rejected_rows() -> None:
    names = ["source", "line", "reason", "raw"]
    raw = RawData(
        pd.DataFrame([["a", "b", "c", "d"], ["e", "f", "g", "h"]], columns=names),
        pd.DataFrame({"source": ["t.csv"] * 2, "line": [2, 4]}),
        pd.DataFrame([["t.csv", 3, "1 fields instead of 4", "x"]], columns=names),
    )
    table = list_rejected(raw, pd.Series({1: "is bad"}))
    assert table.to_csv(index=False).splitlines() == [
        "source,line,reason,source,line,reason,raw,raw",
        "t.csv,3,1 fields instead of 4,,,,,x",
        "t.csv,4,is bad,e,f,g,h,",
    ]


def test_the_same_input_gives_the_same_output(config: Config) -> None:
    write_raw(config, make_lines(50))
    run(config)
    before = config.paths.processed.read_bytes(), config.paths.rejected.read_bytes()
    run(config)
    assert before == (config.paths.processed.read_bytes(), config.paths.rejected.read_bytes())
    assert len(records(config)) == 2


@pytest.mark.parametrize(
    ("lines", "header", "message"),
    [
        ([], HEADER, "has a header but no rows"),
        (["k1,1"], ["id", "outcome"], "no column 'Total Charges'"),
        (
            ["k1,999,,,,,won"],
            HEADER,
            "100.0% of the rows do not fit .* most often Total Charges: fails",
        ),
    ],
)
def test_a_run_that_fails_keeps_the_old_output_and_is_recorded(
    config: Config, lines: list[str], header: list[str], message: str
) -> None:
    write_raw(config, LINES)
    run(config)
    before = config.paths.processed.read_bytes()
    write_raw(config, lines, header)
    with pytest.raises(UserError, match=message):
        run(config)
    assert config.paths.processed.read_bytes() == before
    record = records(config)[-1]
    assert record["status"] == "failed"
    assert re.search(message, str(record["error"]))
    assert record["rows_read"] == record["rows_rejected"]


def everything(config: Config) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in config.root.rglob("*") if path.is_file()}


def test_too_many_rejected_rows_are_kept_and_so_is_the_old_output(config: Config) -> None:
    write_raw(config, LINES)
    run(config)
    before = config.paths.processed.read_bytes()
    write_raw(config, [*make_lines(3), *["x,999,,,,,won"] * 2])
    table = config.table.model_copy(update={"max_rejected_share": 0.39})
    with pytest.raises(UserError, match=r"^40\.0% .* Total Charges: fails .* allows 39\.0%"):
        run(config.model_copy(update={"table": table}))
    assert config.paths.processed.read_bytes() == before
    assert len(pd.read_csv(config.paths.rejected)) == 2


def test_duplicates_are_found_over_all_parts(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = make_lines(20)
    write_raw(config, [*lines, *lines[5:15], "k3,1,,,,,lost", "too,few"])
    whole = run(config), pd.read_parquet(config.paths.processed)
    monkeypatch.setattr(raw_csv, "BATCH", 500)
    record = run(config)
    assert [record[f"rows_{name}"] for name in ("kept", "duplicate", "rejected")] == [20, 11, 1]
    assert record["rows_read"] == whole[0]["rows_read"]
    pd.testing.assert_frame_equal(pd.read_parquet(config.paths.processed), whole[1])


def test_a_dry_run_tells_and_writes_nothing(config: Config) -> None:
    write_raw(config, LINES)
    before = everything(config)
    record = pipeline.run(config.paths.raw, config.paths.processed, config, dry=True)
    assert (record["rows_read"], record["rows_kept"]) == (5, 2)
    assert everything(config) == before


def test_a_second_run_at_once_is_refused_and_changes_nothing(config: Config) -> None:
    write_raw(config, LINES)
    with record_run(config.paths.processed, config.paths.logs):
        before = everything(config)
        with pytest.raises(UserError, match="another run is going on; it holds"):
            run(config)
        assert everything(config) == before
    assert run(config)["status"] == "ok"


@pytest.mark.parametrize("one_file", [True, False])
def test_what_a_killed_run_left_is_mended(config: Config, one_file: bool) -> None:
    write_raw(config, LINES)
    output, rejected = config.paths.processed, config.paths.rejected
    pipeline.run(config.paths.raw, output, config, one_file=one_file)
    left = output.with_name(f".{output.name}.1.tmp")
    left.mkdir()
    if not one_file:  # killed where the old folder is moved away and the new one is not there
        output.rename(left / "old")
    rejected.with_name(f".{rejected.name}.1.tmp").touch()
    with (config.paths.logs / "pipeline.jsonl").open("a", encoding="utf-8") as record:
        record.write('{"time": "20')
    with pytest.raises(UserError, match="no file matches"):
        pipeline.run("nowhere.csv", output, config, one_file=one_file)
    assert len(pd.read_parquet(output)) == 2
    for path in (output, rejected):
        assert list(path.parent.iterdir()) == [path]
    lines = (config.paths.logs / "pipeline.jsonl").read_text(encoding="utf-8").splitlines()
    assert lines[1] == '{"time": "20'
    assert [json.loads(line)["status"] for line in (lines[0], lines[2])] == ["ok", "failed"]


def test_an_output_that_cannot_be_written_leaves_nothing_half_done(config: Config) -> None:
    write_raw(config, LINES)
    config.paths.processed.mkdir(parents=True)
    with pytest.raises(UserError, match="can't write"):
        run(config)
    assert list(config.paths.processed.parent.iterdir()) == [config.paths.processed]


def test_the_command_line_reads_and_writes_where_it_is_told(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_raw(config, LINES)
    monkeypatch.chdir(config.root)
    monkeypatch.setattr("sys.argv", ["pipeline.py", "--raw", str(file), "--output", "out.parquet"])
    pipeline.main()
    assert len(pd.read_parquet(config.root / "out.parquet")) == 2
    assert not config.paths.processed.exists()


def test_the_command_line_ends_a_mistake_with_exit_code_2(
    config: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(config.root)
    monkeypatch.setattr("sys.argv", ["pipeline.py", "--raw", "nowhere.csv"])
    with pytest.raises(SystemExit) as stop:
        pipeline.main()
    assert stop.value.code == 2
    assert "error: no file matches nowhere.csv" in capsys.readouterr().err


def test_the_project_s_own_table_runs_through(own_config: Config) -> None:
    record = pipeline.run(own_config.paths.raw, own_config.paths.processed, own_config)
    assert record["rows_kept"] == len(pd.read_parquet(own_config.paths.processed)) > 0
