"""Features of more events than fit in memory: block by block, computed on the fly, shuffled anew in every epoch.

A *block* is a fixed range of rows. Events lie in mixed order (see :func:`anomalon.batches.mix`), so that every block
has the process mix of the whole. An epoch walks through the blocks in a random order and shuffles the events inside
each; memory is bounded by a block. Blocks of events in memory and of a store are walked through in the same way, so a
training gives the same weights with either.

>>> from anomalon.features import get
>>> events = Events.from_dicts([{"met": {"pt": 10.0 * i, "phi": 0.0}} for i in range(5)])
>>> blocks = EventBlocks(events, get("trilepton"), size=2)
>>> blocks.sizes, blocks.block(2)[0].values.shape == (1, len(blocks.names))
((2, 2, 1), True)
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cache, cached_property
from itertools import pairwise
from typing import Any, Protocol

import awkward as ak
import numpy as np
import numpy.typing as npt

from anomalon.errors import TrainingError
from anomalon.events import Events
from anomalon.features import Features, FeatureSet
from anomalon.store import Store

Floats = npt.NDArray[np.float64]
Inputs = npt.NDArray[np.float32]

_MMAP_THRESHOLD, _LARGE = -3, 1 << 20
"""Parameter of glibc's mallopt, and the bytes from which on an array has memory of its own."""
ROWS = 16_384
"""Rows of a block: 35 MB of a 529-column matrix."""


class Blocks(Protocol):
    """Rows of features and their weights in blocks that never change."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        ...

    @property
    def sizes(self) -> tuple[int, ...]:
        """Rows of each block."""
        ...

    @property
    def weights(self) -> Floats:
        """Signed weights of all rows, shape (event,)."""
        ...

    @property
    def identity(self) -> str:
        """Digest of everything that decides on the values."""
        ...

    def block(self, number: int) -> tuple[Features, Floats]:
        """Features and weights of one block."""
        ...


class FeatureBlocks:
    """Features that are in memory already, as blocks.

    Args:
        features: of all rows.
        weights: of the rows; 1 by default.
        size: rows per block; None makes one block of everything.

    Raises:
        TrainingError: there are not as many weights as rows.
    """

    def __init__(self, features: Features, weights: npt.ArrayLike | None = None, *, size: int | None = None) -> None:
        self.features, self.names = features, features.names
        self.weights = _weights(weights, len(features))
        self._edges = _edges(len(features), size or max(len(features), 1))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Rows of each block."""
        return tuple(stop - start for start, stop in pairwise(self._edges))

    @property
    def identity(self) -> str:
        """Digest of values, mask and weights."""
        return _digest([self.features.values, self.features.mask, self.weights], "\n".join(self.names))

    def block(self, number: int) -> tuple[Features, Floats]:
        """Features and weights of one block."""
        rows = slice(self._edges[number], self._edges[number + 1])
        return self.features[rows], self.weights[rows]


