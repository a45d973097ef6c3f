"""The pipeline: how rows are read, cleaned and written, and what is recorded."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import HEADER, make_lines, write_raw

import pipeline
from {{ cookiecutter.project_slug }}.config import Config, SourceConfig
from {{ cookiecutter.project_slug }}.data_preprocessing import Transformed, transform
from {{ cookiecutter.project_slug }}.etl import raw_csv
from {{ cookiecutter.project_slug }}.etl.raw_data import (
    RawData,
    find_files,
    join_batches,
    read_batches,
)
from {{ cookiecutter.project_slug }}.etl.runs import record_run
from {{ cookiecutter.project_slug }}.etl.workers import run_parallel
from {{ cookiecutter.project_slug }}.schema import Table, read_table
from {{ cookiecutter.project_slug }}.utils import UserError

LINES = [
    "k1,1.5,,Small,,,won",
    "k2,999,,,,,lost",
    "too,few",
    "k1,2.5,,,,,won",
    "k3,,,,,,lost",
]
COUNTS = ("rows_read", "rows_kept", "rows_rejected", "rows_duplicate")


def change(config: Config, **table: Any) -> Config:
    """Return a config with other settings of the table."""
    changed = config.table.model_copy(update=table)
    return config.model_copy(update={"table": changed})


def run(config: Config, workers: int = 1) -> list[object]:
    """Run the pipeline; return how many rows were read, kept, rejected, duplicates."""
    share = partial(run_parallel, workers=workers)
    pattern = None if config.source.query else config.paths.raw
    record = pipeline.run(pattern, config.paths.processed, config, share)
    return [record[name] for name in COUNTS]


def read(
    config: Config, pattern: Path | str, columns: Sequence[str] = HEADER
) -> RawData:
    """Return all that is read from files."""
    batches = read_batches(find_files(str(pattern)), columns, config.table)
    return join_batches(batches, str(pattern))


def kept(config: Config, column: str = "id") -> list[object]:
    """Return a column of the clean table."""
    return pd.read_parquet(config.paths.processed)[column].tolist()


def rejected(config: Config) -> pd.DataFrame:
    """Return the rejected rows."""
    return pd.read_csv(config.paths.rejected, dtype="str", keep_default_na=False)


def records(config: Config) -> list[dict[str, object]]:
    """Return the records of all runs."""
    content = (config.paths.logs / "pipeline.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in content.splitlines()]


def contents(folder: Path) -> dict[Path, bytes]:
    """Return all files in a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in files}


# --- Runs ---


def test_every_row_is_accounted_for(config: Config) -> None:
    write_raw(config, LINES)
    assert run(config) == [5, 2, 2, 1]
    (record,) = records(config)
    assert record["status"] == "ok"
    assert [record[name] for name in COUNTS] == [5, 2, 2, 1]


def test_rejected_rows_are_kept_with_their_place_and_reason(config: Config) -> None:
    write_raw(config, LINES)
    run(config)
    rows = rejected(config)
    assert rows.columns.tolist() == ["source", "line", "reason", *HEADER, "raw"]
    assert rows["source"].tolist() == ["table.csv", "table.csv"]
    assert rows["line"].tolist() == ["3", "4"]
    first, second = rows["reason"]
    assert first == "Total Charges: 999.0 is above 100"
    assert second == "2 fields instead of 7"
    assert list(rows.loc[0, HEADER]) == ["k2", "999", "", "", "", "", "lost"]
    assert rows.loc[1, "raw"] == "too,few\n"


