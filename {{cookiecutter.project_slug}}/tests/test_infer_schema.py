"""Any table becomes the project's own: the command, and the rules of its columns."""

from datetime import date, datetime, timedelta
from random import Random
from typing import Any

import pandas as pd
import pytest
from conftest import ROOT, write_raw

import pipeline
from {{ cookiecutter.project_slug }}.config import Config, TableConfig, read_config
from {{ cookiecutter.project_slug }}.prediction import load_model
from {{ cookiecutter.project_slug }}.schema import Column, Table, read_schema, read_table
from {{ cookiecutter.project_slug }}.tools import column_decisions as decisions
from {{ cookiecutter.project_slug }}.tools import column_rules as rules
from {{ cookiecutter.project_slug }}.tools import infer_schema as infer_schema
from {{ cookiecutter.project_slug }}.training.train import run
from {{ cookiecutter.project_slug }}.utils import UserError

SOME = ["features", "Total Charges", "2020", "outcome"]


CONFIG = TableConfig(target="y", task="classification", key="k", exclude=["unwanted"])


DRAW = Random(0)


HALF = [DRAW.choice(["won", "lost"]) for _ in range(600)]


def make_table() -> pd.DataFrame:
    draw = Random(1)
    days = [date(2020, 1, 1) + timedelta(draw.randrange(1500)) for _ in range(100)]
    charges = [draw.uniform(10, 90) for _ in days]
    return pd.DataFrame(
        {
            "features": [f"K{number:05}" for number in range(100)],
            "Total Charges": [f"{charge:.2f}" for charge in charges],
            "class": [draw.choice(["A", "B"]) for _ in days],
            "größe": [draw.choice(["Small", "Large", "Large", "large "]) for _ in days],
            "yes": [draw.choice(["yes", "no", "?"]) for _ in days],
            "2020": [f"{day:%d/%m/%Y}" for day in days],
            "null": [str(draw.randrange(30)) for _ in days],
            "note": [f"{draw.randrange(10**9)} was his or her word" for _ in days],
            "outcome": [
                ["lost", "won"][charge + draw.gauss(0, 20) > 50] for charge in charges
            ],
        }
    )


def infer(
    config: Config, table: pd.DataFrame, force: bool = False, **wanted: Any
) -> Config:
    file = write_raw(config, [])
    table.to_csv(file, index=False)
    options = {"key": None, "target": "outcome", "exclude": []} | wanted
    infer_schema.run(str(file), config.table.model_copy(update=options), config, force)
    return read_config(config.root)


def test_the_schema_and_the_config_say_what_the_table_is(config: Config) -> None:
    changed = infer(config, make_table())
    assert read_table(changed) == Table(
        (
            Column("Total Charges", "number", True, 0, 900),
            Column("class", "category", True, categories=("A", "B")),
            Column("größe", "category", True, categories=("Large", "Small")),
            Column("yes", "boolean", True),
            Column("2020", "date", True, "2010-01-01", "2034-12-31"),
            Column("null", "integer", True, 0, 300),
        ),
        Column("outcome", "category", categories=("lost", "won")),
        "classification",
        ("features", "note"),
    )
    found = {"date_formats": ["%d/%m/%Y"], "exclude": ["features", "note"]}
    limit = {"max_rejected_share": 0.1}
    wanted = {"key": None, "task": "classification"}
    assert changed.table == config.table.model_copy(update=found | limit | wanted)
    assert changed.paths.raw == str(config.root / "data" / "raw" / "table.csv")
    assert (
        changed.paths.processed == config.root / "data" / "processed" / "table.parquet"
    )
    assert (changed.training, changed.serving) == (config.training, config.serving)


def test_a_model_can_be_trained_on_the_result(config: Config) -> None:
    changed = infer(config, make_table(), target="Total Charges", key="features")
    table = read_table(changed)
    assert table.task == "regression"
    assert table.unused == ("features", "note")
    pipeline.run(changed.paths.raw, changed.paths.processed, changed)
    run(changed.paths.processed, "linear", changed.paths.model, changed)
    assert load_model(changed.paths.model).table == table


