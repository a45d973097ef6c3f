"""The notebooks lose what is about the sample table; the table loads anywhere."""

import json
import shutil

import pandas as pd
import pytest
from conftest import ROOT, make_lines, make_project, write_raw
from customer_churn import load_raw, load_table
from customer_churn.schema import Column
from customer_churn.tools.table_files import leave_sample


def read_cells(folder):
    """Return the cells of all notebooks in a folder."""
    return [
        cell
        for path in sorted(folder.glob("*.ipynb"))
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
    ]


def test_only_cells_with_the_tag_are_removed(tmp_path):
    folder = tmp_path / "notebooks"
    shutil.copytree(ROOT / "notebooks", folder)
    (folder / "broken.ipynb").write_text("<<<<<<< HEAD", encoding="utf-8")
    before = read_cells(ROOT / "notebooks")
    others = [cell for cell in before if "sample" not in cell["metadata"].get("tags", [])]
    assert len(leave_sample(tmp_path, [Column("x", "number")])) == 3
    assert (folder / "broken.ipynb").read_text(encoding="utf-8") == "<<<<<<< HEAD"
    (folder / "broken.ipynb").unlink()
    assert read_cells(folder) == others
    text = json.dumps(others)
    columns = ["monthly_charge", "contract_type", "churned", "support_calls"]
    assert [name for name in columns if name in text] == []
    assert leave_sample(tmp_path, [Column("x", "number")]) == []


def test_features_of_the_sample_that_apply_to_another_table_are_named(tmp_path):
    (line,) = leave_sample(tmp_path, [Column("age", "number"), Column("x", "number")])
    assert "young_or_old uses your column(s) age" in line


@pytest.mark.parametrize("folder", [".", "notebooks/deep"])
def test_the_table_loads_anywhere_and_before_the_pipeline_ran(tmp_path, monkeypatch, folder):
    config = make_project(tmp_path)
    write_raw(config, [*make_lines(20), "k0,1,1,Small,yes,2020-01-01,won"])
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(tmp_path / folder)
    raw, table = load_raw(), load_table()
    assert len(raw) == 21
    assert len(table) == 20
    assert raw.loc[table.index, "id"].tolist() == table["id"].tolist()
    assert pd.api.types.is_float_dtype(table["Total Charges"])
    assert not config.paths.processed.exists()
