from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomalon.errors import InvalidEventsError, MissingFieldError, UnknownNameError
from anomalon.events import Events, Sample, merge_samples

MC = Sample(name="wz", process="WZ", cross_section_pb=0.5, k_factor=1.8, filter_efficiency=0.5, sum_gen_weights=10.0)
DATA = Sample(name="run", process="data", origin="data")


def muon(pt: float) -> dict[str, float]:
    return {"pt": pt, "eta": 0.0, "phi": 0.0, "charge": 1}


def test_the_weight_is_sigma_times_luminosity_over_the_sum_of_weights() -> None:
    events = Events.from_dicts([{"gen_weight": -2.0}], [MC])
    assert events.weights(140.0)[0] == pytest.approx(0.5 * 1000 * 1.8 * 0.5 * 140 * -2.0 / 10.0)


def test_collision_data_has_weight_one_whatever_is_stored() -> None:
    events = Events.from_dicts([{"gen_weight": 7.0, "factors": {"fake": 0.1}}], [DATA])
    assert events.weights()[0] == 1.0


def test_only_the_named_factor_is_varied() -> None:
    factors = {"fake": 0.5, "fakeUp": 0.75, "fakeDown": 0.25, "trigger": 0.9}
    events = Events.from_dicts([{"factors": factors}], [MC])
    assert events.weights(None)[0] == pytest.approx(0.45)
    assert events.weights(None, "fakeUp")[0] == pytest.approx(0.675)
    with pytest.raises(UnknownNameError, match=r"'fakeup'; did you mean 'fakeUp'"):
        events.weights(None, "fakeup")


@pytest.mark.parametrize(
    ("change", "message"),
    [({"cross_section_pb": None}, "no cross_section_pb"), ({"sum_gen_weights": 0.0}, "must be positive")],
)
def test_a_yield_without_a_normalisation_is_refused(change: dict[str, float | None], message: str) -> None:
    events = Events.from_dicts([{}], [MC.model_copy(update=change)])
    with pytest.raises(InvalidEventsError, match=message):
        events.weights(140.0)
    assert events.weights(None)[0] == 1.0


@given(st.lists(st.floats(1, 1000, width=32), max_size=6))
def test_objects_are_sorted_by_decreasing_pt(pts: list[float]) -> None:
    events = Events.from_dicts([{"muons": [muon(pt) for pt in pts]}])
    assert events.array.muons.pt.tolist() == [sorted(pts, reverse=True)]


def test_joining_chunks_of_a_sample_does_not_count_it_twice() -> None:
    events = Events.from_dicts([{"muons": [muon(10)]}, {}, {}], [MC])
    joined = Events.concatenate([events[:1], events[1:]])
    assert joined.samples == (MC,)
    np.testing.assert_array_equal(joined.weights(), events.weights())


def test_joining_renumbers_the_samples() -> None:
    a, b = Events.from_dicts([{}], [MC]), Events.from_dicts([{}, {}], [DATA])
    joined = Events.concatenate([a, b, a])
    assert joined.processes().tolist() == ["WZ", "data", "data", "WZ"]


def test_two_different_samples_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidEventsError, match="two different samples are called 'wz'"):
        merge_samples([[MC], [MC.model_copy(update={"k_factor": 2.0})]])


def test_an_event_of_an_unknown_sample_is_refused() -> None:
    with pytest.raises(InvalidEventsError, match="dataset index 3 points past the 1 samples"):
        Events.from_dicts([{"dataset": 3}], [MC])


def test_objects_without_a_momentum_are_refused_by_position() -> None:
    with pytest.raises(InvalidEventsError, match=r"event 1: muons\[0\] lacks eta, phi"):
        Events.from_dicts([{}, {"muons": [{"pt": 3.0}]}])


def test_missing_fields_are_named_with_what_is_there() -> None:
    events = Events.from_dicts([{}])
    with pytest.raises(MissingFieldError, match=r"this test needs jets\.btag_score; found run"):
        events.require(["jets.pt", "jets.btag_score"], "this test")


def test_masks_select_events_and_keep_samples() -> None:
    events = Events.from_dicts([{}, {"muons": [muon(5)]}], [MC])
    kept = events[np.array([False, True])]
    assert len(kept) == 1
    assert kept.array.event.tolist() == [1]
    assert kept.samples == (MC,)
