"""How detectors are ranked over many signals, and what a signal needs to be seen.

- SI, significance improvement: eps_S / sqrt(eps_B), the largest of the points eps_B = 1e-2, 1e-3, 1e-4 that leave
  enough raw background events.
- TI, total improvement of a signal: the largest SI over the channels that have it. Detectors are ranked by the least,
  the median and the largest TI over the signals. Ref: Dark Machines challenge, arXiv:2105.14027, section 5.
- Needed events: signal events that must pass the selection, before the cut on the score, for an Asimov significance of
  two at the best cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

import numpy as np
import numpy.typing as npt

from anomalon.search.significance import asimov_significance

Floats = npt.NDArray[np.float64]

POINTS = (1e-2, 1e-3, 1e-4)
"""Background efficiencies that SI looks at."""
EXPECTED = 2.0
"""Significance that a signal is asked to reach."""
_CUTS = 400
_BISECTIONS = 60


@dataclass(frozen=True)
class Ranking:
    """Total improvements of a detector over the signals: the least, the median and the largest."""

    least: float
    median: float
    largest: float
    signals: int


@dataclass(frozen=True)
class Cuts:
    """Background left by cuts ``score >= threshold``, each leaving enough raw events; all of shape (cut,).

    Attributes:
        threshold: from the tightest.
        background: yield.
        needed: signal yield that gives :data:`EXPECTED` above it.
        relative: uncertainty of the background.
    """

    threshold: Floats
    background: Floats
    needed: Floats
    relative: float

    @classmethod
    def of(cls, score: Floats, weight: Floats, *, relative: float, minimum: int) -> Cuts:
        """Cuts on background events, shapes (event,), from ``minimum`` raw events to all of them.

        Cuts above which the weights sum to nothing positive are left out.
        """
        order = np.argsort(-score, kind="stable")
        below = np.cumsum(weight[order])
        descending = score[order]
        last = np.flatnonzero(np.append(descending[1:] < descending[:-1], True))  # equal scores pass together
        last = last[last + 1 >= minimum]
        if len(last) > _CUTS:
            steps = np.geomspace(last[0] + 1, last[-1] + 1, _CUTS)
            last = np.unique(last[np.searchsorted(last + 1, steps).clip(0, len(last) - 1)])
        last = last[below[last] > 0]
        background = below[last]
        return cls(descending[last], background, needed_signal(background, relative), relative)

    def kept(self, score: Floats, weight: Floats) -> Floats:
        """Signal yield above each cut, for signal events of shape (event,)."""
        order = np.argsort(-score, kind="stable")
        total = np.concatenate([[0.0], np.cumsum(weight[order])])
        return np.asarray(total[np.searchsorted(-score[order], -self.threshold, side="right")])

    def best_significance(self, signal: Floats) -> float | None:
        """Largest Asimov significance of signal yields above the cuts; None without a cut."""
        if not len(self.threshold):
            return None
        b = self.background
        return float(np.max(asimov_significance(np.maximum(signal, 0.0), b, self.relative * b)))

    def fewest_events(self, signal: Floats, total: float) -> float | None:
        """Signal events before the cut that are needed at the best cut; None where no cut keeps any signal."""
        if not total > 0 or not (signal > 0).any():
            return None
        kept = np.where(signal > 0, signal / total, np.nan)
        return float(np.nanmin(self.needed / kept))


def needed_signal(background: Floats, relative: float, expected: float = EXPECTED) -> Floats:
    """Signal yields with an Asimov significance of ``expected`` above background yields, by bisection; shape (cut,).

    >>> s = needed_signal(np.array([100.0]), 0.2)
    >>> round(float(asimov_significance(s[0], 100.0, 20.0)), 6)
    2.0
    """
    low = np.zeros(len(background))
    high = 10.0 * expected * (np.sqrt(background) + relative * background + expected)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        enough = np.asarray(asimov_significance(middle, background, relative * background)) >= expected
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return high


def significance_improvement(points: Iterable[tuple[float, float, int]], minimum: int) -> float | None:
    """SI from (eps_B, eps_S, raw background events left); None where no point of the challenge leaves enough.

    >>> significance_improvement([(1e-2, 0.5, 100), (1e-3, 0.3, 11), (1e-4, 0.2, 1)], 10)
    9.486832980505138
    """
    found = [s / np.sqrt(b) for b, s, left in points if left >= minimum and _is_point(b)]
    return float(max(found)) if found else None


def total_improvements(improvements: Iterable[tuple[str, float | None]]) -> dict[str, float]:
    """TI of every signal from (signal, SI) in each channel; signals without any SI are left out.

    >>> total_improvements([("stop", 2.0), ("stop", 3.0), ("gluino", None)])
    {'stop': 3.0}
    """
    found: dict[str, float] = {}
    for signal, value in improvements:
        if value is not None:
            found[signal] = max(value, found.get(signal, value))
    return found


def rank(improvements: Mapping[str, float]) -> Ranking | None:
    """Least, median and largest of total improvements; None without any."""
    values = list(improvements.values())
    return Ranking(min(values), median(values), max(values), len(values)) if values else None


def _is_point(background_efficiency: float) -> bool:
    return any(abs(background_efficiency / point - 1) < 1e-6 for point in POINTS)
