"""What is measured of scores of two classes.

Both classes count the same, and a cut judges other events than those that it was chosen on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from scipy.stats import ks_2samp

from anomalon import metrics
from anomalon.metrics.estimate import Estimate
from anomalon.metrics.ordered import OrderedScores, ScorePair, replicas
from anomalon.search import cut_scan
from anomalon.search.classification import (
    Expected,
    Overtraining,
    Rejection,
    Reliability,
    RocPoints,
    ScoreHistogram,
    Sides,
)
from anomalon.search.significance import asimov_significance

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

BINS = 40
RELIABILITY_BINS = 10
RELIABILITY_EVENTS = 25
"""Events of a bin below which its fraction of signal is not shown."""
MINIMUM_BACKGROUND = 10.0
"""Effective background events that a cut must leave where it is chosen."""
LEVELS = {0.68: (0.16, 0.84), 0.95: (0.025, 0.975)}
LOWEST = -1e30
"""Score of an event that lacks the variable: the least like signal."""


@dataclass(frozen=True)
class Scored:
    """Scores of events of both classes.

    Attributes:
        score: finite, higher is more like signal, shape (event,).
        labels: 0 background, 1 signal, shape (event,).
        weights: shape (event,).
        group: fold of each event; of test events -1 where they are separate, shape (event,).
    """

    score: Floats
    labels: Ints
    weights: Floats
    group: Ints

    def __getitem__(self, rows: Mask) -> Scored:
        return Scored(self.score[rows], self.labels[rows], self.weights[rows], self.group[rows])

    @property
    def sides(self) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
        """Scores and weights of background, and of signal."""
        b, s = self.labels == 0, self.labels == 1
        return (self.score[b], self.weights[b]), (self.score[s], self.weights[s])

    @property
    def balanced(self) -> Floats:
        """Weights of which either class has the sum one half, shape (event,)."""
        sums = np.bincount(self.labels, self.weights, minlength=2)
        return self.weights / (2.0 * sums[self.labels])


@dataclass(frozen=True)
class Judged:
    """A score on the events where cuts are chosen, and on those that are judged.

    Attributes:
        chosen_on: held-out scores of the training events.
        tested: the same events, or separate ones.
    """

    chosen_on: Scored
    tested: Scored

    def cuts(self, choose: Callable[[Scored, float], float]) -> Floats:
        """Cut for each test event, chosen on events of other folds; ``choose`` hears for how many each stands."""
        found = np.empty(len(self.tested.score))
        for group in np.unique(self.tested.group):
            rows = self.chosen_on.group != group
            found[self.tested.group == group] = choose(self.chosen_on[rows], len(rows) / max(rows.sum(), 1))
        return found


def best_accuracy_cut(scored: Scored) -> tuple[float, float]:
    """The cut ``score >= cut`` of the highest accuracy and that accuracy; halfway between two scores.

    >>> values = np.array([0.0, 1.0, 2.0, 3.0])
    >>> best_accuracy_cut(Scored(values, np.array([0, 0, 1, 1]), np.ones(4), np.zeros(4, dtype=int)))
    (1.5, 1.0)
    """
    order = np.argsort(scored.score, kind="stable")
    score, signed = scored.score[order], np.where(scored.labels == 0, 1.0, -1.0)[order] * scored.balanced[order]
    right = 0.5 + np.r_[0.0, np.cumsum(signed)]  # everything above the cut is called signal
    allowed = np.r_[True, np.diff(score) > 0, True]
    best = int(np.argmax(np.where(allowed, right, -1.0)))
    ends = np.r_[score[0] - 1.0, 0.5 * (score[1:] + score[:-1]), score[-1] + 1.0]
    return float(ends[best]), float(right[best])


def correct(scored: Scored, cuts: float | Floats) -> Mask:
    """Whether each event is on its side of the cut, shape (event,)."""
    return np.asarray((scored.score >= cuts) == (scored.labels == 1))


def accuracy(scored: Scored, right: Mask) -> Estimate:
    """Mean of both classes' shares of right answers, with its 68 % interval (normal, effective numbers)."""
    shares, variances = [], []
    for label in (0, 1):
        rows = scored.labels == label
        w = scored.weights[rows]
        share = float(w[right[rows]].sum() / w.sum())
        shares.append(share)
        variances.append(max(share * (1 - share), 0.0) / max(metrics.effective_number(w), 1.0))
    value, error = float(np.mean(shares)), 0.5 * float(np.sqrt(sum(variances)))
    return Estimate(value=value, low=value - error, high=value + error)


