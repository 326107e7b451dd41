"""Tables of multiplicities, the alias method and conditions."""

from __future__ import annotations

import numpy as np
import pytest

from anomalon.errors import ConfigError
from anomalon.generation.condition import Condition, FittedSample, Known
from anomalon.generation.layout import get_slots
from anomalon.generation.multiplicities import (
    Alias,
    MaskTable,
    MultiplicitySettings,
    covering,
    mask_table,
    seen,
    smoothed,
)

SLOTS = get_slots({"b": 2, "j": 3, "e-": 1, "e+": 1, "m-": 1, "m+": 1, "g": 1})


def counts(n: int = 500, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = np.zeros((n, 7), dtype=np.int64)
    rows[:, 0], rows[:, 1] = rng.integers(0, 3, n), rng.integers(0, 4, n)
    rows[:, 2] = rng.random(n) < 0.1
    return rows


def test_the_alias_method_draws_with_the_probabilities() -> None:
    p = np.array([0.5, 0.0, 0.05, 0.3, 0.15])
    n = 200_000
    drawn = np.bincount(Alias(p).draw((np.arange(n) + 0.5) / n), minlength=5) / n
    np.testing.assert_allclose(drawn, p, atol=2e-5)


def test_the_empirical_table_is_what_was_seen() -> None:
    rows = counts()
    table = mask_table(*seen(rows), MultiplicitySettings(), SLOTS)
    for mask, p in zip(table.masks, table.probabilities, strict=True):
        assert p == pytest.approx((rows == mask).all(axis=1).mean())


def test_coverage_keeps_the_most_frequent_masks_and_no_more_than_needed() -> None:
    table = mask_table(*seen(counts()), MultiplicitySettings(), SLOTS)
    kept = covering(table, 0.8)
    order = np.sort(table.probabilities)[::-1]
    assert order[: len(kept)].sum() >= 0.8 > order[: len(kept) - 1].sum()
    assert table.total_variation(kept) == pytest.approx(1 - order[: len(kept)].sum())


def test_the_smoothed_table_has_every_mask_and_keeps_the_mean() -> None:
    rows = counts()
    table = smoothed(*seen(rows), SLOTS)
    assert len(table) == 3 * 4 * 2**5
    assert table.probabilities.sum() == pytest.approx(1.0)
    assert (table.probabilities > 0).all()
    np.testing.assert_allclose(table.probabilities @ table.masks, rows.mean(axis=0), atol=0.03)


def test_a_smoothed_table_comes_closer_to_the_truth_than_what_was_seen() -> None:
    def apart(seed: int) -> tuple[float, float]:
        few, many = counts(60, seed), counts(100_000, seed + 100)
        truth = mask_table(*seen(many), MultiplicitySettings(), SLOTS)
        models = ("empirical", "smoothed")
        one, two = (mask_table(*seen(few), MultiplicitySettings(model=m), SLOTS) for m in models)
        return one.total_variation(truth), two.total_variation(truth)

    empirical, smooth = np.mean([apart(seed) for seed in range(5)], axis=0)
    assert smooth < empirical


def test_slots_without_end_cannot_be_smoothed() -> None:
    with pytest.raises(ConfigError, match="masks fit into the slots"):
        smoothed(*seen(counts()), get_slots({"b": 20, "j": 30, "e-": 9, "e+": 9, "m-": 9, "m+": 9, "g": 9}))


def test_a_condition_is_the_restriction_of_the_table() -> None:
    rows = counts()
    known = Known([FittedSample("ttbar", {}, len(rows), *seen(rows))], MultiplicitySettings(), SLOTS)
    plan = known.plan(Condition(at_least={"b": 1}, exactly={"electrons": 1}))
    chosen = (rows[:, 0] >= 1) & (rows[:, 2] == 1)
    assert plan.share == pytest.approx(chosen.mean())
    np.testing.assert_array_equal(plan.table.masks, seen(rows[chosen])[0])
    np.testing.assert_allclose(plan.table.probabilities, seen(rows[chosen])[1] / chosen.sum())


def test_disjoint_tables_have_a_total_variation_of_one() -> None:
    one, two = (MaskTable(np.array([[i]]), np.ones(1)) for i in (0, 1))
    assert one.total_variation(two) == 1.0
    assert one.total_variation(one) == 0.0
