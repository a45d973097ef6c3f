"""The sample table and its README are what scripts/make_customers.py makes of them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "scripts" / "make_customers.py"
DATA = ROOT / "{{cookiecutter.project_slug}}" / "data"
README = (DATA.parent / "docs" / "own-table.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The table made afresh, and the figures the script prints."""
    path = tmp_path_factory.mktemp("made") / "customers.csv"
    command = [sys.executable, str(SCRIPT), str(path)]
    run = subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8")
    return path, dict(line.split(": ") for line in run.stdout.splitlines())


def test_script_reproduces_the_table_byte_for_byte(made: tuple[Path, dict[str, str]]) -> None:
    path, _ = made
    assert path.read_bytes() == (DATA / "raw" / "customers.csv").read_bytes()


def test_readme_states_the_figures_the_script_prints(made: tuple[Path, dict[str, str]]) -> None:
    _, figures = made
    stated = dict(re.findall(r"^\| ([A-Z][\w ]+?) +\| +([\d.]+) +\|", README, re.MULTILINE))
    assert stated == figures


def test_readme_states_the_churn_model_of_the_script() -> None:
    indented = r"^    score = .*(?:\n {12}.*)+"
    formulas = [
        re.search(indented, text, re.MULTILINE)
        for text in (README, SCRIPT.read_text(encoding="utf-8"))
    ]
    assert all(formulas)
    assert formulas[0].group() == formulas[1].group()


def test_readme_renders_as_it_is() -> None:
    assert not re.search(r"\{\{|\{%|\{#", README)
