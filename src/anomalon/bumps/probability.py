"""Probability of at least so many events, for a known and for an uncertain expectation, in logarithms.

With an expectation b the probability is P(N >= n | b) = P(n, b), the regularised lower incomplete gamma function.
Where b itself is only known to a variance V it is averaged over a gamma distribution of that mean and variance, and N
is negative binomial: P(N >= n | b, V) = I_x(n, b^2 / V) with x = V / (b + V), the regularised incomplete beta function.
Both are continuous in n, so that Asimov spectra, which have fractions of events, have a probability as well.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaln, gammainc, gammaln, ndtri_exp, xlog1py, xlogy

Floats = npt.NDArray[np.float64]

_KNOWN = 1e-10
"""Variances below this part of the expectation change no digit that counts."""
_SMALL = 1e-280
"""Probabilities below this are computed as logarithms: they would soon be 0."""


def log_excess_probability(n: npt.ArrayLike, mean: npt.ArrayLike, variance: npt.ArrayLike = 0.0) -> Floats:
    """Ln P(N >= n) for an expectation with a variance of its own; finite wherever n is, 0 for n = 0.

    Args:
        n: events, >= 0, any shape; need not be whole.
        mean: expectation, > 0, broadcast against n.
        variance: of the expectation itself, >= 0, broadcast as well.

    Ref: Choudalakis, arXiv:1101.0390, sec. 2; with a variance Cousins, Linnemann, Tucker, arXiv:physics/0702156.

    >>> float(np.exp(log_excess_probability(1, 2.0)).round(4)), float(log_excess_probability(0, 2.0))
    (0.8647, 0.0)
    >>> bool(np.isfinite(log_excess_probability(10_000, 2.0)))
    True
    """
    n, mean, variance = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (n, mean, variance)))
    result = np.zeros(n.shape)
    some = n > 0
    known = some & (variance <= _KNOWN * mean)
    result[known] = _log_poisson(n[known], mean[known])
    unsure = some & ~known
    result[unsure] = _log_averaged(n[unsure], mean[unsure], variance[unsure])
    return result


def significance_of(log_p: npt.ArrayLike) -> Floats:
    """Standard deviations of a normal distribution above which a probability lies, from its logarithm.

    >>> significance_of(np.log(0.5)).round(6) + 0.0, significance_of(-1000.0).round(2)
    (np.float64(0.0), np.float64(44.62))
    """
    return -np.asarray(ndtri_exp(np.asarray(log_p, dtype=np.float64)), dtype=np.float64)


def _log_poisson(n: Floats, mean: Floats) -> Floats:
    first = xlogy(n, mean) - mean - gammaln(n + 1)
    return _log(gammainc(n, mean), first, n, np.zeros(n.shape), mean)


def _log_averaged(n: Floats, mean: Floats, variance: Floats) -> Floats:
    shape, x = mean * mean / variance, variance / (mean + variance)
    # ln of the probability of exactly n; 1 - x = mean / (mean + variance)
    first = xlogy(n, x) + xlog1py(shape, -x) - np.log(n) - betaln(n, shape)
    return _log(betainc(n, shape, x), first, n, x, x * shape)


def _log(p: Floats, first: Floats, n: Floats, x: Floats, start: Floats) -> Floats:
    """Logarithm of p, from the series of P(N = n), P(N = n + 1), ... where p is too small to be held.

    The ratio of two terms is (start + x (n + j)) / (n + j + 1): x = 0 and start = b for a Poisson distribution.
    """
    small = p < _SMALL
    result = np.log(np.where(small, 1.0, p))
    if small.any():
        n, x, start = n[small], x[small], start[small]
        term, total = np.ones(n.shape), np.ones(n.shape)
        for j in itertools.count():
            term = term * (start + x * (n + j)) / (n + j + 1)
            total += term
            if (term < 1e-16 * total).all():
                break
        result[small] = first[small] + np.log(total)
    return np.minimum(result, 0.0)
