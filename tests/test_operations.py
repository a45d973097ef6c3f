"""The service in operation: new models under load, a stop in the middle, what it listens on."""

import http.client
import json
import os
import re
import select
import shlex
import signal
import subprocess
import threading
import time
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from conftest import PATIENCE
from test_serving import free_port, wait_until_it_answers

pytestmark = pytest.mark.slow
ROW = {"contract_type": "Monthly", "monthly_charge": 99.5, "age": 24, "support_calls": 3}
JSON = {"Content-Type": "application/json"}
TRAIN = """
from pathlib import Path
import pandas as pd
from customer_churn.config import read_config
from customer_churn.training.train import run
config = read_config()
for number in range(5):
    frame = pd.read_parquet(config.paths.processed).sample(frac=0.5, random_state=number)
    data = Path("data/processed") / f"{number}.parquet"
    frame.to_parquet(data)
    run(data, "gradient_boosting", Path("spare") / f"{number}.onnx", config)
"""


@pytest.fixture(scope="module")
def trained(bake):
    """A project with a trained model, and five more in the folder `spare`."""
    project = bake()
    for command in (
        ["uv", "run", "pipeline.py"],
        ["uv", "run", "train"],
        ["uv", "run", "python", "-c", TRAIN],
    ):
        result = project.run(*command)
        assert result.returncode == 0, result.stderr
    return project