def test_batches_and_workers_do_not_matter(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [*make_lines(60), *LINES, *make_lines(30)]
    write_raw(config, lines)
    counts = run(config)
    before = config.paths.rejected.read_bytes(), kept(config)
    monkeypatch.setattr(raw_csv, "BATCH", 500)
    assert run(config, workers=2) == counts == [95, 60, 2, 33]
    assert (config.paths.rejected.read_bytes(), kept(config)) == before


@pytest.mark.parametrize(
    ("lines", "header", "message"),
    [
        ([], HEADER, "has a header but no rows"),
        (["k1,1"], ["id", "outcome"], "no column 'Total Charges'"),
        (
            ["k1,999,,,,,won"],
            HEADER,
            "100.0% of the rows do not fit .* Total Charges: is",
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


def test_a_dry_run_writes_nothing(config: Config) -> None:
    write_raw(config, LINES)
    before = contents(config.root)
    record = pipeline.run(config.paths.raw, config.paths.processed, config, dry=True)
    assert (record["rows_read"], record["rows_kept"]) == (5, 2)
    assert contents(config.root) == before


def test_a_second_run_at_once_is_refused_and_changes_nothing(config: Config) -> None:
    write_raw(config, LINES)
    with record_run(config.paths.processed, config.paths.logs):
        before = contents(config.root)
        with pytest.raises(UserError, match="another run is going on; it holds"):
            run(config)
        assert contents(config.root) == before
    assert run(config)


def test_a_mode_and_a_link_are_kept(config: Config) -> None:
    write_raw(config, LINES)
    target = config.root / "target.parquet"
    target.touch(mode=0o600)
    config.paths.processed.parent.mkdir(parents=True)
    config.paths.processed.symlink_to(target)
    run(config)
    assert config.paths.processed.is_symlink()
    assert len(pd.read_parquet(target)) == 2
    assert target.stat().st_mode & 0o777 == 0o600


def test_the_command_line(
    config: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
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
    assert "error: no file matches nowhere.csv" in capsys.readouterr().err


def test_the_project_s_own_table_runs_through(own_config: Config) -> None:
    assert run(own_config)[1] == len(pd.read_parquet(own_config.paths.processed)) > 0


# --- Which rows are kept ---


def write_months(config: Config, *months: Sequence[str]) -> None:
    """Write a raw file for each month."""
    for number, lines in enumerate(months, start=1):
        write_raw(config, list(lines)).rename(config.root / f"data/raw/{number}.csv")


@pytest.mark.parametrize(
    ("keep", "charges"),
    [("last", [2.0, 30.0, 11.0, 4.0]), ("first", [1.0, 2.0, 3.0, 4.0])],
)
def test_the_newest_row_of_a_key_is_kept_or_the_first(
    config: Config,
    keep: str,
    charges: list[float],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    january = ["a,1,,,,,won", "b,2,,,,,won", "c,3,,,,,won"]
    february = ["c,30,,,,,won", "a,10,,,,,won", "a,999,,,,,won", "a,11,,,,,won"]
    write_months(config, january, february, ["d,4,,,,,won"])
    for batch in (8_000_000, 20):
        monkeypatch.setattr(raw_csv, "BATCH", batch)
        with caplog.at_level("INFO"):
            assert run(change(config, keep=keep)) == [8, 4, 1, 3]
        assert kept(config, "Total Charges") == charges
    if keep == "last":
        assert "replaced: 2 rows of 1.csv by rows of 2.csv" in caplog.text


def test_a_key_may_be_several_columns(config: Config) -> None:
    lines = ["a,1,1,,,,won", "a,2,2,,,,won", "a,3,1,,,,won", "a,4,,,,,won"]
    write_raw(config, lines)
    assert run(change(config, key=["id", "class"])) == [4, 3, 0, 1]
    assert kept(config, "Total Charges") == [2, 3, 4]


def test_rows_out_of_scope_are_set_aside_and_do_not_count(config: Config) -> None:
    write_raw(
        config, ["a,1,,,,2018-01-01,won", "b,999,,,,,won", "c,1,,,,2020-01-01,won"]
    )
    query = "since >= '2019-01-01' and `Total Charges` < 50"
    assert run(change(config, filter=query, max_rejected_share=0)) == [3, 1, 2, 0]
    assert (
        rejected(config)["reason"].tolist()
        == [f"out of scope: {query} is not true"] * 2
    )
    with pytest.raises(UserError, match=r"100\.0% of the rows"):
        write_raw(config, ["a,much,,,,2018-01-01,won"])
        run(change(config, filter=query, max_rejected_share=0))
    with pytest.raises(UserError, match=r"config.yaml: filter: sinse > 1: .*sinse"):
        run(change(config, filter="sinse > 1"))


def test_cells_may_be_replaced_and_emptied(
    config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    text = config.schema_file.read_text(encoding="utf-8")
    metadata = '    metadata: {replace: {Studio: "0"}, out_of_range: missing}\n'
    text = text.replace("  class:\n", f"{metadata}  class:\n")
    config.schema_file.write_text(text, encoding="utf-8")
    write_raw(config, ["a,Studio,,,,,won", "b,999,,,,,won", "c,much,,,,,won"])
    with caplog.at_level("INFO"):
        assert run(config) == [3, 2, 1, 0]
    assert str(kept(config, "Total Charges")) == "[0.0, nan]"
    assert "Total Charges: is above 100; set to missing, 1 times" in caplog.text


def test_cleaning_in_batches_gives_the_same_rows(
    own_raw: RawData, own_table: Table
) -> None:
    table = replace(own_table, key=())
    whole = transform(own_raw.rows, table)
    size = len(own_raw.rows) // 3 + 1
    starts = range(0, len(own_raw.rows), size)
    parts = [transform(own_raw.rows[at : at + size], table) for at in starts]
    message = "a statistic belongs in the model's pipeline, not in transform"
    frames = pd.concat([part.kept for part in parts])
    assert frames.compare(whole.kept).empty, message
    assert pd.concat([part.rejected for part in parts]).equals(whole.rejected), message


# --- Reading ---


def test_every_cell_is_text_and_every_row_has_its_place(config: Config) -> None:
    lines = ["k1,1.50,02,Small,yes,,won", '"k\n2",,,,,,lost', "k3,,,,,,won"]
    file = write_raw(config, lines)
    raw = read(config, file)
    assert list(raw.rows.loc[0]) == ["k1", "1.50", "02", "Small", "yes", "", "won"]
    assert raw.places["source"].tolist() == [file.name] * 3
    assert raw.places["line"].tolist() == [2, 3, 5]


def test_columns_may_be_in_another_order_between_spaces_and_in_nfd(
    config: Config,
) -> None:
    header = [f" {name} ".replace("ö", "o\u0308") for name in reversed(HEADER)]
    file = write_raw(config, ["won,2024-01-01,yes,Small,1,2.0,k1"], header)
    raw = read(config, file)
    cells = ["k1", "2.0", "1", "Small", "yes", "2024-01-01", "won"]
    assert list(raw.rows.loc[0]) == cells


def test_malformed_lines_are_kept_as_they_are(config: Config) -> None:
    lines = ["k1,,,,,,won", "too,few", "k2,,,,,,won,too,many", "", "k3,,,,,,won"]
    raw = read(config, write_raw(config, lines))
    assert raw.rows["id"].tolist() == ["k1", "k3"]
    assert raw.broken["line"].tolist() == [3, 4]
    reasons = ["2 fields instead of 7", "9 fields instead of 7"]
    assert raw.broken["reason"].tolist() == reasons
    assert raw.broken["raw"].tolist() == ["too,few\n", "k2,,,,,,won,too,many\n"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1252", "utf-16"])
def test_reads_other_encodings(config: Config, encoding: str) -> None:
    file = write_raw(config, make_lines(3))
    file.write_text(file.read_text(encoding="utf-8"), encoding=encoding)
    changed = change(config, encoding=encoding.removesuffix("-sig"))
    assert len(read(changed, file).rows) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        (";".join(HEADER), "is not separated by ','"),
        (",".join([*HEADER, "extra"]), "unknown column 'extra'"),
        (",".join(["idd", *HEADER[1:]]), r"no column 'id' \(the nearest is 'idd'\)"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    config: Config, content: str, message: str
) -> None:
    file = config.root / "table.csv"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message) as error:
        read(config, file)
    assert "\n" not in str(error.value)
    assert "table.csv" in str(error.value)


def test_no_file_and_a_folder_are_refused(config: Config) -> None:
    with pytest.raises(UserError, match=r"no file matches .* or give --raw"):
        read(config, config.paths.raw)
    with pytest.raises(UserError, match="is a folder; give its files"):
        read(config, config.root)


def test_a_query_joins_raw_files(config: Config) -> None:
    names = ", ".join(f'"{name}"' for name in HEADER)
    query = config.root / "join.sql"
    query.write_text(
        f"SELECT {names} FROM table JOIN 'sizes.csv' USING (id) ORDER BY id;"
    )
    query.write_text(query.read_text().replace("FROM table", 'FROM "table"'))
    header = [name for name in HEADER if name != "größe"]
    file = write_raw(config, ["b,2,,,,lost", "too,few", "a,many,,,,won"], header)
    file.with_name("sizes.csv").write_text("id,größe\na,Small\nb,Large\n", "utf-8")
    config = config.model_copy(update={"source": SourceConfig(query=query)})
    assert run(config) == [3, 1, 2, 0]
    assert kept(config, "größe") == ["Large"]
    rows = rejected(config)
    places = [*zip(rows["source"], rows["line"], strict=True)]
    assert places == [("table.csv", "3"), ("join.sql", "1")]


# --- Cleaning ---


def clean(config: Config, *lines: str) -> Transformed:
    raw = pd.DataFrame([line.split(",") for line in lines], columns=HEADER, dtype="str")
    before = raw.copy()
    result = transform(raw, read_table(config))
    pd.testing.assert_frame_equal(raw, before)
    return result


def test_transform_gives_the_schema_s_types(config: Config) -> None:
    good = "k1, 1.5 ,2,small,Yes,2024-01-31,won"
    rows = clean(config, good, "k2,?,?,?,?,?,lost").kept
    types = ["str", "float64", "Int64", "str", "boolean", "datetime64[us]", "str"]
    assert rows.dtypes.astype(str).tolist() == types
    day = pd.Timestamp(2024, 1, 31)
    assert list(rows.loc[0]) == ["k1", 1.5, 2, "Small", True, day, "won"]
    assert rows.loc[1, HEADER[1:6]].isna().all()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("k1,abc,,,,,won", "Total Charges: 'abc' can't be read"),
        ("k1,101,,,,,won", "Total Charges: 101.0 is above 100"),
        ("k1,,2.5,,,,won", "class: '2.5' can't be read"),
        ("k1,,,huge,,,won", "größe: huge is not one of Small, Large"),
        ("k1,,,,perhaps,,won", "member: 'perhaps' can't be read"),
        ("k1,,,,,2024-02-30,won", "since: '2024-02-30' can't be read"),
        ("k1,,x,,,,?", "class: 'x' can't be read; outcome: is missing"),
    ],
)
def test_transform_rejects_with_the_reason(
    config: Config, line: str, reason: str
) -> None:
    result = clean(config, "k0,,,,,,won", line)
    assert result.rejected.to_dict() == {1: reason}
    assert result.kept["id"].tolist() == ["k0"]


def test_the_project_s_own_rows_are_each_in_one_place(
    own_raw: RawData, own_table: Table
) -> None:
    result = transform(own_raw.rows, own_table)
    parts = [*result.kept.index, *result.rejected.index, *result.duplicates]
    assert sorted(parts) == own_raw.rows.index.tolist()
    assert not own_table.key or not result.kept.duplicated(list(own_table.key)).any()
