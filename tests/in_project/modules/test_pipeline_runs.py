"""Runs of the pipeline that fail or are killed, and raw files of every kind."""

import gzip
import json
import logging
import os
import subprocess
import sys
from datetime import date, datetime
from functools import partial
from pathlib import Path

import pandas as pd
import pipeline
import pyarrow as pa
import pytest
import yaml
from conftest import HEADER, make_lines, write_raw
from customer_churn.config import Config, SourceConfig
from customer_churn.etl import raw_csv, workers
from customer_churn.etl.raw_csv import RawData
from customer_churn.etl.raw_data import find_files, read_batches
from customer_churn.utils import UserError, append_record, write_atomically
from test_pipeline import LINES, change, kept, rejected, run


def read(config: Config, pattern: Path | str, columns: list[str] = HEADER) -> RawData:
    """Return all that is read from files; the label of a row is its line."""
    batches = list(read_batches(find_files(str(pattern)), columns, config.table))
    rows, broken = (pd.concat(each) for each in zip(*(batch[:2] for batch in batches), strict=True))
    return RawData(rows, broken.reset_index(drop=True))


def test_a_table_may_have_columns_named_like_those_of_the_rejected_rows(config: Config) -> None:
    schema = yaml.safe_load(config.schema_file.read_text(encoding="utf-8"))
    new = {"Total Charges": "reason", "größe": "raw", "since": "source"}
    schema["columns"] = {new.get(name, name): how for name, how in schema["columns"].items()}
    config.schema_file.write_text(yaml.safe_dump(schema, sort_keys=False), encoding="utf-8")
    names = ["id", "reason", "class", "raw", "member", "source", "outcome"]
    write_raw(config, ["a,999,,Small,,,won", "b,9,,Small,,,won", "too,few"], names)
    assert run(config) == [3, 1, 2, 0]
    rows = rejected(config)
    assert list(rows) == ["source_", "line", "reason_", *names, "raw_"]
    assert rows["reason"].tolist() == ["999", ""]
    assert rows["reason_"].tolist() == ["reason: '999' is above 100", "2 fields instead of 7"]


def test_too_many_rejected_rows_are_kept_and_so_is_the_old_output(config: Config) -> None:
    write_raw(config, LINES)
    run(config)
    before = config.paths.processed.read_bytes()
    write_raw(config, [*make_lines(3), *["x,999,,,,,won"] * 2])
    with pytest.raises(UserError, match=r"^40\.0% .* Total Charges: is .* allows 39\.0%"):
        run(change(config, max_rejected_share=0.39))
    assert config.paths.processed.read_bytes() == before
    assert len(rejected(config)) == 2


def test_the_cause_is_what_rejects_rows_in_scope(config: Config) -> None:
    write_raw(config, [*["x,999,,,,,won"] * 9, *["y,1,,Wide,,,won"] * 5])
    text = config.schema_file.read_text(encoding="utf-8")
    emptied = "max_value: 100}\n    metadata: {out_of_range: missing}"
    config.schema_file.write_text(text.replace("max_value: 100}", emptied), encoding="utf-8")
    with pytest.raises(UserError, match=r"^35\.7% .* most often größe: is not one of Small, Large"):
        run(change(config, max_rejected_share=0.2))
    with pytest.raises(UserError, match="all rows are out of scope; see `filter`"):
        run(change(config, filter="outcome == 'lost'", max_rejected_share=0))


def test_what_a_killed_run_left_is_removed(config: Config) -> None:
    write_raw(config, LINES)
    run(config)
    output, rows = config.paths.processed, config.paths.rejected
    output.with_name(f".{output.name}.1.tmp").mkdir()
    rows.with_name(f".{rows.name}.1.tmp").touch()
    with (config.paths.logs / "pipeline.jsonl").open("a", encoding="utf-8") as record:
        record.write('{"time": "20')
    with pytest.raises(UserError, match="no file matches"):
        pipeline.run("nowhere.csv", output, config)
    for path in (output, rows):
        assert list(path.parent.iterdir()) == [path]
    first, cut, last = (config.paths.logs / "pipeline.jsonl").read_text("utf-8").splitlines()
    assert cut == '{"time": "20'
    assert [json.loads(line)["status"] for line in (first, last)] == ["ok", "failed"]


def test_an_output_that_cannot_be_written_leaves_nothing_half_done(config: Config) -> None:
    write_raw(config, LINES)
    config.paths.processed.mkdir(parents=True)
    with pytest.raises(UserError, match="can't write"):
        run(config)
    assert list(config.paths.processed.parent.iterdir()) == [config.paths.processed]


