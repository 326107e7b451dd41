"""Sculpting: does a cut on the score change the shape of the background's mass spectrum?

A score that knows the mass leaves a bump where there was none. The change is measured by the Jensen-Shannon divergence
(base 2: 0 for equal shapes, 1 for shapes that nowhere overlap) between the spectrum of all background and of what
passes. It is never 0 for finite samples, so it stands beside its floor: what events drawn without regard to their score
give, as many as have the same effective number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy.special import xlogy

from anomalon.bumps.hunt import checked_edges
from anomalon.config import Settings
from anomalon.errors import EmptySelectionError, InvalidEventsError
from anomalon.metrics import effective_number
from anomalon.metrics.ordered import OrderedScores, monotone

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_FEWEST = 20
"""Background events that a comparison of shapes needs."""


class SculptingSettings(Settings):
    """How spectra are compared.

    Attributes:
        bins: of equal background weight, where no edges are given.
        shuffles: draws without regard to the score.
        seed: of the draws.
    """

    bins: int = Field(default=20, ge=2)
    shuffles: int = Field(default=200, ge=20)
    seed: int = Field(default=0, ge=0)


class SculptingPoint(Settings):
    """What one cut does to the spectrum.

    Attributes:
        threshold: events pass with a score above it.
        rejection: weighted fraction of the background that does not.
        passing, passing_effective: background events that do, and (sum w)^2 / sum w^2 of them.
        divergence: Jensen-Shannon, base 2, between all background and what passes.
        floor, floor_95: mean and 95 % quantile of it for draws without regard to the score.
        p_value: share of draws with a divergence at least as large, at least 1 / (draws + 1).
        is_sculpted: whether it is above ``floor_95``; None where too few events pass to tell.
        strongest: edges of the bin whose share changes most, in standard deviations.
        change: factor by which that share changes.
    """

    threshold: float
    rejection: float
    passing: int
    passing_effective: float
    divergence: float | None = None
    floor: float | None = None
    floor_95: float | None = None
    p_value: float | None = None
    is_sculpted: bool | None = None
    strongest: tuple[float, float] | None = None
    change: float | None = None


class Sculpting(Settings):
    """Whether a score sculpts the mass of the background.

    Attributes:
        edges: of the bins of mass; what lies outside is in the outer bins.
        points: one per threshold.
        events: background events with mass and score.
        missing: background events without.
        is_sculpted: whether any point is; None where none can tell.
        sentence: the verdict.
    """

    edges: tuple[float, ...]
    points: tuple[SculptingPoint, ...]
    events: int
    missing: int
    is_sculpted: bool | None
    sentence: str


def jensen_shannon(first: npt.ArrayLike, second: npt.ArrayLike) -> Floats:
    """Jensen-Shannon divergence of histograms (..., bin) in base 2, shape (...); bins below 0 count as empty.

    With m = (p + q) / 2 it is [sum p log2(p / m) + sum q log2(q / m)] / 2.
    Ref: Lin, IEEE Trans. Inf. Theory 37 (1991) 145.

    >>> jensen_shannon([1, 1, 0, 0], [0, 0, 1, 3]).item(), jensen_shannon([1, 2], [2, 4]).item()
    (1.0, 0.0)
    """
    p, q = (np.maximum(np.asarray(x, dtype=np.float64), 0.0) for x in (first, second))
    p, q = (x / np.maximum(x.sum(axis=-1, keepdims=True), np.finfo(np.float64).tiny) for x in (p, q))
    m = np.where(p + q > 0, p + q, 1.0) / 2
    total = (xlogy(p, p / m) + xlogy(q, q / m)).sum(axis=-1) / (2 * np.log(2))
    return np.asarray(np.clip(total, 0.0, 1.0))


def sculpting(
    mass: npt.ArrayLike,
    score: npt.ArrayLike,
    *,
    thresholds: Sequence[float],
    weight: npt.ArrayLike | None = None,
    edges: npt.ArrayLike | None = None,
    settings: SculptingSettings | None = None,
) -> Sculpting:
    """Compare the mass spectrum of background that passes cuts on a score with that of all background.

    Args:
        mass: of background events, shape (event,); events without one (NaN) are counted and left out.
        score: of the same events, shape (event,).
        thresholds: events pass above them.
        weight: shape (event,); None for ones.
        edges: of the bins of mass; None takes bins of equal background weight.
        settings: bins and draws.

    Raises:
        InvalidEventsError: shapes differ, or a weight or threshold is not finite.
        EmptySelectionError: fewer than 20 background events, or their weights do not sum to a positive number.

    >>> m = np.linspace(0, 1, 4000)
    >>> sculpting(m, m, thresholds=[0.5]).points[0].is_sculpted
    True
    """
    settings = settings or SculptingSettings()
    m, s, w = checked_events(mass, score, weight)
    cuts = np.asarray(thresholds, dtype=np.float64)
    if not len(cuts) or not np.isfinite(cuts).all():
        raise InvalidEventsError(f"thresholds = {list(thresholds)}: expected at least one, all finite")
    known = np.isfinite(m) & np.isfinite(s)
    events = _Events(m[known], s[known], w[known])
    limits = events.quantile_edges(settings.bins) if edges is None else checked_edges(edges)
    places = np.clip(np.searchsorted(limits, events.mass, side="right") - 1, 0, len(limits) - 2)
    random = np.random.default_rng(settings.seed)
    points = tuple(_point(events, places, limits, threshold=float(c), random=random, settings=settings) for c in cuts)
    told = [point.is_sculpted for point in points if point.is_sculpted is not None]
    return Sculpting(
        edges=tuple(limits.tolist()), points=points, events=len(events.mass), missing=int((~known).sum()),
        is_sculpted=any(told) if told else None, sentence=_sentence(points),
    )  # fmt: skip


class _Events:
    """Background events with mass and score, all of shape (event,)."""

    def __init__(self, mass: Floats, score: Floats, weight: Floats) -> None:
        if len(mass) < _FEWEST or not weight.sum() > 0:
            raise EmptySelectionError(
                f"{len(mass)} background events with mass and score, weights summing to {weight.sum():g}: a "
                f"comparison of mass spectra needs at least {_FEWEST} and a positive sum"
            )
        self.mass, self.score, self.weight = mass, score, weight

    def quantile_edges(self, bins: int) -> Floats:
        """Edges of bins of equal weight; fewer where masses are equal."""
        ordered = OrderedScores.of(self.mass, self.weight, "mass")
        cumulative = monotone(ordered.below(ordered.weight))[1:]
        inner = np.searchsorted(cumulative, np.arange(1, bins) / bins)
        edges = np.unique(np.concatenate([ordered.score[:1], ordered.score[inner], ordered.score[-1:]]))
        if len(edges) < 2:
            raise EmptySelectionError(
                f"all {len(self.mass)} background events have mass {edges[0]:g}: nothing to compare"
            )
        return np.asarray(edges)


def _point(
    events: _Events,
    places: npt.NDArray[np.intp],
    edges: Floats,
    *,
    threshold: float,
    random: np.random.Generator,
    settings: SculptingSettings,
) -> SculptingPoint:
    passes, total, bins = events.score > threshold, float(events.weight.sum()), len(edges) - 1
    w = events.weight[passes]
    effective = effective_number(w) if w.sum() > 0 else 0.0
    point = SculptingPoint(
        threshold=threshold, rejection=float(1 - w.sum() / total), passing=len(w), passing_effective=effective
    )
    number = round(len(passes) * effective / effective_number(events.weight))
    if len(w) < _FEWEST or number < 1:
        return point
    everything = np.asarray(np.bincount(places, events.weight, bins), dtype=np.float64)
    there = np.asarray(np.bincount(places[passes], w, bins), dtype=np.float64)
    drawn = np.empty((settings.shuffles, bins))
    for row in drawn:
        chosen = random.choice(len(passes), min(number, len(passes)), replace=False, shuffle=False)
        row[:] = np.bincount(places[chosen], events.weight[chosen], bins)
    divergence, floor = float(jensen_shannon(everything, there)), jensen_shannon(everything, drawn)
    limit = float(np.quantile(floor, 0.95))
    worst = _strongest(everything, there, drawn)
    return point.model_copy(
        update={
            "divergence": divergence, "floor": float(floor.mean()), "floor_95": limit,
            "p_value": float((1 + (floor >= divergence).sum()) / (1 + len(floor))), "is_sculpted": divergence > limit,
            "strongest": (float(edges[worst]), float(edges[worst + 1])),
            "change": float(there[worst] / there.sum() / (everything[worst] / everything.sum())),
        }
    )  # fmt: skip


def _strongest(everything: Floats, there: Floats, drawn: Floats) -> int:
    """The bin whose share of what passes is furthest from that of all background, in units of the draws' spread."""
    shares = drawn / drawn.sum(axis=1, keepdims=True)
    spread = shares.std(axis=0)
    off = there / there.sum() - everything / everything.sum()
    safe = (spread > 0) & (everything > 0)
    return int(np.divide(np.abs(off), spread, out=np.full(len(off), -1.0), where=safe).argmax())


