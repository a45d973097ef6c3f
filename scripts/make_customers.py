"""Make the sample table of the template: 5,000 made-up customers, some of whom leave.

The churn model: a customer leaves with the probability 1 / (1 + exp(-score)), where

    score = -2.4
            - 3.0 if contract_type is Yearly, - 4.0 if contract_type is Two-year
            + 0.07 * (monthly_charge - 70) if contract_type is Monthly
            + 4.0 if age is under 30 or over 65
            + 0.4 * support_calls
            - 0.0005 * days from signup_date to 2025-12-31
            - 0.01 * data_gb
            + 0.01 * days from last_payment_date to 2025-12-31

A contract holds customers; a high charge drives away only those without one (the interaction);
the young and the old leave more (the non-linear effect), and so do those who call support. As
every probability is known, so are the best accuracy and ROC AUC a model can expect. Only after
the target is drawn, from the true values, is the table made dirty, as real exports are.
"""

import csv
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from random import Random
from statistics import fmean

DATA = Path(__file__).resolve().parents[1] / "{{cookiecutter.project_slug}}" / "data"
SEED, CUSTOMERS, EXPORT_DATE = 2025, 5_000, date(2025, 12, 31)
REGIONS = {"North": 30, "South": 25, "East": 25, "West": 20}  # percent of the customers
PLANS = {"Basic": 35, "Standard": 40, "Premium": 25}
CONTRACTS = {"Monthly": 55, "Yearly": 25, "Two-year": 20}
PLAN_CHARGE = {"Basic": 35, "Standard": 65, "Premium": 95}
CONTRACT_EFFECT = {"Monthly": 0.0, "Yearly": -3.0, "Two-year": -4.0}
CHARGE_EFFECT, USUAL_CHARGE = 0.07, 70
AGE_EFFECT, SETTLED_AGES = 4.0, range(30, 66)
BASE_SCORE, CALL_EFFECT, PAYMENT_EFFECT = -2.4, 0.4, 0.01
TENURE_EFFECT, DATA_EFFECT = -0.0005, -0.01

CATEGORY_COLUMNS = ("region", "plan", "contract_type", "paperless", "churned")
NUMBER_COLUMNS = ("age", "monthly_charge", "data_gb", "support_calls")
DATE_COLUMNS = ("signup_date", "last_payment_date")
MISSING = ("", " ", "NA", "N/A", "null", "None", "?", "-")
# Every share is a share of the customers, and that in each column where there are several.
MISSING_SHARE = {
    "region": 0.04,
    "plan": 0.03,
    "contract_type": 0.01,
    "paperless": 0.04,
    "age": 0.02,
}
MISSING_SHARE |= {"monthly_charge": 0.02, "data_gb": 0.03, "support_calls": 0.02}
MISSING_SHARE |= {"signup_date": 0.02, "last_payment_date": 0.03}
RESPELLED_SHARE, RESTYLED_SHARE = 0.04, 0.03  # of categories, of dates
EXACT_COPY_SHARE, RESPELLED_COPY_SHARE = 0.01, 0.01
TEXTS = ("unknown", "n.a.?", "12 units", "see note", "about 50")
BAD_DATES = ("2024-02-30", "2023-13-01", "2022-04-31", "2021-00-15", "2023-02-29")
BAD_VALUES = {  # kind: (share, columns, values), the columns and values taken in turn
    "Missing target": (0.002, ("churned",), MISSING),
    "Age out of range": (0.004, ("age",), ("0", "-1", "150", "999")),
    "Text for a number": (0.003, NUMBER_COLUMNS, TEXTS),
    "Impossible date": (0.002, DATE_COLUMNS, BAD_DATES),
}
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
Row = dict[str, str]


def churn_probability(
    contract: str, charge: float, age: int, calls: int, tenure: int, data: float, unpaid: int
) -> float:
    score = BASE_SCORE + CONTRACT_EFFECT[contract] + CALL_EFFECT * calls
    score += TENURE_EFFECT * tenure + DATA_EFFECT * data + PAYMENT_EFFECT * unpaid
    score += CHARGE_EFFECT * (charge - USUAL_CHARGE) * (contract == "Monthly")
    score += AGE_EFFECT * (age not in SETTLED_AGES)
    return 1 / (1 + math.exp(-score))


def make_customer(rng: Random, customer_id: str) -> tuple[Row, float]:
    """A clean row, its target drawn, and the probability it was drawn with."""
    region, plan, contract = (
        rng.choices([*names], [*names.values()])[0] for names in (REGIONS, PLANS, CONTRACTS)
    )
    age = 18 + int(73 * rng.random() ** 1.3)
    charge = round(PLAN_CHARGE[plan] + rng.uniform(-25, 25), 2)
    data = round(min(rng.expovariate(1 / 35), 200), 1)
    calls = min(int(rng.expovariate(1 / 3)), 20)
    tenure = rng.randint(30, 3_000)
    unpaid = min(1 + int(rng.expovariate(1 / 25)), 150, tenure - 1)
    probability = churn_probability(contract, charge, age, calls, tenure, data, unpaid)
    row = {
        "customer_id": customer_id,
        "signup_date": str(EXPORT_DATE - timedelta(days=tenure)),
        "age": str(age),
        "region": region,
        "plan": plan,
        "contract_type": contract,
        "monthly_charge": f"{charge:.2f}",
        "data_gb": f"{data:.1f}",
        "support_calls": str(calls),
        "paperless": rng.choice(["Yes", "No"]),
        "last_payment_date": str(EXPORT_DATE - timedelta(days=unpaid)),
        "churned": "Yes" if rng.random() < probability else "No",
    }
    return row, probability


