"""From selected events to the learner: disjoint splits, mixing, and batches sliced from memory.

Which part of the split an event belongs to, and where the mixed sample puts it, follow from a hash of what names the
event (data set, run, luminosity block, event number) and a seed. So they do not depend on the order of the files, on
chunks or on workers, and the same event read twice can never be in training and test at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from anomalon.errors import TrainingError
from anomalon.events import Events
from anomalon.hashing import hash_events

Floats = npt.NDArray[np.float64]

TRAIN, VALIDATION, TEST = 0, 1, 2
"""Values of :func:`assign_split`."""

_SPLIT_STREAM, _MIX_STREAM = 1, 2


@dataclass(frozen=True)
class EventIds:
    """What names an event.

    Attributes:
        run, lumi, event: int64, shape (event,).
        dataset: index into ``names``, shape (event,).
        names: names of the data sets.
    """

    run: npt.NDArray[np.int64]
    lumi: npt.NDArray[np.int64]
    event: npt.NDArray[np.int64]
    dataset: npt.NDArray[np.integer]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.event)

    @classmethod
    def of(cls, events: Events) -> EventIds:
        """Take the ids of events; the data sets are their samples."""
        run, lumi, event, dataset = (np.asarray(events.array[f]) for f in ("run", "lumi", "event", "dataset"))
        return cls(run, lumi, event, dataset, tuple(sample.name for sample in events.samples))


def assign_split(ids: EventIds, seed: int, fractions: Sequence[float] = (0.5, 0.25, 0.25)) -> npt.NDArray[np.int8]:
    """Part of the split that each event belongs to: 0 train, 1 validation, 2 test; int8, shape (event,).

    Raises:
        TrainingError: the fractions are not three non-negative numbers that sum to 1.
    """
    parts = np.asarray(fractions, dtype=np.float64)
    if parts.shape != (3,) or (parts < 0).any() or not np.isclose(parts.sum(), 1.0):
        raise TrainingError(
            f"split fractions {list(fractions)}: give train, validation and test, not negative, with sum 1"
        )
    uniform = (_event_hash(ids, seed, _SPLIT_STREAM) >> np.uint64(11)) * 2.0**-53
    return np.searchsorted(np.cumsum(parts)[:2], uniform, side="right").astype(np.int8)


def mix(ids: EventIds, seed: int) -> npt.NDArray[np.int64]:
    """Order that shuffles the processes together, int64 (event,): take events, ids and weights with it.

    The ``dataset`` column taken in this order is the Dataset_ID of the mixed sample.
    """
    hashes = _event_hash(ids, seed, _MIX_STREAM)
    return np.argsort(hashes, kind="stable").astype(np.int64)


def _event_hash(ids: EventIds, seed: int, stream: int) -> npt.NDArray[np.uint64]:
    """Hash every event's name to 64 bits."""
    return hash_events(f"{seed}/{stream}", ids.names, ids.dataset, [ids.run, ids.lumi, ids.event])


@runtime_checkable
class Batches(Protocol):
    """A re-iterable of (values, weights): float32 (event, input) and float64 (event,).

    ``epoch(k)`` gives the batches in the order of epoch k, always the same one: a resumed training sees what an
    uninterrupted one would have seen. Iterating gives epoch 0.
    """

    @property
    def n_events(self) -> int:
        """Number of events in an epoch."""
        ...

    @property
    def n_inputs(self) -> int:
        """Number of columns."""
        ...

    def epoch(self, number: int) -> Iterator[tuple[npt.NDArray[np.float32], Floats]]:
        """Iterate over the batches of an epoch."""
        ...

    def __iter__(self) -> Iterator[tuple[npt.NDArray[np.float32], Floats]]: ...


