"""Have work done by the workers of Dask: parts cleaned, settings tried. See docs/production.md."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import islice, starmap
from pathlib import Path
from typing import Any

import joblib

from ..config import Config, TableConfig
from ..schema import Table, read_table
from ..utils import UserError
from .parts import Part, write_part
from .raw_data import RawData, check_header, read_batches, read_header

try:
    import dask
    import distributed
except ImportError as error:
    raise UserError("Dask is not installed; run: uv sync --extra dask") from error

PATIENCE = 10  # seconds to wait for a scheduler to answer
RESTART = 30  # seconds to wait for a worker where none is left
AHEAD = 2  # tasks for each thread of a worker: one that it does, and the next
SETTINGS = {
    "distributed.admin.large-graph-warning-threshold": "1GB"
}  # a task holds a batch
LOCAL = {
    "threads_per_worker": 1,
    "dashboard_address": None,
    "silence_logs": logging.CRITICAL,
}
PAGE = "see docs/production.md"


def transform(
    files: Sequence[Path], folder: Path, config: Config, scheduler: str | None = None
) -> Iterator[Part]:
    """Clean the rows of the files as pipeline.py does; the parts come as they are done.

    Of several files each is read by a worker; a single one is read here, and sent in batches.
    """
    table = read_table(config)
    columns = [column.name for column in table.columns]
    for path in files:
        check_header(
            path, read_header(path, config.table), columns, (), config.table.separator
        )
    absolute = [path.absolute() for path in files]
    sources = absolute if len(files) > 1 else read_batches(files, columns, config.table)
    clean = partial(
        clean_source, folder=folder.absolute(), table=table, config=config.table
    )
    with dask.config.set(SETTINGS), connect(scheduler) as client:
        # Not scattered: a task that holds its batch can be done again when its worker dies.
        submit = partial(client.submit, clean, pure=False)
        yield from run_tasks(
            starmap(submit, enumerate(sources)), client, folder.absolute()
        )


def clean_source(
    number: int,
    source: Path | RawData,
    folder: Path,
    table: Table,
    config: TableConfig,
) -> Part:
    """Make a part of a file, or of a batch of rows: what a worker does."""
    columns = [column.name for column in table.columns]
    if isinstance(source, RawData):
        return write_part(number, [source], folder, table)
    return write_part(number, read_batches([source], columns, config), folder, table)


@contextmanager
def connect(scheduler: str | None) -> Iterator[Any]:
    """Give a client of the scheduler, or of one that starts here with a worker a processor."""
    for name in ("asyncio", "distributed", "distributed.client"):
        logging.getLogger(name).setLevel(
            logging.CRITICAL
        )  # what matters is told in one line
    with ExitStack() as stack:
        try:
            where = scheduler or stack.enter_context(distributed.LocalCluster(**LOCAL))
            client = stack.enter_context(distributed.Client(where, timeout=PATIENCE))
        except (OSError, ValueError) as error:
            raise UserError(
                f"no Dask scheduler answers at {scheduler}; {PAGE}"
            ) from error
        yield client


@contextmanager
def lend_workers(scheduler: str) -> Iterator[None]:
    """Give the workers to joblib, and so to scikit-learn; raise UserError where they are gone."""
    try:
        with connect(scheduler), joblib.parallel_config(backend="dask"):
            yield
    except (OSError, distributed.CancelledError, distributed.KilledWorker) as error:
        raise UserError(
            f"the Dask scheduler has no workers that stay; {PAGE}"
        ) from error


def run_tasks(tasks: Iterator[Any], client: Any, folder: Path) -> Iterator[Part]:
    """Keep all workers busy, with no more tasks under way than that takes."""
    running: list[Any] = []
    try:
        while True:
            if not (threads := sum(client.nthreads().values())):
                client.wait_for_workers(1, timeout=RESTART)
            room = AHEAD * threads - len(running)
            running += islice(tasks, max(room, 0 if running else 1))
            if not running:
                return
            done: Iterable[Any] = []
            with suppress(TimeoutError):  # then see whether workers are left
                done, running = map(
                    list, distributed.wait(running, PATIENCE, "FIRST_COMPLETED")
                )
            yield from (take_part(task, folder) for task in done)
    except TimeoutError as error:
        raise UserError(
            f"the Dask scheduler has no workers that stay; {PAGE}"
        ) from error
    except (OSError, distributed.CancelledError) as error:
        raise UserError(f"the Dask scheduler is gone; {PAGE}") from error


def take_part(task: Any, folder: Path) -> Part:
    """Return the part that a worker made; raise UserError where it could not."""
    error = task.exception()
    if isinstance(error, distributed.KilledWorker):
        raise UserError(
            f"workers die at a part, maybe for want of memory; {PAGE}"
        ) from error
    if isinstance(error, OSError):
        raise UserError(
            f"a worker can't write {folder}: {error.strerror}; {PAGE}"
        ) from error
    return task.result()