def _sentence(points: tuple[SculptingPoint, ...]) -> str:
    told = [point for point in points if point.is_sculpted is not None]
    if not told:
        return f"Too few background events pass to tell whether the score sculpts the mass: fewer than {_FEWEST}."
    sculpted = [point for point in told if point.is_sculpted]
    if not sculpted:
        point = told[-1]
        return (
            f"The score does not sculpt the mass: up to {point.rejection:.1%} rejection the divergence stays within "
            f"what chance gives ({point.divergence:.2g} bit there, chance up to {point.floor_95:.2g})."
        )
    worst = max(sculpted, key=lambda p: (p.divergence or 0.0) / max(p.floor_95 or 0.0, 1e-300))
    low, high = worst.strongest or (0.0, 0.0)
    return (
        f"The score sculpts the mass: at {worst.rejection:.1%} rejection the spectrum of background that passes "
        f"diverges by {worst.divergence:.2g} bit, where chance gives {worst.floor:.2g} (95 %: {worst.floor_95:.2g}); "
        f"between {low:g} and {high:g} GeV its share changes by a factor of {worst.change:.2g}."
    )


def checked_events(
    mass: npt.ArrayLike, score: npt.ArrayLike, weight: npt.ArrayLike | None
) -> tuple[Floats, Floats, Floats]:
    """Mass, score and weight (ones for None) as arrays of shape (event,).

    Raises:
        InvalidEventsError: shapes differ, or a weight is not finite.
    """
    m, s = (np.asarray(x, dtype=np.float64) for x in (mass, score))
    w = np.ones(m.shape) if weight is None else np.asarray(weight, dtype=np.float64)
    if m.ndim != 1 or m.shape != s.shape or m.shape != w.shape:
        raise InvalidEventsError(
            f"mass, score and weight have shapes {m.shape}, {s.shape} and {w.shape}: expected (event,) for all"
        )
    if not np.isfinite(w).all():
        bad = int(np.flatnonzero(~np.isfinite(w))[0])
        raise InvalidEventsError(f"weight = {w[bad]:g} of event {bad}: expected a finite number")
    return m, s, w
