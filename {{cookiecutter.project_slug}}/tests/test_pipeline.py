import gzip
import json
import re
from datetime import date, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from conftest import HEADER, make_lines, write_raw

import pipeline
from {{ cookiecutter.project_slug }}.config import Config
from {{ cookiecutter.project_slug }}.data_preprocessing import (
    Transformed,
    mark_missing,
    parse_booleans,
    parse_column,
    parse_dates,
    parse_numbers,
    transform,
)
from {{ cookiecutter.project_slug }}.schema import Column, read_schema
from {{ cookiecutter.project_slug }}.utils import UserError

from batch import raw_csv
from batch.operations import record_run
from batch.raw_data import RawData, find_files, list_rejected, read_raw_data

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
    first, cut, last = (config.paths.logs / "pipeline.jsonl").read_text("utf-8").splitlines()
    assert cut == '{"time": "20'
    assert [json.loads(line)["status"] for line in (first, last)] == ["ok", "failed"]


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


def test_every_cell_is_text_and_every_row_has_its_place(config: Config) -> None:
    file = write_raw(config, ["k1,1.50,02,Small,yes,,won", '"k\n2",,,,,,lost', "k3,,,,,,won"])
    raw = read_raw_data(str(file), HEADER, config.table)
    assert list(raw.rows.loc[0]) == ["k1", "1.50", "02", "Small", "yes", "", "won"]
    assert raw.places["source"].tolist() == [file.name] * 3
    assert raw.places["line"].tolist() == [2, 3, 5]


def test_columns_may_stand_in_another_order_and_between_blanks(config: Config) -> None:
    header = [f" {name} " for name in reversed(HEADER)]
    file = write_raw(config, ["won,2024-01-01,yes,Small,1,2.0,k1"], header)
    raw = read_raw_data(str(file), HEADER, config.table)
    assert list(raw.rows.loc[0]) == ["k1", "2.0", "1", "Small", "yes", "2024-01-01", "won"]


def test_a_line_that_is_no_row_is_kept_as_it_stands(config: Config) -> None:
    file = write_raw(config, ["k1,,,,,,won", "too,few", "k2,,,,,,won,too,many", "", "k3,,,,,,won"])
    raw = read_raw_data(str(file), HEADER, config.table)
    assert raw.rows["id"].tolist() == ["k1", "k3"]
    assert raw.broken["line"].tolist() == [3, 4]
    assert raw.broken["reason"].tolist() == ["2 fields instead of 7", "9 fields instead of 7"]
    assert raw.broken["raw"].tolist() == ["too,few\n", "k2,,,,,,won,too,many\n"]


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


def test_reads_all_files_of_a_glob_in_order(config: Config) -> None:
    first = write_raw(config, ["k1,,,,,,won"])
    first.rename(first.with_name("b.csv"))
    second = write_raw(config, ["k2,,,,,,won"])
    second.rename(second.with_name("a.csv"))
    raw = read_raw_data(config.paths.raw, HEADER, config.table)
    assert raw.places["source"].tolist() == ["a.csv", "b.csv"]
    assert raw.rows["id"].tolist() == ["k2", "k1"]


def test_a_name_with_glob_characters_is_that_file(tmp_path: Path) -> None:
    file = tmp_path / "table [1].csv"
    file.touch()
    assert find_files(str(file)) == [file]


def test_reads_a_byte_order_mark_and_other_encodings(config: Config) -> None:
    file = write_raw(config, make_lines(3))
    text = file.read_text(encoding="utf-8")
    file.write_text(text, encoding="utf-8-sig")
    assert len(read_raw_data(str(file), HEADER, config.table).rows) == 3
    file.write_text(text, encoding="cp1252")
    table = config.table.model_copy(update={"encoding": "cp1252"})
    other = config.model_copy(update={"table": table})
    assert len(read_raw_data(str(file), HEADER, other.table).rows) == 3


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


def test_no_file_and_a_folder_are_refused(config: Config) -> None:
    with pytest.raises(UserError, match=r"no file matches .*; put your table there or give --raw"):
        read_raw_data(config.paths.raw, HEADER, config.table)
    with pytest.raises(UserError, match="is a folder; name its files"):
        read_raw_data(str(config.root), HEADER, config.table)


def text(*values: str | None) -> pd.Series:
    return pd.Series(values, dtype="str")


def clean(config: Config, *lines: str) -> Transformed:
    raw = pd.DataFrame([line.split(",") for line in lines], columns=HEADER, dtype="str")
    return transform(raw, read_schema(config.schema_file), config.table)


def test_mark_missing_knows_every_spelling() -> None:
    marked = mark_missing(text("", "  ", "NA", " n/a ", "0", " x y "), ["", "na", "N/A"])
    assert marked.isna().tolist() == [True, True, True, True, False, False]
    assert marked.tolist()[4:] == ["0", "x y"]


