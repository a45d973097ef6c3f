from datetime import date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pytest
from conftest import ROOT, write_raw

import pipeline
import tools.column_decisions as decisions
import tools.column_rules as rules
import tools.infer_schema as infer_schema
from {{ cookiecutter.project_slug }}.config import Config, TableConfig, read_config
from {{ cookiecutter.project_slug }}.prediction import load_model
from {{ cookiecutter.project_slug }}.schema import Column, Table, read_schema, read_table
from {{ cookiecutter.project_slug }}.utils import UserError

from training.train import run

SOME = ["features", "Total Charges", "2020", "outcome"]
CONFIG = TableConfig(target="y", task="classification", key="k", exclude=["unwanted"])
DRAW = Random(0)
HALF = [DRAW.choice(["won", "lost"]) for _ in range(600)]


# --- the command ---


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
            "outcome": [["lost", "won"][charge + draw.gauss(0, 20) > 50] for charge in charges],
        }
    )


def infer(config: Config, table: pd.DataFrame, force: bool = False, **wanted: Any) -> Config:
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
    assert changed.paths.processed == config.root / "data" / "processed" / "table.parquet"
    assert (changed.training, changed.serving) == (config.training, config.serving)


def test_rows_without_a_target_do_not_fail_the_pipeline(config: Config) -> None:
    table = make_table()
    table.loc[:39, "outcome"] = "?"
    changed = infer(config, table)
    assert changed.table.max_rejected_share == 0.5
    record = pipeline.run(changed.paths.raw, changed.paths.processed, changed)
    assert (record["rows_kept"], record["rows_rejected"]) == (60, 40)


@pytest.mark.parametrize(("target", "model"), [("yes", "logistic"), ("Total Charges", "linear")])
def test_a_model_can_be_trained_on_the_result(config: Config, target: str, model: str) -> None:
    changed = infer(config, make_table(), target=target, key="features")
    table = read_table(changed)
    assert table.task == {"logistic": "classification", "linear": "regression"}[model]
    assert table.unused == ("features", "note")
    pipeline.run(changed.paths.raw, changed.paths.processed, changed)
    run(changed.paths.processed, model, changed.paths.model, changed)
    assert load_model(changed.paths.model).table == table


def test_a_european_export_is_read_as_it_is(config: Config) -> None:
    table = make_table().replace({"Total Charges": {r"\.": ","}}, regex=True)
    file = config.root / "export.csv"
    table.to_csv(file, sep=";", encoding="cp1252", index=False)
    infer_schema.run(str(file), config.table.model_copy(update={"key": "features"}), config)
    changed = read_config(config.root)
    found = changed.table
    assert (found.separator, found.encoding, found.decimal) == (";", "cp1252", ",")
    assert pipeline.run(str(file), changed.paths.processed, changed)["rows_kept"] == 100


def test_a_parquet_file(config: Config) -> None:
    table = make_table().assign(yes=[True, False] * 50, null=[1.5, float("nan"), 2, 3] * 25)
    table["2020"] = pd.to_datetime(table["2020"], format="%d/%m/%Y")
    file = config.root / "table.parquet"
    table.to_parquet(file)
    spelled = {"true_values": ["true"], "false_values": ["false"], "decimal": ","}
    infer_schema.run(str(file), config.table.model_copy(update=spelled | {"key": None}), config)
    changed = read_config(config.root)
    kinds = [column.kind for column in read_table(changed).features]
    assert kinds == ["number", "category", "category", "boolean", "date", "number"]
    assert pipeline.run(str(file), changed.paths.processed, changed)["rows_kept"] == 100


