"""Bake the template, then do with the project what its README says."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from cookiecutter.main import cookiecutter

TEMPLATE = Path(__file__).resolve().parent.parent
PATIENCE = 60  # seconds: what has not come by then, also on a busy machine, does not come
sys.path.append(str(TEMPLATE))  # for `hooks.answers`, as cookiecutter does it


@dataclass(frozen=True)
class Project:
    """A baked project, and a way to run commands in it."""

    path: Path

    def run(self, *command, **options):
        """Run a command in the project's folder, and keep what it says."""
        return subprocess.run(
            command, cwd=self.path, capture_output=True, encoding="utf-8", check=False, **options
        )


@dataclass(frozen=True)
class Night(Project):
    """A project, and a way to run its pipeline."""

    python: Path

    def go(self, *options, **more):
        """Run the pipeline."""
        return self.run(self.python, "pipeline.py", *options, **more)

    def start(self, *command, **options):
        """Start a process of the project's Python."""
        return subprocess.Popen([self.python, *command], cwd=self.path, text=True, **options)

    def refused(self, *options):
        """Run the pipeline, which fails in one line and leaves the old output; return the line."""
        before = snapshot(self.path / "data" / "processed")
        result = self.go(*options)
        assert result.returncode == 2, result.stdout + result.stderr
        assert "Traceback" not in result.stdout + result.stderr
        (line,) = (line for line in result.stderr.splitlines() if line.startswith("error: "))
        assert line == result.stderr.splitlines()[-1]
        assert snapshot(self.path / "data" / "processed") == before
        return line.removeprefix("error: ")

    def records(self):
        """Return the record of each run."""
        lines = (self.path / "logs" / "pipeline.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def change_sample(self, change):
        """Change the lines of the sample table."""
        file = self.path / "data" / "raw" / "customers.csv"
        lines = change(file.read_text(encoding="utf-8").splitlines())
        file.write_text("\n".join([*lines, ""]), encoding="utf-8")


def snapshot(folder):
    """Return the content of all files, without what Python caches."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in files if "__pycache__" not in path.parts}


def pytest_collection_modifyitems(items):
    """Run the quick tests first: a broken bake fails in seconds."""
    items.sort(key=lambda item: [bool(item.get_closest_marker(m)) for m in ("slowest", "slow")])


@pytest.fixture(scope="session", autouse=True)
def environment():
    """Let every test see the same variables, whatever the machine sets."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("GIT_"):
                patch.delenv(name)
        for name in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE"):
            patch.delenv(name, raising=False)
        patch.setenv("UV_PYTHON_DOWNLOADS", "never")
        # On a busy machine, training on small tables is several times as fast with one thread.
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        for who in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{who}_NAME", "Ada Lovelace")
            patch.setenv(f"GIT_{who}_EMAIL", "ada@example.com")
        yield


@pytest.fixture(scope="session")
def bake(tmp_path_factory):
    """Make a project from the template: `bake(project_name="Customer Churn")`."""

    def make(into=None, **answers):
        folder = cookiecutter(
            str(TEMPLATE),
            no_input=True,
            default_config=True,
            extra_context=answers,
            output_dir=str(into or tmp_path_factory.mktemp("bake")),
        )
        return Project(Path(folder))

    return make


def install(project):
    """Install a project, and commit what was installed as its README says; return it."""
    result = project.run("uv", "sync", "--quiet")
    assert result.returncode == 0, result.stderr
    return lock(project)


def lock(project):
    """Commit the lock file as the README says; return the project."""
    readme = (project.path / "README.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```sh\n(uv export.*?)```", readme, re.DOTALL)
    result = project.run("sh", "-ec", script)
    assert result.returncode == 0, result.stdout + result.stderr
    return project


@pytest.fixture(scope="session")
def ready(bake):
    """A project with the default answers, installed; a test leaves it as it found it."""
    return install(bake())


@pytest.fixture(scope="session")
def ran(ready, tmp_path_factory):
    """A copy of the project in which the pipeline ran once, and the project's interpreter."""
    folder = tmp_path_factory.mktemp("ran") / "project"
    ignored = shutil.ignore_patterns(".venv", ".git", "logs", "processed", "rejected")
    shutil.copytree(ready.path, folder, ignore=ignored)
    (python,) = [*ready.path.glob(".venv/bin/python"), *ready.path.glob(".venv/Scripts/python.exe")]
    project = Night(folder, python)
    result = project.go()
    assert result.returncode == 0, result.stderr
    return project


@pytest.fixture
def night(ran, tmp_path):
    """A copy of it for one test."""
    return Night(Path(shutil.copytree(ran.path, tmp_path / "project")), ran.python)


@pytest.fixture
def trained(night):
    """The same, with a trained model."""
    result = night.run(night.python.with_name("train"))
    assert result.returncode == 0, result.stderr
    return night
