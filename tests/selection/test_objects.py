"""Selections by objects, and the named channels: the same events as the regions that mixtures are made for."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from anomalon import selection
from anomalon.errors import ConfigError
from anomalon.events import Events
from anomalon.selection.objects import CHANNELS, ObjectSelection
from anomalon.simulation.regions import get_region
from tests.random_events import Row, random_rows

HARD = {"dark-machines-1": 5.0, "dark-machines-3": 5.0, "dilepton-bjet": 3.0}


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    rows = random_rows(1500, 3, leptons=2.5, jets=6.0)
    rng = np.random.default_rng(1)
    for row, factor in zip(rows, rng.uniform(0.5, 6.0, len(rows)), strict=True):
        row["met"]["pt"] *= factor
        for jet in row["jets"]:
            jet["pt"] *= factor
        row["photons"] = [{"pt": 60.0, "eta": 0.0, "phi": 1.0}] * int(rng.integers(0, 3))
    return rows


def good(objects: list[Row], pt_min: float, eta_max: float) -> list[float]:
    return sorted((x["pt"] for x in objects if x["pt"] > pt_min and abs(x["eta"]) < eta_max), reverse=True)


def passes(row: Row, cuts: ObjectSelection) -> bool:
    """The cuts, one event at a time."""
    leptons = good([*row["electrons"], *row["muons"]], 0.0, cuts.lepton_eta_max)
    jets = good(row["jets"], cuts.good_jet_pt_min, cuts.jet_eta_max)
    bjets = good([j for j in row["jets"] if j["btag"]], cuts.good_jet_pt_min, cuts.jet_eta_max)
    ht = sum(jets)
    if cuts.ht_of_everything:
        ht += sum(x["pt"] for name in ("electrons", "muons", "photons") for x in row[name])
    ranks = [(leptons, cuts.lepton_pt_min), (jets, cuts.jet_pt_min)]
    hard = all(len(found) >= len(least) and all(np.greater(found[: len(least)], least)) for found, least in ranks)
    met = row["met"]["pt"]
    return (
        hard
        and len(bjets) >= cuts.bjets_min
        and ht >= cuts.ht_min
        and met >= max(cuts.met_min, cuts.met_over_ht_min * ht)
    )


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_channel_is_the_loop_over_events_and_the_region_of_its_mixture(rows: list[Row], channel: str) -> None:
    cuts, events = ObjectSelection.parse({"channel": channel}), Events.from_dicts(rows)
    mask = cuts.steps(events)[-1][1]
    assert 5 < mask.sum() < len(rows)
    assert mask.tolist() == [passes(row, cuts) for row in rows]
    assert mask.tolist() == get_region(channel).passes(events.array).tolist()


def test_cuts_only_ever_remove_events(rows: list[Row]) -> None:
    steps = ObjectSelection.parse({"channel": "dark-machines-1"}).steps(Events.from_dicts(rows))
    assert [name for name, _ in steps] == [
        "all events", "4 jets, pT > 200/50/50/50 GeV", "HT >= 600 GeV", "MET >= 200 GeV", "MET / HT >= 0.2"
    ]  # fmt: skip
    for (_, before), (_, after) in pairwise(steps):
        assert not (after & ~before).any()


def test_a_cut_of_a_channel_can_be_overridden() -> None:
    assert selection.get("objects", channel="dark-machines-2a", met_min=80).met_min == 80
    assert selection.get("objects", channel="dark-machines-2a").lepton_pt_min == (15.0, 15.0, 15.0)


def test_an_unknown_channel_is_refused_with_the_near_ones() -> None:
    with pytest.raises(ConfigError, match="did you mean 'dark-machines-2b'"):
        selection.parse({"kind": "objects", "channel": "dark-machines-2"})


def test_thresholds_that_do_not_decrease_are_refused() -> None:
    with pytest.raises(ConfigError, match="sort the thresholds"):
        selection.parse({"kind": "objects", "jet_pt_min": [50, 200]})
