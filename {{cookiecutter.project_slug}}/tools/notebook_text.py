"""Show a notebook as a script, for `git diff`.

Git calls it for each version of each notebook, so it imports no notebook library: it takes a
thirtieth of their time. What is no notebook, such as one with the marks of a merge, is shown as
it is: if this failed, `git diff` would fail.
"""

import json
import sys
from pathlib import Path
from typing import Any

# What a run writes beside the outputs.
NOISE = {"collapsed", "execution", "language_info", "scrolled"}


def notebook_text(text: str) -> str:
    """Return the cells of a notebook as a script with `# %%` before each; else the text itself."""
    try:
        notebook = json.loads(text)
        cells = [cell_text(cell) for cell in notebook["cells"]]
        about = metadata_text(notebook)
    except (AttributeError, KeyError, TypeError, ValueError):
        return text
    return "\n\n".join([*cells, f"# metadata: {about}\n"])


def cell_text(cell: dict[str, Any]) -> str:
    """Return a cell with its kind and its metadata in the line above; text becomes comments."""
    kind, source = cell["cell_type"], "".join(cell["source"])
    about = metadata_text(cell)
    if kind != "code":
        source = "\n".join(f"# {line}".rstrip() for line in source.split("\n"))
    head = ["# %%"] if kind == "code" else [f"# %% [{kind}]"]
    return " ".join([*head, *([about] if about != "{}" else [])]) + f"\n{source}"


def metadata_text(part: dict[str, Any]) -> str:
    """Return the metadata of a cell or a notebook as JSON, without those of a run."""
    kept = {name: value for name, value in part["metadata"].items() if name not in NOISE}
    return json.dumps(kept, sort_keys=True)


def main() -> None:
    """Show the notebook that git names."""
    text = notebook_text(Path(sys.argv[1]).read_text(encoding="utf-8", errors="replace"))
    sys.stdout.buffer.write(text.encode())


if __name__ == "__main__":
    main()
