"""From scores to probabilities: monotone maps, fitted on events that the classifier did not learn from."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from anomalon.config import Settings
from anomalon.errors import TrainingError

Floats = npt.NDArray[np.float64]
Method = Literal["isotonic", "platt"]


class ProbabilityMap(Settings):
    """Probability of class 1, where both classes are equally likely, as a function of a score.

    Attributes:
        method: ``isotonic``, linear between the points of an isotonic regression (Zadrozny, Elkan 2002), or ``platt``,
            a logistic function of the score (Platt 1999).
        scores, probabilities: points of the isotonic map; empty for the other.
        slope, offset: of the logistic function's argument; 0 for the other.
        floor: distance that isotonic probabilities keep from 0 and 1: none was seen in so many events.
    """

    method: Method
    scores: tuple[float, ...] = ()
    probabilities: tuple[float, ...] = ()
    slope: float = 0.0
    offset: float = 0.0
    floor: float = 0.0

    @classmethod
    def fit(cls, scores: Floats, labels: npt.NDArray[np.int64], weights: Floats, method: Method = "isotonic") -> Self:
        """Learn from held-out events; both classes count the same, by absolute weight.

        Args:
            scores: finite, shape (event,).
            labels: 0 or 1, shape (event,).
            weights: shape (event,).
            method: form of the map.

        Raises:
            TrainingError: a class is missing or has no weight.
        """
        balanced = _balanced(labels, np.abs(weights))
        if method == "platt":
            centre, width = float(np.mean(scores)), float(np.std(scores)) or 1.0
            found = LogisticRegression(C=1e6).fit((scores[:, None] - centre) / width, labels, sample_weight=balanced)
            slope = float(found.coef_[0, 0]) / width
            return cls(method=method, slope=slope, offset=float(found.intercept_[0]) - slope * centre)
        curve = IsotonicRegression(y_min=0.0, y_max=1.0).fit(scores, labels, sample_weight=balanced)
        points = [tuple(map(float, values)) for values in (curve.X_thresholds_, curve.y_thresholds_)]
        return cls(method=method, floor=1.0 / (len(labels) + 2), scores=points[0], probabilities=points[1])

    def __call__(self, scores: npt.ArrayLike) -> Floats:
        """Probabilities (event,) of scores (event,); NaN stays NaN.

        >>> ProbabilityMap(method="platt", slope=1.0)([0.0]).tolist()
        [0.5]
        """
        x = np.asarray(scores, dtype=np.float64)
        if self.method == "platt":
            return np.asarray(expit(self.slope * x + self.offset))
        found = np.interp(x, self.scores, self.probabilities)
        return np.where(np.isnan(x), np.nan, np.clip(found, self.floor, 1 - self.floor))

    def log_odds(self, scores: npt.ArrayLike) -> Floats:
        """Log odds (event,) of a logistic map: finer than the probability where that rounds to 0 or 1."""
        return np.asarray(self.slope * np.asarray(scores, dtype=np.float64) + self.offset)


def _balanced(labels: npt.NDArray[np.int64], weights: Floats) -> Floats:
    """Positive weights of which either class has the same sum; the mean is one."""
    sums = np.bincount(labels, weights=weights, minlength=2)
    if len(sums) != 2 or not (sums > 0).all():
        raise TrainingError(f"probabilities need held-out events of two classes: sums of |weights| are {sums.tolist()}")
    return np.asarray(weights * 0.5 * len(labels) / sums[labels])
