"""The pipeline at night: a full disk, two runs at once, files that come while it waits.

See test_pipeline_files.py, in_project/test_broken_files.py and in_project/test_kills.py too.
"""

import json
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import Project

pytestmark = pytest.mark.slow

SAMPLE, OUTPUT = "data/raw/customers.csv", "data/processed/customers.parquet"
RECORD = "logs/pipeline.jsonl"
HOLD = """
import time
from pathlib import Path
from batch.operations import record_run
with record_run(Path("out.parquet"), Path("logs")):
    print("held", flush=True)
    time.sleep(100)
"""


@pytest.fixture(scope="module")
def ran(ready, tmp_path_factory):
    """A copy of the project in which the pipeline ran once, and the project's interpreter."""
    folder = tmp_path_factory.mktemp("ran") / "project"
    ignored = shutil.ignore_patterns(".venv", ".git", "logs", "processed", "rejected")
    shutil.copytree(ready.path, folder, ignore=ignored)
    (python,) = [*ready.path.glob(".venv/bin/python"), *ready.path.glob(".venv/Scripts/python.exe")]
    project = Night(folder, python)
    result = project.go()
    assert result.returncode == 0, result.stderr
    return project


@pytest.fixture
def project(ran, tmp_path):
    """A copy of it for one test."""
    return Night(Path(shutil.copytree(ran.path, tmp_path / "project")), ran.python)


@dataclass(frozen=True)
class Night(Project):
    """A project, and a way to run its pipeline."""

    python: Path

    def go(self, *options, **more):
        """Run the pipeline."""
        return self.run(self.python, "pipeline.py", *options, **more)

    def start(self, *command, **options):
        """Start a process of the project's Python."""
        return subprocess.Popen([self.python, *command], cwd=self.path, text=True, **options)

    def refused(self, *options):
        """Run the pipeline, which fails in one line and leaves the old output; return the line."""
        before = snapshot(self.path / "data" / "processed")
        result = self.go(*options)
        assert result.returncode == 2, result.stdout + result.stderr
        assert "Traceback" not in result.stdout + result.stderr
        (line,) = (line for line in result.stderr.splitlines() if line.startswith("error: "))
        assert line == result.stderr.splitlines()[-1]
        assert snapshot(self.path / "data" / "processed") == before
        return line.removeprefix("error: ")

    def records(self):
        """Return the record of each run."""
        lines = (self.path / RECORD).read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def change_sample(self, change):
        """Change the lines of the sample table."""
        file = self.path / SAMPLE
        lines = change(file.read_text(encoding="utf-8").splitlines())
        file.write_text("\n".join([*lines, ""]), encoding="utf-8")


def snapshot(folder):
    """Return the content of all files, without what Python caches."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in files if "__pycache__" not in path.parts}


@contextmanager
def small_disk(folder, free):
    """Lay a file system over a folder, with what was in it and so many kilobytes free."""
    kept = Path(shutil.copytree(folder, folder.with_name(f"{folder.name}-kept")))
    used = sum(-(-len(content) // 4096) * 4 for content in snapshot(kept).values())
    command = ["mount", "-t", "tmpfs", "-o", f"size={used + free or 4}k", "tmpfs", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"this test mounts a file system, as root: {result.stderr}"
    try:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(kept, folder, dirs_exist_ok=True, ignore=ignored)
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


# At 0 the first byte does not fit, at 40 a part, at 140 and more what is put together from parts.
@pytest.mark.parametrize("free", [0, 40, 140, 200, 240])
def test_a_full_disk_leaves_the_old_output(project, free):
    folder = project.path / "data" / "processed"
    with small_disk(folder, free):
        line = project.refused()
        assert OUTPUT in line
        assert "No space left" in line
        assert [path.name for path in folder.iterdir()] == [Path(OUTPUT).name]
    assert project.records()[-1]["status"] == "failed"


def test_a_disk_too_small_for_the_rejected_rows_leaves_the_old_output(project):
    folder = project.path / "data" / "rejected"
    before = snapshot(folder)
    with small_disk(folder, 4):
        assert "No space left" in project.refused()
        assert snapshot(folder) == before


def test_a_disk_too_small_for_the_log_does_not_stop_the_run(project):
    with small_disk(project.path / "logs", 0):
        result = project.go()
        assert result.returncode == 0
        assert "Traceback" not in result.stderr
        assert "can't write logs/pipeline.jsonl: No space left on device" in result.stderr


@pytest.mark.parametrize("free", [0, 8, 200])
def test_a_full_disk_with_all_on_it(project, free):
    with small_disk(project.path, free):
        more = {"PYTHONDONTWRITEBYTECODE": "1"}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(*more.popitem())
            assert "No space left" in project.refused()
        assert not [*project.path.rglob("*.tmp")]


def test_a_second_run_at_once_changes_nothing(project):
    first = project.start("-c", HOLD, stdout=subprocess.PIPE)
    try:
        assert first.stdout.readline() == "held\n"
        before = snapshot(project.path)
        assert project.refused() == "another run is going on; it holds logs/pipeline.lock"
        assert snapshot(project.path) == before
    finally:
        first.kill()
        first.wait()
    assert project.go().returncode == 0
    assert [record["status"] for record in project.records()] == ["ok", "ok"]


def wait_for_records(project, count):
    """Wait until there are so many records, and a little longer for none too many."""
    end = time.monotonic() + 40
    while len(project.records()) < count:
        assert time.monotonic() < end, project.records()
        time.sleep(0.1)
    time.sleep(3)
    assert len(project.records()) == count
    return project.records()[-1]


def test_watching_runs_once_for_each_file_that_is_complete(project):
    folder = project.path / "data" / "raw"
    header, *rows = (project.path / SAMPLE).read_text(encoding="utf-8").splitlines()
    more = [row.replace("C0", "D0", 1) for row in rows[:200]]
    with (project.path / "said.txt").open("w") as said:
        process = project.start("pipeline.py", "--watch", stderr=said)
    try:
        first = wait_for_records(project, 2)  # of the fixture, and of the start
        with (folder / "slow.csv").open("w", encoding="utf-8") as file:
            file.write("\n".join([header, *more[:50]]))
            file.flush()
            time.sleep(1.2)
            file.write("\n".join(["", *more[50:], ""]))
        assert wait_for_records(project, 3)["rows_read"] == first["rows_read"] + len(more)
        new = project.path / "new.part"
        new.write_text("\n".join([header, "E1" + more[0][2:], ""]), encoding="utf-8")
        new.rename(folder / "new.csv")
        assert wait_for_records(project, 4)["rows_read"] == first["rows_read"] + len(more) + 1
        (folder / "broken.csv").write_text("no,table\n", encoding="utf-8")
        assert wait_for_records(project, 5)["status"] == "failed"
        (folder / "broken.csv").write_text("\n".join([header, more[0], ""]), encoding="utf-8")
        assert wait_for_records(project, 6)["status"] == "ok"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in (project.path / "said.txt").read_text()
