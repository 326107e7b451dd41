"""Distorted events: the vectorised steps against a slow loop, and the laws that every distortion obeys."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import Any

import awkward as ak
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri

from anomalon.config import Settings
from anomalon.distortions import (
    PRESETS,
    STANDARD,
    Distortion,
    Distortions,
    Lose,
    Scale,
    Smear,
    Soft,
    Swap,
    Variation,
    Variations,
    Which,
    bjet_scale,
    distort,
    jet_scale,
    leading_leptons,
    parse_distortions,
    preset,
    required_fields,
    standard,
)
from anomalon.errors import ConfigError, MissingFieldError, UnknownNameError
from anomalon.events import COLLECTIONS, Events, Sample
from anomalon.kinematics import M_ELECTRON, M_MUON
from tests.random_events import Row, random_rows

MASSES = {"electrons": M_ELECTRON, "muons": M_MUON, "photons": 0.0}
VISIBLE = COLLECTIONS
JETS = Which(collection="jets")
B_JETS = Which(collection="jets", btag=True)
ELECTRONS = Which(collection="electrons")
LEPTONS = Which(collection="leptons")

# ---------------------------------------------------------------------------------------------- events

pts = st.sampled_from([5.0, 20.0, 25.0]) | st.floats(1.0, 500.0, width=32)
momenta = {"pt": pts, "eta": st.floats(-4.0, 4.0, width=32), "phi": st.floats(-3.0, 3.0, width=32)}
lepton = st.fixed_dictionaries({**momenta, "charge": st.sampled_from([-1, 1]), "isolation": st.floats(0, 1, width=32)})
jet = st.fixed_dictionaries({**momenta, "mass": st.floats(0.0, 50.0, width=32), "btag": st.booleans()})
scored = st.fixed_dictionaries({"btag_score": st.floats(0, 1, width=32)})
rows = st.fixed_dictionaries(
    {
        "electrons": st.lists(lepton, max_size=3),
        "muons": st.lists(lepton, max_size=3),
        "photons": st.lists(st.fixed_dictionaries(momenta), max_size=2),
        "jets": st.lists(st.builds(lambda a, b: a | b, jet, scored), max_size=5),
        "met": st.fixed_dictionaries(
            {"pt": st.floats(0.0, 300.0, width=32), "phi": st.floats(-3.0, 3.0, width=32)},
        ),
        "gen_weight": st.floats(-2.0, 2.0),
    }
)
tables = st.lists(rows, max_size=6)

# ---------------------------------------------------------------------------------------------- distortions

collections = st.sampled_from(["electrons", "muons", "photons", "jets", "leptons"])
whiches = st.builds(
    Which,
    collection=collections,
    rank=st.none() | st.integers(1, 3),
    pt_min=st.sampled_from([0.0, 20.0]),
    pt_max=st.sampled_from([None, 100.0]),
    eta_min=st.sampled_from([0.0, 1.0]),
    eta_max=st.sampled_from([None, 2.5]),
) | st.builds(Which, collection=st.just("jets"), btag=st.booleans(), rank=st.none() | st.integers(1, 2))
chances = st.sampled_from([0.0, 0.5, 1.0])
steps = (
    st.builds(Scale, which=whiches, factor=st.sampled_from([0.5, 1.0, 3.0]), scale_mass=st.none() | st.booleans())
    | st.builds(Smear, which=whiches, constant=chances, stochastic=chances, noise=chances, eta=chances, phi=chances)
    | st.builds(Lose, which=whiches, probability=chances)
    | st.builds(Swap, which=whiches, to=st.sampled_from([*COLLECTIONS, "bjets"]), probability=chances)
)

# ---------------------------------------------------------------------------------------------- the slow loop


def splitmix(x: int) -> int:
    z = (x + 0x9E3779B97F4A7C15) % 2**64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
    return z ^ (z >> 31)


def first_bits(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def slow_uniform(stream: str, row: Row, name: str, place: int) -> float:
    """The random number of one object; the sample is called by-hand."""
    state = splitmix(first_bits(f"distortions/{stream}/{name}") ^ first_bits("by-hand"))
    for key in ("run", "lumi", "event"):
        state = splitmix(state ^ row[key] % 2**64)
    return ((splitmix(state ^ place) >> 12) + 0.5) * 2.0**-52


def slow_chosen(which: Which, row: Row) -> list[tuple[str, int]]:
    def passes(item: Row) -> bool:
        in_pt = which.pt_min <= item["pt"] and (which.pt_max is None or item["pt"] < which.pt_max)
        in_eta = which.eta_min <= abs(item["eta"]) and (which.eta_max is None or abs(item["eta"]) < which.eta_max)
        return in_pt and in_eta and (which.btag is None or item["btag"] == which.btag)

    names = ["electrons", "muons"] if which.collection == "leptons" else [which.collection]
    found = [(name, i) for name in names for i, item in enumerate(row[name]) if passes(item)]
    if which.rank is None:
        return found
    return sorted(found, key=lambda at: -row[at[0]][at[1]]["pt"])[which.rank - 1 : which.rank]


def slow_response(step: Scale | Smear, name: str, item: Row, uniform: Callable[[str], float]) -> Row:
    factor, new = 1.0, dict(item)
    if isinstance(step, Scale):
        factor = step.factor
    elif step.constant or step.stochastic or step.noise:
        sigma = math.sqrt(step.constant**2 + step.stochastic**2 / item["pt"] + (step.noise / item["pt"]) ** 2)
        factor = 1.0 - sigma * ndtri(uniform("pt") * ndtr(1.0 / sigma))
    new["pt"] *= factor
    if step.scale_mass or (step.scale_mass is None and name == "jets"):
        new["mass"] *= factor
    if isinstance(step, Smear) and step.eta:
        new["eta"] += step.eta * ndtri(uniform("eta"))
    if isinstance(step, Smear) and step.phi:
        new["phi"] = math.remainder(new["phi"] + step.phi * ndtri(uniform("phi")), math.tau)
    return new


def slow_swapped(step: Swap, name: str, item: Row, uniform: Callable[[str], float], columns: list[str]) -> Row:
    good = {"isolation": 0.0, "mass": 0.0, "btag_score": math.nan}
    if "charge" in columns and "charge" not in item:
        good["charge"] = -1 if uniform("charge") < 0.5 else 1
    new = {c: item.get(c, good.get(c)) for c in columns}
    if step.target == "jets":
        new["btag"] = step.to == "bjets"
        if name == "jets" and item["btag"] == new["btag"]:
            return item
        return new | ({"btag_score": math.nan} if "btag_score" in columns else {})
    return new | {"mass": MASSES[step.target]}


def slow_step(step: Distortion, row: Row, stream: str, columns: dict[str, list[str]]) -> Row:
    """One distortion of one event, object by object."""
    chosen = slow_chosen(step.which, row)
    if isinstance(step, Lose | Swap):
        chosen = [(n, i) for n, i in chosen if slow_uniform(stream, row, f"{n}/picked", i) < step.probability]
    new = row | {name: list(row[name]) for name in COLLECTIONS}
    px, py = (row["met"]["pt"] * f(row["met"]["phi"]) for f in (math.cos, math.sin))
    gone = []
    for name, i in chosen:
        item = row[name][i]

        def uniform(what: str, name: str = name, i: int = i) -> float:
            return slow_uniform(stream, row, f"{name}/{what}", i)

        after: Row = {"pt": 0.0, "phi": 0.0}
        if isinstance(step, Lose):
            gone.append((name, i))
        elif isinstance(step, Swap):
            after = item
            if name == step.target != "jets":
                continue
            swapped = slow_swapped(step, name, item, uniform, columns[step.target])
            if name == step.target:
                new[name][i] = swapped
            else:
                gone.append((name, i))
                new[step.target].append(swapped)
        else:
            after = new[name][i] = slow_response(step, name, item, uniform)
        px += item["pt"] * math.cos(item["phi"]) - after["pt"] * math.cos(after["phi"])
        py += item["pt"] * math.sin(item["phi"]) - after["pt"] * math.sin(after["phi"])
    for name, i in sorted(gone, reverse=True):
        del new[name][i]
    for name in COLLECTIONS:
        new[name] = sorted(new[name], key=lambda item: -np.float32(item["pt"]))
    return new | {"met": {"pt": math.hypot(px, py), "phi": math.atan2(py, px)}}


def assert_same(found: Any, expected: Any, scale: float, what: str = "event") -> None:
    """Nested values are equal to the rounding of float32."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), what
        for key in expected:
            assert_same(found[key], expected[key], scale, f"{what}.{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), what
        for i, (a, b) in enumerate(zip(found, expected, strict=True)):
            assert_same(a, b, scale, f"{what}[{i}]")
    else:
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-6 * scale, nan_ok=True), what


