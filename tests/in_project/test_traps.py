"""Files and columns with the traps of real ones, each from its file to an answer over HTTP."""

import uuid
from datetime import date, timedelta

import pandas as pd
import pytest
from conftest import MISSING, go, type_in, write
from customer_churn.tools import infer_schema
from customer_churn.utils import UserError

WORDS = ["the", "parcel", "came", "late", "and", "its", "box", "was", "open", "again"]


def money(amount, mark=",", decimal="."):
    """Write 1234.5 as 1,234.50."""
    return f"{amount:,.2f}".translate(str.maketrans({",": mark, ".": decimal}))


def test_an_export_from_excel_in_german(draw, path, tmp_path):
    sizes = ["Klein", "Groß", "Größe 5; oder\nmehr"]
    paid = draw.sample(range(300, 9300, 30), k=300)
    days = [date(2020, 1, 1) + timedelta(days=5 * n) for n in range(300)]
    columns = {
        "größe": [draw.choice([size, size, f" {size} ", size.lower()]) for size in sizes * 100],
        " Umsatz in € ": [f"{money(n + 0.5, '.', ',')} €" for n in paid],
        "Rabatt": [f"{n % 40},5 %" for n in range(300)],
        "seit": [f"{day:%d.%m.%Y}" for day in days],
        "zuletzt": [f"{day.day}.{day.month}.{day:%y}" for day in days],
        "class": ["A", "B", "B"] * 100,
        "Storniert?": [f" {word} " for word in draw.choices(["Ja", "Nein"], k=300)],
    }
    journey = go(tmp_path, write(path, columns, "cp1252", delimiter=";"), "Storniert?")
    assert journey.record["rows_kept"] == 300
    assert journey.kinds() == {
        "größe": "category",
        "Umsatz in €": "number",
        "Rabatt": "number",
        "seit": "date",
        "zuletzt": "date",
        "class": "category",
        "Storniert?": "category",
    }
    assert set(journey.frame["größe"]) == set(sizes)
    assert journey.frame["Umsatz in €"].tolist() == [n + 0.5 for n in paid]
    assert journey.frame["Rabatt"].max() == 39.5
    for name in ("seit", "zuletzt"):
        assert [moment.date() for moment in journey.frame[name]] == days
    assert set(journey.frame["Storniert?"]) == {"Ja", "Nein"}
    journey.check_answers()


def test_an_american_export_with_tabs_and_a_byte_order_mark(draw, path, tmp_path):
    days = [date(2024, 12, 1) + timedelta(days=n) for n in range(300)]
    early = [date(2021 + n % 4, 1 + n % 12, 1 + n % 9) for n in range(300)]
    columns = {
        "Order.Date": [f"{day.month}/{day.day}/{day:%Y}" for day in days],
        "early": [f"{day:%m/%d/%Y}" for day in early],
        "stamp": [f"{day}T{n % 24:02}:30:00-05:00" for n, day in enumerate(days)],
        "Total Charges": [f"${money(n * 9.5)}" for n in range(300)],
        "features": [f"{n % 90 * 1000:,}" for n in range(300)],
        "loss": [f"({n % 70}.5)" if n % 3 else f"-{n % 70}.5" for n in range(300)],
        "share": [f"{n % 90}%" for n in range(300)],
        "y/n": draw.choices(["Y", "N", "y"], k=300),
        "yes/no": draw.choices(["Yes", "no"], k=300),
        "0/1": draw.choices("01", k=300),
        "true/false": draw.choices(["TRUE", "False", "na"], k=300),
        "row": [draw.choice([f'say "{word}"\tor', word]) for word in WORDS * 30],
        "returned": draw.choices("01", k=300),
    }
    file = write(path, columns, "utf-8-sig", delimiter="\t")
    journey = go(tmp_path, file, "returned")
    kinds, frame = journey.kinds(), journey.frame
    assert [name for name in kinds if kinds[name] == "date"] == ["Order.Date", "early", "stamp"]
    assert [moment.date() for moment in frame["Order.Date"]] == days
    assert [moment.date() for moment in frame["early"]] == early
    assert "day and month, or year, may be swapped" in journey.said
    assert frame["stamp"].dt.hour.tolist() == [(n + 5) % 24 for n in range(300)]  # in UTC
    assert frame["Total Charges"].tolist() == [n * 9.5 for n in range(300)]
    assert frame["features"].tolist() == [n % 90 * 1000 for n in range(300)]
    assert frame["loss"].tolist() == [-(n % 70) - 0.5 for n in range(300)]
    assert frame["share"].max() == 89
    assert {kinds[name] for name in ("y/n", "yes/no", "0/1", "true/false")} == {"boolean"}
    assert frame["true/false"].isna().sum() == columns["true/false"].count("na")
    assert kinds["returned"] == "integer"
    journey.check_answers()


