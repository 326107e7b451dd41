"""Regions and bins: fixed by background validation events alone, with enough events in each."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomalon.errors import ConfigError, EmptySelectionError
from anomalon.metrics import effective_number
from anomalon.search.regions import bin_edges, locate, nested_regions, slices, with_enough
from anomalon.search.threshold import Scored

RANDOM = np.random.default_rng(3)
SCORES = Scored(RANDOM.normal(size=5000), RANDOM.uniform(0.5, 1.5, 5000))


def test_regions_sit_at_quantiles_of_the_weighted_background_and_are_nested():
    regions, notes = nested_regions(SCORES, (0.8, 0.9, 0.99))
    assert not notes
    assert [r.name for r in regions] == ["R1", "R2", "R3"]
    for region, share in zip(regions, (0.2, 0.1, 0.01), strict=True):
        inside = SCORES.weight[region.holds(SCORES.score)].sum() / SCORES.weight.sum()
        assert inside == pytest.approx(share, abs=5e-4)


def test_a_region_with_too_few_effective_events_is_loosened_and_said_so():
    weight = SCORES.weight.copy()
    weight[np.argsort(SCORES.score)[-3:]] = 100.0  # three events that outweigh all others in the tail
    regions, notes = nested_regions(Scored(SCORES.score, weight), (0.9, 0.9999), minimum_effective=10)
    own = weight[regions[-1].holds(SCORES.score)]
    assert effective_number(own) >= 20
    assert "loosened" in notes[0]


def test_two_quantiles_that_end_in_the_same_region_give_one():
    few = Scored(SCORES.score[:200], SCORES.weight[:200])
    regions, notes = nested_regions(few, (0.99, 0.999))
    assert len(regions) == 1
    assert len(notes) == 2
    assert "left out" in notes[1]


def test_a_region_without_enough_test_events_is_left_out_but_never_the_loosest():
    regions, _ = nested_regions(SCORES, (0.8, 0.99))
    few = Scored(np.asarray([5.0, 5.0, 0.9]), np.ones(3))
    kept, notes = with_enough(regions, few, 10)
    assert kept == regions[:1]
    assert "R2 at the 99 % quantile: left out, for it holds 2.0 effective" in notes[0]


def test_events_without_a_score_are_in_no_region_and_no_slice():
    regions, _ = nested_regions(SCORES, (0.8, 0.9))
    scores = np.asarray([np.nan, -9.0, 9.0, (regions[0].threshold + regions[1].threshold) / 2])
    assert slices(regions, scores).tolist() == [-1, -1, 1, 0]
    assert [bool(regions[0].holds(s)) for s in scores] == [False, False, True, True]


def test_slices_are_the_differences_of_regions():
    regions, _ = nested_regions(SCORES, (0.7, 0.8, 0.9))
    part = slices(regions, SCORES.score)
    for i, region in enumerate(regions):
        assert np.array_equal(part >= i, region.holds(SCORES.score))


@given(st.integers(1, 12), st.integers(0, 2**16), st.floats(0.0, 0.3), st.sampled_from([20, 300, 3000]))
def test_every_bin_holds_enough_background_whatever_the_weights(most, seed, negative, number):
    random = np.random.default_rng(seed)
    values, weights = random.exponential(40, number), np.where(random.random(number) < negative, -1.0, 1.0)
    edges = bin_edges(values, weights, most=most, minimum_effective=10)
    assert 2 <= len(edges) <= most + 1
    assert (np.diff(edges) > 0).all()
    places = locate(values, edges)
    if len(edges) > 2:
        for i in range(len(edges) - 1):
            own = weights[places == i]
            assert own.sum() > 0
            assert effective_number(own) >= 10 * (1 - 1e-9)


def test_values_beyond_the_ends_belong_to_the_outer_bins_and_missing_ones_to_none():
    edges = np.asarray([0.0, 10.0, 20.0])
    assert locate(np.asarray([-5.0, 0.0, 10.0, 99.0, np.nan]), edges).tolist() == [0, 0, 1, 1, -1]


def test_too_little_background_and_wrong_quantiles_are_refused():
    with pytest.raises(EmptySelectionError, match="effective background validation events make no region"):
        nested_regions(Scored(np.arange(15.0), np.ones(15)), (0.9,))
    with pytest.raises(ConfigError, match=r"regions = \[0.9, 0.8\]: quantiles must increase"):
        nested_regions(SCORES, (0.9, 0.8))
