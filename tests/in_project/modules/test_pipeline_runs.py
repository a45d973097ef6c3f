"""Runs of the pipeline that fail, are killed, or read in parts; and raw files of every kind."""

import gzip
import json
from datetime import date, datetime
from pathlib import Path

import pandas as pd
import pipeline
import pyarrow as pa
import pytest
from customer_churn.etl import raw_csv
from customer_churn.etl.raw_data import RawData, find_files, list_rejected, read_raw_data
from conftest import HEADER, make_lines, write_raw
from customer_churn.config import Config
from customer_churn.utils import UserError
from test_pipeline import LINES, run


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
    first, cut, last = (config.paths.logs / "pipeline.jsonl").read_text("utf-8").splitlines()
    assert cut == '{"time": "20'
    assert [json.loads(line)["status"] for line in (first, last)] == ["ok", "failed"]


def test_an_output_that_cannot_be_written_leaves_nothing_half_done(config: Config) -> None:
    write_raw(config, LINES)
    config.paths.processed.mkdir(parents=True)
    with pytest.raises(UserError, match="can't write"):
        run(config)
    assert list(config.paths.processed.parent.iterdir()) == [config.paths.processed]


# Each is one bad line among good ones: what it is, where, and why it is no row.
BAD = [
    (b'k9,"never closed,,,,,won', '"never', "a quote is not closed"),
    (b"k9,\0,,,,,won", r"k9,\x00,", "a NUL byte stands in it"),
    (b"k9,,,Gr\xf6\xdfe,,,won", r"Gr\xf6\xdfe", "byte 0xf6 is not utf-8"),
    (b'k9,"a"b,,,,,won', '"a"b', "quotes: "),
]


@pytest.mark.parametrize(("bad", "shown", "reason"), BAD)
def test_a_broken_line_costs_one_line(config: Config, bad: bytes, shown: str, reason: str) -> None:
    lines = [line.encode() for line in make_lines(30)]
    file = write_raw(config, [])
    header = file.read_bytes()
    file.write_bytes(header + b"\r\n".join([*lines[:9], bad, *lines[9:]]))
    raw = read_raw_data(str(file), HEADER, config.table)
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
    whole = read_raw_data(str(file), HEADER, config.table)
    assert (len(whole.rows), len(whole.broken)) == (60 + 2 * len(BAD), len(BAD))
    for characters in (77, 500):
        monkeypatch.setattr(raw_csv, "BATCH", characters)
        parts = read_raw_data(str(file), HEADER, config.table)
        for expected, found in zip(whole, parts, strict=True):
            pd.testing.assert_frame_equal(found, expected)


def test_compressed_files_are_read_and_one_that_is_cut_off_is_refused(config: Config) -> None:
    content = write_raw(config, make_lines(50)).read_bytes()
    plain = read_raw_data(config.paths.raw, HEADER, config.table)
    zst = pa.compress(content, codec="zstd", asbytes=True)
    for ending, packed in (("gz", gzip.compress(content)), ("zst", zst)):
        file = config.root / f"table.csv.{ending}"
        file.write_bytes(packed)
        pd.testing.assert_frame_equal(
            read_raw_data(str(file), HEADER, config.table).rows, plain.rows
        )
        file.write_bytes(packed[: len(packed) // 2])
        with pytest.raises(UserError, match=rf"table\.csv\.{ending} can't be read: ") as error:
            read_raw_data(str(file), HEADER, config.table)
        assert "\n" not in str(error.value)


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
            "time": [datetime(2024, 1, 31, 10, 5), pd.NaT],
            "category": pd.Series(["Small", None], dtype="category"),
            " text ": ["NA", None],
        }
    )
    file = config.root / "table.parquet"
    table.to_parquet(file, index=False)
    raw = read_raw_data(str(file), [], config.table)
    assert raw.rows.columns.tolist() == [str(name).strip() for name in table]
    *cells, time, category, text = raw.rows.loc[0]
    assert (cells, category, text) == (["1.5", "12", "true", "2024-01-31"], "Small", "NA")
    assert pd.Timestamp(str(time)) == datetime(2024, 1, 31, 10, 5)
    assert raw.rows.loc[1].isna().all()
    assert set(raw.rows.dtypes.astype(str)) == {"str"}
    assert raw.places["line"].tolist() == [1, 2]
    assert raw.broken.empty


def test_parquet_that_is_no_table_of_cells_is_refused(config: Config) -> None:
    file = config.root / "table.parquet"
    pd.DataFrame({"a": [[1, 2]]}).to_parquet(file)
    for content in (file.read_bytes(), b"PAR1"):
        file.write_bytes(content)
        with pytest.raises(UserError, match=r"table\.parquet can't be read: ") as error:
            read_raw_data(str(file), [], config.table)
        assert "\n" not in str(error.value)


def test_a_column_without_a_name_is_called_by_its_place(config: Config) -> None:
    file = write_raw(config, ["0,k1,won,", "1,k2,lost,"], ["", "id", "outcome", " "])
    raw = read_raw_data(str(file), [], config.table)
    assert raw.rows.columns.tolist() == ["column 1", "id", "outcome", "column 4"]


def test_without_columns_those_of_the_first_file_count(config: Config) -> None:
    first = write_raw(config, ["1,2"], ["b", "a"])
    first.rename(first.with_name("a.csv"))
    second = write_raw(config, ["3,4"], ["a", "b"])
    raw = read_raw_data(config.paths.raw, [], config.table)
    assert raw.rows.to_dict("list") == {"b": ["1", "4"], "a": ["2", "3"]}
    write_raw(config, ["3,4"], ["a", "c"])
    with pytest.raises(UserError, match=f"{second.name} .* no column 'b'.* unknown column 'c'"):
        read_raw_data(config.paths.raw, [], config.table)


def test_optional_columns_may_be_there_or_not(config: Config) -> None:
    names, optional = ["id", "class"], ("outcome",)
    for header, line in ((["outcome", "class", "id"], "won,1,k1"), (["id", "class"], "k1,1")):
        file = write_raw(config, [line], header)
        raw = read_raw_data(str(file), names, config.table, optional)
        assert raw.rows[names].to_dict("list") == {"id": ["k1"], "class": ["1"]}
        assert set(raw.rows.columns) == set(header)
    file = write_raw(config, ["k1,1,x"], ["id", "class", "extra"])
    with pytest.raises(UserError, match="unknown column 'extra'"):
        read_raw_data(str(file), names, config.table, optional)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (",".join(HEADER).encode(), "has a header but no rows"),
        (";".join(HEADER).encode(), "seems to be separated by ';'"),
        (",".join(HEADER[1:]).encode(), "no column 'id'"),
        (",".join([*HEADER, "extra"]).encode(), "unknown column 'extra'"),
        (",".join([*HEADER, "id"]).encode(), "column 'id' twice"),
        (",".join(["idd", *HEADER[1:]]).encode(), r"no column 'id' \(the nearest is 'idd'\)"),
        (b"id,gr\xf6\xdfe", "line 1: byte 0xf6 is not utf-8"),
        (b"PAR1\x00\x00", "line 1: a NUL byte"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(config: Config, content: bytes, message: str) -> None:
    file = config.root / "table.csv"
    file.write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        read_raw_data(str(file), HEADER, config.table)
    assert "\n" not in str(error.value)
    assert "table.csv" in str(error.value)
