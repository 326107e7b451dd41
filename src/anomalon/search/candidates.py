"""The most anomalous events and the features that drove their scores."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from anomalon.search.results import Driver
from anomalon.search.threshold import Scored

DRIVERS = 3
"""Features named per candidate."""


def top(score: npt.NDArray[np.float64], allowed: npt.NDArray[np.bool_], n: int) -> npt.NDArray[np.int64]:
    """Indices of the ``n`` highest scores among allowed events, highest first; ties keep the order of the events."""
    where = np.flatnonzero(allowed & np.isfinite(score))
    return where[np.argsort(-score[where], kind="stable")[:n]]


def background_fraction_above(score: float, background: Scored) -> float:
    """Weighted fraction of background events that score at least this high."""
    usable = background.finite()
    total = usable.weight.sum()
    return float(usable.weight[usable.score >= score].sum() / total) if total > 0 else 0.0


def drivers(
    names: tuple[str, ...], values: npt.NDArray[np.float32], shares: npt.NDArray[np.float64], n: int = DRIVERS
) -> tuple[Driver, ...]:
    """The features with the largest share of one event's score.

    Args:
        names: of the detector's inputs.
        values: of the inputs before preprocessing, shape (input,); missing ones (NaN) drive nothing.
        shares: contribution of each input to the score, shape (input,); negative ones count as none.
        n: how many to name.
    """
    positive = np.where(np.isfinite(values), np.clip(np.nan_to_num(shares), 0.0, None), 0.0)
    total = positive.sum()
    if total <= 0:
        return ()
    order = np.argsort(-positive, kind="stable")[:n]
    return tuple(
        Driver(feature=names[i], value=float(values[i]), share=float(positive[i] / total))
        for i in order
        if positive[i] > 0
    )
