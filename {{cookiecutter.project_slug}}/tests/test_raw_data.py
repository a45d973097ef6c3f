import gzip
from datetime import date, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from conftest import HEADER, make_lines, write_raw

from {{ cookiecutter.project_slug }}.config import Config
from {{ cookiecutter.project_slug }}.utils import UserError

from batch import raw_csv
from batch.raw_data import find_files, read_raw_data


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
