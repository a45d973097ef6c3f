"""The pipeline, run; how it reads raw files; how it cleans cells and rows."""

import json
import re
from datetime import datetime
from pathlib import Path

import pandas as pd
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
from {{ cookiecutter.project_slug }}.etl.raw_data import RawData, read_raw_data
from {{ cookiecutter.project_slug }}.etl.runs import record_run
from {{ cookiecutter.project_slug }}.schema import Column, read_schema
from {{ cookiecutter.project_slug }}.utils import UserError

LINES = [
    "k1,1.5,,Small,,,won",
    "k2,999,,,,,lost",
    "too,few",
    "k1,2.5,,,,,won",
    "k3,,,,,,lost",
]


def run(config: Config) -> dict[str, object]:
    return pipeline.run(config.paths.raw, config.paths.processed, config)


def records(config: Config) -> list[dict[str, object]]:
    lines = (
        (config.paths.logs / "pipeline.jsonl").read_text(encoding="utf-8").splitlines()
    )
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


def test_the_same_input_gives_the_same_output(config: Config) -> None:
    write_raw(config, make_lines(50))
    run(config)
    before = config.paths.processed.read_bytes(), config.paths.rejected.read_bytes()
    run(config)
    assert before == (
        config.paths.processed.read_bytes(),
        config.paths.rejected.read_bytes(),
    )
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
    return {
        path: path.read_bytes() for path in config.root.rglob("*") if path.is_file()
    }


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