def test_an_edited_schema_is_kept_each_time_unless_forced_or_equal(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    infer(config, make_table()[SOME], force=True)
    made = config.schema_file.read_text(encoding="utf-8")
    for number in (1, 2):
        edited = made.replace("max_value: 900.0", f"max_value: {number}")
        config.schema_file.write_text(edited, encoding="utf-8")
        capsys.readouterr()
        infer(config, make_table()[SOME])
        printed = capsys.readouterr().out
        assert f"schema.yaml: the old one is kept as schema.old-{number}.yaml." in printed
        lines = [line for line in printed.splitlines() if "in_range: " in line]
        assert [line[0] for line in lines] == ["-", "+"]
        assert f"max_value: {number}" in lines[0]
        assert "max_value: 900.0" in lines[1]
        assert (config.root / f"schema.old-{number}.yaml").read_text(encoding="utf-8") == edited
    infer(config, make_table()[SOME])
    assert config.schema_file.read_text(encoding="utf-8") == made
    assert "max_value: 1}" in (config.root / "schema.old-1.yaml").read_text(encoding="utf-8")
    names = [file.name for file in config.root.glob("*.old-*")]
    assert sorted(names) == ["schema.old-1.yaml", "schema.old-2.yaml"]


def test_comments_in_the_config_survive(config: Config) -> None:
    file = config.root / "config.yaml"
    before = (ROOT / "config.yaml").read_text(encoding="utf-8")
    file.write_text(before, encoding="utf-8")
    infer(read_config(config.root), make_table()[SOME])
    after = file.read_text(encoding="utf-8")
    comments = [line.partition("#")[2] for line in before.splitlines() if "#" in line]
    assert [line.partition("#")[2] for line in after.splitlines() if "#" in line] == comments
    assert before[before.index("training:") :] == after[after.index("training:") :]


def test_each_column_has_its_line_and_some_are_to_be_looked_at(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    early = make_table().assign(paid=[f"0{number % 9 + 1}/01/2024" for number in range(100)])
    infer(config, early.assign(copy=early["outcome"].str[0], empty=""), exclude=["class"])
    lines, _, looks = capsys.readouterr().out.partition("\nLook at by hand:\n")
    kinds = {line[:13].strip(): line[13:].split("  ")[1] for line in lines.splitlines()}
    assert list(kinds) == [*early, "copy", "empty"]
    assert (kinds["Total Charges"], kinds["paid"]) == ("number", "date")
    assert kinds["class"] == kinds["note"] == kinds["features"] == kinds["empty"] == "excluded"
    assert "  features: if each row has its own, --key 'features' drops rows" in looks
    assert "  paid: no day is above 12: read as month, day; else turn %m and %d" in looks
    assert "  copy: the column gives the target away" in looks
    assert "  Total Charges:" not in looks


def test_columns_that_write_dates_in_contrary_ways_have_each_their_formats(config: Config) -> None:
    table = make_table()[SOME]
    turned = pd.to_datetime(table["2020"], format="%d/%m/%Y").dt.strftime("%m/%d/%Y")
    changed = infer(config, table.assign(paid=turned))
    assert changed.table.date_formats == {"2020": ["%d/%m/%Y"], "paid": ["%m/%d/%Y"]}
    pipeline.run(changed.paths.raw, changed.paths.processed, changed)
    processed = pd.read_parquet(changed.paths.processed)
    assert processed["2020"].equals(processed["paid"])
    assert processed["paid"].notna().all()
    alike = {"a": ["%d/%m/%Y"], "b": ["%m-%d-%Y"]}
    assert infer_schema.merge_formats(alike) == ["%d/%m/%Y", "%m-%d-%Y"]


def test_what_the_schema_rejects_is_counted(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    table = make_table()[SOME]
    table.loc[:19, "outcome"] = "?"
    table.loc[20:22, "Total Charges"] = "unknown"
    table.loc[30, "features"] = "K00031"
    infer(config, table, key="features")
    printed = capsys.readouterr().out
    assert "Of 100 rows 76 are kept, 3 rejected, 1 are duplicates, 20 have no target" in printed
    assert "\n  3.00%  Total Charges: 'unknown' can't be read\n" in printed


@pytest.mark.parametrize(
    ("column", "value", "fix"),
    [
        ("Total Charges", "a few", "'a few' can't be read; add it to missing_values"),
        ("Total Charges", "basin, date", "'basin, date' can't be read; add it to missing_values"),
        ("2020", "2024 or so", "'2024 or so' can't be read; add its format to date_formats"),
        ("features", "?", "is missing; set its nullable to true in schema.yaml"),
    ],
)
def test_too_many_rejected_rows_end_with_the_fix(
    config: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    column: str, value: str, fix: str,
) -> None:  # fmt: skip
    table = make_table()[SOME]
    table.loc[range(0, 100, 25), column] = value
    file = write_raw(config, ["too,few"] * 3, SOME)
    with file.open("a", encoding="utf-8") as lines:
        table.to_csv(lines, index=False, header=False)
    monkeypatch.chdir(config.root)
    options = ["--target", "outcome", "--key", "features", "--exclude", "2020"]
    monkeypatch.setattr("sys.argv", ["infer-schema", "data/raw/table.csv", *options])
    with pytest.raises(SystemExit) as stop:
        infer_schema.main()
    assert stop.value.code == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith(f"error: 7% of the rows are rejected; {column}: {fix}")
    assert list(read_schema(Path("schema.yaml")).columns) == SOME


def test_too_many_broken_lines_end_with_their_own_fix(config: Config) -> None:
    table = make_table()[SOME]
    lines = table.to_csv(index=False, header=False).splitlines()
    file = write_raw(config, [*lines, *["too,few"] * 10], SOME)
    wanted = config.table.model_copy(update={"key": "features", "exclude": ["2020"]})
    with pytest.raises(UserError, match="2 fields instead of 4; check separator"):
        infer_schema.run(str(file), wanted, config)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"target": "outcme"}, r"table.csv has no column 'outcme' \(the nearest is 'outcome'\)"),
        ({"key": "id"}, "has no column 'id'"),
        ({"exclude": ["Total charges"]}, "the nearest is 'Total Charges'"),
        ({"target": "note"}, "the target 'note' has 100 different values in 100 rows"),
        ({"target": "empty"}, "the target 'empty' has 0 different values in 0 rows"),
    ],
)
def test_a_wish_that_cannot_be_met_changes_nothing(
    config: Config, wanted: dict[str, Any], message: str
) -> None:
    before = config.schema_file.read_bytes()
    with pytest.raises(UserError, match=message):
        infer(config, make_table()[[*SOME, "note"]].assign(empty=""), **wanted)
    assert (config.schema_file.read_bytes(), read_config(config.root)) == (before, config)


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
    with pytest.raises(UserError, match="the target 'y' has 30 different values in 30 rows"):
        decide_on(y=[f"name {number}" for number in range(30)], x=["1", "2"] * 15)
    with pytest.raises(UserError, match="the target 'y' has 1 different values in 30 rows"):
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
    assert rules.find_encoding(b"a,b") == rules.find_encoding("größe".encode()) == "utf-8"
    assert rules.find_encoding("größe".encode("cp1252")) == "cp1252"
    assert rules.find_encoding("größe".encode("utf-16")) == "utf-16"