def test_a_file_is_replaced_with_its_mode_and_where_its_link_points(tmp_path: Path) -> None:
    target, link = tmp_path / "elsewhere" / "target", tmp_path / "link"
    target.parent.mkdir()
    target.touch(mode=0o640)
    link.symlink_to(target)
    with write_atomically(link) as new:
        new.write_text("new", encoding="utf-8")
    assert link.is_symlink()
    assert target.read_text(encoding="utf-8") == "new"
    assert target.stat().st_mode & 0o777 == 0o640
    assert list(target.parent.iterdir()) == [target]


def test_a_worker_that_is_killed_is_one_line(config: Config) -> None:
    items = iter([os.getpid(), os.getpid(), -1, -1, -1])
    with pytest.raises(UserError, match="a worker process was killed, .* try --workers 1"):
        list(workers.run_parallel(die_elsewhere, items, 2))


def die_elsewhere(pid: int) -> int:
    if os.getpid() != pid and pid > 0:
        os._exit(9)
    return pid


ORPHAN = """
import os, signal, sys, time
from customer_churn.etl.workers import run_parallel
def sleep(number):
    print(os.getpid(), flush=True)
    time.sleep(number)
    return number
if __name__ == "__main__":
    print(list(run_parallel(sleep, [0, 100, 100, 100], 2)))
"""


def test_workers_end_with_a_run_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "orphan.py"
    script.write_text(ORPHAN, encoding="utf-8")
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        found = {int(process.stdout.readline())}
        while len(found) < 2:
            found.add(int(process.stdout.readline()))
        process.kill()
        process.wait()
        assert process.stdout.read() == ""  # ends when the last of them does


# Each is one malformed line among good ones: what it is, where, and why it is not a row.
BAD = [
    (b'k9,"never closed,,,,,won', '"never', "quotes: unexpected end"),
    (b"k9,\0,,,,,won", r"k9,\x00,", "a NUL byte"),
    (b"k9,,,Gr\xf6\xdfe,,,won", r"Gr\xf6\xdfe", "byte 0xf6 is not utf-8"),
    (b'k9,"a"b,,,,,won', '"a"b', "quotes: "),
]


@pytest.mark.parametrize(("bad", "shown", "reason"), BAD)
def test_a_broken_line_costs_one_line(config: Config, bad: bytes, shown: str, reason: str) -> None:
    lines = [line.encode() for line in make_lines(30)]
    file = write_raw(config, [])
    header = file.read_bytes()
    file.write_bytes(header + b"\r\n".join([*lines[:9], bad, *lines[9:]]))
    raw = read(config, file)
    assert raw.rows["id"].tolist() == [f"k{number}" for number in range(30)]
    assert raw.broken["line"].tolist() == [11]
    assert shown in str(raw.broken.loc[0, "raw"])
    assert str(raw.broken.loc[0, "reason"]).startswith(reason)


