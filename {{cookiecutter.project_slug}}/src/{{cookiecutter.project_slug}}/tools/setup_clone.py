"""Set up git in this clone: strip the outputs of notebooks and check each commit.

Git's settings do not travel with a clone, so run this once in each, and again when the
environment has moved. Running it twice does no harm.

Examples:
    uv run setup-clone
"""

# Only the standard library: the template runs this before any package is installed.
import argparse
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
BY_HAND = "See docs/workflow.md, Hooks of others."
ADVICE = "# if this fails: uv run setup-clone"  # git shows the command that failed

# Given --files, pre-commit does not stash what is not staged; a stash would take the
# outputs of notebooks out of the folder. Two projects of a repository share the hook.
HOOK = """#!/bin/sh
# Written by setup-clone: checks what is staged of each project in this repository.
if ! test -x {python}; then
    echo "{python} is missing; run: uv run setup-clone" >&2
    exit 1
fi
PATH="$(dirname {python}):$PATH"
git grep --cached --name-only "uv run setup-clone" -- "*.pre-commit-config.yaml" |
while read -r config; do
    project=$(dirname "$config")
    export PYTHONPATH="$project/src"
    git diff --cached --name-only -z -- "$project" |
        xargs -0 {python} -m pre_commit run --config "$config" --files "$config" ||
        exit 1
done
"""


def git(*arguments: str) -> str:
    """Run git in the project's folder and return what it prints."""
    command = ["git", "-C", str(ROOT), *arguments]
    run = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    return run.stdout.strip()


def quote(path: Path) -> str:
    """Return a path for git's shell, relative if it is inside: the folder may move."""
    top = Path(git("rev-parse", "--show-toplevel")).resolve()
    path = path.parent.resolve() / path.name  # keep the environment's link
    if path.is_relative_to(top):
        path = path.relative_to(top)

    return shlex.quote(path.as_posix())


def set_filter(python: Path) -> None:
    """Let git strip notebooks when they are added, and show a diff as a script."""
    command = f"{quote(python)} {quote(Path(__file__).with_name('notebook_filter.py'))}"
    settings = {
        "filter.nbstripout.clean": f"{command} clean {ADVICE}",
        "filter.nbstripout.smudge": "cat",
        "filter.nbstripout.required": "true",
        "diff.ipynb.textconv": f"{command} show",
        "merge.renormalize": "true",  # strip the other side of a merge too
    }
    for setting in settings.items():
        git("config", "--replace-all", *setting)


def set_hooks(python: Path) -> str:
    """Write the hooks that check a commit; return what the user has to know."""
    folder = (ROOT / git("rev-parse", "--git-common-dir")).resolve()
    hooks = (ROOT / git("rev-parse", "--git-path", "hooks")).resolve()
    text = HOOK.format(python=quote(python))

    for hook in (hooks / "pre-commit", hooks / "pre-merge-commit"):
        others = hook.exists() and "setup-clone" not in hook.read_text("utf-8")
        if others or not hooks.is_relative_to(folder):
            return f"No commit is checked: {hook} is not this project's. {BY_HAND}"

        hooks.mkdir(exist_ok=True)
        hook.write_text(text, encoding="utf-8", newline="\n")
        hook.chmod(0o755)

    return "Each commit is checked."


def main() -> None:
    """Set up this clone from the command line."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.parse_args()
    python = Path(sys.executable)

    try:
        set_filter(python)
        hooks = set_hooks(python)
    except FileNotFoundError:
        parser.exit(2, "error: git is not installed\n")
    except subprocess.CalledProcessError as error:
        reason = " ".join(error.stderr.split())
        remedy = "; run: git init" if "not a git" in reason else ""
        parser.exit(2, f"error: {reason}{remedy}\n")

    print("Git keeps the outputs of notebooks in your folder, out of commits.", hooks)
