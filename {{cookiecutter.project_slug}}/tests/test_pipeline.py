"""The pipeline: how rows are read, cleaned and written, and what is recorded."""

import json

import pandas as pd
import pytest
from conftest import HEADER, write_raw

import pipeline
from {{ cookiecutter.project_slug }}.etl.runs import COUNTS, record_run
from {{ cookiecutter.project_slug }}.utils import UserError

LINES = [
    "k1,1.5,,Small,,,won",
    "k2,999,,,,,lost",
    "too,few",
    "k1,2.5,,,,,won",
    "k3,,,,,,lost",
]


def change(config, **table):
    """Return a config with other settings of the table."""
    changed = config.table.model_copy(update=table)
    return config.model_copy(update={"table": changed})


def run(config, share=map, dry=False):
    """Run the pipeline; return how many rows were read, kept, rejected, duplicates."""
    pattern = None if config.source.query else config.paths.raw
    record = pipeline.run(pattern, config.paths.processed, config, share, dry)
    return [record[name] for name in COUNTS]


def kept(config, column="id"):
    """Return a column of the clean table."""
    return pd.read_parquet(config.paths.processed)[column].tolist()


def rejected(config):
    """Return the rejected rows."""
    return pd.read_csv(config.paths.rejected, dtype="str", keep_default_na=False)


def last_record(config):
    """Return the record of the last run."""
    text = (config.paths.logs / "pipeline.jsonl").read_text(encoding="utf-8")
    return json.loads(text.splitlines()[-1])


# --- Runs ---


def test_every_row_is_accounted_for(config):
    write_raw(config, LINES)
    assert run(config) == [5, 2, 2, 1]
    record = last_record(config)
    assert record["status"] == "ok"
    assert [record[name] for name in COUNTS] == [5, 2, 2, 1]

    rows = rejected(config)
    assert rows.columns.tolist() == ["source", "line", "reason", *HEADER, "raw"]
    first, second = rows.to_numpy().tolist()
    reason = "Total Charges: '999' is above 100"
    assert first == ["table.csv", "3", reason, *LINES[1].split(","), ""]
    reason = "2 fields instead of 7"
    assert second == ["table.csv", "4", reason, *[""] * 7, "too,few\n"]


@pytest.mark.parametrize(
    ("lines", "header", "message"),
    [
        ([], HEADER, "has a header but no rows"),
        (["k1,1"], ["id", "outcome"], "no column 'Total Charges'"),
        (["k1,1"], [*HEADER, "new"], "unknown column 'new'"),
        (["k1,1"], [";".join(HEADER)], "is not separated by ','"),
        (["k1,999,,,,,won"], HEADER, "100.0% of the rows are rejected"),
    ],
)
def test_a_run_that_fails_keeps_the_old_output_and_is_recorded(
    config, lines, header, message
):
    write_raw(config, LINES)
    run(config)
    before = config.paths.processed.read_bytes()
    write_raw(config, lines, header)
    with pytest.raises(UserError, match=message):
        run(config)
    assert config.paths.processed.read_bytes() == before
    record = last_record(config)
    assert record["status"] == "failed"
    assert message in record["error"]


def test_a_dry_run_and_a_second_run_at_once_write_nothing(config):
    write_raw(config, LINES)
    with record_run(config.paths.processed, config.paths.logs):
        before = sorted(config.root.rglob("*"))
        with pytest.raises(
            UserError, match="another run is in progress; it holds the lock"
        ):
            run(config)
        assert run(config, dry=True) == [5, 2, 2, 1]
        assert sorted(config.root.rglob("*")) == before
    assert run(config)


def test_the_command_line(config, monkeypatch, capsys):
    file = write_raw(config, LINES)
    monkeypatch.chdir(config.root)
    options = ["--raw", str(file), "--output", "out.parquet", "--workers", "1"]
    monkeypatch.setattr("sys.argv", ["pipeline.py", *options])
    pipeline.main()
    assert len(pd.read_parquet("out.parquet")) == 2
    assert not config.paths.processed.exists()
    monkeypatch.setattr("sys.argv", ["pipeline.py", "--raw", "nowhere.csv"])
    with pytest.raises(SystemExit) as stop:
        pipeline.main()
    assert stop.value.code == 2
    assert "no file matches" in capsys.readouterr().err


def test_the_project_s_own_table_runs_through(own_config):
    rows_read, *others = run(own_config)
    assert rows_read == sum(others)
    assert others[0] == len(pd.read_parquet(own_config.paths.processed)) > 0


# --- Which rows are kept ---


@pytest.mark.parametrize(
    ("keep", "charges"), [("last", [2, 30, 10, 11, 4]), ("first", [1, 2, 3, 11, 4])]
)
def test_the_newest_row_of_a_key_is_kept_or_the_first(config, keep, charges, caplog):
    january = ["a,1,1,,,,won", "b,2,,,,,won", "c,3,1,,,,won"]
    february = ["c,30,1,,,,won", "a,10,1,,,,won", "a,999,1,,,,won", "a,11,2,,,,won"]
    for month, lines in enumerate((january, february, ["d,4,,,,,won"])):
        write_raw(config, lines).rename(config.root / f"data/raw/{month}.csv")
    with caplog.at_level("INFO"):
        counts = run(change(config, keep=keep, key=["id", "class"]))
    assert counts == [8, 5, 1, 2]
    assert kept(config, "Total Charges") == charges
    log = "replaced: 2 rows of 0.csv by rows of 1.csv"
    assert (log in caplog.text) is (keep == "last")


def test_rows_out_of_scope_are_set_aside_and_do_not_count(config):
    lines = ["a,1,,,,2018-01-01,won", "b,999,,,,,won", "c,1,,,,2020-01-01,won"]
    write_raw(config, lines)
    query = "since >= '2019-01-01' and `Total Charges` < 50"
    assert run(change(config, filter=query, max_rejected_share=0)) == [3, 1, 2, 0]
    reasons = {f"out of scope: {query} is not true"}
    assert set(rejected(config)["reason"]) == reasons


# --- Reading ---


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1252", "utf-16"])
def test_other_encodings_and_orders_of_columns_are_read(config, encoding):
    header = [f" {name} " for name in reversed(HEADER)]
    file = write_raw(config, ["won,2024-01-01,yes,Small,1,2.0,k1"], header)
    file.write_text(file.read_text(encoding="utf-8"), encoding=encoding)
    assert run(change(config, encoding=encoding.removesuffix("-sig"))) == [1, 1, 0, 0]
    table = pd.read_parquet(config.paths.processed)
    assert table.columns.tolist() == HEADER
    assert table["größe"].tolist() == ["Small"]
