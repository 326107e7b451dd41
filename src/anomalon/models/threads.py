"""How many threads an estimator gets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from threadpoolctl import threadpool_limits

SMALL_SAMPLE = 1_000_000
"""Numbers in a sample below which a second thread hardly helps."""


@contextmanager
def threads_for(size: int) -> Iterator[None]:
    """One thread for a sample of few numbers (events x inputs), all of them for a large one.

    Threads wait for each other at every split of every tree: beside another busy process that was measured to be
    tens of times slower than one thread.
    """
    with threadpool_limits(1) if size < SMALL_SAMPLE else nullcontext():
        yield
