"""Every kind of target, long tables and wide ones, from file to HTTP answer."""

from datetime import date, timedelta

import pytest
from conftest import MISSING, go, write


@pytest.mark.parametrize(
    ("target", "task", "kind", "labels"),
    [
        (
            ["won", " Won ", "won", "lost", "drawn"],
            "classification",
            "category",
            ["drawn", "lost", "won"],
        ),
        (["True", "FALSE"], "classification", "boolean", [False, True]),
        (["yes", "no"], "classification", "category", ["no", "yes"]),
        (["3", "1", "7"], "classification", "integer", [1, 3, 7]),
        (["1.0", "0.0"], "classification", "integer", [0, 1]),
        ([f"{n / 8:.3f}" for n in range(80)], "regression", "number", []),
        ([f"$ {n * n * 77 % 9999:,}" for n in range(80)], "regression", "number", []),
    ],
)
@pytest.mark.parametrize("rows", [50, 120])
def test_every_kind_of_target_with_gaps(target, task, kind, labels, rows, draw, path, tmp_path):
    found = [target[n % len(target)] if n % 10 else MISSING[n // 10 % 11] for n in range(rows)]
    columns = {"x": [draw.random() for _ in found], "def": draw.choices("abc", k=rows), "y": found}
    journey = go(tmp_path, write(path, columns), "y")
    dataset = journey.dataset
    assert (dataset.table.task, dataset.table.target.kind) == (task, kind)
    assert dataset.labels == labels
    assert journey.record["rows_rejected"] == rows / 10
    assert f"{rows // 10} rows have none and will be rejected" in journey.said
    journey.check_answers()


def test_fifty_thousand_rows_with_thousands_of_categories(draw, path, tmp_path):
    size, towns = 50_000, [f"town {n}" for n in range(3000)]
    town = [draw.choice(towns) for _ in range(size)]
    columns = {
        "town": town,
        "distance": [round(draw.expovariate(0.01), 1) for _ in town],
        "stops": [draw.randrange(5) for _ in town],
        "day": [date(2020, 1, 1) + timedelta(days=n // 50) for n in range(size)],
    }
    columns["minutes"] = [
        round(2 * far + 10 * stops + len(set(name)) * 9 + draw.gauss(0, 5), 1)
        for name, far, stops in zip(town, columns["distance"], columns["stops"], strict=True)
    ]
    journey = go(tmp_path, write(path, columns), "minutes")
    assert journey.record["rows_kept"] > 0.999 * size
    kinds = journey.kinds()
    assert (kinds["town"], kinds["day"], kinds["stops"]) == ("category", "date", "integer")
    assert journey.metrics["r2"] > 0.98
    journey.check_answers(most=6000)
    row = journey.rows()[0] | {"town": "never seen"}
    assert journey.ask([row])[0]["prediction"] == pytest.approx(
        journey.ask([row | {"town": "nor this"}])[0]["prediction"]
    )


def test_five_hundred_columns(draw, path, tmp_path):
    rows = 50
    columns = {f"x {n}.": [round(draw.gauss(0, 1), 3) for _ in range(rows)] for n in range(499)}
    columns["y"] = ["high" if value > 0 else "low" for value in columns["x 7."]]
    journey = go(tmp_path, write(path, columns), "y")
    assert journey.record["rows_kept"] == rows
    assert len(journey.dataset.table.features) == 499
    journey.check_answers()


def test_many_categories_are_better_used_than_left_out(draw, path, tmp_path):
    effects = [draw.gauss(0, 1) for _ in range(300)]
    shops = [int(299 * draw.random() ** 3) for _ in range(4000)]  # some often, most seldom
    scores = [effects[shop] + draw.gauss(0, 1) for shop in shops]
    columns = {
        "shop": [f"shop {shop}" for shop in shops],
        "size": [round(draw.random(), 3) for _ in shops],
        "late": ["yes" if score > 0 else "no" for score in scores],
    }
    file = write(path, columns)
    used = go(tmp_path, file, "late").metrics["roc_auc"]
    left_out = go(tmp_path, file, "late", "--exclude", "shop").metrics["roc_auc"]
    assert used > left_out + 0.1
