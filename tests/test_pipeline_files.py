"""The pipeline and its files: drift, a dry run, all kinds of files, and how much memory it takes."""

import gzip
import os
import pty
import subprocess
import termios

import pytest
from conftest import snapshot

pytestmark = pytest.mark.slow

SAMPLE, OUTPUT = "data/raw/customers.csv", "data/processed/customers.parquet"
REJECTED = "data/rejected/customers.csv"
CONVERT = """
import pandas as pd, pyarrow as pa, openpyxl
from pathlib import Path
table = pd.read_csv("data/raw/customers.csv", dtype="str", keep_default_na=False)
head, tail = table[:2000], table[2000:]
whole = Path("data/raw/customers.csv").read_bytes()
Path("other").mkdir()
Path("other/all.csv.zst").write_bytes(pa.compress(whole, codec="zstd", asbytes=True))
head.to_csv("other/a.csv.gz", index=False)
tail.to_csv("other/b.csv", index=False, lineterminator="\\r\\n")
Path("mixed").mkdir()
head.to_csv("mixed/a.csv", index=False)
tail.to_parquet("mixed/b.parquet")
table.to_parquet("other/all.PARQUET")
with pd.ExcelWriter("other/all.xlsx") as book:
    pd.DataFrame({"note": ["x"]}).to_excel(book, sheet_name="About", index=False)
    table.to_excel(book, sheet_name="Rows", index=False)
"""
SAME = """
import sys, pandas as pd
pd.testing.assert_frame_equal(*map(pd.read_parquet, sys.argv[1:]))
"""
PEAK = """
import resource, subprocess, sys
subprocess.run([sys.executable, *sys.argv[1:]], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
"""


def without_column(lines, place):
    """Take a column out of the lines; no cell of the sample has a comma."""
    return [
        ",".join(cell for i, cell in enumerate(line.split(",")) if i != place) for line in lines
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: without_column(lines, 2), "no column 'age'"),
        (lambda lines: [f"{line},new" for line in lines], "unknown column 'new'"),
        (
            lambda lines: [lines[0].replace("data_gb", "data_gib"), *lines[1:]],
            "no column 'data_gb' (the nearest is 'data_gib'); unknown column 'data_gib'",
        ),
    ],
)
def test_columns_that_come_and_go_are_reported_by_name(night, change, message):
    before = (night.path / REJECTED).read_bytes()
    night.change_sample(change)
    assert message in night.refused()
    assert (night.path / REJECTED).read_bytes() == before


def test_numbers_that_became_text_are_reported_and_kept(night):
    def spell(lines):
        cells = [line.split(",") for line in lines]
        words = [[*row[:2], "forty", *row[3:]] for row in cells[1:]]
        return [lines[0], *map(",".join, words)]

    night.change_sample(spell)
    line = night.refused()
    assert line.startswith("100.0% of the rows are rejected, most often age: can't be")
    assert (
        "max_rejected_share in config.yaml allows 10.0%; rejected rows go to data/rejected/" in line
    )
    record = night.records()[-1]
    rejected = (night.path / REJECTED).read_text(encoding="utf-8").splitlines()
    assert len(rejected) - 1 == record["rows_rejected"] == record["rows_read"] > 5000
    assert "age: 'forty' can't be read" in rejected[1]


def test_too_many_rejected_rows_keep_the_old_output(night):
    def age(lines):
        cells = [line.split(",") for line in lines]
        old = [[*row[:2], "400", *row[3:]] for row in cells[1:1000]]
        return [lines[0], *map(",".join, old), *lines[1000:]]

    night.change_sample(age)
    assert "of the rows are rejected, most often age: is above 110" in night.refused()
    record = night.records()[-1]
    assert record["status"] == "failed"
    rejected = (night.path / REJECTED).read_text(encoding="utf-8").splitlines()
    assert len(rejected) - 1 == record["rows_rejected"] > 990


