"""Noise of events: the same in any batch, independent between columns and events."""

from __future__ import annotations

import numpy as np
import pytest

from anomalon.generation.noise import normal_noise, uniform_noise
from anomalon.hashing import splitmix64

KEYS = splitmix64(np.arange(20_000, dtype=np.uint64))


def test_noise_does_not_depend_on_the_batch_or_on_how_many_columns_are_asked_for() -> None:
    whole = uniform_noise(KEYS[:50], 8)
    np.testing.assert_array_equal(
        np.concatenate([uniform_noise(KEYS[i : min(i + 7, 50)], 8) for i in range(0, 50, 7)]), whole
    )
    np.testing.assert_array_equal(uniform_noise(KEYS[:50], 3, first=5), whole[:, 5:])


def test_noise_is_uniform_or_normal_and_columns_are_independent() -> None:
    uniform, normal = uniform_noise(KEYS, 4), normal_noise(KEYS, 4)
    assert ((uniform > 0) & (uniform < 1)).all()
    assert uniform.mean(axis=0) == pytest.approx(np.full(4, 0.5), abs=0.01)
    assert normal.std(axis=0) == pytest.approx(np.ones(4), abs=0.02)
    assert np.corrcoef(normal.T)[np.triu_indices(4, 1)] == pytest.approx(np.zeros(6), abs=0.03)
    assert abs(np.corrcoef(normal[:-1, 0], normal[1:, 0])[0, 1]) < 0.03
