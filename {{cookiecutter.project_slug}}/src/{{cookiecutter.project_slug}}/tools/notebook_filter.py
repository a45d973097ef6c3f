"""Show notebooks to git: without outputs in a commit, as a script in a diff.

Git runs this file, as setup_clone.py sets it: `clean` when a notebook is added, `show`
in a diff. It imports nothing of the project, so it still runs in a folder that moved.
"""

import json
import sys
from pathlib import Path

KERNEL = {
    "display_name": "Python 3 (ipykernel)",
    "language": "python",
    "name": "python3",
}
# What editors add: it differs between two machines, and conflicts in a merge.
ADDED = (
    "metadata.language_info metadata.vscode metadata.widgets cell.metadata.collapsed"
    " cell.metadata.execution cell.metadata.scrolled cell.metadata.vscode"
)


def clean(text: str) -> str:
    """Return a notebook without outputs and without what editors add."""
    from nbformat import from_dict  # imported here, because it takes half a second
    from nbstripout import strip_output

    if not text.strip():
        return text  # an editor has just created it

    notebook = from_dict(json.loads(text))
    strip_output(notebook, False, False, keep_id=True, extra_keys=ADDED.split())
    notebook.metadata.kernelspec = KERNEL

    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def split_cells(text: str) -> list[str]:
    """Return the cells of a notebook as parts of a script; another text as one part."""
    try:
        cells = json.loads(text)["cells"]
    except (KeyError, TypeError, ValueError):
        return [text]

    parts = []
    for cell in cells:
        tags = " ".join(["# %%", cell["cell_type"], *cell["metadata"].get("tags", [])])
        parts.append(f"{tags}\n{''.join(cell['source'])}\n")

    return parts


if __name__ == "__main__":
    if sys.argv[1] == "clean":
        written = clean(sys.stdin.buffer.read().decode())
    else:
        notebook = Path(sys.argv[2]).read_text(encoding="utf-8", errors="replace")
        written = "\n".join(split_cells(notebook))
    sys.stdout.buffer.write(written.encode())