def met_as_components(row: Row) -> Row:
    met = row["met"]
    return row | {"met": {"x": met["pt"] * math.cos(met["phi"]), "y": met["pt"] * math.sin(met["phi"])}}


def largest(row: Row) -> float:
    return 10.0 + row["met"]["pt"] + sum(item["pt"] for name in COLLECTIONS for item in row[name])


def columns_of(events: Events) -> dict[str, list[str]]:
    return {name: ak.fields(events.array[name]) for name in COLLECTIONS}


@given(tables, steps, st.integers(0, 5))
@settings(max_examples=300, deadline=None)
def test_every_distortion_is_what_a_loop_over_events_does(table: list[Row], step: Distortion, seed: int) -> None:
    events = Events.from_dicts(table)
    found = distort(events, [step], seed=seed).array.to_list()
    for row, result in zip(events.array.to_list(), found, strict=True):
        expected = slow_step(step, row, f"{seed}/1", columns_of(events))
        assert_same(met_as_components(result), met_as_components(expected), largest(row))


# ---------------------------------------------------------------------------------------------- laws


def visible_and_missing(events: Events) -> np.ndarray:
    """Sum of the transverse momenta of all objects and of what is missing, (2, event)."""
    total = np.zeros((2, len(events)))
    for name in VISIBLE:
        objects = events.array[name]
        pt, phi = (ak.values_astype(objects[c], np.float64) for c in ("pt", "phi"))
        total += np.stack([ak.to_numpy(ak.sum(pt * f(phi), axis=1)) for f in (np.cos, np.sin)])
    pt, phi = (events.numbers(f"met.{c}").astype(float) for c in ("pt", "phi"))
    return total + np.stack([pt * np.cos(phi), pt * np.sin(phi)])


