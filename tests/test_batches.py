"""Splits, mixing and batches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomalon.batches import (
    TEST,
    TRAIN,
    VALIDATION,
    ArrayBatches,
    Batches,
    EventIds,
    as_batches,
    assign_split,
    gather,
    mix,
    resample,
)
from anomalon.errors import TrainingError
from anomalon.events import Events, Sample


def some_ids(n: int, names: tuple[str, ...] = ("wz", "zz")) -> EventIds:
    number = np.arange(n, dtype=np.int64)
    return EventIds(np.ones_like(number), number // 1000, number, number % len(names), names)


def taken(ids: EventIds, order: np.ndarray) -> EventIds:
    return EventIds(ids.run[order], ids.lumi[order], ids.event[order], ids.dataset[order], ids.names)


def test_ids_of_events_are_their_numbers_and_samples() -> None:
    samples = [Sample(name="a", process="a"), Sample(name="b", process="b")]
    events = Events.from_dicts([{"run": 3, "lumi": 2, "event": 7, "dataset": "b"}], samples)
    ids = EventIds.of(events)
    assert (ids.run[0], ids.lumi[0], ids.event[0], ids.names[ids.dataset[0]]) == (3, 2, 7, "b")


@given(st.integers(0, 2**31), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_split_and_mixing_do_not_depend_on_the_order_of_files(seed: int, random: object) -> None:
    ids = some_ids(300)
    order = np.random.default_rng(random.randrange(2**32)).permutation(300)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(assign_split(ids, seed)[order], assign_split(taken(ids, order), seed))
    mixed = taken(ids, mix(ids, seed))
    again = taken(taken(ids, order), mix(taken(ids, order), seed))
    np.testing.assert_array_equal(mixed.event, again.event)


def test_split_of_a_chunk_is_the_chunk_of_the_split() -> None:
    ids = some_ids(1000)
    part = np.arange(100, 400)
    np.testing.assert_array_equal(assign_split(ids, 1)[part], assign_split(taken(ids, part), 1))


def test_split_does_not_depend_on_the_number_that_a_dataset_has() -> None:
    ids = some_ids(100)
    swapped = EventIds(ids.run, ids.lumi, ids.event, 1 - ids.dataset, ids.names[::-1])
    np.testing.assert_array_equal(assign_split(ids, 5), assign_split(swapped, 5))


def test_split_follows_its_fractions() -> None:
    split = assign_split(some_ids(40_000), 3, (0.6, 0.3, 0.1))
    shares = np.bincount(split, minlength=3) / len(split)
    np.testing.assert_allclose(shares, (0.6, 0.3, 0.1), atol=0.01)
    assert split.dtype == np.int8


def test_split_with_a_fraction_of_zero_leaves_that_part_empty() -> None:
    assert set(assign_split(some_ids(2000), 0, (1.0, 0.0, 0.0))) == {TRAIN}
    assert set(assign_split(some_ids(2000), 0, (0.5, 0.0, 0.5))) == {TRAIN, TEST}
    assert set(assign_split(some_ids(2000), 0, (0.0, 1.0, 0.0))) == {VALIDATION}


def test_seeds_and_each_part_of_an_events_name_change_the_split() -> None:
    ids = some_ids(2000)
    base = assign_split(ids, 0)
    changed = [
        assign_split(ids, 1),
        assign_split(EventIds(ids.run + 1, ids.lumi, ids.event, ids.dataset, ids.names), 0),
        assign_split(EventIds(ids.run, ids.lumi + 1, ids.event, ids.dataset, ids.names), 0),
        assign_split(EventIds(ids.run, ids.lumi, ids.event + 1, ids.dataset, ids.names), 0),
        assign_split(EventIds(ids.run, ids.lumi, ids.event, ids.dataset, ("ww", "tt")), 0),
    ]
    for other in changed:
        # Independent draws agree with probability 0.5^2 + 0.25^2 + 0.25^2.
        assert 0.3 < np.mean(base == other) < 0.45


def test_mixing_is_a_permutation_that_shuffles_processes_and_ignores_the_split() -> None:
    ids = some_ids(4000)
    order = mix(ids, 2)
    np.testing.assert_array_equal(np.sort(order), np.arange(4000))
    assert abs(np.mean(ids.dataset[order][:2000]) - 0.5) < 0.05
    assert abs(np.mean(assign_split(ids, 2)[order][:2000] == TRAIN) - 0.5) < 0.05


def test_no_events_have_an_empty_split() -> None:
    assert assign_split(some_ids(0), 0).shape == (0,)
    assert mix(some_ids(0), 0).shape == (0,)


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.5, 0.6, 0.2), (1.2, -0.1, -0.1)])
def test_impossible_fractions_are_refused(fractions: tuple[float, ...]) -> None:
    with pytest.raises(TrainingError, match="sum 1"):
        assign_split(some_ids(3), 0, fractions)


@given(n=st.integers(1, 200), batch_size=st.integers(1, 64), epoch=st.integers(0, 5), shuffle=st.booleans())
@settings(max_examples=50, deadline=None)
def test_an_epoch_has_every_event_once_with_its_own_weight(n: int, batch_size: int, epoch: int, shuffle: bool) -> None:
    values = np.arange(n, dtype=np.float32)[:, None]
    batches = ArrayBatches(values, np.arange(n) * 10.0, batch_size=batch_size, shuffle=shuffle)
    seen = list(batches.epoch(epoch))
    assert len(seen) == len(batches)
    sizes = [len(v) for v, _ in seen]
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    everything = np.concatenate([v[:, 0] for v, _ in seen])
    np.testing.assert_array_equal(np.concatenate([w for _, w in seen]), everything * 10)
    np.testing.assert_array_equal(np.sort(everything), values[:, 0])


def test_epochs_differ_and_repeat() -> None:
    batches = ArrayBatches(np.arange(100.0)[:, None], seed=4)
    first, again, second = (next(iter(batches.epoch(k)))[0] for k in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != second).any()
    assert (first != next(iter(ArrayBatches(np.arange(100.0)[:, None], seed=5)))[0]).any()


def test_batches_are_re_iterable() -> None:
    batches = ArrayBatches(np.arange(10.0)[:, None], batch_size=3)
    assert [v.tolist() for v, _ in batches] == [v.tolist() for v, _ in batches]


def test_values_that_are_not_finite_are_refused_with_their_number() -> None:
    with pytest.raises(TrainingError, match="2 of 3 events have values"):
        ArrayBatches([[np.nan, 1], [1, 2], [np.inf, 2]])
    with pytest.raises(TrainingError, match="1 of 2 events have weights"):
        ArrayBatches([[1.0], [2.0]], [1.0, np.nan])


def test_labelled_values_may_be_missing_but_never_infinite() -> None:
    assert np.isnan(ArrayBatches([[np.nan], [1.0]], labels=[0, 1]).values[0, 0])
    with pytest.raises(TrainingError, match="1 of 2"):
        ArrayBatches([[np.inf], [1.0]], labels=[0, 1])


@pytest.mark.parametrize(("values", "weights", "message"), [([1.0], None, "shape"), ([[1.0]], [1.0, 2.0], "weights")])
def test_shapes_that_do_not_belong_together_are_refused(values: object, weights: object, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        ArrayBatches(values, weights)  # type: ignore[arg-type]


def test_a_batch_size_below_one_is_refused() -> None:
    with pytest.raises(TrainingError, match="batch_size = 0"):
        ArrayBatches([[1.0]], batch_size=0)


class Streamed:
    """A user's own batches, not in memory."""

    n_events, n_inputs = 4, 1

    def epoch(self, number: int):
        yield np.array([[1.0], [2.0]], dtype=np.float32), np.array([1.0, 2.0])
        yield np.array([[3.0], [4.0]], dtype=np.float32), np.array([3.0, 4.0])

    def __iter__(self):
        return self.epoch(0)


