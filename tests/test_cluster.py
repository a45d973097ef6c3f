"""The Dask engine gives what the default one gives, also when a worker is killed in mid-run."""

import json
import os
import random
import subprocess
import time
from pathlib import Path

import pytest
from conftest import PATIENCE

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent / "in_project"
FILES = 8
PIPELINE = ("uv", "run", "pipeline.py", "--raw", "data/raw/large-*.csv", "--output")
SAME = """
import sys
import pandas as pd
pd.testing.assert_frame_equal(*map(pd.read_parquet, sys.argv[1:]))
"""


class Cluster:
    """A scheduler and its workers, which speak TCP."""

    def __init__(self, project, folder):
        self.project, self.folder, self.processes = project, folder, []
        self.file = folder / "scheduler.json"
        self.start("scheduler", "--host", "127.0.0.1", "--port", "0")
        self.workers = [self.start_worker(), self.start_worker()]
        self.address = json.loads(self.read_file())["address"]

    def start(self, *words):
        """Start a part of the cluster."""
        command = [self.project.path / ".venv" / "bin" / "dask", *words]
        command += ["--scheduler-file", self.file, "--dashboard-address", "127.0.0.1:0"]
        with (self.folder / f"{len(self.processes)}.log").open("w") as log:
            process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def start_worker(self):
        """Start a worker that nobody starts again."""
        return self.start("worker", "--nthreads", "1", "--no-nanny", "--host", "127.0.0.1")

    def read_file(self):
        """Return where the scheduler is, once it says so."""
        deadline = time.monotonic() + PATIENCE
        while not (self.file.exists() and self.file.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        return self.file.read_text()

    def stop(self):
        """End all that was started."""
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def project(bake):
    """A project with Dask, and raw files that take a while."""
    project = bake()
    result = project.run("uv", "sync", "--quiet", "--extra", "dask")
    assert result.returncode == 0, result.stderr
    raw = project.path / "data" / "raw"
    header, *rows = (raw / "customers.csv").read_text(encoding="utf-8").splitlines()
    draw = random.Random(0)
    for number in range(FILES):
        lines = [f"{draw.randrange(10**6)}{row[6:]}" for row in draw.choices(rows, k=8_000)]
        text = "\n".join([header, *lines, ""])
        (raw / f"large-{number:02}.csv").write_text(text, encoding="utf-8")
    return project


@pytest.fixture(scope="module")
def cluster(project, tmp_path_factory):
    """A scheduler and two workers on this machine."""
    cluster = Cluster(project, tmp_path_factory.mktemp("cluster"))
    yield cluster
    cluster.stop()


def outcome(project):
    """Return what the last run counted, and the rows that it rejected."""
    lines = (project.path / "logs" / "pipeline.jsonl").read_text(encoding="utf-8").splitlines()
    counts = {name: n for name, n in json.loads(lines[-1]).items() if name.startswith("rows")}
    return counts, (project.path / "data" / "rejected" / "customers.csv").read_bytes()


@pytest.fixture(scope="module")
def expected(project):
    """What the default engine makes of the large files."""
    result = project.run(*PIPELINE, "data/processed/one.parquet")
    assert result.returncode == 0, result.stderr
    return outcome(project)


def test_both_engines_make_the_same_of_any_table(project, cluster, tmp_path):
    script = HERE / "compare_engines.py"
    command = ("uv", "run", "python", script, cluster.address, tmp_path)
    result = project.run(*command, env=os.environ | {"PYTHONPATH": str(project.path)})
    assert result.returncode == 0, result.stderr[-5000:]
    assert result.stdout.startswith("6 tables, ")


@pytest.mark.parametrize("kill", [True, False])
def test_the_table_is_the_same_also_when_a_worker_is_killed(project, cluster, expected, kill):
    command = [*PIPELINE, "data/processed/many.parquet", "--verbose", "--engine", "dask"]
    command += ["--scheduler", cluster.address] if kill else []
    run = subprocess.Popen(command, cwd=project.path, stderr=subprocess.PIPE, encoding="utf-8")
    said = []
    for line in run.stderr:
        said.append(line)
        if kill and sum(" part " in line for line in said) == 2:
            cluster.workers[0].kill()
            cluster.workers[0] = None
            kill = False
    assert run.wait() == 0, said
    assert sum(" part " in line for line in said) >= FILES
    assert not [line for line in said if "Traceback" in line or "distributed" in line]
    assert outcome(project) == expected
    tables = (f"data/processed/{name}.parquet" for name in ("one", "many"))
    result = project.run("uv", "run", "python", "-c", SAME, *tables)
    assert result.returncode == 0, result.stderr

    train = ("uv", "run", "train", "--data", "data/processed/many.parquet", "--model", "logistic")
    result = project.run(*train)
    assert result.returncode == 0, result.stderr
    assert f"from {expected[0]['rows_kept']} rows" in result.stderr


def test_a_search_on_a_cluster_gives_the_same_model_file(project, tmp_path):
    search = ("uv", "run", "train", "--model", "logistic", "--tune", "6", "--output")
    models, cluster = project.path / "models", Cluster(project, tmp_path)
    there = ("--scheduler", cluster.address)
    assert project.run("uv", "run", "pipeline.py").returncode == 0
    for name, options in (("here", ()), ("there", there)):
        result = project.run(*search, f"models/{name}.onnx", *options)
        assert result.returncode == 0, result.stderr
    assert (models / "here.onnx").read_bytes() == (models / "there.onnx").read_bytes()

    for worker in cluster.workers:
        worker.kill()
    result = project.run(*search, "models/none.onnx", *there)
    cluster.stop()
    assert result.returncode == 2
    assert "error: the workers of the Dask scheduler exit" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (models / "none.onnx").exists()


def test_what_is_missing_is_said_in_one_line(ready, project):
    command = ("uv", "run", "pipeline.py", "--engine", "dask")
    for where, options, hint in (
        (ready, (), "uv sync --extra dask"),
        (project, ("--scheduler", "tcp://127.0.0.1:1"), "tcp://127.0.0.1:1"),
    ):
        result = where.run(*command, *options, timeout=PATIENCE)
        assert result.returncode == 2
        *_, last = result.stderr.splitlines()
        assert last.startswith("error: ") and hint in last
        assert "Traceback" not in result.stderr
