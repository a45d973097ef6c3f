"""The pipeline reads from databases and loads into them: SQLite, and a real PostgreSQL."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest
from conftest import Night, install
from test_pipeline_files import PEAK

pytestmark = pytest.mark.slow

SAMPLE = "data/raw/customers.csv"
PORT = "54329"  # names the socket only
# Each copy of the sample gets customers of its own.
COPIES = "SELECT n || '-' || customer_id AS customer_id, {} FROM raw, generate_series(1, {}) AS n"


class Postgres:
    """A server of its own, run by an ordinary user, that listens on a socket in a folder."""

    def __init__(self, folder):
        self.folder = folder
        (self.programs, *_) = Path("/usr/lib/postgresql").glob("*/bin")
        self.url = f"postgresql://postgres@/postgres?host={folder}&port={PORT}"
        if os.getuid() == 0:
            shutil.chown(folder, "nobody")
        self.run("initdb", "-A", "trust", "-U", "postgres", "--no-sync")
        options = f"-c listen_addresses='' -k {folder} -p {PORT}"
        self.run("pg_ctl", "-w", "-l", folder / "log", "-o", options, "start")

    def run(self, program, *options):
        """Run one of its programs."""
        user = ["runuser", "-u", "nobody", "--"] if os.getuid() == 0 else []
        command = [*user, self.programs / program, "-D", self.folder / "data", *options]
        # Not captured: the server would keep the pipes open.
        subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL)

    def sql(self, *commands):
        """Run SQL, and return what it says."""
        given = [word for command in commands for word in ("-c", command)]
        return subprocess.run(
            ["psql", "-qtA", "-v", "ON_ERROR_STOP=1", self.url, *given],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    """A PostgreSQL with the sample in the table `raw`."""
    folder = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    server = Postgres(folder)
    yield server
    server.run("pg_ctl", "-m", "immediate", "stop")
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def installed(bake):
    """A project with the drivers."""
    project = install(bake())
    result = project.run("uv", "sync", "--quiet", "--extra", "database")
    assert result.returncode == 0, result.stderr
    return project


@pytest.fixture
def nightly(installed, tmp_path):
    """A copy of it for one test."""
    folder = tmp_path / "project"
    ignored = shutil.ignore_patterns(".venv", ".git")
    shutil.copytree(installed.path, folder, ignore=ignored)
    return Night(folder, installed.path / ".venv" / "bin" / "python")


def configure(night, query, sink="null"):
    """Let a project read what a query finds."""
    config = night.path / "config.yaml"
    text = config.read_text(encoding="utf-8")
    for name, value in (("query", "sql/customers.sql"), ("database", "${DATABASE_URL}")):
        text = text.replace(f"  {name}: null", f"  {name}: {value}")
    config.write_text(text.replace("\nsink: null", f"\nsink: {sink}"), encoding="utf-8")
    (night.path / "sql").mkdir(exist_ok=True)
    (night.path / "sql" / "customers.sql").write_text(f"{query};\n", encoding="utf-8")


def counts(night):
    """What the last run says of its rows."""
    record = night.records()[-1]
    return [record[f"rows_{name}"] for name in ("read", "kept", "rejected", "duplicate")]


def copy_sample(night, postgres):
    """Copy the sample into the table `raw`; return the columns without the key."""
    header = (night.path / SAMPLE).read_text(encoding="utf-8").splitlines()[0].split(",")
    columns = ", ".join(f"{name} text" for name in header)
    postgres.sql(
        "DROP TABLE IF EXISTS raw",
        f"CREATE TABLE raw ({columns})",
        f"\\copy raw FROM {night.path / SAMPLE} CSV HEADER",
    )
    return ", ".join(header[1:])


def test_sqlite_is_read_and_loaded(nightly, tmp_path, monkeypatch):
    assert nightly.go().returncode == 0
    expected, rows = counts(nightly), nightly.path / "data/rejected/customers.csv"
    places = rows.read_text(encoding="utf-8").count("customers.csv,")
    header, *lines = (nightly.path / SAMPLE).read_text(encoding="utf-8").splitlines()
    with sqlite3.connect(tmp_path / "shop.db") as shop:
        shop.execute(f"CREATE TABLE customers ({header.replace(',', ' text,')} text)")
        marks = ",".join("?" * len(header.split(",")))
        cells = [line.split(",") for line in lines]
        shop.executemany(f"INSERT INTO customers VALUES ({marks})", cells)
        shop.execute("CREATE TABLE clean (a INTEGER)")
        shop.commit()
    sink = '{database: "${DATABASE_URL}", table: clean}'
    configure(nightly, "SELECT * FROM customers", sink)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    assert nightly.refused() == "the environment variable DATABASE_URL is not set"
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/shop.db")
    assert "clean" in nightly.refused()  # whose columns are others
    shop.execute("DROP TABLE clean")
    for _ in range(2):
        result = nightly.go()
        assert result.returncode == 0, result.stderr
        assert counts(nightly) == expected
        assert shop.execute("SELECT count(*) FROM clean").fetchone() == (expected[1],)
    shop.close()
    assert rows.read_text(encoding="utf-8").count("customers.sql,") == places
    configure(nightly, "SELECT * FROM nowhere")
    line = nightly.refused()
    assert line.startswith("database ${DATABASE_URL}: ") and "nowhere" in line
    config = nightly.path / "config.yaml"
    text = config.read_text(encoding="utf-8")
    url = "postgresql://me:secret@host/shop"
    config.write_text(text.replace("database: ${DATABASE_URL}", f"database: {url}"), "utf-8")
    assert "keep the password in an environment variable" in (line := nightly.refused())
    assert "secret" not in line


def test_two_million_rows_of_postgresql_take_no_more_memory(nightly, postgres, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", postgres.url)
    others, peaks = copy_sample(nightly, postgres), []
    for copies in (40, 400):
        configure(nightly, COPIES.format(others, copies))
        options = ("pipeline.py", "--workers", "1")
        result = nightly.run(nightly.python, "-c", PEAK, *options)
        assert result.returncode == 0, result.stderr
        peaks.append(int(result.stdout))
        assert counts(nightly) == [5100 * copies, 4945 * copies, 55 * copies, 100 * copies]
    assert peaks[1] < 1.25 * peaks[0] + 100, peaks


def test_readers_see_the_old_table_or_the_new_one_also_after_a_kill(nightly, postgres, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", postgres.url)
    others = copy_sample(nightly, postgres)
    postgres.sql("CREATE SCHEMA shop")
    sink = '{database: "${DATABASE_URL}", table: shop.clean}'
    configure(nightly, COPIES.format(others, 20), sink)
    assert nightly.go().returncode == 0
    old = 20 * 4945
    assert postgres.sql("SELECT count(*) FROM shop.clean") == str(old)
    postgres.sql("CREATE VIEW shop.ages AS SELECT age FROM shop.clean")
    begin = time.monotonic()
    assert nightly.go().returncode == 0
    seconds = time.monotonic() - begin

    draw, sizes = random.Random(0), set()
    configure(nightly, COPIES.format(others, 21), sink)
    for _ in range(8):
        process = nightly.start("pipeline.py", stderr=subprocess.DEVNULL)
        time.sleep(draw.uniform(0.5, 1) * seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        sizes.add(int(postgres.sql("SELECT count(*) FROM shop.ages")))
    assert sizes <= {old, 21 * 4945}
    assert nightly.go().returncode == 0
    assert postgres.sql("SELECT count(*) FROM shop.ages") == str(21 * 4945)
