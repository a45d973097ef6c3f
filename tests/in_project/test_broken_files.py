"""A thousand broken files: no row is lost, whatever is wrong with it, and wherever a batch ends.

These tests run inside a baked project (see ../test_any_table.py), with its own interpreter.
"""

import csv
import gzip
import io
import json
import random
import re
import time

import pandas as pd
import pipeline
import pyarrow as pa
import pytest
import yaml
from conftest import PROJECT
from customer_churn.config import read_config
from customer_churn.etl import raw_csv
from customer_churn.etl.raw_data import read_batches
from customer_churn.utils import UserError

CASES = 1000
RUN = 5  # of so many files that are read the pipeline is run on one
ENORMOUS = range(100, 1000, 300)  # the cases with a cell of more than 8 MB
SEEDS = 3  # the cases are run in so many tests
COLUMNS = {
    "id": {"dtype": "str"},
    "size": {"dtype": "Int64", "nullable": True, "in_range": {"min_value": 0, "max_value": 90}},
    "note": {"dtype": "str", "nullable": True},
    "day": {"dtype": "datetime64[ns]", "nullable": True},
    "word": {"dtype": "str", "nullable": True, "isin": ["yes", "größe", "a, b"]},
}
NAMES = list(COLUMNS)
NOTES = ["", "x", "ü€", 'say "no"', "two\nlines", "a\r\nb\n\nc", "a,b", " padded ", "5'", "r\rest"]
JUNK = [b'"', b'""', b'"\n', b"\0", b"\xff", b"\xe4", b",", b",,", b"\n", b"\r", b"\r\n", b"\n\n"]


@pytest.fixture
def config(tmp_path):
    """A project with a table of its own, in which any share of rows may be rejected."""
    content = yaml.safe_load((PROJECT / "config.yaml").read_text(encoding="utf-8"))
    content["table"] |= {"key": ["id"], "target": "word", "exclude": [], "max_rejected_share": 1.0}
    schema = {"schema_type": "dataframe", "strict": True, "columns": COLUMNS}
    for name, values in (("config", content), ("schema", schema)):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(values, sort_keys=False), "utf-8")
    return read_config(tmp_path)


def write_table(draw):
    """Return a table as bytes of CSV, with all that a cell may hold; a few rows do not fit."""
    text = io.StringIO(newline="")
    end = draw.choice(["\n", "\r\n", "\r"])
    writer = csv.writer(text, lineterminator=end)
    writer.writerow(NAMES)
    plain = draw.random() < 0.4  # nothing that takes the way round pyarrow
    for number in range(draw.randrange(1, 40)):
        key = draw.randrange(number + 1) if draw.random() < 0.1 else number
        size = draw.choice([number, number, "", 99, "many"])
        note = draw.choice(["x", "ü€", " padded "] if plain else NOTES)
        word = draw.choice(["yes", "größe", "", "no"])
        writer.writerow([f"k{key}", size, note, f"2024-01-{number % 30 + 1:02}", word])
        if draw.random() < 0.03:
            text.write(draw.choice(["\n", "\r", "\r\n"]))
    content = text.getvalue()
    return (content[: -len(end)] if draw.random() < 0.2 else content).encode()


def break_it(content, draw, enormous):
    """Do what happens to files: bytes come in, go missing, are doubled; mostly not in the header."""
    start = 0 if draw.random() < 0.05 else len(re.match(rb"[^\r\n]*[\r\n]*", content)[0])
    for _ in range(draw.choice([0, 1, 1, 2, 3, 6])):
        at = draw.randrange(start, len(content) + 1)
        match draw.randrange(5):
            case 0 | 1 | 2:
                content = content[:at] + draw.choice(JUNK) + content[at:]
            case 3:
                content = content[:at] + content[at + draw.randrange(1, 30) :]
            case 4:
                content = content[:at] + content[start:at][-50:] + content[at:]
    if enormous:
        at = draw.randrange(start, len(content) + 1)
        content = content[:at] + b"x" * 9_000_000 + content[at:]
    return b"\xef\xbb\xbf" + content if draw.random() < 0.1 else content


def pack(content, draw):
    """Return what a file holds and how its name ends: some are compressed, some of these cut."""
    way = draw.choice(["csv"] * 8 + ["csv.gz", "csv.zst"])
    if way == "csv":
        return content, way
    if way == "csv.gz":
        packed = gzip.compress(content, mtime=0)
    else:
        packed = pa.compress(content, codec="zstd", asbytes=True)
    return packed[: draw.randrange(len(packed))] if draw.random() < 0.3 else packed, way


def read_all(file, config):
    """Return the rows and the malformed lines, each by its place in the file."""
    rows, broken = [], []
    for part in read_batches([file], NAMES, config.table):
        rows += zip(part.rows.index, part.rows[NAMES].itertuples(index=False), strict=True)
        broken += part.broken[["line", "reason", "raw"]].itertuples(index=False, name=None)
    return [(line, tuple(cells)) for line, cells in rows], broken


def make_readable(text):
    """Return a line as the file of rejected rows shows it."""
    known = text.replace("\0", r"\x00").encode("utf-8", "surrogateescape")
    return known.decode("utf-8", "backslashreplace")


def without_marks(text):
    """Take off what the format adds to cells, and the spaces that may precede a quote."""
    return re.sub('[", ]', "", text)


