"""Masses of pairs of objects, which tell a resolution better than falling spectra: W -> jets, Z -> leptons stand out.

The objects of the source are scaled and smeared one by one and cut like the target's, and the masses of all pairs of an
event are compared with the target's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from anomalon.distortions.flat import Mask
from anomalon.kinematics import pair_mass
from anomalon.style.objects import Chosen, Ints, Values

RANGE = (30.0, 250.0)
"""Masses in GeV: the bosons, with their surroundings."""
_BINS = 25
_NEIGHBOURS = 4
"""Each object is paired with so many softer ones at most."""
FEWEST = 1000
"""Pairs of a sample; fewer tell nothing."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of objects of the same event.

    Attributes:
        first, second: places among the objects, shape (pair,).
        squares: squared masses of the first and of the second object, and of the pair less these two, GeV^2, shape
            (3, pair).
    """

    first: Ints
    second: Ints
    squares: Values

    @classmethod
    def of(cls, found: Chosen) -> Self:
        """All pairs; of jets those without a b-tag, where there are tags."""
        columns = {name: found.column(name) for name in ("pt", "eta", "phi", "mass")}
        order = np.lexsort((-found.pt, found.owner))
        if found.has("btag") and not found.column("btag").all():
            order = order[found.column("btag")[order] == 0]
        steps = [(order[:-k], order[k:]) for k in range(1, _NEIGHBOURS + 1) if len(order) > k]
        pairs = [np.stack(step)[:, found.owner[step[0]] == found.owner[step[1]]] for step in steps]
        first, second = np.concatenate(pairs, axis=1) if pairs else np.zeros((2, 0), dtype=np.int64)
        one, two = (tuple(columns[c][at] for c in ("pt", "eta", "phi", "mass")) for at in (first, second))
        mass = pair_mass(one, two) if len(first) else np.zeros(0)
        squares = np.stack([one[3] ** 2, two[3] ** 2, mass**2 - one[3] ** 2 - two[3] ** 2])
        return cls(first, second, squares)

    def taken(self, where: Mask) -> Self:
        """The pairs of a mask."""
        return replace(self, first=self.first[where], second=self.second[where], squares=self.squares[:, where])

    def masses(self, factor: Values) -> Values:
        """Masses in GeV of the pairs when each object's four-vector is multiplied by a factor, shape (pair,)."""
        a, b = factor[self.first], factor[self.second]
        one, two, both = self.squares
        return np.asarray(np.sqrt(np.maximum(one * a * a + two * b * b + both * a * b, 0.0)))


@dataclass(frozen=True)
class Broadening:
    """One number of the spectrum of pair masses that answers to a resolution as no other does.

    Each pair scores by its mass: by the relative difference of the source's spectra with and without a resolution, an
    optimal observable (Atwood, Soni, Phys. Rev. D 45 (1992) 2405). The mean score of the target is compared with that
    of the source. Either half of the source's events is scored by the other half: its own fluctuations would make
    scores that it always has. Pairs of an event are not independent, so events are the unit of the variance.

    Attributes:
        before: the source's objects.
        pairs: of them.
        lowest: the cut on pT in GeV.
        scores: by half of the source's events and bin of the mass, shape (2, bin).
        target: mean score of the target.
        variance: of the difference of both means.
    """

    before: Chosen
    pairs: Pairs
    lowest: float
    scores: Values
    target: float
    variance: float

    @classmethod
    def of(cls, before: Chosen, after: Chosen, lowest: float, *, sharp: Values, smeared: Values) -> Self | None:
        """Scores from the source's pT (GeV, shape (object,)) without and with a resolution, and the target's mean.

        None where there are too few pairs to tell anything.
        """
        pairs, others = Pairs.of(before), Pairs.of(after)
        spectra = [_spectra(pairs, before, pt, lowest) for pt in (sharp, smeared)]
        if min(float(numbers.sum(axis=1).min()) for numbers in spectra) <= 0:
            return None
        a, b = (numbers / numbers.sum(axis=1, keepdims=True) for numbers in spectra)
        scores = np.divide(b - a, a + b, out=np.zeros_like(a), where=a + b > 0)[::-1]
        everyone = np.broadcast_to(scores.mean(axis=0), scores.shape)
        source = _mean_score(pairs, before, sharp, lowest, scores)
        target = _mean_score(others, after, after.pt, lowest, everyone)
        if min(source[2], target[2]) < FEWEST:
            return None
        return cls(before, pairs, lowest, scores, target[0], source[1] + target[1])

    def distance(self, pt: Values) -> float:
        """Squared difference of the mean scores in its variance, when the source's pT (GeV) has become ``pt``."""
        mean, _, n = _mean_score(self.pairs, self.before, pt, self.lowest, self.scores)
        return (self.target - mean) ** 2 / self.variance if n > 0 else float("inf")


def _kept(pairs: Pairs, found: Chosen, pt: Values, lowest: float) -> tuple[Pairs, Ints, Values]:
    """Pairs above the cut and within the range of masses, their bins and weights."""
    passes = pt >= lowest
    chosen = pairs.taken(passes[pairs.first] & passes[pairs.second])
    edges = np.geomspace(*RANGE, _BINS + 1)
    at = np.searchsorted(edges, chosen.masses(pt / found.pt), side="right") - 1
    inside = (at >= 0) & (at < _BINS)
    chosen = chosen.taken(inside)
    return chosen, at[inside], found.weight[chosen.first]


def _spectra(pairs: Pairs, found: Chosen, pt: Values, lowest: float) -> Values:
    """Weight by half of the events and bin of the mass, shape (2, bin)."""
    chosen, at, weight = _kept(pairs, found, pt, lowest)
    half = found.owner[chosen.first] % 2
    return np.asarray(np.bincount(half * _BINS + at, weight, minlength=2 * _BINS).reshape(2, _BINS), dtype=np.float64)


def _mean_score(pairs: Pairs, found: Chosen, pt: Values, lowest: float, scores: Values) -> tuple[float, float, int]:
    """Mean score of the pairs, its variance from event to event, and the number of pairs."""
    chosen, at, weight = _kept(pairs, found, pt, lowest)
    total = float(weight.sum())
    if not total > 0:
        return 0.0, 0.0, 0
    score = scores[found.owner[chosen.first] % 2, at]
    mean = float(weight @ score) / total
    per_event = np.bincount(found.owner[chosen.first], weight * (score - mean))
    return mean, float(per_event @ per_event) / total**2, len(at)
