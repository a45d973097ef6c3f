"""Each change of docs/how-to.md, made word for word in a fresh project, does what it says."""

import json
import random
import re
import sqlite3
from contextlib import ExitStack

import pytest
from conftest import Project, install, lock
from test_operations import serve
from test_readme import shell

pytestmark = pytest.mark.slow

# The line before a block, its language, its text.
BLOCK = re.compile(r"(?:^([^\n]+)\n\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PLACE = re.compile(r"(At the end of|In|As) `([^`]+)`(?:,.*? (after|instead of) `(.+)`:$)?")
BEFORE_A_COMMIT = "How to make common changes"
PAGES = {BEFORE_A_COMMIT, "What belongs where"}
ROW = {"contract_type": "Monthly", "monthly_charge": 99.5, "data_gb": 20, "support_calls": 3}


@pytest.fixture(scope="module")
def installed(bake):
    """An installed project, for all changes, one after the other."""
    return install(bake())


@pytest.fixture
def fresh(installed):
    """The project as it was baked, and its pipeline run."""
    shell(
        'git reset --quiet --hard "$(git rev-list --max-parents=0 HEAD)"\n'
        "git clean --quiet -fdx -e .venv -e uv.lock -e .mypy_cache -e __pycache__\n"
        "uv sync --quiet\nuv run pipeline.py",
        installed.path,
    )
    lock(installed)
    return HowTo(installed.path)


class HowTo(Project):
    """A project, and its page of changes."""

    def sections(self):
        """Return what the page says under each heading."""
        page = (self.path / "docs" / "how-to.md").read_text(encoding="utf-8")
        return dict(part.split("\n", 1) for part in page.removeprefix("# ").split("\n## "))

    def touched(self, heading):
        """Return the files that a section says it touches: links, and the name of a new one."""
        (line,) = re.findall("^Touch: (.*)$", self.sections()[heading], re.MULTILINE)
        return {
            *re.findall(r"\]\(\.\./([^)]+)\)", line),
            *re.findall(r"`(\w[^`]*/[^`]+|uv\.lock)`", line),
        }

    def given(self, name, text):
        """Commit a raw file that the change begins with."""
        (self.path / "data" / "raw" / name).write_text(text, encoding="utf-8")
        shell("git add . && git commit --quiet --allow-empty -m given", self.path)

    def follow(self, heading):
        """Take the steps of a section; return what its commands said.

        The files it names are changed and no others, and a commit takes them.
        """
        said, port = "", 8000
        with ExitStack() as services:
            for lead, language, text in BLOCK.findall(self.sections()[heading]):
                if language != "sh":
                    self.edit(lead, language, text)
                    continue
                script, served, options = text.partition("uv run app.py")
                said += shell(script.replace(":8000/", f":{port}/"), self.path).stdout
                if served:
                    service = services.enter_context(serve(self.path, *options.split()))
                    services.callback(service.log.unlink)
                    port = service.port
        status = self.run("git", "status", "--porcelain", "--untracked-files=all").stdout
        assert {line[3:] for line in status.splitlines()} == self.touched(heading)
        if re.search(r"\.(py|ipynb)$", status, re.MULTILINE):
            (check,) = (text for _, _, text in BLOCK.findall(self.sections()[BEFORE_A_COMMIT]))
            shell(check, self.path)  # alone: `&&` hides a failure from what follows
            shell("git add . && git commit --quiet -m change", self.path)
        return said

    def edit(self, lead, language, text):
        """Change a file as the words before a block say."""
        if language == "text":
            return
        place = PLACE.match(lead)
        assert place, lead
        how, file, where, known = place.groups()
        path = self.path / file
        if how == "As" and path.suffix != ".ipynb":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return
        if how == "As":
            (self.path / "cells.py").write_text(text, encoding="utf-8")
            shell(f"uv run jupytext --to ipynb --output {file} cells.py && rm cells.py", self.path)
            return
        old = path.read_text(encoding="utf-8")
        if how == "At the end of":
            path.write_text(old + "\n\n" * (language == "python") + text, encoding="utf-8")
            return
        (line,) = (line for line in old.splitlines() if known in line)
        new = line.replace(known, text.strip())
        if where == "after":
            indent = " " * (len(line) - len(line.lstrip()))
            new = "\n".join([line, *(indent + each for each in text.splitlines())])
        path.write_text(old.replace(line, new), encoding="utf-8")

    def record(self):
        """Return the record of the last run of the pipeline."""
        lines = (self.path / "logs/pipeline.jsonl").read_text(encoding="utf-8").splitlines()
        return json.loads(lines[-1])

    def model(self):
        """Return what is known of the model."""
        return json.loads((self.path / "models" / "model.json").read_text(encoding="utf-8"))

    def features(self):
        """Return the names of the model's features."""
        return {each["feature"] for each in self.model()["importance"]}


def test_each_change_has_a_test_and_touches_few_files(fresh):
    tests = [name for name in globals() if name.startswith("test_change_")]
    headings = fresh.sections().keys() - PAGES
    assert len(headings) == len(tests)
    for heading in headings:
        written = {file for file in fresh.touched(heading) if not file.startswith("tests/")}
        by_hand = {file for file in written if not file.endswith(".ipynb")}
        assert len(by_hand) <= 3


def test_change_table(fresh):
    draw, lines = random.Random(0), ["order_id,amount,country,ordered,returned"]
    for number in range(400):
        amount, country = draw.uniform(5, 200), draw.choice(["AT", "CH", "DE"])
        returned = "yes" if amount + draw.gauss(0, 40) > 120 else "no"
        day = f"2026-{draw.randrange(1, 13):02}-{draw.randrange(1, 29):02}"
        lines.append(f"R{number},{amount:.2f},{country},{day},{returned}")
    fresh.given("orders.csv", "\n".join([*lines, ""]))
    said = fresh.follow("Use your own table")
    assert "400 rows were read" in said
    assert fresh.record()["rows_kept"] == 400
    assert fresh.model()["target"] == "returned"
    assert fresh.features() >= {"amount", "country", "ordered (days)"}


def test_change_column(fresh):
    draw = random.Random(0)
    old = (fresh.path / "data/raw/customers.csv").read_text(encoding="utf-8").splitlines()
    lines = [f"{line},{draw.randrange(100)}" for line in old[1:]]
    fresh.given("customers.csv", "\n".join([f"{old[0]},discount", *lines, ""]))
    refused = fresh.run("uv", "run", "pipeline.py")
    assert "unknown column 'discount'" in refused.stderr
    fresh.follow("Add a column")
    assert "discount" in fresh.features()
    with serve(fresh.path) as service:
        status, _ = service.ask("POST", "/predict", {"features": ROW | {"discount": 7}})
        assert status == 200
        status, answer = service.ask("POST", "/predict", {"features": ROW | {"discount": 101}})
        assert (status, answer["errors"][0]["column"]) == (422, "discount")
        status, described = service.ask("GET", "/openapi.json")
        assert "discount" in json.dumps(described)


def test_change_feature(fresh):
    fresh.follow("Add a feature")
    assert "data_per_charge" in fresh.features()
    with serve(fresh.path) as service:
        assert service.ask("POST", "/predict", {"features": ROW})[0] == 200
        without_charge = {"features": ROW | {"monthly_charge": 0}}
        assert service.ask("POST", "/predict", without_charge)[0] == 200


def test_change_imputer(fresh):
    fresh.follow("Fill missing values differently")
    assert fresh.model()["model"] == "logistic"
    with serve(fresh.path) as service:
        missing = {"features": ROW | {"data_gb": None}}
        status, answer = service.ask("POST", "/predict", missing)
        mean = fresh.run(
            *("uv", "run", "python", "-c"),
            "from customer_churn import load_table; print(load_table()['data_gb'].mean())",
        )
        filled = {"features": ROW | {"data_gb": float(mean.stdout)}}
        _, answer_with_mean = service.ask("POST", "/predict", filled)
    assert status == 200
    one, other = (each["probabilities"]["Yes"] for each in (answer, answer_with_mean))
    assert abs(one - other) < 0.01


def test_change_model(fresh):
    fresh.follow("Add a model")
    assert fresh.model()["model"] == "extra_trees"
    assert fresh.model()["settings"] == {
        "n_estimators": 100,
        "min_samples_leaf": 5,
        "max_depth": 12,
    }


def test_change_dependency(fresh):
    fresh.follow("Add a dependency")
    changed = fresh.run("git", "diff", "--numstat", "requirements.txt").stdout
    added, removed, _ = changed.split()
    assert int(added) > 0
    assert removed == "0"


def test_change_notebook(fresh):
    fresh.follow("Add a notebook")
    report = (fresh.path / "reports/04_missing_values.html").read_text(encoding="utf-8")
    assert "share missing" in report
    assert "support_calls" in report


def test_change_command(fresh):
    counted = dict(line.split() for line in fresh.follow("Add a command").splitlines()[1:])
    assert counted.keys() == {"North", "South", "East", "West"}
    result = fresh.run("uv", "run", "count-values", "shoe")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "error: the clean table has no column 'shoe'\n"
    help_text = fresh.run("uv", "run", "count-values", "--help").stdout
    assert "Count the values of a column in the clean table." in help_text


def test_change_metric(fresh):
    fresh.follow("Change the metric")
    assert fresh.model()["metric"] == "average_precision"
    card = (fresh.path / "reports" / "model_card.html").read_text(encoding="utf-8")
    assert card.index("average precision") < card.index("ROC AUC")


def test_change_drift(fresh):
    said = fresh.follow("Find drift in a new month")
    page = (fresh.path / "reports" / "drift.html").read_text(encoding="utf-8")
    assert page.index(">age<") < page.index(">plan<")
    assert page.count("beyond the limit") >= 2
    assert "drift found" in said


def test_change_schedule(fresh):
    said = fresh.follow("Schedule it")
    assert json.loads(said.splitlines()[-1])["status"] == "ok"
    assert fresh.model()["model"] == "gradient_boosting"
    page = (fresh.path / "docs" / "production.md").read_text(encoding="utf-8")
    command = ".venv/bin/python pipeline.py"
    assert command in fresh.sections()["Schedule it"]
    assert command in page


def test_change_deploy(fresh):
    said = fresh.follow("Deploy it")
    assert json.loads(said.splitlines()[-1])["status"] == "ok"
    (docker,) = re.findall("^docker .*$", fresh.sections()["Deploy it"], re.MULTILINE)
    assert f"\n#   {docker}\n" in (fresh.path / "Dockerfile").read_text(encoding="utf-8")


def test_change_scale(fresh):
    fresh.follow("Scale it out")
    assert fresh.record()["rows_kept"] == 4945


def test_change_rows_and_values(fresh):
    before = fresh.record()
    fresh.follow("Decide which rows and values count")
    assert fresh.record()["rows_rejected"] > before["rows_rejected"]
    log = (fresh.path / "logs/pipeline.log").read_text(encoding="utf-8")
    assert "age: is above 110; set to missing" in log
    rejected = (fresh.path / "data/rejected/customers.csv").read_text(encoding="utf-8")
    assert "out of scope: signup_date >= '2019-01-01' is not true" in rejected
    assert "age: 'unknown'" not in rejected


def test_change_join(fresh):
    raw = (fresh.path / "data/raw/customers.csv").read_text(encoding="utf-8").splitlines()
    keys, draw = [line.split(",")[0] for line in raw[1:]], random.Random(0)
    orders = [f"{n},{draw.choice(keys)},{draw.uniform(1, 90):.2f}" for n in range(9000)]
    lines = ["order_id,customer_id,amount", *orders, "too,few", ""]
    fresh.given("orders.csv", "\n".join(lines))
    fresh.follow("Join several tables")
    assert fresh.features() >= {"orders", "spent"}
    assert fresh.record()["rows_kept"] == 4945
    rejected = (fresh.path / "data/rejected/customers.csv").read_text(encoding="utf-8")
    assert "\norders.csv,9002,2 fields instead of 3," in rejected


def test_change_database(fresh, tmp_path, monkeypatch):
    header, *lines = (fresh.path / "data/raw/customers.csv").read_text("utf-8").splitlines()
    with sqlite3.connect(tmp_path / "shop.db") as shop:
        shop.execute(f"CREATE TABLE customers ({header})")
        marks = ",".join("?" * len(header.split(",")))
        cells = [line.split(",") for line in lines]
        shop.executemany(f"INSERT INTO customers VALUES ({marks})", cells)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/shop.db")
    fresh.follow("Use a database")
    kept = fresh.record()["rows_kept"]
    assert kept == 4945
    assert shop.execute("SELECT count(*) FROM customers_clean").fetchone() == (kept,)
    shop.close()


def test_change_dbt(fresh):
    said = fresh.follow("Build on the clean table with dbt")
    assert "Completed successfully" in said
    assert all(region in said for region in ("North", "South", "East", "West"))
