"""Set up git in the new project when it is safe to, then say what to type next.

No failure of git may fail the project: a problem is one line on stderr.
"""

import os
import runpy
import shutil
import subprocess
import sys
import time
from pathlib import Path

# cruft renders into scratch folders, prints patches, and adds its own file after this hook.
CRUFT_COMMIT = "{{ cookiecutter._commit | default('') }}"

# Set while git runs a hook of its own: they would point it at another repository.
GIT_PLACES = ("GIT_DIR", "GIT_COMMON_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")

# The first commit asks for no signature and runs nobody's hooks.
QUIETLY = ("-c", "commit.gpgSign=false", "-c", "core.hooksPath=.git/none", "-c", "gc.auto=0")

NEXT = """
Your project is in {folder}. Next:

    cd {folder}
    uv run pipeline.py     # raw CSV to clean table
    uv run train           # clean table to model
    uv run app.py          # model to predictions

README.md says the rest."""


def git(*arguments):
    """Run git without asking anything; its last word becomes the error."""
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
    """Look upwards for a repository: one inside another helps nobody."""
    return any((place / ".git").exists() for place in (folder, *folder.parents))


def has_identity():
    """Say whether git was told who commits; it would make a name up from the machine's."""
    try:
        for who in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"):
            git("-c", "user.useConfigOnly=true", "var", who)
    except OSError:
        return False
    return True


def set_up_git():
    """Make a repository whose first commit is the project as it was born, and strip notebooks."""
    if not shutil.which("git"):
        return
    if inside_a_repository(Path.cwd()):
        say("This is inside a git repository of yours; `uv run setup-clone` sets it up.")
        return
    git("-c", "init.defaultBranch=main", "init", "--quiet")
    # Git reads files again that are as new as the commit; the filter's environment is not there yet.
    earlier = time.time() - 60
    for notebook in Path("notebooks").iterdir():
        os.utime(notebook, (earlier, earlier))
    git("add", ".")
    if has_identity():
        git("commit", "--quiet", "--message", "Bake the project")
    else:
        say("git knows no user.name and user.email: the files are staged, the commit is yours.")
    clone = runpy.run_path("src/{{ cookiecutter.project_slug }}/tools/setup_clone.py")
    clone["set_filter"](clone["PYTHON"])
    clone["set_hooks"](clone["PYTHON"])


def say(line):
    """Write a line on stderr, whatever its characters."""
    print(line.encode("ascii", "backslashreplace").decode(), file=sys.stderr)


if __name__ == "__main__" and not CRUFT_COMMIT:
    for name in GIT_PLACES:
        os.environ.pop(name, None)
    try:
        set_up_git()
    except (OSError, subprocess.CalledProcessError) as error:
        say(f"git is not set up ({error}). The project is whole without it.")
    print(NEXT.format(folder=Path.cwd().name))
