"""Spectra without their fluctuations: the logarithm of the density as a smooth function, fitted to histograms.

All cells together have a spline; each cell differs from it by a polynomial. So a cell has few parameters of its own,
and nothing on the scale of a resolution is left to fluctuate.
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import BSpline

from anomalon.style.objects import Values

_KNOTS = 6
_DEGREE = 3
_ORDER = 2
"""Of the polynomial of a cell."""
_ROUGHNESS = 1e-2
"""Of squared second differences of the spline's coefficients: it decides only where nothing is measured."""
_PRIOR = 0.25
"""Of squared coefficients of a polynomial, whose size is expected to be about 2."""
_ROUNDS = 50


def smooth_spectra(counts: Values) -> Values:
    """Expected counts by cell and equal bin, shape (cell, bin), with the sums of the cells.

    Poisson regression on cubic splines with equal counts between their knots, a penalised likelihood (Eilers, Marx,
    Statist. Sci. 11 (1996) 89). Bins outside of the filled ones stay empty; too few counts stay as they are.

    Args:
        counts: effective numbers, shape (cell, bin).

    >>> truth = np.linspace(200.0, 100.0, 50)
    >>> counts = np.random.default_rng(1).poisson(truth, (2, 50)).astype(float)
    >>> bool(np.abs(smooth_spectra(counts) / truth - 1).max() < 0.1)
    True
    """
    pooled = counts.sum(axis=0)
    filled = np.flatnonzero(pooled)
    if len(filled) < 2 * _KNOTS:
        return counts
    inside = slice(filled[0], filled[-1] + 1)
    basis = _splines(pooled[inside])
    differences = np.diff(np.eye(basis.shape[1]), 2, axis=0)
    flat = np.full(basis.shape[0], pooled[inside].mean())
    shape = _regression(pooled[inside], basis, _ROUGHNESS * differences.T @ differences, flat)
    powers = np.linspace(-1.0, 1.0, basis.shape[0])[:, None] ** np.arange(_ORDER + 1)
    penalty = _PRIOR * np.diag([0.0, *np.ones(_ORDER)])
    smooth = np.zeros_like(counts)
    for cell, n in enumerate(counts[:, inside]):
        if n.sum() > 0:
            rate = _regression(n, powers, penalty, shape * (n.sum() / shape.sum()))
            smooth[cell, inside] = rate * (n.sum() / rate.sum())
    return smooth


def _regression(counts: Values, basis: Values, penalty: Values, offset: Values) -> Values:
    """Expected counts, offset * exp(basis @ coefficients), by iterated weighted least squares."""
    coefficients, rate = np.zeros(basis.shape[1]), offset
    for _ in range(_ROUNDS):
        hessian = basis.T @ (basis * rate[:, None]) + penalty
        step = np.linalg.solve(hessian, basis.T @ (counts - rate) - penalty @ coefficients)
        step *= min(1.0, 1.0 / max(float(np.abs(basis @ step).max()), 1e-12))  # by a factor e at most
        coefficients = coefficients + step
        rate = offset * np.exp(np.clip(basis @ coefficients, -50.0, 50.0))
        if np.abs(basis @ step).max() < 1e-6:
            break
    return np.asarray(rate)


def _splines(counts: Values) -> Values:
    """Splines at the centres of the bins, shape (bin, spline)."""
    centre = np.arange(len(counts)) + 0.5
    share = np.cumsum(counts) / counts.sum()
    inner = np.unique(np.searchsorted(share, np.arange(1, _KNOTS) / _KNOTS)).astype(np.float64)
    inner = inner[(inner > 0.5) & (inner < len(counts) - 0.5)]
    knots = np.concatenate([np.zeros(_DEGREE + 1), inner, np.full(_DEGREE + 1, float(len(counts)))])
    return np.asarray(BSpline.design_matrix(centre, knots, _DEGREE).toarray())
