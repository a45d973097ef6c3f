"""Run notebooks from top to bottom, and show them as scripts, for `git diff`.

Git runs this file for each version of each notebook that it shows. So only the functions that run
one import a notebook library: without, it takes a thirtieth of the time.
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jupyter_client.manager import AsyncKernelManager
    from nbformat import NotebookNode
    from papermill import PapermillExecutionError

PYTHON = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
INJECTED = "injected-parameters"  # the cell that papermill adds for parameters
NOISE = {"collapsed", "execution", "language_info", "scrolled"}  # a run writes it beside outputs


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

    from {{ cookiecutter.project_slug }}.utils import UserError

    try:
        notebook = nbformat.from_dict(nbformat.read(path, as_version=4))
    except (OSError, ValueError, AttributeError, nbformat.ValidationError) as error:
        reason = str(error).splitlines()[0][:200]
        raise UserError(f"{path} can't be read as a notebook: {reason}") from error
    notebook.metadata["kernelspec"] = PYTHON
    return notebook


def run_notebook(
    notebook: Path, output: Path, parameters: dict[str, Any], progress: bool = False
) -> None:
    """Run a notebook from top to bottom in its own folder, and write it with its outputs.

    Raises UserError where a cell fails; then the output is written up to there.
    """
    from nbclient.exceptions import DeadKernelError
    from papermill import PapermillExecutionError, execute_notebook

    from {{ cookiecutter.project_slug }}.utils import UserError

    try:
        execute_notebook(
            read_notebook(notebook),
            output.resolve(),
            parameters,
            kernel_name=PYTHON["name"],
            language=PYTHON["language"],
            kernel_manager_class=own_kernel(),
            extra_arguments=["--log-level=ERROR"],  # else it warns of its own transport each time
            cwd=notebook.resolve().parent,
            progress_bar={"desc": notebook.stem, "leave": False} if progress else False,
        )
    except (PapermillExecutionError, DeadKernelError) as error:
        told = "its Python died" if isinstance(error, DeadKernelError) else tell_error(error)
        raise UserError(f"{notebook} fails in {find_failure(output)}: {told}") from error


def find_failure(output: Path) -> str:
    """Say at which cell a run stopped: its number in the notebook, and where that is."""
    import nbformat

    from .report_pages import MARKER, has_error, headings

    cells = nbformat.read(output, as_version=4).cells
    cells = [cell for cell in cells if not {MARKER, INJECTED} & set(cell.metadata.get("tags", []))]
    started = [cell for cell in cells if cell.metadata.papermill.start_time]
    failed = [cell for cell in cells if has_error(cell)] or started[-1:]
    number = cells.index(failed[0]) + 1
    titles = list(headings(cells[:number]))
    place = f"below “{titles[-1]}”" if titles else failed[0].source.strip().splitlines()[0]
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
    kept = {name: value for name, value in part["metadata"].items() if name not in NOISE}
    return json.dumps(kept, sort_keys=True)


def main() -> None:
    """Show the notebook that git names."""
    text = notebook_text(Path(sys.argv[1]).read_text(encoding="utf-8", errors="replace"))
    sys.stdout.buffer.write(text.encode())


if __name__ == "__main__":
    main()
