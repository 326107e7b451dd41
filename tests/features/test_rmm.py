from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomalon import features
from anomalon import kinematics as k
from anomalon.errors import ConfigError, MissingFieldError, UnknownNameError
from anomalon.events import Events
from anomalon.features import RapidityMassMatrix

Row = dict[str, Any]

REFERENCE = json.loads((Path(__file__).parent / "data" / "rmm_reference.json").read_text(encoding="utf-8"))
TYPES = {"jet": "jet", "mu": "muon", "e": "electron", "gamma": "photon"}
COLLECTION = {"jet": "jets", "bjet": "jets", "electron": "electrons", "muon": "muons", "photon": "photons"}
ALL = {"jet": 3, "bjet": 2, "electron": 2, "muon": 2, "photon": 1}

number = {"allow_nan": False, "allow_infinity": False, "width": 32}
direction = {"eta": st.floats(-5.0, 5.0, **number), "phi": st.floats(-3.125, 3.140625, **number)}
pt = st.floats(1.0, 4096.0, **number)
mass = st.one_of(st.just(0.0), st.floats(2**-10, 512.0, **number))
particle = st.fixed_dictionaries({"pt": pt, "mass": mass, **direction})
jet = st.fixed_dictionaries({"pt": pt, "mass": mass, "btag": st.booleans(), **direction})
met = st.fixed_dictionaries({"pt": st.one_of(st.just(0.0), st.floats(0.5, 4096.0, **number)), "phi": direction["phi"]})
event = st.fixed_dictionaries(
    {
        "jets": st.lists(jet, max_size=7),
        **{name: st.lists(particle, max_size=4) for name in ("electrons", "muons", "photons")},
        "met": met,
    }
)
rows = st.lists(event, max_size=4)


def matrices(rows: list[Row], **options: Any) -> np.ndarray:
    chosen = RapidityMassMatrix(**options)
    return chosen.matrix(chosen.transform(Events.from_dicts(rows)).values)


def slow(row: Row, counts: dict[str, int], sqrt_s: float, c: float) -> np.ndarray:
    """One event, cell by cell, with the functions of ``kinematics``."""
    size = 1 + sum(counts.values())
    cells = np.zeros((size, size))
    missing = row["met"]
    cells[0, 0] = missing["pt"] / sqrt_s
    placed = []
    first = 1
    for kind, most in counts.items():
        objects = sorted(row.get(COLLECTION[kind], []), key=lambda o: -o["pt"])
        if kind in ("jet", "bjet") and "bjet" in counts:
            objects = [o for o in objects if o["btag"] == (kind == "bjet")]
        placed += [(first + i, i, o) for i, o in enumerate(objects[:most])]
        first += most
    before = 0.0
    for r, place, o in placed:
        p_t, eta, phi, m = o["pt"], o["eta"], o["phi"], o["mass"]
        e_t = k.energy(p_t, eta, m) * p_t / k.momentum(p_t, eta)
        cells[r, r] = e_t / sqrt_s if place == 0 else (before - e_t) / (before + e_t)
        before = e_t
        if missing["pt"] > 0:
            squared = e_t**2 - p_t**2 + 2 * missing["pt"] * (e_t - p_t * math.cos(phi - missing["phi"]))
            cells[0, r] = math.sqrt(max(squared, 0.0)) / sqrt_s
        cells[r, 0] = c * (math.cosh(k.rapidity(p_t, eta, m)) - 1)
    for (i, _, a), (j, _, b) in itertools.combinations(sorted(placed, key=lambda item: item[0]), 2):
        cells[i, j] = k.pair_mass(four(a), four(b)) / sqrt_s
        y = [k.rapidity(o["pt"], o["eta"], o["mass"]) for o in (a, b)]
        cells[j, i] = c * (math.cosh((y[0] - y[1]) / 2) - 1)
    return cells


def four(thing: Row) -> tuple[float, float, float, float]:
    return thing["pt"], thing["eta"], thing["phi"], thing["mass"]