def test_an_edited_schema_is_kept(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    infer(config, make_table()[SOME], force=True)
    made = config.schema_file.read_text(encoding="utf-8")
    edited = made.replace("max_value: 900.0", "max_value: 1")
    config.schema_file.write_text(edited, encoding="utf-8")
    infer(config, make_table()[SOME])
    assert (
        "schema.yaml: the old one is kept as schema.old-1.yaml."
        in capsys.readouterr().out
    )
    assert (config.root / "schema.old-1.yaml").read_text(encoding="utf-8") == edited
    assert config.schema_file.read_text(encoding="utf-8") == made


def test_comments_in_the_config_survive(config: Config) -> None:
    file = config.root / "config.yaml"
    before = (ROOT / "config.yaml").read_text(encoding="utf-8")
    file.write_text(before, encoding="utf-8")
    infer(read_config(config.root), make_table()[SOME])
    after = file.read_text(encoding="utf-8")
    comments = [line.partition("#")[2] for line in before.splitlines() if "#" in line]
    assert [
        line.partition("#")[2] for line in after.splitlines() if "#" in line
    ] == comments
    assert before[before.index("training:") :] == after[after.index("training:") :]


def test_each_column_has_its_line_and_some_are_to_be_looked_at(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    early = make_table().assign(
        paid=[f"0{number % 9 + 1}/01/2024" for number in range(100)]
    )
    infer(
        config, early.assign(copy=early["outcome"].str[0], empty=""), exclude=["class"]
    )
    lines, _, looks = capsys.readouterr().out.partition("\nLook at by hand:\n")
    kinds = {line[:13].strip(): line[13:].split("  ")[1] for line in lines.splitlines()}
    assert list(kinds) == [*early, "copy", "empty"]
    assert (kinds["Total Charges"], kinds["paid"]) == ("number", "date")
    assert (
        kinds["class"]
        == kinds["note"]
        == kinds["features"]
        == kinds["empty"]
        == "excluded"
    )
    assert "  features: if each row has its own, --key 'features' drops rows" in looks
    assert (
        "  paid: no day is above 12: read as month, day; else turn %m and %d" in looks
    )
    assert "  copy: the column gives the target away" in looks
    assert "  Total Charges:" not in looks


def test_too_many_rejected_rows_end_with_the_fix(config: Config) -> None:
    table = make_table()[SOME]
    table.loc[range(0, 100, 25), "Total Charges"] = "a few"
    table.loc[range(1, 100, 33), "2020"] = "soon"
    message = "^7% of the rows are rejected; Total Charges: 'a few' can't be read; add it to miss"
    with pytest.raises(UserError, match=message):
        infer(config, table)
    assert list(read_schema(config.schema_file).columns) == SOME


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (
            {"target": "outcme"},
            r"table.csv has no column 'outcme' \(the nearest is 'outcome'\)",
        ),
        ({"target": "note"}, "the target 'note' has 100 different values in 100 rows"),
    ],
)
def test_a_wish_that_cannot_be_met_changes_nothing(
    config: Config, wanted: dict[str, Any], message: str
) -> None:
    before = config.schema_file.read_bytes()
    with pytest.raises(UserError, match=message):
        infer(config, make_table()[[*SOME, "note"]], **wanted)
    assert (config.schema_file.read_bytes(), read_config(config.root)) == (
        before,
        config,
    )


# --- one column ---


def decide_on(**columns: list[str]) -> dict[str, decisions.Decision]:
    frame = pd.DataFrame(columns, dtype="str")
    return {each.column.name: each for each in decisions.infer(frame, CONFIG)}


def test_every_column_is_decided_on_once_and_in_its_order() -> None:
    found = decide_on(
        k=[f"k{number}" for number in range(40)],
        amount=[f"{number * 7 % 40}.5" for number in range(40)],
        unwanted=["1.5", "2.5"] * 20,
        constant=["x"] * 40,
        flag=["x", ""] * 20,
        empty=[""] * 40,
        note=[f"the parcel {number} came too late" for number in range(40)],
        code=[f"{number % 3:03}" for number in range(40)],
        day=["2024-01-31", "2024-02-01"] * 20,
        y=["yes", "no"] * 20,
    )
    kinds = {name: each.column.kind for name, each in found.items()}
    kinds_of_the_rest = {"amount": "number", "unwanted": "number", "day": "date"}
    assert kinds == dict.fromkeys(found, "category") | kinds_of_the_rest
    excluded = [name for name, each in found.items() if each.excluded]
    assert excluded == ["unwanted", "constant", "empty", "note"]
    assert found["code"].column == Column(
        "code", "category", True, categories=("000", "001", "002")
    )
    assert found["day"].look.startswith("the column gives the target away")


