"""Share work between the workers of Dask; see docs/production.md."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import joblib

from ..utils import UserError
from .workers import AHEAD, Function, share

try:
    import distributed
except ImportError as error:
    raise UserError("Dask is not installed; run: uv sync --extra dask") from error

PATIENCE = 10  # seconds to wait for a scheduler to answer
START = 30  # seconds to wait for a worker
LAST = 120  # seconds to wait for the last items
PAGE = "see docs/production.md"


def run_parallel(
    function: Function, items: Iterable[Any], scheduler: str | None
) -> Iterator[Any]:
    """Call a function with each item, on the workers and here."""
    with connect(scheduler) as client:
        client.wait_for_workers(1, timeout=START)
        most = AHEAD * sum(client.nthreads().values())
        yield from share(function, items, client.get_executor(pure=False), most, LAST)


@contextmanager
def connect(scheduler: str | None) -> Iterator[Any]:
    """Connect to the scheduler, or to one that starts here with a worker a processor.

    Raises UserError where it does not answer, or its workers are gone.
    """
    for name in ("asyncio", "distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    local = {"threads_per_worker": 1, "dashboard_address": None}
    with ExitStack() as stack:
        try:
            where = scheduler or stack.enter_context(
                distributed.LocalCluster(silence_logs=logging.CRITICAL, **local)
            )
            client = stack.enter_context(distributed.Client(where, timeout=PATIENCE))
        except (OSError, ValueError) as error:
            message = f"no Dask scheduler answers at {scheduler}; {PAGE}"
            raise UserError(message) from error
        try:
            yield client
        except (OSError, distributed.CancelledError, distributed.KilledWorker) as error:
            reason = "the Dask scheduler has no workers that stay, or they can't write"
            raise UserError(f"{reason} ({str(error)[:200]}); {PAGE}") from error


@contextmanager
def lend_workers(scheduler: str) -> Iterator[None]:
    """Give the workers to joblib, and so to scikit-learn."""
    with connect(scheduler), joblib.parallel_config(backend="dask"):
        yield