def test_missing_values_strays_and_columns_that_say_nothing(draw, path, tmp_path):
    size = 600
    columns = {
        "id": range(7000, 7000 + size),
        "uuid": [uuid.UUID(int=draw.getrandbits(128)) for _ in range(size)],
        "customer": [f"C-{n:05}" for n in range(size)],
        "gaps": [MISSING[n % 40] if n % 40 < len(MISSING) else n % 99 for n in range(size)],
        "strays": ["see note" if n % 50 == 0 else n % 77 + 0.5 for n in range(size)],
        "constant": ["x"] * size,
        "constant number": [5] * size,
        "empty": [draw.choice(MISSING) for _ in range(size)],
        "zip": [f"{draw.choice([1067, 80331, 10115]):05}" for _ in range(size)],
        "country code": draw.choices([1, 44, 49], k=size),
        "rooms": draw.choices(range(1, 9), k=size),
        "two": draw.choices(["m", "f"], k=size),
        "letter": [" ".join(draw.choices(WORDS, k=12)) for _ in range(size)],
        "outcome": draw.choices(["lost", "won"], k=size),
    }
    journey = go(tmp_path, write(path, columns), "outcome")
    kinds = journey.kinds()
    for name in ("id", "uuid", "customer", "constant", "constant number", "empty", "letter"):
        assert kinds[name] == "unused"
        assert f"{name} " in journey.line(name)
        assert " excluded " in journey.line(name)
    assert kinds["gaps"] == "integer"
    assert journey.frame["gaps"].isna().sum() == sum(n % 40 < len(MISSING) for n in range(size))
    assert kinds["strays"] == "number"
    assert journey.record["rows_rejected"] == 0
    assert "98.0% are numbers; the others are read as missing: see note (12)" in journey.said
    assert [kinds[name] for name in ("zip", "country code", "rooms")] == ["category"] * 2 + [
        "integer"
    ]
    assert "01067" in set(journey.frame["zip"])
    for innocent in ("two: ", "rooms: ", "gaps: "):
        assert f"  {innocent}" not in journey.said
    journey.check_answers()


def test_a_copy_of_the_target_is_refused_until_it_is_excluded(draw, path, tmp_path):
    columns = {"rooms": draw.choices(range(1, 9), k=300), "y": draw.choices(["a", "b"], k=300)}
    columns["copied"] = [word.upper() * 2 for word in columns["y"]]
    file = write(path, columns)
    with pytest.raises(UserError, match="target leakage: 'copied' determines the target"):
        go(tmp_path, file, "y")
    journey = go(tmp_path, file, "y", "--exclude", "copied")
    assert journey.kinds()["copied"] == "unused"


def test_a_column_of_strays_only_in_its_later_rows_is_an_error_that_says_what_to_do(path, tmp_path):
    lines = [f"{n % 9 + 0.5},{n % 2}" for n in range(200)] + ["x,1"] * 9 + ["just one"] * 30
    path.write_text("\n".join(["size,y", *lines]), encoding="utf-8")
    with pytest.raises(UserError, match=r"lines are malformed.*fields instead of 2"):
        go(tmp_path, path, "y")


def test_an_edited_schema_is_kept_unless_forced(path, tmp_path):
    columns = {"x": range(0, 200, 2), "z": [n % 7 + 0.5 for n in range(100)], "y": ["a", "b"] * 50}
    journey = go(tmp_path, write(path, columns), "y")
    schema = tmp_path / "schema.yaml"
    schema.write_text(edited := schema.read_text() + "# edited\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        type_in(infer_schema.main, path, "--target", "y")
        assert edited in [old.read_text() for old in tmp_path.glob("schema.old-*.yaml")]
        kept = len(list(tmp_path.glob("*.old-*")))
        schema.write_text(edited)
        type_in(infer_schema.main, path, "--target", "y", "--force")
        assert len(list(tmp_path.glob("*.old-*"))) == kept
    assert pd.notna(journey.frame).all(axis=None)