def test_parse_numbers() -> None:
    numbers = parse_numbers(text("1.5", "-2e3", "12 units", "inf", "nan", None))
    assert numbers.tolist()[:2] == [1.5, -2000]
    assert numbers.isna().tolist() == [False, False, True, True, True, True]


@pytest.mark.parametrize(
    ("cell", "decimal", "number"),
    [
        ("1,234", ".", 1234),
        ("-1,234,567.50", ".", -1_234_567.5),
        ("1 234.5", ".", 1234.5),
        ("1\u202f234", ".", 1234),  # the narrow blank of French exports
        ("1'234.50", ".", 1234.5),
        ("12,5", ",", 12.5),
        ("1.234,50", ",", 1234.5),
        ("1.234", ",", 1234),
        (",5", ",", 0.5),
        ("1,5e3", ",", 1500),
        ("$5", ".", 5),
        ("€ 1,234.50", ".", 1234.5),
        ("-$5.20", ".", -5.2),
        ("$ -5.20", ".", -5.2),
        ("12.50 USD", ".", 12.5),
        ("1.234,50 €", ",", 1234.5),
        ("12.5 %", ".", 12.5),
        ("12%", ",", 12),
        ("(5)", ".", -5),
        ("(1,234.50)", ".", -1234.5),
        ("($5)", ".", -5),
        ("\u22125", ".", -5),  # a minus sign that is no hyphen
    ],
)
def test_numbers_with_marks(cell: str, decimal: str, number: float) -> None:
    assert parse_numbers(text(cell, None), decimal)[0] == number


@pytest.mark.parametrize(
    ("cell", "decimal"),
    [
        *(("12,34", "."), ("1,23,456", "."), ("1.2.3", "."), ("1,234.5", ","), ("1.5", ",")),
        *(("5 apples", "."), ("--5", "."), ("-(5)", "."), ("1-5", ".")),
        *(("JFK", "."), ("E12", "."), ("$", "."), ("-", "."), ("%", "."), ("()", "."), ("", ".")),
    ],
)
def test_what_is_no_number(cell: str, decimal: str) -> None:
    assert parse_numbers(text(cell), decimal).isna().all()


def test_parse_whole_numbers_refuses_fractions_and_what_a_float_cannot_hold() -> None:
    numbers = parse_numbers(text("3", "3.0", "3.5", "9007199254740993000"), whole=True)
    assert numbers.isna().tolist() == [False, False, True, True]


def test_parse_booleans() -> None:
    booleans = parse_booleans(text("Yes", "NO", "maybe", None), ["yes"], ["no"])
    assert booleans.tolist() == [True, False, pd.NA, pd.NA]


def test_parse_dates_takes_the_first_format_that_fits() -> None:
    formats = ["%Y-%m-%d", "%d/%m/%Y"]
    dates = parse_dates(text("2024-03-01", "02/03/2024", "2024-02-30", None), formats)
    expected = [pd.Timestamp(2024, 3, 1), pd.Timestamp(2024, 3, 2), pd.NaT, pd.NaT]
    assert dates.tolist() == expected


@pytest.mark.parametrize(
    ("cell", "date"),
    [
        ("2024-01-31", datetime(2024, 1, 31)),
        ("20240131", datetime(2024, 1, 31)),
        ("2024-01-31 10:05", datetime(2024, 1, 31, 10, 5)),
        ("2024-01-31T10:05:07.5", datetime(2024, 1, 31, 10, 5, 7, 500_000)),
        ("2024-01-31T10:05:07Z", datetime(2024, 1, 31, 10, 5, 7)),
        ("2024-01-31T23:05:07-02:00", datetime(2024, 2, 1, 1, 5, 7)),
        ("2024-01-31 00:30+0100", datetime(2024, 1, 30, 23, 30)),
        ("31/01/2024 13:00 +0200", datetime(2024, 1, 31, 11)),
    ],
)
def test_parse_dates_reads_iso_forms_and_turns_time_zones_into_utc(
    cell: str, date: datetime
) -> None:
    dates = parse_dates(text("2020-02-29", cell, None), ["%d/%m/%Y %H:%M %z"])
    assert dates.tolist() == [datetime(2020, 2, 29), date, pd.NaT]
    assert dates.dtype == "datetime64[ns]"


@pytest.mark.parametrize("cell", ["2024-02-30", "31/01/2024", "9999-12-31", "0001-01-01", "soon"])
def test_what_is_no_date(cell: str) -> None:
    assert parse_dates(text(cell, "2024-01-31"), []).isna().tolist() == [True, False]


