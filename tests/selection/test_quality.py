"""Lepton quality against a loop, and off by default."""

from __future__ import annotations

import math

import awkward as ak
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomalon.errors import ConfigError, MissingFieldError
from anomalon.events import Events
from anomalon.selection import TrileptonSelection, apply
from anomalon.selection.quality import LeptonQuality

LEPTON = st.fixed_dictionaries(
    {
        "pt": st.just(20.0), "eta": st.just(0.0), "phi": st.just(0.0), "charge": st.just(1),
        "isolation": st.sampled_from([0.0, 0.1, 0.5, math.nan]),
        "d0_significance": st.sampled_from([-9.0, 0.0, 2.0, math.nan]),
        "id": st.sampled_from([0, 2, 4]),
    }
)  # fmt: skip
LEPTON_ROW = {"pt": 9.0, "eta": 0.0, "phi": 0.0, "isolation": 1, "d0_significance": 1, "id": 0}
EVENTS = st.lists(
    st.fixed_dictionaries({"electrons": st.lists(LEPTON, max_size=3), "muons": st.lists(LEPTON, max_size=3)}),
    min_size=1, max_size=4,
)  # fmt: skip


def table(rows) -> Events:
    return Events.from_dicts([{"electrons": [LEPTON_ROW], "muons": [LEPTON_ROW]}, *rows])


@given(EVENTS)
def test_a_lepton_stays_when_it_passes_every_cut_that_is_on(rows):
    quality = LeptonQuality.parse({"isolation_max": 0.3, "d0_significance_max": 4.0, "id_min": {"muons": 3}})
    kept = quality.apply(table(rows)).array[1:]
    for flavour, lowest in (("electrons", None), ("muons", 3)):
        expected = [[good(x, lowest) for x in row[flavour]] for row in rows]
        assert ak.num(kept[flavour]).tolist() == [sum(row) for row in expected]


def good(lepton: dict, lowest: int | None) -> bool:
    passed = lepton["isolation"] < 0.3 and abs(lepton["d0_significance"]) < 4.0
    return passed and (lowest is None or lepton["id"] >= lowest)


@given(EVENTS)
def test_nothing_is_cut_by_default(rows):
    events = table(rows)
    kept = LeptonQuality().apply(events)
    assert ak.num(kept.array.muons).tolist() == ak.num(events.array.muons).tolist()
    assert not LeptonQuality().requires


def test_a_cut_names_the_column_that_it_needs():
    events = Events.from_dicts([{"muons": [{"pt": 5, "eta": 0, "phi": 0}]}])
    with pytest.raises(MissingFieldError, match=r"lepton quality needs muons\.id"):
        LeptonQuality.parse({"id_min": {"muons": 2}}).apply(events)


@pytest.mark.parametrize("values", [{"isolation_max": 0}, {"id_min": {"muons": 5}}, {"id_min": {"taus": 1}}])
def test_impossible_cuts_are_refused(values):
    with pytest.raises(ConfigError):
        LeptonQuality.parse(values)


def test_the_trilepton_selection_asks_for_identification_per_flavour():
    muons = [{"pt": 40.0 - i, "eta": 0.1 * i, "phi": i, "charge": (-1) ** i, "id": 4 - i} for i in range(3)]
    events = Events.from_dicts([{"muons": [m | {"isolation": 0, "d0_significance": 0} for m in muons]}])
    assert len(apply(TrileptonSelection(), events).events) == 1
    assert len(apply(TrileptonSelection.parse({"id_min": {"muons": 2}}), events).events) == 1
    strict = TrileptonSelection.parse({"id_min": {"muons": 3}})
    assert len(apply(strict, events).events) == 0
    assert "muons.id" in strict.requires
    assert "electrons.id" not in strict.requires