@pytest.mark.parametrize(
    ("lines", "separator"),
    [
        (["id,price,day", "1,9.99,Mon", "2,8.50,Tue"], ","),
        (["id;price", "1;9,99", "2;8,5", "3;10"], ";"),
        (["id\tname", "1\tDoe, Jane", "2\tRoe, Max"], "\t"),
        (["a|b|c", "1|2;3|4"], "|"),
        (["id,note,day", '1,"old, but good",Mon', '2,"none",Tue', "3,none,Wed"], ","),
        (["id;note", '1;"a, b, c"', '2;"d, e, f"', '3;"g"'], ";"),
        (["id,name,tags", "1,Ann,a;b", "2,Bob,c;d", "", '3,"Coe, Cy",e;f'], ","),
        (["id\tnote\tprice", '1\t"a\tb,c"\t$1,234.50', '2\t"x,\ny"\t$5'], "\t"),
        (["only", "one", "column"], ","),
    ],
)
def test_the_separator_stands_equally_often_in_most_lines(lines: list[str], separator: str) -> None:
    assert rules.find_separator("\n".join(lines)) == separator


@pytest.mark.parametrize(
    ("line", "separator", "decimal"),
    [
        ("1,234.50|9.99", ";", "."),
        ("9,99|1,5", ",", ","),  # quoted
        ("1.234,50|12.000,00", "\t", ","),
        ("1.234|2.500", ";", ","),  # thousands, in a European export
        ("1,234|2,500", ",", "."),
    ],
)
def test_the_decimal_sign_makes_more_numbers(line: str, separator: str, decimal: str) -> None:
    frame = pd.DataFrame({"price": cells(line)}).assign(name="a")
    assert rules.find_decimal(frame, separator) == decimal


def test_booleans_are_all_listed_and_both_occur() -> None:
    config = TableConfig(target="t", true_values=["Yes", "1"], false_values=["no", "0"])
    for line in ("yes|NO|| Yes", "1|0|yes"):
        assert rules.is_boolean(cells(line), config)
    for line in ("yes|yes", "yes|no|maybe", "1|0|2", ""):
        assert not rules.is_boolean(cells(line), config)


