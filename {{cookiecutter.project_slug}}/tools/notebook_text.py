"""Show a notebook as a script, for `git diff`.

Git calls it for each version of each notebook, so it imports no notebook library: it takes a
thirtieth of their time. What is no notebook, such as one with the marks of a merge, is shown as
it is: if this failed, `git diff` would fail.
"""

import json
import sys
from pathlib import Path
from typing import Any


def notebook_text(text: str) -> str:
    """Return the cells of a notebook as a script with `# %%` before each; else the text itself."""
    try:
        notebook = json.loads(text)
        cells = [cell_text(cell) for cell in notebook["cells"]]
        about = json.dumps(notebook["metadata"], sort_keys=True)
    except (AttributeError, KeyError, TypeError, ValueError):
        return text
    return "\n\n".join([*cells, f"# metadata: {about}\n"])


def cell_text(cell: dict[str, Any]) -> str:
    """Return a cell with its kind and its metadata in the line above; text becomes comments."""
    kind, source = cell["cell_type"], "".join(cell["source"])
    about = [json.dumps(cell["metadata"], sort_keys=True)] if cell["metadata"] else []
    if kind != "code":
        source = "\n".join(f"# {line}".rstrip() for line in source.split("\n"))
    head = ["# %%"] if kind == "code" else [f"# %% [{kind}]"]
    return " ".join([*head, *about]) + f"\n{source}"


def main() -> None:
    """Show the notebook that git names."""
    text = notebook_text(Path(sys.argv[1]).read_text(encoding="utf-8", errors="replace"))
    sys.stdout.buffer.write(text.encode())


if __name__ == "__main__":
    main()
