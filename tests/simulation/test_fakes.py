"""Laws of the weighted jets that are taken for leptons."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomalon.events import Events
from anomalon.simulation.fakes import RANDOM_NUMBERS, FakeSettings, Versions, with_fakes, without_fakes
from anomalon.simulation.presets import get_detector
from anomalon.simulation.response import MetResponse

CMS = get_detector("cms")
FAKES = FakeSettings()


def jet(pt: float = 50.0, eta: float = 0.5, phi: float = 1.0) -> dict[str, Any]:
    return {"pt": pt, "eta": eta, "phi": phi}


def muon(pt: float = 30.0) -> dict[str, Any]:
    return {"pt": pt, "eta": 0.0, "phi": -1.0, "charge": 1, "isolation": 0.0}


def split(rows: list[dict[str, Any]], seed: int = 0, met: MetResponse = CMS.met, **changes: Any) -> Versions:
    filled = [{"muons": [muon()], "met": {"pt": 20.0, "phi": 0.3}} | row for row in rows]
    array = Events.from_dicts(filled).array
    objects = {name: array[name] for name in ("electrons", "muons", "photons", "jets", "met")}
    uniform = np.random.default_rng(seed).random((len(rows), RANDOM_NUMBERS))
    return with_fakes(objects, uniform, settings=FakeSettings(**changes), detector=CMS.model_copy(update={"met": met}))


jets = st.lists(st.builds(jet, pt=st.floats(20, 400), eta=st.floats(-4.5, 4.5)), max_size=6)


@settings(max_examples=40, deadline=None)
@given(st.lists(jets, min_size=1, max_size=5))
def test_versions_of_an_event_add_up_to_one_event_in_every_variation(rows: list[list[dict[str, Any]]]) -> None:
    versions = split([{"jets": row} for row in rows])
    for name in ("fake", "fakeUp", "fakeDown"):
        assert np.bincount(versions.source, weights=versions.factors[name]) == pytest.approx(np.ones(len(rows)))


@settings(max_examples=40, deadline=None)
@given(jets)
def test_the_fake_weight_is_the_sum_of_rates_over_jets_and_flavours(row: list[dict[str, Any]]) -> None:
    versions = split([{"jets": row}])
    electrons, muons = (sum(abs(np.float32(j["eta"])) < eta_max for j in row) for eta_max in (2.5, 2.4))
    expected = FAKES.rate * (electrons + muons)
    fake = versions.factors["fake"][versions.is_fake]
    assert fake.sum() == pytest.approx(expected, abs=1e-12)
    assert versions.factors["fakeUp"][versions.is_fake].sum() == pytest.approx(1.5 * expected, abs=1e-12)
    assert versions.factors["fakeDown"][versions.is_fake].sum() == pytest.approx(0.5 * expected, abs=1e-12)


def test_weighted_fakes_reproduce_the_yield_of_drawing_each_jet() -> None:
    rng = np.random.default_rng(5)
    rate, n = 0.02, 4000
    rows = [{"jets": [jet(phi=float(k)) for k in range(rng.integers(0, 4))]} for _ in range(n)]
    versions = split(rows, rate=rate)
    leptons = ak.to_numpy(ak.num(versions.objects["electrons"]) + ak.num(versions.objects["muons"]))
    weighted = versions.factors["fake"][leptons == 2].sum()
    draws = sum(rng.binomial(2 * len(row["jets"]), rate) for row in rows)
    assert weighted == pytest.approx(draws, abs=5 * np.sqrt(draws))
    assert weighted == pytest.approx(2 * rate * sum(len(row["jets"]) for row in rows))


def test_a_jet_becomes_a_lepton_and_the_rest_of_it_is_still_seen() -> None:
    versions = split([{"jets": [jet(), jet(30.0, 4.0, -2.0)]}], met=MetResponse(soft_scale=1.0, soft_resolution=0.0))
    before, after = ({name: column[i] for name, column in versions.objects.items()} for i in (0, 1))
    assert versions.is_fake.tolist() == [False, True]
    assert after["jets"].pt.tolist() == [30.0]
    leptons = [*after["electrons"], *after["muons"]]
    (fake,) = [lepton for lepton in leptons if lepton.pt != 30.0]
    assert [fake.pt, fake.eta, fake.phi] == pytest.approx([35.0, 0.5, 1.0], rel=1e-6)
    assert abs(fake.charge) == 1
    assert 0 <= fake.isolation < CMS.isolation_max
    assert [after["met"].px, after["met"].py] == pytest.approx([before["met"].px, before["met"].py], rel=1e-5)


def test_the_rest_of_a_faked_jet_has_the_scale_and_resolution_of_soft_momentum() -> None:
    n, rest = 4000, 0.3 * 50.0
    met = split([{"jets": [jet()]} for _ in range(n)]).objects["met"]
    change = np.stack([ak.to_numpy(met.px[n:] - met.px[:n]), ak.to_numpy(met.py[n:] - met.py[:n])])
    width = CMS.met.soft_resolution * np.sqrt(rest)
    expected = (1 - CMS.met.soft_scale) * rest * np.array([np.cos(1.0), np.sin(1.0)])
    assert change.mean(axis=1) == pytest.approx(expected, abs=4 * width / np.sqrt(n))
    assert change.std(axis=1) == pytest.approx(np.full(2, width), rel=4 / np.sqrt(2 * n))
    assert abs(np.corrcoef(change)[0, 1]) < 4 / np.sqrt(n)


def test_jets_flavours_and_charges_are_drawn_evenly() -> None:
    n = 4000
    versions = split([{"muons": [], "jets": [jet(60.0), jet(40.0, phi=-1.0)]} for _ in range(n)])
    fakes = {name: column[versions.is_fake] for name, column in versions.objects.items()}
    assert (ak.num(fakes["electrons"]) + ak.num(fakes["muons"]) == 1).to_list() == [True] * n
    leptons = ak.flatten(ak.concatenate([fakes["electrons"], fakes["muons"]], axis=1))
    tolerance = 4 * np.sqrt(0.25 / n)
    assert ak.mean(ak.num(fakes["electrons"])) == pytest.approx(0.5, abs=tolerance)
    assert ak.mean(leptons.charge > 0) == pytest.approx(0.5, abs=tolerance)
    assert ak.mean(leptons.pt > 35) == pytest.approx(0.5, abs=tolerance)


def test_events_whose_jets_cannot_be_leptons_stay_alone() -> None:
    versions = split([{"jets": []}, {"jets": [jet(eta=3.0)]}])
    assert versions.is_fake.tolist() == [False, False]
    assert versions.factors["fake"].tolist() == [1.0, 1.0]


def test_a_block_of_which_the_skim_left_nothing_has_no_versions() -> None:
    objects = {name: column[:0] for name, column in split([{"jets": [jet()]}]).objects.items()}
    versions = with_fakes(objects, np.zeros((0, RANDOM_NUMBERS)), settings=FAKES, detector=CMS)
    assert len(versions.is_fake) == 0
    assert set(versions.objects) == set(objects)


def test_leptons_stay_sorted_when_a_fake_joins_them() -> None:
    versions = split([{"muons": [muon(90.0), muon(20.0)], "jets": [jet()]} for _ in range(20)])
    assert ak.all(versions.objects["muons"].pt[:, :-1] >= versions.objects["muons"].pt[:, 1:])


def test_processes_without_fakes_carry_the_factors_too() -> None:
    objects = split([{"jets": [jet()]}]).objects
    versions = without_fakes(objects)
    assert len(versions.source) == 2
    assert all(factor.tolist() == [1.0, 1.0] for factor in versions.factors.values())


def test_no_events_have_no_versions() -> None:
    array = Events.from_dicts([{"jets": [jet()], "met": {"pt": 20.0, "phi": 0.3}}]).array[:0]
    objects = {name: array[name] for name in ("electrons", "muons", "photons", "jets", "met")}
    versions = with_fakes(objects, np.zeros((0, 3)), settings=FAKES, detector=CMS)
    assert len(versions.source) == len(versions.factors["fake"]) == 0
