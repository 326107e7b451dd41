"""When a loss has stopped improving: pure functions of the losses so far, so that a resumed training decides alike."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence


def epochs_without_improvement(losses: Sequence[float], min_delta: float) -> int:
    """Number of epochs since the loss last fell by more than ``min_delta`` below its best.

    >>> epochs_without_improvement((3.0, 2.0, 1.9, 2.5), min_delta=0.5)
    2
    """
    return ([0, *_waiting(losses, min_delta)])[-1]


def _waiting(losses: Sequence[float], min_delta: float) -> Iterator[int]:
    """After each epoch, the number of epochs since the last improvement."""
    best, since = math.inf, 0
    for value in losses:
        improved = value < best - min_delta
        best, since = (value, 0) if improved else (best, since + 1)
        yield since


def plateaus(losses: Sequence[float], min_delta: float, wait: int) -> int:
    """Number of times that ``wait`` epochs in a row brought no improvement.

    >>> plateaus((2.0, 2.0, 2.0, 1.0, 1.0, 1.0), min_delta=0.0, wait=2)
    2
    """
    return sum(since > 0 and since % wait == 0 for since in _waiting(losses, min_delta))
