"""After the install, everything works without a network, whatever the answers and the folder."""

import json
import os
import sys
import tempfile

import pytest
import yaml
from conftest import Project, install

pytestmark = pytest.mark.slow

HOSTILE = {
    "project_name": '"It\'s" {{ 1 }} \\ 客户流失 🎉 <b>',
    "project_slug": "x" * 30,
    "description": 'say "hi" \\n {% raw %} `id`',
    "author_name": 'O\'Neil "Ada" \\ Łukasz',
}
# A network namespace of its own has no way out, and its loopback is down: bring that up.
UNSHARE = ["unshare", "--net", *(["--map-root-user"] if os.geteuid() else [])]
LOOPBACK = """
import fcntl, os, socket, struct, sys
up = struct.pack("16sh", b"lo", 1)
fcntl.ioctl(socket.socket(type=socket.SOCK_DGRAM), 0x8914, up)  # SIOCSIFFLAGS, IFF_UP
os.execvp(sys.argv[1], sys.argv[1:])
"""
OFFLINE = [*UNSHARE, sys.executable, "-c", LOOPBACK]

# The port is the namespace's own, so it is free.
SERVE = """
import subprocess, sys, time
from urllib.request import Request, urlopen
service = subprocess.Popen([sys.executable, "app.py"], stdout=sys.stderr)
try:
    for _ in range(600):
        try:
            urlopen("http://127.0.0.1:8000/health", timeout=1).close()
            break
        except OSError:
            assert service.poll() is None
            time.sleep(0.1)
    for path in ("/", "/docs", "/docs/swagger-ui-bundle.js", "/openapi.json"):
        print(path, urlopen(f"http://127.0.0.1:8000{path}").status)
    headers = {"Content-Type": "application/json"}
    ask = Request("http://127.0.0.1:8000/predict", sys.argv[1].encode(), headers)
    print(urlopen(ask).read().decode())
finally:
    service.terminate()
    service.wait(timeout=30)
"""
ROW = {"contract_type": "Monthly", "monthly_charge": 99.5, "age": 24, "support_calls": 3}


class Island(Project):
    """A project that is installed, and then has no network."""

    def run(self, *command, **options):
        """Run a command without a network."""
        return super().run(*OFFLINE, *command, **options)


@pytest.fixture(scope="module")
def island(bake, tmp_path_factory):
    """A project with hostile answers, in a folder with blanks, whose tables are remade."""
    folder = tmp_path_factory.mktemp("island") / "My Projects [é] $HOME"
    folder.mkdir()
    return Island(install(bake(into=folder, **HOSTILE)).path)


def test_there_is_no_network(island):
    with tempfile.TemporaryDirectory() as folder:
        ask = ["uv", "pip", "install", "-q", "--no-cache", "--target", folder, "iniconfig"]
        assert Project.run(island, *ask).returncode == 0
        result = island.run(*ask, "--reinstall")
        assert result.returncode != 0
        assert "error" in result.stderr


@pytest.mark.parametrize("name", ["commands", "service", "tests"])
def test_everything_works_without_a_network(island, name):
    target = yaml.safe_load((island.path / "config.yaml").read_text("utf-8"))["table"]["target"]
    work = {
        "commands": [
            ["infer-schema", "data/raw/customers.csv", "--target", target],
            ["pipeline.py"],
            ["train"],
            ["predict", "--data", "data/raw/customers.csv", "--output", "reports/all.csv"],
            ["report"],
        ],
        "service": [
            ["pipeline.py"],
            ["train"],
            ["python", "-c", SERVE, json.dumps({"features": ROW})],
        ],
        "tests": [["pytest", "-q"]],
    }
    for command in work[name]:
        result = island.run("uv", "run", *command)
        assert result.returncode == 0, result.stdout[-5000:] + result.stderr[-5000:]
    if name == "service":
        assert json.loads(result.stdout.splitlines()[-1])["prediction"] in ("No", "Yes")
