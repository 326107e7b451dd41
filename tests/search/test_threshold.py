from __future__ import annotations

import numpy as np
import pytest

from anomalon.errors import EmptySelectionError
from anomalon.search.threshold import Scored, describe_threshold, fix_threshold, pass_rate


def scored(n: int, seed: int, low: float = 0.5, high: float = 2.0) -> Scored:
    rng = np.random.default_rng(seed)
    return Scored(rng.normal(size=n), rng.uniform(low, high, n))


def test_the_threshold_is_the_weighted_quantile_of_the_validation_score() -> None:
    events = scored(5000, 1)
    cut = fix_threshold(events, 0.95)
    above = events.weight[events.score > cut].sum() / events.weight.sum()
    assert above == pytest.approx(0.05, abs=1e-3)


def test_independent_background_passes_at_the_promised_rate_within_its_interval_most_of_the_time() -> None:
    inside = 0
    for seed in range(60):
        cut = fix_threshold(scored(20_000, 1000 + seed), 0.95)
        rate = pass_rate(scored(500, seed), cut)
        assert rate.low is not None
        assert rate.high is not None
        inside += rate.low <= 0.05 <= rate.high
    assert 33 <= inside <= 58


def test_events_without_a_score_count_neither_as_flagged_nor_as_background() -> None:
    events = scored(200, 3)
    broken = Scored(np.r_[events.score, np.full(50, np.nan)], np.r_[events.weight, np.ones(50)])
    assert fix_threshold(broken, 0.9) == fix_threshold(events, 0.9)
    assert describe_threshold(0.0, 0.9, broken) == describe_threshold(0.0, 0.9, events)


def test_the_description_counts_raw_events() -> None:
    events = Scored(np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.0, 1.0, 1.0, 5.0]))
    summary = describe_threshold(1.5, 0.5, events)
    assert (summary.background_above, summary.background_total) == (2, 4)
    assert summary.false_positive_rate.value == pytest.approx(6 / 8)


def test_too_few_validation_events_fix_no_threshold() -> None:
    with pytest.raises(EmptySelectionError, match="19 background validation events fix no threshold, at least 20"):
        fix_threshold(scored(19, 1), 0.95)


def test_no_events_pass_at_rate_zero_without_an_interval() -> None:
    rate = pass_rate(Scored(np.zeros(0), np.zeros(0)), 0.0)
    assert (rate.value, rate.low) == (0.0, None)
