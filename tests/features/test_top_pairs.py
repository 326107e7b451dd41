"""Features of top pairs: against a loop, missing where there is no pair, unchanged when the event is turned."""

from __future__ import annotations

import math
from copy import deepcopy

import numpy as np
import pytest

from anomalon import features
from anomalon.events import Events
from anomalon.features.labels import label
from anomalon.features.top_pairs import NAMES, SENAS2018
from anomalon.kinematics import stransverse_mass, wrap_phi
from tests.random_events import random_rows
from tests.selection import top_pairs_loop as loop
from tests.selection.leptons_loop import transverse_mass
from tests.selection.trilepton_loop import dphi, dr, mass

ROWS = random_rows(600, seed=6, leptons=2.4, jets=6.0)
FULL = features.get("top-pairs").transform(Events.from_dicts(ROWS))


def pair(row):
    leptons = loop.good_leptons(row)
    tagged, others = loop.jets(row, leptons)
    return (leptons, tagged, others) if len(leptons) >= 2 and len(tagged) >= 2 else None


def expected(row) -> dict[str, float]:
    leptons, tagged, others = pair(row)
    (l1, l2), (b1, b2), met = leptons[:2], tagged[:2], row["met"]
    every = [*tagged, *others]
    visible = [l1, l2, b1, b2]
    px, py = (sum(x["pt"] * f(x["phi"]) for x in [*visible, met]) for f in (math.cos, math.sin))
    ht, lt = sum(j["pt"] for j in every), l1["pt"] + l2["pt"]
    masses = {(i, k): mass(x, y) for i, x in enumerate((l1, l2)) for k, y in enumerate((b1, b2))}
    found = {
        "MET_pt": met["pt"],
        "lep2_pt": l2["pt"],
        "bjet1_pt": b1["pt"],
        "HT": ht,
        "ST": ht + lt + met["pt"],
        "MET_sqrtHT": met["pt"] / math.sqrt(ht),
        "nJet": len(every),
        "nBJet": len(tagged),
        "flavour_em": float(l1["flavour"] != l2["flavour"]),
        "m_ll": mass(l1, l2),
        "dphi_ll": abs(dphi(l1["phi"], l2["phi"])),
        "dphi_bb": abs(dphi(b1["phi"], b2["phi"])),
        "dR_bb": dr(b1, b2),
        "m_lb_minimax": min(max(masses[0, 0], masses[1, 1]), max(masses[0, 1], masses[1, 0])),
        "m_lb_min": min(masses.values()),
        "mT_l1": transverse_mass(l1, met),
        "recoil_pt": math.hypot(px, py),
        "MET_along_recoil": -(met["pt"] * (math.cos(met["phi"]) * px + math.sin(met["phi"]) * py)) / math.hypot(px, py),
        "mT2_ll": float(stransverse_mass(
            *((x["pt"], x["phi"], x["m"]) for x in (l1, l2)), met_pt=met["pt"], met_phi=met["phi"]
        )),
    }  # fmt: skip
    return found | ({"jet3_pt": others[0]["pt"]} if others else {})


def test_the_values_are_those_of_the_loop() -> None:
    checked = 0
    for i, row in enumerate(ROWS):
        if pair(row) is None:
            continue
        checked += 1
        for name, value in expected(row).items():
            assert FULL.column(name)[i] == pytest.approx(value, rel=2e-3, abs=2e-2), name
    assert checked > 20


def test_everything_is_missing_without_a_pair_and_finite_with_one() -> None:
    there = np.array([pair(row) is not None for row in ROWS])
    assert (FULL.mask.any(axis=1) == there).all()
    assert FULL.usable().all()
    without = [name for name in NAMES if name != "jet3_pt"]
    assert FULL.select(without).mask[there].all()


def test_a_turned_or_mirrored_event_has_the_same_features() -> None:
    turned, mirrored = deepcopy(ROWS), deepcopy(ROWS)
    for rows, change in ((turned, lambda phi: wrap_phi(phi + 1.0)), (mirrored, lambda phi: -phi)):
        for row in rows:
            for one in (*row["electrons"], *row["muons"], *row["jets"], row["met"]):
                one["phi"] = float(change(one["phi"]))
        again = features.get("top-pairs").transform(Events.from_dicts(rows))
        np.testing.assert_allclose(again.values, FULL.values, rtol=2e-3, atol=2e-2)


def test_the_seven_inputs_are_columns_of_the_full_set() -> None:
    seven = features.get("senas2018").transform(Events.from_dicts(ROWS))
    assert seven.names == SENAS2018
    np.testing.assert_array_equal(seven.values, FULL.select(SENAS2018).values)
    assert len(set(NAMES)) == len(NAMES)


def test_leptons_against_the_missing_momentum_share_it() -> None:
    lepton = {"pt": 50.0, "eta": 0.0, "phi": 0.0, "charge": 1}
    jets = [{"pt": 60.0, "eta": eta, "phi": 2.0, "mass": 5.0, "btag": True} for eta in (-1.0, 1.0)]
    row = {"electrons": [lepton], "muons": [{**lepton, "charge": -1, "eta": 1.0}], "jets": jets}
    rows = [{**row, "met": {"pt": met, "phi": math.pi}} for met in (50.0, 100.0)]
    found = features.get("top-pairs").transform(Events.from_dicts(rows)).column("mT2_ll")
    np.testing.assert_allclose(found, [math.sqrt(2 * 50 * met) for met in (50.0, 100.0)], rtol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_every_column_has_a_symbol_and_words(name: str) -> None:
    found = label(name)
    assert name in ("nJet", "nBJet") or "$" in found.symbol
    assert found.words != name
