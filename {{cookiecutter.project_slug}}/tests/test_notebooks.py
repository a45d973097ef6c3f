"""Every notebook runs from top to bottom, those that a team adds too."""

from pathlib import Path

import pytest
from conftest import ROOT

from tools.checks import find_notebooks
from tools.notebooks import run_notebook


@pytest.mark.parametrize("notebook", find_notebooks(ROOT), ids=lambda notebook: notebook.stem)
def test_a_notebook_runs_from_top_to_bottom(notebook: Path, tmp_path: Path) -> None:
    run_notebook(notebook, tmp_path / "run.ipynb", {})
