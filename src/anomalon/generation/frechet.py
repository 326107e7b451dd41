"""Frechet-type distance of derived quantities: Gaussians of equal mean and covariance, compared.

d^2 = |mu1 - mu2|^2 + Tr(S1 + S2 - 2 (S1 S2)^(1/2)) of standardised quantities, energies by their logarithm (the choice
of features is ours; the idea is the Frechet physics distance of Kansal et al., arXiv:2211.10295). It is biased upwards
by c / N: with both halves of the samples the bias is measured and taken off, 2 d^2(N) - d^2(N / 2), so that the floor
is zero within its interval. Coordinates end at five standard deviations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anomalon.generation.derived import ENERGIES, QUANTITIES, Derived
from anomalon.generation.flatten import Floats
from anomalon.generation.splits import Measure, Prepared

COMMON = 0.2
"""Fraction of the events that must have a quantity for it to be an axis: what is filled in tells nothing."""
_PEAKS = ("m_W_peak", "m_top_peak")
_SMALLEST = 1.0
"""GeV: logarithms start here, or the few events with less would be all of the covariance."""
_FAR = 5.0
"""Standard deviations at which coordinates end: tails are judged by their pulls, here they would only add noise."""
_HALVINGS = 4
_NEAR = 0.02
"""Bar of the corrected distance: one quantity shifted by 0.14 standard deviations."""


@dataclass(frozen=True)
class Standard:
    """A space of derived quantities in which distances mean something.

    Attributes:
        names: of the quantities that enough events have.
        fill: for events without one.
        mean, width: of the reference events.
    """

    names: tuple[str, ...]
    fill: Floats
    mean: Floats
    width: Floats

    @classmethod
    def of(cls, reference: Derived) -> Standard:
        """Fix the space by real events."""
        shares = {n: len(reference.present(n)) / max(len(reference), 1) for n in QUANTITIES if n not in _PEAKS}
        names = tuple(name for name, share in shares.items() if share >= COMMON)
        raw = np.stack([_compressed(name, reference.column(name)) for name in names], axis=1)
        fill = np.nanmedian(raw, axis=0)
        filled = np.where(np.isfinite(raw), raw, fill)
        width = filled.std(axis=0)
        return cls(names, fill, filled.mean(axis=0), np.where(width > 0, width, 1.0))

    def __call__(self, derived: Derived) -> Floats:
        """Coordinates of events, shape (event, quantity)."""
        raw = np.stack([_compressed(name, derived.column(name)) for name in self.names], axis=1)
        scaled = (np.where(np.isfinite(raw), raw, self.fill) - self.mean) / self.width
        return np.asarray(np.clip(scaled, -_FAR, _FAR))


def frechet_measure() -> tuple[Measure, Measure]:
    """The distance at this size, whose floor is a scale, and the corrected one, whose floor is zero."""
    plain = Measure(_plain, {"frechet": "Frechet distance at this size"}, "structure")
    titles = {"frechet_corrected": "Frechet distance, bias taken off"}
    return plain, Measure(_corrected, titles, "structure", {"frechet_corrected": _NEAR}, kind="offset")


def frechet_distance(first: Floats, second: Floats) -> float:
    """Squared Frechet distance of two samples, shape (event, quantity) each, taken as Gaussian.

    >>> x = np.random.default_rng(0).normal(size=(1000, 2))
    >>> round(frechet_distance(x, x + [1.0, 0.0]), 6)
    1.0
    """
    s1, s2 = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    values, vectors = np.linalg.eigh(s1)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    product = np.linalg.eigvalsh(root @ s2 @ root)
    shift = first.mean(axis=0) - second.mean(axis=0)
    cross = np.sqrt(np.maximum(product, 0.0)).sum()
    return float(max(shift @ shift + np.trace(s1) + np.trace(s2) - 2 * cross, 0.0))


def _plain(real: Prepared, generated: Prepared, _: int) -> dict[str, float]:
    space = Standard.of(real.derived)
    return {"frechet": frechet_distance(space(real.derived), space(generated.derived))}


def _corrected(real: Prepared, generated: Prepared, seed: int) -> dict[str, float]:
    space, rng = Standard.of(real.derived), np.random.default_rng([seed, 3])
    a, b = space(real.derived), space(generated.derived)
    halves = []
    for _ in range(_HALVINGS):
        mixed = rng.permutation(a), rng.permutation(b)
        halves += [frechet_distance(mixed[0][i::2], mixed[1][i::2]) for i in (0, 1)]
    return {"frechet_corrected": 2 * frechet_distance(a, b) - float(np.mean(halves))}


def _compressed(name: str, values: Floats) -> Floats:
    return np.log(np.maximum(values, _SMALLEST)) if name in ENERGIES else values
