# /// script
# requires-python = ">=3.11"
# dependencies = ["cookiecutter>=2.7.1,<3", "psutil>=7,<8"]
# ///
"""Measure the generated `predict` and scikit-learn alone. Needs Linux, two cores and uv.

Examples:
    uv run benchmarks/scoring.py            writes results/scoring.md
    uv run benchmarks/scoring.py --quick    writes nothing
"""

import csv
import sys

from inputs import PEERS, bake, programs, read_options, run, simulate_table, workspace
from measure import measure_commands
from report import Goal, Group, report
from training import ALONE, COLUMNS, MODELS, QUICK_ROWS, ROWS

OURS = "**uv run predict**"
LEAST_AGREEMENT = 0.9  # share of the rows with the same predicted class

GOALS = (Goal("seconds / scikit-learn alone", OURS, "seconds", "≤", 1, ALONE),)


def measure_model(project, model, data, options):
    """Train a model on the sample and predict a file with it, on both sides."""
    ours, alone = (project / "models" / f"{model}.{suffix}" for suffix in ("onnx", "joblib"))
    script = [programs(project) / "python", PEERS / "sklearn_alone.py"]
    table = project / "data" / "processed" / "customers.parquet"
    run(programs(project) / "train", "--model", model, "--output", ours, folder=project)
    run(*script, "train", table, alone, model, folder=project)

    outputs = [project / "ours.csv", project / "alone.csv"]
    predict = [programs(project) / "predict", "--model", ours, "--data", data]
    commands = {
        OURS: [*predict, "--output", outputs[0]],
        ALONE: [*script, "predict", data, outputs[1], alone],
    }
    figures = measure_commands(commands, project, options.rounds, int(not options.quick))
    check(model, *outputs)
    return figures


def check(model, *outputs):
    """Check that two files have the same rows and mostly the same predictions."""
    rows = same = 0
    with outputs[0].open(encoding="utf-8") as one, outputs[1].open(encoding="utf-8") as other:
        for ours, alone in zip(csv.DictReader(one), csv.DictReader(other), strict=True):
            if ours["customer_id"] != alone["customer_id"]:
                sys.exit(f"{model}: row {rows} is not the same on both sides")
            rows += 1
            same += ours["prediction"] == alone["prediction"]
    if same < LEAST_AGREEMENT * rows:
        sys.exit(f"{model}: only {same:,} of {rows:,} predictions agree")


def main():
    """Measure from the command line."""
    options = read_options(__doc__)
    rows = QUICK_ROWS if options.quick else ROWS
    with workspace() as folder:
        project, data = bake(folder), simulate_table(rows)
        run(programs(project) / "python", "pipeline.py", folder=project)
        groups = [
            Group(model, measure_model(project, model, data, options), COLUMNS, GOALS)
            for model in (MODELS[:1] if options.quick else MODELS)
        ]
    about = (
        f"A CSV file with {rows:,} rows, simulated like the sample, to a CSV file with "
        "predictions and probabilities; from the start of a process to its end."
    )
    report("scoring", about, groups, options)


if __name__ == "__main__":
    main()
