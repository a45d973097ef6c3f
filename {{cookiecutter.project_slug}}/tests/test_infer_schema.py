"""Any table becomes the project's own: what is decided, and what is refused."""

import random
from pathlib import Path

import pandas as pd
import pytest
from conftest import CONFIG

from {{ cookiecutter.project_slug }}.config import read_config
from {{ cookiecutter.project_slug }}.schema import read_table
from {{ cookiecutter.project_slug }}.tools.infer_schema import main

ROWS = 300
DRAW = random.Random(0)
CHARGES = [DRAW.uniform(10, 90) for _ in range(ROWS)]
OUTCOMES = DRAW.choices(["lost", "won"], k=ROWS)
DAYS = pd.Series(pd.date_range("2020-01-01", periods=ROWS)).sample(frac=1).tolist()


def some(*texts):
    """Return one of some texts for each row."""
    return DRAW.choices(texts, k=ROWS)


@pytest.fixture
def infer(config, monkeypatch, capsys):
    """Return a function that writes a table and runs the command: what it printed."""
    monkeypatch.chdir(config.root)
    text = CONFIG.replace('["", "?"]', '["", "?", NA, None]')
    Path("config.yaml").write_text(text, encoding="utf-8")

    def infer(*options, content=b"", **columns):
        table = {"outcome": OUTCOMES, "other": CHARGES} | columns
        written = content or pd.DataFrame(table).to_csv(index=False).encode()
        Path("table.csv").write_bytes(written)
        words = ["infer-schema", "table.csv", "--target", "outcome", *options]
        monkeypatch.setattr("sys.argv", words)
        try:
            main()
        except SystemExit as stop:
            assert stop.code == 2
        return "".join(capsys.readouterr())

    return infer


def found(config):
    """Return the columns that were inferred."""
    table = read_table(read_config(config.root))
    return {column.name: column for column in table.columns}


def test_each_column_is_decided_on_and_explained(infer, config):
    texts = {
        "Total Charges": ([f"${charge:.2f}" for charge in CHARGES], "number"),
        "null": (some("1", "22", "30"), "integer"),
        "größe": (some("Small", "Large", "Large", "large "), "category"),
        "yes": (some("yes", "no", "?"), "boolean"),
        "2020": ([f"{day:%d/%m/%Y}" for day in DAYS], "date"),
        "part": (some("MAT101", "PHY101"), "category"),
        "zip": (some("01067", "80331"), "category"),
        "clock": (some("7:30", "18:45:30"), "number"),
        "note": ([f"{n} was his or her word" for n in range(ROWS)], "excluded"),
        "list": (some("['a', 'b']", "[]"), "excluded"),
    }
    said = infer(**{name: cells for name, (cells, _) in texts.items()})
    for name, (_, kind) in texts.items():
        assert f"\n{name:30}  {kind} " in said
    columns = found(config)
    assert columns["größe"].categories == ("Large", "Small")
    assert (columns["null"].minimum, columns["null"].maximum) == (0, 300)
    assert "300 rows were read, and 0 lines are malformed." in said


@pytest.mark.parametrize(
    ("target", "options", "kind"),
    [
        (["lost", "won", "Won "], [], "category"),
        (["1", "2", "3", "4"], ["--task", "regression"], "number"),
        (["None", "Mild", "Severe"], ["--missing", "NA"], "category"),
    ],
)
def test_every_kind_of_target(infer, config, target, options, kind):
    outcome = (target * ROWS)[:ROWS]
    infer(*options, outcome=outcome)
    infer("--missing", "NA", outcome=outcome)  # the task is kept
    assert found(config)["outcome"].kind == kind
    task = read_table(read_config(config.root)).task
    assert task == ("regression" if kind == "number" else "classification")


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (b"6,148,72\n5,163,105\n", [], "the first line looks like a row"),
        (b"# exported\na,outcome\n1,x\n", [], "has no column 'outcome'; its first"),
        (b"a,outcome\n" + b"1,x,\n" * 9, [], "9 of 9 lines are malformed, most often"),
        (b"a,outcome\n1,None\n2,x\n3,y\n", [], "'None' is read as missing in 33% of"),
        (b"a,outcome\n1,x\n2,y\n", ["--key", "b"], "has no column 'b'"),
    ],
)
def test_what_is_refused_changes_nothing(infer, config, content, options, message):
    before = [path.read_bytes() for path in config.root.glob("*.yaml")]
    error = infer(*options, content=content)
    assert message in error and error.count("\n") == 1
    assert [path.read_bytes() for path in config.root.glob("*.yaml")] == before
