"""Threads and random streams around the use of a network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

SMALL_STEP = 5e8
"""Floating-point operations of a training step below which a second thread hardly helps."""


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
