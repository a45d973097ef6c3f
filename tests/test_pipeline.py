"""The pipeline at night: a full disk, two runs at once, new files, drift, all kinds of files.

See in_project/test_broken_files.py and in_project/test_kills.py too.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Project

pytestmark = pytest.mark.slow

SAMPLE, OUTPUT = "data/raw/customers.csv", "data/processed/customers.parquet"
REJECTED, RECORD = "data/rejected/customers.csv", "logs/pipeline.jsonl"
PEAK = """
import resource, subprocess, sys
subprocess.run([sys.executable, *sys.argv[1:]], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
"""
READ = "import sys, pandas as pd; print(pd.read_parquet(sys.argv[1]).to_csv())"


@pytest.fixture
def project(ready, tmp_path):
    """A copy of the project in which the pipeline ran once; its environment stays where it is."""
    folder = tmp_path / "project"
    ignored = shutil.ignore_patterns(".venv", ".git", "logs", "processed", "rejected")
    shutil.copytree(ready.path, folder, ignore=ignored)
    project = Project(folder)
    result = run(project)
    assert result.returncode == 0, result.stderr
    return project


@pytest.fixture(scope="module", autouse=True)
def python(ready):
    """The project's own interpreter."""
    global PYTHON
    (PYTHON,) = [*ready.path.glob(".venv/bin/python"), *ready.path.glob(".venv/Scripts/python.exe")]


def run(project, *options, **more):
    """Run the pipeline."""
    return project.run(PYTHON, "pipeline.py", *options, **more)


def refuse(project, *options):
    """Run the pipeline, which must fail in one line and leave the old output; return the line."""
    before = snapshot(project.path / "data" / "processed")
    result = run(project, *options)
    assert result.returncode == 2, result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    (line,) = (line for line in result.stderr.splitlines() if line.startswith("error: "))
    assert line == result.stderr.splitlines()[-1]
    assert snapshot(project.path / "data" / "processed") == before
    return line.removeprefix("error: ")


def snapshot(folder):
    """Return the content of all files, without what Python caches."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in files if "__pycache__" not in path.parts}


def records(project):
    """Return the record of each run."""
    lines = (project.path / RECORD).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def read_output(project, path=OUTPUT):
    """Return the output as text."""
    result = project.run(PYTHON, "-c", READ, path)
    assert result.returncode == 0, result.stderr
    return result.stdout


def change_sample(project, change):
    """Change the text of the sample table."""
    file = project.path / SAMPLE
    file.write_text(change(file.read_text(encoding="utf-8")), encoding="utf-8")


@contextmanager
def small_disk(folder, kilobytes):
    """Lay a file system of so many kilobytes over a folder, with what was in it."""
    kept = [(path.relative_to(folder), path.read_bytes()) for path in folder.rglob("*.*")]
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"this test must mount a file system, as root: {result.stderr}"
    try:
        for path, content in kept:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("free", [0, 4, 40, 100, 160, 240, 500, 900])
def test_a_full_disk_leaves_the_old_output(project, free):
    folder = project.path / "data" / "processed"
    used = (project.path / OUTPUT).stat().st_size // 4096 * 4 + 4
    with small_disk(folder, used + free):
        line = refuse(project)
        assert OUTPUT in line
        assert "No space left" in line
        assert [path.name for path in folder.iterdir()] == [Path(OUTPUT).name]
    assert records(project)[-1]["status"] == "failed"
    assert run(project).returncode == 0


@pytest.mark.parametrize("folder", ["data/rejected", "logs"])
def test_a_full_disk_of_rejected_rows_or_logs(project, folder):
    with small_disk(project.path / folder, 12):
        (project.path / folder / "all.that.is.left").write_bytes(bytes(4096 if "logs" in folder else 5000))
        names = {path.name for path in (project.path / folder).iterdir()}
        if folder == "logs":  # the clean table matters more than the log
            result = run(project)
            assert "Traceback" not in result.stderr
        else:
            assert "No space left" in refuse(project)
            assert {path.name for path in (project.path / folder).iterdir()} == names


@pytest.mark.parametrize("free", [0, 8, 200, 600])
def test_a_full_disk_with_all_on_it(project, free):
    content = sum(len(content) // 4096 * 4 + 4 for content in snapshot(project.path).values())
    whole = project.path.rename(project.path.with_name("whole"))
    with small_disk(project.path, content + free):
        shutil.copytree(whole, project.path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        fill = project.path / "fill"
        usage = shutil.disk_usage(project.path)
        fill.write_bytes(bytes(max(0, usage.free - free * 1024)))
        assert "No space left" in refuse(project)
        names = {path.relative_to(project.path) for path in project.path.rglob("*.tmp*")}
        assert not names
        fill.unlink()


def test_a_second_run_at_once_changes_nothing(project, tmp_path):
    os.mkfifo(pipe := project.path / "data/raw/slow.csv")  # the first run waits for its rows
    first = subprocess.Popen(
        [PYTHON, "pipeline.py", "--raw", str(pipe)], cwd=project.path, stderr=subprocess.DEVNULL
    )
    try:
        with pipe.open("w"):  # opened when the first run reads it
            before = snapshot(project.path)
            line = refuse(project)
            assert line.startswith("another run is going on; it holds ")
            assert snapshot(project.path) == before
            first.kill()
            first.wait()
        assert run(project, "--raw", SAMPLE).returncode == 0
        assert [record["status"] for record in records(project)] == ["ok", "ok"]
    finally:
        first.kill()
        first.wait()
