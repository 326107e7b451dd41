"""Random numbers of generated events: they follow from the events' keys, so that batches of any size draw the same."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from anomalon.generation.flatten import Floats
from anomalon.hashing import Hashes, splitmix64, uniforms

_STEP = 0x9E3779B97F4A7C15
"""Between the keys of the columns: the golden ratio of 2^64, odd, so that all differ."""


def uniform_noise(keys: Hashes, n: int, first: int = 0) -> Floats:
    """Numbers in (0, 1), shape (event, n): the columns ``first`` to ``first + n`` of each event.

    >>> keys = np.arange(3, dtype=np.uint64)
    >>> bool((uniform_noise(keys, 5)[:, 2:] == uniform_noise(keys, 3, first=2)).all())
    True
    """
    steps = np.array([_STEP * (first + i + 1) % 2**64 for i in range(n)], dtype=np.uint64)
    return uniforms(splitmix64(keys[:, None] + steps))


def normal_noise(keys: Hashes, n: int, first: int = 0) -> Floats:
    """Numbers of a normal distribution of mean 0 and variance 1, shape (event, n); see :func:`uniform_noise`."""
    return np.asarray(ndtri(uniform_noise(keys, n, first)))
