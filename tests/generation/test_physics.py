from __future__ import annotations

import numpy as np
import pytest

from anomalon.generation.flatten import EventArrays, flatten
from anomalon.generation.physics import distances_measure, shapes, tail_pulls, total_variation
from anomalon.generation.splits import Prepared
from tests.generation.toys import top_pairs


@pytest.fixture(scope="module")
def real():
    return Prepared.of(flatten(top_pairs(6000, seed=1)))


def prepared(seed=2, n=6000, **how):
    return Prepared.of(flatten(top_pairs(n, seed=seed, **how)))


def test_a_shifted_w_peak_is_seen_where_it_is(real):
    floor, found = (distances_measure().compute(real, prepared(m_w=m), 0) for m in (80.4, 84.4))
    assert found["w1_m_W_peak"] > 2 * floor["w1_m_W_peak"]
    assert found["w1_sphericity"] < 2 * floor["w1_sphericity"] + 0.02


def test_distances_are_in_units_of_the_real_width(real):
    values = real.derived.values.copy()
    values[:, 0] += 0.5 * real.derived.column("MET").std()
    moved = Prepared(real.arrays, type(real.derived)(values))
    found = distances_measure().compute(real, moved, 0)
    assert found["w1_MET"] == pytest.approx(0.5)
    assert found["w1_HT"] == 0
    assert found["w1_derived"] == pytest.approx(0.5 / (len(found) - 1))


def test_tails_of_real_events_pull_as_much_as_chance(real):
    pulls = np.array([tail.pull for tail in tail_pulls(real, prepared())])
    assert len(pulls) > 40
    assert np.sqrt(np.mean(pulls**2)) == pytest.approx(1, abs=0.35)
    assert abs(pulls[0]) == np.abs(pulls).max()


def test_a_tail_that_is_cut_off_pulls(real):
    other = prepared(n=9000)
    cut = other[other.derived.column("MET") < np.quantile(real.derived.column("MET"), 0.99)]
    worst = tail_pulls(real, cut)[0]
    assert (worst.quantity, worst.low, worst.seen) == ("MET", 0.99, 0)
    assert worst.pull < -5


def test_tails_with_few_events_are_left_out(real):
    assert not [t for t in tail_pulls(real[:500], prepared(n=500)) if t.low >= 0.99]


def test_total_variation_of_known_multiplicities():
    counts = np.zeros((4, 7), dtype=np.int64)
    counts[:, 1] = [1, 1, 2, 3]
    arrays = EventArrays(np.zeros((4, 2)), counts, np.zeros((4, 0, 4)), {})
    assert total_variation(arrays, arrays) == 0
    assert total_variation(arrays[:2], arrays[2:]) == 1
    assert total_variation(arrays, arrays[:2]) == 0.5


def test_histograms_hold_every_event_that_has_the_quantity(real):
    other = prepared(n=1000)
    for shape in shapes(real, other):
        if shape.quantity not in ("m_W", "m_top"):
            assert sum(shape.real) == len(real.derived.present(shape.quantity)), shape.quantity
            assert sum(shape.generated) == len(other.derived.present(shape.quantity)), shape.quantity
        assert len(shape.edges) == len(shape.real) + 1
    assert {"MET", "m_W", "n_jets"} <= {shape.quantity for shape in shapes(real, other)}
