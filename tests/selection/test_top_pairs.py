"""The selection of top pairs against a loop over events, and its cutflow."""

from __future__ import annotations

from itertools import pairwise

import awkward as ak
import numpy as np
import pytest

from anomalon import selection
from anomalon.errors import ConfigError, MissingFieldError
from anomalon.events import Events
from anomalon.selection import TopPairSelection, find_top_pairs
from tests.random_events import random_rows
from tests.selection import top_pairs_loop as loop

ROWS = random_rows(1500, seed=5, leptons=2.4, jets=6.0)
EVENTS = Events.from_dicts(ROWS)


def test_the_events_that_pass_are_those_of_the_loop() -> None:
    *_, (name, passed) = TopPairSelection().steps(EVENTS)
    assert name == "2 b-jets, pT > 20 GeV, |eta| < 3"
    assert passed.tolist() == [loop.passes(row) for row in ROWS]
    assert 20 < passed.sum() < 1000


def test_every_cut_keeps_a_part_of_the_events_before() -> None:
    steps = [passed for _, passed in TopPairSelection().steps(EVENTS)]
    assert all((after <= before).all() for before, after in pairwise(steps))


def test_jets_are_those_of_the_loop() -> None:
    pairs = find_top_pairs(EVENTS, TopPairSelection())
    for i, event in enumerate(pairs.event):
        tagged, others = loop.jets(ROWS[event], loop.good_leptons(ROWS[event]))
        np.testing.assert_allclose(pairs.bjets.pt[i], [j["pt"] for j in tagged[:2]])
        np.testing.assert_allclose(pairs.bjets.eta[i], [j["eta"] for j in tagged[:2]])
        assert (pairs.bjets.number[i], pairs.others.number[i]) == (len(tagged), len(others))
        assert pairs.others.ht[i] == pytest.approx(sum(j["pt"] for j in others))
        assert pairs.others.px[i] == pytest.approx(sum(j["pt"] * np.cos(j["phi"]) for j in others))
        if not others:
            assert np.isnan(pairs.others.pt[i]).all()


def test_it_is_known_by_name_and_mistakes_are_told() -> None:
    assert selection.get("top-pairs", bjet_pt_min=30).bjet_pt_min == 30
    with pytest.raises(ConfigError, match="did you mean 'bjet_pt_min'"):
        selection.get("top-pairs", bjet_pt_mim=30)
    with pytest.raises(MissingFieldError, match="the selection of top pairs"):
        TopPairSelection().steps(Events(ak.without_field(EVENTS.array, "jets"), EVENTS.samples))
