from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy, wasserstein_distance

from anomalon.generation.distances import (
    EPSILON,
    features,
    jensen_shannon,
    kullback_leibler,
    marginal_distances,
    ranges,
)
from anomalon.generation.flatten import flatten
from tests.generation.toys import independent_marginals, top_pairs

RNG = np.random.default_rng(0)
P, Q = (h / h.sum() for h in RNG.random((2, 50)))


def test_the_divergence_is_the_square_of_scipys_distance():
    assert jensen_shannon(P, Q) == pytest.approx(jensenshannon(P, Q) ** 2)


def test_kullback_leibler_adds_epsilon_to_every_bin_before_normalising():
    holes = Q.copy()
    holes[:5] = 0
    expected = entropy(P + EPSILON, holes + EPSILON)  # scipy normalises
    assert kullback_leibler(P, holes) == pytest.approx(expected)


def test_the_mean_is_over_features_then_kinds_by_their_number_of_objects():
    real, other = flatten(top_pairs(2000, seed=1)), flatten(top_pairs(2000, seed=2))
    scale = ranges(real)
    a, b = features(real), features(other)
    sums, weights = 0.0, 0
    for kind, columns in a.items():
        n = len(columns["phi"])
        each = []
        for name, values in columns.items():
            if n:
                low, high = scale[kind, name]
                each.append(2 / (high - low) * wasserstein_distance(values, b[kind][name]))
        sums, weights = sums + n * np.mean(each or [0]), weights + n
    assert marginal_distances(real, other, scale)["ws"] == pytest.approx(sums / weights)
    assert weights == len(real) + real.counts.sum()


def test_a_shift_of_all_phi_moves_each_kind_by_as_much():
    real = flatten(top_pairs(500))
    other = flatten(top_pairs(500))
    other.objects[..., 2] += 0.1
    other.met[:, 1] += 0.1
    widths = {kind: high - low for (kind, name), (low, high) in ranges(real).items() if name == "phi"}
    weights = {kind: len(columns["phi"]) for kind, columns in features(real).items()}
    each = {kind: 2 * 0.1 / width / (2 if kind == "MET" else 4) for kind, width in widths.items()}
    expected = sum(weights[k] * each[k] for k in each) / sum(weights.values())
    assert marginal_distances(real, other, ranges(real))["ws"] == pytest.approx(expected)


def test_equal_samples_are_at_distance_zero():
    real = flatten(top_pairs(300))
    assert max(marginal_distances(real, real, ranges(real)).values()) == pytest.approx(0, abs=1e-12)


def test_independent_marginals_are_at_distance_zero():
    real = flatten(top_pairs(300))
    assert max(marginal_distances(real, independent_marginals(real), ranges(real)).values()) < 1e-6


def test_the_floor_falls_with_the_number_of_events():
    real, other = flatten(top_pairs(8000, seed=1)), flatten(top_pairs(8000, seed=2))
    few, many = (marginal_distances(real[:n], other[:n], ranges(real)) for n in (1000, 8000))
    assert 0.2 < many["ws"] / few["ws"] < 0.55  # 1 / sqrt(8) = 0.35
    assert 0.08 < many["js"] / few["js"] < 0.25  # 1 / 8


def test_a_kind_that_is_never_made_is_as_far_as_can_be():
    real = flatten(top_pairs(300))
    other = flatten(top_pairs(300), {k: v for k, v in real.slots.items() if k != "b"})
    share = real.counts[:, 0].sum() / (len(real) + real.counts.sum())
    assert marginal_distances(real, other, ranges(real))["js"] == pytest.approx(share * np.log(2), rel=1e-6)


def test_values_outside_the_range_are_in_the_outer_bins():
    real, other = flatten(top_pairs(300)), flatten(top_pairs(300))
    other.met[:, 0] *= 1e6
    found = marginal_distances(real, other, ranges(real))
    assert all(np.isfinite(v) and v > 0 for v in found.values())
