"""What the training events looked like, kept with a detector: so that files unlike them are noticed when scored."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.special import kolmogorov

from anomalon.config import Settings
from anomalon.features.contract import Features

Floats = npt.NDArray[np.float64]

POINTS = 101
UNLIKE_DISTANCE = 0.1
UNLIKE_PROBABILITY = 1e-3


@dataclass(frozen=True)
class InputShift:
    """How far a feature is from what it was in training.

    Attributes:
        feature: its name.
        distance: Kolmogorov-Smirnov distance of the distributions, or the difference of the fractions of events that
            have the feature at all, whichever is larger.
        p_value: probability of such a distance by chance, with effective numbers of events.
        unlike: whether the distance is both large and significant.
    """

    feature: str
    distance: float
    p_value: float
    unlike: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


class _Column(Settings):
    """One feature: points of its weighted cumulative distribution, and how often it is present."""

    name: str
    values: tuple[float, ...]
    cumulative: tuple[float, ...]
    present: float


class TrainingInputs(Settings):
    """Weighted distribution of every input over the training background."""

    columns: tuple[_Column, ...]
    effective_events: float

    @classmethod
    def of(cls, features: Features, weights: Floats) -> Self:
        """Summarise usable events; |weights| are used, as in training."""
        w = np.abs(weights)
        columns = tuple(_summary(features, k, w) for k in range(len(features.names)))
        return cls(columns=columns, effective_events=_effective(w))

    def compare(self, features: Features, weights: Floats) -> list[InputShift]:
        """Compare events with the training events, feature by feature, the most different first."""
        w = np.abs(weights)
        shifts = [self._shift(column, features, w) for column in self.columns]
        return sorted(shifts, key=lambda shift: -shift.distance)

    def _shift(self, column: _Column, features: Features, weights: Floats) -> InputShift:
        mask, values = features.mask[:, features.index(column.name)], features.column(column.name)
        total = weights.sum()
        if not total > 0:
            return InputShift(column.name, 0.0, 1.0, unlike=False)
        presence = abs(weights[mask].sum() / total - column.present)
        shape = 0.0
        if column.values and mask.any() and weights[mask].sum() > 0:
            now = _cumulative(values[mask], weights[mask], np.asarray(column.values))
            shape = float(np.abs(now - np.asarray(column.cumulative)).max())
        distance = max(float(presence), shape)
        n = _effective(weights if presence >= shape else weights[mask])
        reference = self.effective_events * (1.0 if presence >= shape else column.present)
        p_value = float(kolmogorov(distance * np.sqrt(n * reference / (n + reference)))) if n + reference > 0 else 1.0
        unlike = distance > UNLIKE_DISTANCE and p_value < UNLIKE_PROBABILITY
        return InputShift(column.name, distance, p_value, unlike=unlike)


def _summary(features: Features, k: int, weights: Floats) -> _Column:
    mask = features.mask[:, k]
    name, values, w = features.names[k], features.values[mask, k].astype(np.float64), weights[mask]
    if not w.sum() > 0:
        return _Column(name=name, values=(), cumulative=(), present=0.0)
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(w[order]) / w.sum()
    at = np.searchsorted(cumulative, np.linspace(0, 1, POINTS), side="left").clip(0, len(order) - 1)
    points = np.unique(values[order][at])
    return _Column(
        name=name,
        values=tuple(points.tolist()),
        cumulative=tuple(_cumulative(values, w, points).tolist()),
        present=float(w.sum() / weights.sum()),
    )


def _cumulative(values: npt.NDArray[np.floating], weights: Floats, points: Floats) -> Floats:
    """Fraction of the weight at or below each point."""
    order = np.argsort(values, kind="stable")
    total = np.r_[0.0, np.cumsum(weights[order])]
    return np.asarray(total[np.searchsorted(values[order], points, side="right")] / total[-1])


def _effective(weights: Floats) -> float:
    squares = float((weights * weights).sum())
    return float(weights.sum() ** 2 / squares) if squares > 0 else 0.0
