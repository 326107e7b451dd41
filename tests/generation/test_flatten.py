from __future__ import annotations

import numpy as np
import pytest

from anomalon.errors import ConfigError, InvalidEventsError, MissingFieldError
from anomalon.events import Events, Sample
from anomalon.generation.flatten import KINDS, energy, flatten, unweighted
from tests.generation.toys import to_events, top_pairs

JETS = [{"pt": 50 - i, "eta": 0.1 * i, "phi": 0.2, "mass": 5, "btag": i % 2 == 0} for i in range(5)]
LEPTONS = [{"pt": 30, "eta": 0, "phi": 1, "charge": -1}, {"pt": 20, "eta": 0, "phi": 2, "charge": 1}]


@pytest.fixture
def one_event() -> Events:
    return Events.from_dicts([{"jets": JETS, "electrons": LEPTONS, "muons": LEPTONS, "met": {"pt": 40, "phi": 3}}])


def test_objects_go_to_the_slots_of_their_kind_by_falling_pt(one_event):
    arrays = flatten(one_event)
    assert arrays.counts.tolist() == [[3, 2, 1, 1, 1, 1, 0]]
    assert arrays.of("b")[0][0, :3, 0].tolist() == [50, 48, 46]
    assert arrays.of("j")[0][0, :2, 0].tolist() == [49, 47]
    assert arrays.of("m+")[0][0, 0].tolist() == pytest.approx([20, 0, 2, 0.1056584])
    assert arrays.met.tolist() == [[40, 3]]
    assert arrays.present.sum() == 9


def test_surplus_objects_are_dropped_but_counted(one_event):
    arrays = flatten(one_event, {"b": 1, "j": 2, "e-": 1})
    assert arrays.objects.shape == (1, 4, 4)
    assert arrays.count("b").tolist() == [1]
    assert arrays.counts.sum() == 9
    assert arrays.without_slot() == pytest.approx(5 / 9)


def test_arrays_and_events_are_the_same_thing():
    arrays = flatten(top_pairs(200))
    again = flatten(to_events(arrays))
    assert np.array_equal(arrays.counts, again.counts)
    assert np.allclose(arrays.objects, again.objects, atol=1e-5)


def test_energies_are_below_the_momentum_where_the_mass_is_negative():
    objects = np.array([[10.0, 1.0, 0.0, 3.0], [10.0, 1.0, 0.0, -3.0]])
    p = 10 * np.cosh(1.0)
    assert energy(objects) ** 2 == pytest.approx([p * p + 9, p * p - 9])


def test_unweighted_events_have_the_composition_of_the_weighted_ones():
    rows = [{"event": i, "run": run, "gen_weight": w} for i in range(4000) for run, w in ((1, 0.75), (2, 0.25))]
    drawn = unweighted(Events.from_dicts(rows))
    second = (drawn.numbers("run") == 2).mean()
    assert second == pytest.approx(0.25, abs=0.02)
    assert np.array_equal(drawn.numbers("event"), unweighted(Events.from_dicts(rows)).numbers("event"))


def test_events_of_equal_weight_all_stay(one_event):
    assert unweighted(one_event) is one_event


def test_events_without_any_weight_are_refused():
    with pytest.raises(InvalidEventsError, match="all 2 events have weight 0"):
        unweighted(Events.from_dicts([{"gen_weight": 0.0}, {"gen_weight": 0.0}]))


def test_weights_between_samples_are_their_yields():
    cross_sections = {"a": 3.0, "b": 1.0}
    samples = [
        Sample(name=name, process=name, cross_section_pb=x, sum_gen_weights=3000.0)
        for name, x in cross_sections.items()
    ]
    rows = [{"event": i, "dataset": name} for i in range(3000) for name in "ab"]
    drawn = unweighted(Events.from_dicts(rows, samples))
    assert (drawn.numbers("dataset") == 0).sum() == 3000
    assert (drawn.numbers("dataset") == 1).sum() == pytest.approx(1000, abs=100)


def test_a_kind_that_does_not_exist_is_refused(one_event):
    with pytest.raises(ConfigError, match="no kind 'mu-'"):
        flatten(one_event, {"mu-": 1})


def test_a_lepton_without_charge_is_refused():
    events = Events.from_dicts([{"muons": [{"pt": 30, "eta": 0, "phi": 0}]}])
    with pytest.raises(InvalidEventsError, match="muons: 1 without charge"):
        flatten(events)


def test_missing_collections_are_named(one_event):
    array = one_event.array[[name for name in one_event.fields if name != "photons"]]
    with pytest.raises(MissingFieldError, match=r"photons\.pt"):
        flatten(Events(array, one_event.samples))


def test_no_events_are_no_rows(one_event):
    arrays = flatten(one_event[:0])
    assert len(arrays) == 0
    assert arrays.counts.shape == (0, len(KINDS))
