"""How many objects of each kind an event has: tables of masks with their probabilities, drawn by the alias method.

A mask is the number of objects of each kind. The *empirical* table has the masks that were seen, all of them or the
most frequent ones that cover, say, 95 % of the events (Garcia Ruiz 2024, UPV). The *smoothed* table has every mask that
fits into the slots, so that rare ones exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from anomalon.config import Settings
from anomalon.errors import ConfigError
from anomalon.generation.flatten import KINDS, Floats, Ints

MOST_MASKS = 2_000_000
"""Masks of a smoothed table: more take memory and teach nothing."""


class MultiplicitySettings(Settings):
    """How multiplicities are modelled.

    Attributes:
        model: ``empirical``, masks that were seen, or ``smoothed``, every mask that fits.
        coverage: the most frequent masks that cover this fraction of the events are kept, others dropped.
    """

    model: Literal["empirical", "smoothed"] = "empirical"
    coverage: float = Field(default=1.0, gt=0, le=1)


@dataclass(frozen=True)
class MaskTable:
    """Masks and their probabilities.

    Attributes:
        masks: numbers of objects, shape (mask, kind).
        probabilities: shape (mask,), with sum 1.
    """

    masks: Ints
    probabilities: Floats

    def __len__(self) -> int:
        return len(self.masks)

    def where(self, allowed: npt.NDArray[np.bool_]) -> tuple[MaskTable, float]:
        """The table of the masks that are allowed, and the probability that they had together."""
        share = float(self.probabilities[allowed].sum())
        return MaskTable(self.masks[allowed], self.probabilities[allowed] / (share or 1.0)), share

    def total_variation(self, other: MaskTable) -> float:
        """Half the sum of the absolute differences of the probabilities: 0 for equal tables, 1 for disjoint ones.

        >>> one, two = (MaskTable(np.array([[0], [1]]), np.array(p)) for p in ([0.5, 0.5], [0.25, 0.75]))
        >>> one.total_variation(two)
        0.25
        """
        masks, inverse = np.unique(np.concatenate([self.masks, other.masks]), axis=0, return_inverse=True)
        signed = np.concatenate([self.probabilities, -other.probabilities])
        return float(0.5 * np.abs(np.bincount(inverse.ravel(), weights=signed, minlength=len(masks))).sum())


def seen(counts: Ints) -> tuple[Ints, Ints]:
    """The different masks of some events, shape (mask, kind), and how often each was seen."""
    masks, frequencies = np.unique(counts, axis=0, return_counts=True)
    return masks.astype(np.int64), frequencies.astype(np.int64)


def mask_table(masks: Ints, frequencies: Ints, settings: MultiplicitySettings, slots: Mapping[str, int]) -> MaskTable:
    """Table from masks that were seen and how often.

    Raises:
        ConfigError: more masks fit into the slots than a smoothed table may have.
    """
    table = MaskTable(masks, frequencies / frequencies.sum())
    if settings.model == "smoothed":
        table = smoothed(masks, frequencies, slots)
    return covering(table, settings.coverage)


def covering(table: MaskTable, coverage: float) -> MaskTable:
    """The most frequent masks that together have at least this probability; equal ones in the order of the table.

    >>> table = MaskTable(np.array([[0], [1], [2]]), np.array([0.1, 0.6, 0.3]))
    >>> covering(table, 0.85).masks.ravel().tolist()
    [1, 2]
    """
    if coverage >= 1.0:
        return table
    order = np.argsort(-table.probabilities, kind="stable")
    reached = np.cumsum(table.probabilities[order])
    kept = np.sort(order[: int(np.searchsorted(reached, coverage)) + 1])
    allowed = np.zeros(len(table), dtype=np.bool_)
    allowed[kept] = True
    return table.where(allowed)[0]


def smoothed(masks: Ints, frequencies: Ints, slots: Mapping[str, int]) -> MaskTable:
    """Every mask that fits, by Witten-Bell interpolation from the joint distribution down to single kinds.

    p(n_k | n_1 ... n_k-1) = (c(history, n_k) + T p(n_k | shorter history)) / (c(history) + T), T the number of
    different n_k seen after the history, which is shortened by its first kind; below the empty history it is uniform.
    Ref: Witten, Bell, IEEE Trans. Inf. Theory 37 (1991) 1085.
    """
    sizes = [slots[kind] + 1 for kind in KINDS]
    if np.prod(sizes, dtype=float) > MOST_MASKS:
        raise ConfigError(f"{np.prod(sizes):,} masks fit into the slots, at most {MOST_MASKS:,}: take empirical ones")
    every = np.array(list(product(*(range(size) for size in sizes))), dtype=np.int64)
    probabilities = np.ones(len(every))
    for kind in range(len(KINDS)):
        probabilities *= _conditional(masks, frequencies, kind=kind, sizes=sizes)[_place(every[:, : kind + 1], sizes)]
    return MaskTable(every, probabilities / probabilities.sum())


def _conditional(masks: Ints, frequencies: Ints, *, kind: int, sizes: list[int]) -> Floats:
    """p(n_kind | all kinds before), flat over (n_0, ..., n_kind)."""
    size = sizes[kind]
    estimate = np.full((1, size), 1.0 / size)
    for first in range(kind, -1, -1):
        shape = (int(np.prod(sizes[first:kind], dtype=np.int64)), size)
        counted = np.zeros(shape[0] * size)
        np.add.at(counted, _place(masks[:, first : kind + 1], sizes[first : kind + 1]), frequencies)
        counted = counted.reshape(shape)
        different = (counted > 0).sum(axis=1, keepdims=True)
        shorter = np.tile(estimate, (shape[0] // len(estimate), 1))
        total = counted.sum(axis=1, keepdims=True)
        estimate = np.where(total > 0, (counted + different * shorter) / np.maximum(total + different, 1), shorter)
    return estimate.ravel()


def _place(masks: Ints, sizes: list[int]) -> Ints:
    place = np.zeros(len(masks), dtype=np.int64)
    for column in range(masks.shape[1]):
        place = place * sizes[column] + masks[:, column]
    return place


class Alias:
    """The alias method: a draw from n probabilities in constant time (Walker 1977; Vose 1991).

    >>> Alias(np.array([0.5, 0.0, 0.5])).draw(np.array([0.1, 0.4, 0.5, 0.9])).tolist()
    [0, 2, 2, 0]
    """

    def __init__(self, probabilities: Floats) -> None:
        n = len(probabilities)
        self.keep, self.other = np.ones(n), np.arange(n)
        scaled = probabilities * n
        small, large = (list(np.flatnonzero(part)) for part in (scaled < 1.0, scaled >= 1.0))
        while small and large:
            low, high = small.pop(), large[-1]
            self.keep[low], self.other[low] = scaled[low], high
            scaled[high] -= 1.0 - scaled[low]
            if scaled[high] < 1.0:
                small.append(large.pop())

    def draw(self, uniform: Floats) -> Ints:
        """Indices for uniform numbers in (0, 1), shape (event,)."""
        n = len(self.keep)
        place = np.minimum((uniform * n).astype(np.int64), n - 1)
        return np.where(uniform * n - place < self.keep[place], place, self.other[place])
