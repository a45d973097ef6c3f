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

TAG = "sample"


def leave_sample(root: Path, columns: Iterable[Column]) -> list[str]:
    """Remove the cells about the sample table, now that the table has other columns.

    Returns lines to print: what was removed, and which features are still computed.
    """
    lines = []
    removed = remove_sample_cells(root / "notebooks")
    if removed:
        lines.append(
            f"notebooks/: removed {removed} cells about the sample; git keeps them"
        )
    for each in usable_features(columns):
        names = ", ".join(each.columns)
        lines.append(
            f"feature_engineering.py: {each.name} uses your column(s) {names}; delete "
            "it if it is not meant for them"
        )
    return lines


def remove_sample_cells(folder: Path) -> int:
    """Remove all cells tagged `sample` from the notebooks in a folder.

    Returns how many cells were removed. Files that are not notebooks stay as they are.
    """
    removed = 0
    for path in sorted(folder.glob("*.ipynb")):
        try:
            notebook = json.loads(path.read_text(encoding="utf-8"))
            cells = notebook["cells"]
        except (ValueError, KeyError, TypeError):  # a merge conflict, say
            continue

        notebook["cells"] = [cell for cell in cells if not _is_tagged(cell)]
        count = len(cells) - len(notebook["cells"])
        if count:
            text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
            with write_atomically(path) as file:
                file.write_text(text, encoding="utf-8", newline="\n")
        removed += count
    return removed


def _is_tagged(cell: dict) -> bool:
    """Whether a cell is about the sample table."""
    return TAG in cell.get("metadata", {}).get("tags", [])
