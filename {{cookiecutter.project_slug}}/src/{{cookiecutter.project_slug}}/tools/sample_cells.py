"""Remove the notebooks' cells that are about the sample table.

They state what was found in the sample, and name its columns. The cells around them
follow schema.yaml, and run on any table.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from ..feature_engineering import usable_features
from ..schema import Column
from ..utils import write_atomically


def leave_sample(root: Path, columns: Iterable[Column]) -> list[str]:
    """Remove the cells about the sample table, now that the table has other columns.

    Returns lines to print: what was removed, and which features are still computed.
    """
    removed = sum(map(remove_sample_cells, root.glob("notebooks/*.ipynb")))
    cells = f"notebooks/: removed {removed} cells about the sample; git keeps them"
    features = [
        f"feature_engineering.py: {each.name} uses your column(s) "
        f"{', '.join(each.columns)}; delete it if it is not meant for them"
        for each in usable_features(columns)
    ]
    return [cells, *features] if removed else features


def remove_sample_cells(path: Path) -> int:
    """Remove the cells tagged `sample` from a notebook, and count them."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        others = [
            cell
            for cell in notebook["cells"]
            if "sample" not in cell["metadata"].get("tags", [])
        ]
    except (ValueError, KeyError, TypeError):  # a merge conflict, say
        return 0
    removed = len(notebook["cells"]) - len(others)
    if removed:
        text = json.dumps(notebook | {"cells": others}, indent=1, ensure_ascii=False)
        with write_atomically(path) as file:
            file.write_text(text + "\n", encoding="utf-8", newline="\n")
    return removed