@pytest.mark.parametrize(
    ("line", "decimal", "expected"),
    [
        ("1|-2.5|0.5|0|1e3|", ".", True),
        ("€ 1,234.50|$5|12 %|(3.20)", ".", True),
        ("9,99|1.234,50 €|12", ",", True),
        ("1|" * 95 + "unknown|" * 5, ".", True),
        ("1|" * 94 + "unknown|" * 6, ".", False),
        ("01067|80331|99999", ".", False),  # a postcode
        ("4929123412341234|4485987698769876", ".", False),  # of credit cards
        ("2024-01-31|10:30", ".", False),
        ("JFK|LAX|USD", ".", False),
        ("$|-|%", ".", False),
        ("", ".", False),
    ],
)
def test_nearly_all_are_numbers_and_none_is_a_code(line: str, decimal: str, expected: bool) -> None:
    assert rules.is_number(cells(line), decimal) == expected


def test_whole_numbers() -> None:
    assert rules.is_whole(numbers(1, -2, None, 2**53))
    assert not rules.is_whole(numbers(1, 2.5))
    assert not rules.is_whole(numbers(2.0**54))


def test_the_last_word_of_a_name_tells() -> None:
    for name in ("id", "order_id", "orderID", "OrderId", "Order Id"):
        assert rules.ends_in(name, {"id"})
    for name in ("paid", "grid", "id_type", "idea", "", "2020", "größe"):
        assert not rules.ends_in(name, {"id"})


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
    assert rules.is_free_text(text(*("https://example.org/" + "x" * n for n in range(20, 60))))
    assert not rules.is_free_text(text(*notes, *["it came in time"] * 900))
    assert not rules.is_free_text(text(*(f"Street {number}" for number in range(50))))
    assert not rules.is_free_text(text(*["paid by bank transfer", "paid by credit card"] * 50))


@pytest.mark.parametrize(
    ("line", "day_first", "formats", "unread"),
    [
        ("2024-01-31|2024-01-31T10:00:00Z|2024-01-31 10:00+02:00", True, [], 0),
        ("20240131|2024/01/31|", False, [], 0),
        ("31/12/2024|1/2/2024", True, ["%d/%m/%Y"], 0),
        ("31/12/2024|1/2/2024", False, ["%m/%d/%Y"], 1),
        ("31.12.24|1.2.24", False, ["%d.%m.%y"], 0),
        ("5-Jan-24|31-Dec-23", False, ["%d-%b-%y"], 0),
        ("Jan 5, 2024|Dec 31, 2023", False, ["%b %d, %Y"], 0),
        ("2024-01-31|31 Jan 2024|often", True, ["%d %b %Y"], 1),
        ("1/2/2024 9:05 AM|1/2/2024 3:04 PM", False, ["%m/%d/%Y %I:%M %p"], 0),
        ("1/2/2024 3:04 PM|1/3/2024 11:30 PM", False, ["%m/%d/%Y %I:%M %p"], 0),
        ("31/12/2024 13:00:00 +01:00", True, ["%d/%m/%Y %H:%M:%S %z"], 0),
        ("Rome|10:30|3 to 5", False, [], 3),
    ],
)
def test_date_formats(line: str, day_first: bool, formats: list[str], unread: int) -> None:
    assert rules.find_date_formats(cells(line), day_first) == (formats, unread)


@pytest.mark.parametrize(
    ("value", "month_first", "day_first"),
    [
        ("3/4/2024", "%m/%d/%Y", "%d/%m/%Y"),
        ("3/4/24 7:05", "%m/%d/%y %H:%M", "%d/%m/%y %H:%M"),
        ("13/4/2024", None, "%d/%m/%Y"),
        ("3.4.2024", "%d.%m.%Y", "%d.%m.%Y"),
    ],
)
def test_a_guess_keeps_to_the_order_of_day_and_month(
    value: str, month_first: str | None, day_first: str | None
) -> None:
    assert rules.guess_date_format(value, day_first=False) == month_first
    assert rules.guess_date_format(value, day_first=True) == day_first


def test_dates_are_near_and_more_than_a_year() -> None:
    for line in ("2024-01-31|" * 95 + "unknown|" * 5, "20240131|20240201"):
        assert rules.is_date(cells(line), [])
    for line in ("2019|2024", "202401|202402", "12345678|99990101", "1700-01-01|1701-01-01", ""):
        assert not rules.is_date(cells(line), [])
    assert not rules.is_date(cells("2024-01-31|" * 94 + "unknown|" * 6), [])
    assert rules.is_date(cells("31/01/2024|2024-02-01"), ["%d/%m/%Y"])