def test_a_dry_run_reports_and_writes_nothing(night):
    before, old = snapshot(night.path), night.records()[-1]
    result = night.go("--dry-run")
    assert result.returncode == 0
    assert snapshot(night.path) == before
    line = "{rows_read} rows read, {rows_kept} kept, {rows_rejected} rejected, {rows_duplicate} dup"
    assert line.format(**old) in result.stderr


def test_the_same_input_gives_the_same_bytes_and_the_log_is_kept_small(night):
    log = night.path / "logs" / "pipeline.log"
    with log.open("a", encoding="utf-8") as lines:
        lines.write("a line of a long year\n" * 45_450)  # almost 1 MB
    names = (OUTPUT, REJECTED)
    before = [(night.path / name).read_bytes() for name in names]
    result = night.go("--verbose")
    assert result.returncode == 0
    assert "part 1: " in result.stderr
    assert [(night.path / name).read_bytes() for name in names] == before
    assert log.stat().st_size < 5_000
    assert log.with_name("pipeline.log.1").stat().st_size > 900_000


def test_debug_opens_where_it_failed(night):
    result = night.go("--debug", "--raw", "nowhere.csv", input="w\nq\n")
    assert result.returncode == 2
    assert "raise UserError" in result.stdout
    assert result.stderr.splitlines()[-1].startswith("error: no file matches nowhere.csv")


def test_only_a_terminal_is_shown_progress(night):
    screen, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (30, 100))
    command = [night.python, "pipeline.py"]
    with subprocess.Popen(command, cwd=night.path, stdout=terminal, stderr=terminal) as process:
        os.close(terminal)
        said = b""
        try:
            while chunk := os.read(screen, 10_000):
                said += chunk
        except OSError:  # the other end is closed
            os.close(screen)
    assert process.returncode == 0
    assert b"5.10k rows [" in said
    assert b"rows/s]" in said
    assert "rows/s]" not in night.go().stderr


def test_every_kind_of_file_gives_the_same_rows(night):
    config = night.path / "config.yaml"
    text = config.read_text(encoding="utf-8").replace("sheet: null", "sheet: Rows")
    config.write_text(text, encoding="utf-8")
    result = night.run(
        "uv", "run", "--with", "openpyxl", "--python", night.python, "python", "-c", CONVERT
    )
    assert result.returncode == 0, result.stderr
    sample = (night.path / SAMPLE).read_bytes()
    (night.path / "other" / "all.csv.gz").write_bytes(gzip.compress(sample))
    old = night.records()[0]
    for raw in (
        "*/all.csv.gz",
        "*/all.csv.zst",
        "*/all.PARQUET",
        "*/all.xlsx",
        "other/[ab].csv*",
        "mixed/*",
    ):
        result = night.go("--raw", raw, "--output", "out.parquet")
        assert result.returncode == 0, result.stderr
        result = night.run(night.python, "-c", SAME, OUTPUT, "out.parquet")
        assert result.returncode == 0, result.stderr
        keys = ("rows_read", "rows_kept", "rows_rejected", "rows_duplicate")
        assert [night.records()[-1][key] for key in keys] == [old[key] for key in keys]


def test_ten_times_the_rows_take_no_more_memory(night):
    header, *rows = (night.path / SAMPLE).read_text(encoding="utf-8").splitlines()
    peaks = []
    for count in (50, 500):  # both are several parts, so that parts wait for the other process
        with (night.path / "large.csv").open("w", encoding="utf-8") as file:
            file.write(f"{header}\n")
            for number in range(count):
                file.writelines(f"{number}-{row}\n" for row in rows)
        options = (
            "pipeline.py",
            "--raw",
            "large.csv",
            "--output",
            "large.parquet",
            "--workers",
            "2",
        )
        result = night.run(night.python, "-c", PEAK, *options)
        assert result.returncode == 0, result.stderr
        peaks.append(int(result.stdout))
        assert night.records()[-1]["rows_read"] == count * len(rows)
    assert peaks[1] < 1.25 * peaks[0] + 100, peaks