def test_it_does_not_matter_where_a_batch_ends(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [line.encode() for line in make_lines(60)]
    for place, (bad, _, _) in enumerate(BAD):
        more = [bad, b'"m\r\n\n1",,,,,,won', b"", f"n{place},,,,,,won\r".encode()]
        lines[7 * place : 7 * place] = more
    file = write_raw(config, [])
    file.write_bytes(file.read_bytes() + b"\r\n".join(lines))
    whole = read(config, file)
    assert (len(whole.rows), len(whole.broken)) == (60 + 2 * len(BAD), len(BAD))
    for characters in (77, 500):
        monkeypatch.setattr(raw_csv, "BATCH", characters)
        parts = read(config, file)
        for expected, found in zip(whole[:2], parts[:2], strict=True):
            pd.testing.assert_frame_equal(found, expected, check_dtype=False)


def test_compressed_files_are_read_and_one_that_is_cut_off_is_refused(config: Config) -> None:
    content = write_raw(config, make_lines(50)).read_bytes()
    plain = read(config, config.paths.raw)
    zst = pa.compress(content, codec="zstd", asbytes=True)
    for ending, packed in (("gz", gzip.compress(content)), ("zst", zst)):
        file = config.root / f"table.csv.{ending}"
        file.write_bytes(packed)
        pd.testing.assert_frame_equal(read(config, file).rows, plain.rows)
        file.write_bytes(packed[: len(packed) // 2])
        with pytest.raises(UserError, match=rf"table\.csv\.{ending} can't be read: ") as error:
            read(config, file)
        assert "\n" not in str(error.value)


def test_lists_are_read_as_text(config: Config) -> None:
    file = config.root / "lists.parquet"
    pd.DataFrame({"a": [[1], [], None]}).to_parquet(file)
    assert read(config, file, ["a"]).rows["a"].fillna("?").tolist() == ["[1]", "[]", "?"]


def test_the_files_of_months_are_in_order(tmp_path: Path) -> None:
    names = ["table.csv", "table-2026-01.csv", "table-2026-02.csv.gz", "table-2026-03.csv"]
    for name in names:
        (tmp_path / name).touch()
    assert [file.name for file in find_files(str(tmp_path / "*"))] == names


def test_a_name_with_glob_characters_is_that_file(tmp_path: Path) -> None:
    file = tmp_path / "table [1].csv"
    file.touch()
    assert find_files(str(file)) == [file]


def test_parquet_is_read_as_the_text_it_would_be_in_a_csv_file(config: Config) -> None:
    table = pd.DataFrame(
        {
            "number": [1.5, float("nan")],
            "integer": pd.array([12, None], dtype="Int64"),
            "boolean": pd.array([True, None], dtype="boolean"),
            "day": [date(2024, 1, 31), None],
            "list": [[1, 2], None],
            "bytes": [b"\xff", None],
            "time": [datetime(2024, 1, 31, 10, 5), pd.NaT],
            "category": pd.Series(["Small", None], dtype="category"),
            " text ": ["NA", None],
        }
    )
    file = config.root / "table.csv"  # the content counts, not the name
    table.to_parquet(file, index=False)
    raw = read(config, file, [])
    assert raw.rows.columns.tolist() == [str(name).strip() for name in table]
    *cells, time, category, text = raw.rows.iloc[0]
    assert cells == ["1.5", "12", "true", "2024-01-31", "[1 2]", r"b'\xff'"]
    assert (category, text) == ("Small", "NA")
    assert pd.Timestamp(str(time)) == datetime(2024, 1, 31, 10, 5)
    assert raw.rows.iloc[1].isna().all()
    assert set(raw.rows.dtypes.astype(str)) == {"str"}
    assert raw.rows.index.tolist() == [1, 2]
    assert raw.broken.empty


def test_a_file_that_is_cut_off_is_refused(config: Config) -> None:
    file = config.root / "table.parquet"
    for content in (b"PAR1", b"PK\3\4"):
        file.write_bytes(content)
        with pytest.raises(UserError, match=r"table\.parquet can't be read: ") as error:
            read(config, file, [])
        assert "\n" not in str(error.value)


def test_a_column_without_a_name_is_called_by_its_place(config: Config) -> None:
    file = write_raw(config, ["0,k1,won,", "1,k2,lost,"], ["", "id", "outcome", " "])
    raw = read(config, file, [])
    assert raw.rows.columns.tolist() == ["column 1", "id", "outcome", "column 4"]


def test_without_columns_those_of_the_first_file_count(config: Config) -> None:
    first = write_raw(config, ["1,2"], ["b", "a"])
    first.rename(first.with_name("a.csv"))
    second = write_raw(config, ["3,4"], ["a", "b"])
    raw = read(config, config.paths.raw, [])
    assert raw.rows.to_dict("list") == {"b": ["1", "4"], "a": ["2", "3"]}
    write_raw(config, ["3,4"], ["a", "c"])
    with pytest.raises(UserError, match=f"{second.name} .* no column 'b'.* unknown column 'c'"):
        read(config, config.paths.raw, [])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (",".join(HEADER[1:]).encode(), "no column 'id'"),
        (",".join([*HEADER, "id"]).encode(), "column 'id' twice"),
        (b"id,gr\xf6\xdfe", "byte 0xf6 is not utf-8"),
        ("id,größe".encode("utf-16-le"), "a NUL byte; if the file is UTF-16"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(config: Config, content: bytes, message: str) -> None:
    file = config.root / "table.csv"
    file.write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        read(config, file)
    assert "\n" not in str(error.value)
    assert "table.csv" in str(error.value)


def test_statistics_in_transform_are_noticed(config: Config) -> None:
    """The test of batches in the project's own tests catches a median fill."""
    from customer_churn import data_preprocessing
    from customer_churn.schema import read_table
    from test_data_preprocessing import test_one_batch_or_many_give_the_same_rows as check

    write_raw(config, make_lines(300))
    raw, plain = read(config, config.paths.raw).rows, data_preprocessing.transform

    def fill(rows, table):
        result = plain(rows, table)
        charges = result.kept["Total Charges"]
        filled = charges.fillna(charges.median())
        return result._replace(kept=result.kept.assign(**{"Total Charges": filled}))

    check(raw, read_table(config))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("test_data_preprocessing.transform", fill)
        with pytest.raises(AssertionError):
            check(raw, read_table(config))


def test_workers_give_the_results_of_one_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [abs(number) for number in range(-50, 50)]
    for count in (1, 3):
        assert list(workers.run_parallel(abs, range(-50, 50), count)) == expected
    monkeypatch.setattr(workers, "SECONDS_ALONE", 0)
    assert list(workers.run_parallel(partial(pow, 2), range(5), None)) == [1, 2, 4, 8, 16]


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


def test_cells_may_be_replaced_and_emptied(
    config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    text = config.schema_file.read_text(encoding="utf-8")
    metadata = '    metadata: {replace: {Studio: "0"}, out_of_range: missing}\n'
    text = text.replace("  class: ", f"{metadata}  class: ")
    config.schema_file.write_text(text, encoding="utf-8")
    write_raw(config, ["a,Studio,,,,,won", "b,999,,,,,won", "c,much,,,,,won"])
    with caplog.at_level("INFO"):
        assert run(config) == [3, 2, 1, 0]
    assert str(kept(config, "Total Charges")) == "[0.0, nan]"
    assert "Total Charges: is above 100; set to missing, 1 times" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        (";".join(HEADER), "is not separated by ','"),
        (",".join(["idd", *HEADER[1:]]), r"no column 'id' \(the nearest is 'idd'\)"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(config: Config, content: str, message: str) -> None:
    file = config.root / "table.csv"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message) as error:
        read(config, file)
    assert "\n" not in str(error.value)


def test_the_label_of_a_row_is_its_line_and_names_may_be_in_nfd(config: Config) -> None:
    header = [f" {name} ".replace("ö", "o\u0308") for name in reversed(HEADER)]
    lines = ["won,2024-01-01,yes,Small,1,1.50,k1", 'lost,,,,,,"k\n2"', "lost,,,,,02,k3"]
    raw = read(config, write_raw(config, lines, header))
    assert list(raw.rows.loc[2]) == ["k1", "1.50", "1", "Small", "yes", "2024-01-01", "won"]
    assert raw.rows["id"].to_dict() == {2: "k1", 3: "k\n2", 5: "k3"}


def test_a_filter_that_fails_is_one_line(config: Config) -> None:
    write_raw(config, LINES)
    with pytest.raises(UserError, match=r"config.yaml: filter: sinse > 1: .*sinse"):
        run(change(config, filter="sinse > 1"))


def test_batches_do_not_matter(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    write_raw(config, [*make_lines(60), *LINES, "", '"k\n4",,,,,,won', *make_lines(30)])
    counts = run(config)
    before = config.paths.rejected.read_bytes(), kept(config)
    monkeypatch.setattr(raw_csv, "BATCH", 1500)
    assert run(config) == counts == [96, 61, 2, 33]
    assert (config.paths.rejected.read_bytes(), kept(config)) == before


def test_a_query_joins_raw_files(config: Config) -> None:
    names = ", ".join(f'"{name}"' for name in HEADER)
    query = config.root / "join.sql"
    query.write_text(f"SELECT {names} FROM \"table\" JOIN 'sizes.csv' USING (id) ORDER BY id;")
    header = [name for name in HEADER if name != "größe"]
    file = write_raw(config, ["b,2,,,,lost", "too,few", "a,many,,,,won"], header)
    file.with_name("sizes.csv").write_text("id,größe\na,Small\nb,Large\n", "utf-8")
    config = config.model_copy(update={"source": SourceConfig(query=query)})
    assert run(config) == [3, 1, 2, 0]
    assert kept(config, "größe") == ["Large"]
    places = rejected(config)[["source", "line"]].to_numpy().tolist()
    assert places == [["table.csv", "3"], ["join.sql", "1"]]


def test_a_record_that_cannot_be_written_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with caplog.at_level(logging.ERROR):
        append_record({"rows": 3}, tmp_path / "file" / "records.jsonl")
    assert '{"rows": 3}' in caplog.text
