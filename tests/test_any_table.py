"""Any table becomes the project's own in one command, from its file to an answer over HTTP."""

import csv
import json
import os
import random
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest
from conftest import PATIENCE
from test_serving import free_port, wait_until_it_answers

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent / "in_project"
# Nothing of this template's pytest, nor of what a team adds to its own.
ALONE = ("pytest", "-c", "pyproject.toml", "-o", "addopts=", "-p", "no:cacheprovider")


@pytest.fixture(scope="module")
def project(bake):
    """A project that one table after the other is made its own."""
    return bake()


def test_every_module_in_full(ready):
    """The project's own tests are the short form of these, and lend them what they share."""
    result = ready.run(
        *("uv", "run", "python", "-m", *ALONE, "-p", "conftest"),
        *("--confcutdir", HERE / "modules", "-q", "--tb=short", HERE / "modules"),
        env=os.environ | {"PYTHONPATH": str(ready.path / "tests")},
    )
    assert result.returncode == 0, result.stdout[-10_000:] + result.stderr[-2_000:]


@pytest.mark.parametrize("file", sorted(HERE.glob("test_*.py")), ids=lambda file: file.stem)
def test_inside_a_project(ready, file, capsys):
    result = ready.run(
        *("uv", "run", "--with", "hypothesis", "python", "-m", *ALONE),
        *("--confcutdir", HERE, "-q", "-s", "--tb=short", file),
    )
    assert result.returncode == 0, result.stdout[-10_000:] + result.stderr[-2_000:]
    with capsys.disabled():
        print("", *(line for line in result.stdout.splitlines() if line[:1] == "|"), sep="\n")


@pytest.mark.parametrize("table", ["wine", "diabetes", "digits"])
def test_the_notebooks_run_on_a_public_table(project, table):
    drawn = os.environ | {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    path = f"data/raw/{table}.csv"
    load = f"from sklearn.datasets import load_{table} as load; frame = load(as_frame=True).frame"
    for command in (
        ("python", "-c", f"{load}; frame.to_csv('{path}', index=False)"),
        ("infer-schema", path, "--target", "target", "--force"),
        ("pytest", "-q", "tests/test_notebooks.py", "-k", "top_to_bottom"),
    ):
        result = project.run("uv", "run", *command, env=drawn)
        assert result.returncode == 0, result.stdout[-5000:] + result.stderr[-2000:]


def write_odd_table(path, target, of_numbers):
    """Write a small table with odd names, whose target follows its columns."""
    draw = random.Random(0)
    header = ["features", "Total Charges", "größe", "a.b [%]", "2020", "null", "yes", "def", target]
    rows = []
    for number in range(300):
        charges, size = draw.uniform(0, 9000), draw.choice(["klein", "Groß"])
        score = charges / 1000 + 4 * (size == "Groß") + draw.gauss(0, 1)
        day = f"{draw.randrange(1, 13)}/{draw.randrange(1, 29)}/20{draw.randrange(10, 26)}"
        cells = [f"k{number}", f"${charges:,.2f}", size, f"{number % 7}%", day, draw.choice("yn")]
        cells += [draw.choice(["some, or", "none"]), draw.randrange(9)]
        cells = ["N/A" if draw.random() < 0.05 else cell for cell in cells]
        rows.append([*cells, f"{score:.2f}" if of_numbers else ["low", "High"][score > 6.5]])
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([header, *rows])


@pytest.fixture
def serve():
    """Start a project's server, and stop it at the end."""
    started = []

    def serve(project):
        port = free_port()
        command = ["uv", "run", "app.py", "--port", str(port)]
        started.append(subprocess.Popen(command, cwd=project.path, start_new_session=True))
        wait_until_it_answers(started[-1], port)
        return f"http://127.0.0.1:{port}/predict"

    yield serve
    for process in started:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=PATIENCE)


@pytest.mark.parametrize(("target", "of_numbers"), [("class", False), ("price in €", True)])
def test_the_whole_project_works_on_an_odd_table(bake, serve, target, of_numbers):
    project = bake()
    write_odd_table(project.path / "data" / "raw" / "odd table.csv", target, of_numbers)
    for command in (
        ("infer-schema", "data/raw/odd table.csv", "--target", target, "--exclude", "def"),
        ("pipeline.py",),
        ("train",),
    ):
        result = project.run("uv", "run", *command)
        assert result.returncode == 0, result.stdout + result.stderr
        assert "Warning" not in result.stderr

    row = {"Total Charges": 8000, "größe": "groß", "a.b [%]": 3, "2020": "2020-02-29", "yes": None}
    body = json.dumps({"features": row}).encode()
    request = urllib.request.Request(serve(project), body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        found = json.load(answer)["prediction"]
    assert found == pytest.approx(12, abs=2) if of_numbers else found == "High"

    result = project.run("uv", "run", "pytest", "-q", "-p", "no:cacheprovider")
    assert result.returncode == 0, result.stdout[-10_000:] + result.stderr[-2_000:]
    status = project.run("git", "status", "--porcelain", "-uall").stdout.splitlines()
    assert {line.strip() for line in status} == {
        "?? config.old-1.yaml",
        "?? schema.old-1.yaml",
        "?? uv.lock",
        "M config.yaml",
        "M notebooks/01_data_exploration.ipynb",
        "M notebooks/02_feature_engineering.ipynb",
        "M notebooks/03_model_prototyping.ipynb",
        "M schema.yaml",
    }


def test_its_own_tests_pass_on_a_table_whose_model_is_not_promoted(project):
    draw = random.Random(0)
    lines = [f"{draw.random():.3f},{draw.choice('ab')}" for _ in range(50)]
    file = project.path / "data" / "raw" / "noise.csv"
    file.write_text("\n".join(["x,y", *lines]), encoding="utf-8")
    for command in (
        ("infer-schema", "data/raw/noise.csv", "--target", "y", "--force"),
        ("pytest", "-q", "-p", "no:cacheprovider", "tests/test_app.py"),
    ):
        result = project.run("uv", "run", *command)
        assert result.returncode == 0, result.stdout[-5000:] + result.stderr[-2000:]
