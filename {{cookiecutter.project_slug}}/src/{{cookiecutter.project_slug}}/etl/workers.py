"""Share work between the processors of this machine, or the workers of Dask."""

import logging
import os
import signal
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from threading import Thread
from types import ModuleType

from ..utils import UserError

SECONDS_ALONE = 4  # seconds before starting other processes pays off
MOST_PROCESSES = 60  # processes; Windows cannot wait for more
QUEUED_PER_PROCESS = 2  # items for each process: the current one and the next

SCHEDULER_TIMEOUT = 10  # seconds
WORKER_TIMEOUT = 30
ITEM_TIMEOUT = 120
LOCAL = {
    "threads_per_worker": 1,
    "dashboard_address": None,
    "silence_logs": logging.CRITICAL,
}


def run_parallel(
    function: Callable, items: Iterable, workers: int | None = None
) -> Iterator:
    """Call a function with each item, and return the results in their order.

    This process works too. Without `workers` it starts one for each other processor,
    after a while: most inputs are not large enough for that to pay.
    """
    items, start = iter(items), time.monotonic()
    for item in items:
        yield function(item)
        if workers or time.monotonic() > start + SECONDS_ALONE:
            break
    else:
        return

    if workers is None:
        import joblib  # slow to import

        workers = joblib.cpu_count()

    others = min(workers - 1, MOST_PROCESSES)
    pool = ProcessPoolExecutor(
        max(others, 1), get_context("spawn"), initializer=_prepare
    )

    try:
        yield from share_work(function, items, pool, others)
    except BrokenProcessPool as error:
        raise UserError(
            "a worker process was killed, probably because memory ran out; "
            "try --workers 1"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def share_work(
    function: Callable,
    items: Iterable,
    pool: Executor,
    others: int,
    timeout: int | None = None,
) -> Iterator:
    """Submit items to the other processes, and process the rest here.

    Raises TimeoutError if an item takes more seconds than `timeout`.
    """
    most = QUEUED_PER_PROCESS * others
    waiting: deque[Future] = deque()
    for item in items:
        while waiting and (waiting[0].done() or len(waiting) > most + others):
            yield waiting.popleft().result(timeout)

        if sum(not future.done() for future in waiting) < most:
            waiting.append(pool.submit(function, item))
        else:
            waiting.append(Future())
            waiting[-1].set_result(function(item))

    while waiting:
        yield waiting.popleft().result(timeout)


def _prepare() -> None:
    """Leave Ctrl+C to the first process, and end when it does, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the first one has ended."""
    if parent := parent_process():
        parent.join()
    os._exit(1)


# --- Dask; see docs/production.md -------------------------------------------------


def run_on_dask(function: Callable, items: Iterable, scheduler: str | None) -> Iterator:
    """Call a function with each item, on the workers and here, as on one machine."""
    with connect(scheduler) as client:
        client.wait_for_workers(1, timeout=WORKER_TIMEOUT)
        others = sum(client.nthreads().values())
        pool = client.get_executor(pure=False)
        yield from share_work(function, items, pool, others, ITEM_TIMEOUT)


@contextmanager
def connect(scheduler: str | None) -> Iterator:
    """Connect to the scheduler, or start one here with a worker for each processor.

    Raises UserError if it does not answer, or if its workers are gone.
    """
    distributed = _import_dask()
    options = {} if scheduler else LOCAL
    try:
        client = distributed.Client(scheduler, timeout=SCHEDULER_TIMEOUT, **options)
    except (OSError, ValueError) as error:
        raise UserError(
            f"no Dask scheduler answers at {scheduler}; see docs/production.md"
        ) from error

    with client:
        try:
            yield client
        except (OSError, distributed.CancelledError, distributed.KilledWorker) as error:
            reason = str(error)[:200]
            raise UserError(
                f"the workers of the Dask scheduler exit ({reason}); "
                "see docs/production.md"
            ) from error


def _import_dask() -> ModuleType:
    """Import Dask, and let it log nothing."""
    try:
        import distributed
    except ImportError as error:
        raise UserError("Dask is not installed; run: uv sync --extra dask") from error

    warnings.filterwarnings("ignore", "Sending large graph")
    for name in ("asyncio", "distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)

    return distributed


@contextmanager
def lend_workers(scheduler: str | None) -> Iterator:
    """Let joblib, and so scikit-learn, use the workers, if there is a scheduler."""
    if not scheduler:
        yield
        return

    import joblib

    with connect(scheduler), joblib.parallel_config(backend="dask"):
        yield
