"""Events made up from background: momentum is conserved, phase space is filled evenly, the host's rest stays."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

from anomalon.distortions import Exaggeration, PseudoEvents
from anomalon.distortions.phase_space import boosted, decay, isotropic
from anomalon.errors import ConfigError, MissingFieldError
from anomalon.events import Events
from anomalon.features import get
from anomalon.kinematics import M_W, M_Z
from tests.random_events import random_rows

NEVER = np.array([1.0, -1.0, -1.0, -1.0])


def mass_of(p: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum((p * p * NEVER).sum(axis=-1), 0.0))


@pytest.fixture(scope="module")
def hosts() -> Events:
    return Events.from_dicts(random_rows(400, seed=5))


def transverse(events: Events) -> np.ndarray:
    """Sum of the transverse momenta of leptons and of what is missing, (2, event)."""
    met = events.array.met
    total = np.stack([np.asarray(met.pt * np.cos(met.phi)), np.asarray(met.pt * np.sin(met.phi))])
    for name in ("electrons", "muons"):
        objects = events.array[name]
        total += [np.asarray(ak.sum(objects.pt * f(objects.phi), axis=1)) for f in (np.cos, np.sin)]
    return total


@pytest.mark.parametrize("masses", [(0.0, 0.0), (0.0, 0.0, 0.0), (91.0, 0.0, 5.0), (100.0, 80.0, 1.0, 0.0)])
def test_a_decay_conserves_energy_and_momentum_and_keeps_the_masses(masses: tuple[float, ...]) -> None:
    rng = np.random.default_rng(1)
    mother = rng.uniform(200, 2000, 500)
    daughters = np.tile(masses, (500, 1))
    p = decay(mother, daughters, rng)
    np.testing.assert_allclose(p.sum(axis=1)[:, 0], mother, rtol=1e-9)
    np.testing.assert_allclose(p.sum(axis=1)[:, 1:], 0, atol=1e-6)
    np.testing.assert_allclose(mass_of(p), daughters, atol=1e-3)


def test_three_massless_daughters_fill_the_dalitz_plot_evenly() -> None:
    rng = np.random.default_rng(2)
    p = decay(np.full(40_000, 2.0), np.zeros((40_000, 3)), rng)
    x = p[..., 0]
    counts, _, _ = np.histogram2d(x[:, 0], x[:, 1], bins=4, range=[(0, 1), (0, 1)])
    inside = counts[np.add.outer(np.arange(4), np.arange(4)) >= 4]  # bins that lie whole above x1 + x2 = 1
    assert abs(inside - inside.mean()).max() < 4 * np.sqrt(inside.mean())


def test_a_boost_keeps_masses_and_takes_rest_to_motion() -> None:
    rng = np.random.default_rng(3)
    along = isotropic(rng.uniform(1, 9, 50), rng) + np.array([10.0, 0, 0, 0])
    p = isotropic(rng.uniform(1, 9, 50), rng) + np.array([2.0, 0, 0, 0])
    np.testing.assert_allclose(mass_of(boosted(p, along)), mass_of(p))
    at_rest = mass_of(along)[:, None] * np.array([1.0, 0, 0, 0])
    np.testing.assert_allclose(boosted(at_rest, along), along)


def test_pseudo_events_conserve_transverse_momentum(hosts: Events) -> None:
    made, able = PseudoEvents(leptons=2, invisibles=(1, 3)).make(hosts, np.random.default_rng(0))
    np.testing.assert_allclose(transverse(made), transverse(hosts[able]), atol=0.05)


def test_pseudo_events_keep_what_is_the_hosts(hosts: Events) -> None:
    made, able = PseudoEvents().make(hosts, np.random.default_rng(0))
    before = hosts[able]
    assert able.sum() == len(made) > 200
    np.testing.assert_array_equal(made.weights(None), before.weights(None))
    for name in ("electrons", "muons"):
        assert ak.num(made.array[name]).to_list() == ak.num(before.array[name]).to_list()
        charges = [sorted(c) for c in before.array[name].charge.to_list()]
        assert [sorted(c) for c in made.array[name].charge.to_list()] == charges
    kept = {pt for pts in made.array.jets.pt.to_list() for pt in pts}
    assert kept <= {pt for pts in before.array.jets.pt.to_list() for pt in pts}
    for name in ("electrons", "muons", "jets"):
        assert ak.all(made.array[name].pt[:, 1:] <= made.array[name].pt[:, :-1])


def test_the_pair_of_a_z_has_its_mass(hosts: Events) -> None:
    near = []
    for fraction in (1.0, 0.0):
        made, _ = PseudoEvents(through_z=fraction).make(hosts, np.random.default_rng(0))
        features = get("trilepton").transform(made)
        masses = np.stack([features.column(f"{channel}_Zmass") for channel in "ABCD"])
        near.append(int((abs(masses - M_Z) < 15.1).sum()))
    assert near[0] > 3 * near[1] > 0


def test_leptons_of_a_w_have_its_transverse_mass_where_nothing_else_is_unseen(hosts: Events) -> None:
    beyond = []
    for fraction in (1.0, 0.0):
        settings = PseudoEvents(through_z=1.0, through_w=fraction, invisibles=(1, 1), mass_gev=(1000, 2000))
        made, _ = settings.make(hosts, np.random.default_rng(0))
        m_t = get("trilepton").transform(made).column("mT_W")
        beyond.append(np.mean(m_t[np.isfinite(m_t)] > M_W + 15.0))
    assert 4 * beyond[0] < beyond[1]


def test_bosons_have_to_fit_into_x() -> None:
    with pytest.raises(ValueError, match="above 197 GeV"):
        PseudoEvents(through_w=0.5, mass_gev=(150, 300))
    PseudoEvents(mass_gev=(150, 300))


def test_jets_of_the_decay_are_the_hosts_leading_ones(hosts: Events) -> None:
    hosts = hosts[(ak.num(hosts.array.electrons) + ak.num(hosts.array.muons) >= 2).to_numpy()]
    made, _ = PseudoEvents(leptons=2, jets=1).make(hosts, np.random.default_rng(0))
    before = PseudoEvents(leptons=2, jets=0).make(hosts, np.random.default_rng(0))[0]
    has_jets = ak.num(before.array.jets).to_numpy() > 0
    assert (ak.num(made.array.jets) == ak.num(before.array.jets)).to_numpy().all()
    b_before = ak.sum(before.array.jets.btag, axis=1)
    np.testing.assert_array_equal(ak.sum(made.array.jets.btag, axis=1), b_before)
    changed = ak.sum(made.array.jets.pt, axis=1) != ak.sum(before.array.jets.pt, axis=1)
    np.testing.assert_array_equal(np.asarray(changed), has_jets)


def test_hosts_with_too_few_leptons_make_none() -> None:
    muon = {"pt": 30, "eta": 0, "phi": 0, "charge": 1}
    rows = [
        {"muons": [muon]},
        {},
        {"muons": [muon], "electrons": [{**muon, "phi": 2}]},
        {"jets": [{"pt": 40, "eta": 1, "phi": 2}]},
    ]
    hosts = Events.from_dicts(rows)
    made, able = PseudoEvents(jets=1).make(hosts, np.random.default_rng(0))
    assert able.tolist() == [False, False, True, False]
    assert (len(made.array.muons[0]), len(made.array.electrons[0])) == (1, 1)
    assert PseudoEvents().make(hosts[:2], np.random.default_rng(0))[1].tolist() == [False, False]


def test_jets_alone_can_be_what_a_decay_leaves(hosts: Events) -> None:
    made, able = PseudoEvents(leptons=0, jets=3).make(hosts, np.random.default_rng(0))
    before = hosts[able]
    assert (ak.num(before.array.jets) >= 2).to_numpy().all()
    assert made.array.muons.pt.to_list() == before.array.muons.pt.to_list()
    assert (made.array.jets.pt[:, 0] != before.array.jets.pt[:, 0]).to_numpy().all()


def test_heavier_decays_have_harder_leptons(hosts: Events) -> None:
    soft, hard = (
        PseudoEvents(mass_gev=mass).make(hosts, np.random.default_rng(0))[0] for mass in ((200, 300), (2000, 3000))
    )
    assert ak.mean(ak.flatten(hard.array.muons.pt)) > 3 * ak.mean(ak.flatten(soft.array.muons.pt))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"invisibles": [3, 1]}, "the smaller first"),
        ({"leptons": 1}, "at least two of them together"),
        ({"mass_gev": [100, 200]}, "two masses above 121 GeV"),
    ],
)
def test_impossible_decays_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PseudoEvents.parse(settings)


def test_exaggerated_events_are_harder_or_miss_more(hosts: Events) -> None:
    made, all_of_them = Exaggeration(factor=(2, 2), met_gev=(500, 500)).make(hosts, np.random.default_rng(0))
    assert all_of_them.all()
    before, after = hosts.numbers("met.pt"), made.numbers("met.pt")
    scaled = np.isclose(after, 2 * before, rtol=1e-4)
    assert 0.6 < scaled.mean() < 0.75  # two of three ways
    assert (after[~scaled] > 300).all()
    same_direction = np.isclose(made.numbers("met.phi"), hosts.numbers("met.phi"), atol=1e-4)
    for name, doubled in (("muons", scaled), ("electrons", scaled), ("jets", scaled & same_direction)):
        sums = [np.asarray(ak.sum(events.array[name].pt, axis=1)) for events in (made, hosts)]
        np.testing.assert_allclose(sums[0], np.where(doubled, 2, 1) * sums[1], rtol=1e-4)


def test_an_exaggeration_needs_a_range() -> None:
    with pytest.raises(ConfigError, match="the smaller first"):
        Exaggeration.parse({"factor": [3, 2]})


@pytest.mark.parametrize("maker", [PseudoEvents(), Exaggeration()])
def test_events_without_missing_momentum_make_no_outliers(maker: PseudoEvents | Exaggeration, hosts: Events) -> None:
    without = Events(hosts.array[[name for name in hosts.fields if name != "met"]], hosts.samples)
    with pytest.raises(MissingFieldError, match=r"met\.pt"):
        maker.make(without, np.random.default_rng(0))
