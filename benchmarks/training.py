# /// script
# requires-python = ">=3.11"
# dependencies = ["cookiecutter>=2.7.1,<3", "psutil>=7,<8"]
# ///
"""Measure the generated `train` and scikit-learn alone. Needs Linux, two cores and uv.

Examples:
    uv run benchmarks/training.py            writes results/training.md
    uv run benchmarks/training.py --quick    writes nothing
"""

import json
import sys

from inputs import PEERS, bake, programs, read_options, run, simulate_table, workspace
from measure import measure_commands
from report import Column, Goal, Group, report

ROWS, QUICK_ROWS = 1_000_000, 5_000
MODELS = ["gradient_boosting", "random_forest", "logistic"]
OURS, ALONE = "**uv run train**", "scikit-learn alone"
LARGEST_DIFFERENCE = 0.05  # of the ROC AUC; the test rows are not the same ones

GOALS = (Goal("seconds / scikit-learn alone", OURS, "seconds", "≤", 1.15, ALONE),)
COLUMNS = {
    "s": Column("seconds"),
    "/ scikit-learn": Column("seconds", base=ALONE),
    "CPU s": Column("cpu", ".1f"),
    "peak MiB": Column("peak", ",.0f"),
    "memory / scikit-learn": Column("peak", base=ALONE),
}
SCORE = {"ROC AUC": Column("roc_auc", ".4f")}


def measure_model(project, table, model, rounds):
    """Train a model on both sides; both must be about as good."""
    ours, alone = (project / "models" / f"{model}.{suffix}" for suffix in ("onnx", "joblib"))
    python, script = programs(project) / "python", PEERS / "sklearn_alone.py"
    train = [programs(project) / "train", "--data", table, "--model", model, "--output", ours]
    commands = {OURS: train, ALONE: [python, script, "train", table, alone, model]}
    figures = measure_commands(commands, project, rounds)
    for name, file in ((OURS, ours.with_suffix(".json")), (ALONE, alone.with_suffix(".metrics"))):
        metrics = json.loads(file.read_text(encoding="utf-8"))["metrics"]
        figures[name]["roc_auc"] = metrics["roc_auc"]
    difference = figures[OURS]["roc_auc"] - figures[ALONE]["roc_auc"]
    if abs(difference) > LARGEST_DIFFERENCE:
        sys.exit(f"{model}: the ROC AUC of the two sides differs by {difference:.4f}")
    return figures


def main():
    """Measure from the command line."""
    options = read_options(__doc__)
    rows = QUICK_ROWS if options.quick else ROWS
    with workspace() as folder:
        project, table = bake(folder), folder / "table.parquet"
        pipeline = [programs(project) / "python", "pipeline.py"]
        run(*pipeline, folder=project)
        run(programs(project) / "train", folder=project)  # Python compiles what is imported
        run(*pipeline, "--raw", simulate_table(rows), "--output", table, folder=project)
        groups = [
            Group(
                model, measure_model(project, table, model, options.rounds), COLUMNS | SCORE, GOALS
            )
            for model in (MODELS[:1] if options.quick else MODELS)
        ]
    about = (
        f"{rows:,} rows, simulated like the sample; from the start of a process to its end. Both "
        "hold out a fifth of the rows, fit the same model with the same settings, and evaluate it."
    )
    report("training", about, groups, options)


if __name__ == "__main__":
    main()
