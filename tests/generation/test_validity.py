from __future__ import annotations

import numpy as np
import pytest

from anomalon.generation.flatten import flatten
from anomalon.generation.validity import acceptance, broken_rules, copies_of, duplicates, rates, stored
from anomalon.simulation.presets import get_detector
from tests.generation.toys import independent_marginals, top_pairs

DETECTOR = "darkmachines"


@pytest.fixture
def arrays():
    found = flatten(top_pairs(400))
    rule = get_detector(DETECTOR).stored_if
    return found[stored(found, rule) & (found.counts[:, 1] > 1)]


def slot(arrays, kind, place=0):
    return arrays.span(kind).start + place


BREAKS = {
    "not_finite": lambda a: a.objects.__setitem__((0, slot(a, "j"), 1), np.nan),
    "negative": lambda a: a.met.__setitem__((0, 0), -1.0),
    "below_shell": lambda a: a.objects.__setitem__((0, slot(a, "j"), 3), -30.0),
    "order": lambda a: a.objects.__setitem__((0, slot(a, "j", 1), 0), 1e4),
    "azimuth": lambda a: a.met.__setitem__((0, 1), 3.2),
    "acceptance": lambda a: a.objects.__setitem__((0, slot(a, "j"), 1), 3.0),
    "not_stored": lambda a: a.objects.__setitem__((0, slice(None), 0), np.minimum(a.objects[0, :, 0], 20.0)),
    "duplicate": lambda a: [x.__setitem__(0, x[1]) for x in (a.objects, a.met, a.counts)],
}


def test_good_events_break_no_rule(arrays):
    assert {name: int(mask.sum()) for name, mask in broken_rules(arrays, DETECTOR).items() if mask.any()} == {}


@pytest.mark.parametrize("rule", BREAKS)
def test_a_broken_event_is_found_by_its_rule_and_no_other(arrays, rule):
    BREAKS[rule](arrays)
    broken = {name for name, mask in broken_rules(arrays, DETECTOR).items() if mask.sum() == 1}
    assert broken == {rule, "any"}


def test_a_lepton_of_another_mass_is_off_its_shell():
    found = flatten(top_pairs(400))
    row = np.flatnonzero(found.count("e-"))[0]
    found.objects[row, slot(found, "e-"), 3] = 20.0
    assert np.flatnonzero(broken_rules(found)["off_shell"]).tolist() == [row]


def test_six_digits_of_a_text_are_no_offence(arrays):
    light = slot(arrays, "j")
    arrays.objects[:, light, 3] = -0.002 * arrays.objects[:, light, 0]
    arrays.objects[..., 0] *= 1 - 5e-6
    broken = broken_rules(arrays, DETECTOR)
    assert not broken["below_shell"].any()
    assert not broken["acceptance"].any()


def test_independent_marginals_are_nearly_all_off_the_shell(arrays):
    found = {rate.name: rate for rate in rates(arrays, independent_marginals(arrays), DETECTOR)}
    assert found["below_shell"].generated.value > 0.8
    assert found["below_shell"].real_events == 0
    assert found["below_shell"].verdict == found["any"].verdict == "off"


def test_without_a_detector_nothing_is_said_about_acceptance(arrays):
    assert not {"acceptance", "not_stored"} & set(broken_rules(arrays))


def test_every_copy_but_the_first_counts(arrays):
    rows = np.array([0, 1, 0, 2, 0])
    assert duplicates(arrays[rows]).tolist() == [False, False, True, False, True]


def test_copies_of_other_events_are_known_bit_by_bit(arrays):
    near = arrays[np.array([5, 6])]
    near.objects[0, slot(arrays, "j"), 0] *= 1.001
    assert copies_of(near, arrays).tolist() == [False, True]


def test_a_rate_stands_with_its_interval(arrays):
    rate = rates(arrays, arrays[:100], DETECTOR)[0]
    assert rate.generated.value == rate.generated.low == 0
    assert rate.generated.high == pytest.approx(0.018, abs=0.002)  # of 100 events


def test_acceptance_is_the_presets():
    assert acceptance("e+", get_detector(DETECTOR)) == (15.0, 2.5)
    assert acceptance("g", get_detector(DETECTOR)) == (20.0, 2.37)
