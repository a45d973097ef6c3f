"""Runs of the pipeline that are killed at any moment: the output is the old one or the new one.

These tests run inside a baked project (see ../test_any_table.py), with its own interpreter. A run
is a child that is forked when all is imported, so that all its time is the run's.
"""

import json
import os
import random
import shutil
import signal
import threading
import time

import pipeline
from conftest import PROJECT
from customer_churn.config import read_config
from customer_churn.utils import UserError, fingerprint
from tqdm import tqdm

ROWS = 3000
tqdm.monitor_interval = 0  # else a fork may copy a lock that its thread holds
tqdm.set_lock(threading.RLock())  # its own is shared: a child killed with it blocks all others


def write_table(file, letter):
    """Write a table in which some rows do not fit, and some are duplicates."""
    header, *rows = (PROJECT / "data/raw/customers.csv").read_text("utf-8").splitlines()
    lines = [header, *rows[:ROWS], *["x,y"] * 30]
    file.write_text("\n".join(lines).replace("C0", f"{letter}0"), encoding="utf-8")


def start(file, config):
    """Start a run in a child, and return its number; it ends with 0, 2 for a UserError, or 1."""
    child = os.fork()
    if child:
        return child
    try:
        signal.alarm(30)  # ends a child that hangs
        pipeline.run(str(file), config.paths.processed, config)
        os._exit(0)
    except UserError:
        os._exit(2)
    finally:
        os._exit(1)


def wait(child):
    """Return how a child ended: its exit code, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def everything(config):
    """Return the names of all that lies beside the output and the rejected rows."""
    folders = (config.paths.processed.parent, config.paths.rejected.parent)
    return {path.name for folder in folders for path in folder.iterdir()}


def test_a_killed_run_leaves_the_old_output_or_the_new_one(tmp_path):
    draw, kills = random.Random(0), 200
    for name in ("config.yaml", "schema.yaml"):
        shutil.copy(PROJECT / name, tmp_path)
    config = read_config(tmp_path)
    output, names = config.paths.processed, {config.paths.processed.name, "customers.csv"}
    broken = tmp_path / "broken.csv"
    broken.write_text("no,table\n", encoding="utf-8")
    files, outputs = [tmp_path / "a.csv", tmp_path / "b.csv"], []
    for file in files:
        write_table(file, file.stem)
        pipeline.run(str(file), tmp_path / "warm.parquet", config)  # all is loaded for the children
        begin = time.monotonic()
        assert wait(start(file, config)) == 0
        seconds = time.monotonic() - begin
        outputs.append(fingerprint(output))
    assert outputs[0] != outputs[1]

    seen, ends, is_now = set(), [], 1
    for number in range(kills):
        child = start(files[1 - is_now], config)
        # Half of them where things are written and replaced.
        time.sleep(draw.uniform(0.6 * (number % 2), 1) * seconds)
        os.kill(child, signal.SIGKILL)
        ends.append(wait(child))
        assert ends[-1] in (0, -signal.SIGKILL)
        # How long a run takes hangs on what else the machine does: follow it. In balance, about
        # one run in five has ended before its kill, so that its last moments are met too.
        seconds *= 0.9 if ends[-1] == 0 else 1.03
        left = sorted(path.name for path in output.parent.glob(".*/*"))
        seen.add((output.exists(), len(everything(config)) - 2, *left))
        is_now = outputs.index(fingerprint(output))
        if number % 2:
            assert wait(start(broken, config)) == 2
            assert everything(config) == names
            is_now = outputs.index(fingerprint(output))
    assert ends.count(-signal.SIGKILL) > kills / 2
    assert len(seen) > 5, "the kills met the run in few places"

    assert wait(start(files[0], config)) == 0
    assert fingerprint(output) == outputs[0]
    assert everything(config) == names
    lines = (config.paths.logs / "pipeline.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[-1])["status"] == "ok"
    print(f"| {kills} runs, {ends.count(-9)} killed, {len(seen)} states, {seconds:.2f} s each")
