"""Measure the time and memory of commands and servers. Linux only."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count
from statistics import median

import psutil

INTERVAL = 0.02  # seconds between two samples of the memory
FAMILY_SAMPLES = 10  # after so many samples, new processes are searched, which takes longer
PATIENCE = 300  # seconds, for the first answer of a server


def measure_rounds(jobs, rounds, warm_up=0):
    """Call every job once a round, in every other round in reverse order.

    A job returns its figures by key. Returns their medians by the name of the job, without
    the rounds that warm up.
    """
    found = {name: [] for name in jobs}
    for number in range(-warm_up, rounds):
        for name in list(jobs)[:: -1 if number % 2 else 1]:
            figures = jobs[name]()
            if number >= 0:
                found[name].append(figures)
            shown = " ".join(f"{key}={value:.4g}" for key, value in figures.items())
            print(f"{number + 1}/{rounds} {name}: {shown}", file=sys.stderr)
    return {
        name: {key: median(each[key] for each in several) for key in several[0]}
        for name, several in found.items()
    }


def measure_commands(commands, folder, rounds, warm_up=0):
    """Run every command once a round; return the medians of their figures."""
    log_file = folder / "log"
    jobs = {
        name: partial(measure_command, command, folder, log_file)
        for name, command in commands.items()
    }
    return measure_rounds(jobs, rounds, warm_up)


@contextmanager
def started(command, folder, log_file, **variables):
    """Start a process in a session of its own; in the end, stop the whole session."""
    with log_file.open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=folder,
            env=os.environ | variables,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError, subprocess.TimeoutExpired):
                os.killpg(process.pid, number)
                process.wait(timeout=10)


def measure_command(command, folder, log_file, **variables):
    """Run a command to its end; return its seconds, CPU seconds and peak memory in MiB.

    The memory is the resident memory of all its processes together, sampled every 20 ms, or
    that of the largest process as the kernel counts it, if that is more. Memory that
    processes share counts in each of them.
    """
    begin, peak = time.perf_counter(), 0
    with started(command, folder, log_file, **variables) as process:
        for sample in count():
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            if sample % FAMILY_SAMPLES == 0:
                members = find_family(process.pid)
            peak = max(peak, sum(measure_memory(members).values()))
            time.sleep(INTERVAL)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{read_end(log_file)}")
    cpu = usage.ru_utime + usage.ru_stime
    return {"seconds": seconds, "cpu": cpu, "peak": max(peak, usage.ru_maxrss / 1024)}


def find_family(pid):
    """Return a process and all that it started."""
    with suppress(psutil.NoSuchProcess):
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    return []


def measure_memory(processes):
    """Return the resident memory of each process in MiB."""
    sizes = {}
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            sizes[process] = process.memory_info().rss / 2**20
    return sizes


def read_end(log_file):
    """Return the end of a log."""
    return log_file.read_text(encoding="utf-8")[-2_000:]


def find_port():
    """Return a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def ask(url, body):
    """Post a JSON body, and return the answer."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.load(answer)


def wait_for_answer(process, url, body, log_file):
    """Post a body again and again until a server answers with success."""
    begin = time.monotonic()
    while True:
        try:
            return ask(url, body)
        except (OSError, http.client.HTTPException) as error:
            is_late = time.monotonic() - begin > PATIENCE
            if is_late or process.poll() is not None:
                sys.exit(f"{url} does not answer ({error}):\n{read_end(log_file)}")
            time.sleep(0.005)
