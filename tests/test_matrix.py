"""Every Python, every way to install, the oldest and the newest packages, every license."""

import json
import re
import shutil
import subprocess
import tomllib
import warnings

import pytest
from conftest import TEMPLATE
from packaging.version import Version
from test_readme import block, shell

PYTHONS = ["3.11", "3.12", "3.13"]
# pip has no option for the lowest versions: it installs the pins, as docs/workflow.md shows.
WAYS = {"pip-pinned": None, "uv-lowest": "lowest-direct", "uv-newest": "highest"}
QUESTIONS = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
LICENSES = QUESTIONS["license"]


def combine():
    """Let each two values of Python, way and license meet: twelve of the thirty-six do."""
    for shift, license_name in enumerate(LICENSES):
        for number, python in enumerate(PYTHONS):
            yield python, list(WAYS)[(number + shift) % len(WAYS)], license_name


def find_pythons():
    """Return where each Python is that this machine has, and warn of those it has not."""
    found = {}
    for version in PYTHONS:
        command = ["uv", "python", "find", "--no-project", "--no-python-downloads", version]
        result = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
        if result.returncode == 0:
            found[version] = result.stdout.strip()
        else:
            warnings.warn(f"not tested, as it is not installed: Python {version}", stacklevel=1)
    return found


INSTALLED = find_pythons()
COMBINATIONS = [each for each in combine() if each[0] in INSTALLED]


def write_script(project, python, way):
    """Return what is pasted to install, run, train and test a project with an interpreter."""
    if way == "pip-pinned":
        script = block(project.path / "docs" / "workflow.md", "requirements.txt\npip")
        return script.replace("python3", INSTALLED[python])
    sync = f"uv sync -q --python {INSTALLED[python]} --resolution {WAYS[way]}"
    return f"{sync}\n. .venv/bin/activate\npython pipeline.py\ntrain\npytest\n"


def read_pandas(project):
    """Return the lowest version of pandas that the project allows, and the pinned one."""
    text = (project.path / "pyproject.toml").read_text(encoding="utf-8")
    pins = (project.path / "requirements.txt").read_text(encoding="utf-8")
    lowest = re.search(r'"pandas>=([\d.]+)', text)[1]
    return Version(lowest), Version(re.search(r"^pandas==([\d.]+)", pins, re.MULTILINE)[1])


def test_each_two_values_meet():
    rows = list(combine())
    for one, other in ((0, 1), (0, 2), (1, 2)):
        values = [{row[place] for row in rows} for place in (one, other)]
        met = {(row[one], row[other]) for row in rows}
        assert len(met) == len(values[0]) * len(values[1])
    content = (TEMPLATE / "{{cookiecutter.project_slug}}" / "pyproject.toml").read_text("utf-8")
    (allowed,) = re.findall(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', content)
    assert PYTHONS == [f"3.{minor}" for minor in range(*map(int, allowed))]
    assert INSTALLED


@pytest.mark.slow
@pytest.mark.parametrize(("python", "way", "license_name"), COMBINATIONS)
def test_it_installs_runs_trains_and_passes_its_tests(bake, monkeypatch, python, way, license_name):
    project = bake(license=license_name)
    script = write_script(project, python, way)
    if license_name == LICENSES[-1]:  # it meets the same Pythons and ways as the first one
        script = script.removesuffix("pytest\n")
    elif way == "uv-lowest":  # not mypy: what NumPy says of its types differs by version
        script += "ruff check\n"
    if way == "pip-pinned":
        monkeypatch.setenv("PATH", "/usr/bin:/bin")  # no uv
        monkeypatch.setenv("PIP_NO_COMPILE", "1")  # of all packages, which takes half a minute
    shell(script, project.path)

    own = project.path / ".venv" / "bin" / "python"
    show = "import sys, pandas; print(sys.version_info[:2], pandas.__version__)"
    version, _, pandas = project.run(own, "-c", show).stdout.strip().rpartition(" ")
    assert version == str(tuple(map(int, python.split("."))))
    lowest, pinned = read_pandas(project)
    found = Version(pandas)
    assert found == {"pip-pinned": pinned, "uv-lowest": lowest}.get(way, max(found, pinned))
    assert (project.path / "models" / "model.onnx").exists()
    about = tomllib.loads((project.path / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert about["license"].removeprefix("LicenseRef-") == license_name
    assert shell("git status --porcelain", project.path).stdout == ""
    shutil.rmtree(project.path / ".venv")  # pip's is a gigabyte of its own


@pytest.mark.slow
def test_pinning_again_changes_nothing(bake):
    project = bake()
    file = project.path / "requirements.txt"
    before = file.read_text(encoding="utf-8")
    page = (project.path / "docs" / "how-to.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^uv pip compile .*$", page, re.MULTILINE)
    result = project.run(*command.split())
    assert result.returncode == 0, result.stderr
    assert file.read_text(encoding="utf-8") == before, f"pyproject.toml has changed: {command}"
