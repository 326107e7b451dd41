"""A spectrum without its fluctuations: the logarithm of the density as a spline, fitted to a histogram."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import BSpline

from anomalon.style.objects import Values

_KNOTS = 10
_DEGREE = 3
_PENALTY = 1e-2
"""Of squared second differences of the coefficients: it decides only where nothing is measured."""
_ROUNDS = 30


def smooth_counts(counts: Values) -> Values:
    """Expected counts in equal bins, shape (bin,), with the same sum and none of their fluctuations.

    Poisson regression of the counts on cubic splines, with knots that are equally filled: a penalised likelihood,
    solved by iterated weighted least squares (Eilers, Marx, Statist. Sci. 11 (1996) 89). Bins outside of the filled
    ones stay empty.

    >>> counts = np.random.default_rng(1).poisson(np.linspace(200.0, 100.0, 50)).astype(float)
    >>> bool(np.abs(smooth_counts(counts) / np.linspace(200.0, 100.0, 50) - 1).max() < 0.1)
    True
    """
    filled = np.flatnonzero(counts > 0)
    if len(filled) < 2 * _KNOTS:
        return counts
    inside = slice(filled[0], filled[-1] + 1)
    n = counts[inside]
    basis = _basis(n)
    differences = np.diff(np.eye(basis.shape[1]), 2, axis=0)
    penalty = _PENALTY * differences.T @ differences
    rate = 0.5 * (n + n.mean())
    for _ in range(_ROUNDS):
        weighted = basis * rate[:, None]
        solved = np.linalg.solve(basis.T @ weighted + penalty, weighted.T @ (np.log(rate) + (n - rate) / rate))
        new = np.exp(np.clip(basis @ solved, -30.0, 30.0))
        done = np.abs(new - rate).max() < 1e-6 * rate.max()
        rate = new
        if done:
            break
    smooth = np.zeros_like(counts)
    smooth[inside] = rate * (n.sum() / rate.sum())
    return smooth


def _basis(counts: Values) -> Values:
    """Splines at the centres of the bins, shape (bin, spline)."""
    centre = np.arange(len(counts)) + 0.5
    share = np.cumsum(counts) / counts.sum()
    inner = np.unique(np.searchsorted(share, np.arange(1, _KNOTS) / _KNOTS)).astype(np.float64)
    inner = inner[(inner > 0.5) & (inner < len(counts) - 0.5)]
    knots = np.concatenate([np.zeros(_DEGREE + 1), inner, np.full(_DEGREE + 1, float(len(counts)))])
    return np.asarray(BSpline.design_matrix(centre, knots, _DEGREE).toarray())
