"""Efficiencies as weights."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

from anomalon.distortions import distort, parse_distortions
from anomalon.errors import InvalidEventsError
from anomalon.events import Events
from anomalon.style.contract import FACTOR, with_factor
from anomalon.style.efficiency import thinned
from anomalon.style.objects import Chosen
from anomalon.style.registry import calibrator
from tests.style.synthetic import made

SETTINGS = {"kind": "efficiency", "freedom": {"objects": "jets", "pt_min": 25.0}}


@pytest.fixture(scope="module")
def source():
    return made(20_000, 1)


@pytest.fixture(scope="module")
def inefficient():
    return distort(made(20_000, 2), parse_distortions("endcap-jet-loss-20"))


def in_region(events: Events) -> np.ndarray:
    found = Chosen.read(events, "jets")
    inside = (found.abs_eta >= 1.7) & (found.abs_eta < 2.5) & (found.pt >= 25.0)
    return np.bincount(found.owner[inside], minlength=len(events))


def test_the_region_and_its_efficiency_are_found(source, inefficient):
    (region,) = calibrator(SETTINGS).fit(source, inefficient).regions
    assert (region.low, region.high) == (1.7, 2.5)
    assert abs(region.efficiency - 0.8) < 4 * region.error
    assert region.error < 0.02


def test_weights_give_the_numbers_of_objects_of_the_target(source, inefficient):
    weighted = calibrator(SETTINGS).fit(source, inefficient).transform(source)
    weight = weighted.weights(None)
    assert weight.sum() == pytest.approx(len(source), rel=1e-3)  # rare numbers of objects that the source lacks
    shares = [
        np.bincount(in_region(e), w, 8)[:4] / w.sum() for e, w in ((weighted, weight), (inefficient, np.ones(20_000)))
    ]
    np.testing.assert_allclose(shares[0], shares[1], atol=0.012)
    np.testing.assert_array_equal(Chosen.read(weighted, "jets").pt, Chosen.read(source, "jets").pt)


def test_losses_drop_objects_and_their_momentum_becomes_missing(source, inefficient):
    after = calibrator({**SETTINGS, "put_on": "losses"}).fit(source, inefficient).transform(source)
    np.testing.assert_array_equal(after.weights(None), source.weights(None))
    assert in_region(after).mean() == pytest.approx(in_region(inefficient).mean(), rel=0.03)
    for wave in (np.cos, np.sin):
        sums = [
            ak.sum(e.array.jets.pt * wave(e.array.jets.phi), axis=1) + e.array.met.pt * wave(e.array.met.phi)
            for e in (source, after)
        ]
        np.testing.assert_allclose(sums[0], sums[1], atol=2e-3)


def test_a_gain_is_found_too(source, inefficient):
    found = calibrator(SETTINGS).fit(inefficient, source)
    (region,) = found.regions
    assert abs(region.efficiency - 1.25) < 4 * region.error
    weight = found.transform(inefficient).weights(None)
    assert weight @ in_region(inefficient) / weight.sum() == pytest.approx(in_region(source).mean(), rel=0.03)


def test_where_nothing_differs_nothing_is_weighted(source):
    found = calibrator(SETTINGS).fit(source, made(20_000, 3))
    assert found.regions == ()
    np.testing.assert_array_equal(found.transform(source).weights(None), source.weights(None))


def test_thinning_keeps_the_sum_and_scales_the_mean():
    table = np.random.default_rng(1).random((17, 17))
    kept = thinned(table, 0.7)
    assert kept.sum() == pytest.approx(table.sum())
    np.testing.assert_allclose(np.arange(17) @ kept, 0.7 * (np.arange(17) @ table))


def test_factors_multiply(source):
    twice = with_factor(with_factor(source, np.full(len(source), 2.0)), np.full(len(source), 3.0))
    assert twice.array.factors.fields == [FACTOR]
    np.testing.assert_allclose(twice.weights(None), 6.0)


def test_collision_data_is_not_weighted(source):
    data = Events(source.array, [source.samples[0].model_copy(update={"origin": "data"})])
    with pytest.raises(InvalidEventsError, match="collision data cannot be weighted"):
        with_factor(data, np.ones(len(data)))
