"""AUC and signal efficiencies with every bootstrap replica kept, so that scores can be compared in pairs later."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from anomalon.metrics.ordered import OrderedScores, ScorePair, replicas
from anomalon.metrics.records import EvaluationSettings

Floats = npt.NDArray[np.float64]


def replicated(
    background: tuple[npt.ArrayLike, npt.ArrayLike],
    signal: tuple[npt.ArrayLike, npt.ArrayLike],
    settings: EvaluationSettings,
) -> Floats:
    """AUC, then the signal efficiency at each background efficiency: of the events, and of their Poisson replicas.

    With equal settings, scores of the same events in the same order see the same replicas: their rows are paired.

    Args:
        background: scores and weights of background events, shape (event,).
        signal: the same of signal events.
        settings: of the bootstrap, and the background efficiencies.

    Returns:
        Shape (1 + replica, 1 + efficiency); the first row is the value itself.

    Raises:
        InvalidEventsError: a class is empty, has no positive total weight, or has a score that is not finite.

    >>> ones = np.ones(4)
    >>> replicated(([0, 1, 2, 3], ones), ([2, 3, 4, 5], ones), EvaluationSettings(replicas=2)).shape
    (3, 5)
    """
    b, s = OrderedScores.of(*background, "background"), OrderedScores.of(*signal, "signal")
    pair, targets = ScorePair(b, s), np.asarray(settings.background_efficiencies, dtype=np.float64)
    drawn = [pair.figures(wb, ws, targets) for wb, ws in replicas(b, s, number=settings.replicas, seed=settings.seed)]
    return np.asarray([pair.figures(b.weight, s.weight, targets), *drawn])


def background_left(
    score: npt.ArrayLike, weight: npt.ArrayLike, background_efficiencies: tuple[float, ...]
) -> tuple[int, ...]:
    """Raw background events at or above the cuts of these background efficiencies.

    >>> background_left(np.arange(100.0), np.ones(100), (0.1, 0.01))
    (10, 1)
    """
    ordered = OrderedScores.of(score, weight, "background")
    cuts = ordered.cuts(ordered.weight, np.asarray(background_efficiencies, dtype=np.float64))
    return tuple(len(ordered.left(float(cut))) for cut in cuts)
