"""How well scores separate signal from background: ROC, AUC with interval, efficiencies where searches live, SIC.

Scores are higher for more anomalous events, of shape (event,); weights are signed. Everything that needs an order or a
quantile uses the *monotonised* signed distribution: the cumulative weight, with its dips (from negative weights)
levelled halfway between the running maximum and the running minimum. Intervals are Poisson bootstraps of background
and signal events; two detectors evaluated with the same seed on the same events see the same replicas.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv

from anomalon.errors import InvalidEventsError
from anomalon.features.contract import Features
from anomalon.metrics.ordered import OrderedScores, ScorePair, monotone, replicas
from anomalon.metrics.records import (
    EvaluationSettings,
    Interval,
    Performance,
    RocCurve,
    SicCurve,
    SingleVariable,
    WorkingPoint,
)

__all__ = [
    "EvaluationSettings",
    "Interval",
    "Performance",
    "RocCurve",
    "SicCurve",
    "SingleVariable",
    "WorkingPoint",
    "auc",
    "auc_difference",
    "clopper_pearson",
    "effective_number",
    "efficiency",
    "evaluate",
    "roc_curve",
    "sic_curve",
    "single_variables",
    "weighted_quantile",
]

Floats = npt.NDArray[np.float64]
Weights = npt.ArrayLike | None

LEVELS = (0.68, 0.95)


def roc_curve(
    background: npt.ArrayLike,
    signal: npt.ArrayLike,
    *,
    background_weights: Weights = None,
    signal_weights: Weights = None,
) -> RocCurve:
    """ROC curve with one point per distinct score; equal scores pass together.

    Raises:
        InvalidEventsError: a class is empty, has no positive total weight, or has a score that is not finite.
    """
    pair = _pair(background, signal, background_weights, signal_weights)
    return _roc(pair.background, pair.signal)


def auc(
    background: npt.ArrayLike,
    signal: npt.ArrayLike,
    *,
    background_weights: Weights = None,
    signal_weights: Weights = None,
) -> float:
    """Probability that a signal event scores higher than a background event; ties count one half.

    The Mann-Whitney statistic of the signed weights, without monotonising, so without its bias.

    >>> auc([1.0, 2.0, 3.0], [2.0, 4.0])
    0.75
    """
    pair = _pair(background, signal, background_weights, signal_weights)
    return pair.auc(pair.background.weight, pair.signal.weight)


def evaluate(
    background: npt.ArrayLike,
    signal: npt.ArrayLike,
    *,
    background_weights: Weights = None,
    signal_weights: Weights = None,
    settings: EvaluationSettings | None = None,
) -> Performance:
    """AUC, efficiencies, SIC and ROC of a score, with bootstrap intervals.

    Raises:
        InvalidEventsError: a class is empty, has no positive total weight, or has a score that is not finite.
    """
    settings = settings or EvaluationSettings()
    pair = _pair(background, signal, background_weights, signal_weights)
    b, s, targets = pair.background, pair.signal, np.asarray(settings.background_efficiencies, dtype=np.float64)
    nominal = pair.figures(b.weight, s.weight, targets)
    drawn = [pair.figures(wb, ws, targets) for wb, ws in replicas(b, s, number=settings.replicas, seed=settings.seed)]
    intervals = _intervals(nominal, np.asarray(drawn))
    roc = _roc(b, s)
    return Performance(
        auc=intervals[0],
        efficiencies=_working_points(b, intervals[1:], settings),
        sic=sic_curve(roc, background, settings.minimum_background),
        roc=roc,
    )


def auc_difference(
    first: tuple[npt.ArrayLike, npt.ArrayLike],
    second: tuple[npt.ArrayLike, npt.ArrayLike],
    *,
    background_weights: Weights = None,
    signal_weights: Weights = None,
    settings: EvaluationSettings | None = None,
) -> Interval:
    """AUC of one score minus that of another on the same events, both on the same bootstrap replicas.

    Args:
        first: scores of background and signal events by the one detector.
        second: scores of the same events, in the same order, by the other.
        background_weights: of the background events.
        signal_weights: of the signal events.
        settings: of the bootstrap.

    >>> auc_difference(([1.0, 2.0], [3.0, 4.0]), ([1.0, 2.0], [1.0, 2.0])).value
    0.5
    """
    settings = settings or EvaluationSettings()
    differences = []
    for background, signal in (first, second):
        pair = _pair(background, signal, background_weights, signal_weights)
        b, s = pair.background, pair.signal
        drawn = [pair.auc(*weights) for weights in replicas(b, s, number=settings.replicas, seed=settings.seed)]
        differences.append(np.asarray([pair.auc(b.weight, s.weight), *drawn]))
    nominal, *replicated = differences[0] - differences[1]
    return _intervals(np.asarray([nominal]), np.asarray(replicated)[:, None])[0]


def sic_curve(roc: RocCurve, background: npt.ArrayLike, minimum_background: int = 10) -> SicCurve:
    """Significance improvement along a ROC curve; cuts that leave too few raw background events are left out."""
    ordered = np.sort(np.asarray(background, dtype=np.float64))
    left = len(ordered) - np.searchsorted(ordered, roc.threshold, side="left")
    keep = (left >= minimum_background) & (roc.background_efficiency > 0)
    eps_b, eps_s = roc.background_efficiency[keep], roc.signal_efficiency[keep]
    improvement = eps_s / np.sqrt(eps_b)
    best = int(improvement.argmax()) if len(improvement) else None
    return SicCurve(
        background_efficiency=eps_b,
        improvement=improvement,
        best=float("nan") if best is None else float(improvement[best]),
        best_background_efficiency=float("nan") if best is None else float(eps_b[best]),
        left_out=int((~keep).sum()),
    )


def weighted_quantile(values: npt.ArrayLike, probability: float, weights: Weights = None) -> float:
    """Smallest value at which the monotonised cumulative distribution reaches ``probability``.

    >>> weighted_quantile([1.0, 2.0, 3.0, 4.0], 0.5)
    2.0
    """
    if not 0 <= probability <= 1:
        raise InvalidEventsError(f"quantile {probability}: must lie between 0 and 1")
    sample = OrderedScores.of(values, weights, "sample")
    cumulative = monotone(sample.below(sample.weight))[1:]
    index = int(np.searchsorted(cumulative, probability * (1 - 1e-12), side="left"))
    return float(sample.score[min(index, len(cumulative) - 1)])


def effective_number(weights: npt.ArrayLike) -> float:
    """Number of unweighted events with the same relative error, (sum w)^2 / sum w^2.

    >>> effective_number([2.0, 2.0, 2.0])
    3.0
    """
    w = np.asarray(weights, dtype=np.float64)
    squares = float((w * w).sum())
    return float(w.sum() ** 2 / squares) if squares > 0 else 0.0


def clopper_pearson(passed: float, total: float, level: float = 0.68) -> tuple[float, float]:
    """Exact binomial interval of an efficiency (Clopper and Pearson 1934); the counts may be effective numbers.

    >>> low, high = clopper_pearson(0, 10, level=0.95)
    >>> low, round(high, 4)
    (0.0, 0.3085)
    """
    if total <= 0:
        return 0.0, 1.0
    tail, k = 0.5 * (1 - level), min(max(passed, 0.0), total)
    low = float(betaincinv(k, total - k + 1, tail)) if k > 0 else 0.0
    high = float(betaincinv(k + 1, total - k, 1 - tail)) if k < total else 1.0
    return low, high


def efficiency(passed: npt.ArrayLike, weights: Weights = None) -> Interval:
    """Weighted fraction of events that pass, with Clopper-Pearson intervals on the effective number of events.

    >>> efficiency([True, True, False, False]).value
    0.5
    """
    mask = np.asarray(passed, dtype=bool)
    w = np.ones(len(mask)) if weights is None else np.asarray(weights, dtype=np.float64)
    total = w.sum()
    value = float(np.clip(w[mask].sum() / total, 0, 1)) if total > 0 else 0.0
    n = effective_number(w)
    (low68, high68), (low95, high95) = (clopper_pearson(value * n, n, level) for level in LEVELS)
    return Interval(value, low68, high68, low95, high95)


def single_variables(
    background: Features, signal: Features, *, background_weights: Weights = None, signal_weights: Weights = None
) -> tuple[SingleVariable, ...]:
    """AUC of every feature used alone, in its better direction, best first.

    The first is the oracle that a report calls the best single variable: its choice looks at the signal's labels.
    Missing values count as least anomalous in either direction; events with a value that is not finite are left out.
    """
    found = []
    for name in background.names:
        b, wb = _usable_column(background, background_weights, name)
        s, ws = _usable_column(signal, signal_weights, name)
        if len(b) and len(s):
            found.append(_better_direction(name, b, s, background_weights=wb, signal_weights=ws))
    return tuple(sorted(found, key=lambda v: -v.auc))


def _pair(
    background: npt.ArrayLike, signal: npt.ArrayLike, background_weights: Weights, signal_weights: Weights
) -> ScorePair:
    b = OrderedScores.of(background, background_weights, "background")
    return ScorePair(b, OrderedScores.of(signal, signal_weights, "signal"))


def _roc(b: OrderedScores, s: OrderedScores) -> RocCurve:
    threshold = np.r_[np.inf, np.union1d(b.score, s.score)[::-1]]
    return RocCurve(threshold, b.passing_at(threshold), s.passing_at(threshold))


def _usable_column(features: Features, weights: Weights, name: str) -> tuple[Floats, Floats]:
    values, mask = features.column(name).astype(np.float64), features.mask[:, features.index(name)]
    w = np.ones(len(features)) if weights is None else np.asarray(weights, dtype=np.float64)
    keep = ~mask | np.isfinite(values)
    return np.where(mask, values, np.nan)[keep], w[keep]


def _better_direction(
    name: str, b: Floats, s: Floats, *, background_weights: Floats, signal_weights: Floats
) -> SingleVariable:
    lowest = -np.finfo(np.float64).max
    high, low = (
        auc(
            np.nan_to_num(sign * b, nan=lowest),
            np.nan_to_num(sign * s, nan=lowest),
            background_weights=background_weights,
            signal_weights=signal_weights,
        )
        for sign in (1.0, -1.0)
    )
    return SingleVariable(name, "high", high) if high >= low else SingleVariable(name, "low", low)


def _intervals(nominal: Floats, replicas: Floats) -> list[Interval]:
    """Percentile intervals, widened where needed to hold the value itself."""
    tails = [0.5 * (1 + sign * level) for level in LEVELS for sign in (-1, 1)]
    intervals = []
    for value, column in zip(nominal, replicas.T, strict=True):
        known = column[np.isfinite(column)]
        ends = np.quantile(known, tails) if len(known) else np.full(4, np.nan)
        low68, high68, low95, high95 = ends.tolist()
        low68, low95, high68, high95 = min(low68, value), min(low95, value), max(high68, value), max(high95, value)
        intervals.append(Interval(float(value), float(low68), float(high68), float(low95), float(high95)))
    return intervals


def _working_points(
    background: OrderedScores, signal_efficiencies: list[Interval], settings: EvaluationSettings
) -> tuple[WorkingPoint, ...]:
    targets = np.asarray(settings.background_efficiencies, dtype=np.float64)
    points = []
    for eps, cut, found in zip(targets, background.cuts(background.weight, targets), signal_efficiencies, strict=True):
        left = background.left(float(cut))
        points.append(
            WorkingPoint(
                background_efficiency=float(eps),
                threshold=float(cut),
                signal_efficiency=found,
                background_left=len(left),
                background_left_effective=effective_number(left),
                reliable=len(left) >= settings.minimum_background,
            )
        )
    return tuple(points)
