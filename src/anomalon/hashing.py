"""Hashes in the place of random numbers: what an event draws follows from its name and a seed.

So a draw does not depend on the order of the files, on chunks or on workers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]


def text_hash(text: str) -> int:
    """First 64 bits of the SHA-256 of a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def splitmix64(x: Hashes) -> Hashes:
    """Finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection of 64 bits that flips half of them."""
    z: Hashes = x + np.uint64(0x9E3779B97F4A7C15)
    z ^= z >> np.uint64(30)
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> np.uint64(27)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return z


def hash_events(
    stream: str, samples: Sequence[str], dataset: npt.NDArray[np.integer], ids: Sequence[npt.NDArray[Any]]
) -> Hashes:
    """Hash what names events to 64 bits each, shape (event,).

    Args:
        stream: a text that says what the hashes are for; another one gives independent hashes.
        samples: names of the samples: they count, and not the numbers that they have in one table.
        dataset: index into ``samples``, shape (event,).
        ids: run, luminosity block and event number, each of shape (event,).
    """
    state = np.full(len(dataset), text_hash(stream), dtype=np.uint64)
    names = np.asarray([text_hash(name) for name in samples], dtype=np.uint64)
    for column in (names[dataset], *ids) if len(dataset) else ():
        state = splitmix64(state ^ np.asarray(column).astype(np.int64).view(np.uint64))
    return state


def uniforms(hashes: Hashes) -> npt.NDArray[np.float64]:
    """Numbers in (0, 1), both ends excluded: an inverse cumulative distribution is finite on all of them.

    >>> uniforms(np.array([0, 2**64 - 1], dtype=np.uint64)).tolist() == [2.0**-53, 1 - 2.0**-53]
    True
    """
    numbers: npt.NDArray[np.float64] = ((hashes >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
    return numbers
