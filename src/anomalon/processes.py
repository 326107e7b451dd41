"""Work spread over processes of this machine, handed back in order; killed workers are replaced, none is left."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from anomalon.errors import WorkerError

A = TypeVar("A")
B = TypeVar("B")

_AHEAD = 2
"""Items in flight per worker: enough to keep each busy while results are handed on."""
_RESTARTS = 2


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def ordered_map(function: Callable[[A], B], items: Sequence[A], workers: int) -> Iterator[B]:
    """Apply a function to every item in ``workers`` processes and yield the results in order.

    One worker is this process. An item whose worker was killed is done again, so the function may see an item twice.

    Raises:
        WorkerError: workers died again and again.
    """
    workers = min(workers, len(items))
    if workers <= 1:
        yield from map(function, items)
        return
    done = 0
    for _ in range(_RESTARTS + 1):
        try:
            for result in _pool(function, items[done:], workers):
                done += 1
                yield result
        except BrokenProcessPool:
            continue
        return
    raise WorkerError(
        f"a worker process died {_RESTARTS + 1} times, last near {items[done]}; often memory ran out: use fewer "
        "workers or smaller parts. A script that starts workers must guard its start with if __name__ == '__main__'"
    )


def _pool(function: Callable[[A], B], items: Sequence[A], workers: int) -> Iterator[B]:
    # spawn, not fork: threads of the parent (PyTorch, Arrow) do not survive a fork
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
    try:
        waiting: deque[Future[B]] = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= _AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BaseException:
        _kill(pool)
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _kill(pool: ProcessPoolExecutor) -> None:
    """End the workers now: an item in flight would otherwise hold up Ctrl-C."""
    # Python 3.14 has terminate_workers(); before, the processes are only found here
    for process in list((pool._processes or {}).values()):
        process.terminate()


def _start_worker() -> None:
    # Ctrl-C reaches the whole process group; only the parent answers it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
