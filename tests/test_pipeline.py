"""The pipeline at night: a full disk, two runs at once, files that come while it waits.

See test_pipeline_files.py, in_project/test_broken_files.py and in_project/test_kills.py too.
"""

import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import PATIENCE, snapshot

pytestmark = pytest.mark.slow

SAMPLE, OUTPUT = "data/raw/customers.csv", "data/processed/customers.parquet"
HOLD = """
import time
from pathlib import Path
from customer_churn.etl.runs import record_run
with record_run(Path("out.parquet"), Path("logs")):
    print("held", flush=True)
    time.sleep(100)
"""


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
def test_a_full_disk_leaves_the_old_output(night, free):
    folder = night.path / "data" / "processed"
    with small_disk(folder, free):
        line = night.refused()
        assert OUTPUT in line
        assert "No space left" in line
        assert [path.name for path in folder.iterdir()] == [Path(OUTPUT).name]
    assert night.records()[-1]["status"] == "failed"


def test_a_disk_too_small_for_the_rejected_rows_leaves_the_old_output(night):
    folder = night.path / "data" / "rejected"
    before = snapshot(folder)
    with small_disk(folder, 4):
        assert "No space left" in night.refused()
        assert snapshot(folder) == before


def test_a_disk_too_small_for_the_log_does_not_stop_the_run(night):
    record = night.path / "logs" / "pipeline.jsonl"
    record.write_bytes(b" " * 4095 + b"\n")  # no room is left in its last block
    with small_disk(record.parent, 0):
        result = night.go()
        assert result.returncode == 0
        assert "Traceback" not in result.stderr
        assert "can't write logs/pipeline.jsonl: No space left on device" in result.stderr


@pytest.mark.parametrize("free", [0, 8, 200])
def test_a_full_disk_with_all_on_it(night, free):
    with small_disk(night.path, free):
        more = {"PYTHONDONTWRITEBYTECODE": "1"}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(*more.popitem())
            assert "No space left" in night.refused()
        assert not [*night.path.rglob("*.tmp")]


def test_a_second_run_at_once_changes_nothing(night):
    first = night.start("-c", HOLD, stdout=subprocess.PIPE)
    try:
        assert first.stdout.readline() == "held\n"
        before = snapshot(night.path)
        assert night.refused() == "another run is in progress; it holds the lock logs/pipeline.lock"
        assert snapshot(night.path) == before
    finally:
        first.kill()
        first.wait()
    assert night.go().returncode == 0
    assert [record["status"] for record in night.records()] == ["ok", "ok"]


def hear_ctrl_c():
    """Let a child hear Ctrl+C, also where these tests run in the background and do not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for_records(night, count):
    """Wait until there are so many records, and a little longer for none too many."""
    end = time.monotonic() + PATIENCE
    while len(night.records()) < count:
        assert time.monotonic() < end, night.records()
        time.sleep(0.1)
    time.sleep(5)
    assert len(night.records()) == count
    return night.records()[-1]


def test_watching_runs_once_for_each_file_that_is_complete(night):
    folder = night.path / "data" / "raw"
    header, *rows = (night.path / SAMPLE).read_text(encoding="utf-8").splitlines()
    more = [row.replace("C0", "D0", 1) for row in rows[:200]]
    with (night.path / "said.txt").open("w") as said:
        process = night.start("pipeline.py", "--watch", stderr=said, preexec_fn=hear_ctrl_c)
    try:
        first = wait_for_records(night, 2)  # of the fixture, and of the start
        with (folder / "slow.csv").open("w", encoding="utf-8") as file:
            file.write(header)
            for row in more:  # for six seconds, longer than a look at it takes
                file.write(f"\n{row}")
                file.flush()
                time.sleep(0.03)
            file.write("\n")
        assert wait_for_records(night, 3)["rows_read"] == first["rows_read"] + len(more)
        new = night.path / "new.part"
        new.write_text("\n".join([header, "E1" + more[0][2:], ""]), encoding="utf-8")
        new.rename(folder / "new.csv")
        assert wait_for_records(night, 4)["rows_read"] == first["rows_read"] + len(more) + 1
        (folder / "broken.csv").write_text("no,table\n", encoding="utf-8")
        assert wait_for_records(night, 5)["status"] == "failed"
        (folder / "broken.csv").write_text("\n".join([header, more[0], ""]), encoding="utf-8")
        assert wait_for_records(night, 6)["status"] == "ok"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=PATIENCE) == 130
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in (night.path / "said.txt").read_text()