def accuracy_difference(scored: Scored, first: Mask, second: Mask) -> Estimate:
    """Accuracy of one minus that of another on the same events, with its 95 % interval."""
    value, variance = 0.0, 0.0
    difference = first.astype(np.float64) - second
    for label in (0, 1):
        rows = scored.labels == label
        w = scored.weights[rows] / scored.weights[rows].sum()
        mean = float(w @ difference[rows])
        value += 0.5 * mean
        variance += 0.25 * float(w**2 @ (difference[rows] - mean) ** 2)
    half = 1.96 * float(np.sqrt(variance))
    return Estimate(value=value, low=value - half, high=value + half)


@dataclass(frozen=True)
class Replicas:
    """AUC and background efficiency of a score: the value itself, then those of the replicas, shape (1 + n,)."""

    auc: Floats
    left: Floats


def replicated(scored: Scored, *, signal_efficiency: float, number: int, seed: int) -> Replicas:
    """Bootstrap a score; all scores of the same events see the same replicas."""
    (b, wb), (s, ws) = scored.sides
    background, signal = OrderedScores.of(b, wb, "background"), OrderedScores.of(s, ws, "signal")
    pair = ScorePair(background, signal)
    drawn = [(background.weight, signal.weight), *replicas(background, signal, number=number, seed=seed)]
    figures = []
    for own, other in drawn:
        place = np.searchsorted(background.score, _keeping(signal, other, signal_efficiency), side="left")
        figures.append((pair.auc(own, other), float(background.passing(own)[place])))
    areas, left = np.asarray(figures).T
    return Replicas(areas, left)


def _keeping(signal: OrderedScores, weight: Floats, efficiency: float) -> float:
    """The tightest cut that keeps so much of the signal; of equal scores all pass, so that it may keep more."""
    enough = np.searchsorted(-signal.passing(weight), -efficiency * (1 - 1e-9), side="right")
    return float(signal.score[max(int(enough) - 1, 0)])


def interval(values: Floats, level: float = 0.68) -> Estimate:
    """The first value, with the interval of the others, widened where needed to hold it."""
    known = values[1:][np.isfinite(values[1:])]
    if not len(known):
        return Estimate(value=float(values[0]))
    low, high = np.quantile(known, LEVELS[level])
    return Estimate(value=float(values[0]), low=min(float(low), values[0]), high=max(float(high), values[0]))


def rejection(scored: Scored, own: Replicas, baseline: Replicas, signal_efficiency: float) -> Rejection:
    """Background that is left, and by how much less than behind the baseline's cut.

    Where no background is left, the gain is that of one event.
    """
    (b, wb), (s, ws) = scored.sides
    signal = OrderedScores.of(s, ws, "signal")
    cut = _keeping(signal, signal.weight, signal_efficiency)
    one = float(np.abs(wb).mean() / wb.sum())
    gain = baseline.left / np.maximum(own.left, one)
    left = int((b >= cut).sum())
    return Rejection(background_efficiency=interval(own.left), background_left=left, gain=interval(gain))


def expected(judged: Judged, relative: float) -> Expected:
    """Yields and significance behind cuts that are the most significant ones on other events."""

    def choose(scored: Scored, scale: float) -> float:
        (b, wb), (s, ws) = scored.sides
        background, signal = cut_scan.Weighted(b, wb * scale), cut_scan.Weighted(s, ws * scale)
        cuts = cut_scan.cut_points(background, MINIMUM_BACKGROUND)
        return float(cuts[cut_scan.scan(signal, background, cuts, relative=relative).best(MINIMUM_BACKGROUND)])

    scored = judged.tested
    kept = scored.score >= judged.cuts(choose)
    w = [scored.weights[kept & (scored.labels == label)] for label in (0, 1)]
    b, s = float(w[0].sum()), float(w[1].sum())
    sigma = float(np.sqrt((w[0] ** 2).sum() + (relative * b) ** 2))
    z = float(asimov_significance(s, b, sigma)) if b > 0 else 0.0
    return Expected(significance=z, yields=Sides(background=b, signal=s), uncertainty=sigma)


