"""Slots, acceptance, the storing rule, and arrays to events."""

from __future__ import annotations

import numpy as np
import pytest

from anomalon.errors import ConfigError, UnknownNameError
from anomalon.events import Events
from anomalon.generation.flatten import KINDS, flatten
from anomalon.generation.layout import SLOTS, Acceptance, Numbering, Reach, get_slots, to_events
from anomalon.kinematics import M_ELECTRON, M_MUON
from tests.generation.examples import SAMPLE, toy_events


def test_the_slots_of_the_source_are_seventeen_and_ours_have_three_per_lepton() -> None:
    assert sum(SLOTS["garcia2024"].values()) == 17
    assert all(SLOTS["default"][kind] == 3 for kind in ("e-", "e+", "m-", "m+"))


def test_mistakes_in_slots_are_told() -> None:
    with pytest.raises(UnknownNameError, match="no slots 'garcia'; did you mean 'garcia2024'"):
        get_slots("garcia")
    with pytest.raises(ConfigError, match="b = -1, must not be negative"):
        get_slots({"b": -1})
    with pytest.raises(ConfigError, match="no kind has a slot"):
        get_slots({})


def test_events_come_back_from_arrays() -> None:
    events = toy_events(100)
    arrays = flatten(events, {"b": 20, "j": 20, "e-": 1, "e+": 1, "m-": 1, "m+": 1})
    numbering = Numbering(np.arange(100), np.zeros(100, np.int32), [SAMPLE])
    back = to_events(arrays, numbering)
    for name in ("jets", "electrons", "muons"):
        one, two = (e.array[name] for e in (events, back))
        assert one.pt.to_list() == two.pt.to_list()
        assert one.phi.to_list() == two.phi.to_list()
    assert events.array.jets.btag.to_list() == back.array.jets.btag.to_list()
    assert events.array.electrons.charge.to_list() == back.array.electrons.charge.to_list()
    np.testing.assert_array_equal(back.lists("electrons", ["mass"])["mass"], np.float32(M_ELECTRON))
    np.testing.assert_array_equal(back.lists("muons", ["mass"])["mass"], np.float32(M_MUON))


def event(pt: float, eta: float, name: str = "jets") -> Events:
    item = {"pt": pt, "eta": eta, "phi": 0.0} | ({} if name in ("jets", "photons") else {"charge": 1})
    return Events.from_dicts([{name: [item], "met": {"pt": 1.0, "phi": 0.0}}])


CASES = [
    ("jets", 61, 2.0, True, True),
    ("jets", 59, 2.0, True, False),
    ("jets", 19, 2.0, False, False),
    ("electrons", 26, 1.4, True, False),
    ("electrons", 26, 1.0, True, True),
    ("electrons", 26, 2.6, False, False),
    ("muons", 26, 2.6, True, True),
    ("muons", 14, 0.0, False, False),
    ("photons", 26, 2.3, True, True),
]


@pytest.mark.parametrize(("name", "pt", "eta", "holds", "stores"), CASES)
def test_the_rules_of_dark_machines(name: str, pt: float, eta: float, holds: bool, stores: bool) -> None:
    acceptance, arrays = Acceptance.of_detector("darkmachines"), flatten(event(pt, eta, name), SLOTS["default"])
    assert acceptance.holds(arrays).tolist() == [holds]
    assert acceptance.stores(arrays).tolist() == [stores]


def test_what_is_observed_just_holds() -> None:
    arrays = flatten(toy_events(200), SLOTS["default"])
    acceptance = Acceptance.observed(arrays)
    assert acceptance.holds(arrays).all()
    tighter = acceptance.reach["j"].pt_min + 0.1
    reach = {**acceptance.reach, "j": Reach(pt_min=tighter, eta_max=acceptance.reach["j"].eta_max)}
    assert not acceptance.model_copy(update={"reach": reach}).holds(arrays).all()


def test_jets_that_come_too_close_are_seen() -> None:
    acceptance = Acceptance.of_detector("darkmachines")
    near = {"pt": 70.0, "eta": 0.0, "phi": 3.0}
    for phi, apart in ((-3.0, False), (2.5, True)):
        for other in ("jets", "electrons"):
            item = near | {"phi": phi} | ({"charge": 1} if other == "electrons" else {})
            rows = [{"jets": [near, item]} if other == "jets" else {"jets": [near], other: [item]}]
            assert acceptance.separates(flatten(Events.from_dicts(rows), SLOTS["default"])).tolist() == [apart]


def test_a_mask_without_anything_that_the_storing_rule_looks_at_is_never_asked_for() -> None:
    acceptance = Acceptance.of_detector("darkmachines")
    nothing, jet = np.zeros((1, len(KINDS)), np.int64), np.eye(len(KINDS), dtype=np.int64)[:1]
    assert acceptance.may_store(np.concatenate([nothing, jet])).tolist() == [False, True]
    assert acceptance.model_copy(update={"stored_if": ()}).may_store(nothing).all()
