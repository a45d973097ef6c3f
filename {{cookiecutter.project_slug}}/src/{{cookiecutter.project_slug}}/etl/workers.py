"""Share work between the processors of this machine."""

import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain
from multiprocessing import get_context, parent_process
from threading import Thread

from ..utils import UserError

ALONE = 4  # seconds before starting other processes pays off
MOST = 60  # processes; Windows cannot wait for more
AHEAD = 2  # items for each process: the current one and the next


def run_parallel(
    function: Callable, items: Iterable, workers: int | None = None
) -> Iterator:
    """Call a function with each item, and return the results in their order.

    This process works too. Without `workers` it starts one for each other processor,
    after a while: most inputs are not large enough for that to pay.
    """
    items, start = iter(items), time.monotonic()
    for number, item in enumerate(items):
        if number and (workers or time.monotonic() > start + ALONE):
            break
        yield function(item)
    else:
        return

    import joblib  # slow to import

    others = min((workers or joblib.cpu_count()) - 1, MOST)
    pool = ProcessPoolExecutor(
        max(others, 1), get_context("spawn"), initializer=_prepare
    )

    try:
        yield from share(function, chain([item], items), pool, others)
    except BrokenProcessPool as error:
        raise UserError(
            "a worker process was killed, probably because memory ran out; "
            "try --workers 1"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def share(
    function: Callable,
    items: Iterable,
    pool: Executor,
    others: int,
    patience: int | None = None,
) -> Iterator:
    """Give items to other processes while these have room; do the others here.

    Raises TimeoutError if one takes more seconds than `patience`.
    """
    most = AHEAD * others
    waiting: deque[Future] = deque()
    for item in items:
        while waiting and (waiting[0].done() or len(waiting) > most + others):
            yield waiting.popleft().result(patience)

        if sum(not future.done() for future in waiting) < most:
            waiting.append(pool.submit(function, item))
        else:
            waiting.append(Future())
            waiting[-1].set_result(function(item))

    while waiting:
        yield waiting.popleft().result(patience)


def _prepare() -> None:
    """Leave Ctrl+C to the first process, and end when it does, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the first one has ended."""
    if parent := parent_process():
        parent.join()
    os._exit(1)
