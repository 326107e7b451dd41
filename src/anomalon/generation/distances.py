"""The distances of source papers, one feature at a time: Wasserstein, Jensen-Shannon, Kullback-Leibler.

Convention (Garcia Ruiz 2024, UPV, does not state its own): features log10 of E, pT and MET in GeV, eta and phi as they
are; scaled to [-1, 1] by the range of the training (or real) events; 100 bins there, the outer ones with what lies
outside; natural logarithm. WS is the Wasserstein-1 distance of the scaled values without bins; JS the divergence, its
root the distance; KL(real || generated) with 1e-6 added to every bin before it is normalised again. All objects
of a kind together; the mean over the features of a kind, then over kinds by their number of objects, MET by events:
M = sum w M / sum w.

They are blind to physics: features that are drawn independently of each other reach the floor.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.stats import wasserstein_distance

from anomalon.generation.flatten import ETA, KINDS, PHI, PT, EventArrays, Floats, energy

EPSILON = 1e-6
"""Added to the bins of both histograms in KL: an empty one would make it infinite."""
_SMALLEST = 1e-3
"""GeV: logarithms start here."""
DISTANCES = ("ws", "js", "js_distance", "kl")

Ranges = Mapping[tuple[str, str], tuple[float, float]]
"""Smallest and largest value by kind and feature."""


def features(arrays: EventArrays) -> dict[str, dict[str, Floats]]:
    """Values of every feature, by kind and name; MET is a kind of its own, with one entry per event."""
    found = {"MET": {"log_met": _log(arrays.met[:, 0]), "phi": arrays.met[:, 1]}}
    for kind in KINDS:
        objects, there = arrays.of(kind)
        flat = objects[there]
        found[kind] = {
            "log_energy": _log(energy(flat)),
            "log_pt": _log(flat[:, PT]),
            "eta": flat[:, ETA],
            "phi": flat[:, PHI],
        }
    return found


def ranges(arrays: EventArrays) -> dict[tuple[str, str], tuple[float, float]]:
    """Range of every feature; kinds without an object have none."""
    return {
        (kind, name): (float(values.min()), float(values.max()))
        for kind, columns in features(arrays).items()
        for name, values in columns.items()
        if len(values)
    }


def marginal_distances(real: EventArrays, generated: EventArrays, scale: Ranges, bins: int = 100) -> dict[str, float]:
    """WS, JS, JS distance and KL, each averaged over features and kinds.

    Args:
        real: events that define the weights of the kinds.
        generated: events to judge.
        scale: ranges that are mapped to [-1, 1].
        bins: of the histograms.
    """
    a, b = features(real), features(generated)
    sums, weights = np.zeros(len(DISTANCES)), 0.0
    for kind, columns in a.items():
        weight = len(next(iter(columns.values())))
        if weight:
            each = [_distances(columns[n], b[kind][n], scale.get((kind, n), (0.0, 1.0)), bins) for n in columns]
            sums += weight * np.mean(each, axis=0)
            weights += weight
    return dict(zip(DISTANCES, (sums / max(weights, 1.0)).tolist(), strict=True))


def jensen_shannon(p: Floats, q: Floats) -> float:
    """Divergence of two normalised histograms in nat; its root is the distance of scipy.

    >>> round(jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 1.0])), 4)  # ln 2
    0.6931
    """
    middle = 0.5 * (p + q)
    return max(0.5 * (_relative_entropy(p, middle) + _relative_entropy(q, middle)), 0.0)


def kullback_leibler(p: Floats, q: Floats, epsilon: float = EPSILON) -> float:
    """KL(p || q) of two normalised histograms in nat, ``epsilon`` added to every bin before normalising again."""
    smooth_p, smooth_q = ((h + epsilon) / (h + epsilon).sum() for h in (p, q))
    return _relative_entropy(smooth_p, smooth_q)


def _relative_entropy(p: Floats, q: Floats) -> float:
    some = p > 0
    return float((p[some] * np.log(p[some] / q[some])).sum())


def _distances(real: Floats, generated: Floats, scale: tuple[float, float], bins: int) -> Floats:
    if not len(generated):  # a kind that the generator never makes: as far apart as two samples can be
        empty = np.zeros(bins)
        histogram = _histogram(_scaled(real, scale), bins)
        return np.array([2.0, np.log(2), np.sqrt(np.log(2)), kullback_leibler(histogram, empty)])
    a, b = _scaled(real, scale), _scaled(generated, scale)
    p, q = _histogram(a, bins), _histogram(b, bins)
    js = jensen_shannon(p, q)
    return np.array([wasserstein_distance(a, b), js, np.sqrt(js), kullback_leibler(p, q)])


def _scaled(values: Floats, scale: tuple[float, float]) -> Floats:
    low, high = scale
    return np.asarray(2 * (values - low) / (high - low if high > low else 1.0) - 1)


def _histogram(scaled: Floats, bins: int) -> Floats:
    counts, _ = np.histogram(np.clip(scaled, -1, 1), bins, (-1, 1))
    return np.asarray(counts / counts.sum())


def _log(values: Floats) -> Floats:
    return np.asarray(np.log10(np.maximum(values, _SMALLEST)))
