"""The service as a process: how it starts and how it stops."""

import os
import signal
import socket
import subprocess
import time
import urllib.request

import pytest
from conftest import PATIENCE


def free_port():
    """Return a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def wait_until_it_answers(process, port):
    """Wait for /health; a process that ends before is a failure."""
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
            return
        except OSError:
            assert process.poll() is None
            time.sleep(0.02)


@pytest.fixture(scope="module")
def trained(bake):
    """A project with the default answers, its model trained."""
    project = bake()
    for script in ("pipeline.py", "train"):
        result = project.run("uv", "run", script)
        assert result.returncode == 0, result.stderr
    return project


# uv and systemd signal every process, uv its child once more: the main process gets two at once.
@pytest.mark.slow
def test_it_stops_when_every_process_gets_the_signal_and_the_first_gets_two(trained):
    for _ in range(10):
        port = free_port()
        process = subprocess.Popen(
            ["uv", "run", "app.py", "--port", str(port)], cwd=trained.path, start_new_session=True
        )
        wait_until_it_answers(process, port)
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=PATIENCE)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
