"""Explanations by occlusion: what the score would be, were one feature like the background's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import numpy as np
import numpy.typing as npt

from anomalon.config import Settings
from anomalon.features.contract import Features

Floats = npt.NDArray[np.float64]


class Occlusion(Settings):
    """What is put in the place of each feature.

    Attributes:
        medians: weighted medians of the background, one per feature; 0 for a feature that no event has.
    """

    medians: tuple[float, ...]

    @classmethod
    def of(cls, background: Features, weights: Floats) -> Self:
        """Take the medians of the training background, with |weight|."""
        return cls(medians=tuple(_median(background, k, np.abs(weights)) for k in range(len(background.names))))

    def explain(self, features: Features, score: Callable[[Features], Floats]) -> Floats:
        """Score minus the score with one feature at its median, (event, feature); 0 where the feature is missing."""
        before = score(features)
        fallen = np.zeros(features.values.shape)
        for k, median in enumerate(self.medians):
            values = features.values.copy()
            values[features.mask[:, k], k] = median
            fallen[:, k] = before - score(Features(values, features.mask, features.names))
        return fallen


def _median(features: Features, k: int, weights: Floats) -> float:
    mask = features.mask[:, k]
    values, w = features.values[mask, k], weights[mask]
    if not w.sum() > 0:
        return 0.0
    order = np.argsort(values, kind="stable")
    middle = np.searchsorted(np.cumsum(w[order]), 0.5 * w.sum())
    return float(values[order][min(int(middle), len(order) - 1)])
