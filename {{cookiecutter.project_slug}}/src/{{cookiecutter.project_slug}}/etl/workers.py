"""Share work between the processors of this machine."""

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any

import joblib

from ..utils import UserError

ALONE = 3  # seconds, before it pays to start other processes
MOST = 60  # other processes; Windows can wait for no more
AHEAD = 2  # items for each other process: one that it works on, and the next

Function = Callable[[Any], Any]


def run_parallel(
    function: Function, items: Iterable[Any], workers: int | None
) -> Iterator[Any]:
    """Call a function with each item; the results come as they are ready.

    This process works too. Without `workers` it starts one for each other processor,
    after a while: most inputs are not large enough for that to pay.
    """
    items, start = iter(items), None
    for item in items:
        yield function(item)
        start = start or time.monotonic()  # the first one takes longer
        if workers or time.monotonic() > start + ALONE:
            break
    others = (workers or joblib.cpu_count()) - 1
    context = get_context("spawn")
    pool = ProcessPoolExecutor(min(others or 1, MOST), context, initializer=_prepare)
    try:
        yield from share(function, items, pool, AHEAD * others)
    except BrokenProcessPool as error:
        raise UserError(
            "a worker process was killed, maybe for want of memory; try --workers 1"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def share(
    function: Function,
    items: Iterable[Any],
    pool: Executor,
    most: int,
    patience: int | None = None,
) -> Iterator[Any]:
    """Give items to the pool while it has room for them; do the others here.

    Raises TimeoutError if the last ones take more seconds than `patience`.
    """
    waiting: set[Future[Any]] = set()
    for item in items:
        done = {future for future in waiting if future.done()}
        waiting -= done
        yield from (future.result() for future in done)
        if len(waiting) < most:
            waiting.add(pool.submit(function, item))
        else:
            yield function(item)
    yield from (future.result() for future in as_completed(waiting, patience))


def _prepare() -> None:
    """Leave Ctrl+C to the first process, and end when it does, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with, args=[parent_process()], daemon=True).start()


def _end_with(parent: Any) -> None:
    """End this process when the other one has ended."""
    parent.join()
    os._exit(1)
