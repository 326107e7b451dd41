"""A cut on a variable inside a region: yields and significances along it, and where it is best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from anomalon.metrics.estimate import Estimate
from anomalon.search.significance import asimov_significance, simple_significance

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

POINTS = 50
REPLICAS = 500
LEVEL = 0.68


@dataclass(frozen=True)
class Weighted:
    """Values of a variable and weights of events, both of shape (event,)."""

    values: Floats
    weights: Floats

    def __getitem__(self, where: Mask) -> Weighted:
        return Weighted(self.values[where], self.weights[where])

    def above(self, cuts: Floats) -> tuple[Floats, Floats]:
        """Sum of the weights and of their squares at or above each cut, shape (cut,); missing values never pass."""
        place = np.searchsorted(cuts, np.where(np.isnan(self.values), -np.inf, self.values), side="right")
        return tuple(
            np.cumsum(np.bincount(place, w, minlength=len(cuts) + 1)[::-1])[::-1][1:]
            for w in (self.weights, self.weights**2)
        )  # type: ignore[return-value]


@dataclass(frozen=True)
class Scan:
    """Yields and significances above every cut, all of shape (cut,).

    Attributes:
        background_error: statistical.
        uncertainty: statistical and relative, added in quadrature.
        effective: effective background events.
        simple, asimov, uncertain: significances; 0 where no background is expected.
        empty: whether no background is expected.
    """

    cuts: Floats
    signal: Floats
    signal_error: Floats
    background: Floats
    background_error: Floats
    uncertainty: Floats
    effective: Floats
    simple: Floats
    asimov: Floats
    uncertain: Floats

    @property
    def empty(self) -> Mask:
        """Where nothing is expected to be left."""
        return np.asarray(self.background <= 0, dtype=np.bool_)

    def best(self, minimum_effective: float) -> int:
        """Place of the highest significance with the uncertainty, among cuts that leave enough background events."""
        usable = (self.effective >= minimum_effective) & ~self.empty
        if not usable.any():
            return 0
        return int(np.argmax(np.where(usable, self.uncertain, -1.0)))


def scan(signal: Weighted, background: Weighted, cuts: Floats, *, relative: float) -> Scan:
    """Move a lower cut.

    Args:
        signal: events of a region.
        background: the same of the background.
        cuts: increasing, shape (cut,).
        relative: uncertainty of the background, beside its statistical error.
    """
    s, ss = signal.above(cuts)
    b, bb = background.above(cuts)
    sigma = np.sqrt(bb + (relative * np.maximum(b, 0.0)) ** 2)
    usable = b > 0
    safe = np.where(usable, b, 1.0)
    shown = np.where(usable, s, 0.0)
    effective = np.divide(b**2, bb, out=np.zeros(len(cuts)), where=usable & (bb > 0))
    return Scan(
        cuts, s, np.sqrt(ss), b, np.sqrt(bb), sigma, effective,
        np.asarray(simple_significance(shown, safe)),
        np.asarray(asimov_significance(shown, safe)),
        np.asarray(asimov_significance(shown, safe, sigma)),
    )  # fmt: skip


def cut_points(background: Weighted, minimum_effective: float, number: int = POINTS) -> Floats:
    """Cuts that background validation events allow, evenly spaced from their lowest value to the tightest cut."""
    values = background.values[~np.isnan(background.values)]
    if not len(values):
        return np.zeros(1)
    order = np.argsort(-background.values, kind="stable")
    order = order[~np.isnan(background.values[order])]
    b, bb = np.cumsum(background.weights[order]), np.cumsum(background.weights[order] ** 2)
    enough = np.flatnonzero((b > 0) & (b**2 >= minimum_effective * np.maximum(bb, 1e-300)))
    tightest = background.values[order[enough[0]]] if len(enough) else values.min()
    return np.linspace(min(float(values.min()), float(tightest)), float(tightest), number)


def significance_interval(signal: Weighted, background: Weighted, relative: float, seed: int) -> Estimate:
    """Asimov significance of events inside a selection, with its 68 % interval from a Poisson bootstrap."""
    random = np.random.default_rng(seed)
    s, b, bb = [signal.weights.sum()], [background.weights.sum()], [(background.weights**2).sum()]
    for _ in range(REPLICAS):
        own, other = (random.poisson(1.0, len(x.weights)) for x in (signal, background))
        s.append(signal.weights @ own)
        b.append(background.weights @ other)
        bb.append(background.weights**2 @ other)
    left = np.asarray(b) > 0
    safe = np.where(left, b, 1.0)
    sigma = np.sqrt(np.asarray(bb) + (relative * safe) ** 2)
    z = np.asarray(asimov_significance(np.where(left, s, 0.0), safe, sigma))
    low, high = np.quantile(z[1:], (0.5 - LEVEL / 2, 0.5 + LEVEL / 2))
    return Estimate(value=float(z[0]), low=float(low), high=float(high))