def test_a_target_that_can_be_no_class_is_refused() -> None:
    with pytest.raises(
        UserError, match="the target 'y' has 30 different values in 30 rows"
    ):
        decide_on(y=[f"name {number}" for number in range(30)], x=["1", "2"] * 15)
    with pytest.raises(
        UserError, match="the target 'y' has 1 different values in 30 rows"
    ):
        decide_on(y=["same"] * 30, x=["1", "2"] * 15)


def test_the_classes_of_the_target() -> None:
    def decide(classes: str) -> Column:
        config = TableConfig(target="y", task="classification")
        return decisions.decide_target(pd.Series(classes.split() * 10), config).column

    assert decide("No Yes yes Yes") == Column("y", "category", categories=("No", "Yes"))
    assert decide("1 2.0 3") == Column("y", "integer", categories=(1, 2, 3))
    assert decide("JFK LAX") == Column("y", "category", categories=("JFK", "LAX"))
    assert decide("01 02") == Column("y", "category", categories=("01", "02"))
    assert decide("True false") == Column("y", "boolean")


# --- the rules ---


def text(*values: str | None) -> pd.Series:
    return pd.Series(values, dtype="str")


def cells(line: str) -> pd.Series:
    return text(*(cell or None for cell in line.split("|")))


def numbers(*values: float | None) -> pd.Series:
    return pd.Series(values, dtype=float)


def shuffled(values: range) -> pd.Series:
    return numbers(*Random(0).sample(values, len(values)))


def test_the_encoding_is_utf_8_where_it_can_be() -> None:
    assert (
        rules.find_encoding(b"a,b") == rules.find_encoding("größe".encode()) == "utf-8"
    )
    assert rules.find_encoding("größe".encode("cp1252")) == "cp1252"
    assert rules.find_encoding("größe".encode("utf-16")) == "utf-16"


@pytest.mark.parametrize(
    ("lines", "separator"),
    [
        (["id;price", "1;9,99", "2;8,5", "3;10"], ";"),
        (["id\tname", "1\tDoe, Jane", "2\tRoe, Max"], "\t"),
        (["id,note,day", '1,"old, but good",Mon', '2,"none",Tue', "3,none,Wed"], ","),
        (["only", "one", "column"], ","),
    ],
)
def test_the_separator_stands_equally_often_in_most_lines(
    lines: list[str], separator: str
) -> None:
    assert rules.find_separator("\n".join(lines)) == separator


def test_booleans_are_all_listed_and_both_occur() -> None:
    config = TableConfig(target="t", true_values=["Yes", "1"], false_values=["no", "0"])
    for line in ("yes|NO|| Yes", "1|0|yes"):
        assert rules.is_boolean(cells(line), config)
    for line in ("yes|yes", "yes|no|maybe", "1|0|2", ""):
        assert not rules.is_boolean(cells(line), config)


@pytest.mark.parametrize(
    ("line", "decimal", "expected"),
    [
        ("€ 1,234.50|$5|12 %|(3.20)", ".", True),
        ("9,99|1.234,50 €|12", ",", True),
        ("1|" * 94 + "unknown|" * 6, ".", False),
        ("01067|80331|99999", ".", False),  # a postcode
    ],
)
def test_nearly_all_are_numbers_and_none_is_a_code(
    line: str, decimal: str, expected: bool
) -> None:
    assert rules.is_number(cells(line), decimal) == expected


def test_codes_come_again_and_are_called_so() -> None:
    plz = numbers(*[10115, 80331, 20095] * 20)
    assert rules.is_code("PLZ", plz)
    assert not rules.is_code("price", plz)
    assert not rules.is_code("zip", shuffled(range(10_000, 90_000, 1_000)))


def test_running_numbers_count_the_rows_or_are_called_so() -> None:
    dense, sparse = range(100), range(0, 10_000, 100)
    sample = numbers(*range(5000)).sample(100, random_state=0).sort_index()
    assert rules.is_running_number("row", sample)
    assert rules.is_running_number("row", numbers(*dense))
    assert rules.is_running_number("row", shuffled(dense))
    assert not rules.is_running_number("sorted by price", numbers(*sparse))
    assert rules.is_running_number("order_id", shuffled(sparse))
    assert not rules.is_running_number("price", shuffled(sparse))
    assert not rules.is_running_number("order_id", numbers(*[1, 2, 3, 4] * 25))
    assert not rules.is_running_number("weight", shuffled(dense) + 0.5)


