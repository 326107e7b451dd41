"""Test statistics of signal strengths, their asymptotic p-values, and curves turned into limits.

- Upper limits: q_mu = -2 ln L(mu) / L(mu_hat) with mu_hat >= 0, and 0 where mu_hat > mu; this is the statistic q~ of
  arXiv:1007.1727, eq. 16, with its distributions, eqs. 64-66.
- Discovery: q_0 = -2 ln L(0) / L(mu_hat), and 0 where mu_hat < 0; Z = sqrt(q_0), eqs. 12 and 52.
- Bands: the value of q~ on background-only Asimov data, q_A, gives the expected CLs at N standard deviations of the
  background, (1 - Phi(sqrt(q_A) - N)) / Phi(N), eq. 89 with Read, J. Phys. G 28 (2002) 2693.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import norm

from anomalon.likelihood.fits import Fit, fit, hold
from anomalon.likelihood.model import Data, Floats, Likelihood

BANDS = (-2, -1, 0, 1, 2)
"""Standard deviations of the background for which limits are expected."""
_ZERO = 1e-6
"""Limits below this part of the likely value are 0."""
_ROUNDS, _PARTS = 3, 6
"""A bracket is cut into so many parts, so many times."""


def best(likelihood: Likelihood, data: Data) -> Fit:
    """Fit of all parameters with a signal strength of at least 0."""
    return fit(likelihood, data, start=likelihood.start(len(data), mu=likelihood.scale))


def at(likelihood: Likelihood, data: Data, mu: Floats | float, *, near: Fit | None = None) -> Fit:
    """Fit of the others at given signal strengths, of shape () or (set,), started from another fit."""
    start = likelihood.start(len(data), mu=0.0) if near is None else near.theta.copy()
    start[:, 0] = mu
    return fit(likelihood, data, start=start, held=hold(likelihood, 0))


def upper_statistic(likelihood: Likelihood, data: Data, mu: Floats | float, *, free: Fit) -> Floats:
    """q~ of every data set at its signal strength, given its free fit; shape (set,)."""
    fixed = at(likelihood, data, mu, near=free)
    return np.where(free.mu > mu, 0.0, np.maximum(2.0 * (fixed.nll - free.nll), 0.0))


def discovery_statistic(likelihood: Likelihood, data: Data, *, free: Fit) -> Floats:
    """q_0 of every data set, given its free fit; shape (set,)."""
    none = at(likelihood, data, 0.0)
    return np.where(free.mu > 0, np.maximum(2.0 * (none.nll - free.nll), 0.0), 0.0)


def log_tails(q: Floats, q_asimov: Floats) -> tuple[Floats, Floats]:
    """Ln CLs+b and ln CLb of observed q~, given those of background-only Asimov data."""
    root, asimov = np.sqrt(q), np.sqrt(np.maximum(q_asimov, 1e-24))
    distance = np.where(root <= asimov, root - asimov, 0.5 * (q - asimov**2) / asimov)
    return norm.logsf(distance + asimov), norm.logsf(distance)


def band_targets(method: str, confidence: float) -> Floats:
    """sqrt(q_A) at the expected limits of the bands, shape (5,); negative where everything is excluded.

    >>> band_targets("CLs", 0.95).round(3).tolist()
    [1.052, 1.412, 1.96, 2.727, 3.656]
    """
    n = np.asarray(BANDS, dtype=np.float64)
    tail = (1.0 - confidence) * (norm.cdf(n) if method == "CLs" else 1.0)
    return np.asarray(n + norm.isf(tail))


def invert(curve: Callable[[Floats], Floats], targets: Floats, *, start: float, maximum: float) -> list[float | None]:
    """Signal strengths from which on a rising curve stays above targets.

    The range grows by factors of two on both sides until all targets are inside.

    Args:
        curve: of an array of signal strengths.
        targets: shape (target,).
        start: a likely value.
        maximum: where the search ends.

    Returns:
        Per target the signal strength; None if the curve is below it at the maximum, 0 if it is above it everywhere.

    >>> [f"{x:.4g}" for x in invert(lambda mu: mu**2, np.array([4.0, 9e6]), start=1.0, maximum=1e9)]
    ['2', '3000']
    """
    mu = np.unique(np.minimum(min(start, maximum) * 2.0 ** np.arange(-3.0, 4.0), maximum))
    value = curve(mu)
    while value[-1] < targets.max() and mu[-1] < maximum:
        more = np.minimum(mu[-1] * 2.0 ** np.arange(1.0, 7.0), maximum)
        mu, value = np.append(mu, more), np.append(value, curve(more))
    while value[0] > targets.min() and mu[0] > _ZERO * start:
        more = mu[0] * 2.0 ** np.arange(-6.0, 0.0)
        mu, value = np.append(more, mu), np.append(curve(more), value)
    return _refined(curve, targets, mu, value)


def _refined(curve: Callable[[Floats], Floats], targets: Floats, mu: Floats, value: Floats) -> list[float | None]:
    """Cut the brackets of all targets into parts, all with one call, and interpolate in the last."""
    for _ in range(_ROUNDS):
        inner = [np.linspace(a[0], b[0], _PARTS + 1)[1:-1] for a, b in _brackets(targets, mu, value) if a and b]
        more = np.unique(np.concatenate(inner)) if inner else np.empty(0)
        if not len(more):
            break
        order = np.argsort(mu := np.append(mu, more), kind="stable")
        mu, value = mu[order], np.append(value, curve(more))[order]
    found: list[float | None] = []
    for target, (a, b) in zip(targets, _brackets(targets, mu, value), strict=True):
        if a and b:
            found.append(float(a[0] + (b[0] - a[0]) * (target - a[1]) / (b[1] - a[1])))
        else:
            found.append(0.0 if b else None)
    return found


Place = tuple[float, float]


def _brackets(targets: Floats, mu: Floats, value: Floats) -> list[tuple[Place | None, Place | None]]:
    """Per target the last point below it and the next one; None where there is none."""
    pairs: list[tuple[Place | None, Place | None]] = []
    for target in targets:
        below = np.flatnonzero(value < target)
        last = int(below[-1]) if len(below) else -1
        left = (float(mu[last]), float(value[last])) if last >= 0 else None
        right = (float(mu[last + 1]), float(value[last + 1])) if last + 1 < len(mu) else None
        pairs.append((left, right))
    return pairs