def test_categories_are_spelled_as_the_schema_does(config: Config) -> None:
    column = Column("x", "category", categories=("Small", "Two words"))
    matched = parse_column(text("two  words", "SMALL", "huge", None), column, config.table)
    assert matched.tolist()[:3] == ["Two words", "Small", "huge"]
    assert pd.isna(matched[3])


def test_transform_gives_the_schema_s_types(config: Config) -> None:
    kept = clean(config, "k1, 1.5 ,2,small,Yes,2024-01-31,won", "k2,?,?,?,?,?,lost").kept
    assert kept.dtypes.astype(str).tolist() == [
        "string", "float64", "Int64", "string", "boolean", "datetime64[ns]", "string",
    ]  # fmt: skip
    assert list(kept.loc[0]) == ["k1", 1.5, 2, "Small", True, pd.Timestamp(2024, 1, 31), "won"]
    assert kept.loc[1, HEADER[1:6]].isna().all()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("k1,abc,,,,,won", "Total Charges: 'abc' can't be read"),
        ("k1,101,,,,,won", "Total Charges: 101.0 fails in_range(0, 100)"),
        ("k1,,2.5,,,,won", "class: '2.5' can't be read"),
        ("k1,,,huge,,,won", "größe: huge fails isin(['Small', 'Large'])"),
        ("k1,,,,perhaps,,won", "member: 'perhaps' can't be read"),
        ("k1,,,,,2024-02-30,won", "since: '2024-02-30' can't be read"),
        ("k1,,,,,,?", "outcome: is missing"),
        ("k1,,x,,y,,?", "class: 'x' can't be read; member: 'y' can't be read; outcome: is missing"),
    ],
)
def test_transform_rejects_with_the_reason(config: Config, line: str, reason: str) -> None:
    result = clean(config, "k0,,,,,,won", line)
    assert result.rejected.to_dict() == {1: reason}
    assert result.kept["id"].tolist() == ["k0"]


def test_problems_name_each_bad_cell_once(config: Config) -> None:
    result = clean(config, "k0,,,,,,won", "k1,101,x,,,,?", "k2,,,huge,,,won")
    assert sorted(result.problems.itertuples(index=False, name=None)) == [
        (1, "Total Charges", "101.0 fails in_range(0, 100)", "fails in_range(0, 100)"),
        (1, "class", "'x' can't be read", "can't be read"),
        (1, "outcome", "is missing", "is missing"),
        (2, "größe", "huge fails isin(['Small', 'Large'])", "fails isin(['Small', 'Large'])"),
    ]
    assert clean(config, "k0,,,,,,won").problems.empty


def test_transform_keeps_the_first_good_row_of_a_key(config: Config) -> None:
    result = clean(config, "k1,bad,,,,,won", "k1,2,,,,,won", "k1,3,,,,,won", " k1 ,4,,,,,won")
    assert result.kept["Total Charges"].tolist() == [2]
    assert result.rejected.index.tolist() == [0]
    assert result.duplicates.tolist() == [2, 3]


def test_transform_without_a_key_drops_nothing(config: Config) -> None:
    table = config.table.model_copy(update={"key": None})
    result = clean(config.model_copy(update={"table": table}), *["k1,2,,,,,won"] * 3)
    assert len(result.kept) == 3


def test_a_check_that_is_not_about_single_cells_is_not_passed_over(config: Config) -> None:
    text = config.schema_file.read_text(encoding="utf-8")
    text += "    unique_values_eq: [lost, won, drawn]\n"  # of the last column
    config.schema_file.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"outcome: unique_values_eq.* for the table as a whole"):
        clean(config, "k1,,,,,,won", "k2,,,,,,lost")


def test_transform_takes_an_empty_table(config: Config) -> None:
    raw = pd.DataFrame(columns=HEADER, dtype="str")
    result = transform(raw, read_schema(config.schema_file), config.table)
    assert (len(result.kept), len(result.rejected), len(result.duplicates)) == (0, 0, 0)


def test_transform_leaves_its_input_alone(config: Config) -> None:
    raw = pd.DataFrame([line.split(",") for line in make_lines(20)], columns=HEADER, dtype="str")
    before = raw.copy()
    transform(raw, read_schema(config.schema_file), config.table)
    pd.testing.assert_frame_equal(raw, before)


def test_the_project_s_own_rows_are_each_in_one_place(own_raw: RawData, own_config: Config) -> None:
    result = transform(own_raw.rows, read_schema(own_config.schema_file), own_config.table)
    parts = [*result.kept.index, *result.rejected.index, *result.duplicates]
    assert sorted(parts) == own_raw.rows.index.tolist()
    if own_config.table.key:
        assert result.kept[own_config.table.key].is_unique
