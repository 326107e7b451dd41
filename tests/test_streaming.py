"""Blocks of features computed on the fly, and the batches made of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomalon.batches import Batches, as_batches, fingerprint, gather, sum_of_weights
from anomalon.errors import TrainingError
from anomalon.events import Events
from anomalon.features import Features, get
from anomalon.store import Store, StoreWriter
from anomalon.streaming import BlockBatches, EventBlocks, FeatureBlocks, pick
from tests.random_events import random_rows

FEATURES = get("trilepton", selection={"require_z": False, "pt_min": [5, 4, 3]})


def numbered(n: int) -> Features:
    values = np.arange(n, dtype=np.float32)[:, None]
    return Features(values, np.ones((n, 1), dtype=bool), ("x",))


def values_of(features: Features) -> Any:
    return features.values


@pytest.fixture(scope="module")
def events() -> Events:
    return Events.from_dicts(random_rows(500, seed=4))


@pytest.fixture(scope="module")
def store(events: Events, tmp_path_factory: pytest.TempPathFactory) -> Store:
    with StoreWriter(tmp_path_factory.mktemp("stores") / "events", events_per_shard=130) as writer:
        writer.append(events)
        return writer.finish()


@given(
    n=st.integers(1, 300),
    size=st.integers(1, 120),
    batch_size=st.integers(1, 90),
    epoch=st.integers(0, 3),
    shuffle=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_an_epoch_has_every_event_once_with_its_own_weight(
    n: int, size: int, batch_size: int, epoch: int, shuffle: bool
) -> None:
    blocks = FeatureBlocks(numbered(n), np.arange(n) * 10.0, size=size)
    batches = BlockBatches(blocks, values_of, batch_size=batch_size, shuffle=shuffle)
    seen = list(batches.epoch(epoch))
    sizes = [len(weights) for _, weights in seen]
    assert len(seen) == len(batches)
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    everything = np.concatenate([values[:, 0] for values, _ in seen])
    np.testing.assert_array_equal(np.concatenate([w for _, w in seen]), everything * 10)
    np.testing.assert_array_equal(np.sort(everything), np.arange(n))
    if not shuffle:
        np.testing.assert_array_equal(everything, np.arange(n))


def test_epochs_differ_and_repeat() -> None:
    batches = BlockBatches(FeatureBlocks(numbered(100), size=30), values_of, seed=4)
    first, again, second = (gather_epoch(batches, k) for k in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != second).any()


def gather_epoch(batches: Batches, number: int) -> Any:
    return np.concatenate([values for values, _ in batches.epoch(number)])


def test_rows_that_are_not_kept_are_in_no_batch() -> None:
    blocks = FeatureBlocks(numbered(7), np.arange(7.0), size=4)
    kept = [np.array([True, False, True, True]), np.array([False, False, True])]
    batches = BlockBatches(blocks, values_of, kept=kept, batch_size=2)
    assert batches.n_events == 4
    np.testing.assert_array_equal(np.sort(gather(batches)[0][:, 0]), [0, 2, 3, 6])
    np.testing.assert_array_equal(batches.weights, [0, 2, 3, 6])
    assert sum_of_weights(batches) == 11


def test_a_block_of_which_nothing_is_kept_is_passed_over() -> None:
    kept = [np.zeros(4, dtype=bool), np.ones(3, dtype=bool)]
    batches = BlockBatches(FeatureBlocks(numbered(7), size=4), values_of, kept=kept, batch_size=3)
    assert [len(weights) for _, weights in batches] == [3]


@pytest.mark.parametrize("size", [1, 77, 130, 1000])
def test_a_store_and_memory_give_the_same_batches(events: Events, store: Store, size: int) -> None:
    weights = np.random.default_rng(0).normal(size=400)
    made = [
        BlockBatches(EventBlocks(source, FEATURES, weights, rows=(50, 450), size=size), filled, batch_size=64, seed=2)
        for source in (events, store)
    ]
    for epoch in (0, 1):
        for (x, w), (y, v) in zip(*(batches.epoch(epoch) for batches in made), strict=True):
            np.testing.assert_array_equal(x, y)
            np.testing.assert_array_equal(w, v)


def filled(features: Features) -> Any:
    return np.nan_to_num(features.values)


def test_the_rows_of_blocks_are_those_of_the_events(events: Events, store: Store) -> None:
    whole = FEATURES.transform(events)
    blocks = EventBlocks(store, FEATURES, size=90, rows=(10, 300))
    assert sum(blocks.sizes) == 290
    joined = Features.concatenate([blocks.block(i)[0] for i in range(len(blocks.sizes))])
    np.testing.assert_array_equal(joined.values, whole.values[10:300])


def test_picked_rows_are_those_of_the_events_in_the_order_asked_for(events: Events, store: Store) -> None:
    whole = FEATURES.transform(events)
    rows = np.array([450, 3, 3, 120, 499, 0])
    picked = pick(EventBlocks(store, FEATURES, size=90), rows)
    np.testing.assert_array_equal(picked.values, whole.values[rows])
    assert len(pick(EventBlocks(store, FEATURES), rows[:0])) == 0


def test_identities_tell_events_weights_and_features_apart(events: Events, store: Store) -> None:
    w = np.ones(500)
    same = [EventBlocks(events, FEATURES, w).identity, EventBlocks(events[:], FEATURES, w).identity]
    assert same[0] == same[1]
    others = [
        EventBlocks(events, FEATURES, 2 * w),
        EventBlocks(events, get("trilepton"), w),
        EventBlocks(events[::-1], FEATURES, w),
        EventBlocks(events, FEATURES, w, size=100),
        EventBlocks(store, FEATURES, w),
        FeatureBlocks(FEATURES.transform(events), w),
    ]
    assert len({same[0], *(blocks.identity for blocks in others)}) == 7


def test_streams_are_batches_and_say_what_they_are(events: Events) -> None:
    batches = BlockBatches(EventBlocks(events, FEATURES), filled, batch_size=100)
    assert isinstance(batches, Batches)
    assert as_batches(batches) is batches
    assert batches.n_inputs == len(FEATURES.names)
    assert fingerprint(batches) == batches.identity


def test_what_cannot_be_learned_from_is_refused() -> None:
    with pytest.raises(TrainingError, match="do not belong to 3 events"):
        FeatureBlocks(numbered(3), [1.0])
    with pytest.raises(TrainingError, match="blocks of 0"):
        EventBlocks(Events.from_dicts([{}]), FEATURES, size=0)
    with pytest.raises(TrainingError, match="1 of 3 events have weights"):
        BlockBatches(FeatureBlocks(numbered(3), [1.0, np.nan, 1.0]), values_of)
    with pytest.raises(TrainingError, match="batch_size = 0"):
        BlockBatches(FeatureBlocks(numbered(3)), values_of, batch_size=0)