def reference_row(case: Row) -> Row:
    objects = {
        COLLECTION[kind]: [dict(zip(("pt", "eta", "phi", "mass"), o, strict=True)) for o in case[name]]
        for name, kind in TYPES.items()
    }
    return {"met": {"pt": case["met"], "phi": case["met_phi"]}, **objects}


@pytest.mark.parametrize("i", range(len(REFERENCE["inputs"])), ids=[case["name"] for case in REFERENCE["inputs"]])
def test_matrices_agree_with_the_public_reference(i: int) -> None:
    case, expected = REFERENCE["inputs"][i], REFERENCE["outputs"][i]
    counts = {TYPES[name]: case["maxN"] for name in case["types"]}
    for c, key in ((1.0, "rmm"), (0.15, "rmm_C015")):
        found = matrices([reference_row(case)], counts=counts, sqrt_s=case["sqrts_GeV"], c=c)[0]
        np.testing.assert_allclose(found, expected[key], rtol=1e-5, atol=1e-9)


@given(rows)
@settings(deadline=None, max_examples=60)
def test_the_compiled_loop_agrees_with_a_slow_one(rows: list[Row]) -> None:
    found = matrices(rows, counts=ALL)
    for row, cells in zip(rows, found, strict=True):
        np.testing.assert_allclose(cells, slow(row, ALL, 13000.0, 0.15), rtol=1e-5, atol=1e-8)


@given(rows, st.floats(-3.0, 3.0))
@settings(deadline=None, max_examples=20)
def test_cells_do_not_change_when_the_event_turns_about_the_beam(rows: list[Row], angle: float) -> None:
    def turned(thing: Row) -> Row:
        return thing | {"phi": float(k.wrap_phi(thing["phi"] + angle))}

    turned_rows = [
        {name: turned(value) if name == "met" else [turned(o) for o in value] for name, value in row.items()}
        for row in rows
    ]
    before, after = matrices(rows, counts=ALL), matrices(turned_rows, counts=ALL)
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=2e-7)  # phi is stored in single precision


