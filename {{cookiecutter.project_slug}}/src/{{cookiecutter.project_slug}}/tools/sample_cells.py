"""Remove the notebooks' cells that are about the sample table.

They state what was found in the sample, and name its columns. The cells around them
follow schema.yaml, and run on any table.
"""

import json
from pathlib import Path

from ..utils import write_atomically

TAG = "sample"


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