def same_bits(a: Events, b: Events, fields: tuple[str, ...] | None = None) -> bool:
    assert a.fields == b.fields
    return all(ak.array_equal(a.array[f], b.array[f], dtype_exact=True, equal_nan=True) for f in fields or a.fields)


@given(tables, st.lists(steps, min_size=1, max_size=3))
@settings(max_examples=100, deadline=None)
def test_visible_and_missing_momentum_balance_and_objects_stay_sorted(table: list[Row], todo: list[Distortion]) -> None:
    events = Events.from_dicts(table)
    distorted = distort(events, todo, seed=1)
    size = 1.0 + np.abs(visible_and_missing(events)) + sum(ak.sum(distorted.array[n].pt, axis=1) for n in VISIBLE)
    difference = visible_and_missing(distorted) - visible_and_missing(events)
    assert (np.abs(difference) < 1e-5 * ak.to_numpy(size)).all()
    for name in COLLECTIONS:
        pt = distorted.array[name].pt
        assert ak.all(pt[:, 1:] <= pt[:, :-1])
    assert (np.abs(distorted.numbers("met.phi")) <= np.float32(np.pi)).all()


@given(tables, st.lists(steps, min_size=1, max_size=3), st.integers(0, 6))
@settings(max_examples=100, deadline=None)
def test_parts_distorted_alone_are_the_whole_distorted(table: list[Row], todo: list[Distortion], cut: int) -> None:
    events = Events.from_dicts(table)
    whole = distort(events, todo, seed=4)
    parts = Events.concatenate([distort(part, todo, seed=4) for part in (events[:cut], events[cut:])])
    assert same_bits(whole, parts)
    assert parts.samples == whole.samples


def test_neither_order_nor_number_of_the_sample_changes_what_happens_to_an_event() -> None:
    table = [row | {"dataset": i % 2} for i, row in enumerate(random_rows(200, 5))]
    a, b = Sample(name="a", process="a"), Sample(name="b", process="b")
    todo = (Smear(which=JETS, constant=0.2, eta=0.1), Swap(which=JETS, to="electrons", probability=0.3))
    events = Events.from_dicts([row | {"event": i} for i, row in enumerate(table)], [a, b])
    mixed = [row | {"event": i, "dataset": 1 - row["dataset"]} for i, row in enumerate(table)][::-1]
    backward = distort(Events.from_dicts(mixed, [b, a]), todo, seed=1)
    assert same_bits(distort(events, todo, seed=1), backward[::-1], (*COLLECTIONS, "met", "event"))


def test_seed_place_in_the_list_name_of_the_sample_and_place_of_the_object_change_the_numbers() -> None:
    jets = [{"pt": 50.0, "eta": 0.0, "phi": 0.0}] * 2
    smear = Smear(which=JETS, constant=0.1)
    nothing = Scale(which=ELECTRONS, factor=1.0)

    def pt(todo: list[Distortion], seed: int, name: str) -> list[float]:
        events = Events.from_dicts([{"jets": jets}], [Sample(name=name, process="x")])
        return distort(events, todo, seed=seed).array.jets.pt.to_list()[0]

    nominal = pt([smear], 0, "a")
    others = [pt([smear], 1, "a"), pt([nothing, smear], 0, "a"), pt([smear], 0, "b")]
    assert pt([smear], 0, "a") == nominal
    assert len({*nominal, *(x for other in others for x in other)}) == 8


@pytest.mark.parametrize("which", [JETS, B_JETS, LEPTONS, Which(collection="photons", rank=1)])
def test_a_factor_of_one_changes_no_bit(which: Which) -> None:
    events = Events.from_dicts(random_rows(300, 1))
    assert same_bits(distort(events, [Scale(which=which, factor=1.0)]), events)


@pytest.mark.parametrize("which", [JETS, LEPTONS, Which(collection="jets", rank=1)])
def test_a_factor_and_then_its_inverse_change_nothing(which: Which) -> None:
    events = Events.from_dicts(random_rows(300, 2))
    there = distort(events, [Scale(which=which, factor=3.0)])
    back = distort(there, [Scale(which=which, factor=1.0 / 3.0)])
    for name in COLLECTIONS:
        for column in ("pt", "eta", "phi", "mass"):
            ours, theirs = (ak.flatten(e.array[name][column]).to_numpy() for e in (back, events))
            np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    np.testing.assert_allclose(back.numbers("met.pt"), events.numbers("met.pt"), atol=1e-3)


