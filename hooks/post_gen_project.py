"""Set up git in the new project where that is safe, then print the next commands.

If git fails, the project is still complete: the problem is one line on stderr.
"""

import os
import runpy
import shutil
import subprocess
import sys
import time
from pathlib import Path

# cruft renders into temporary folders and adds its own file after this hook: no git here then.
CRUFT_COMMIT = "{{ cookiecutter._commit | default('') }}"

# Git sets these while it runs a hook; they would direct it to another repository.
GIT_PLACES = ("GIT_DIR", "GIT_COMMON_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")

# The first commit is not signed and runs no hooks.
QUIETLY = ("-c", "commit.gpgSign=false", "-c", "core.hooksPath=.git/none", "-c", "gc.auto=0")

NEXT = """
Your project is in {folder}. Next:

    cd {folder}
    uv run pipeline.py     # raw CSV to clean table
    uv run train           # clean table to model
    uv run app.py          # model to predictions

README.md describes the project."""


def git(*arguments):
    """Run git without prompts. Raises OSError with git's last line."""
    result = subprocess.run(
        ["git", *QUIETLY, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if result.returncode:
        lines = result.stderr.strip().splitlines() or [f"exit code {result.returncode}"]
        raise OSError(f"git {arguments[0]}: {lines[-1]}")


def inside_a_repository(folder):
    """Return whether the folder is already inside a repository."""
    return any((place / ".git").exists() for place in (folder, *folder.parents))


def has_identity():
    """Return whether git knows user.name and user.email; it would make them up otherwise."""
    try:
        for who in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"):
            git("-c", "user.useConfigOnly=true", "var", who)
    except OSError:
        return False
    return True


def set_up_git():
    """Create a repository, commit the new project, and strip notebook outputs from then on."""
    if not shutil.which("git"):
        return
    if inside_a_repository(Path.cwd()):
        say("The project is in an existing git repository; to set it up, run: uv run setup-clone")
        return
    git("-c", "init.defaultBranch=main", "init", "--quiet")
    # Git would filter files that are as new as the commit again, without the filter's packages.
    earlier = time.time() - 60
    for notebook in Path("notebooks").iterdir():
        os.utime(notebook, (earlier, earlier))
    git("add", ".")
    if has_identity():
        git("commit", "--quiet", "--message", "Bake the project")
    else:
        say("git has no user.name and user.email: set them, then commit the staged files.")
    clone = runpy.run_path("src/{{ cookiecutter.project_slug }}/tools/setup_clone.py")
    python = clone["ROOT"] / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    clone["set_filter"](python)
    clone["set_hooks"](python)


def say(line):
    """Print a line on stderr, in ASCII."""
    print(line.encode("ascii", "backslashreplace").decode(), file=sys.stderr)


if __name__ == "__main__" and not CRUFT_COMMIT:
    for name in GIT_PLACES:
        os.environ.pop(name, None)
    try:
        set_up_git()
    except (OSError, subprocess.CalledProcessError) as error:
        say(f"git is not set up ({error}). The project works without it.")
    print(NEXT.format(folder=Path.cwd().name))