def test_identifiers_are_different_or_called_so() -> None:
    different = [f"C-{number}" for number in range(50)]
    assert rules.is_identifier("customer", text(*different))
    assert rules.is_identifier("order_id", text(*different * 4))
    assert not rules.is_identifier("customer", text(*different * 4))
    assert not rules.is_identifier("order_id", text(*["a", "b"] * 200))


def test_free_text_is_long_and_often_different() -> None:
    notes = [f"the parcel {number} came late" for number in range(50)]
    assert rules.is_free_text(text(*notes, None))
    assert rules.is_free_text(
        text(*("https://example.org/" + "x" * n for n in range(20, 60)))
    )
    assert not rules.is_free_text(text(*notes, *["it came in time"] * 900))
    assert not rules.is_free_text(text(*(f"Street {number}" for number in range(50))))
    assert not rules.is_free_text(
        text(*["paid by bank transfer", "paid by credit card"] * 50)
    )


@pytest.mark.parametrize(
    ("line", "day_first", "formats", "unread"),
    [
        ("2024-01-31|2024-01-31T10:00:00Z|2024-01-31 10:00+02:00", True, [], 0),
        ("31/12/2024|1/2/2024", True, ["%d/%m/%Y"], 0),
        ("31/12/2024|1/2/2024", False, ["%m/%d/%Y"], 1),
        ("Rome|10:30|3 to 5", False, [], 3),
    ],
)
def test_date_formats(
    line: str, day_first: bool, formats: list[str], unread: int
) -> None:
    assert rules.find_date_formats(cells(line), day_first) == (formats, unread)


def test_categories_are_all_seen_often_and_classes_all_that_are_seen() -> None:
    values = [*["Small"] * 4, "small", *["Very  large"] * 2, *["Very large"] * 3, None]
    assert rules.find_categories(text(*values)) == ("Small", "Very large")
    assert rules.find_categories(text(*values, *["Huge"] * 4)) == ()
    assert len(rules.find_categories(text(*map(str, [*range(50)] * 5)))) == 50
    assert rules.find_categories(text(*map(str, [*range(51)] * 5))) == ()
    assert rules.find_classes(text("Yes", "yes", "Yes", "no", None)) == ("Yes", "no")


def test_limits_are_round() -> None:
    assert (
        rules.find_limits(numbers(0, 100))
        == rules.find_limits(numbers(1, 99.9))
        == (0, 1000)
    )
    assert rules.find_limits(numbers(-5, -2)) == (-50, 0)
    assert rules.find_limits(numbers(-1200, 7, None)) == (-20_000, 20_000)
    dates = pd.Series([datetime(2010, 5, 1), datetime(2024, 3, 2), pd.NaT])
    assert rules.find_date_limits(dates) == ("2000-01-01", "2034-12-31")


def test_the_task() -> None:
    for classes in ("yes|no|", "0|1|", "1|2|3|4|5", "1.0|2.0"):
        assert rules.find_task(cells("|".join([classes] * 20)), ".") == "classification"
    for values in (
        ["1.5", "2.5"] * 20,
        ["€ 1,000", "€ 2,500.50"] * 20,
        map(str, range(21)),
    ):
        assert rules.find_task(text(*values), ".") == "regression"


def test_a_column_that_is_the_target_in_other_words_is_a_leak() -> None:
    target, amount = text(*HALF), numbers(*(DRAW.uniform(1, 100) for _ in HALF))
    state = target.map({"won": "closed", "lost": "open"})
    assert rules.find_leak(state, target, "classification") == "the column"
    assert rules.find_leak(amount * 1.19, amount, "regression") == "the column"


def test_a_merely_good_column_is_no_leak() -> None:
    target, amount = text(*HALF), numbers(*(DRAW.uniform(1, 100) for _ in HALF))
    lucky = pd.Series([DRAW.random() < 0.85 for _ in HALF])
    good = target.where(lucky, text(*DRAW.sample(HALF, len(HALF))))
    assert rules.find_leak(good, target, "classification") == ""
    near = amount + numbers(*(DRAW.gauss(0, 10) for _ in HALF))
    assert rules.find_leak(near, amount, "regression") == ""
    colour, usual = (
        text(*["red", "blue", "green"] * 200),
        text(*["lost"] * 580, *["won"] * 20),
    )
    assert rules.find_leak(colour, usual, "classification") == ""
    assert rules.find_leak(colour, text(*["won"] * 600), "classification") == ""
