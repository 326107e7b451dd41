"""Features of events with a number of leptons: every value against a loop, and the limits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from anomalon import features
from anomalon.errors import ConfigError, MissingFieldError
from anomalon.events import Events
from anomalon.features import LeptonFeatures
from anomalon.features.labels import label
from tests.random_events import random_rows
from tests.selection import leptons_loop as loop
from tests.selection.trilepton_loop import M_Z, dphi, dr, mass

ROWS = random_rows(1500, seed=23)
EVENTS = Events.from_dicts(ROWS)
SELECTIONS = {
    2: {"count": 2, "pt_min": [25, 25]},
    3: {"count": 3, "pt_min": [20, 20, 10]},
    4: {"count": 4, "pt_min": [20, 15, 10, 10]},
}


def feature_set(count: int, **settings: Any) -> LeptonFeatures:
    return LeptonFeatures.parse({"selection": SELECTIONS[count], **settings})


def lepton(pt: float, charge: int = 1, eta: float = 0.3, phi: float = 0.0) -> dict[str, float]:
    return {"pt": pt, "eta": eta, "phi": phi, "charge": charge}


def expected(row: dict[str, Any], count: int) -> dict[str, float]:
    """The features that exist, in a loop; a missing one has no key."""
    good, met = loop.good_leptons(row), row["met"]
    if len(good) < count:
        return {}
    leptons, jets = good[:count], loop.clean_jets(row, good)
    first, second = leptons[:2]
    px, py = loop.vector_sum(first, second)
    lt, ht = sum(x["pt"] for x in leptons), sum(j["pt"] for j in jets)
    flavour = "".join(sorted(x["flavour"] for x in leptons))
    out = {
        "MET_pt": met["pt"],
        "nElectron": sum(x["flavour"] == "e" for x in good),
        "nMuon": sum(x["flavour"] == "m" for x in good),
        "LT": lt,
        "HT": ht,
        "ST": lt + ht + met["pt"],
        "nJet": len(jets),
        "nBJet": sum(j["btag"] for j in jets),
        "m_ll": mass(first, second),
        "pT_ll": math.hypot(px, py),
        "dphi_ll": abs(dphi(first["phi"], second["phi"])),
        "dR_ll": dr(first, second),
        "mT_l1": loop.transverse_mass(first, met),
        "dphi_ll_MET": abs(dphi(math.atan2(py, px), met["phi"])),
        **{f"lep{k + 1}_{what}": x[what] for k, x in enumerate(leptons) for what in ("pt", "eta")},
        **{f"flavour_{'e' * (count - n)}{'m' * n}": float(n == flavour.count("m")) for n in range(count + 1)},
    }
    out |= {"jet1_pt": max(j["pt"] for j in jets)} if jets else {}
    return out | (_with_more(leptons, met) if count > 2 else {})


def _with_more(leptons: list[dict[str, Any]], met: dict[str, Any]) -> dict[str, float]:
    out = {f"m_{len(leptons)}l": mass(*leptons)}
    pair = loop.z_pair(leptons)
    if pair is not None:
        rest = [x for k, x in enumerate(leptons) if k not in pair]
        out |= {"m_Z": mass(*(leptons[k] for k in pair)), "mT_W": loop.transverse_mass(rest[0], met)}
    return out


@pytest.mark.parametrize("count", sorted(SELECTIONS))
def test_every_feature_agrees_with_a_loop_over_events(count: int) -> None:
    made = feature_set(count).transform(EVENTS)
    n_found = 0
    for i, row in enumerate(ROWS):
        known = expected(row, count)
        present = {name for name, there in zip(made.names, made.mask[i], strict=True) if there}
        assert present == set(known), i
        n_found += bool(present)
        for name in present:
            value = float(made.values[i, made.index(name)])
            assert value == pytest.approx(known[name], rel=2e-4, abs=5e-3), (i, name)
    assert 100 < n_found < len(ROWS)
    assert np.isnan(made.values[~made.mask]).all()


@pytest.mark.parametrize("count", sorted(SELECTIONS))
def test_the_flavours_of_an_event_are_exactly_one_of_all(count: int) -> None:
    made = feature_set(count).transform(EVENTS)
    columns = [name for name in made.names if name.startswith("flavour_")]
    assert len(columns) == count + 1
    there = made.mask[:, made.index("MET_pt")]
    np.testing.assert_array_equal(made.select(columns).values[there].sum(axis=1), 1.0)


def test_the_z_candidate_is_the_pair_closest_to_the_z_mass_and_not_the_leading_one() -> None:
    row = {"muons": [lepton(200), lepton(45.6, -1, phi=3.1), lepton(45.6, phi=-0.04)], "met": {"pt": 30.0, "phi": 3.1}}
    made = feature_set(3).transform(Events.from_dicts([row]))
    assert made.column("m_Z")[0] == pytest.approx(M_Z, abs=0.3)
    assert made.column("m_ll")[0] > 150
    assert made.column("mT_W")[0] == made.column("mT_l1")[0]


def test_without_a_pair_of_opposite_charge_and_equal_flavour_its_variables_are_missing() -> None:
    made = feature_set(3).transform(Events.from_dicts([{"electrons": [lepton(50), lepton(40)], "muons": [lepton(30)]}]))
    assert {name for name in made.names if not made.mask[0, made.index(name)]} == {"m_Z", "mT_W", "jet1_pt"}


def test_a_lepton_beyond_the_count_is_counted_and_cleans_jets_but_enters_nothing_else() -> None:
    jet = {"pt": 60.0, "eta": 0.3, "phi": 2.0, "mass": 5.0, "btag": True}
    row = {"muons": [lepton(50, phi=0.5), lepton(40, phi=-0.5)], "jets": [jet], "met": {"pt": 10, "phi": 1}}
    more = {**row, "electrons": [lepton(12, phi=2.0)]}
    two, three = (feature_set(2).transform(Events.from_dicts([r])) for r in (row, more))
    assert two.column("HT")[0] == 60
    assert (three.column("nElectron")[0], three.column("nJet")[0], three.column("HT")[0]) == (1, 0, 0)
    for name in ("m_ll", "LT", "lep2_pt", "mT_l1", "flavour_mm"):
        assert two.column(name)[0] == three.column(name)[0], name


def test_jets_that_count_follow_the_settings() -> None:
    jets = [{"pt": pt, "eta": eta, "phi": 2.5, "mass": 5.0, "btag": False} for pt, eta in ((70, 2.6), (50, 0), (25, 0))]
    events = Events.from_dicts([{"muons": [lepton(50), lepton(40)], "jets": jets}])
    for settings, ht in (({}, 50), ({"jet_pt_min": 20}, 75), ({"jet_eta_max": 4.5}, 120)):
        assert feature_set(2, **settings).transform(events).column("HT")[0] == ht


def test_a_broken_lepton_is_seen_and_never_stands_in_for_a_real_pair() -> None:
    broken, pair = lepton(50, phi=math.nan), [lepton(40, -1, eta=0.1), lepton(30, phi=2.5)]
    made = feature_set(3).transform(
        Events.from_dicts([{"muons": [broken, *pair]}, {"muons": [broken, pair[0], broken]}])
    )
    whole = feature_set(2).transform(Events.from_dicts([{"muons": pair}]))
    assert made.mask[:, made.index("m_Z")].tolist() == [True, False]
    assert made.column("m_Z")[0] == pytest.approx(whole.column("m_ll")[0])
    assert not made.usable().any()


@pytest.mark.parametrize("count", sorted(SELECTIONS))
def test_every_feature_has_a_label_of_its_own(count: int) -> None:
    names = feature_set(count).names
    assert len(set(names)) == len(names)
    assert len({label(name).words for name in names}) == len(names)
    assert len({label(name).symbol for name in names}) == len(names)
    for name in names:
        assert label(name).words != name
        assert label(name).kind != "energy" or label(name).unit == "GeV"


def test_the_set_is_registered_and_says_what_it_reads() -> None:
    made = features.get("leptons", selection=SELECTIONS[2])
    assert isinstance(made, LeptonFeatures)
    assert made.requires == made.selection.requires | {
        "met.pt", "met.phi", "jets.pt", "jets.eta", "jets.phi", "jets.btag"
    }  # fmt: skip
    assert made.transform(EVENTS[:0]).values.shape == (0, len(made.names))
    with pytest.raises(ConfigError, match="3 thresholds for count = 2"):
        features.get("leptons", selection={"count": 2})
    with pytest.raises(MissingFieldError, match="feature set 'leptons' needs jets"):
        made.transform(Events(EVENTS.array[[f for f in EVENTS.fields if f != "jets"]], EVENTS.samples))
