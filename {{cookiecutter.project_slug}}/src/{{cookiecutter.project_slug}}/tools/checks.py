"""Look for what should not be in a commit: pitfalls of notebooks, long modules, missing pins.

Git runs this before each commit, on what is staged. The tests call it too, and so does the CI.
The limits stand in pyproject.toml, `tool.checks`. It needs ruff and packaging, for pairs jupytext.
"""

import ast
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[3]

# The beginnings of paths that only one machine has.
FOLDERS = "Applications|Users|Volumes|content|data|home|media|mnt|opt|private|root|srv|tmp|usr|var"
ABSOLUTE_PATH = re.compile(
    r"(?<![\w.:/\\)}])" + rf"(/(?:{FOLDERS})/|[A-Z]:[\\/](?!/)|~/|\\\\\w)"
)
PIN = re.compile(r"^([\w.-]+)(?:\[.*\])?==([^\s;]+)", re.MULTILINE)
MAGIC = re.compile(r"^(\s*)[%!?].*$", re.MULTILINE)
STRIP = "run `uv run setup-clone`, then `git add --renormalize .`"


class Problem(NamedTuple):
    """Something that should not be there: which check found it, where, and what to do."""

    check: str
    file: str
    text: str


def check_folder(root: Path) -> list[str]:
    """Return a line for each problem in a project's folder, but for outputs."""
    content = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    limits = content["tool"]["checks"]
    off = limits.get("off", {})
    found = [
        *check_notebooks(root, limits),
        *check_pairs(root),
        *check_modules(root, limits["module_lines"]),
        *check_pins(root, content),
    ]
    return [
        f"{file}: {text}"
        for check, file, text in found
        if check not in off.get(file, [])
    ]


def check_notebooks(root: Path, limits: dict[str, int]) -> Iterator[Problem]:
    """Find the pitfalls in all notebooks of a folder."""
    places = defaultdict(list)  # of each function
    for path in find_notebooks(root):
        file = path.relative_to(root).as_posix()
        try:
            cells = read_cells(path)
        except (ValueError, KeyError):
            yield Problem(
                "format", file, "is no notebook of format 4; did a merge leave marks?"
            )
            continue
        if len(cells) > limits["cells"]:
            text = (
                f"{len(cells)} cells, {limits['cells']} are allowed; split the notebook"
            )
            yield Problem("cells", file, text)
        for number, cell in enumerate(cells, start=1):
            for problem, text in check_cell(cell, limits["function_lines"]):
                yield Problem(problem, file, f"cell {number}: {text}")
        for name in {name for cell in cells for name, _ in find_functions(cell)}:
            places[name].append(file)
    for name, (first, *others) in places.items():
        for file in others:
            text = f"{name} is defined in {first} too; move it to a module"
            yield Problem("functions", file, text)


def check_cell(cell: dict[str, Any], most: int) -> Iterator[tuple[str, str]]:
    """Find paths of one machine and long functions; give each with the name of its check."""
    for match in ABSOLUTE_PATH.finditer(cell["source"]):
        yield "paths", f"{match[0]}… is a path of one machine; use a relative one"
    for name, lines in find_functions(cell):
        if lines > most:
            yield "functions", f"{name} has {lines} lines; move it to a module"


def check_pairs(root: Path) -> Iterator[Problem]:
    """Find the notebooks that do not say the same as the script beside them, if there is one."""
    for path in find_notebooks(root):
        script = path.with_suffix(".py")
        texts = [
            each.read_text(encoding="utf-8") for each in (path, script) if each.exists()
        ]
        if len(texts) == 2 and not say_the_same(*texts):
            file, other = (
                path.relative_to(root).as_posix(),
                script.relative_to(root).as_posix(),
            )
            text = f"differs from {other}; see docs/workflow.md, Pairs with scripts"
            yield Problem("pairs", file, text)


def say_the_same(notebook: str, script: str) -> bool:
    """Compare the cells of a notebook and of a py:percent script: kind, text and metadata."""
    import jupytext  # only here: it is slow, and few have pairs

    try:
        written = jupytext.writes(
            jupytext.reads(notebook, fmt="ipynb"), fmt="py:percent"
        )
    except (AttributeError, KeyError, NotImplementedError, TypeError, ValueError):
        return False  # no notebook: the marks of a merge, for instance
    cells = [jupytext.reads(text, fmt="py:percent").cells for text in (written, script)]
    one, other = (
        [(c.cell_type, c.source, dict(c.metadata)) for c in each] for each in cells
    )
    return one == other


def check_modules(root: Path, most: int) -> Iterator[Problem]:
    """Find the modules that are too long."""
    for path in sorted([*root.glob("*.py"), *root.glob("src/**/*.py")]):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > most:
            file = path.relative_to(root).as_posix()
            yield Problem(
                "modules", file, f"{lines} lines, {most} are allowed; split the module"
            )


def check_pins(root: Path, content: dict[str, Any]) -> Iterator[Problem]:
    """Find what requirements.txt, if there is one, does not pin as pyproject.toml asks."""
    file = root / "requirements.txt"
    if not file.exists():
        return
    pins = [
        (canonicalize_name(n), v)
        for n, v in PIN.findall(file.read_text(encoding="utf-8"))
    ]
    asked = [*content["project"]["dependencies"], *content["dependency-groups"]["dev"]]
    for wanted in (Requirement(each) for each in asked if isinstance(each, str)):
        versions = [v for name, v in pins if name == canonicalize_name(wanted.name)]
        fit = [
            wanted.specifier.contains(version, prereleases=True) for version in versions
        ]
        pinnable = not wanted.url and (not wanted.marker or wanted.marker.evaluate())
        if pinnable and not (fit and all(fit)):
            text = f"does not pin {wanted}; the last command of README.md does"
            yield Problem("pins", file.name, text)