def best_roc_auc(probabilities: list[float]) -> float:
    """The expected share of (churned, stayed) pairs that the probabilities put in order."""
    ordered = pairs = below = 0.0  # below: how many customers of lower probability stayed
    stayed = math.fsum(1 - p for p in probabilities)
    for p, size in sorted(Counter(probabilities).items()):
        ordered += size * p * (below + (size - 1) * (1 - p) / 2)  # ties count half
        pairs += size * p * (stayed - (1 - p))  # nobody is paired with themselves
        below += size * (1 - p)
    return ordered / pairs


def respelled(rng: Random, text: str) -> str:
    """The same category in other blanks or letter case."""
    name = text.strip()
    spellings = (f" {name.lower()} ", name.upper(), name.lower(), f"{name} ", f"  {name}")
    return rng.choice([spelling for spelling in spellings if spelling != text])


def restyled(rng: Random, iso_date: str) -> str:
    """The same date as 31/12/2023 (day first) or as 5 Mar 2024."""
    year, month, day = iso_date.split("-")
    return rng.choice([f"{day}/{month}/{year}", f"{int(day)} {MONTHS[int(month) - 1]} {year}"])


def in_turn(values: tuple[str, ...]) -> Callable[[str], str]:
    turns = cycle(values)
    return lambda _: next(turns)


def spoil(rows: Iterator[Row], share: float, change: Callable[[str], str], *columns: str) -> int:
    """Use up a share of rows, changing in each one of the columns in turn; return how many."""
    taken = list(islice(rows, round(share * CUSTOMERS)))
    for row, column in zip(taken, cycle(columns), strict=False):
        row[column] = change(row[column])
    return len(taken)


def add_harmless_dirt(rng: Random, rows: list[Row]) -> Counter[str]:
    """Empty some cells and write others differently, never both in one cell."""
    counts: Counter[str] = Counter()
    missing, respell, restyle = in_turn(MISSING), partial(respelled, rng), partial(restyled, rng)
    for column in list(rows[0])[1:]:
        left = iter(rng.sample(rows, len(rows)))
        counts["Missing value"] += spoil(left, MISSING_SHARE.get(column, 0), missing, column)
        if column in CATEGORY_COLUMNS:
            counts["Respelled category"] += spoil(left, RESPELLED_SHARE, respell, column)
        if column in DATE_COLUMNS:
            counts["Date written differently"] += spoil(left, RESTYLED_SHARE, restyle, column)
    return counts


def add_copies(rng: Random, table: list[Row], sound: list[Row]) -> Counter[str]:
    """Insert copies of some sound rows, each anywhere after the row it repeats."""
    exact, near = round(EXACT_COPY_SHARE * CUSTOMERS), round(RESPELLED_COPY_SHARE * CUSTOMERS)
    for number, row in enumerate(rng.sample(sound, exact + near)):
        copy = dict(row)
        if number >= exact:
            column = rng.choice([name for name in CATEGORY_COLUMNS if row[name] not in MISSING])
            copy[column] = respelled(rng, row[column])
        table.insert(rng.randint(table.index(row) + 1, len(table)), copy)
    return Counter({"Exact copy": exact, "Respelled copy": near})


def make_table() -> tuple[list[Row], dict[str, str]]:
    """The dirty table, and the figures worth knowing about it."""
    rng = Random(SEED)
    ids = rng.sample([f"C{number:05d}" for number in range(1, CUSTOMERS + 1)], CUSTOMERS)
    table, probabilities = map(list, zip(*(make_customer(rng, key) for key in ids), strict=True))
    figures = {
        "Share churned": f"{sum(row['churned'] == 'Yes' for row in table) / CUSTOMERS:.4f}",
        "Best possible accuracy": f"{fmean(max(p, 1 - p) for p in probabilities):.4f}",
        "Best possible ROC AUC": f"{best_roc_auc(probabilities):.4f}",
    }
    rows_left = iter(rng.sample(table, CUSTOMERS))
    counts: Counter[str] = Counter()
    for kind, (share, columns, values) in BAD_VALUES.items():
        counts[kind] = spoil(rows_left, share, in_turn(values), *columns)
    sound = list(rows_left)
    counts += add_harmless_dirt(rng, sound)
    counts += add_copies(rng, table, sound)
    return table, figures | {kind: str(count) for kind, count in counts.items()}


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA / "raw" / "customers.csv"
    table, figures = make_table()
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(table[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    print(*(f"{name}: {figure}" for name, figure in figures.items()), sep="\n")


if __name__ == "__main__":
    main()
