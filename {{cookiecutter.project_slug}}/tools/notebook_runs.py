"""Run a notebook by papermill, in this project's own environment."""

from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from papermill import PapermillExecutionError, execute_notebook
from papermill.exceptions import strip_color
from traitlets import default

from {{ cookiecutter.project_slug }}.utils import UserError

from .report_pages import MARKER, has_error, headings

PYTHON = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
INJECTED = "injected-parameters"  # the cell that papermill adds for parameters


class OwnKernel(AsyncKernelManager):
    """Starts the Python that runs now, whatever kernels are installed on this machine."""

    @default("kernel_spec_manager")
    def _own_kernel_only(self) -> KernelSpecManager:
        return KernelSpecManager(kernel_dirs=[])


def read_notebook(path: Path) -> nbformat.NotebookNode:
    """Read a notebook, to be run with this project's Python whatever kernel it names."""
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
    try:
        execute_notebook(
            read_notebook(notebook),
            output.resolve(),
            parameters,
            kernel_name=PYTHON["name"],
            language=PYTHON["language"],
            kernel_manager_class=OwnKernel,
            extra_arguments=["--log-level=ERROR"],  # else it warns of its own transport each time
            cwd=notebook.resolve().parent,
            progress_bar={"desc": notebook.stem, "leave": False} if progress else False,
        )
    except (PapermillExecutionError, DeadKernelError) as error:
        told = "its Python died" if isinstance(error, DeadKernelError) else tell_error(error)
        raise UserError(f"{notebook} fails in {find_failure(output)}: {told}") from error


def find_failure(output: Path) -> str:
    """Say at which cell a run stopped: its number in the notebook, and where that is."""
    cells = nbformat.read(output, as_version=4).cells
    cells = [cell for cell in cells if not {MARKER, INJECTED} & set(cell.metadata.get("tags", []))]
    started = [cell for cell in cells if cell.metadata.papermill.start_time]
    failed = [cell for cell in cells if has_error(cell)] or started[-1:]
    number = cells.index(failed[0]) + 1
    titles = list(headings(cells[:number]))
    place = f"below “{titles[-1]}”" if titles else failed[0].source.strip().splitlines()[0]
    return f"cell {number} ({place})"


def tell_error(error: PapermillExecutionError) -> str:
    """Return the kind of an error and its last line, without colours."""
    lines = strip_color(error.evalue).strip().splitlines()
    return ": ".join([error.ename, *lines[-1:]])
