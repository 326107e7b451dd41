"""Threads and random streams around the use of a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

Result = TypeVar("Result")

SMALL_STEP = 5e8
"""Floating-point operations of a training step below which a second thread hardly helps."""

NUMBERS_PER_BLOCK = 2**18
"""Size of the widest layer's output for a block of events: 1 MiB in float32, so that it stays in the cache."""
FEWEST_PER_BLOCK = 256
"""Events below which matrix products lose more than the cache gains."""


@contextmanager
def threads_for_step(module: nn.Module, batch_size: int) -> Iterator[None]:
    """Train a small network on one thread.

    More threads gain it a few per cent, but wait for each other in every layer: beside one other busy process that was
    measured to be two hundred times slower. One thread also gives the same sums on every machine.
    """
    before = torch.get_num_threads()
    step = 6.0 * batch_size * sum(p.numel() for p in module.parameters())
    torch.set_num_threads(1 if step < SMALL_STEP else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def private_random_stream() -> Iterator[None]:
    """Leave the caller's random streams alone."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        yield


def in_blocks(module: nn.Module, function: Callable[[Tensor], Result], x: npt.NDArray[np.float32]) -> list[Result]:
    """Results of a function of blocks of inputs (event, input), in order; gradients are not followed.

    Blocks that fit the cache are a tenth to a third faster. Each is computed on one thread, several at once:
    threads inside a block would wait for each other in every layer, and its sums would depend on their number.
    """
    widest = max((max(p.shape) for p in module.parameters()), default=1)
    size = max(FEWEST_PER_BLOCK, NUMBERS_PER_BLOCK // widest)
    blocks = [torch.from_numpy(x[start : start + size]) for start in range(0, len(x), size)]

    def compute(block: Tensor) -> Result:
        with torch.inference_mode():
            return function(block)

    with one_thread_each() as threads:
        if min(threads, len(blocks)) < 2:
            return [compute(block) for block in blocks]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(compute, blocks))


@contextmanager
def one_thread_each() -> Iterator[int]:
    """Keep torch to one thread per calling thread; gives the number it had."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield before
    finally:
        torch.set_num_threads(before)