class EventBlocks:
    """Events in memory or in a store; features are computed whenever a block is asked for.

    Args:
        events: the events, in mixed order.
        feature_set: what is computed.
        weights: of the rows; 1 by default.
        rows: the range (start, stop) of events to use; all by default.
        size: rows per block.

    Raises:
        TrainingError: there are not as many weights as rows.
    """

    def __init__(
        self,
        events: Events | Store,
        feature_set: FeatureSet,
        weights: npt.ArrayLike | None = None,
        *,
        rows: tuple[int, int] | None = None,
        size: int = ROWS,
    ) -> None:
        start, stop = rows or (0, events.n_events if isinstance(events, Store) else len(events))
        self.events, self.feature_set, self.names = events, feature_set, feature_set.names
        self.weights = _weights(weights, stop - start)
        self._start, self._edges = start, _edges(stop - start, size)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Rows of each block."""
        return tuple(stop - start for start, stop in pairwise(self._edges))

    @property
    def identity(self) -> str:
        """Digest of the events, the feature set, the rows and their weights."""
        events = self.events.digest if isinstance(self.events, Store) else _digest_of(self.events)
        return _digest([self.weights], f"{events} {self.feature_set!r} {self._start} {self._edges}")

    def block(self, number: int) -> tuple[Features, Floats]:
        """Features and weights of one block."""
        start, stop = self._edges[number], self._edges[number + 1]
        return self.feature_set.transform(self.events_of(number, ())), self.weights[start:stop]

    def events_of(self, number: int, fields: Collection[str]) -> Events:
        """Events of one block, with some fields beside those that the feature set reads."""
        start, stop = (self._start + edge for edge in self._edges[number : number + 2])
        if isinstance(self.events, Store):
            return self.events.slice(start, stop, sorted({*self.feature_set.requires, *fields}))
        return self.events[start:stop]


def pick(blocks: Blocks, rows: npt.NDArray[np.integer]) -> Features:
    """Features of some rows of blocks, in the order given; only the blocks that hold some of them are computed."""
    ends = np.cumsum(blocks.sizes)
    number = np.searchsorted(ends, rows, side="right")
    order, parts = np.argsort(number, kind="stable"), []
    for i in np.unique(number):
        start = ends[i] - blocks.sizes[i]
        parts.append(blocks.block(int(i))[0][rows[order][number[order] == i] - start])
    if not parts:
        return blocks.block(0)[0][:0]
    back = np.empty(len(order), dtype=np.int64)
    back[order] = np.arange(len(order))
    return Features.concatenate(parts)[back]


class BlockBatches:
    """Batches for a learner out of blocks, transformed when they are needed.

    Batches have nearly equal sizes, at most ``batch_size``; where blocks do not divide into them, a batch takes its
    last events from the next block.

    Args:
        blocks: of features.
        transform: features to inputs, float32 (event, input).
        kept: per block, the rows that are used, shape (row,); None uses all.
        batch_size: largest number of events in a batch.
        seed: of the order.
        shuffle: whether to shuffle at all.
    """

    def __init__(
        self,
        blocks: Blocks,
        transform: Callable[[Features], Inputs],
        *,
        kept: Sequence[npt.NDArray[np.bool_]] | None = None,
        batch_size: int = 1024,
        seed: int = 0,
        shuffle: bool = True,
    ) -> None:
        self._blocks, self._transform, self._kept = blocks, transform, kept
        self.batch_size, self.seed, self.shuffle = batch_size, seed, shuffle
        if batch_size < 1:
            raise TrainingError(f"batch_size = {batch_size}: must be at least 1")
        whole = kept is None or all(mask.all() for mask in kept)
        self.weights = blocks.weights if whole else blocks.weights[np.concatenate(kept or [])]
        if not np.isfinite(self.weights).all():
            bad = int((~np.isfinite(self.weights)).sum())
            raise TrainingError(f"{bad} of {len(self.weights)} events have weights that are NaN or infinite")

    @property
    def n_events(self) -> int:
        """Number of events in an epoch."""
        return len(self.weights)

    @cached_property
    def n_inputs(self) -> int:
        """Number of columns."""
        return int(self._inputs(0)[0].shape[1]) if self._blocks.sizes else len(self._blocks.names)

    @property
    def identity(self) -> str:
        """Digest of everything that decides on the batches, apart from the transformation."""
        return _digest([self.weights], f"{self._blocks.identity} {self.batch_size} {self.seed} {self.shuffle}")

    def __len__(self) -> int:
        return (self.n_events + self.batch_size - 1) // self.batch_size

    def __iter__(self) -> Iterator[tuple[Inputs, Floats]]:
        return self.epoch(0)

    def epoch(self, number: int) -> Iterator[tuple[Inputs, Floats]]:
        """Iterate over the batches in the order of epoch ``number``."""
        _give_back_large_arrays()
        random = np.random.default_rng([self.seed, number]) if self.shuffle else None
        order = np.arange(len(self._blocks.sizes)) if random is None else random.permutation(len(self._blocks.sizes))
        sizes = np.diff(np.linspace(0, self.n_events, len(self) + 1).round().astype(int))
        yield from _regrouped((self._shuffled(int(i), random) for i in order), sizes)

    def _shuffled(self, number: int, random: np.random.Generator | None) -> tuple[Inputs, Floats]:
        values, weights = self._inputs(number)
        if random is None:
            return values, weights
        order = random.permutation(len(values))
        return values.take(order, axis=0), weights.take(order)

    def _inputs(self, number: int) -> tuple[Inputs, Floats]:
        features, weights = self._blocks.block(number)
        if self._kept is not None and not self._kept[number].all():
            features, weights = features[self._kept[number]], weights[self._kept[number]]
        return self._transform(features), weights


@cache
def _give_back_large_arrays() -> None:
    """Have the C library return the memory of large arrays when they are freed, where it is glibc.

    By default it learns to keep arrays of up to 32 MB for later, and blocks of changing sizes leave holes between small
    objects: a training on three million events was measured to grow by 600 MB that nobody used.
    """
    try:
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LARGE)
    except (OSError, AttributeError):  # another C library does not have the habit
        return


def _regrouped(parts: Iterable[tuple[Inputs, Floats]], sizes: Iterable[int]) -> Iterator[tuple[Inputs, Floats]]:
    """Cut a stream of rows into batches of the given sizes."""
    stream, held = iter(parts), list[tuple[Inputs, Floats]]()
    for size in sizes:
        while sum(len(weights) for _, weights in held) < size:
            held.append(next(stream))
        values, weights = held[0] if len(held) == 1 else _joined(held)
        yield values[:size], weights[:size]
        held = [(values[size:], weights[size:])]


def _joined(parts: Sequence[tuple[Inputs, Floats]]) -> tuple[Inputs, Floats]:
    return np.concatenate([values for values, _ in parts]), np.concatenate([weights for _, weights in parts])


def _edges(n: int, size: int) -> tuple[int, ...]:
    if size < 1:
        raise TrainingError(f"blocks of {size} events: must be at least 1")
    return (*range(0, n, size), n)


def _weights(weights: npt.ArrayLike | None, n: int) -> Floats:
    w: Floats = np.broadcast_to(1.0, n) if weights is None else np.asarray(weights, dtype=np.float64)
    if w.shape != (n,):
        raise TrainingError(f"weights of shape {w.shape} do not belong to {n} events")
    return w


def _digest_of(events: Events) -> str:
    form, _, buffers = ak.to_buffers(ak.to_packed(events.array))
    return _digest([buffers[name] for name in sorted(buffers)], str(form))


def _digest(arrays: Iterable[npt.NDArray[Any]], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
