"""Editors find the project's own environment."""

import json
import os
import signal
import subprocess
import time
import urllib.request
from contextlib import contextmanager

import pytest
from conftest import PATIENCE
from test_serving import free_port

# Asks a kernel, by its connection file, where it lives and whether it knows the package.
ASK = """
import sys
from jupyter_client import BlockingKernelClient
client = BlockingKernelClient(connection_file=sys.argv[1])
client.load_connection_file()
client.start_channels()
client.wait_for_ready(timeout=60)  # or its first output may be published to nobody
code = "import sys, customer_churn; print(sys.prefix)"
reply = client.execute_interactive(code, timeout=60)
assert reply["content"]["status"] == "ok", reply["content"]
"""

OTHER_KERNEL = {
    "argv": ["/nowhere/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
    "display_name": "Another project's",
    "language": "python",
}


@contextmanager
def jupyter_lab(project, folder):
    """Start JupyterLab as a user with another project's kernel; give a function to ask it."""
    kernel = folder / "data" / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    kernel.write_text(json.dumps(OTHER_KERNEL), encoding="utf-8")
    variables = {
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTER_TOKEN": "secret",
    }
    port = free_port()
    process = subprocess.Popen(
        ["uv", "run", "jupyter", "lab", "--no-browser", "--allow-root", "--port", str(port)],
        cwd=project.path,
        env=os.environ | variables,
        start_new_session=True,
    )

    def ask(path, body=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/{path}",
            data=json.dumps(body).encode() if body else None,
            headers={"Authorization": "token secret", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.read().decode()

    try:
        while True:
            try:
                ask("api/status")
                break
            except OSError:
                assert process.poll() is None
                time.sleep(0.1)
        yield ask
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=PATIENCE)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def test_the_settings_of_vs_code_name_what_is_there(bake):
    project = bake()
    text = (project.path / ".vscode" / "settings.json").read_text(encoding="utf-8")
    settings = json.loads(text)
    assert settings["python.testing.pytestEnabled"] is True
    for folder in settings["python.testing.pytestArgs"]:
        assert (project.path / folder).is_dir()
    formatters = {
        settings["[python]"]["editor.defaultFormatter"],
        settings["notebook.defaultFormatter"],
    }
    assert formatters == {"charliermarsh.ruff"}


@pytest.mark.slow
def test_vs_code_and_jupyterlab_find_the_project_s_own_environment(ready, tmp_path):
    environment = ready.path / ".venv"
    settings = json.loads((ready.path / ".vscode/settings.json").read_text(encoding="utf-8"))
    folder = settings["python.defaultInterpreterPath"]
    assert folder.replace("${workspaceFolder}", str(ready.path)) == str(environment)
    assert (environment / "pyvenv.cfg").exists()
    with jupyter_lab(ready, tmp_path) as ask:
        kernel = json.loads(ask("api/kernelspecs"))["default"]
        for notebook in sorted(ready.path.glob("notebooks/*.ipynb")):
            path = notebook.relative_to(ready.path).as_posix()
            assert "<title>JupyterLab</title>" in ask(f"lab/tree/{path}")
            content = json.loads(ask(f"api/contents/{path}"))["content"]
            assert content["metadata"]["kernelspec"]["name"] == kernel
            wanted = {"name": "", "path": path, "type": "notebook", "kernel": {"name": kernel}}
            session = json.loads(ask("api/sessions", wanted))
            connection = tmp_path / "runtime" / f"kernel-{session['kernel']['id']}.json"
            answer = ready.run(environment / "bin" / "python", "-c", ASK, connection)
            assert answer.stdout.strip() == str(environment), answer.stderr
    assert ready.run("git", "status", "--porcelain").stdout == ""
