"""The empirical distribution of a quantity as a table of quantiles: from values to (0, 1) and back.

Ends are resolved finer than the middle, down to a few events, so that tails are neither cut nor blown up.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from anomalon.generation.flatten import Floats

BINS = 64
"""Bins of every number that is drawn: places of equal width."""
KNOTS = 512
"""Equal steps in probability of a table."""
_FINER = 6
"""Halvings of the first and last step."""
_OWN = 10.0
"""Values that the shape of a table's own tail counts for beside others."""
_CROWDED = 0.5
"""Share of the values in one bin from which on a table does not resolve them."""


def knots() -> Floats:
    """Probabilities of a table's quantiles, increasing from 0 to 1."""
    ends = 2.0 ** -np.arange(_FINER, 0, -1) / KNOTS
    return np.concatenate([[0.0], ends, np.arange(1, KNOTS) / KNOTS, 1.0 - ends[::-1], [1.0]])


PROBABILITIES = knots()


def quantile_table(values: Floats, lowest: float | None = None, highest: float | None = None) -> Floats:
    """Quantiles of some values at :data:`PROBABILITIES`, shape (knot,), float32 values; none are needed.

    Args:
        values: shape (object,).
        lowest: end in place of the smallest value.
        highest: end in place of the largest value.
    """
    if not len(values):
        values = np.array([0.0 if lowest is None else lowest, 1.0 if highest is None else highest])
    table = np.quantile(values, PROBABILITIES)
    if lowest is not None:
        table = np.concatenate([[lowest], np.maximum(table[1:], lowest)])
    if highest is not None:
        table = np.concatenate([np.minimum(table[:-1], highest), [highest]])
    return np.asarray(table.astype(np.float32).astype(np.float64))


def tuned_table(table: Floats, values: Floats, lowest: float | None = None, highest: float | None = None) -> Floats:
    """A table for other values, in which bins keep their meaning: only the first and the last one get a new shape.

    There, where values may lie beyond the table, it becomes that of the values, mixed with its own as if that were
    :data:`_OWN` of them. Where most values are in a single bin, bins that mean something else are the smaller evil: the
    table is made anew.

    Args:
        table: quantiles, shape (knot,).
        values: shape (object,).
        lowest: end in place of the smallest value, for a table made anew.
        highest: end in place of the largest value, for a table made anew.
    """
    if len(values) >= BINS:
        places = to_uniform(values, table, (np.arange(len(values)) + 0.5) / len(values))
        if np.bincount((places * BINS).astype(np.int64)).max() > _CROWDED * len(values):
            return quantile_table(values, lowest, highest)
    upper = _with_tail(table, values)
    return np.asarray(-_with_tail(-upper[::-1], -values)[::-1])


def _with_tail(table: Floats, values: Floats) -> Floats:
    """The table with another shape of its last bin."""
    begin = 1.0 - 1.0 / BINS
    last = np.flatnonzero(begin <= PROBABILITIES)
    edge = table[last[0]]
    own = from_uniform(np.linspace(begin, 1.0, 101), table)
    every = np.concatenate([own, values[values > edge]])
    order = np.argsort(every, kind="stable")
    weights = np.where(order < len(own), _OWN / len(own), 1.0)
    reached = np.cumsum(weights) - weights
    tail = np.interp((PROBABILITIES[last] - begin) * BINS, reached / reached[-1], every[order])
    return np.concatenate([table[: last[0]], [edge], tail[1:].astype(np.float32).astype(np.float64)])


def to_uniform(values: Floats, table: Floats, noise: Floats) -> Floats:
    """Places in (0, 1) of values; equal values, such as masses of exactly 0, are spread by ``noise`` in (0, 1)."""
    low, high = (np.searchsorted(table, values, side=side) for side in ("left", "right"))
    last = len(table) - 1
    between = np.interp(values, *_increasing(table))
    spread = PROBABILITIES[np.minimum(low, last)] + noise * (
        PROBABILITIES[np.clip(high - 1, 0, last)] - PROBABILITIES[np.minimum(low, last)]
    )
    return np.clip(np.where(high - low > 1, spread, between), 1e-7, 1 - 1e-7)


def _increasing(table: Floats) -> tuple[Floats, Floats]:
    values, first = np.unique(table, return_index=True)
    return values, PROBABILITIES[first]


def from_uniform(uniform: npt.NDArray[np.floating], table: Floats) -> Floats:
    """Values at places in (0, 1): linear between the quantiles."""
    return np.asarray(np.interp(uniform, PROBABILITIES, table), dtype=np.float64)
