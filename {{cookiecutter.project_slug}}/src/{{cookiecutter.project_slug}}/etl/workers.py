"""Share work between the processors of this machine."""

import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from threading import Thread

from ..utils import UserError

SECONDS_ALONE = 4  # seconds before starting other processes pays off
MOST_PROCESSES = 60  # processes; Windows cannot wait for more
QUEUED_PER_PROCESS = 2  # items for each process: the current one and the next


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