def test_events_without_the_objects_and_all_weights_are_untouched() -> None:
    table = [row | {"factors": {"fake": 0.5, "fakeUp": 0.6}, "gen_weight": -1.0} for row in random_rows(400, 3)]
    events = Events.from_dicts(table)
    distorted = distort(events, [*bjet_scale(0.5), Lose(which=B_JETS, probability=0.5)], seed=1)
    without = ~ak.to_numpy(ak.any(events.array.jets.btag, axis=1))
    assert 0 < without.sum() < len(events)
    assert same_bits(distorted[without], events[without])
    others = tuple(name for name in events.fields if name not in ("jets", "met"))
    assert same_bits(distorted, events, others)
    np.testing.assert_array_equal(distorted.weights(None), events.weights(None))


def test_a_step_that_finds_nothing_changes_nothing() -> None:
    events = Events.from_dicts([{}, {"jets": [{"pt": 30, "eta": 0, "phi": 0}]}])
    photons = Which(collection="photons")
    todo = [Scale(which=photons, factor=2), Lose(which=photons), Swap(which=photons, to="jets"), *bjet_scale(0.5)]
    assert same_bits(distort(events, todo), events)


def test_no_distortion_gives_back_the_same_events() -> None:
    events = Events.from_dicts(random_rows(3, 1))
    assert distort(events, []) is events


def test_the_events_that_are_given_stay_as_they_are() -> None:
    table = random_rows(100, 7)
    events, again = Events.from_dicts(table), Events.from_dicts(table)
    distort(events, [*PRESETS["jet-resolution-10"], Swap(which=LEPTONS, to="jets"), Lose(which=B_JETS)], seed=1)
    assert same_bits(events, again)
    assert events.samples == again.samples


@pytest.mark.parametrize("selected", [slice(3, 30), slice(None, None, -1), slice(0, 0)])
def test_selected_events_are_distorted_like_packed_ones(selected: slice) -> None:
    table = [row | {"event": i} for i, row in enumerate(random_rows(50, 8))]
    todo = [*jet_scale(1.1), Smear(which=LEPTONS, constant=0.1), Swap(which=JETS, to="muons", probability=0.5)]
    ours = distort(Events.from_dicts(table)[selected], todo, seed=2)
    theirs = distort(Events.from_dicts(table[selected]), todo, seed=2)
    assert same_bits(ours, theirs, (*COLLECTIONS, "met"))


def test_events_at_a_mask_are_distorted_like_packed_ones() -> None:
    table = [row | {"event": i} for i, row in enumerate(random_rows(50, 8))]
    mask = np.arange(50) % 3 == 1
    ours = distort(Events.from_dicts(table)[mask], jet_scale(1.1))
    theirs = distort(Events.from_dicts([row for row, keep in zip(table, mask, strict=True) if keep]), jet_scale(1.1))
    assert same_bits(ours, theirs, (*COLLECTIONS, "met"))


def test_no_events_at_all_can_be_distorted() -> None:
    for todo in PRESETS.values():
        assert len(distort(Events.from_dicts([]), todo)) == 0


# ---------------------------------------------------------------------------------------------- each kind


def one(distorted: Events, name: str, column: str) -> list[Any]:
    return distorted.array[name][column].to_list()[0]


def test_only_b_jets_are_halved_and_missing_momentum_gains_half_of_theirs() -> None:
    b = {"pt": 80, "eta": 1, "phi": 0, "mass": 10, "btag": True}
    light = {"pt": 60, "eta": 1, "phi": 2, "mass": 8}
    events = Events.from_dicts([{"jets": [b, light], "met": {"pt": 30, "phi": math.pi / 2}}])
    halved = distort(events, bjet_scale(0.5))
    assert one(halved, "jets", "pt") == [60, 40]
    assert one(halved, "jets", "mass") == [8, 5]
    assert one(halved, "jets", "btag") == [False, True]
    assert halved.numbers("met.pt")[0] == pytest.approx(50)
    assert halved.numbers("met.phi")[0] == pytest.approx(math.atan2(30, 40))


def test_leading_electron_and_leading_muon_are_scaled_and_keep_their_mass() -> None:
    def lepton(pt: float) -> Row:
        return {"pt": pt, "eta": 0, "phi": 0, "charge": 1}

    row = {"electrons": [lepton(30), lepton(20)], "muons": [lepton(50), lepton(40)]}
    scaled = distort(Events.from_dicts([row]), leading_leptons(10))
    assert (one(scaled, "electrons", "pt"), one(scaled, "muons", "pt")) == ([300, 20], [500, 40])
    assert one(scaled, "electrons", "mass") == pytest.approx([M_ELECTRON] * 2)
    assert scaled.numbers("met.pt")[0] == pytest.approx(270 + 450)
    assert abs(scaled.numbers("met.phi")[0]) == pytest.approx(math.pi)


