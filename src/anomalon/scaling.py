"""Compiled passes over features: what preprocessing learns of them, and what it makes of them.

A treatment is a number here, because compiled loops know no names.
"""
# ruff: noqa: FURB136 the compiler makes vectors of a chosen value, and none of min and max, which look for NaN

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from anomalon.features.contract import Features

Floats = npt.NDArray[np.float64]

LINEAR, LOG, ABSOLUTE_VALUE, UNTOUCHED_VALUE = range(4)
"""Treatments of a column."""
CURVED = (LOG, ABSOLUTE_VALUE)
"""Those that change more than scale and origin."""


@dataclass(frozen=True)
class Seen:
    """What blocks of events add up to, per column; index 0 stands for treated values, 1 for those in their own unit.

    Attributes:
        names: of the columns.
        total: sums of |weight| where the value is present, shape (column,).
        mean, squares: weighted means, and sums of |weight| (x - mean)^2, shape (2, column).
        lowest, highest: of the treated values that are present, shape (column,).
        present, missing: whether any value is, shape (column,).
    """

    names: tuple[str, ...]
    total: Floats
    mean: Floats
    squares: Floats
    lowest: Floats
    highest: Floats
    present: npt.NDArray[np.bool_]
    missing: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, features: Features, weights: Floats, codes: npt.NDArray[np.int8]) -> Seen:
        """Look at one block."""
        if features.complete and not np.isin(codes, CURVED).any():
            total, mean, squares, lowest, highest = _sums_of_all(features.values, weights)
        else:
            total, mean, squares, lowest, highest = _sums(features.values, features.mask, weights, codes)
        present, missing = np.isfinite(lowest), np.logical_not(np.all(features.mask, axis=0))
        return cls(features.names, total, mean, squares, lowest, highest, present, np.asarray(missing))

    def joined(self, other: Seen) -> Seen:
        """Both blocks together. Ref: Chan, Golub, LeVeque, Am. Stat. 37 (1983) 242, eq. 2.1."""
        total = self.total + other.total
        share = np.divide(other.total, total, out=np.zeros_like(total), where=total > 0)
        step = other.mean - self.mean
        return Seen(
            self.names,
            total,
            self.mean + step * share,
            self.squares + other.squares + step**2 * self.total * share,
            np.minimum(self.lowest, other.lowest),
            np.maximum(self.highest, other.highest),
            self.present | other.present,
            self.missing | other.missing,
        )

    def moments(self, which: int) -> tuple[Floats, Floats]:
        """Weighted mean and standard deviation of every column; 0 and 1 without values, 1 where it is constant."""
        there = self.total > 0
        mean = np.where(there, self.mean[which], 0.0)
        variance = np.divide(self.squares[which], self.total, out=np.zeros_like(self.total), where=there)
        deviation = np.sqrt(variance)
        return mean, np.where(deviation > 1e-6 * np.maximum(1.0, np.abs(mean)), deviation, 1.0)


@njit(cache=True, nogil=True)
def _treated(value: Any, code: Any) -> Any:
    if code == LOG:
        return math.log1p(max(value, 0.0))
    return abs(value) if code == ABSOLUTE_VALUE else value


@njit(cache=True, nogil=True, error_model="numpy")
def treat_and_scale(values: Any, mask: Any, codes: Any, scales: Any, guards: Any, inputs: Any) -> None:
    """One pass over (event, column): treat, scale, clip and fill. ``guards`` is the clip and the fill value."""
    clip, fill = guards
    for i in range(values.shape[0]):
        for k in range(values.shape[1]):
            value = np.float64(values[i, k])
            x = min(max((_treated(value, codes[k]) - scales[0, k]) / scales[1, k], -clip), clip)
            x = x if math.isfinite(value) else math.nan
            inputs[i, k] = x if mask[i, k] else fill


@njit(cache=True, nogil=True, error_model="numpy")
def shift_and_scale(values: Any, centre: Any, inverse: Any, clip: Any, inputs: Any) -> None:
    """The same where nothing is missing and no column is curved, written without branches: many times faster."""
    for i in range(values.shape[0]):
        for k in range(values.shape[1]):
            value = np.float64(values[i, k])
            x = (value - centre[k]) * inverse[k]
            x = clip if x > clip else x
            x = -clip if x < -clip else x
            inputs[i, k] = x + (value - value)  # NaN where the value is infinite


@njit(cache=True, nogil=True, error_model="numpy")
def _sums(values: Any, mask: Any, weights: Any, codes: Any) -> Any:
    """Two passes over a block: sums of weights and means first, then squares about the means; and the extremes."""
    n, m = values.shape
    total, mean, squares = np.zeros(m), np.zeros((2, m)), np.zeros((2, m))
    lowest, highest = np.full(m, np.inf), np.full(m, -np.inf)
    for i in range(n):
        for k in range(m):
            if mask[i, k]:
                value = np.float64(values[i, k])
                x = _treated(value, codes[k])
                total[k] += weights[i]
                mean[0, k] += weights[i] * x
                mean[1, k] += weights[i] * value
                lowest[k], highest[k] = min(lowest[k], x), max(highest[k], x)
    for k in range(m):
        if total[k] > 0:
            mean[0, k] /= total[k]
            mean[1, k] /= total[k]
    for i in range(n):
        for k in range(m):
            if mask[i, k]:
                value = np.float64(values[i, k])
                squares[0, k] += weights[i] * (_treated(value, codes[k]) - mean[0, k]) ** 2
                squares[1, k] += weights[i] * (value - mean[1, k]) ** 2
    return total, mean, squares, lowest, highest


@njit(cache=True, nogil=True, error_model="numpy")
def _sums_of_all(values: Any, weights: Any) -> Any:
    """The same in one pass where nothing is missing and no column is curved; the first row keeps squares small."""
    n, m = values.shape
    first = values[0].astype(np.float64)
    sums, squares = np.zeros(m), np.zeros(m)
    lowest, highest = np.full(m, np.inf), np.full(m, -np.inf)
    for i in range(n):
        w = weights[i]
        for k in range(m):
            x = np.float64(values[i, k])
            away = x - first[k]
            sums[k] += w * away
            squares[k] += w * away * away
            lowest[k] = x if x < lowest[k] else lowest[k]
            highest[k] = x if x > highest[k] else highest[k]
    total = weights.sum()
    if total > 0:
        squares -= sums * sums / total
        sums /= total
    means, spread = np.empty((2, m)), np.empty((2, m))
    means[:], spread[:] = first + sums, np.maximum(squares, 0.0)
    return np.full(m, total), means, spread, lowest, highest
