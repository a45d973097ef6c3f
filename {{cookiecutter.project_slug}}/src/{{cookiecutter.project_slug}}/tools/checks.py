"""Look for the pitfalls of notebooks and scripts; git runs this before each commit.

The limits are in pyproject.toml, `tool.checks`. A notebook with many cells only gives a
warning. A line that contains `noqa` may name any path.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from .notebook_filter import split_cells
from .setup_clone import ROOT

# A path that only one machine has, in a line without `noqa`.
ABSOLUTE_PATH = re.compile(
    r"^(?!.*noqa).*?(?<![\w.:/\\)}])(/(?:Applications|Users|Volumes|content|data|home"
    r"|media|mnt|opt|private|root|srv|tmp|usr|var)/|[A-Z]:[\\/](?!/)|~/|\\\\\w)",
    re.MULTILINE,
)


def find_outputs() -> list[str]:
    """Return a line for each notebook of which git holds outputs."""
    pattern = '"execution_count": *[0-9]'
    command = ["git", "grep", "--cached", "-lE", pattern, "*.ipynb"]
    found = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, encoding="utf-8")
    remedy = "outputs in git; run: uv run setup-clone, then: git add --renormalize ."

    return [f"{name}: {remedy}" for name in found.stdout.splitlines()]


def check_notebook(path: Path, most_cells: int) -> Iterator[str]:
    """Find paths that only one machine has; warn of too many cells."""
    cells = split_cells(path.read_text(encoding="utf-8"))
    if len(cells) > most_cells:
        print(f"warning: {path}: {len(cells)} cells, over {most_cells}; split it")

    for number, cell in enumerate(cells, start=1):
        for found in ABSOLUTE_PATH.findall(cell):
            place = f"{path}, cell {number}: {found}"
            yield f"{place} exists on one machine only; use a relative path"


def check_file(path: Path, limits: dict) -> Iterator[str]:
    """Find a file that is too long or too large for git."""
    content = path.read_bytes()
    lines = content.count(b"\n")
    most_lines = limits["module_lines"]
    if path.suffix == ".ipynb":
        yield from check_notebook(path, limits["cells"])
    if path.suffix == ".py" and "tests" not in path.parts and lines > most_lines:
        yield f"{path}: {lines} lines, over {most_lines}; split it"
    if len(content) > limits["file_bytes"]:
        yield f"{path}: too large for git; keep it in data/raw/ (SECURITY.md, Data)"


def main() -> None:
    """Check the files that are named; exit with code 1 if one must not be committed."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found = find_outputs()
    for name in sys.argv[1:]:
        found += check_file(Path(name), settings["tool"]["checks"])

    sys.exit("\n".join(found) or None)


if __name__ == "__main__":
    main()
