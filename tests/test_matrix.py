"""Every Python, every way to install, the oldest and the newest packages, every license."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import tomllib
from pathlib import Path

import pytest
from conftest import TEMPLATE
from packaging.requirements import Requirement
from packaging.version import Version
from test_readme import block, shell

# A Python, a way to install, and a license: each Python once, each way with another one. pip
# has no option for the lowest versions: it installs the pins, as docs/workflow.md shows.
WAYS = {"pip-pinned": None, "uv-lowest": "lowest-direct", "uv-newest": "highest"}
QUESTIONS = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
LICENSES = QUESTIONS["license"]
ROWS = [
    ("3.11", "uv-lowest", LICENSES[0]),
    ("3.12", "uv-newest", LICENSES[1]),
    ("3.13", "pip-pinned", LICENSES[2]),
    ("3.14", "uv-newest", LICENSES[3]),
]
PYTHONS = [python for python, _, _ in ROWS]


def find_pythons():
    """Return where each Python is that this machine has."""
    found = {}
    for version in PYTHONS:
        command = ["uv", "python", "find", "--no-project", "--no-python-downloads", version]
        result = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
        if result.returncode == 0:
            found[version] = result.stdout.strip()
    return found


INSTALLED = find_pythons()
DEBIAN = Path(tempfile.gettempdir()) / "debian-unstable"  # with the newest Python


def write_script(project, python, way):
    """Return what is pasted to install, run, train and test a project with an interpreter."""
    if way == "pip-pinned":
        script = block(project.path / "docs" / "workflow.md", "requirements.txt\npip")
        return script.replace("python3", INSTALLED[python])
    sync = f"uv sync -q --python {INSTALLED[python]} --resolution {WAYS[way]}"
    # 3.11, 3.13 and 3.14 run all tests, each with other packages; 3.12 those of the service.
    tests = "tests/test_app.py" if way == "uv-newest" else "tests"
    return f"{sync}\n. .venv/bin/activate\npython pipeline.py\ntrain\npytest {tests}\n"


def read_pandas(project):
    """Return the lowest version of pandas that the project allows, and the pinned one."""
    text = (project.path / "pyproject.toml").read_text(encoding="utf-8")
    pins = (project.path / "requirements.txt").read_text(encoding="utf-8")
    lowest = re.search(r'"pandas>=([\d.]+)', text)[1]
    return Version(lowest), Version(re.search(r"^pandas==([\d.]+)", pins, re.MULTILINE)[1])


def test_every_way_and_every_license_is_tried():
    assert {way for _, way, _ in ROWS} == set(WAYS)
    assert {license_name for _, _, license_name in ROWS} == set(LICENSES)
    content = (TEMPLATE / "{{cookiecutter.project_slug}}" / "pyproject.toml").read_text("utf-8")
    (lowest,) = re.findall(r'requires-python = ">=(3\.\d+)"', content)
    assert lowest == PYTHONS[0]
    assert INSTALLED


@pytest.mark.slow
@pytest.mark.parametrize(("python", "way", "license_name"), ROWS[:3])
def test_it_installs_runs_trains_and_passes_its_tests(bake, monkeypatch, python, way, license_name):
    if python not in INSTALLED:
        pytest.skip(f"not tested, as it is not installed: Python {python}")
    project = bake(license=license_name)
    script = write_script(project, python, way)
    if way == "uv-lowest":  # not mypy: what NumPy says of its types differs by version
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
    status = shell("git status --porcelain", project.path).stdout
    assert status == ("" if way == "pip-pinned" else "?? uv.lock\n")
    shutil.rmtree(project.path / ".venv")  # pip's is a gigabyte of its own


@pytest.fixture(scope="module")
def debian():
    """Debian's unstable suite in a folder, which has the newest Python; made once."""
    python = ROWS[-1][0]
    if not (DEBIAN / "usr" / "bin" / f"python{python}").exists():
        sources = [*Path("/etc/apt").glob("sources.list*"), *Path("/etc/apt").glob("*/*.sources")]
        text = "".join(file.read_text("utf-8") for file in sources if file.is_file())
        mirrors = re.findall(r"^(?:URIs:|deb) +(https?://\S+)", text, re.MULTILINE)
        packages = f"--include=python{python}-venv,ca-certificates,git"
        command = ["debootstrap", "--variant=minbase", packages, "sid", str(DEBIAN), *mirrors[:1]]
        if not shutil.which("debootstrap") or subprocess.run(command, check=False).returncode:
            pytest.skip(f"not tested: Python {python}, since debootstrap can't install it")
    return DEBIAN


@pytest.mark.slow
def test_the_newest_python_runs_the_project(bake, debian):
    project = bake(license=ROWS[-1][2])
    inside = debian / "project"
    shutil.rmtree(inside, ignore_errors=True)
    shutil.copytree(project.path, inside)
    shutil.copy(shutil.which("uv"), debian / "usr" / "bin" / "uv")
    for name in ("/etc/resolv.conf", os.environ.get("SSL_CERT_FILE", "")):
        if name and Path(name).exists():
            (debian / name[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(name, debian / name[1:])
    script = f"""
        mount --bind /proc {debian}/proc && mount --bind /dev {debian}/dev
        exec chroot {debian} sh -ec '
            cd /project
            uv sync -q --python python{ROWS[-1][0]}
            uv run -q pipeline.py
            uv run -q train
            uv run -q pytest -q
            uv run -q python -V
        '"""
    result = project.run("unshare", "--mount", "sh", "-ec", script)
    assert result.returncode == 0, result.stdout[-5000:] + result.stderr[-5000:]
    assert result.stdout.splitlines()[-1].startswith(f"Python {ROWS[-1][0]}.")
    shutil.rmtree(inside)


def test_each_dependency_has_its_pin(bake):
    project = bake()
    about = tomllib.loads((project.path / "pyproject.toml").read_text(encoding="utf-8"))
    pins = (project.path / "requirements.txt").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([\w.-]+)(?:\[.*\])?==([\w.]+)", pins, re.MULTILINE))
    for text in (*about["project"]["dependencies"], *about["dependency-groups"]["dev"]):
        requirement = Requirement(text)
        assert requirement.specifier.contains(pinned[requirement.name.replace(".", "-").lower()]), (
            text
        )
