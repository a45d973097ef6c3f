# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = [
#     "cookiecutter>=2.7.1,<3",
#     "matplotlib>=3.10,<4",
#     "psutil>=7,<8",
# ]
# ///
"""Measure the generated `predict` beside scikit-learn and a plain script. Linux and uv.

Examples:
    uv run benchmarks/scoring.py                  writes results/scoring.md
    uv run benchmarks/scoring.py --rows 200000    nothing is written
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

from etl import CACHE, bake
from etl_measure import Engine, measure
from etl_table import make_raw_table
from serving import HERE, PEERS, run

ROWS = (200_000, 2_000_000)
MODELS = ("gradient_boosting", "random_forest", "logistic")
HEAD = """# Scoring files, measured

Two cores; rounds: {rounds}, medians. At least as fast as scikit-learn on the same frame is the goal.

## The frame alone, {rows:,} rows

`predict_frame` beside `predict_proba` of scikit-learn: of a pipeline that takes the same frame, and of
the trained one on the matrix that `predict_frame` has to build first. Seconds of the processor in
brackets: trust them more on a busy machine.

| model | predict_frame, rows/s | scikit-learn on the frame | on the matrix | predict_frame / on the frame |
| --- | ---: | ---: | ---: | ---: |
"""
WHOLE = """
## Files, from the start of the process to its end

| rows | | s | rows/s | peak MiB |
| ---: | --- | ---: | ---: | ---: |
"""


def engines(project):
    """Return `predict` for both formats, and the plain script."""
    python = str(project / ".venv" / "bin" / "python")
    predict = [str(project / ".venv" / "bin" / "predict"), "--data", "RAW", "--output", "OUTPUT"]
    script = [python, str(PEERS / "score_pandas.py"), "RAW", "OUTPUT"]
    return [
        (".csv", Engine("predict", "predict, CSV to CSV", predict, project, ".csv")),
        (".parquet", Engine("parquet", "predict, Parquet to Parquet", predict, project)),
        (".csv", Engine("plain", "pandas and scikit-learn, CSV to CSV", script, project, ".csv")),
    ]


def score_frames(project, rows, rounds):
    """Return a line of the table for each model."""
    python, script = project / ".venv" / "bin" / "python", PEERS / "score_frame.py"
    lines = []
    for text in run(str(python), str(script), str(rows), str(rounds), folder=project).splitlines():
        found = json.loads(text)
        cells = [f"{rows / wall:,.0f} ({cpu:.1f})" for wall, cpu in found["ways"].values()]
        ours, frame, _ = (wall for wall, _ in found["ways"].values())
        lines.append(f"| {found['model']} | {' | '.join(cells)} | {frame / ours:.2f} |\n")
    return "".join(lines)


def score_files(project, rows, rounds, folder):
    """Return the lines of the table for files of so many rows."""
    raw = make_raw_table(project / "data" / "raw" / "customers.csv", rows, CACHE)
    files = {".csv": raw, ".parquet": folder / f"{rows}.parquet"}
    code = "import sys, pandas; pandas.read_csv(sys.argv[1], dtype='str').to_parquet(sys.argv[2])"
    python = str(project / ".venv" / "bin" / "python")
    run(python, "-c", code, str(raw), str(files[".parquet"]), folder=folder)
    lines = []
    for suffix, engine in engines(project):
        output = folder / f"scored{engine.suffix}"
        found = [measure(engine, files[suffix], output, folder / "log") for _ in range(rounds)]
        seconds, peak = (median(each[key] for each in found) for key in ("seconds", "peak"))
        cells = f"{rows:,} | {engine.title} | {seconds:.1f} | {rows / seconds:,.0f} | {peak:,.0f}"
        lines.append(f"| {cells} |\n")
        print(lines[-1], end="", file=sys.stderr)
    return "".join(lines)


def main():
    """Measure from the command line."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--rows", nargs="+", type=int, default=ROWS, metavar="N")
    parser.add_argument("--rounds", type=int, default=3, help="default: 3")
    options = parser.parse_args()
    os.environ.pop("VIRTUAL_ENV", None)
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as name:
        folder = Path(name)
        project = bake(folder)
        run("uv", "run", "--no-sync", "pipeline.py", folder=project)
        for model, file in [*((name, name) for name in MODELS), (MODELS[0], "model")]:
            command = ["train", "--model", model, "--output", f"models/{file}.onnx"]
            run("uv", "run", "--no-sync", *command, folder=project)
        most = max(options.rows)
        text = HEAD.format(rounds=options.rounds, rows=most)
        text += score_frames(project, most, options.rounds) + WHOLE
        text += "".join(score_files(project, n, options.rounds, folder) for n in options.rows)
    if tuple(options.rows) == ROWS:
        (HERE / "results" / "scoring.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
