"""Thresholds: where a score is cut, fixed by background validation events alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from anomalon.errors import EmptySelectionError
from anomalon.metrics import efficiency, weighted_quantile
from anomalon.search.results import Estimate, ThresholdSummary

Floats = npt.NDArray[np.float64]

MINIMUM_VALIDATION = 20
"""Fewer background validation events than this fix no threshold."""


@dataclass(frozen=True)
class Scored:
    """Scores of a set of events and their weights, both of shape (event,); events without a score are NaN."""

    score: Floats
    weight: Floats

    def finite(self) -> Scored:
        """The events that have a score."""
        keep = np.isfinite(self.score)
        return Scored(self.score[keep], self.weight[keep])

    def __len__(self) -> int:
        return len(self.score)


def fix_threshold(validation: Scored, quantile: float) -> float:
    """Score at a quantile of the background validation events, with the monotonised signed weights.

    Raises:
        EmptySelectionError: too few background validation events.
    """
    usable = validation.finite()
    if len(usable) < MINIMUM_VALIDATION:
        raise EmptySelectionError(
            f"{len(usable)} background validation events fix no threshold, at least {MINIMUM_VALIDATION} are needed: "
            "loosen the selection, or give the background samples more events"
        )
    return float(weighted_quantile(usable.score, quantile, usable.weight))


def describe_threshold(value: float, quantile: float, test: Scored | None) -> ThresholdSummary:
    """The threshold and the false-positive rate that it gives on test background, with its interval.

    Without ``test`` only the threshold is told: the test background is blinded.
    """
    if test is None:
        return ThresholdSummary(quantile=quantile, value=value)
    usable = test.finite()
    above = usable.score > value
    return ThresholdSummary(
        quantile=quantile,
        value=value,
        false_positive_rate=pass_rate(usable, value),
        background_above=int(above.sum()),
        background_total=len(usable),
    )


def pass_rate(events: Scored, threshold: float) -> Estimate:
    """Weighted fraction of events above a threshold, with its 68 % Clopper-Pearson interval."""
    usable = events.finite()
    if not len(usable):
        return Estimate(value=0.0)
    rate = efficiency(usable.score > threshold, usable.weight)
    return Estimate(value=rate.value, low=rate.low68, high=rate.high68)