def check_outputs(root: Path) -> list[str]:
    """Return a line for each notebook of a folder, as it stands in git, with outputs in it."""
    found = []
    for path in sorted(root.rglob("*.ipynb")):
        try:
            cells = enumerate(read_cells(path), start=1)
        except (ValueError, KeyError):
            continue  # no notebook, and so no outputs; check_notebooks says it
        numbers = [str(number) for number, cell in cells if has_output(cell)]
        if numbers:
            place = (
                f"{path.relative_to(root).as_posix()}: cell {', '.join(numbers[:3])}"
            )
            found.append(f"{place} holds an output; {STRIP}")
    return found


def has_output(cell: dict[str, Any]) -> bool:
    """Say whether a cell holds what nbstripout would take away."""
    about = cell["metadata"]
    keeps = about.get("keep_output") or about.get("init_cell")
    keeps = keeps or "keep_output" in about.get("tags", [])
    return cell.get("execution_count") is not None or bool(
        cell.get("outputs") and not keeps
    )


def find_notebooks(root: Path) -> list[Path]:
    """Return all notebooks under notebooks/, those of a team too, in the order of their names."""
    found = sorted((root / "notebooks").rglob("*.ipynb"))
    return [path for path in found if ".ipynb_checkpoints" not in path.parts]


def read_cells(path: Path) -> list[dict[str, Any]]:
    """Read the cells of a notebook, the source of each as one text."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell | {"source": "".join(cell["source"])} for cell in cells]


def find_functions(cell: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Find the functions that a cell defines, and how many lines each has."""
    if cell["cell_type"] != "code" or cell["source"].startswith("%%"):
        return
    try:
        tree = ast.parse(MAGIC.sub(r"\1pass", cell["source"]))
    except SyntaxError:
        return  # ruff says where
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def strips_outputs(root: Path) -> bool:
    """Say whether git strips the notebooks of a folder, and keeps the ids of their cells."""
    cell: dict[str, Any] = {"cell_type": "code", "execution_count": None, "id": "kept"}
    cell |= {"metadata": {}, "outputs": [], "source": ["1"]}
    notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    stripped = json.dumps(notebook, indent=1, sort_keys=True) + "\n"
    cell["outputs"] = [{"name": "stdout", "output_type": "stream", "text": ["1\n"]}]
    cell["execution_count"] = 1
    filtered = ("hash-object", "--stdin", "--path=notebooks/a.ipynb")
    try:
        found = git(root, *filtered, text=json.dumps(notebook))
    except subprocess.CalledProcessError:
        return False  # the filter's program is gone
    return found == git(root, "hash-object", "--stdin", "--no-filters", text=stripped)


def export_staged(root: Path, folder: Path) -> Path:
    """Write what is staged into another folder; your own stays as it is, outputs and all."""
    names = git(
        root, "ls-files", "-z", "*.ipynb", "*.py", "pyproject.toml", "requirements.txt"
    )
    git(
        root,
        "checkout-index",
        "-z",
        "--stdin",
        f"--prefix={folder.as_posix()}/",
        text=names,
    )
    return folder / git(root, "rev-parse", "--show-prefix")


def git(root: Path, *arguments: str, text: str = "") -> str:
    """Run git in a folder, and return what it says; CalledProcessError if it fails."""
    # A hook in a second worktree is given GIT_DIR, and git then takes any folder for the top.
    places = {name: value for name, value in os.environ.items() if name != "GIT_DIR"}
    result = subprocess.run(
        ["git", "-C", str(root), *arguments],
        env=places,
        input=os.fsencode(
            text
        ),  # bytes: as text, Windows would change the ends of lines
        capture_output=True,
        check=True,
    )
    return os.fsdecode(result.stdout).strip()


def run_ruff(root: Path) -> list[str]:
    """Let ruff look at a folder; return what it finds."""
    found = []
    shortly = (
        "--quiet",
        "--no-cache",
        "--output-format=concise",
    )  # a line for each finding
    for command in (["check"], ["format", "--check"]):
        line = [sys.executable, "-m", "ruff", *command, *shortly, "."]
        result = subprocess.run(
            line, cwd=root, capture_output=True, encoding="utf-8", check=False
        )
        if result.returncode:
            found.append(f"{result.stdout}{result.stderr}run: uv run ruff {command[0]}")
    return found


def main() -> None:
    """Check what is staged; end with exit code 1 if something should not be there."""
    found = (
        []
        if strips_outputs(ROOT)
        else ["git would keep outputs; run: uv run setup-clone"]
    )
    with tempfile.TemporaryDirectory() as folder:
        staged = export_staged(ROOT, Path(folder))
        if not (staged / "pyproject.toml").exists():
            sys.exit("git does not know pyproject.toml; run: git add .")
        found += [*check_folder(staged), *check_outputs(staged), *run_ruff(staged)]
    if found:
        sys.exit("\n".join([*found, "Nothing was committed."]))


if __name__ == "__main__":
    main()
