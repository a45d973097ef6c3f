"""Start a server, ask it, load it, and look at its memory."""

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

CONNECTIONS = 16
SERVER_CORE, LOAD_CORE = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))
SIZES = (1, 1_000)  # rows in a request
TOLERANCE = 1e-5
PATIENCE = 120  # seconds
LOAD_SCRIPT = Path(__file__).with_name("post.lua")


@dataclass(frozen=True)
class Server:
    """A server to measure: how it is started, and what it is asked and should answer."""

    name: str
    title: str
    command: list[str]  # "PORT" stands for the port
    data: Path  # the folder with the bodies and the expected answers
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    body: str = "features"
    path: str = "/predict"
    model: str = "gradient_boosting"

    def body_file(self, rows):
        """Return the file that holds a request of so many rows."""
        return self.data / f"{self.body}.{rows}.json"


@contextmanager
def started(server, log_file):
    """Start a server on one core; give its process, its port and its seconds to the first answer.

    The address is asked again and again from the start on, so nothing but the answer counts.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["taskset", "--cpu-list", str(SERVER_CORE), *server.command]
    with log_file.open("w", encoding="utf-8") as log:
        begin = time.perf_counter()
        process = subprocess.Popen(
            [part.replace("PORT", str(port)) for part in command],
            cwd=server.folder,
            env=os.environ | server.environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        while True:
            try:
                ask(server, port, 1)
                break
            except (OSError, http.client.HTTPException) as error:
                late = time.perf_counter() - begin > PATIENCE
                if late or process.poll() is not None:
                    tail = log_file.read_text(encoding="utf-8")[-2_000:]
                    raise SystemExit(f"{server.name} does not answer ({error}):\n{tail}") from error
                time.sleep(0.005)
        yield process, port, time.perf_counter() - begin
    finally:
        stop(process)


def stop(process):
    """Stop a server and all it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=10)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            pass


def ask(server, port, rows):
    """Send one request and return the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        content, headers = server.body_file(rows).read_bytes(), {"Content-Type": "application/json"}
        connection.request("POST", server.path, content, headers)
        response = connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise http.client.HTTPException(f"{response.status} {content[:300]!r}")
        return json.loads(content)
    finally:
        connection.close()


def check(server, port):
    """Make sure that a server answers what scikit-learn answered when the model was trained."""
    file = server.data / f"{server.model}.expected.json"
    expected = floats(json.loads(file.read_text(encoding="utf-8")))
    for rows in SIZES:
        answer = floats(ask(server, port, rows))
        wanted = expected[: len(expected) // max(SIZES) * rows]
        worst = max(abs(a - b) for a, b in zip(answer, wanted, strict=True))
        if worst > TOLERANCE:
            raise SystemExit(f"{server.name} answers {rows} row(s) differently, by {worst:.2g}")


def floats(answer):
    """Return all fractions of an answer in their order, whatever its form: the probabilities."""
    if isinstance(answer, dict):
        answer = [value for name, value in answer.items() if name != "explanation"]
    if isinstance(answer, list):
        return [number for part in answer for number in floats(part)]
    return [answer] if isinstance(answer, float) else []


def load(server, port, rows, seconds):
    """Send requests over open connections; return requests a second and latencies in ms."""
    command = ["taskset", "--cpu-list", str(LOAD_CORE), "wrk", "--threads=1", "--timeout=60"]
    command += [f"--connections={CONNECTIONS}", f"--duration={seconds}", f"--script={LOAD_SCRIPT}"]
    result = subprocess.run(
        [*command, f"http://127.0.0.1:{port}{server.path}"],
        env=os.environ | {"BODY": str(server.body_file(rows))},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    found = json.loads(result.stdout.splitlines()[-1])
    if found["failed"]:
        raise SystemExit(f"{server.name} failed under load:\n{result.stdout}")
    return {
        "rate": found["requests"] / found["microseconds"] * 1e6,
        "p50": found["p50"] / 1e3,
        "p99": found["p99"] / 1e3,
        "requests": found["requests"],
    }


def processes(process):
    """Return all processes of a server, with the seconds each has worked."""
    first = psutil.Process(process.pid)
    return {each: sum(each.cpu_times()[:2]) for each in [first, *first.children(recursive=True)]}


def memory(process):
    """Return the resident MiB of the process that did the most work, and of all together."""
    everyone = processes(process)
    worker = max(everyone, key=everyone.get)
    sizes = {each.pid: each.memory_info().rss / 2**20 for each in everyone}
    return {"worker": sizes[worker.pid], "all": sum(sizes.values())}


def measure(server, seconds, log_file):
    """Start a server, check its answers, load it, and stop it; return one round's figures.

    `cpu` is the processor time of a request in ms, which a busy machine disturbs less.
    """
    with started(server, log_file) as (process, port, cold_start):
        check(server, port)
        figures = {"cold_start": cold_start}
        for rows in SIZES:
            load(server, port, rows, 1)  # warm
            before = sum(processes(process).values())
            found = load(server, port, rows, seconds)
            if not found["requests"]:
                raise SystemExit(f"{server.name} answered nothing in {seconds} s")
            found["cpu"] = (sum(processes(process).values()) - before) / found.pop("requests") * 1e3
            figures |= {f"{name}.{rows}": value for name, value in found.items()}
        return figures | memory(process)
