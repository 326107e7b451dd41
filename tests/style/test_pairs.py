"""Masses of pairs of objects."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

from anomalon.events import Events, make_events
from anomalon.objects import make_lists
from anomalon.style.objects import Chosen
from anomalon.style.pairs import Broadening, Pairs
from tests.style.synthetic import made, sample


@pytest.fixture(scope="module")
def events():
    return made(3000, 1)


def test_pairs_are_those_of_a_slow_loop(events):
    few = events[np.arange(200)]
    found = Pairs.of(Chosen.read(few, "other-jets"))
    slow = []
    for jets in few.array.jets:
        light = [j for j in jets if not j.btag]
        slow += [(a + b).mass for i, a in enumerate(light) for b in light[i + 1 : i + 5]]
    assert sorted(found.masses(np.ones(len(Chosen.read(few, "other-jets"))))) == pytest.approx(sorted(slow), rel=1e-3)


def test_b_jets_are_left_out_of_pairs_of_jets(events):
    jets = Chosen.read(events, "jets")
    pairs = Pairs.of(jets)
    tagged = jets.column("btag") == 1
    assert not tagged[pairs.first].any()
    assert not tagged[pairs.second].any()
    assert len(Pairs.of(Chosen.read(events, "bjets")).first) > 0


def test_the_mass_of_scaled_objects_is_that_of_scaled_four_vectors(events):
    jets = Chosen.read(events, "other-jets")
    factor = np.random.default_rng(1).uniform(0.5, 1.5, len(jets))
    pairs, moved = Pairs.of(jets), Chosen.read(jets.moved(factor * jets.pt), "other-jets")
    wanted = Pairs.of(moved).masses(np.ones(len(moved)))
    np.testing.assert_allclose(np.sort(pairs.masses(factor))[::50], np.sort(wanted)[::50], rtol=0.05)


def resonances(n: int, seed: int) -> Chosen:
    """A pair of massless jets of 80 GeV in every event."""
    rng = np.random.default_rng(seed)
    eta, phi = rng.normal(0, 1, (2, n)), rng.uniform(-np.pi, np.pi, (2, n))
    first = rng.uniform(40, 120, n)
    second = 80.4**2 / (2 * first * (np.cosh(eta[0] - eta[1]) - np.cos(phi[0] - phi[1])))
    columns = {"pt": np.stack([first, second]), "eta": eta, "phi": phi, "mass": np.zeros((2, n))}
    flat = {name: column.T.ravel() for name, column in columns.items()} | {"btag": np.zeros(2 * n, dtype=bool)}
    table = {
        name: made(n, seed, jets=0.0).array.layout[name]
        for name in ("run", "lumi", "event", "dataset", "gen_weight", "met")
    }
    table["jets"] = make_lists(flat, np.arange(n + 1) * 2)
    return Chosen.read(Events(make_events({**table, "jets": ak.Array(table["jets"])}), [sample("W", n)]), "jets")


def smeared(objects: Chosen, width: float, seed: int) -> np.ndarray:
    return objects.pt * np.maximum(1 + width * np.random.default_rng(seed).normal(size=len(objects)), 0.01)


def test_the_distance_is_small_at_the_truth_alone():
    source, target = resonances(20_000, 2), resonances(20_000, 3)
    target = Chosen.read(target.moved(smeared(target, 0.1 * 2**0.5, 4)), "jets")
    around = smeared(source, 0.1, 5)  # a width that both share
    found = Broadening.of(source, target, 20.0, sharp=around, smeared=smeared(source, 0.18, 1))
    assert found.distance(smeared(source, 0.1 * 2**0.5, 2)) < 9
    assert found.distance(around) > 100


def test_too_few_pairs_tell_nothing(events):
    few = Chosen.read(events[np.arange(50)], "jets")
    assert Broadening.of(few, few, 20.0, sharp=few.pt, smeared=few.pt) is None
    assert len(Pairs.of(Chosen.read(events[:0], "jets")).first) == 0


def test_leptons_of_both_flavours_make_pairs(events):
    pairs = Pairs.of(Chosen.read(events, "leptons"))
    assert len(pairs.first) == ak.sum(ak.num(events.array.muons) == 2)
