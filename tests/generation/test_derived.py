from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from anomalon.events import Events
from anomalon.generation.derived import QUANTITIES, derive
from anomalon.generation.flatten import EventArrays, flatten
from anomalon.kinematics import cartesian, delta_r, invariant_mass, transverse_mass
from tests.generation.toys import top_pairs


def vector(item):
    return item["pt"], item["eta"], item["phi"], item["mass"]


def slowly(row):
    """The same quantities by an obvious loop over one event."""
    b, j = ([x for x in row["jets"] if x["btag"] == tag] for tag in (True, False))
    leptons = sorted(row["electrons"] + row["muons"], key=lambda x: -x["pt"])
    found = {"HT": sum(x["pt"] for x in b + j), "n_jets": len(b + j), "n_leptons": len(leptons)}
    hardest = sorted(b + j, key=lambda x: -x["pt"])
    for name, group in (("m_jj", hardest), ("m_bb", b), ("m_ll", leptons)):
        found[name] = invariant_mass([vector(x) for x in group[:2]]) if len(group) > 1 else np.nan
    if leptons and b:
        found["m_lb"] = min(invariant_mass([vector(leptons[0]), vector(x)]) for x in b)
    if leptons:
        found["m_T"] = transverse_mass(
            leptons[0]["pt"], leptons[0]["phi"], leptons[0]["mass"], row["met"]["pt"], row["met"]["phi"]
        )
    triples = [
        (np.hypot(*np.sum([cartesian(*vector(x))[:2] for x in t], axis=0)), t)
        for pair in combinations(j[:6], 2)
        for t in ((x, *pair) for x in b[:3])
    ]
    if triples:
        best = max(triples, key=lambda t: t[0])[1]
        found["m_top"], found["m_W"] = (invariant_mass([vector(x) for x in part]) for part in (best, best[1:]))
    if len(hardest) > 1:
        found["delta_r_jj"] = min(
            delta_r(x["eta"], x["phi"], y["eta"], y["phi"]) for x, y in combinations(hardest[:8], 2)
        )
    for name, seen in (("balance", b + j + leptons + row["photons"]), ("balance_calo", b + j + row["electrons"])):
        total = np.sum([cartesian(*vector(x))[:2] for x in seen] or [[0, 0]], axis=0)
        total += row["met"]["pt"] * np.array([np.cos(row["met"]["phi"]), np.sin(row["met"]["phi"])])
        found[name] = np.hypot(*total)
    return found


def test_every_quantity_is_that_of_an_obvious_loop():
    events = top_pairs(150, seed=3)
    derived = derive(flatten(events))
    for i, row in enumerate(events.array.to_list()):
        for name, value in slowly(row).items():
            assert derived.column(name)[i] == pytest.approx(value, rel=2e-4, abs=2e-2, nan_ok=True), (i, name)


def test_the_peaks_of_top_pairs_are_where_the_masses_are():
    derived = derive(flatten(top_pairs(8000, seed=1)))
    for name, low, high, mass in (("m_W", 50, 120, 80.4), ("m_top", 120, 240, 172.5)):
        counts, edges = np.histogram(derived.present(name), 14, (low, high))
        peak = edges[counts.argmax()] + 0.5 * (edges[1] - edges[0])
        assert peak == pytest.approx(mass, abs=9), name


def turned(arrays: EventArrays, angle: float, side: float, mirror: float = 1.0) -> EventArrays:
    """Events turned by an angle about the beam, with their two sides and their handedness exchanged."""
    objects, met = arrays.objects.copy(), arrays.met.copy()
    objects[..., 2], met[:, 1] = (
        (mirror * phi + angle + np.pi) % (2 * np.pi) - np.pi for phi in (objects[..., 2], met[:, 1])
    )
    objects[..., 1] *= side
    return EventArrays(met, arrays.counts, objects, arrays.slots)


def test_no_quantity_changes_when_an_event_is_turned_or_mirrored():
    arrays = flatten(top_pairs(300, seed=2))
    before, after = derive(arrays), derive(turned(arrays, 1.234, -1.0, -1.0))
    assert np.allclose(before.values, after.values, rtol=1e-6, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize(
    ("directions", "expected"),
    [([(0.0, 0.0), (0.0, np.pi)], 0.0), ([(0.0, i * np.pi / 2) for i in range(4)], 0.75)],
)
def test_sphericity_of_known_shapes(directions, expected):
    jets = [{"pt": 50, "eta": eta, "phi": phi} for eta, phi in directions]
    derived = derive(flatten(Events.from_dicts([{"jets": jets}])))
    assert derived.column("sphericity")[0] == pytest.approx(expected, abs=1e-6)


def test_what_an_event_lacks_is_missing_and_nothing_else():
    derived = derive(flatten(Events.from_dicts([{"met": {"pt": 30, "phi": 0}}])))
    there = {name for name in QUANTITIES if np.isfinite(derived.column(name)[0])}
    assert there == {"MET", "HT", "balance", "balance_calo", "n_jets", "n_b", "n_leptons", "n_photons"}
    assert derived.column("balance")[0] == 30


def test_energies_below_the_momentum_give_no_nan():
    arrays = flatten(top_pairs(50))
    arrays.objects[..., 3] = -5 * arrays.objects[..., 0]
    assert np.isfinite(derive(arrays).column("HT")).all()


def test_slots_may_be_missing():
    assert derive(flatten(top_pairs(20), {"j": 1})).values.shape == (20, len(QUANTITIES))
