"""Rank correlations of derived quantities: what one-dimensional distances cannot see."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy.stats import rankdata

from anomalon.generation.derived import QUANTITIES, Derived
from anomalon.generation.flatten import Floats, Ints
from anomalon.generation.splits import Measure, Prepared
from anomalon.generation.validation import Correlation

PAIRED = tuple(name for name in QUANTITIES if not name.endswith("_peak"))
"""A window of a quantity is no quantity of its own."""
_VERSIONS = {("balance", "balance_calo")}
"""Pairs that are the same number in most events: their difference is no Gaussian."""
FEWEST = 200
"""Events with both quantities below which a correlation is left out."""
_MOST = 0.999
_SPEARMAN = 1.06
"""Variance of Fisher's z of a rank correlation, times n - 3 (Fieller, Hartley, Pearson 1957)."""


def correlation_measure() -> Measure:
    """Root mean square difference of all rank correlations."""
    titles = {"correlations": "RMS difference of rank correlations"}
    return Measure(_compute, titles, "structure")


def rank_correlations(derived: Derived) -> tuple[Floats, Ints]:
    """Spearman correlations of the events that have both quantities, and their number, shape (quantity, quantity).

    Ranks are taken among all events that have a quantity. NaN where fewer than :data:`FEWEST` have both.
    """
    ranks = np.stack([_ranks(derived.column(name)) for name in PAIRED], axis=1)
    there = np.isfinite(ranks)
    x, mask = np.where(there, ranks, 0.0), there.astype(np.float64)
    n = mask.T @ mask
    mean = x.T @ mask / np.maximum(n, 1)  # of the row's quantity, where the column's is there too
    covariance = x.T @ x / np.maximum(n, 1) - mean * mean.T
    variance = (x * x).T @ mask / np.maximum(n, 1) - mean**2
    scale = np.sqrt(np.maximum(variance * variance.T, 0.0))
    good = (n >= FEWEST) & (scale > 1e-12)
    return np.where(good, covariance / np.where(good, scale, 1.0), np.nan), n.astype(np.int64)


def largest_differences(real: Derived, generated: Derived, most: int = 10) -> tuple[Correlation, ...]:
    """The pairs whose correlations differ most against their error."""
    (a, n_a), (b, n_b) = rank_correlations(real), rank_correlations(generated)
    found = []
    for i, j in combinations(range(len(PAIRED)), 2):
        if np.isfinite(a[i, j]) and np.isfinite(b[i, j]) and (PAIRED[i], PAIRED[j]) not in _VERSIONS:
            z_a, z_b = (np.arctanh(np.clip(c[i, j], -_MOST, _MOST)) for c in (a, b))
            pull = (z_b - z_a) / np.sqrt(_SPEARMAN / (n_a[i, j] - 3) + _SPEARMAN / (n_b[i, j] - 3))
            found.append((abs(float(pull)), i, j, float(pull)))
    found.sort(reverse=True)
    return tuple(
        Correlation(first=PAIRED[i], second=PAIRED[j], real=float(a[i, j]), generated=float(b[i, j]), pull=pull)
        for _, i, j, pull in found[:most]
    )


def _compute(real: Prepared, generated: Prepared, _: int) -> dict[str, float]:
    a, b = (rank_correlations(sample.derived)[0] for sample in (real, generated))
    upper = np.triu(np.isfinite(a) & np.isfinite(b), 1)
    return {"correlations": float(np.sqrt(np.mean((a[upper] - b[upper]) ** 2))) if upper.any() else 0.0}


def _ranks(values: Floats) -> Floats:
    """Ranks between -1/2 and 1/2 of the values that are there; NaN stays."""
    there = np.isfinite(values)
    ranks = np.full(len(values), np.nan)
    ranks[there] = (rankdata(values[there]) - 0.5) / max(int(there.sum()), 1) - 0.5
    return ranks