class Service:
    """A server that runs, and what it was started with."""

    def __init__(self, process, port, log):
        self.process, self.port, self.log = process, port, log

    def connect(self):
        """Return a new connection."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def ask(self, method="GET", path="/health", content=None, connection=None):
        """Return the status and the JSON of an answer."""
        connection = connection or self.connect()
        connection.request(method, path, content and json.dumps(content), JSON)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    def wait_for_health(self, expected):
        """Wait until every worker's /health says so: each connection may meet another worker."""
        end = time.monotonic() + PATIENCE
        while True:
            answers = [self.ask()[1] for _ in range(40)]
            if all(expected.items() <= answer.items() for answer in answers):
                return answers[0]
            assert time.monotonic() < end, answers

    def children(self):
        """Return the processes of the server's own, by /proc."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(number) for number in listed.split()]


@contextmanager
def serve(folder, *options, python=None, **variables):
    """Run app.py, wait until it answers, and leave no process behind."""
    port = free_port()
    log = folder / f"service-{port}.log"
    command = [str(python or folder / ".venv" / "bin" / "python"), "app.py", "--port", str(port)]
    with log.open("w") as file:
        process = subprocess.Popen(
            [*command, *options],
            cwd=folder,
            env=os.environ | variables,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    service = Service(process, port, log)
    try:
        wait_until_it_answers(process, port)
        yield service
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def put(content, path):
    """Put a model file in its place at once, as `train` does."""
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


class Load(threading.Thread):
    """A client that asks without a pause, on one connection, and keeps all it hears."""

    def __init__(self, service):
        super().__init__()
        self.service, self.going, self.heard = service, True, []

    def run(self):
        connection = self.service.connect()
        while self.going:
            try:
                status, answer = self.service.ask("POST", "/predict", {"features": ROW}, connection)
                self.heard.append((status, json.dumps(answer)))
            except (OSError, http.client.HTTPException) as error:
                self.heard.append((0, repr(error)))
                connection.close()


def test_new_models_come_into_service_without_a_failed_request(trained):
    path = trained.path / "models" / "model.onnx"
    first = path.read_bytes()
    with serve(trained.path, "--workers", "2") as service:
        clients = [Load(service) for _ in range(4)]
        for client in clients:
            client.start()
        good = service.ask()[1]
        for number in range(5):
            put((trained.path / "spare" / f"{number}.onnx").read_bytes(), path)
            about = json.loads((trained.path / "spare" / f"{number}.json").read_text())
            health = service.wait_for_health({"status": "ok", "metrics": about["metrics"]})
            assert health["file"]["sha256"] == about["file"]["sha256"]

        put(first[: len(first) // 2], path)
        broken = service.wait_for_health({"status": "degraded"})
        assert "models/model.onnx can't be served" in broken["problem"]
        assert broken["file"] == health["file"]
        put(first, path)
        again = service.wait_for_health({"status": "ok", "problem": None})
        assert again["file"]["sha256"] == good["file"]["sha256"]
        for client in clients:
            client.going = False
        for client in clients:
            client.join()
    heard = [each for client in clients for each in client.heard]
    assert {status for status, _ in heard} == {200}
    assert len(heard) > 100
    assert len({answer for _, answer in heard}) == 6  # the same row, by six models
    assert service.log.read_text().count("the previous model keeps serving") == 2  # once a worker


@pytest.mark.parametrize("pause", [0, 0.02, 0.04])
def test_a_stop_lets_the_requests_in_flight_finish(trained, pause):
    rows = [ROW] * 10_000
    with serve(trained.path, "--workers", "2") as service:
        workers = service.children()
        assert len(workers) == 2
        for _ in range(100):
            connection = service.connect()
            connection.request("POST", "/predict", json.dumps({"features": rows}), JSON)
            time.sleep(pause)
            if not select.select([connection.sock], [], [], 0)[0]:
                break  # it is in flight; else this test was slower than the answer
            connection.close()
        service.process.terminate()
        answer = connection.getresponse()
        assert answer.status == 200
        assert len(json.loads(answer.read())["predictions"]) == len(rows)
        assert service.process.wait(timeout=PATIENCE) == 0
        assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


# A thread that waits for the rest of a body can't be woken; the server gives it 8 s.
def test_a_stop_does_not_wait_for_ever_for_a_client_that_stalls(trained):
    with serve(trained.path) as service:
        connection = service.connect()
        connection.putrequest("POST", "/predict")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", "500")
        connection.endheaders(b"{")
        time.sleep(0.5)
        service.process.terminate()
        assert service.process.wait(timeout=PATIENCE) == 0


def test_a_worker_that_dies_is_replaced(trained):
    with serve(trained.path, "--workers", "2") as service:
        time.sleep(6)  # Granian gives up on workers that die sooner than in 5.5 s
        (first, second) = service.children()
        os.kill(first, signal.SIGKILL)
        end = time.monotonic() + PATIENCE
        while len(set(service.children()) - {first}) < 2:
            assert time.monotonic() < end
            time.sleep(0.1)
        assert second in service.children()
        assert service.ask()[0] == 200


def listened_on(pids):
    """Return the addresses, as /proc has them, that processes listen on."""
    inodes = set()
    for pid in pids:
        for file in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                inodes |= set(re.findall(r"socket:\[(\d+)\]", os.readlink(file)))
    lines = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    return {parts[1].split(":")[0] for parts in lines if parts[3] == "0A" and parts[9] in inodes}


@pytest.mark.parametrize(
    ("options", "variables", "expected"),
    [
        ([], {}, "0100007F"),
        (["--host", "localhost"], {}, "0100007F"),
        (["--host", "0.0.0.0"], {}, "00000000"),
        ([], {"SERVING__HOST": "0.0.0.0"}, "00000000"),
        (["--host", "::"], {}, "0" * 32),
    ],
)
def test_it_listens_on_this_machine_alone_by_default(trained, options, variables, expected):
    with serve(trained.path, *options, **variables) as service:
        assert listened_on([service.process.pid, *service.children()]) == {expected}


def test_a_slow_client_keeps_nobody_waiting(trained):
    with serve(trained.path) as service:
        slow = service.connect()
        slow.putrequest("POST", "/predict")
        slow.putheader("Content-Type", "application/json")
        slow.putheader("Content-Length", "500")
        slow.endheaders(b"{")
        time.sleep(0.5)
        for _ in range(10):
            assert service.ask()[0] == 200


def test_requests_are_logged_on_one_line_each(trained):
    with serve(trained.path) as service:
        headers = {"X-Request-ID": "a-1"}
        connection = service.connect()
        connection.request("GET", "/no%0Awhere", headers=headers)
        assert connection.getresponse().status == 404
        time.sleep(0.5)
        (line,) = [line for line in service.log.read_text().splitlines() if "where" in line]
        assert re.search(r" GET '/no\\nwhere' 404 \d+\.\d ms a-1$", line)


def test_metrics_have_a_port_of_their_own(trained):
    port = free_port()
    with serve(trained.path, SERVING__METRICS_PORT=str(port)) as service:
        text, deadline = "", time.monotonic() + PATIENCE
        while "# TYPE granian_" not in text:  # the first figures may take a while
            assert time.monotonic() < deadline, text
            time.sleep(0.1)
            with suppress(OSError):
                metrics = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics")
                text = metrics.read().decode()
        samples = [line for line in text.splitlines() if not line.startswith("#")]
        assert samples
        assert all(re.fullmatch(r"granian_\w+(\{.*\})? [\de.+-]+", line) for line in samples)
        assert service.ask(path="/metrics")[0] == 404
        assert listened_on([service.process.pid, *service.children()]) == {"0100007F"}

    with serve(trained.path) as service:
        with pytest.raises(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics")
        assert service.ask()[0] == 200


def instructions(project):
    """Return the Dockerfile's instructions: names and what follows them, each on one line."""
    text = (project.path / "Dockerfile").read_text().replace("\\\n", " ")
    return [line.split(" ", 1) for line in text.splitlines() if re.match("[A-Z]+ ", line)]