def overtraining(held: Scored, trained: Floats) -> Overtraining:
    """Compare the scores (fold, event) of training events with held-out ones, fold by fold."""
    areas, distances, chances = [], [], []
    for fold, scores in enumerate(trained):
        rows, own = np.isfinite(scores), held.group == fold
        seen = replace(held[rows], score=scores[rows])
        areas.append((_auc(seen), _auc(held[own])))
        tests = [ks_2samp(seen.sides[k][0], held[own].sides[k][0]) for k in (0, 1)]
        distances.append([test.statistic for test in tests])
        chances.append([test.pvalue for test in tests])
    seen_auc, held_auc = np.mean(areas, axis=0)
    distance, chance = np.mean(distances, axis=0), np.median(chances, axis=0)
    far, chance_of = (Sides(background=float(x[0]), signal=float(x[1])) for x in (distance, chance))
    difference = float(seen_auc - held_auc)
    return Overtraining(train_auc=float(seen_auc), difference=difference, distance=far, p_value=chance_of)


def histogram(held: Scored, trained: Floats) -> ScoreHistogram:
    """Densities of the probability that belongs to the log odds, in training and held out."""
    edges = np.linspace(0.0, 1.0, BINS + 1)
    columns: dict[str, tuple[float, ...]] = {}
    for label, name in ((0, "background"), (1, "signal")):
        rows = held.labels == label
        seen = trained[:, rows]
        weights = np.broadcast_to(held.weights[rows], seen.shape)[np.isfinite(seen)]
        density, _ = _density(expit(seen[np.isfinite(seen)]), weights, edges)
        columns[f"train_{name}"] = density
        density, error = _density(expit(held.score[rows]), held.weights[rows], edges)
        columns |= {f"test_{name}": density, f"test_{name}_error": error}
    return ScoreHistogram(edges=tuple(edges.tolist()), **columns)


def reliability(held: Scored, probability: Floats) -> Reliability:
    """Whether calibrated probabilities, and those of the log odds themselves, are fractions of signal."""
    predicted, observed, error = _reliability(held, probability)
    *_, raw_error = _reliability(held, expit(held.score))
    return Reliability(
        predicted=predicted, observed=observed, error=error, raw_error=raw_error,
        brier=_brier(held, probability), raw_brier=_brier(held, expit(held.score)),
    )  # fmt: skip


def roc(scored: Scored) -> RocPoints:
    """A thinned ROC curve."""
    (b, wb), (s, ws) = scored.sides
    curve = metrics.roc_curve(b, s, background_weights=wb, signal_weights=ws).thinned()
    return RocPoints(
        background_efficiency=tuple(curve.background_efficiency.tolist()),
        signal_efficiency=tuple(curve.signal_efficiency.tolist()),
    )


def _auc(scored: Scored) -> float:
    (b, wb), (s, ws) = scored.sides
    return metrics.auc(b, s, background_weights=wb, signal_weights=ws)


def _density(values: Floats, weights: Floats, edges: Floats) -> tuple[tuple[float, ...], tuple[float, ...]]:
    sums, _ = np.histogram(values, edges, weights=weights)
    squares, _ = np.histogram(values, edges, weights=weights**2)
    scale = 1.0 / (float(weights.sum()) * np.diff(edges))
    return tuple((sums * scale).tolist()), tuple((np.sqrt(squares) * scale).tolist())


def _reliability(held: Scored, probability: Floats) -> tuple[tuple[float, ...], tuple[float, ...], float]:
    w = held.balanced
    place = np.minimum((probability * RELIABILITY_BINS).astype(np.int64), RELIABILITY_BINS - 1)
    share, number = np.bincount(place, w), np.bincount(place)
    used = share > 0
    predicted, observed = (np.bincount(place, w * x)[used] / share[used] for x in (probability, held.labels))
    error = float(share[used] @ np.abs(predicted - observed) / share.sum())
    shown = number[used] >= RELIABILITY_EVENTS
    return tuple(predicted[shown].tolist()), tuple(observed[shown].tolist()), error


def _brier(held: Scored, probability: Floats) -> float:
    return float(held.balanced @ (probability - held.labels) ** 2)