def test_the_leading_lepton_is_one_of_either_flavour() -> None:
    row = {"electrons": [{"pt": 30, "eta": 0, "phi": 0}], "muons": [{"pt": 50, "eta": 0, "phi": 0}]}
    scaled = distort(Events.from_dicts([row]), [Scale(which=Which(collection="leptons", rank=1), factor=2)])
    assert (one(scaled, "electrons", "pt"), one(scaled, "muons", "pt")) == ([30], [100])


def test_losing_all_jets_makes_their_momentum_missing() -> None:
    events = Events.from_dicts(random_rows(200, 4))
    lost = distort(events, [Lose(which=JETS)])
    assert ak.sum(ak.num(lost.array.jets)) == 0
    np.testing.assert_allclose(visible_and_missing(lost), visible_and_missing(events), atol=1e-3)
    assert (lost.numbers("met.pt") != events.numbers("met.pt")).any()


def test_without_into_met_missing_momentum_stays() -> None:
    events = Events.from_dicts(random_rows(100, 4))
    todo = [Lose(which=ELECTRONS, into_met=False), Scale(which=JETS, factor=2, into_met=False)]
    assert same_bits(distort(events, todo), events, ("met", "muons"))


def test_fat_jets_leave_missing_momentum_to_the_jets() -> None:
    fat = {"pt": 400, "eta": 0, "phi": 0, "mass": 100, "tau1": 0.3, "tau2": 0.1}
    events = Events.from_dicts([{"fatjets": [fat], "met": {"pt": 20, "phi": 1}}])
    which = Which(collection="fatjets")
    scaled = distort(events, [Scale(which=which, factor=1.1)])
    assert one(scaled, "fatjets", "mass") == pytest.approx([110])
    assert one(scaled, "fatjets", "tau2") == pytest.approx([0.1])
    assert same_bits(scaled, events, ("met",))
    moved = distort(events, [Scale(which=which, factor=1.1, into_met=True)])
    assert moved.numbers("met.pt")[0] == pytest.approx(math.hypot(20 * math.cos(1) - 40, 20 * math.sin(1)))


def many_jets(n: int, pt: float) -> Events:
    return Events.from_dicts([{"jets": [{"pt": pt, "eta": 0.0, "phi": 3.0, "mass": 10.0}]}] * n)


def test_mean_and_width_of_a_smear_are_those_of_the_resolution() -> None:
    n, step = 40_000, Smear(which=JETS, constant=0.05, stochastic=0.8, noise=3.0, eta=0.1, phi=0.2)
    jets = distort(many_jets(n, 100.0), [step], seed=3).array.jets[:, 0]
    sigma = math.sqrt(0.05**2 + 0.8**2 / 100 + 0.03**2)
    assert step.resolution(np.array([100.0]))[0] == pytest.approx(sigma)
    ratio, eta = jets.pt.to_numpy().astype(float) / 100, jets.eta.to_numpy()
    turned = (jets.phi.to_numpy().astype(float) - 3.0 + np.pi) % (2 * np.pi) - np.pi
    for values, mean, width in ((ratio, 1.0, sigma), (eta, 0.0, 0.1), (turned, 0.0, 0.2)):
        assert values.mean() == pytest.approx(mean, abs=5 * width / math.sqrt(n))
        assert values.std() == pytest.approx(width, rel=5 / math.sqrt(2 * n))
    np.testing.assert_allclose(jets.mass, ratio * 10, rtol=1e-5)
    assert abs(np.corrcoef([ratio, eta, turned])[np.triu_indices(3, 1)]).max() < 5 / math.sqrt(n)


def test_a_wide_smear_keeps_pt_positive_and_is_a_truncated_gaussian() -> None:
    n, sigma = 40_000, 2.0
    pt = distort(many_jets(n, 100.0), [Smear(which=JETS, constant=sigma)], seed=1).array.jets.pt[:, 0].to_numpy() / 100
    assert pt.min() > 0
    density = math.exp(-0.5 / sigma**2) / math.sqrt(2 * math.pi)
    assert pt.mean() == pytest.approx(1 + sigma * density / ndtr(1 / sigma), abs=5 * sigma / math.sqrt(n))


@pytest.mark.parametrize("probability", [0.1, 0.7])
def test_chance_loses_and_swaps_the_asked_share(probability: float) -> None:
    n = 20_000
    events = many_jets(n, 50.0)
    lost = distort(events, [Lose(which=JETS, probability=probability)], seed=1)
    swapped = distort(events, [Swap(which=JETS, to="photons", probability=probability)], seed=1)
    error = 5 * math.sqrt(probability * (1 - probability) / n)
    assert ak.sum(ak.num(lost.array.jets)) / n == pytest.approx(1 - probability, abs=error)
    assert ak.sum(ak.num(swapped.array.photons)) / n == pytest.approx(probability, abs=error)


