from __future__ import annotations

import numpy as np
import pytest

from anomalon.errors import EmptySelectionError
from anomalon.generation.amplification import amplification, quantile_error
from anomalon.generation.derived import QUANTITIES, Derived


def drawn(n: int, seed: int, shift: float = 0.0) -> Derived:
    """Independent Gaussian quantities: what the errors are expected to be is known."""
    return Derived(np.random.default_rng(seed).normal(shift, 1, (n, len(QUANTITIES))))


TRUTH = drawn(200_000, 0)


def test_the_training_sample_is_worth_itself():
    found = amplification(drawn(2000, 1), drawn(2000, 2), TRUTH)
    for factor in (found.factor, found.training_factor):
        assert factor.value == pytest.approx(1, abs=0.25)
        assert factor.low < factor.value < factor.high


def test_ten_times_as_many_events_are_worth_ten_times_as_much():
    found = amplification(drawn(2000, 1), drawn(20_000, 2), TRUTH)
    assert found.factor.value == pytest.approx(10, rel=0.3)


def test_no_number_of_biased_events_is_worth_more_than_its_bias():
    few, many = (amplification(drawn(2000, 1), drawn(n, 2, shift=0.1), TRUTH).factor.value for n in (20_000, 100_000))
    assert few < 1
    assert many < 1.2 * few


def test_the_error_of_known_fractions():
    assert quantile_error(np.array([0.1, 0.2, 0.3, 0.9]), np.array([0.5])) == pytest.approx(0.25**2)


def test_too_little_truth_is_refused_with_the_number_needed():
    with pytest.raises(EmptySelectionError, match=r"200000 truth events for 20001 training events.* 200010, are"):
        amplification(drawn(20_001, 1), drawn(100, 2), TRUTH)


def test_too_few_training_events_are_refused():
    with pytest.raises(EmptySelectionError, match="of 150 training events fewer than 200 have any of MET"):
        amplification(drawn(150, 1), drawn(100, 2), TRUTH)
