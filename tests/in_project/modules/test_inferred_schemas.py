"""Any table becomes the project's own, in full: kinds, targets, files, settings."""

import gzip
import os
import random
import subprocess
import sys
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pipeline
import pytest
import yaml
from conftest import ROOT
from customer_churn.cells import read_cell
from customer_churn.config import Config, read_config
from customer_churn.prediction import load_model
from customer_churn.schema import Column, Table, read_table
from customer_churn.tools import infer_schema
from customer_churn.tools.infer_schema import main
from customer_churn.training.train import run
from nbformat.v4 import new_code_cell, new_notebook

ROWS = 300
DRAW = random.Random(0)
DAYS = [date(2020, 1, 1) + timedelta(DRAW.randrange(1500)) for _ in range(ROWS)]
CHARGES = [DRAW.uniform(10, 90) for _ in DAYS]
OTHERS = [f"{DRAW.random():.2f}" for _ in DAYS]
OUTCOMES = [["lost", "won"][charge + DRAW.gauss(0, 20) > 50] for charge in CHARGES]


def some(*texts: str) -> list[str]:
    """Return one of some texts for each row."""
    return [DRAW.choice(texts) for _ in range(ROWS)]


@pytest.fixture
def infer(config: Config, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Any:
    """Return a function that writes a table and runs the command: what it printed."""
    file = config.root / "table.csv"

    settings = config.root / "config.yaml"
    text = settings.read_text(encoding="utf-8")
    text = text.replace('["", "?"]', '["", "?", NA, None]')
    settings.write_text(text, encoding="utf-8")

    def infer(*options: str, content: bytes | None = None, **columns: Any) -> str:
        named = {"outcome": OUTCOMES, "other": OTHERS} | columns
        if content is None:
            content = pd.DataFrame(named).to_csv(index=False).encode()
        file.write_bytes(content)
        words = ["infer-schema", "table.csv", *options]
        if "--target" not in options:
            words += ["--target", "outcome"]
        monkeypatch.chdir(config.root)
        monkeypatch.setattr("sys.argv", words)
        try:
            main()
        except SystemExit as stop:
            assert stop.code == 2
            return capsys.readouterr().err
        return capsys.readouterr().out

    return infer


def read(config: Config) -> Table:
    """Return the table that was inferred."""
    return read_table(read_config(config.root))


def found(config: Config, name: str = "x") -> Column:
    """Return a column that was inferred, without the way it is spelled."""
    return next(column for column in read(config).columns if column.name == name)


def test_each_column_is_decided_on_and_explained(infer: Any, config: Config) -> None:
    said = infer(
        *("--key", "features", "--exclude", "class"),
        features=[f"K{number:05}" for number in range(ROWS)],
        **{"Total Charges": [f"${charge:.2f}" for charge in CHARGES]},
        **{"class": some("A", "B"), "größe": some("Small", "Large", "large ")},
        yes=some("yes", "no", "?"),
        **{"2020": [f"{day:%d/%m/%Y}" for day in DAYS]},
        null=some("1", "22", "30"),
        note=[f"{number} was his or her word" for number in range(ROWS)],
    )
    table = read(config)
    kinds = {column.name: column.kind for column in table.features}
    assert kinds == {
        "other": "number",
        "Total Charges": "number",
        "größe": "category",
        "yes": "boolean",
        "2020": "date",
        "null": "integer",
    }
    assert (table.key, table.task) == (("features",), "classification")
    assert found(config, "größe").categories == ("Large", "Small")
    limits = found(config, "null").minimum, found(config, "null").maximum
    assert limits == (0, 300)
    assert found(config, "Total Charges").unit == "$"
    assert found(config, "2020").spelling.date_formats == ("%d/%m/%Y",)
    assert "note                            excluded  free text, 300 distinct" in said
    assert "300 rows were read, and 0 lines are malformed." in said
    assert "Check manually" not in said


def test_kinds(infer: Any, config: Config) -> None:
    kinds = [
        (["1", "-2.5", "0.5", "1e3"], "number"),
        (["1,234.50 €", "5 €", "-3.20 €"], "number"),
        (["EUR 10", "USD 10", "JPY 1500"], "category"),
        (["MAT101", "PHY101", "BIO101"], "category"),
        (["01067", "80331", "10115"], "category"),
        (["4929123412341234", "-485987698769876123"], "category"),
        (["07:30", "18:45:30", "9:05"], "number"),
        (["07:30 PM", "8:45 am", "12:05 a.m."], "integer"),
        (["1/2", "2/2", "1/1"], "category"),
        (["01", "07", "95", "971"], "category"),
        (["20240131", "20240201", "20231105"], "date"),
        (["01312024", "02012024", "11052023"], "date"),
        (["12/31/2020 12:00:00 AM", "01/02/2021 01:00:00 PM"], "date"),
        (["Mar-2018", "Apr-2019"], "date"),
        (["2018-11", "2019-01"], "date"),
        (["1801-05-03", "1790-06-07"], "date"),
        (["05MAR2024", "17APR2023"], "date"),
        (["Sunday, March 5, 2024", "Monday, May 6, 2024"], "date"),
        (["March 5 2024", "May 6 2023"], "date"),
        (["2024-Mar", "2023-Apr"], "date"),
        (["2024-03-05 10:30:00 UTC", "2024-03-06 11:30:00 UTC"], "date"),
        (["05.03.2024, 10:30", "16.03.2024, 11:30"], "date"),
        (["05/Mar/2024:10:30:00 +0000", "06/Mar/2024:10:30:00 +0000"], "date"),
        (["Tue Mar 05 10:30:00 2024", "Wed Mar 06 10:30:00 2024"], "date"),
        (["20240305103000", "20240306113000"], "date"),
        (["March 5th, 2018", "April 21st, 2019"], "date"),
        (["2024Q1", "2023-Q4"], "date"),
        (["2024年3月5日", "2023年12月31日"], "date"),
        (["01.2020", "12.2021"], "date"),
        (["931231", "940105", "950630"], "date"),
        (["201011", "201102", "201212"], "integer"),
        (["2019", "2024"], "integer"),
        (["101", "1E3", "205"], "category"),
        (["192.168.100.101", "10.255.100.200"], "category"),
        (["1E+05", "2.5E-03"], "number"),
        (["5.50-", "7.25"], "number"),
        (["50-", "55-", "60-"], "category"),
        (["70kg", "85kg"], "integer"),
        (["36.6 °C", "39.1 °C"], "number"),
        (["55 km/h", "80 km/h"], "integer"),
        (["123:45", "9:05"], "integer"),
        (["yes", "no", "maybe"], "category"),
        (["['a', 'b']", "['c']", "[]"], "excluded"),
    ]
    said = infer(**{f"x{number}": some(*texts) for number, (texts, _) in enumerate(kinds)})
    lines = [line.split()[:2] for line in said.splitlines() if line.startswith("x")]
    assert [kind for _, kind in lines] == [kind for _, kind in kinds]


def test_a_few_odd_cells_do_not_decide(infer: Any, config: Config) -> None:
    junk = ["n.a."] * 9 + ["<0.1"] * 7
    values = [*junk, *(f"{charge:.3f}" for charge in CHARGES[16:])]
    days = ["2018", *(str(day) for day in DAYS[1:])]
    codes = ["007", *(str(7 * number % 500) for number in range(ROWS - 1))]
    said = infer(x=values, day=days, code=codes, long=["9" * 17, *codes[1:]])
    assert found(config, "long").kind == "number"
    assert "94.7% are numbers; the others are read as missing: n.a. (9), <0.1 (7)" in said
    assert "99.7% are dates; the others are read as missing: 2018 (1)" in said
    kinds = [found(config, name).kind for name in ("x", "day", "code")]
    assert kinds == ["number", "date", "integer"]
    changed = read_config(config.root)
    record = pipeline.run(changed.paths.raw, changed.paths.processed, changed)
    assert record["rows_kept"] == ROWS
    assert pd.read_parquet(changed.paths.processed)["x"].isna().sum() == 16


def test_marks_that_stand_for_missing_values(infer: Any, config: Config) -> None:
    marks = [".", "..", "—", ":"] * 60
    numbers = [*marks, *(f"{charge:.3f}" for charge in CHARGES[240:])]
    days = ["0000-00-00"] * 100 + [str(day) for day in DAYS[100:]]
    said = infer(x=numbers, day=days, only=some("+", "-", "--"))
    assert "20.0% are numbers; the others are read as missing: " in said
    kinds = [found(config, name).kind for name in ("x", "day", "only")]
    assert kinds == ["number", "date", "category"]


@pytest.mark.parametrize(
    ("separator", "amount", "value"),
    [
        (",", "¥123,456", 123456),
        (";", "12 345,50 €", 12345.5),
        (";", "0,125", 0.125),
        (";", "1.234.567,5", 1234567.5),
        ("\t", "1,234", 1234),
        (" ", "1.5", 1.5),
    ],
)
def test_whether_a_comma_is_decimal(
    infer: Any, config: Config, separator: str, amount: str, value: float
) -> None:
    rows = (f'"{amount}"{separator}{word}' for word in OUTCOMES)
    infer(content="\n".join([f"x{separator}outcome", *rows, f"9{separator}won"]).encode())
    assert read_cell(amount, found(config)) == value


def test_addresses_beside_decimal_commas(infer: Any, config: Config) -> None:
    charges = [f"{charge:.2f}".replace(".", ",") for charge in CHARGES]
    infer(x=charges, y=charges, other=charges, ip=some("10.101.102.103", "10.101.102.104"))
    kinds = [found(config, name).kind for name in ("x", "ip")]
    assert kinds == ["number", "category"]


def test_a_few_categories_are_no_identifiers_whatever_they_are_called(
    infer: Any, config: Config
) -> None:
    lines = [f"{n % 9},{('small', 'big')[n % 2]},{word}" for n, word in enumerate(OUTCOMES[:50])]
    infer(content="\n".join(["x,number,outcome", *lines]).encode())
    assert found(config, "number").categories == ("big", "small")


def test_what_deserves_a_look(infer: Any) -> None:
    looks = [
        (
            [f"{n}" for n in range(200)] + ["S"] * 60 + ["M"] * 40,
            "66.7% are numbers; the",
        ),
        (
            ["NA"] * 100 + ["ZA", "AO"] * 100,
            "'NA' is read as missing in 33% of the rows",
        ),
        (["25/1/45", "7/3/99"] * 150, "years of two digits: 69 is 1969, 68 is 2068"),
        (["3/4/2024", "5/6/2023"] * 150, "may be swapped: read as %m/%d/%Y"),
        ([str(3 * number + number % 2) for number in range(ROWS)], "--key 'x4'"),
        ([str(date(2024, 1, 1) + timedelta(n)) for n in range(ROWS)], "training.date"),
        ([f"{day.day}. März {day.year}" for day in DAYS], "their format is not known"),
        ([str(n % 90) for n in range(90)] + ["never", "trace"] * 105, "are numbers"),
        (["24kg", "154lb", "70kg", "99lb"] * 75, "different units: kg (150), lb (150)"),
        ([word + "!" for word in OUTCOMES], "determines the target"),
        (
            [f"{(word == 'won') + DRAW.random():.4f}" for word in OUTCOMES],
            "tells the classes apart by itself",
        ),
    ]
    said = infer(**{f"x{number}": texts for number, (texts, _) in enumerate(looks)})
    _, _, checks = said.partition("\nCheck manually:\n")
    for number, (_, expected) in enumerate(looks):
        lines = [x for x in checks.splitlines() if x.startswith(f"  x{number}: ")]
        assert len(lines) == 1 and expected in lines[0]


@pytest.mark.parametrize(
    ("target", "options", "task", "kind"),
    [
        (["lost", "won", "Won "], (), "classification", "category"),
        (["0", "1"], (), "classification", "integer"),
        (["TRUE", "false"], (), "classification", "boolean"),
        (["1", "2", "3", "4"], (), "classification", "integer"),
        (["1", "2", "3", "4"], ("--task", "regression"), "regression", "number"),
        ([f"{number / 8}" for number in range(99)], (), "regression", "number"),
        ([f"{2.0**number:.0f}" for number in range(45)], (), "regression", "number"),
    ],
)
def test_every_kind_of_target_can_be_trained(
    infer: Any, config: Config, target: list[str], options: Any, task: str, kind: str
) -> None:
    labels = [target[int(charge) % len(target)] for charge in CHARGES]
    said = infer(*options, outcome=labels)
    changed = read_config(config.root)
    always = changed.training.model_copy(update={"promote": "always"})
    changed = changed.model_copy(update={"training": always})
    table = read_table(changed)
    assert (table.task, table.target.kind) == (task, kind)
    assert ("is far from all others" in said) == (len(target) == 45)
    pipeline.run(changed.paths.raw, changed.paths.processed, changed)
    model = "linear" if task == "regression" else "logistic"
    run(changed.paths.processed, model, changed.paths.model, changed)
    assert load_model(changed.paths.model).table == table


def test_all_rows_count_not_only_the_first(infer: Any, config: Config) -> None:
    rows = 12_000
    said = infer(
        outcome=["lost", "won"] * (rows // 2 - 1) + ["drawn"] * 2,
        x=["0"] * (rows - 1) + ["14.5"],
        other=["a", "b", "c"] * (rows // 3),
        g=["yes", "no"] * (rows // 2 - 1) + ["maybe", "no"],
    )
    assert "12,000 rows were read" in said
    assert (found(config).kind, found(config).maximum) == ("number", 100)
    assert found(config, "outcome").categories == ("drawn", "lost", "won")
    assert found(config, "g").kind == "category"


def test_what_config_yaml_says_about_the_same_target_is_kept(infer: Any, config: Config) -> None:
    for options in (("--task", "regression"), ()):
        infer(*options, outcome=[str(int(charge) % 5) for charge in CHARGES], x=CHARGES)
        assert read(config).task == "regression"


def test_what_is_refused_changes_nothing(infer: Any, config: Config) -> None:
    refused: list[tuple[bytes, tuple[str, ...], str]] = [
        (b"6,148,72\n5,163,105\n", (), "the first line looks like a row"),
        (b"red,s,outcome\nblue,m,x\nred,s,y\n", (), "the first line looks like a row"),
        (
            b"a,outcome\n" + b"".join(b"1,%d\n2,n.a.\n3,%d\n" % (n, n) for n in range(40)),
            (),
            "see --task, and --missing for words",
        ),
        (b"a:outcome\n1:x\n", (), "see --separator"),
        (
            b"# exported\na,outcome\n1,x\n",
            (),
            "has no column 'outcome'; its first line",
        ),
        (
            b"a,outcome\n" + b"1,x,\n" * 9,
            (),
            "9 of 9 lines are malformed, most often as",
        ),
        (b"a,outcome\n", (), "have a header but no rows"),
        (b"\x81\x8d,outcome\n1,x\n", (), "neither UTF-8 nor cp1252; name it, such as"),
        (gzip.compress(b"a,outcome\n1,x\n2,y\n"), (), "is compressed; unpack it"),
        (b"PK\3\4 a.csv a,outcome\n1,x\n2,y\n", (), "is compressed; unpack it"),
        (b"a,outcome\n1,?\n2,+\n3,0\n", (), "'?' is read as missing in 33% of the rows"),
        (b"a,outcome\n1,None\n2,x\n3,y\n", (), "'None' is read as missing in 33% of"),
        (b"a,outcome\n1,x\n2,x\n", (), "has 1 distinct values in 2 rows"),
        (b"a,outcome\n1,x\n2,y\n", ("--key", "b"), "has no column 'b'"),
        (b"a,outcome\n1,x\n2,y\n", ("--exclude", "outcome"), "can't be a key, or excl"),
    ]

    def files() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in config.root.glob("*.yaml")}

    before = files()
    for content, options, message in refused:
        error = infer(*options, content=content)
        assert message in error and error.count("\n") == 1
    assert files() == before


def test_a_class_called_none_can_be_kept_or_left_out(infer: Any, config: Config) -> None:
    outcome = ["None", "Mild", "Severe"] * 100
    infer("--missing", "NA", outcome=outcome, x=CHARGES)
    assert found(config, "outcome").categories == ("Mild", "None", "Severe")
    said = infer("--missing", "None", outcome=outcome, x=CHARGES)
    assert "100 rows have none and will be rejected" in said
    assert read_config(config.root).table.max_rejected_share == pytest.approx(0.43)


@pytest.mark.parametrize(
    ("encoding", "options", "separator"),
    [
        ("cp1252", (), ";"),
        ("utf-16", (), "\t"),
        ("utf-16-le", (), ","),
        ("cp1250", ("--encoding", "cp1250"), ";"),
        ("utf-8", ("--separator", "^"), "^"),
    ],
)
def test_encodings_and_separators(
    infer: Any, config: Config, encoding: str, options: Any, separator: str
) -> None:
    city = "Łódź" if encoding == "cp1250" else "Zürich"
    charges = [f"{charge:.2f}".replace(".", ",") for charge in CHARGES]
    lines = zip(some(city, "Rom"), charges, OUTCOMES, strict=True)
    texts = [["city", "x", "outcome"], *([a, f'"{b}"', c] for a, b, c in lines)]
    content = "\n".join(separator.join(line) for line in texts).encode(encoding)
    said = infer(*options, content=content)
    assert found(config, "city").categories == tuple(sorted(["Rom", city]))
    assert (found(config).kind, found(config).spelling.decimal) == ("number", ",")
    assert ("is a guess" in said) == (encoding == "cp1252")


def test_a_few_damaged_bytes_do_not_decide_the_encoding(infer: Any, config: Config) -> None:
    lines = [f"{city},{word}" for city, word in zip(some("Zürich", "Bern"), OUTCOMES, strict=True)]
    content = "\n".join(["city,outcome", *lines]).encode() + b"\nZ\xfcrich,won\n"
    assert "300 rows were read, and 1 lines are malformed" in infer(content=content)
    assert found(config, "city").categories == ("Bern", "Zürich")


@pytest.mark.parametrize(
    "names", [["2015", "2016", "2018"], ["2019-01-31", "2019-02-28", "2019-03-31"], ["0", "1", "2"]]
)
def test_names_that_are_numbers_but_count_up(infer: Any, config: Config, names: list) -> None:
    infer(**{name: [charge // 30 for charge in CHARGES] for name in names})
    assert {column.name for column in read(config).columns} >= set(names)


@pytest.mark.parametrize(
    ("texts", "separator", "decimal"),
    [
        ([f"{charge * 40:,.0f}".replace(",", ".") for charge in CHARGES], ";", ","),
        ([f"{charge * 40_000:,.0f}".replace(",", ".") for charge in CHARGES], ";", ","),
        ([f"{charge * 40_000:,.0f}" for charge in CHARGES], ";", "."),
        ([f"{charge:.3f}" for charge in CHARGES], ";", "."),
        ([f"{charge:.2f}".replace(".", ",") for charge in CHARGES], ";", ","),
        (["12,35", "7,12", "7,9"] * 100, ",", "."),
        (["36,38", "1.111", "2.305"] * 100, ",", "."),
        (["Austin,78701", "Oslo,01", "Rome,5"] * 100, ",", "."),
    ],
)
def test_the_decimal_sign(
    infer: Any, config: Config, texts: list[str], separator: str, decimal: str
) -> None:
    other = [str(number % 7) if separator == ";" else f"{number % 7}.5" for number in range(ROWS)]
    table = pd.DataFrame({"x": texts, "other": other, "outcome": OUTCOMES})
    content = table.to_csv(index=False, sep=separator).encode()
    infer(content=content)
    assert read_config(config.root).table.decimal == decimal
    infer("--decimal", ",", content=content)
    assert read_config(config.root).table.decimal == ","


def test_a_limit_on_rejected_rows_stays_for_the_same_table(infer: Any, config: Config) -> None:
    infer(x=CHARGES)
    file = config.root / "config.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("max_rejected_share: 0.1", "max_rejected_share: 0.7"), "utf-8")
    infer(x=CHARGES)
    assert read_config(config.root).table.max_rejected_share == 0.7
    infer(y=CHARGES)
    assert read_config(config.root).table.max_rejected_share == 0.1


def test_columns_that_number_shuffled_rows(infer: Any, config: Config) -> None:
    numbers = DRAW.sample(range(9_000), ROWS)
    names = ("", "Unnamed: 0", "rownames", "Serial No.")
    said = infer(**dict.fromkeys(names, numbers), ranks=[charge // 9 for charge in CHARGES])
    assert said.count("if it identifies a row: --key") == len(names)


def test_old_files_are_kept_and_comments_survive(infer: Any, config: Config) -> None:
    file = config.root / "config.yaml"
    before = (ROOT / "config.yaml").read_text(encoding="utf-8")
    file.write_text(before, encoding="utf-8")
    infer(x=CHARGES)
    after = file.read_text(encoding="utf-8")
    assert before[before.index("training:") :] == after[after.index("training:") :]
    assert after.count("#") == before.count("#")
    assert (config.root / "config.old-1.yaml").read_text(encoding="utf-8") == before
    infer("--force", x=CHARGES)
    assert len(list(config.root.glob("*.old-*"))) == 2


def test_a_lost_schema_is_written_anew(infer: Any, config: Config) -> None:
    config.schema_file.unlink()
    assert "config.yaml: the old file is kept as config.old-1.yaml" in infer(x=CHARGES)
    assert found(config).kind == "number"


def test_cells_about_the_sample_leave_the_notebooks(infer: Any, config: Config) -> None:
    cells = [new_code_cell("1", metadata={"tags": ["sample"]}), new_code_cell("2")]
    file = config.root / "notebooks" / "01.ipynb"
    file.parent.mkdir()
    nbformat.write(new_notebook(cells=cells), file)
    assert "01.ipynb: cells about the sample are removed" in infer(x=CHARGES)
    assert nbformat.read(file, as_version=4).cells == cells[1:]


def test_columns_that_write_dates_in_contrary_ways(infer: Any, config: Config) -> None:
    infer(x=[f"{day:%d/%m/%Y}" for day in DAYS], y=[f"{day:%m/%d/%Y}" for day in DAYS])
    changed = read_config(config.root)
    pipeline.run(changed.paths.raw, changed.paths.processed, changed)
    frame = pd.read_parquet(changed.paths.processed)
    assert frame["x"].tolist() == frame["y"].tolist()
    assert frame["x"].tolist() == [datetime.combine(day, datetime.min.time()) for day in DAYS]


def test_settings_that_name_columns_of_another_table_are_reset(infer: Any, config: Config) -> None:
    file = config.root / "config.yaml"
    text = file.read_text(encoding="utf-8")
    settings = "training:\n  date: since\n  group: x\n  slices: [x, member]\n"
    text = text.replace("training:\n", settings)
    text = text.replace("table:\n", "table:\n  filter: age > 18\n")
    file.write_text(text, encoding="utf-8")
    said = infer(x=CHARGES)
    changed = read_config(config.root)
    assert (changed.training.date, changed.training.group) == (None, "x")
    assert changed.training.slices is None
    assert changed.table.filter is None
    assert "training.date (since) is reset" in said
    assert "table.filter (age > 18) is reset" in said
    text = file.read_text(encoding="utf-8").replace("filter: null", "filter: x > 50")
    file.write_text(text, encoding="utf-8")
    infer(x=CHARGES)
    assert read_config(config.root).table.filter == "x > 50"


def test_units(infer: Any, config: Config) -> None:
    said = infer(
        area=[f"{number % 70} sqft" for number in range(ROWS)],
        mixed=["7%", "0.07", "12%", "0.1"] * 75,
        stars=some("7/10", "8/10", "9/10"),
        odd=["12 units", *(f"{number % 50}" for number in range(ROWS - 1))],
    )
    assert [found(config, name).unit for name in ("area", "stars")] == ["sqft", "/10"]
    assert "% is removed from 50% of the values" in said
    assert (found(config, "odd").kind, found(config, "odd").unit) == ("integer", None)


def test_a_reader_that_stops_early_sees_no_traceback(config: Config) -> None:
    (config.root / "table.csv").write_text("x,y\n1,a\n2,b\n", encoding="utf-8")
    code = "from customer_churn.tools.infer_schema import main; main()"
    command = [sys.executable, "-c", code, "table.csv", "--target", "y"]
    output, closed = os.pipe()
    os.close(output)
    pipes = {"stdout": closed, "stderr": subprocess.PIPE}
    result = subprocess.run(command, cwd=config.root, check=False, **pipes)
    assert (result.returncode, result.stderr) == (0, b"")
    assert found(config, "y").categories == ("a", "b")


def test_the_rows_of_a_query(
    config: Config, monkeypatch: pytest.MonkeyPatch, capsys: Any, infer: Any
) -> None:
    infer(x=CHARGES)
    query = config.root / "query.sql"
    query.write_text('SELECT x::DOUBLE AS y, outcome FROM "table.csv"', encoding="utf-8")
    file = config.root / "config.yaml"
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    settings["source"] = {"query": "query.sql"}
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["infer-schema", "--source", "--target", "outcome"])
    main()
    assert "300 rows were read" in capsys.readouterr().out
    assert [column.name for column in read(config).columns] == ["y", "outcome"]
    assert read_config(config.root).source.query == config.root / "query.sql"
    monkeypatch.setattr("sys.argv", ["infer-schema", "--source", "--target", "x"])
    with pytest.raises(SystemExit):
        main()
    assert "has no column 'x'" in capsys.readouterr().err
    infer(x=CHARGES)  # files instead of the query
    assert read_config(config.root).source.query is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--encoding", "klingon"), "unknown encoding: klingon"),
        (("--separator", "ab"), "must be one character"),
        (("--source",), "not allowed with argument"),
    ],
)
def test_a_wrong_option_is_one_line(infer: Any, options: tuple[str, ...], message: str) -> None:
    assert message in infer(*options)


def test_more_texts_than_are_counted(
    infer: Any, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(infer_schema, "MOST_COUNTED", 50)
    texts = [f"word {number}" for number in range(ROWS)]
    amounts = [f"{number * 7 % 300}.5" for number in range(ROWS)]
    infer(text=texts, x=["-900", *amounts[1:-1], "1800"])
    assert (found(config).minimum, found(config).maximum) == (-20000, 20000)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_target_that_is_always_missing_is_one_line(infer: Any, task: str) -> None:
    said = infer("--task", task, outcome=["NA"] * ROWS)
    assert said.startswith("error: the target 'outcome' ") and said.count("\n") == 1
