"""Blocks spread over processes, handed back in order; killed workers are replaced, none outlives its parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from anomalon.errors import SimulationError
from anomalon.simulation.blocks import Block, SimulationSettings, simulate_block

_AHEAD = 2
"""Blocks in flight per worker: enough to keep each busy while results are handed on."""
_RESTARTS = 2


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_blocks(settings: SimulationSettings, workers: int) -> Iterator[Block]:
    """Simulate every block, in order; one worker means this process.

    Raises:
        SimulationError: workers died again and again, or PYTHIA failed.
    """
    workers = min(workers, settings.n_blocks)
    if workers <= 1:
        yield from (simulate_block(settings, block) for block in range(settings.n_blocks))
        return
    done = 0
    for _ in range(_RESTARTS + 1):
        try:
            for result in _run_pool(settings, workers, done):
                done += 1
                yield result
        except BrokenProcessPool:
            continue
        return
    raise SimulationError(
        f"a worker died {_RESTARTS + 1} times, last near block {done} of {settings.n_blocks}; often memory ran out: "
        "use fewer workers. A script that simulates must guard its start with if __name__ == '__main__'"
    )


def _run_pool(settings: SimulationSettings, workers: int, first: int) -> Iterator[Block]:
    # spawn, not fork: threads of the parent (PyTorch, Arrow) do not survive a fork.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
    try:
        waiting: deque[Future[Block]] = deque()
        blocks = iter(range(first, settings.n_blocks))
        for block in blocks:
            waiting.append(pool.submit(simulate_block, settings, block))
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
    """End the workers now: a block in flight would otherwise hold up Ctrl-C for seconds."""
    # Python 3.14 has terminate_workers(); before, the processes are only found here.
    for process in list((pool._processes or {}).values()):
        process.terminate()


def _start_worker() -> None:
    # Ctrl-C reaches the whole process group; only the parent answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
