"""Laws of the trilepton features' settings; the values themselves are tested beside the selection."""

from __future__ import annotations

import numpy as np

from anomalon.events import Events
from anomalon.features import TrileptonFeatures
from tests.random_events import random_rows

EVENTS = Events.from_dicts(random_rows(600, seed=11))
OF_JETS = ("HT", "nJet", "nBJet")


def test_without_jets_the_other_columns_keep_their_order_and_values():
    every, fewer = (TrileptonFeatures(jets=jets).transform(EVENTS) for jets in (True, False))
    assert fewer.names == tuple(name for name in every.names if name not in OF_JETS)
    assert len(fewer.names) == len(every.names) - len(OF_JETS)
    expected = every.select(fewer.names)
    np.testing.assert_array_equal(fewer.values, expected.values)
    np.testing.assert_array_equal(fewer.mask, expected.mask)
    assert fewer.mask.any()


def test_without_jets_no_jet_is_read():
    features = TrileptonFeatures(jets=False)
    assert not any(name.startswith("jets.") for name in features.requires)
    fields = [name for name in EVENTS.array.fields if name != "jets"]
    bare = Events(EVENTS.array[fields], EVENTS.samples)
    np.testing.assert_array_equal(features.transform(bare).values, features.transform(EVENTS).values)


def test_jets_are_read_unless_told_otherwise():
    assert TrileptonFeatures() == TrileptonFeatures(jets=True)
    assert set(OF_JETS) < set(TrileptonFeatures().names)
    assert {"jets.pt", "jets.eta", "jets.phi", "jets.btag"} < TrileptonFeatures().requires
