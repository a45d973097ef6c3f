"""Run notebooks from top to bottom; set up git to strip them and to show them as scripts.

Git runs this file for each version of each notebook that it shows. So only the functions that run
one import a notebook library: without, it takes a thirtieth of the time.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jupyter_client.manager import AsyncKernelManager
    from nbformat import NotebookNode
    from papermill import PapermillExecutionError

ROOT = Path(__file__).resolve().parents[3]
# Where uv and the README put the environment; git reads it from the top of the repository.
PYTHON = ROOT / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

CHECKS, SHOW = Path(__file__).with_name("checks.py"), Path(__file__)

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

KERNEL = {
    "name": "python3",
    "display_name": "Python 3 (ipykernel)",
    "language": "python",
}
# Else the kernel tells of its own transport, and now and then of the signal that ends it.
QUIET = ["--log-level=CRITICAL"]
INJECTED = "injected-parameters"  # the cell that papermill adds for parameters
NOISE = {
    "collapsed",
    "execution",
    "language_info",
    "scrolled",
}  # a run writes it beside outputs


def own_kernel() -> "type[AsyncKernelManager]":
    """Return what starts the Python that runs now, whatever kernels this machine has."""
    # Imported here, and below in each function: what shows a difference must not wait for them.
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from traitlets import default

    class OwnKernel(AsyncKernelManager):
        @default("kernel_spec_manager")
        def _own_kernel_only(self) -> KernelSpecManager:
            return KernelSpecManager(kernel_dirs=[])

    return OwnKernel


def read_notebook(path: Path) -> "NotebookNode":
    """Read a notebook, to be run with this project's Python whatever kernel it names."""
    import nbformat

    from ..utils import UserError

    try:
        notebook = nbformat.from_dict(nbformat.read(path, as_version=4))
    except (OSError, ValueError, AttributeError, nbformat.ValidationError) as error:
        reason = str(error).splitlines()[0][:200]
        raise UserError(f"{path} can't be read as a notebook: {reason}") from error
    notebook.metadata["kernelspec"] = KERNEL
    return notebook


def run_notebook(
    notebook: Path, output: Path, parameters: dict[str, Any], progress: bool = False
) -> None:
    """Run a notebook from top to bottom in its own folder, and write it with its outputs.

    Raises UserError where a cell fails; then the output is written up to there.
    """
    from nbclient.exceptions import DeadKernelError
    from papermill import PapermillExecutionError, execute_notebook

    from ..utils import UserError

    try:
        execute_notebook(
            read_notebook(notebook),
            output.resolve(),
            parameters,
            kernel_name=KERNEL["name"],
            language=KERNEL["language"],
            kernel_manager_class=own_kernel(),
            extra_arguments=QUIET,
            cwd=notebook.resolve().parent,
            progress_bar={"desc": notebook.stem, "leave": False} if progress else False,
        )
    except (PapermillExecutionError, DeadKernelError) as error:
        told = (
            "its Python died"
            if isinstance(error, DeadKernelError)
            else tell_error(error)
        )
        raise UserError(
            f"{notebook} fails in {find_failure(output)}: {told}"
        ) from error


def find_failure(output: Path) -> str:
    """Say at which cell a run stopped: its number in the notebook, and where that is."""
    import nbformat

    from .report_pages import MARKER, has_error, headings

    cells = nbformat.read(output, as_version=4).cells
    cells = [
        cell
        for cell in cells
        if not {MARKER, INJECTED} & set(cell.metadata.get("tags", []))
    ]
    started = [cell for cell in cells if cell.metadata.papermill.start_time]
    failed = [cell for cell in cells if has_error(cell)] or started[-1:]
    number = cells.index(failed[0]) + 1
    titles = list(headings(cells[:number]))
    place = (
        f"below “{titles[-1]}”" if titles else failed[0].source.strip().splitlines()[0]
    )
    return f"cell {number} ({place})"


def tell_error(error: "PapermillExecutionError") -> str:
    """Return the kind of an error and its last line, without colours."""
    from papermill.exceptions import strip_color

    lines = strip_color(error.evalue).strip().splitlines()
    return ": ".join([error.ename, *lines[-1:]])


def notebook_text(text: str) -> str:
    """Return the cells of a notebook as a script with `# %%` before each; else the text itself.

    What is no notebook, such as one with the marks of a merge, must not make `git diff` fail.
    """
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
    kept = {
        name: value for name, value in part["metadata"].items() if name not in NOISE
    }
    return json.dumps(kept, sort_keys=True)


def git(*arguments: str) -> str:
    """Run git in this folder, and return what it says."""
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(
        command, capture_output=True, encoding="utf-8", errors="replace", check=True
    ).stdout.strip()


def seen_from(top: Path, file: Path) -> str:
    """Return a path as a shell reads it: relative, so that the folder may move, if it is inside."""
    file = (
        file.parent.resolve() / file.name
    )  # the Python of an environment is itself a link
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
    if not folder.is_relative_to(
        (ROOT / git("rev-parse", "--git-common-dir")).resolve()
    ):
        return [
            f"core.hooksPath is {folder}, not this clone's: let its hook call tools/checks.py"
        ]
    script = seen_from(top, CHECKS)
    mark = f"By setup-clone, for {script}"
    text = HOOK.format(mark=mark, python=seen_from(top, python), script=script)
    others = []
    for hook in (folder / name for name in HOOKS):
        if hook.exists() and mark not in hook.read_text(
            encoding="utf-8", errors="replace"
        ):
            others.append(
                f"{hook} is not this project's: add to it what {script} checks"
            )
            continue
        hook.parent.mkdir(parents=True, exist_ok=True)
        hook.write_text(text, encoding="utf-8", newline="\n")
        hook.chmod(0o755)
    return others


def set_up_clone() -> None:
    """Set up this clone, once: git strips the outputs of notebooks, and looks at each commit.

    Such settings never travel with a clone, so each needs this once. Twice does no harm.

    Examples:
        uv run setup-clone
    """
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        description=cleandoc(set_up_clone.__doc__ or ""), formatter_class=layout
    )
    parser.parse_args()
    try:
        set_filter(Path(sys.executable))
        others = set_hooks(Path(sys.executable))
    except FileNotFoundError:
        parser.exit(2, "error: git is not installed\n")
    except subprocess.CalledProcessError as error:
        parser.exit(
            2,
            f"error: git: {error.stderr.strip()}; is this a clone? If not: git init\n",
        )
    print("Git strips the outputs of notebooks here, and keeps them in your folder.")
    print(*others or ["Each commit is checked."], sep="\n")


def main() -> None:
    """Show the notebook that git names."""
    text = notebook_text(
        Path(sys.argv[1]).read_text(encoding="utf-8", errors="replace")
    )
    sys.stdout.buffer.write(text.encode())


if __name__ == "__main__":
    main()
