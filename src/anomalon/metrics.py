"""How well scores separate signal from background: ROC, AUC with interval, efficiencies where searches live, SIC.

Scores are higher for more anomalous events, of shape (event,); weights are signed. Everything that needs an order or a
quantile uses the *monotonised* signed distribution: the cumulative weight, with its dips (from negative weights)
levelled halfway between the running maximum and the running minimum. Intervals are Poisson bootstraps of background
and signal events; two detectors evaluated with the same seed on the same events see the same replicas.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy.special import betaincinv

from anomalon.config import Settings
from anomalon.errors import InvalidEventsError
from anomalon.features.contract import Features

Floats = npt.NDArray[np.float64]
Weights = npt.ArrayLike | None

LEVELS = (0.68, 0.95)


class _Record:
    """A frozen result that can be written as JSON: numbers that are not finite become null."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain: dict[str, Any] = _plain(asdict(self))  # type: ignore[call-overload]
        return plain


@dataclass(frozen=True)
class Interval(_Record):
    """A value with its 68 % and 95 % intervals."""

    value: float
    low68: float
    high68: float
    low95: float
    high95: float


@dataclass(frozen=True)
class RocCurve(_Record):
    """Efficiencies of a cut ``score >= threshold``, from the tightest cut (inf) to none; all of shape (cut,)."""

    threshold: Floats
    background_efficiency: Floats
    signal_efficiency: Floats

    def thinned(self, points: int = 300) -> RocCurve:
        """At most about ``points`` points: half evenly in background efficiency, half evenly in its logarithm."""
        n, eps = len(self.threshold), self.background_efficiency
        if n <= points:
            return self
        smallest = eps[eps > 0][0] if (eps > 0).any() else 1.0
        wanted = np.concatenate([np.linspace(0, 1, points // 2), np.geomspace(smallest, 1, points - points // 2)])
        keep = np.unique(np.r_[0, np.searchsorted(eps, np.sort(wanted), side="left").clip(0, n - 1), n - 1])
        return RocCurve(self.threshold[keep], eps[keep], self.signal_efficiency[keep])


@dataclass(frozen=True)
class WorkingPoint(_Record):
    """Signal efficiency at a fixed background efficiency.

    Attributes:
        background_efficiency: asked for; the cut is the loosest that does not exceed it.
        threshold: events pass with ``score >= threshold``.
        signal_efficiency: with its bootstrap interval.
        background_left: raw background events that pass.
        background_left_effective: (sum w)^2 / sum w^2 of those.
        reliable: whether enough background events pass for the point to mean something.
    """

    background_efficiency: float
    threshold: float
    signal_efficiency: Interval
    background_left: int
    background_left_effective: float
    reliable: bool


@dataclass(frozen=True)
class SicCurve(_Record):
    """Significance improvement eps_S / sqrt(eps_B) of a cut (arXiv:2001.05001), where enough background events pass.

    Attributes:
        background_efficiency, improvement: shape (cut,).
        best: largest improvement, NaN if no cut leaves enough background events.
        best_background_efficiency: where it is.
        left_out: number of cuts left out because too few background events pass.
    """

    background_efficiency: Floats
    improvement: Floats
    best: float
    best_background_efficiency: float
    left_out: int


@dataclass(frozen=True)
class Performance(_Record):
    """A score against one signal."""

    auc: Interval
    efficiencies: tuple[WorkingPoint, ...]
    sic: SicCurve
    roc: RocCurve


@dataclass(frozen=True)
class SingleVariable(_Record):
    """One feature used as a score: ``high`` or ``low`` values are called anomalous."""

    name: str
    direction: Literal["high", "low"]
    auc: float


class EvaluationSettings(Settings):
    """How scores are evaluated.

    Attributes:
        replicas: of the bootstrap.
        seed: of the bootstrap.
        background_efficiencies: where signal efficiencies are given.
        minimum_background: raw background events that must pass a cut for it to be reliable.
    """

    replicas: int = Field(default=200, ge=2)
    seed: int = Field(default=0, ge=0)
    background_efficiencies: tuple[float, ...] = (1e-1, 1e-2, 1e-3, 1e-4)
    minimum_background: int = Field(default=10, ge=1)


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
    b, s = _Sample.of(background, background_weights, "background"), _Sample.of(signal, signal_weights, "signal")
    return _roc(b, s)


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
    b, s = _Sample.of(background, background_weights, "background"), _Sample.of(signal, signal_weights, "signal")
    return _Pair(b, s).auc(b.weight, s.weight)


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
    b, s = _Sample.of(background, background_weights, "background"), _Sample.of(signal, signal_weights, "signal")
    pair, targets = _Pair(b, s), np.asarray(settings.background_efficiencies, dtype=np.float64)
    nominal = pair.figures(b.weight, s.weight, targets)
    replicas = [pair.figures(wb, ws, targets) for wb, ws in _replicas(b, s, settings)]
    intervals = _intervals(nominal, np.asarray(replicas))
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
        b, s = _Sample.of(background, background_weights, "background"), _Sample.of(signal, signal_weights, "signal")
        pair = _Pair(b, s)
        replicas = [pair.auc(wb, ws) for wb, ws in _replicas(b, s, settings)]
        differences.append(np.asarray([pair.auc(b.weight, s.weight), *replicas]))
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
    sample = _Sample.of(values, weights, "sample")
    cumulative = _monotone(sample.below(sample.weight))[1:]
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


def _roc(b: _Sample, s: _Sample) -> RocCurve:
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


@dataclass(frozen=True)
class _Sample:
    """Events of a class in order of their score, grouped where scores are equal.

    Attributes:
        score: distinct scores, ascending, shape (group,).
        first: index of a group's first event in the ordered events, shape (group,).
        order: sorts the events as they came, shape (event,).
        weight: of the events in order, shape (event,).
    """

    score: Floats
    first: npt.NDArray[np.intp]
    order: npt.NDArray[np.intp]
    weight: Floats

    @classmethod
    def of(cls, score: npt.ArrayLike, weights: Weights, what: str) -> _Sample:
        x = np.asarray(score, dtype=np.float64)
        w = np.ones(x.shape) if weights is None else np.asarray(weights, dtype=np.float64)
        _check(x, w, what)
        order = np.argsort(x, kind="stable")
        distinct, first = np.unique(x[order], return_index=True)
        return cls(distinct, first, order, w[order])

    def grouped(self, weight: Floats) -> Floats:
        """Sum of the ordered events' weights per distinct score; NaN where there is no positive total."""
        sums = np.add.reduceat(weight, self.first)
        total = sums.sum()
        return sums / total if total > 0 else np.full(len(sums), np.nan)

    def below(self, weight: Floats) -> Floats:
        """Fraction of the weight below each distinct score and, last, below infinity; (group + 1,)."""
        return np.asarray(np.r_[0.0, np.cumsum(self.grouped(weight))])

    def passing(self, weight: Floats) -> Floats:
        """Monotonised fraction of the weight at or above each distinct score and, last, infinity; (group + 1,)."""
        return np.clip(1.0 - _monotone(self.below(weight)), 0.0, 1.0)

    def passing_at(self, threshold: Floats) -> Floats:
        """Monotonised fraction of the nominal weight with ``score >= threshold``."""
        return self.passing(self.weight)[np.searchsorted(self.score, threshold, side="left")]

    def cuts(self, weight: Floats, targets: Floats) -> Floats:
        """Loosest cuts whose efficiency does not exceed the targets; infinite where no distinct score is that rare."""
        loosest = np.searchsorted(-self.passing(weight), -(targets * (1 + 1e-9) + 1e-12), side="left")
        return np.asarray(np.r_[self.score, np.inf][loosest.clip(0, len(self.score))])

    def left(self, threshold: float) -> Floats:
        """Weights of the events with ``score >= threshold``."""
        group = int(np.searchsorted(self.score, threshold, side="left"))
        return np.asarray(self.weight[np.r_[self.first, len(self.weight)][group] :])


class _Pair:
    """Background and signal, merged once: what every bootstrap replica needs."""

    def __init__(self, background: _Sample, signal: _Sample) -> None:
        self.background, self.signal = background, signal
        self.lower = np.searchsorted(background.score, signal.score, side="left")
        self.upper = np.searchsorted(background.score, signal.score, side="right")

    def auc(self, background_weight: Floats, signal_weight: Floats) -> float:
        """Mann-Whitney: for each signal score the background below it, ties by half."""
        below = self.background.below(background_weight)
        area = self.signal.grouped(signal_weight) @ (0.5 * (below[self.lower] + below[self.upper]))
        return float(np.clip(area, 0.0, 1.0))

    def figures(self, background_weight: Floats, signal_weight: Floats, targets: Floats) -> Floats:
        """AUC, then the signal efficiency at each background efficiency."""
        cuts = self.background.cuts(background_weight, targets)
        passing = self.signal.passing(signal_weight)[np.searchsorted(self.signal.score, cuts, side="left")]
        return np.asarray(np.r_[self.auc(background_weight, signal_weight), passing])


def _check(score: Floats, weight: Floats, what: str) -> None:
    if score.ndim != 1 or not len(score) or weight.shape != score.shape:
        raise InvalidEventsError(
            f"{what}: scores of shape {score.shape}, weights of shape {weight.shape}; expected (event,) for both, "
            "with at least one event"
        )
    bad = int((~np.isfinite(score) | ~np.isfinite(weight)).sum())
    if bad:
        raise InvalidEventsError(f"{what}: {bad} of {len(score)} events have a score or weight that is not finite")
    if not weight.sum() > 0:
        raise InvalidEventsError(f"{what}: the weights of {len(score)} events sum to {weight.sum():g}, not positive")


def _monotone(cumulative: Floats) -> Floats:
    """Level the dips that negative weights make: halfway between running maximum and running minimum, in 0 ... 1."""
    if not (np.diff(cumulative) < 0).any():
        return cumulative
    upper = np.maximum.accumulate(cumulative)
    lower = np.minimum.accumulate(cumulative[::-1])[::-1]
    return np.asarray(np.clip(0.5 * (upper + lower), 0.0, 1.0))


_POISSON_STEPS = 1 << 16


def _poisson_table() -> npt.NDArray[np.float32]:
    """Poisson(1) counts by inverse transform of 16-bit integers: ten times faster than drawing them one by one."""
    counts = np.arange(12)
    cumulative = np.cumsum(np.exp(-1.0) / np.cumprod(np.r_[1.0, counts[1:]]))
    uniform = (np.arange(_POISSON_STEPS) + 0.5) / _POISSON_STEPS
    return np.searchsorted(cumulative, uniform).astype(np.float32)


def _replicas(b: _Sample, s: _Sample, settings: EvaluationSettings) -> Iterator[tuple[Floats, Floats]]:
    """Weights of background and signal, each event repeated Poisson(1) times.

    The classes have their own streams, and counts belong to the events as they came: so detectors are compared on the
    same replicas, and another signal does not change those of the background.
    """
    table = _poisson_table()
    streams = [np.random.default_rng([settings.seed, k]) for k in (0, 1)]
    for _ in range(settings.replicas):
        wb, ws = (
            sample.weight * table[rng.integers(0, _POISSON_STEPS, len(sample.order), dtype=np.uint16)][sample.order]
            for sample, rng in zip((b, s), streams, strict=True)
        )
        yield wb, ws


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
    background: _Sample, signal_efficiencies: list[Interval], settings: EvaluationSettings
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


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_plain(v) for v in value.tolist()]
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
