"""The empirical distribution of a quantity as a table of quantiles: from values to (0, 1) and back.

Ends are resolved finer than the middle, down to a few events, so that tails are neither cut nor blown up.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from anomalon.generation.flatten import Floats

KNOTS = 512
"""Equal steps in probability of a table."""
_FINER = 6
"""Halvings of the first and last step."""


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
