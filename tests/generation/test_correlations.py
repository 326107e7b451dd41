from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from anomalon.generation.correlations import PAIRED, correlation_measure, largest_differences, rank_correlations
from anomalon.generation.derived import Derived, derive
from anomalon.generation.flatten import flatten
from anomalon.generation.splits import Prepared
from tests.generation.toys import independent_marginals, top_pairs


@pytest.fixture(scope="module")
def real():
    return Prepared.of(flatten(top_pairs(3000, seed=1)))


def test_correlations_of_complete_quantities_are_spearmans(real):
    found, n = rank_correlations(real.derived)
    i, j = PAIRED.index("MET"), PAIRED.index("HT")
    expected = spearmanr(real.derived.column("MET"), real.derived.column("HT"))[0]
    assert found[i, j] == found[j, i] == pytest.approx(expected, abs=1e-6)
    assert n[i, j] == len(real)


def test_correlations_of_incomplete_quantities_are_of_the_events_that_have_both(real):
    found, n = rank_correlations(real.derived)
    values = [real.derived.column(name) for name in ("m_bb", "m_W")]
    both = np.isfinite(values[0]) & np.isfinite(values[1])
    ranks = [np.where(np.isfinite(v), rankdata(np.nan_to_num(v, nan=np.inf)), np.nan)[both] for v in values]
    i, j = PAIRED.index("m_bb"), PAIRED.index("m_W")
    assert n[i, j] == both.sum() < len(real)
    assert found[i, j] == pytest.approx(np.corrcoef(*ranks)[0, 1], abs=1e-9)


def test_pairs_that_few_events_have_are_left_out(real):
    found, n = rank_correlations(real.derived)
    assert np.isnan(found[n < 200]).all()
    assert (np.abs(found[np.isfinite(found)]) <= 1 + 1e-9).all()


def test_the_floor_falls_with_the_number_of_events(real):
    other = Prepared.of(flatten(top_pairs(3000, seed=2)))
    few, many = (correlation_measure().compute(real[:n], other[:n], 0)["correlations"] for n in (700, 2800))
    assert many / few == pytest.approx(0.5, abs=0.15)


def test_the_pair_that_was_shuffled_comes_first(real):
    rng, values = np.random.default_rng(0), real.derived.values.copy()
    column = real.derived.names.index("HT")
    values[:, column] = rng.permutation(values[:, column])
    found = largest_differences(real.derived, Derived(values))
    assert "HT" in (found[0].first, found[0].second)
    assert abs(found[0].generated) < 0.1 < abs(found[0].real)
    assert abs(found[0].pull) > 10


def test_pulls_of_real_events_are_standard():
    a, b = (derive(flatten(top_pairs(4000, seed=s))) for s in (11, 12))
    pulls = np.array([c.pull for c in largest_differences(a, b, most=1000)])
    assert len(pulls) > 100
    assert np.sqrt(np.mean(pulls**2)) == pytest.approx(1, abs=0.3)


def test_independent_marginals_lose_their_correlations(real):
    made = Prepared.of(independent_marginals(real.arrays))
    assert correlation_measure().compute(real, made, 0)["correlations"] > 0.1
