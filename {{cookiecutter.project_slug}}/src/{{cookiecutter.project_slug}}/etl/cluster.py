"""Share work between the workers of Dask; see docs/production.md."""

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import joblib

from ..utils import UserError
from .workers import share_work

try:
    import distributed
except ImportError as error:
    raise UserError("Dask is not installed; run: uv sync --extra dask") from error

SCHEDULER_TIMEOUT = 10  # seconds
WORKER_TIMEOUT = 30
ITEM_TIMEOUT = 120
LOCAL: dict = {
    "threads_per_worker": 1,
    "dashboard_address": None,
    "silence_logs": logging.CRITICAL,
}


def run_parallel(
    function: Callable, items: Iterable, scheduler: str | None
) -> Iterator:
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
    warnings.filterwarnings("ignore", "Sending large graph")
    for name in ("asyncio", "distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)

    try:
        options = {} if scheduler else LOCAL
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


@contextmanager
def lend_workers(scheduler: str) -> Iterator:
    """Let joblib, and so scikit-learn, use the workers."""
    with connect(scheduler), joblib.parallel_config(backend="dask"):
        yield