def test_own_batches_pass_and_arrays_are_wrapped() -> None:
    own = Streamed()
    assert isinstance(own, Batches)
    assert as_batches(own) is own
    values, weights = gather(own)
    np.testing.assert_array_equal(values[:, 0], weights)
    values, weights = gather(as_batches((np.ones((3, 2)), [1.0, 2.0, 3.0]), batch_size=2))
    assert values.shape == (3, 2)
    np.testing.assert_array_equal(weights, [1, 2, 3])


@given(st.integers(1, 500), st.integers(0, 100), st.floats(1e-3, 1e3))
@settings(max_examples=50, deadline=None)
def test_resampling_equal_weights_gives_every_event_once(n: int, seed: int, weight: float) -> None:
    np.testing.assert_array_equal(resample(np.full(n, -weight), seed), np.arange(n))


def test_resampling_repeats_events_in_proportion_to_their_absolute_weight() -> None:
    weights = np.array([0.0, 1.0, -2.0, 5.0])
    counts = np.bincount(resample(np.tile(weights, 10_000), seed=1) % 4, minlength=4)
    np.testing.assert_allclose(counts / 40_000, np.abs(weights) / 8, atol=5e-3)


def test_resampling_without_weight_is_refused() -> None:
    with pytest.raises(TrainingError, match="zero"):
        resample(np.zeros(3), 0)
