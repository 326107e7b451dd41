"""How rare a score is on background: -log p, with a tail that goes on beyond the last event."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from anomalon.config import Settings

Floats = npt.NDArray[np.float64]

POINTS = 513
"""Points of the cumulative distribution that are kept."""
FROM = 0.97
"""Quantile above which the tail is a generalised Pareto distribution."""
_SMALLEST = 1e-290
"""Scores closer than this are equal: over smaller steps an interpolation overflows."""
_LARGEST_SHAPE = 0.9
"""Above 1 the tail has no mean, and moments no meaning."""


class Calibration(Settings):
    """Background survival probability of a score.

    Up to the 97 % quantile it is that of the weighted background, interpolated in -log p. Above, excesses follow a
    generalised Pareto distribution (Pickands 1975), 1 - F = (1 + shape * excess / scale)^(-1 / shape), whose shape and
    scale are those with the background's probability-weighted moments (Hosking and Wallis 1987). Shapes below zero,
    tails that end, are set to zero, the exponential: no event is impossible.

    Attributes:
        values: scores, ascending.
        minus_log_p: at these scores, ascending from 0.
        scale, shape: of the tail above the last value.

    >>> made = Calibration.of(np.arange(1000.0), np.ones(1000))
    >>> round(float(np.exp(-made.minus_log_p_of(np.array([500.0]))[0])), 2)
    0.5
    """

    values: tuple[float, ...]
    minus_log_p: tuple[float, ...]
    scale: float
    shape: float

    @classmethod
    def of(cls, scores: npt.ArrayLike, weights: npt.ArrayLike) -> Self:
        """Learn from background that no learner has seen; weights count with their absolute value."""
        s, w = np.asarray(scores, dtype=np.float64), np.abs(np.asarray(weights, dtype=np.float64))
        order = np.argsort(s, kind="stable")
        s, w = s[order], w[order]
        below = (np.cumsum(w) - 0.5 * w) / w.sum()
        points = np.interp(np.linspace(0.0, FROM, POINTS), below, s)
        first = np.flatnonzero(np.diff(points, prepend=-np.inf) > max(1e-12 * np.ptp(points), _SMALLEST))
        values = points[first]
        # Of equal scores the first level: p counts every event that scores at least as much.
        rising = -np.log1p(-np.linspace(0.0, FROM, POINTS)[first])
        scale, shape = _pareto(s, w, float(values[-1]))
        return cls(
            values=tuple(values.tolist()), minus_log_p=tuple(np.r_[0.0, rising[1:]].tolist()), scale=scale, shape=shape
        )

    def minus_log_p_of(self, scores: npt.ArrayLike) -> Floats:
        """-log of the survival probability of scores (event,)."""
        s, values = np.asarray(scores, dtype=np.float64), np.asarray(self.values)
        excess = np.maximum(s - values[-1], 0.0) / self.scale
        tail = excess if self.shape == 0 else np.log1p(self.shape * excess) / self.shape
        return np.asarray(np.interp(s, values, np.asarray(self.minus_log_p)) + tail)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return self.model_dump(mode="json")


def _pareto(scores: Floats, weights: Floats, threshold: float) -> tuple[float, float]:
    """Scale and shape of the tail of ascending scores above a threshold."""
    above = scores > threshold
    smallest = max(abs(threshold) * 1e-9, _SMALLEST)
    if above.sum() < 2:
        spread = float(np.ptp(scores)) or 1.0
        return max(spread / 10, smallest), 0.0
    excess, w = scores[above] - threshold, weights[above]
    survival = 1.0 - (np.cumsum(w) - 0.5 * w) / w.sum()
    mean, weighted = np.average(excess, weights=w), np.average(excess * survival, weights=w)
    shape = 2.0 - mean / max(mean - 2.0 * weighted, 1e-12 * mean)
    shape = float(np.clip(shape, 0.0, _LARGEST_SHAPE))
    return max(float(mean) * (1.0 - shape), smallest), shape
