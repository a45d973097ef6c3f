"""Bake the template, then do with the project what its README says."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from cookiecutter.main import cookiecutter

TEMPLATE = Path(__file__).resolve().parent.parent
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


@pytest.fixture(scope="session")
def ready(bake):
    """A project with the default answers, installed; a test leaves it as it found it."""
    project = bake()
    result = project.run("uv", "sync", "--quiet")
    assert result.returncode == 0, result.stderr
    return project
