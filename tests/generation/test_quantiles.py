"""Tables of quantiles: there and back."""

from __future__ import annotations

import numpy as np
import pytest

from anomalon.generation.quantiles import PROBABILITIES, from_uniform, quantile_table, to_uniform


def test_places_are_uniform_also_where_many_values_are_equal() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([np.zeros(3000), rng.exponential(size=17_000)])
    places = to_uniform(values, quantile_table(values), rng.random(len(values)))
    assert np.histogram(places, 20, (0, 1))[0] == pytest.approx(1000, abs=110)


def test_values_come_back_from_their_places() -> None:
    values = np.random.default_rng(1).normal(size=20_000)
    table = quantile_table(values)
    np.testing.assert_allclose(from_uniform(to_uniform(values, table, np.full(20_000, 0.5)), table), values, atol=1e-3)


def test_tails_are_neither_cut_nor_blown_up() -> None:
    values = np.random.default_rng(2).pareto(2.0, size=50_000)
    back = from_uniform(np.random.default_rng(3).random(1_000_000), quantile_table(values))
    assert back.max() <= values.max() * (1 + 1e-6)
    assert np.quantile(back, 0.9999) == pytest.approx(np.quantile(values, 0.9999), rel=0.15)


def test_ends_are_those_given_and_nothing_is_needed() -> None:
    table = quantile_table(np.array([0.2, 0.4]), lowest=0.0, highest=1.0)
    assert (table[0], table[-1]) == (0.0, 1.0)
    assert (np.diff(table) >= 0).all()
    assert len(quantile_table(np.zeros(0))) == len(PROBABILITIES)