def copied(project):
    """Return what the Dockerfile takes from the project."""
    lines = [rest.split() for name, rest in instructions(project) if name == "COPY"]
    return {source for parts in lines if "--from" not in parts[0] for source in parts[:-1]}


# No engine runs where these tests do: the steps of the Dockerfile are done one by one instead.
def test_the_image_has_all_that_the_service_needs_and_only_that(trained, tmp_path):
    virtual = tmp_path / "venv"
    (install,) = (rest for name, rest in instructions(trained) if "uv venv" in rest)
    command = shlex.split(install.split("&&")[1])
    for step in (["uv", "venv", str(virtual)], command):
        result = trained.run(*step, env=os.environ | {"VIRTUAL_ENV": str(virtual)})
        assert result.returncode == 0, result.stderr
    frozen = trained.run("uv", "pip", "freeze", "--python", str(virtual)).stdout.split()
    lock = (trained.path / "requirements.txt").read_text()
    assert all(f"\n{pin} " in lock for pin in frozen)
    assert not {pin.split("==")[0] for pin in frozen} & {"pandas", "scikit-learn", "onnx", "pip"}

    folder = tmp_path / "app"
    folder.mkdir()
    for source in copied(trained) - {"pyproject.toml", "requirements.txt"}:
        subprocess.run(["cp", "-r", str(trained.path / source), str(folder)], check=True)
    with serve(
        folder, python=virtual / "bin" / "python", PYTHONPATH=str(folder / "src")
    ) as service:
        assert service.ask("POST", "/predict", {"features": ROW})[0] == 200
        (check,) = (rest for name, rest in instructions(trained) if name == "HEALTHCHECK")
        _, _, code = json.loads(check.split("CMD ")[1])
        command = [str(virtual / "bin" / "python"), "-c", code]
        env = os.environ | {"SERVING__PORT": str(service.port)}
        assert subprocess.run(command, check=False, env=env).returncode == 0


def test_the_image_runs_nothing_as_root_and_takes_nothing_else(trained):
    lines = instructions(trained)
    names = [name for name, _ in lines]
    last = dict(lines[names.index("FROM", 1) :])
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", last["USER"])
    assert "RUN" not in last
    assert json.loads(last["CMD"])[:2] == ["python", "app.py"]
    for name, rest in lines:
        assert name != "FROM" or re.match(r"python:3\.1[123]-slim\b", rest)
    to_install, to_run = {"pyproject.toml", "requirements.txt"}, {"app.py", "config.yaml"}
    assert copied(trained) == to_install | to_run | {"src", "models"}