class ArrayBatches:
    """Batches sliced from arrays in memory, shuffled anew in every epoch.

    Batches have nearly equal sizes, at most ``batch_size``, so that none is left with a single event (which batch
    normalisation could not take).

    Args:
        values: (event, input), finite; with labels NaN may stand for missing values, which trees can take.
        weights: signed event weights (event,); 1 by default.
        labels: classes (event,), for classifiers.
        batch_size: largest number of events in a batch.
        seed: of the order.
        shuffle: whether to shuffle at all.

    Raises:
        TrainingError: shapes disagree, or a value or weight is not finite.

    >>> batches = ArrayBatches([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], batch_size=2, shuffle=False)
    >>> [values.shape for values, weights in batches]
    [(2, 2), (1, 2)]
    """

    def __init__(
        self,
        values: npt.ArrayLike,
        weights: npt.ArrayLike | None = None,
        *,
        labels: npt.ArrayLike | None = None,
        batch_size: int = 1024,
        seed: int = 0,
        shuffle: bool = True,
    ) -> None:
        self.values = np.ascontiguousarray(values, dtype=np.float32)
        if self.values.ndim != 2:
            raise TrainingError(f"values of shape {self.values.shape} cannot be learned from: expected (event, input)")
        self.weights: Floats = _column(weights, 1.0, len(self.values), "weights")
        self.labels = None if labels is None else _column(labels, 0, len(self.values), "labels").astype(np.int64)
        self.batch_size, self.seed, self.shuffle = batch_size, seed, shuffle
        if batch_size < 1:
            raise TrainingError(f"batch_size = {batch_size}: must be at least 1")
        _refuse_non_finite(self.values if labels is None else np.nan_to_num(self.values, posinf=np.inf), "values")
        _refuse_non_finite(self.weights, "weights")

    @property
    def n_events(self) -> int:
        """Number of events in an epoch."""
        return len(self.values)

    @property
    def n_inputs(self) -> int:
        """Number of columns."""
        return int(self.values.shape[1])

    def __len__(self) -> int:
        return (self.n_events + self.batch_size - 1) // self.batch_size

    def __iter__(self) -> Iterator[tuple[npt.NDArray[np.float32], Floats]]:
        return self.epoch(0)

    def epoch(self, number: int) -> Iterator[tuple[npt.NDArray[np.float32], Floats]]:
        """Iterate over the batches in the order of epoch ``number``."""
        if not self.n_events:
            return
        if not self.shuffle:
            edges = np.linspace(0, self.n_events, len(self) + 1).round().astype(int)
            for start, stop in pairwise(edges):
                yield self.values[start:stop], self.weights[start:stop]
            return
        order = np.random.default_rng([self.seed, number]).permutation(self.n_events)
        for index in np.array_split(order, len(self)):
            yield self.values.take(index, axis=0), self.weights.take(index)


def as_batches(data: Any, *, batch_size: int = 1024, seed: int = 0) -> Batches:
    """Wrap an array (event, input) or a pair (values, weights); batches are passed through."""
    if isinstance(data, Batches):
        return data
    values, weights = data if isinstance(data, tuple) else (data, None)
    return ArrayBatches(values, weights, batch_size=batch_size, seed=seed)


def fingerprint(batches: Batches) -> str:
    """SHA-256 of values and weights in the order of epoch 0, or what batches that are streamed say of themselves."""
    if isinstance(identity := getattr(batches, "identity", None), str):
        return identity
    digest = hashlib.sha256()
    for values, weights in batches.epoch(0):
        digest.update(values.tobytes())
        digest.update(weights.tobytes())
    return digest.hexdigest()


def sum_of_weights(batches: Batches) -> float:
    """Sum of the absolute weights of an epoch, without computing its values where the weights are at hand."""
    weights = getattr(batches, "weights", None)
    if isinstance(weights, np.ndarray):
        return float(sum(np.abs(part).sum() for part in np.array_split(weights, -(-len(weights) // 1_000_000) or 1)))
    return sum(float(np.abs(w).sum()) for _, w in batches.epoch(0))


def gather(batches: Batches) -> tuple[npt.NDArray[np.float32], Floats]:
    """All values (event, input) and weights (event,) at once, for learners that need the whole sample."""
    if isinstance(batches, ArrayBatches):
        return batches.values, batches.weights
    parts = list(batches)
    if not parts:
        return np.zeros((0, batches.n_inputs), dtype=np.float32), np.zeros(0)
    return np.concatenate([values for values, _ in parts]), np.concatenate([weights for _, weights in parts])


def resample(weights: Floats, seed: int) -> npt.NDArray[np.int64]:
    """Indices (event,) of an unweighted sample of the same size, drawn in proportion to the absolute weights.

    Stratified resampling: one draw in each of n equal parts of the cumulative weight, so that equal weights give back
    every event exactly once. For learners that know no weights.

    >>> resample(np.ones(4), seed=1).tolist()
    [0, 1, 2, 3]
    """
    cumulative = np.cumsum(np.abs(weights))
    n = len(weights)
    if not n or not cumulative[-1] > 0:
        raise TrainingError(f"{n} events with a sum of |weights| of zero: nothing to learn from")
    # Away from 0 and 1, so that rounding of the sum cannot skip an event.
    within = np.random.default_rng(seed).uniform(1e-9, 1 - 1e-9, n)
    positions = (np.arange(n) + within) / n * cumulative[-1]
    index: npt.NDArray[np.int64] = np.minimum(np.searchsorted(cumulative, positions, side="right"), n - 1)
    return index


def _column(values: npt.ArrayLike | None, default: float, n: int, what: str) -> Floats:
    column = np.full(n, default) if values is None else np.asarray(values, dtype=np.float64)
    if column.shape != (n,):
        raise TrainingError(f"{what} of shape {column.shape} do not belong to {n} events: expected ({n},)")
    return column


def _refuse_non_finite(values: npt.NDArray[np.floating], what: str) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        n = int((~finite.reshape(len(finite), -1).all(axis=1)).sum())
        raise TrainingError(
            f"{n} of {len(values)} events have {what} that are NaN or infinite: leave them out (Features.usable())"
        )