def test_categories_are_all_seen_often_and_classes_all_that_are_seen() -> None:
    values = [*["Small"] * 4, "small", *["Very  large"] * 2, *["Very large"] * 3, None]
    assert rules.find_categories(text(*values)) == ("Small", "Very large")
    assert rules.find_categories(text(*values, *["Huge"] * 4)) == ()
    assert len(rules.find_categories(text(*map(str, [*range(50)] * 5)))) == 50
    assert rules.find_categories(text(*map(str, [*range(51)] * 5))) == ()
    assert rules.find_classes(text("Yes", "yes", "Yes", "no", None)) == ("Yes", "no")


def test_limits_are_round() -> None:
    assert rules.find_limits(numbers(0, 100)) == rules.find_limits(numbers(1, 99.9)) == (0, 1000)
    assert rules.find_limits(numbers(-5, -2)) == (-50, 0)
    assert rules.find_limits(numbers(-1200, 7, None)) == (-20_000, 20_000)
    dates = pd.Series([datetime(2010, 5, 1), datetime(2024, 3, 2), pd.NaT])
    assert rules.find_date_limits(dates) == ("2000-01-01", "2034-12-31")


@pytest.mark.parametrize("size", [1e-5, 0.03, 0.1, 1 / 3, 0.7, 1, 9.99, 12_345.6, 1e9, 3e20])
def test_limits_are_never_below_ten_times_the_size(size: float) -> None:
    assert rules.find_limits(numbers(0, size))[1] >= 10 * size
    assert rules.find_limits(numbers(-size, 0))[0] <= -10 * size


def test_a_column_is_required_after_a_thousand_rows_without_a_gap() -> None:
    assert rules.is_required(text(*["a"] * 1000))
    assert not rules.is_required(text(*["a"] * 999))
    assert not rules.is_required(text(*["a"] * 1000, None))


def test_the_task() -> None:
    for classes in ("yes|no|", "0|1|", "1|2|3|4|5", "1.0|2.0"):
        assert rules.find_task(cells("|".join([classes] * 20)), ".") == "classification"
    for values in (["1.5", "2.5"] * 20, ["€ 1,000", "€ 2,500.50"] * 20, map(str, range(21))):
        assert rules.find_task(text(*values), ".") == "regression"


def test_a_column_that_is_the_target_in_other_words_is_a_leak() -> None:
    target, amount = text(*HALF), numbers(*(DRAW.uniform(1, 100) for _ in HALF))
    state = target.map({"won": "closed", "lost": "open"})
    assert rules.find_leak(state, target, "classification") == "the column"
    assert rules.find_leak(amount * 1.19, amount, "regression") == "the column"


def test_many_equally_frequent_values_that_are_the_target_are_a_leak() -> None:
    states = text(*(f"state {number % 30}" for number in range(600)))
    target = states.map(lambda state: "won" if int(state[6:]) % 2 else "lost")
    assert rules.find_leak(states, target, "classification") == "the column"


def test_one_value_that_gives_the_target_away_is_a_leak() -> None:
    target = text(*HALF)
    some = (target == "won") & pd.Series([DRAW.random() < 0.5 for _ in HALF])
    state = target.mask(some, "closed").replace(["won", "lost"], "open")
    assert rules.find_leak(state, target, "classification") == "the value closed"
    score = numbers(*[1] * len(HALF)).mask(some)
    assert rules.find_leak(score, target, "classification") == "the value a missing value"


def test_a_merely_good_column_is_no_leak() -> None:
    target, amount = text(*HALF), numbers(*(DRAW.uniform(1, 100) for _ in HALF))
    lucky = pd.Series([DRAW.random() < 0.85 for _ in HALF])
    good = target.where(lucky, text(*DRAW.sample(HALF, len(HALF))))
    assert rules.find_leak(good, target, "classification") == ""
    near = amount + numbers(*(DRAW.gauss(0, 10) for _ in HALF))
    assert rules.find_leak(near, amount, "regression") == ""
    colour, usual = text(*["red", "blue", "green"] * 200), text(*["lost"] * 580, *["won"] * 20)
    assert rules.find_leak(colour, usual, "classification") == ""
    assert rules.find_leak(colour, text(*["won"] * 600), "classification") == ""


def test_a_leak_is_looked_for_in_huge_numbers_too() -> None:
    huge = numbers(*[1e300, -1e300, None] * 200)
    assert rules.find_leak(huge, text(*HALF), "classification") == ""
