"""The lepton selection: every cut against a loop, its limits, and the registry of selections."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import awkward as ak
import numpy as np
import pytest

from anomalon import selection
from anomalon.config import Settings
from anomalon.errors import ConfigError, MissingFieldError, UnknownNameError
from anomalon.events import Events
from anomalon.selection import AnySelection, LeptonSelection, TrileptonSelection, apply, find_leptons
from tests.random_events import random_rows
from tests.selection import leptons_loop as loop

ROWS = random_rows(2000, seed=11)
EVENTS = Events.from_dicts(ROWS)


def lepton(pt: float, charge: int = 1, eta: float = 0.3, phi: float = 0.0, **more: float) -> dict[str, float]:
    return {"pt": pt, "eta": eta, "phi": phi, "charge": charge, **more}


def passing(rows: list[dict[str, Any]], **settings: Any) -> list[bool]:
    events = Events.from_dicts(rows)
    mask: list[bool] = LeptonSelection.parse(settings).steps(events)[-1][1].tolist()
    return mask


@pytest.mark.parametrize("opposite_sign", [True, False])
@pytest.mark.parametrize("same_flavour", [True, False])
@pytest.mark.parametrize(("count", "pt_min"), [(2, (25, 25)), (2, (30, 12)), (3, (20, 20, 10)), (4, (25, 20, 15, 10))])
def test_every_cut_agrees_with_a_loop_over_events(
    count: int, pt_min: tuple[float, ...], same_flavour: bool, opposite_sign: bool
) -> None:
    cuts: dict[str, Any] = {
        "opposite_sign": opposite_sign,
        "same_flavour": same_flavour,
        "m_ll_min": 40.0,
        "met_min": 20.0,
    }
    cuts |= {"count": count, "pt_min": pt_min}
    steps = LeptonSelection.parse(cuts).steps(EVENTS)
    expected = np.cumprod([loop.cuts_passed(row, cuts) for row in ROWS], axis=1).astype(bool)
    assert len(steps) == expected.shape[1] + 1
    assert steps[0][1].all()
    for k, (name, mask) in enumerate(steps[1:]):
        np.testing.assert_array_equal(mask, expected[:, k], err_msg=name)
        assert 0 < mask.sum() < len(ROWS)
    assert [a.sum() > b.sum() for (_, a), (_, b) in pairwise(steps)] == [True] * 7


def test_leptons_come_by_decreasing_pt_with_all_good_ones_of_the_event() -> None:
    leptons = find_leptons(EVENTS, LeptonSelection())
    assert leptons.event.tolist() == [i for i, row in enumerate(ROWS) if len(loop.good_leptons(row)) >= 3]
    for k, i in enumerate(leptons.event):
        good = loop.good_leptons(ROWS[i])
        assert leptons.number[k] == len(good)
        assert leptons.n_muons[k] == sum(x["flavour"] == "m" for x in good)
        np.testing.assert_array_equal(leptons.pt[k, : len(good)], [x["pt"] for x in good])
        np.testing.assert_array_equal(leptons.charge[k, : len(good)], [x["charge"] for x in good])
        assert np.isnan(leptons.pt[k, len(good) :]).all()
        assert not leptons.is_muon[k, len(good) :].any()


def test_of_equal_pt_the_electron_comes_first() -> None:
    events = Events.from_dicts([{"electrons": [lepton(30)], "muons": [lepton(40), lepton(30)]}])
    assert find_leptons(events, LeptonSelection()).is_muon.tolist() == [[True, False, True]]


def test_without_exact_more_leptons_pass_and_only_the_leading_ones_are_compared() -> None:
    rows = [{"muons": [lepton(40), lepton(30, -1), lepton(11)]}, {"muons": [lepton(40), lepton(24), lepton(23)]}]
    assert passing(rows, count=2, pt_min=[25, 25]) == [False, False]
    assert passing(rows, count=2, pt_min=[25, 25], exact=False) == [True, False]
    assert passing(rows, count=2, pt_min=[25, 25], good_pt_min=12) == [True, False]


def test_searches_with_two_and_with_three_leptons_share_no_event() -> None:
    two = LeptonSelection(count=2, pt_min=(25, 25)).steps(EVENTS)[-1][1]
    three = LeptonSelection().steps(EVENTS)[-1][1]
    assert two.any()
    assert three.any()
    assert not (two & three).any()


def test_impact_parameters_have_a_limit_per_flavour_of_either_sign() -> None:
    rows = [
        {"electrons": [lepton(30, d0_significance=-4.0)], "muons": [lepton(30, d0_significance=-2.0)]},
        {"electrons": [lepton(30, d0_significance=2.0)], "muons": [lepton(30, d0_significance=-4.0)]},
        {"electrons": [lepton(30, d0_significance=6.0)], "muons": [lepton(30, d0_significance=2.0)]},
        {"electrons": [lepton(30, d0_significance=float("nan"))], "muons": [lepton(30, d0_significance=0.0)]},
    ]
    settings: dict[str, Any] = {"count": 2, "pt_min": [20, 20]}
    assert passing(rows, **settings) == [True] * 4
    assert passing(rows, **settings, d0_significance_max={"electrons": 5, "muons": 3}) == [True, False, False, False]
    assert passing(rows, **settings, d0_significance_max={"muons": 3}) == [True, False, True, True]


def test_isolation_identification_and_eta_decide_which_leptons_are_good() -> None:
    electrons = [lepton(5, isolation=0.0, id=4)]  # a column needs an object to exist
    rows = [
        {"muons": [lepton(40, isolation=0.1, id=3), lepton(30, isolation=0.1, id=3, eta=2.45)], "electrons": electrons},
        {"muons": [lepton(40, isolation=0.1, id=3), lepton(30, isolation=0.2, id=2)], "electrons": electrons},
    ]
    settings: dict[str, Any] = {"count": 2, "pt_min": [20, 20]}
    assert passing(rows, **settings) == [True, True]
    assert passing(rows, **settings, isolation_max=0.15) == [True, False]
    assert passing(rows, **settings, id_min={"muons": 3}) == [True, False]
    assert passing(rows, **settings, eta_max=2.4) == [False, True]


def test_only_the_fields_of_the_cuts_that_are_on_are_read() -> None:
    plain = LeptonSelection()
    assert plain.requires == {f"{f}.{c}" for f in ("electrons", "muons") for c in ("pt", "eta", "phi", "charge")}
    more = LeptonSelection.parse(
        {"isolation_max": 0.1, "met_min": 50, "d0_significance_max": {"muons": 3}, "triggers": {"paths": {2018: ["a"]}}}
    )
    assert more.requires - plain.requires == {
        "electrons.isolation", "muons.isolation", "muons.d0_significance", "met.pt", "triggers",
    }  # fmt: skip


def with_triggers(rows: list[dict[str, Any]], runs: list[int], **fired: list[bool]) -> Events:
    events = Events.from_dicts([{**row, "run": run} for row, run in zip(rows, runs, strict=True)])
    array = ak.with_field(events.array, ak.zip({name: np.array(bits) for name, bits in fired.items()}), "triggers")
    return Events(array, events.samples)


def test_the_triggers_of_the_events_year_decide() -> None:
    runs = [284000, 284000, 297000, 297000]
    events = with_triggers(
        [{"muons": [lepton(30), lepton(30, -1)]}] * 4,
        runs,
        old=[True, False, True, False],
        new=[False] * 2 + [True] * 2,
    )
    chosen = LeptonSelection.parse(
        {"count": 2, "pt_min": [25, 25], "triggers": {"paths": {2016: ["old"], 2017: ["new"]}}}
    )
    names = [name for name, _ in chosen.steps(events)]
    assert names[-1] == "trigger"
    assert chosen.steps(events)[-1][1].tolist() == [True, False, True, True]
    with pytest.raises(MissingFieldError, match="the lepton selection needs triggers"):
        chosen.steps(EVENTS)


def test_no_events_pass_no_cut() -> None:
    settings = LeptonSelection(met_min=1.0, m_ll_min=1.0, opposite_sign=True, same_flavour=True)
    assert [len(mask) for _, mask in settings.steps(EVENTS[:0])] == [0] * 8


def test_selected_events_select_themselves() -> None:
    chosen = LeptonSelection(count=2, pt_min=(25, 25), m_ll_min=70)
    selected = apply(chosen, EVENTS).events
    assert 0 < len(selected) < len(EVENTS)
    assert len(apply(chosen, selected).events) == len(selected)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"count": 2}, "3 thresholds for count = 2; give one per lepton"),
        ({"pt_min": [10, 20, 20]}, "sorted by decreasing pT"),
        ({"count": 1, "pt_min": [20]}, "count = 1"),
        ({"m_ll": 70}, "unknown key 'm_ll'; did you mean 'm_ll_min'"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LeptonSelection.parse(settings)


class Search(Settings):
    selection: AnySelection = TrileptonSelection()


def test_a_fragment_without_a_kind_is_a_trilepton_selection() -> None:
    assert Search.parse({}).selection == TrileptonSelection()
    assert Search.parse({"selection": {"require_z": False}}).selection == TrileptonSelection(require_z=False)
    two = Search.parse({"selection": {"kind": "leptons", "count": 2, "pt_min": [25, 25]}})
    assert two.selection == LeptonSelection(count=2, pt_min=(25, 25))


@pytest.mark.parametrize("kind", selection.available())
def test_every_selection_survives_being_written_down(kind: str) -> None:
    made = selection.get(kind)
    assert selection.parse(made.model_dump(mode="json")) == made
    assert made.steps(EVENTS)[0][0] == "all events"


@pytest.mark.parametrize(
    ("fragment", "message"),
    [
        ({"kind": "lepton"}, "no selection 'lepton'; did you mean 'leptons'"),
        ({"kind": ["leptons"]}, "no selection"),
        ({"kind": "leptons", "cuont": 3}, "cuont'; did you mean 'count'"),
        ([], "expected a mapping"),
    ],
)
def test_mistakes_in_a_fragment_are_answered_in_one_line(fragment: Any, message: str) -> None:
    with pytest.raises((ConfigError, UnknownNameError), match=message):
        selection.parse(fragment)
    with pytest.raises(ConfigError, match=message):
        Search.parse({"selection": fragment})
