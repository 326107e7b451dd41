from __future__ import annotations

import numpy as np
import pytest

from anomalon.errors import EmptySelectionError
from anomalon.generation.coverage import coverage_measure, memorisation
from anomalon.generation.flatten import EventArrays, flatten
from anomalon.generation.splits import Prepared
from anomalon.generation.validation import ValidationSettings
from tests.generation.test_derived import turned
from tests.generation.toys import top_pairs

SETTINGS = ValidationSettings(neighbour_events=1500)
MEASURE = coverage_measure(SETTINGS)


@pytest.fixture(scope="module")
def training():
    return flatten(top_pairs(3000, seed=1))


@pytest.fixture(scope="module")
def real():
    return flatten(top_pairs(1500, seed=2))


def jittered(arrays: EventArrays, by: float) -> EventArrays:
    factor = np.random.default_rng(0).normal(1, by, arrays.objects.shape[:2])
    objects = arrays.objects.copy()
    objects[..., 0] *= factor
    return EventArrays(arrays.met, arrays.counts, objects, arrays.slots)


def test_real_events_cover_real_events(real, training):
    found = MEASURE.compute(Prepared.of(real), Prepared.of(training[:1500]), 0)
    assert found["coverage"] == pytest.approx(1 - 0.5**5, abs=0.02)
    assert found["density"] == pytest.approx(1.0, abs=0.08)


def test_a_missing_mode_is_not_covered(real, training):
    few_jets = training[training.counts[:, :2].sum(axis=1) <= 4]
    found = MEASURE.compute(Prepared.of(real), Prepared.of(few_jets[:1000]), 0)
    assert found["coverage"] < 0.85


def test_fresh_events_are_no_copies(real, training):
    found = memorisation(real, flatten(top_pairs(1500, seed=3)), training, SETTINGS)
    assert not found.memorised
    assert found.copies == 0
    assert found.closer.value < 0.02
    assert found.median_ratio.value == pytest.approx(1, abs=0.05)


def test_a_copied_training_sample_is_memorised(real, training):
    found = memorisation(real, training[:1500], training, SETTINGS)
    assert found.memorised
    assert found.copies == 1500
    assert found.closer.value == 1


@pytest.mark.parametrize("disguise", ["smeared", "turned"])
def test_copies_in_disguise_are_memorised_too(real, training, disguise):
    copied = jittered(training, 0.01) if disguise == "smeared" else turned(training, 1.0, -1.0)
    found = memorisation(real, copied[:1500], training, SETTINGS)
    assert found.copies == 0
    assert found.memorised
    assert found.closer.value > 0.9


def test_a_tenth_of_copies_is_enough_to_be_found(real, training):
    fresh, copied = flatten(top_pairs(1350, seed=3)), jittered(training[:150], 0.01)
    mixed = EventArrays(
        *(np.concatenate([getattr(fresh, n), getattr(copied, n)]) for n in ("met", "counts", "objects")), fresh.slots
    )
    assert memorisation(real, mixed, training, SETTINGS).memorised


def test_real_events_that_were_trained_on_do_not_hide_copies(training):
    with pytest.raises(EmptySelectionError, match="memorisation: 0 real events outside the training sample"):
        memorisation(training[:1500], training[:1500], training, SETTINGS)


def test_too_few_events_are_refused_with_the_number_needed(real, training):
    with pytest.raises(EmptySelectionError, match="1000 of each are needed"):
        memorisation(real[:500], real, training, SETTINGS)