def test_the_command_line_reads_and_writes_where_it_is_told(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_raw(config, LINES)
    monkeypatch.chdir(config.root)
    monkeypatch.setattr(
        "sys.argv", ["pipeline.py", "--raw", str(file), "--output", "out.parquet"]
    )
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


# --- reading ---


def test_every_cell_is_text_and_every_row_has_its_place(config: Config) -> None:
    file = write_raw(
        config, ["k1,1.50,02,Small,yes,,won", '"k\n2",,,,,,lost', "k3,,,,,,won"]
    )
    raw = read_raw_data(str(file), HEADER, config.table)
    assert list(raw.rows.loc[0]) == ["k1", "1.50", "02", "Small", "yes", "", "won"]
    assert raw.places["source"].tolist() == [file.name] * 3
    assert raw.places["line"].tolist() == [2, 3, 5]


def test_columns_may_stand_in_another_order_and_between_blanks(config: Config) -> None:
    header = [f" {name} " for name in reversed(HEADER)]
    file = write_raw(config, ["won,2024-01-01,yes,Small,1,2.0,k1"], header)
    raw = read_raw_data(str(file), HEADER, config.table)
    assert list(raw.rows.loc[0]) == [
        "k1",
        "2.0",
        "1",
        "Small",
        "yes",
        "2024-01-01",
        "won",
    ]


def test_a_line_that_is_no_row_is_kept_as_it_stands(config: Config) -> None:
    file = write_raw(
        config, ["k1,,,,,,won", "too,few", "k2,,,,,,won,too,many", "", "k3,,,,,,won"]
    )
    raw = read_raw_data(str(file), HEADER, config.table)
    assert raw.rows["id"].tolist() == ["k1", "k3"]
    assert raw.broken["line"].tolist() == [3, 4]
    assert raw.broken["reason"].tolist() == [
        "2 fields instead of 7",
        "9 fields instead of 7",
    ]
    assert raw.broken["raw"].tolist() == ["too,few\n", "k2,,,,,,won,too,many\n"]


def test_reads_all_files_of_a_glob_in_order(config: Config) -> None:
    first = write_raw(config, ["k1,,,,,,won"])
    first.rename(first.with_name("b.csv"))
    second = write_raw(config, ["k2,,,,,,won"])
    second.rename(second.with_name("a.csv"))
    raw = read_raw_data(config.paths.raw, HEADER, config.table)
    assert raw.places["source"].tolist() == ["a.csv", "b.csv"]
    assert raw.rows["id"].tolist() == ["k2", "k1"]


def test_reads_a_byte_order_mark_and_other_encodings(config: Config) -> None:
    file = write_raw(config, make_lines(3))
    text = file.read_text(encoding="utf-8")
    file.write_text(text, encoding="utf-8-sig")
    assert len(read_raw_data(str(file), HEADER, config.table).rows) == 3
    file.write_text(text, encoding="cp1252")
    table = config.table.model_copy(update={"encoding": "cp1252"})
    other = config.model_copy(update={"table": table})
    assert len(read_raw_data(str(file), HEADER, other.table).rows) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (";".join(HEADER).encode(), "seems to be separated by ';'"),
        (",".join([*HEADER, "extra"]).encode(), "unknown column 'extra'"),
        (
            ",".join(["idd", *HEADER[1:]]).encode(),
            r"no column 'id' \(the nearest is 'idd'\)",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    config: Config, content: bytes, message: str
) -> None:
    file = config.root / "table.csv"
    file.write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        read_raw_data(str(file), HEADER, config.table)
    assert "\n" not in str(error.value)
    assert "table.csv" in str(error.value)


def test_no_file_and_a_folder_are_refused(config: Config) -> None:
    with pytest.raises(
        UserError, match=r"no file matches .*; put your table there or give --raw"
    ):
        read_raw_data(config.paths.raw, HEADER, config.table)
    with pytest.raises(UserError, match="is a folder; name its files"):
        read_raw_data(str(config.root), HEADER, config.table)


# --- cleaning ---


def text(*values: str | None) -> pd.Series:
    return pd.Series(values, dtype="str")


def clean(config: Config, *lines: str) -> Transformed:
    raw = pd.DataFrame([line.split(",") for line in lines], columns=HEADER, dtype="str")
    return transform(raw, read_schema(config.schema_file), config.table)


def test_mark_missing_knows_every_spelling() -> None:
    marked = mark_missing(
        text("", "  ", "NA", " n/a ", "0", " x y "), ["", "na", "N/A"]
    )
    assert marked.isna().tolist() == [True, True, True, True, False, False]
    assert marked.tolist()[4:] == ["0", "x y"]


def test_parse_numbers() -> None:
    numbers = parse_numbers(text("1.5", "-2e3", "12 units", "inf", "nan", None))
    assert numbers.tolist()[:2] == [1.5, -2000]
    assert numbers.isna().tolist() == [False, False, True, True, True, True]


@pytest.mark.parametrize(
    ("cell", "decimal", "number"),
    [
        ("-1,234,567.50", ".", -1_234_567.5),
        ("1.234,50 €", ",", 1234.5),
        ("-$5.20", ".", -5.2),
        ("12.5 %", ".", 12.5),
        ("(1,234.50)", ".", -1234.5),
    ],
)
def test_numbers_with_marks(cell: str, decimal: str, number: float) -> None:
    assert parse_numbers(text(cell, None), decimal)[0] == number


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


def test_dates_in_other_time_zones_become_utc() -> None:
    dates = parse_dates(text("2024-01-31T10:05:07Z", "2024-01-31T23:05:07-02:00"), [])
    assert dates.tolist() == [
        datetime(2024, 1, 31, 10, 5, 7),
        datetime(2024, 2, 1, 1, 5, 7),
    ]


def test_categories_are_spelled_as_the_schema_does(config: Config) -> None:
    column = Column("x", "category", categories=("Small", "Two words"))
    matched = parse_column(
        text("two  words", "SMALL", "huge", None), column, config.table
    )
    assert matched.tolist()[:3] == ["Two words", "Small", "huge"]
    assert pd.isna(matched[3])


def test_transform_gives_the_schema_s_types(config: Config) -> None:
    kept = clean(
        config, "k1, 1.5 ,2,small,Yes,2024-01-31,won", "k2,?,?,?,?,?,lost"
    ).kept
    assert kept.dtypes.astype(str).tolist() == [
        "string", "float64", "Int64", "string", "boolean", "datetime64[ns]", "string",
    ]  # fmt: skip
    assert list(kept.loc[0]) == [
        "k1",
        1.5,
        2,
        "Small",
        True,
        pd.Timestamp(2024, 1, 31),
        "won",
    ]
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
        (
            "k1,,x,,y,,?",
            "class: 'x' can't be read; member: 'y' can't be read; outcome: is missing",
        ),
    ],
)
def test_transform_rejects_with_the_reason(
    config: Config, line: str, reason: str
) -> None:
    result = clean(config, "k0,,,,,,won", line)
    assert result.rejected.to_dict() == {1: reason}
    assert result.kept["id"].tolist() == ["k0"]


def test_transform_keeps_the_first_good_row_of_a_key(config: Config) -> None:
    result = clean(
        config, "k1,bad,,,,,won", "k1,2,,,,,won", "k1,3,,,,,won", " k1 ,4,,,,,won"
    )
    assert result.kept["Total Charges"].tolist() == [2]
    assert result.rejected.index.tolist() == [0]
    assert result.duplicates.tolist() == [2, 3]


def test_transform_leaves_its_input_alone(config: Config) -> None:
    raw = pd.DataFrame(
        [line.split(",") for line in make_lines(20)], columns=HEADER, dtype="str"
    )
    before = raw.copy()
    transform(raw, read_schema(config.schema_file), config.table)
    pd.testing.assert_frame_equal(raw, before)


def test_the_project_s_own_rows_are_each_in_one_place(
    own_raw: RawData, own_config: Config
) -> None:
    result = transform(
        own_raw.rows, read_schema(own_config.schema_file), own_config.table
    )
    parts = [*result.kept.index, *result.rejected.index, *result.duplicates]
    assert sorted(parts) == own_raw.rows.index.tolist()
    if own_config.table.key:
        assert result.kept[own_config.table.key].is_unique
