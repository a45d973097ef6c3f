"""A made-up table of 200 columns: numbers, whole numbers, categories, dates and yes or no."""

import csv
from datetime import date, timedelta
from random import Random

ROWS, MISSING = 3_000, 0.02
START = date(2015, 1, 1)
KINDS = {
    "number": (120, lambda rng: f"{rng.gauss(50, 10):.2f}"),
    "whole": (30, lambda rng: rng.randint(0, 1_000)),
    "category": (30, lambda rng: rng.choice(["red", "green", "blue", "black", "white"])),
    "date": (10, lambda rng: START + timedelta(days=rng.randint(0, 3_000))),
    "flag": (10, lambda rng: rng.choice(["yes", "no"])),
}


def write_wide_table(path):
    """Write the table as CSV; the target `outcome` follows from three of the columns."""
    rng = Random(0)
    columns = {f"{kind}_{i}": make for kind, (n, make) in KINDS.items() for i in range(n)}
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", *columns, "outcome"])
        for key in range(ROWS):
            row = {name: make(rng) for name, make in columns.items()}
            score = float(row["number_0"]) - 50 + 10 * (row["category_0"] == "red")
            outcome = "good" if score + rng.gauss(0, 5) > 0 else "bad"
            # The first row is complete: it is the one that is sent alone.
            gaps = {name for name in row if key and rng.random() < MISSING}
            cells = ["" if name in gaps else value for name, value in row.items()]
            writer.writerow([f"R{key}", *cells, outcome])
