# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = [
#     "cookiecutter>=2.7.1,<3",
#     "matplotlib>=3.10,<4",
#     "psutil>=7,<8",
# ]
# ///
"""Measure the generated `train` beside scikit-learn alone, and its models on public tables.

Examples:
    uv run benchmarks/training.py                             writes results/training.md
    uv run benchmarks/training.py --rows 100000 --rounds 1    nothing is written
"""

import argparse
import csv
import json
import os
import sys
import tempfile
from pathlib import Path
from random import Random
from statistics import median

from etl import CACHE, bake
from etl_measure import Engine, measure, warm
from serving import HERE, PEERS, run

sys.path.append(str(HERE.parent / "scripts"))
from make_customers import make_customer

ROWS, MISSING = 1_000_000, 0.05  # of the rows have a gap
MODELS = ("logistic", "gradient_boosting", "random_forest")
GAPS = ("age", "region", "plan", "data_gb", "support_calls")
HEAD = """# Training, measured

Two cores; medians of {rounds} rounds. Goal: `uv run train` takes at most 10 % more time and 1.5 times
the memory of scikit-learn alone.

## {rows:,} rows of the sample's own kind

From the start of the process to its end. Both split, fit the same model with the same settings,
evaluate it on a fifth of the rows, and save it. `train` alone refuses leaks, converts the model to ONNX
and compares its answers, gives intervals, slices and importances, and draws the model card.

| model | train, s | scikit-learn, s | ratio | train, MiB | scikit-learn, MiB | ratio | ROC AUC, train | scikit-learn |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""
PUBLIC = """
## Which default gives most for its time

The models of `config.yaml` on the tables inside scikit-learn, by cross-validation: the mean of the
metric, ± its spread over the folds, and the seconds to fit a fold.

| table | rows | metric | model | mean | seconds | |
| --- | ---: | --- | --- | ---: | ---: | --- |
"""


def make_table(rows, folder, project):
    """Make a processed table of the sample's own kind; the same each time."""
    table, draw = folder / f"training-{rows}.parquet", Random(1)
    if not table.exists():
        raw = folder / f"training-{rows}.csv"
        with raw.open("w", encoding="utf-8", newline="") as file:
            writer = None
            for number in range(rows):
                row, _ = make_customer(draw, f"C{number:07d}")
                if draw.random() < MISSING:
                    row[draw.choice(GAPS)] = ""
                writer = writer or csv.DictWriter(file, list(row), lineterminator="\n")
                if not number:
                    writer.writeheader()
                writer.writerow(row)
        words = ["--raw", str(raw), "--output", str(table)]
        run("uv", "run", "--no-sync", "pipeline.py", *words, folder=project)
        raw.unlink()
    return table


def compare(model, table, project, rounds, folder):
    """Return the line of a model: ours and scikit-learn's, one after the other in each round."""
    python = str(project / ".venv" / "bin" / "python")
    script = [python, str(PEERS / "train_sklearn.py"), "RAW", model, "OUTPUT"]
    ours = [str(project / ".venv" / "bin" / "train"), "--data", "RAW", "--model", model]
    engines = (
        Engine("ours", "train", [*ours, "--output", "OUTPUT"], project, ".onnx"),
        Engine("bare", "scikit-learn", script, project, ".joblib"),
    )
    found = {engine.name: [] for engine in engines}
    for number in range(rounds):
        for engine in engines if number % 2 == 0 else reversed(engines):
            output = folder / f"{model}{engine.suffix}"
            warm(table)
            found[engine.name].append(measure(engine, table, output, folder / f"{engine.name}.log"))
    seconds, peak = (
        [median(each[key] for each in found[name]) for name in ("ours", "bare")]
        for key in ("seconds", "peak")
    )
    record = json.loads((folder / f"{model}.json").read_text(encoding="utf-8"))
    bare = (folder / "bare.log").read_text(encoding="utf-8").split("roc_auc ")[1].split()[0]
    cells = [model, *(f"{each:.1f}" for each in seconds), f"{seconds[0] / seconds[1]:.2f}"]
    cells += [*(f"{each:,.0f}" for each in peak), f"{peak[0] / peak[1]:.2f}"]
    line = f"| {' | '.join(cells)} | {record['metrics']['roc_auc']:.4f} | {bare} |\n"
    print(line, end="", file=sys.stderr)
    return line


def compare_public(project):
    """Return the lines of the tables inside scikit-learn."""
    python = str(project / ".venv" / "bin" / "python")
    lines = []
    for text in run(python, str(PEERS / "compare_public.py"), folder=project).splitlines():
        each = json.loads(text)
        figures = f"{each['mean']:.4g} ± {each['spread']:.2g} | {each['seconds']:.2f}"
        place = f"{each['table']} | {each['rows']:,} | {each['metric']} | {each['model']}"
        lines.append(f"| {place} | {figures} | {each['verdict']} |\n")
    return "".join(lines)


def main():
    """Measure from the command line."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--rows", type=int, default=ROWS, metavar="N")
    parser.add_argument("--rounds", type=int, default=3, help="default: 3")
    options = parser.parse_args()
    os.environ.pop("VIRTUAL_ENV", None)
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as name:
        folder = Path(name)
        project = bake(folder)
        table = make_table(options.rows, CACHE, project)
        text = HEAD.format(rounds=options.rounds, rows=options.rows)
        for model in MODELS:
            text += compare(model, table, project, options.rounds, folder)
        text += PUBLIC + compare_public(project)
    if options.rows == ROWS:
        (HERE / "results" / "training.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
