"""Run one ETL to its end, and look at its time and its memory."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psutil

INTERVAL = 0.02  # seconds between two looks at the memory
FAMILY_LOOKS = 10  # so many looks later new processes are searched, which takes longer
PATIENCE = 1_800  # seconds
LARGEST_SHARE = 0.8  # of the machine's memory; who takes more is stopped


@dataclass(frozen=True)
class Engine:
    """An ETL to measure, and how it is started."""

    name: str
    title: str
    command: list[str]  # RAW and OUTPUT stand for the files
    folder: Path
    suffix: str = ".parquet"  # none: the output is a folder
    environment: dict[str, str] = field(default_factory=dict)


class Stopped(Exception):
    """An ETL took too much memory or time."""


def family(pid):
    """Return a process and all it started."""
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def resident(processes):
    """Return the resident bytes of each process."""
    sizes = [0]
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            sizes.append(process.memory_info().rss)
    return sizes


def watch(process):
    """Look at a process until it ends; return its usage, and the peaks of all and of the largest."""
    begin, most = time.monotonic(), psutil.virtual_memory().total * LARGEST_SHARE
    together = largest = 0
    for look in count():
        ended, state, usage = os.wait4(process.pid, os.WNOHANG)
        if ended:
            process.returncode = os.waitstatus_to_exitcode(state)
            # The kernel saw single processes between the looks as well.
            largest = max(largest, usage.ru_maxrss * 1024)
            return usage, max(together, largest), largest
        if look % FAMILY_LOOKS == 0:
            processes = family(process.pid)
        sizes = resident(processes)
        together, largest = max(together, sum(sizes)), max(largest, *sizes)
        if together > most:
            raise Stopped(f"stopped at {together / 2**30:.1f} GiB")
        if time.monotonic() - begin > PATIENCE:
            raise Stopped(f"stopped after {PATIENCE / 60:.0f} minutes")
        time.sleep(INTERVAL)


def warm(file):
    """Read a file once, so that nobody waits for the disk."""
    with file.open("rb", buffering=0) as content:
        while content.read(2**24):
            pass


def stop(process):
    """End what is left of a process and all it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.returncode is None:
        process.wait()


def measure(engine, raw, output, log_file):
    """Run an ETL once and return its figures: seconds, processor seconds, peaks in MiB."""
    warm(raw)
    places = {"RAW": str(raw), "OUTPUT": str(output)}
    with log_file.open("w", encoding="utf-8") as log:
        begin = time.perf_counter()
        process = subprocess.Popen(
            [places.get(part, part) for part in engine.command],
            cwd=engine.folder,
            env=os.environ | engine.environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            usage, together, largest = watch(process)
            seconds = time.perf_counter() - begin
        finally:
            stop(process)
    if process.returncode:
        tail = log_file.read_text(encoding="utf-8")[-2_000:]
        raise SystemExit(f"{engine.name} failed with {process.returncode}:\n{tail}")
    return {
        "seconds": seconds,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak": together / 2**20,
        "largest": largest / 2**20,
    }