@given(rows, st.sampled_from([0.25, 2.0, 8.0]))
@settings(deadline=None, max_examples=20)
def test_energies_follow_the_scale_of_all_momenta_and_other_cells_do_not(rows: list[Row], factor: float) -> None:
    def scaled(thing: Row) -> Row:
        return thing | {name: thing[name] * factor for name in ("pt", "mass") if name in thing}

    bigger = [
        {name: scaled(value) if name == "met" else [scaled(o) for o in value] for name, value in row.items()}
        for row in rows
    ]
    layout = RapidityMassMatrix(counts=ALL).layout
    names = np.array(layout.names).reshape(layout.size, layout.size)
    plain = np.char.startswith(names, "h(") | np.char.startswith(names, "deT(")
    before, after = matrices(rows, counts=ALL), matrices(bigger, counts=ALL)
    np.testing.assert_allclose(after[:, plain], before[:, plain], rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(after[:, ~plain], factor * before[:, ~plain], rtol=1e-5, atol=1e-9)


@given(rows, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=20)
def test_the_order_in_which_objects_are_given_does_not_matter(rows: list[Row], random: Any) -> None:
    shuffled = [
        {name: value if name == "met" else random.sample(value, len(value)) for name, value in row.items()}
        for row in rows
    ]
    pts = [o["pt"] for row in rows for name, value in row.items() if name != "met" for o in value]
    if len(set(pts)) == len(pts):  # equal pT keep the order of the source
        np.testing.assert_array_equal(matrices(shuffled, counts=ALL), matrices(rows, counts=ALL))


@given(rows, st.permutations(list(ALL)))
@settings(deadline=None, max_examples=20)
def test_another_order_of_the_types_gives_the_same_cells_at_other_places(rows: list[Row], order: list[str]) -> None:
    events = Events.from_dicts(rows)
    one = RapidityMassMatrix(counts=ALL)
    other = RapidityMassMatrix(counts={kind: ALL[kind] for kind in order})
    a, b = (chosen.matrix(chosen.transform(events).values) for chosen in (one, other))
    place = [one.layout.rows.index(row) for row in other.layout.rows]
    for cells, others in ((a, b), (np.swapaxes(a, 1, 2), np.swapaxes(b, 1, 2))):  # masses, then rapidities
        symmetric = np.triu(cells) + np.swapaxes(np.triu(cells, 1), 1, 2)
        np.testing.assert_array_equal(np.triu(others), np.triu(symmetric[:, place][:, :, place]))


def test_rows_of_absent_objects_are_zero_and_the_others_stay_as_they_are() -> None:
    electron = {"pt": 50.0, "eta": 1.0, "phi": 0.5, "mass": 0.0}
    row = {"electrons": [electron], "met": {"pt": 30.0, "phi": -1.0}}
    cells = matrices([row])[0]
    there = [0, RapidityMassMatrix().layout.rows.index("electron1")]
    rest = np.delete(np.delete(cells, there, 0), there, 1)
    assert not rest.any()
    np.testing.assert_array_equal(cells[np.ix_(there, there)], matrices([row], counts={"electron": 1})[0])


def test_events_without_anything_and_no_events_at_all_are_fine() -> None:
    assert not matrices([{}, {}]).any()
    assert matrices([]).shape == (0, 23, 23)


def test_surplus_objects_are_dropped_by_falling_pt() -> None:
    muons = [{"pt": p, "eta": p / 50, "phi": p / 40, "mass": 0.1} for p in (10.0, 40.0, 30.0, 20.0)]
    many, few = ({"muons": chosen, "met": {"pt": 9.0, "phi": 0.0}} for chosen in (muons, muons[1:3]))
    np.testing.assert_array_equal(matrices([many], counts={"muon": 2}), matrices([few], counts={"muon": 2}))


def test_without_b_jets_every_jet_is_a_jet_and_with_them_none_is_lost() -> None:
    jets = [{"pt": p, "eta": 0.1, "phi": p / 30, "mass": 5.0, "btag": tag} for p, tag in ((90.0, True), (40.0, False))]
    row = {"jets": jets, "met": {"pt": 20.0, "phi": 1.0}}
    together = RapidityMassMatrix(counts={"jet": 2}).transform(Events.from_dicts([row]))
    split = RapidityMassMatrix(counts={"jet": 1, "bjet": 1}).transform(Events.from_dicts([row]))
    assert together.column("m(jet1,jet2)") == split.column("m(jet1,bjet1)")
    assert split.column("eT(jet1)") < split.column("eT(bjet1)") == together.column("eT(jet1)")
    only = RapidityMassMatrix(counts={"bjet": 2}).transform(Events.from_dicts([row]))
    assert np.count_nonzero(only.values) == np.count_nonzero(matrices([row | {"jets": jets[:1]}]))


def test_cuts_belong_to_one_type() -> None:
    objects = [{"pt": p, "eta": eta, "phi": 0.3, "mass": 1.0} for p, eta in ((60.0, 3.0), (50.0, 0.5), (20.0, 0.1))]
    row = {"jets": objects, "muons": objects, "met": {"pt": 20.0, "phi": 1.0}}
    cut = matrices([row], counts={"jet": 3, "muon": 3}, pt_min={"jet": 20.0}, eta_max={"jet": 3.0})
    np.testing.assert_array_equal(cut, matrices([row | {"jets": objects[1:2]}], counts={"jet": 3, "muon": 3}))


def test_a_missing_momentum_that_is_not_a_number_shows_in_the_first_row_only() -> None:
    muon = {"pt": 40.0, "eta": 0.2, "phi": 0.3, "mass": 0.1}
    good, bad = matrices(
        [{"muons": [muon], "met": {"pt": p, "phi": 0.0}} for p in (10.0, math.nan)], counts={"muon": 2}
    )
    assert np.isnan(bad[0]).tolist() == [True, True, False]
    np.testing.assert_array_equal(bad[1:], good[1:])
    values = RapidityMassMatrix().transform(Events.from_dicts([{"met": {"pt": math.nan, "phi": 0.0}}]))
    assert values.not_finite() == {"MET": 1}


def test_selected_events_give_their_rows_of_all() -> None:
    rng = np.random.default_rng(3)
    row = [
        {"muons": [{"pt": 50 * rng.random() + 5, "eta": rng.normal(), "phi": rng.uniform(-3, 3)} for _ in range(i % 4)]}
        for i in range(400)
    ]
    events, chosen = Events.from_dicts(row), rng.random(400) < 0.3
    whole = RapidityMassMatrix().transform(events).values
    np.testing.assert_array_equal(RapidityMassMatrix().transform(events[chosen]).values, whole[chosen])
    np.testing.assert_array_equal(RapidityMassMatrix().transform(events[130:290]).values, whole[130:290])


def test_names_are_unique_and_lead_to_their_cells() -> None:
    layout = RapidityMassMatrix(counts=ALL).layout
    assert len(set(layout.names)) == layout.size**2
    for i, name in enumerate(layout.names):
        row, column = layout.place(name)
        assert (row * layout.size + column, layout.name(row, column)) == (i, name)
    with pytest.raises(UnknownNameError, match=r"no cell 'm\(jet1,jet9\)'.* did you mean 'm\(jet1,jet"):
        layout.place("m(jet1,jet9)")


def test_energies_in_gev_have_names_of_their_own() -> None:
    units, gev = RapidityMassMatrix(), RapidityMassMatrix(normalise=False)
    muon = {"pt": 40.0, "eta": 0.2, "phi": 0.3, "mass": 0.1}
    events = Events.from_dicts([{"muons": [muon, muon], "met": {"pt": 10.0, "phi": 0.0}}])
    a, b = units.transform(events), gev.transform(events)
    for name, x, y in zip(b.names, a.values[0], b.values[0], strict=True):
        assert y == pytest.approx(x * 13000.0 if name.endswith("_GeV") else x, rel=1e-5)
    assert {name for name in b.names if name not in a.names} == {n for n in b.names if n.endswith("_GeV")}


def test_the_mask_is_one_true_for_all() -> None:
    found = features.get("rmm").transform(Events.from_dicts([{}] * 5))
    assert found.values.dtype == np.float32
    assert found.mask.all()
    assert found.mask.strides == (0, 0)


def test_only_the_fields_that_are_needed_are_read() -> None:
    assert RapidityMassMatrix(counts={"muon": 2}).requires == {
        "met.pt", "met.phi", "muons.pt", "muons.eta", "muons.phi", "muons.mass",
    }  # fmt: skip
    assert "jets.btag" not in RapidityMassMatrix(counts={"jet": 2}).requires
    assert "jets.btag" in RapidityMassMatrix().requires
    events = Events.from_dicts([{}])
    without = Events(events.array[[f for f in events.fields if f != "jets"]], events.samples)
    assert RapidityMassMatrix(counts={"muon": 2}).transform(without).values.shape == (1, 9)
    with pytest.raises(MissingFieldError, match=r"feature set 'rmm' needs jets.btag"):
        RapidityMassMatrix().transform(without)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"counts": {"jets": 3}}, "no object type 'jets'; did you mean 'jet'"),
        ({"counts": {"jet": 0}}, "counts.jet = 0"),
        ({"counts": {}}, "counts"),
        ({"pt_min": {"tau": 3}}, "no object type 'tau'"),
        ({"sqrt_s": 0}, "sqrt_s = 0"),
    ],
)
def test_mistakes_in_the_settings_are_explained(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        features.get("rmm", **options)


def test_a_full_turn_of_phi_changes_nothing() -> None:
    particles = [{"pt": 40.0, "eta": 0.2, "phi": phi, "mass": 0.1} for phi in (3.5, -0.4)]
    turned = [o | {"phi": o["phi"] + 2 * math.pi * n} for o, n in zip(particles, (-1, 3), strict=True)]
    one, other = ({"muons": objects, "met": {"pt": 30.0, "phi": 1.0}} for objects in (particles, turned))
    np.testing.assert_allclose(matrices([one]), matrices([other]), rtol=1e-5)
