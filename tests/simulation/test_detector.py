"""Laws of the detector response, without an event generator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from anomalon.errors import ConfigError, UnknownNameError
from anomalon.kinematics import delta_r
from anomalon.simulation.detector import Reconstructed, reconstruct
from anomalon.simulation.neighbours import close_pairs
from anomalon.simulation.particles import HeavyHadrons, Particles
from anomalon.simulation.presets import DARK_MACHINES_STORED, PRESETS, get_detector
from anomalon.simulation.response import (
    DetectorSettings,
    JetResponse,
    LeptonResponse,
    MetResponse,
    btag_efficiency,
    lookup,
)

pytest.importorskip("fastjet", reason="jets need the extra 'simulate'")

CMS = get_detector("cms")
_SURE = ((2.5, 1.0, 1.0),)
_CALORIMETER = ((2.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),)
PERFECT = DetectorSettings(
    name="perfect",
    electrons=LeptonResponse(efficiency=_SURE, resolution=_CALORIMETER),
    muons=LeptonResponse(efficiency=_SURE, resolution=((2.5, 0.0, 0.0),)),
    photons=LeptonResponse(efficiency=_SURE, resolution=_CALORIMETER),
    jets=JetResponse(resolution=((5.0, 0.0, 0.0, 0.0),), btag_b=(1e9, 1.0, 1.0, 0.0)),
    met=MetResponse(soft_scale=1.0, soft_resolution=0.0),
    nonprompt_efficiency=1.0,
)
NO_HADRONS = HeavyHadrons(np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.bool_))

Row = tuple[int, int, float, float, float]


def particles(rows: list[Row], n_events: int | None = None, prompt: bool = True) -> Particles:
    """Massless particles from (event, id, pt, eta, phi)."""
    event, pdg_id, pt, eta, phi = (np.array(column) for column in zip(*sorted(rows), strict=True))
    columns = {"event": event, "pdg_id": pdg_id, "px": pt * np.cos(phi), "py": pt * np.sin(phi)}
    columns |= {"pz": pt * np.sinh(eta), "energy": pt * np.cosh(eta), "prompt": np.full(len(event), prompt)}
    return Particles.build(n_events or int(event.max()) + 1, columns)


def look(rows: list[Row], detector: DetectorSettings = PERFECT, **options: Any) -> Reconstructed:
    hadrons = options.pop("hadrons", NO_HADRONS)
    prompt = options.pop("prompt", True)
    rng = np.random.default_rng(options.pop("seed", 1))
    return reconstruct(particles(rows, prompt=prompt), hadrons, detector, rng=rng, **options)


def crowd(seed: int = 3, n_events: int = 40) -> list[Row]:
    """Busy events with leptons, photons and hadrons everywhere."""
    rng = np.random.default_rng(seed)
    n = 60 * n_events
    ids = rng.choice([11, -11, 13, -13, 22, 211, -211, 130], size=n, p=[0.02, 0.02, 0.02, 0.02, 0.2, 0.3, 0.3, 0.12])
    pt = rng.exponential(6.0, n) + 0.2
    eta, phi = rng.uniform(-5.5, 5.5, n), rng.uniform(-np.pi, np.pi, n)
    event = np.repeat(np.arange(n_events), 60)
    return list(zip(event.tolist(), ids.tolist(), pt.tolist(), eta.tolist(), phi.tolist(), strict=True))


def test_a_perfect_detector_returns_the_truth() -> None:
    seen = look(
        [(0, 11, 40.0, 0.5, 1.0), (0, -13, 30.0, -1.0, 2.0), (0, 22, 25.0, 1.5, -2.0), (0, 211, 60.0, 3.0, 0.0)]
    )
    for name, (pt, eta, phi) in {
        "electrons": (40, 0.5, 1),
        "muons": (30, -1, 2),
        "photons": (25, 1.5, -2),
        "jets": (60, 3, 0),
    }.items():
        found = seen.objects[name][0]
        assert len(found) == 1
        assert [found.pt[0], found.eta[0], found.phi[0]] == pytest.approx([pt, eta, phi], rel=1e-6, abs=1e-6)
    assert seen.objects["electrons"][0].charge[0] == -1
    assert seen.objects["muons"][0].charge[0] == 1


particle = st.tuples(
    st.integers(0, 2),
    st.sampled_from([11, -11, 13, -13, 22, 211, 130]),
    st.floats(0.2, 300.0),
    st.floats(-2.4, 2.4),
    st.floats(-3.1, 3.1),
)


def electrons_are_apart(rows: list[Row]) -> bool:
    electrons = [row for row in rows if abs(row[1]) == 11]
    return all(
        a[0] != b[0] or np.hypot(a[3] - b[3], (a[4] - b[4] + np.pi) % (2 * np.pi) - np.pi) > 0.2
        for i, a in enumerate(electrons)
        for b in electrons[:i]
    )


@settings(max_examples=40, deadline=None)
@given(st.lists(particle, min_size=1, max_size=25))
def test_missing_momentum_of_a_perfect_detector_balances_everything_visible(rows: list[Row]) -> None:
    assume(electrons_are_apart(rows))  # of two close ones the softer is dressed onto the direction of the harder
    seen = look(rows)
    truth = particles(rows)
    for axis, turn in (("px", np.cos), ("py", np.sin)):
        visible = np.bincount(truth.event, weights=getattr(truth, axis), minlength=truth.n_events)
        met = ak.to_numpy(seen.objects["met"].pt) * turn(ak.to_numpy(seen.objects["met"].phi))
        assert met == pytest.approx(-visible, abs=1e-3)


def test_missing_momentum_with_resolution_balances_objects_when_nothing_is_soft() -> None:
    detector = PERFECT.model_copy(update={"muons": CMS.muons.model_copy(update={"efficiency": _SURE})})
    seen = look([(0, 13, 200.0, 0.3, 0.4), (0, -13, 150.0, -2.0, 2.0)], detector).objects
    muons, met = seen["muons"][0], seen["met"][0]
    assert float(muons.pt[0]) != pytest.approx(200.0, rel=1e-6)
    assert float(ak.sum(muons.px)) + float(met.px) == pytest.approx(0.0, abs=1e-3)
    assert float(ak.sum(muons.py)) + float(met.py) == pytest.approx(0.0, abs=1e-3)


def test_acceptance_and_thresholds_hold_for_every_object() -> None:
    seen = look(crowd(), CMS).objects
    for name, pt_min, eta_max in (("electrons", 10, 2.5), ("muons", 10, 2.4), ("photons", 10, 2.5), ("jets", 20, 4.7)):
        assert ak.sum(ak.num(seen[name])) > 0
        assert ak.min(seen[name].pt) > pt_min
        assert ak.max(abs(seen[name].eta)) < eta_max
    assert ak.max(seen["electrons"].isolation) < CMS.isolation_max


def test_jets_keep_away_from_leptons_and_photons() -> None:
    seen = look(crowd(), CMS).objects
    others = ak.concatenate([seen[name][["eta", "phi"]] for name in ("electrons", "muons", "photons")], axis=1)
    jet, other = ak.unzip(ak.cartesian([seen["jets"], others]))
    assert ak.count(jet.eta) > 100
    assert ak.min(delta_r(jet.eta, jet.phi, other.eta, other.phi)) >= CMS.jets.separation - 1e-5


def test_an_accepted_electron_is_no_jet_and_a_lost_one_is() -> None:
    rows: list[Row] = [(0, 11, 50.0, 0.0, 0.0)]
    lost = PERFECT.model_copy(
        update={"electrons": PERFECT.electrons.model_copy(update={"efficiency": ((2.5, 0.0, 0.0),)})}
    )
    assert len(look(rows).objects["jets"][0]) == 0
    assert look(rows, lost).objects["jets"][0].pt.tolist() == pytest.approx([50.0])


def test_muons_never_make_jets_and_those_out_of_reach_are_missing_momentum() -> None:
    seen = look([(0, 13, 50.0, 2.45, 0.0), (1, 13, 50.0, 3.0, 0.0)], CMS).objects
    assert ak.num(seen["jets"]).tolist() == [0, 0]
    assert seen["met"].pt.tolist() == pytest.approx([50.0, 0.0], abs=1e-3)


def test_isolation_counts_hadrons_but_neither_leptons_nor_its_own_photons() -> None:
    lepton: Row = (0, 13, 40.0, 0.0, 0.0)
    assert len(look([lepton, (0, 211, 7.0, 0.0, 0.2)]).objects["muons"][0]) == 0
    assert len(look([lepton, (0, 211, 5.0, 0.0, 0.2)]).objects["muons"][0]) == 1
    assert len(look([lepton, (0, 211, 7.0, 0.0, 0.4)]).objects["muons"][0]) == 1
    assert len(look([lepton, (0, -13, 35.0, 0.0, 0.2)]).objects["muons"][0]) == 2


def test_an_electron_collects_its_photons_and_a_close_softer_electron() -> None:
    radiating = look([(0, 11, 40.0, 0.0, 0.0), (0, 22, 10.0, 0.05, 0.0)]).objects
    assert radiating["electrons"][0].pt.tolist() == pytest.approx([50.0], rel=1e-3)
    assert len(radiating["photons"][0]) == 0
    pair = look([(0, 11, 25.0, 0.0, 0.0), (0, -11, 24.0, 0.01, 0.0)]).objects
    assert pair["electrons"][0].pt.tolist() == pytest.approx([49.0], rel=1e-3)
    assert len(look([(0, 11, 25.0, 0.0, 0.0), (0, -11, 24.0, 0.2, 0.0)]).objects["electrons"][0]) == 2


def test_efficiencies_are_those_of_the_table() -> None:
    rows: list[Row] = [(i, 13, 40.0, 0.2, 0.0) for i in range(4000)]
    for prompt, expected in ((True, 0.9405), (False, 0.9405 * CMS.nonprompt_efficiency)):
        found = ak.num(look(rows, CMS, prompt=prompt).objects["muons"])
        assert ak.mean(found) == pytest.approx(expected, abs=4 * np.sqrt(0.25 / 4000))


def test_resolution_of_muons_is_that_of_the_table() -> None:
    pt = look([(i, 13, 100.0, 1.0, 0.0) for i in range(4000)], CMS).objects["muons"].pt
    assert np.std(ak.to_numpy(ak.flatten(pt))) == pytest.approx(100 * np.hypot(0.015, 0.015), rel=0.06)


def test_jets_with_a_b_hadron_are_tagged_within_the_acceptance() -> None:
    rows: list[Row] = [(0, 211, 60.0, 1.0, 0.0), (1, 211, 60.0, 3.0, 0.0), (2, 211, 60.0, 1.0, 0.0)]
    hadrons = HeavyHadrons(np.array([0, 1]), np.array([1.1, 3.0]), np.array([0.1, 0.0]), np.array([True, True]))
    untagged = PERFECT.jets.model_copy(update={"btag_light": (0.0, 0.0)})
    detector = PERFECT.model_copy(update={"jets": untagged})
    assert look(rows, detector, hadrons=hadrons).objects["jets"].btag.tolist() == [[True], [False], [False]]


def test_btag_efficiencies_are_ordered_by_flavour() -> None:
    tags = btag_efficiency(CMS.jets, np.full(3, 60.0), np.array([5, 4, 0]))
    assert 0.6 < tags[0] < 0.75
    assert tags[0] > tags[1] > tags[2] > 0


def test_the_skim_drops_events_and_changes_none() -> None:
    rows = crowd()
    everything, skimmed = look(rows, CMS), look(rows, CMS, skim_leptons=2)
    assert 0 < len(skimmed.kept) < len(everything.kept)
    for name, column in skimmed.objects.items():
        assert ak.array_equal(column, everything.objects[name][skimmed.kept]), name


def test_the_same_stream_gives_the_same_objects_and_another_does_not() -> None:
    rows = crowd()
    first, again, other = look(rows, CMS, seed=1), look(rows, CMS, seed=1), look(rows, CMS, seed=2)
    assert ak.array_equal(first.objects["jets"], again.objects["jets"])
    assert not ak.array_equal(first.objects["met"].pt, other.objects["met"].pt)


def test_an_event_without_particles_is_an_event_without_objects() -> None:
    seen = reconstruct(particles([(2, 13, 40.0, 0.0, 0.0)], n_events=4), NO_HADRONS, CMS, rng=np.random.default_rng(0))
    assert ak.num(seen.objects["muons"]).tolist()[:2] == [0, 0]
    assert len(seen.objects["met"]) == 4


def test_close_pairs_are_those_of_a_loop_over_all_pairs() -> None:
    truth = particles(crowd(n_events=3))
    where = truth.event, truth.eta, truth.phi
    pairs = set(zip(*(index.tolist() for index in close_pairs(where, where, 0.5)), strict=True))
    slow = {
        (i, j)
        for i in range(len(truth))
        for j in range(len(truth))
        if truth.event[i] == truth.event[j] and delta_r(truth.eta[i], truth.phi[i], truth.eta[j], truth.phi[j]) < 0.5
    }
    assert pairs == slow


def test_lookup_is_zero_beyond_the_last_row() -> None:
    assert lookup(((1.0, 3.0, 4.0),), np.array([-1.0, 1.01])).tolist() == [[3.0, 4.0], [0.0, 0.0]]


def test_an_unknown_detector_and_an_unsorted_table_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="no detector 'cmss'; did you mean 'cms'"):
        get_detector("cmss")
    values = CMS.model_dump()
    values["muons"]["efficiency"] = ((2.4, 0.9, 0.9), (1.5, 0.9, 0.9))
    with pytest.raises(ConfigError, match=r"muons\.efficiency: rows must be sorted"):
        DetectorSettings.parse(values)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_keeps_its_own_acceptance(name: str) -> None:
    detector = get_detector(name)
    seen = look(crowd(), detector).objects
    assert detector.name == name
    for kind in ("electrons", "muons", "photons"):
        response = getattr(detector, kind)
        assert ak.min(seen[kind].pt) > response.pt_min
        assert ak.max(abs(seen[kind].eta)) < response.efficiency[-1][0]
        assert response.resolution[-1][0] >= response.efficiency[-1][0]
    assert ak.all(abs(seen["jets"].eta) < detector.jets.eta_max, axis=None)


def test_dark_machines_objects_are_those_of_the_challenge(shared: Path) -> None:
    text = (shared / "reference" / "darkmachines_spec.json").read_text()
    assert '"pT>20,|eta|<2.8"' in text
    assert '"pT>20,|eta|<2.37"' in text
    detector = get_detector("darkmachines")
    assert (detector.jets.pt_min, detector.jets.eta_max) == (20, 2.8)
    assert (detector.photons.pt_min, detector.photons.efficiency[-1][0]) == (20, 2.37)
    assert (detector.muons.pt_min, detector.muons.efficiency[-1][0]) == (15, 2.7)
    assert (detector.electrons.pt_min, detector.electrons.efficiency[-1][0]) == (15, 2.5)
    for rule in DARK_MACHINES_STORED:
        assert f"pT>{rule.pt_min:g},|eta|<{rule.eta_max:g}" in text


def test_missing_momentum_without_muons_takes_them_for_missing() -> None:
    blind = PERFECT.model_copy(update={"met": PERFECT.met.model_copy(update={"muons": False})})
    rows: list[Row] = [(0, 13, 80.0, 0.3, 0.4), (0, 211, 80.0, 0.0, 0.4 - np.pi)]
    assert look(rows).objects["met"].pt.tolist() == pytest.approx([0.0], abs=1e-3)
    seen = look(rows, blind).objects
    assert seen["met"].pt.tolist() == pytest.approx([80.0], rel=1e-5)
    assert seen["met"].phi.tolist() == pytest.approx([0.4], rel=1e-4)
    assert len(seen["muons"][0]) == 1
