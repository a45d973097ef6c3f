"""Set up this clone, once: git strips the outputs of notebooks, and looks at each commit.

Such settings never travel with a clone, so each needs this once. Twice does no harm.

Examples:
    uv run setup-clone
"""

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Where uv and the README put the environment; git reads it from the top of the repository.
PYTHON = ROOT / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

CHECKS, SHOW = ROOT / "tools" / "checks.py", ROOT / "tools" / "notebooks.py"

# Git shows a filter's command when it fails: the remark says what to run then.
CLEAN = "-m nbstripout --keep-id --extra-keys metadata.language_info"
REMARK = "# no such Python? uv run setup-clone"

HOOKS = ("pre-commit", "pre-merge-commit")
HOOK = """\
#!/bin/sh
# {mark}
if ! test -e {python}; then
    echo "the project's environment is missing; run: uv run setup-clone" >&2
    exit 1
fi
exec {python} {script}
"""


def git(*arguments: str) -> str:
    """Run git in this folder, and return what it says."""
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(
        command, capture_output=True, encoding="utf-8", errors="replace", check=True
    ).stdout.strip()


def seen_from(top: Path, file: Path) -> str:
    """Return a path as a shell reads it: relative, so that the folder may move, if it is inside."""
    file = file.parent.resolve() / file.name  # the Python of an environment is itself a link
    inside = file.is_relative_to(top)
    return shlex.quote((file.relative_to(top) if inside else file).as_posix())


def set_filter(python: Path) -> None:
    """Let git strip notebooks when they are added, and show their differences as scripts."""
    top = Path(git("rev-parse", "--show-toplevel")).resolve()
    command = seen_from(top, python)
    settings = {
        "filter.nbstripout.clean": f"{command} {CLEAN}  {REMARK}",
        "filter.nbstripout.smudge": "cat",
        "filter.nbstripout.required": "true",
        "diff.ipynb.textconv": f"{command} {seen_from(top, SHOW)}",
        "merge.renormalize": "true",  # strip the other side of a merge too
    }
    for name, value in settings.items():
        git("config", "--replace-all", name, value)


def set_hooks(python: Path) -> list[str]:
    """Write the hooks that check a commit; return a line for each that is someone else's."""
    top = Path(git("rev-parse", "--show-toplevel")).resolve()
    folder = (ROOT / git("rev-parse", "--git-path", "hooks")).resolve()
    if not folder.is_relative_to((ROOT / git("rev-parse", "--git-common-dir")).resolve()):
        return [f"core.hooksPath is {folder}, not this clone's: let its hook call tools/checks.py"]
    script = seen_from(top, CHECKS)
    mark = f"By setup-clone, for {script}"
    text = HOOK.format(mark=mark, python=seen_from(top, python), script=script)
    others = []
    for hook in (folder / name for name in HOOKS):
        if hook.exists() and mark not in hook.read_text(encoding="utf-8", errors="replace"):
            others.append(f"{hook} is not this project's: add to it what {script} checks")
            continue
        hook.parent.mkdir(parents=True, exist_ok=True)
        hook.write_text(text, encoding="utf-8", newline="\n")
        hook.chmod(0o755)
    return others


def main() -> None:
    """Set up this clone from the command line."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.parse_args()
    try:
        set_filter(Path(sys.executable))
        others = set_hooks(Path(sys.executable))
    except FileNotFoundError:
        parser.exit(2, "error: git is not installed\n")
    except subprocess.CalledProcessError as error:
        parser.exit(2, f"error: git: {error.stderr.strip()}; is this a clone? If not: git init\n")
    print("Git strips the outputs of notebooks here, and keeps them in your folder.")
    print(*others or ["Each commit is checked."], sep="\n")