@pytest.mark.parametrize("to", [*COLLECTIONS, "bjets"])
@pytest.mark.parametrize("which", [ELECTRONS, LEPTONS, JETS, B_JETS])
def test_a_swap_keeps_the_number_of_objects_and_missing_momentum(which: Which, to: str) -> None:
    events = Events.from_dicts(random_rows(200, 6))
    swapped = distort(events, [Swap(which=which, to=to, probability=0.5)], seed=1)
    number = [sum(ak.num(e.array[name]) for name in COLLECTIONS).to_list() for e in (events, swapped)]
    assert number[0] == number[1]
    assert same_bits(swapped, events, ("met",))


def test_a_jet_taken_for_an_electron_looks_like_a_good_one() -> None:
    electron = {"pt": 20, "eta": 0, "phi": 0, "charge": -1, "isolation": 0.3, "id": 2, "d0_significance": 1.0}
    b = {"pt": 50, "eta": 1.5, "phi": 1, "mass": 7, "btag": True}
    swapped = distort(Events.from_dicts([{"electrons": [electron], "jets": [b]}]), [Swap(which=JETS, to="electrons")])
    assert one(swapped, "jets", "pt") == []
    for column, values in {"pt": [50, 20], "eta": [1.5, 0], "isolation": [0, 0.3], "id": [4, 2]}.items():
        assert one(swapped, "electrons", column) == pytest.approx(values)
    assert one(swapped, "electrons", "mass") == pytest.approx([M_ELECTRON] * 2)
    assert one(swapped, "electrons", "d0_significance") == [0, 1]
    assert abs(one(swapped, "electrons", "charge")[0]) == 1


def test_charges_that_a_jet_never_had_are_of_either_sign() -> None:
    swapped = distort(many_jets(10_000, 50.0), [Swap(which=JETS, to="muons")])
    assert abs(swapped.array.muons.charge.to_numpy().mean()) < 0.05


def test_an_electron_taken_for_a_muon_keeps_its_charge_and_gets_the_mass() -> None:
    electron = {"pt": 20, "eta": 0, "phi": 0, "charge": -1}
    swapped = distort(Events.from_dicts([{"electrons": [electron]}]), [Swap(which=LEPTONS, to="muons")])
    assert (one(swapped, "electrons", "pt"), one(swapped, "muons", "charge")) == ([], [-1])
    assert one(swapped, "muons", "mass") == pytest.approx([M_MUON])


def test_new_tags_have_no_score_and_old_ones_keep_theirs() -> None:
    jets = [{"pt": 50 - i, "eta": 0, "phi": 0, "btag": i == 0, "btag_score": 0.9 - 0.8 * i} for i in range(2)]
    tagged = distort(Events.from_dicts([{"jets": jets}]), [Swap(which=JETS, to="bjets")])
    assert one(tagged, "jets", "btag") == [True, True]
    assert one(tagged, "jets", "btag_score") == pytest.approx([0.9, math.nan], nan_ok=True)


# ---------------------------------------------------------------------------------------------- records and settings


def test_provenance_lists_what_was_done_and_the_origin_stays() -> None:
    sample = Sample(name="run", process="data", origin="data", provenance={"file": "a.root"})
    events = Events.from_dicts(random_rows(2, 1), [sample])
    twice = distort(distort(events, bjet_scale(0.5), seed=3), [Lose(which=ELECTRONS)], seed=4).samples[0]
    assert (twice.origin, twice.provenance["file"]) == ("data", "a.root")
    first, second = twice.provenance["distortions"]
    assert (first["seed"], second["seed"]) == (3, 4)
    assert parse_distortions(first["steps"]) == bjet_scale(0.5)
    assert parse_distortions(second["steps"]) == (Lose(which=ELECTRONS),)


def test_what_is_missing_is_named_before_anything_is_done() -> None:
    events = Events.from_dicts([{}])
    with pytest.raises(MissingFieldError, match=r"distortion 2 \(scale\) needs fatjets.eta, fatjets.phi, fatjets.pt"):
        distort(events, [Lose(which=JETS), Scale(which=Which(collection="fatjets"), factor=2)])
    bare = Events(ak.without_field(events.array, "met"), events.samples)
    with pytest.raises(MissingFieldError, match=r"needs met.phi, met.pt"):
        distort(bare, jet_scale(2))
    assert len(distort(bare, [Swap(which=JETS, to="photons")])) == 1


def test_required_fields_are_those_of_all_steps() -> None:
    fields = required_fields([*bjet_scale(2), Swap(which=ELECTRONS, to="photons")])
    momentum = {f"{n}.{c}" for n in ("jets", "electrons", "photons") for c in ("pt", "eta", "phi")}
    assert fields == momentum | {"jets.btag", "met.pt", "met.phi"}


