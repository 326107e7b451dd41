from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from anomalon.generation.derived import derive
from anomalon.generation.flatten import flatten
from anomalon.generation.frechet import Standard, frechet_distance, frechet_measure
from anomalon.generation.splits import Prepared
from tests.generation.toys import independent_marginals, top_pairs

PLAIN, CORRECTED = frechet_measure()


def test_the_distance_is_that_of_the_matrix_root():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(500, 4)) @ rng.normal(size=(4, 4)), rng.normal(1, 2, size=(400, 4))
    s, t = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s + t - 2 * sqrtm(s @ t).real)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


def test_the_bias_falls_with_the_number_of_events_and_is_taken_off():
    real = Prepared.of(flatten(top_pairs(16_000, seed=1)))
    few, many = (PLAIN.compute(real[:n], real[8000 : 8000 + n], 0)["frechet"] for n in (2000, 8000))
    assert many / few == pytest.approx(0.25, abs=0.12)
    corrected = CORRECTED.compute(real[:8000], real[8000:], 0)["frechet_corrected"]
    assert abs(corrected) < 0.5 * many


def test_independent_marginals_are_far():
    real = Prepared.of(flatten(top_pairs(2000)))
    made = Prepared.of(independent_marginals(real.arrays))
    assert CORRECTED.compute(real, made, 0)["frechet_corrected"] > 0.5


def test_the_space_is_standard_and_holds_only_what_most_events_have():
    derived = derive(flatten(top_pairs(2000)))
    space = Standard.of(derived)
    x = space(derived)
    assert "m_ll" not in space.names
    assert "m_W" in space.names
    varying = x.std(axis=0) > 0  # no event of the toy has a photon
    assert varying.sum() > 15
    assert np.allclose(x.std(axis=0)[varying], 1, atol=0.1)
    assert np.isfinite(x).all()
