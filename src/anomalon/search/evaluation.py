"""Detectors against signals: AUC, efficiencies and curves on test events, beside MET alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from anomalon import metrics
from anomalon.features import Features
from anomalon.search.results import Curve, Estimate, Evaluation, WorkingPoint
from anomalon.search.threshold import Scored

MET_ALONE = "met"
"""Name of the baseline that every detector is compared with."""
BEST_VARIABLE = "best-single-variable"
SUPERVISED = "supervised"

POINTS_PER_CURVE = 300


def evaluate(detector: str, signal_name: str, background: Scored, signal: Scored, *, seed: int = 0) -> Evaluation:
    """Evaluate one detector's scores of test events against one signal."""
    b, s = background.finite(), signal.finite()
    settings = metrics.EvaluationSettings(seed=seed)
    performance = metrics.evaluate(
        b.score, s.score, background_weights=b.weight, signal_weights=s.weight, settings=settings
    )
    curve = performance.roc.thinned(POINTS_PER_CURVE)
    return Evaluation(
        detector=detector,
        signal=signal_name,
        auc=_estimate(performance.auc),
        working_points=tuple(
            WorkingPoint(
                background_efficiency=point.background_efficiency,
                signal_efficiency=_estimate(point.signal_efficiency),
                background_left=point.background_left,
                background_left_effective=_number(point.background_left_effective),
                reliable=point.reliable,
            )
            for point in performance.efficiencies
        ),
        max_sic=_number(performance.sic.best),
        curve=_curve(curve, b.score),
    )


def best_single_variable(
    background: Features, signal: Features, *, background_weights: npt.NDArray[np.float64]
) -> tuple[str, str]:
    """Name and direction of the feature with the largest AUC: an oracle, for it looks at the signal's labels.

    It is chosen on training events and evaluated on test events, so that the choice itself does not flatter it.
    """
    ranked = metrics.single_variables(background, signal, background_weights=background_weights)
    return ranked[0].name, ranked[0].direction


def single_variable_score(features: Features, name: str, direction: str) -> npt.NDArray[np.float64]:
    """Score (event,) of one feature: higher is more anomalous; missing values come first, the least anomalous."""
    values = features.column(name).astype(np.float64)
    score = values if direction == "high" else -values
    return np.where(features.mask[:, features.index(name)], score, -np.finfo(np.float64).max)


def _curve(roc: metrics.RocCurve, background_scores: npt.NDArray[np.float64]) -> Curve:
    ordered = np.sort(background_scores)
    left = len(ordered) - np.searchsorted(ordered, roc.threshold, side="left")
    return Curve(
        background_efficiency=tuple(np.asarray(roc.background_efficiency, dtype=float).tolist()),
        signal_efficiency=tuple(np.asarray(roc.signal_efficiency, dtype=float).tolist()),
        background_left=tuple(int(n) for n in left),
    )


def _estimate(interval: metrics.Interval) -> Estimate:
    return Estimate(value=interval.value, low=_number(interval.low68), high=_number(interval.high68))


def _number(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)