def test_presets_are_valid_and_read_by_name() -> None:
    for name, todo in PRESETS.items():
        assert parse_distortions(name) == parse_distortions([name]) == preset(name) == todo
    assert preset("jet-scale-down-5")[0].factor == pytest.approx(0.95)
    assert [step.which.collection for step in preset("leading-leptons-x1.5")] == ["electrons", "muons"]


def test_an_unknown_preset_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match=r"no distortion called 'bjet-scale-0.6'; did you mean 'bjet-scale-0.5'"):
        preset("bjet-scale-0.6")


def test_distortions_can_be_part_of_other_settings() -> None:
    class Sanity(Settings):
        tests: dict[str, Distortions]

    lose = {"kind": "lose", "which": {"collection": "photons"}, "probability": 0.1}
    parsed = Sanity.parse({"tests": {"a": ["bjet-scale-0.5", lose], "b": "jet-scale-up-1"}})
    assert parsed.tests["a"] == (*bjet_scale(0.5), Lose(which=Which(collection="photons"), probability=0.1))
    assert parsed.tests["b"] == jet_scale(1.01)


def scale(**which: Any) -> dict[str, Any]:
    return {"kind": "scale", "factor": 2, "which": {"collection": "jets", **which}}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("jet-scale-up-9", "no distortion called 'jet-scale-up-9'; did you mean"),
        ([{"kind": "shrink"}], "'kind' must be scale, smear, lose, swap or soft"),
        ([{"which": {"collection": "jets"}}], "'kind' must be scale, smear, lose, swap or soft"),
        ([scale(collection="jet")], "which.collection = 'jet': Input should be 'electrons', 'muons'"),
        ([scale(btags=True)], "unknown key 'steps.0.scale.which.btags'; did you mean 'btag'?"),
        ([scale(collection="muons", btag=True)], "'btag' is a property of jets, muons have none"),
        ([scale(pt_min=50, pt_max=20)], "pt_max = 20 must be above pt_min = 50"),
        ([scale(eta_min=2, eta_max=2)], "eta_max = 2 must be above eta_min = 2"),
        ([scale(rank=0)], "which.rank = 0: Input should be greater than or equal to 1"),
        ([scale() | {"factor": 0}], "factor = 0: Input should be greater than 0"),
        ([scale() | {"factor": True}], "factor = True: expected a number"),
        ([{"kind": "smear", "which": {"collection": "jets"}, "noise": -1}], "noise = -1: Input should be greater"),
        (
            [{"kind": "lose", "which": {"collection": "jets"}, "probability": 2}],
            "probability = 2: Input should be less",
        ),
        ([{"kind": "swap", "which": {"collection": "jets"}, "to": "taus"}], "to = 'taus': Input should be"),
        ([{"kind": "swap", "which": {"collection": "fatjets"}, "to": "jets"}], "fatjets cannot be swapped"),
        ({"kind": "lose"}, "expected a list"),
    ],
)
def test_a_mistake_is_refused_in_one_line(values: Any, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_distortions(values)
    assert str(refused.value).startswith("distortions: ")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


# ---------------------------------------------------------------------------------------------- soft momentum


def test_soft_momentum_is_scaled_and_everything_else_stays() -> None:
    events = Events.from_dicts(random_rows(200, 3))
    scaled = distort(events, [Soft(factor=1.1)])
    soft = -visible_and_missing(events)
    np.testing.assert_allclose(-visible_and_missing(scaled), 1.1 * soft, atol=1e-3)
    assert same_bits(scaled, events, COLLECTIONS)


def test_without_soft_momentum_missing_momentum_balances_all_objects() -> None:
    events = distort(Events.from_dicts(random_rows(100, 3)), [Soft(factor=0.0)])
    np.testing.assert_allclose(visible_and_missing(events), 0.0, atol=1e-3)


def test_soft_momentum_times_one_is_the_same() -> None:
    events = Events.from_dicts(random_rows(50, 3))
    assert same_bits(distort(events, [Soft(factor=1.0)]), events)


# ---------------------------------------------------------------------------------------------- standard variations


def typical(n: int) -> Events:
    """Events with an electron in barrel and endcap, a muon, a b-jet and two other jets."""
    electrons = [{"pt": 40.0, "eta": eta, "phi": 0.3, "charge": 1} for eta in (0.5, -2.0)]
    jets = [{"pt": 80.0 - 20 * i, "eta": 0.4, "phi": 2.0 - i, "mass": 8.0, "btag": i == 0} for i in range(3)]
    forward = {"pt": 30.0, "eta": 3.5, "phi": -1.0, "mass": 5.0}
    row = {"electrons": electrons, "muons": [{"pt": 50.0, "eta": 1.0, "phi": -2.0, "charge": -1}]}
    return Events.from_dicts([row | {"jets": [*jets, forward], "met": {"pt": 35.0, "phi": 1.0}}] * n)


def pt_of(events: Events, name: str) -> Any:
    return events.array[name].pt.to_numpy().astype(float)


def ends_of(name: str, events: Events) -> dict[str, Events]:
    return {end: distort(events, steps, seed=1) for end, steps in standard(name).ends.items()}


@pytest.mark.parametrize(
    ("name", "collection", "sizes"),
    [
        ("jet-scale", "jets", [0.025] * 4),
        ("electron-scale", "electrons", [0.001, 0.003]),
        ("muon-scale", "muons", [0.001]),
    ],
)
def test_standard_scales_are_of_their_size(name: str, collection: str, sizes: list[float]) -> None:
    events = typical(1)
    for sign, (end, scaled) in zip((-1, 1), ends_of(name, events).items(), strict=True):
        changes = sign * (pt_of(scaled, collection) / pt_of(events, collection) - 1)
        assert np.sort(changes[0]) == pytest.approx(sizes, abs=1e-6), end
        assert same_bits(scaled, events, tuple(other for other in COLLECTIONS if other != collection))


@pytest.mark.parametrize(
    ("name", "collection", "width"),
    [
        ("jet-resolution", "jets", math.sqrt(1.08**2 - 1) * math.sqrt(0.05**2 + 0.8**2 / 80 + (2 / 80) ** 2)),
        ("electron-resolution", "electrons", 0.005),
        ("muon-resolution", "muons", 0.004),
    ],
)
def test_standard_resolutions_are_of_their_width_and_have_one_end(name: str, collection: str, width: float) -> None:
    n, row = 20_000, {collection: [{"pt": 80.0, "eta": 0.5, "phi": 1.0}]}
    ends = ends_of(name, Events.from_dicts([row] * n))
    ratio = pt_of(ends["up"], collection)[:, 0] / 80.0
    assert list(ends) == ["up"]
    assert ratio.std() == pytest.approx(width, rel=0.03)
    assert ratio.mean() == pytest.approx(1.0, abs=5 * width / math.sqrt(n))


def test_standard_tags_are_lost_and_gained_at_their_rates_where_tracks_are() -> None:
    n, events = 40_000, typical(40_000)
    efficiency, mistag = ends_of("b-tag-efficiency", events), ends_of("b-tag-mistag", events)
    assert (list(efficiency), list(mistag)) == (["down"], ["up"])
    tagged = efficiency["down"].array.jets.btag
    assert ak.sum(tagged) / n == pytest.approx(0.95, abs=5 * math.sqrt(0.05 / n))
    assert not ak.any(tagged[:, 1:])
    tagged = mistag["up"].array.jets.btag
    assert ak.all(tagged[:, 0])
    assert not ak.any(tagged[:, 3])  # beyond the tracker
    assert ak.sum(tagged[:, 1:3]) / (2 * n) == pytest.approx(0.002, abs=5 * math.sqrt(0.002 / (2 * n)))
    for varied in (efficiency["down"], mistag["up"]):
        assert same_bits(varied, events, ("electrons", "muons", "met"))


def test_standard_soft_momentum_is_ten_per_cent_up_and_down() -> None:
    ends = standard("soft-met").ends
    assert {end: steps[0].factor for end, steps in ends.items()} == {"down": 0.9, "up": 1.1}


def test_variations_are_read_by_name_as_a_list_and_as_a_mapping() -> None:
    class Holder(Settings):
        these: Variations

    def parse(values: Any) -> dict[str, Variation]:
        return Holder.parse({"these": values}).these

    assert parse("standard") == parse(["standard"]) == dict(STANDARD)
    assert parse("jet-scale") == parse(["jet-scale"]) == {"jet-scale": STANDARD["jet-scale"]}
    own = parse({"a": "muon-scale", "b": {"down": "jet-scale-down-1"}, "c": {"up": [scale()]}})
    assert own["a"] == STANDARD["muon-scale"]
    assert own["b"].ends == {"down": jet_scale(0.99)}
    assert own["c"].requires == required_fields(own["c"].up or ())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("jet-scal", "no variation called 'jet-scal'; did you mean 'jet-scale'"),
        (["standard", "muon-scale"], "'muon-scale' is named twice"),
        ({"a": {}}, "these.a = {}: give distortions under up, under down, or both"),
        ({"a": {"up": [], "down": None}}, "give distortions under up, under down, or both"),
        ({"a": {"upp": "jet-scale-up-1"}}, "unknown key 'these.a.upp'; did you mean 'up'?"),
        ({"a": {"up": [{"kind": "soft", "factor": -1}]}}, "factor = -1: Input should be greater than or equal to 0"),
        ([3], "these = [3]: expected a mapping"),
    ],
)
def test_a_mistake_in_variations_is_refused_in_one_line(values: Any, message: str) -> None:
    class Holder(Settings):
        these: Variations

    with pytest.raises(ConfigError) as refused:
        Holder.parse({"these": values})
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
