"""Look for the pitfalls of notebooks and scripts; git runs this before each commit.

The limits are in pyproject.toml, `tool.checks`. A notebook with many cells only gives a
warning. A line that contains `noqa` may name any path.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from .notebook_filter import split_cells
from .setup_clone import ROOT

EXPORT = "uv export --locked --quiet --no-emit-project --no-header --no-annotate"
LOCKED = ("pyproject.toml", "uv.lock", "requirements.txt")
# A path that only one machine has, in a line without `noqa`.
ABSOLUTE_PATH = re.compile(
    r"^(?!.*noqa).*?(?<![\w.:/\\)}])(/(?:Applications|Users|Volumes|content|data|home"
    r"|media|mnt|opt|private|root|srv|tmp|usr|var)/|[A-Z]:[\\/](?!/)|~/|\\\\\w)",
    re.MULTILINE,
)


def run(*command: str) -> subprocess.CompletedProcess:
    """Run a command in the project's folder and return what it prints."""
    return subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8")


def find_outputs() -> list[str]:
    """Return a line for each notebook of which git holds outputs."""
    pattern = '"execution_count": *[0-9]'
    found = run("git", "grep", "--cached", "-lE", pattern, "*.ipynb")
    if found.returncode > 1:
        return [found.stderr.strip()]

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
    if path.name not in LOCKED and len(content) > limits["file_bytes"]:
        yield f"{path}: too large for git; keep it in data/raw/ (SECURITY.md, Data)"


def check_lock() -> list[str]:
    """Return a line if uv.lock does not fit pyproject.toml.

    Prints a warning if requirements.txt was not exported from it; the nightly CI fails.
    """
    if not shutil.which("uv") or not (ROOT / "uv.lock").exists():
        return []

    exported = run(*EXPORT.split())
    if exported.returncode:
        return ["uv.lock does not fit pyproject.toml; run: uv lock"]
    if exported.stdout != (ROOT / "requirements.txt").read_text(encoding="utf-8"):
        remedy = f"{EXPORT} -o requirements.txt"
        print(f"warning: requirements.txt does not fit uv.lock; run: {remedy}")

    return []


def main() -> None:
    """Check the files that are named; exit with code 1 if one must not be committed."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found = find_outputs()
    paths = [Path(name) for name in sys.argv[1:]]
    for path in paths:
        found += check_file(path, settings["tool"]["checks"])

    if any(path.name in LOCKED for path in paths):
        found += check_lock()

    sys.exit("\n".join(found) or None)


if __name__ == "__main__":
    main()
