"""What a team does not need is deleted, and the rest is whole."""

import shutil

import pytest
from conftest import Project

pytestmark = pytest.mark.slow

PARTS = ["notebooks", "Dockerfile", "docs", "app.py", "src/customer_churn/service"]
PARTS += ["tests/test_app.py"]


@pytest.fixture
def copy(ready, tmp_path):
    """A copy of the installed project, and its interpreter."""
    ignored = shutil.ignore_patterns(".venv", ".git")
    folder = shutil.copytree(ready.path, tmp_path / "project", ignore=ignored)
    return Project(folder), ready.path / ".venv" / "bin" / "python"


def delete(project, names):
    """Delete files and folders of a project."""
    for name in names:
        path = project.path / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_the_rest_passes_its_tests(copy):
    project, python = copy
    delete(project, PARTS)
    for command in (["ruff", "check"], ["ruff", "format", "--check"], ["mypy"], ["pytest", "-q"]):
        result = project.run(python, "-m", *command)
        assert result.returncode == 0, result.stdout[-5000:] + result.stderr[-5000:]


def test_a_report_of_no_notebooks_says_so_in_one_line(copy):
    project, python = copy
    delete(project, ["notebooks"])
    result = project.run(python, "-c", "from customer_churn.tools.report import main; main()")
    assert result.returncode == 2
    assert result.stderr.startswith("error: no notebook in ")
    assert len(result.stderr.splitlines()) == 1
