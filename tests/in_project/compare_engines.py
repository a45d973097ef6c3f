"""Clean dirty tables with both engines of the pipeline: `compare_engines.py SCHEDULER FOLDER`.

Runs inside a baked project, see ../test_cluster.py. The tables are drawn at random, from a seed.
"""

import random
import sys
from functools import partial
from pathlib import Path

import pandas as pd
import pipeline
from customer_churn.config import Config, read_config
from customer_churn.etl import raw_csv
from customer_churn.etl.workers import run_on_dask, run_parallel

TABLES = 6
BROKEN = [b"one field", b'"never closed,x', b"a\0b", b"\xff\xfe", b"", b"," * 99]


def draw_files(draw: random.Random, rows: list[bytes], folder: Path, count: int) -> None:
    """Write files with quotes, dirt, malformed lines, and rows that come twice."""
    folder.mkdir()
    header, ends = rows[0], draw.choice([b"\n", b"\r\n"])
    pool = draw.sample(rows[1:], 300)  # so few that most come in several files
    for number in range(count):
        lines = draw.choices(pool, k=draw.choice([0, 1, 50, 400]) if number else 400)
        for place in range(len(lines)):
            if draw.random() < 0.02:
                lines[place] = draw.choice(BROKEN)
            elif draw.random() < 0.1:
                cells = lines[place].split(b",")
                cells[draw.randrange(len(cells))] = draw.choice([b'"a ""b"",\nc"', b'"No"', b"?"])
                lines[place] = b",".join(cells)
        end = draw.choice([ends, b""])
        (folder / f"{number:02}.csv").write_bytes(ends.join([header, *lines]) + end)


def run(name: str, config: Config, **engine: object) -> tuple[list[object], bytes, pd.DataFrame]:
    """Run the pipeline; return its counts, what it rejected, and the table."""
    output = config.root / f"{name}.parquet"
    record = pipeline.run(config.paths.raw, output, config, **engine)
    counts = [record[f"rows_{sort}"] for sort in ("read", "kept", "rejected", "duplicate")]
    return counts, config.paths.rejected.read_bytes(), pd.read_parquet(output)


def compare(seed: int, rows: list[bytes], own: Config, folder: Path, scheduler: str) -> int:
    """Clean one table alone, with Dask and with workers; return its number of rows."""
    draw = random.Random(seed)
    draw_files(draw, rows, folder / "raw", 1 if seed % 2 else draw.randrange(2, 5))
    names = {"rejected": folder / "no.csv", "logs": folder, "raw": f"{folder}/raw/*.csv"}
    table = own.table.model_copy(
        update={"max_rejected_share": 1, "key": [] if seed % 3 == 2 else own.table.key}
    )
    config = own.model_copy(
        update={"root": folder, "table": table, "paths": own.paths.model_copy(update=names)}
    )
    (folder / "schema.yaml").write_bytes(own.schema_file.read_bytes())
    raw_csv.BATCH = draw.choice([10_000, 8_000_000])
    counts, rejected, frame = run("one", config)
    raw_csv.BATCH = draw.choice([8_000, 15_000])
    many = partial(run_on_dask, scheduler=scheduler)
    other_counts, other_rejected, other_frame = run("two", config, map_batches=many)
    assert counts == other_counts, (seed, counts, other_counts)
    assert rejected == other_rejected, seed
    pd.testing.assert_frame_equal(frame, other_frame)
    assert counts[0] and counts[2], (seed, counts)
    raw_csv.BATCH = 10_000
    workers = partial(run_parallel, workers=2)
    assert (counts, rejected) == run("three", config, map_batches=workers)[:2], seed
    return counts[0]


def main() -> None:
    """Compare the engines on all tables."""
    scheduler, folder = sys.argv[1], Path(sys.argv[2])
    own = read_config()
    rows = Path("data/raw/customers.csv").read_bytes().splitlines()
    rows_read = 0
    for seed in range(TABLES):
        (folder / str(seed)).mkdir()
        rows_read += compare(seed, rows, own, folder / str(seed), scheduler)
    print(f"{TABLES} tables, {rows_read} rows")


if __name__ == "__main__":
    main()