def check_reading(content, rows, broken):
    """All lines are there: each row's cells are what stands from its line on, nothing is between."""
    text = content.decode("utf-8-sig", "surrogateescape")
    lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$", text)
    header = io.StringIO(text, newline="")
    reader = csv.reader(header)
    next(reader)
    unseen = dict(enumerate(lines[reader.line_num :], start=reader.line_num + 1))
    for line, _, raw in broken:
        assert make_readable(unseen.pop(line)) == raw
    for line, cells in rows:
        inside = sum(len(re.findall(r"\r\n|\r|\n", cell)) for cell in cells)
        stood = "".join(unseen.pop(number) for number in range(line, line + inside + 1))
        stood = re.sub(r"(\r\n|\r|\n)$", "", stood)
        assert without_marks(stood) == without_marks("".join(cells))
    assert not "".join(unseen.values()).strip("\r\n")


def check_run(config, file, record, rows, broken):
    """Each row that was read is kept, or rejected, or has a key that stood there before."""
    with config.paths.rejected.open(encoding="utf-8", newline="") as lines:
        header, *rejected = csv.reader(lines)
    assert header == ["source", "line", "reason", *NAMES, "raw"]
    assert len(rejected) == record["rows_rejected"]
    assert len(pd.read_csv(config.paths.rejected, dtype="str")) == record["rows_rejected"]
    assert {row[0] for row in rejected} <= {file.name}
    found = {int(row[1]): (row[2], tuple(row[3:-1]), row[-1]) for row in rejected}
    assert len(found) == len(rejected)
    for line, reason, raw in broken:
        assert found.pop(line) == (reason, ("",) * len(NAMES), raw)
    good = [cells for line, cells in rows if found.pop(line, (0, cells))[1:] != (cells, "")]
    assert not found
    last = {cells[0].strip(): cells[2].strip() for cells in good}
    kept = pd.read_parquet(config.paths.processed)
    assert dict(zip(kept["id"], kept["note"].fillna("").replace("-", ""), strict=True)) == {
        key: "" if note in config.table.missing_values else note for key, note in last.items()
    }
    assert record["rows_kept"] == len(kept) == len(last)
    assert record["rows_duplicate"] == len(good) - len(last)
    assert record["rows_read"] == len(rows) + len(broken)


def try_reading(number, draw, content, file, config, monkeypatch):
    """Read a file in one batch and in many; both find the same, and all that is there."""
    rows, broken = read_all(file, config)
    check_reading(content, rows, broken)
    if number not in ENORMOUS:
        with monkeypatch.context() as patch:
            patch.setattr(raw_csv, "BATCH", draw.randrange(50, 500))
            assert read_all(file, config) == (rows, broken)
    return rows, broken


def try_running(number, file, rows, broken, config, monkeypatch):
    """Run the pipeline, for some files again in many parts: nothing is lost, and both are alike."""
    output, rejected = config.paths.processed, config.paths.rejected
    record = pipeline.run(str(file), output, config)
    check_run(config, file, record, rows, broken)
    if number % 50 == 0 and number not in ENORMOUS:
        before = rejected.read_bytes(), pd.read_parquet(output)
        with monkeypatch.context() as patch:
            patch.setattr(raw_csv, "BATCH", 200)
            again = pipeline.run(str(file), output, config)
        assert {**again, "time": 0, "seconds": 0} == {**record, "time": 0, "seconds": 0}
        assert rejected.read_bytes() == before[0]
        pd.testing.assert_frame_equal(pd.read_parquet(output), before[1])


def try_one(number, config, monkeypatch):
    """Break a table, read it, for some run the pipeline on it, and return how that ended."""
    draw = random.Random(number)
    content = break_it(write_table(draw), draw, number in ENORMOUS)
    packed, suffix = pack(content, draw)
    file = config.root / f"table.{suffix}"
    file.write_bytes(packed)
    output = config.paths.processed
    before = output.read_bytes() if output.exists() else None
    try:
        rows, broken = try_reading(number, draw, content, file, config, monkeypatch)
    except UserError as refusal:
        assert "\n" not in str(refusal)
        with pytest.raises(UserError, match=f"^{re.escape(str(refusal))}$"):
            pipeline.run(str(file), output, config)
        assert (output.read_bytes() if output.exists() else None) == before
        return "refused"
    if number % RUN == 0:
        try:
            try_running(number, file, rows, broken, config, monkeypatch)
        except UserError as error:
            assert "\n" not in str(error)
            assert re.search("100.0% of the rows are rejected|has a header but no rows", str(error))
            assert (output.read_bytes() if output.exists() else None) == before
    return "broken" if broken else "whole"


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_row_of_a_broken_file_is_lost(config, monkeypatch, seed):
    start, ends = time.monotonic(), []
    for number in range(seed, CASES, SEEDS):
        try:
            ends.append(try_one(number, config, monkeypatch))
        except BaseException as error:
            error.add_note(f"case {number}")
            raise
    lines = (config.paths.logs / "pipeline.jsonl").read_text(encoding="utf-8").splitlines()
    for record in map(json.loads, lines):
        assert record["rows_read"] == sum(
            record[f"rows_{name}"] for name in ("kept", "rejected", "duplicate")
        )
    assert min(ends.count(end) for end in ("refused", "broken", "whole")) >= 5
    print(f"| {len(ends)} broken files in {time.monotonic() - start:.0f} s")
