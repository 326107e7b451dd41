from __future__ import annotations

import numpy as np
import pytest

from anomalon.errors import EmptySelectionError
from anomalon.generation.splits import Measure, draw_splits, judged, metric_of, ratio_of, spread_of
from anomalon.generation.validation import Spread, ValidationSettings

QUICK = ValidationSettings(precision=0.05, splits=3)  # 67 events


def spread(value, half=0.1):
    return Spread(value=value, low=value - half, high=value + half)


def test_the_two_real_samples_of_a_split_share_no_event():
    splits = draw_splits(200, 100, QUICK)
    for one, other in zip(splits.real, splits.other, strict=True):
        assert not set(one) & set(other)
        assert len(set(one)) == len(one) == 100
    assert not splits.disjoint
    assert splits.independent == 1


def test_no_event_is_in_two_splits_where_there_are_enough():
    splits = draw_splits(1000, 500, QUICK.model_copy(update={"events": 100}))
    used = np.concatenate([splits.real.ravel(), splits.other.ravel()])
    assert splits.disjoint
    assert len(set(used)) == len(used) == 600
    assert len(set(splits.generated.ravel())) == 300


def test_the_sample_is_the_largest_that_both_allow():
    assert draw_splits(300, 90, QUICK).real.shape == (3, 90)
    assert draw_splits(10**6, 10**6, QUICK).real.shape == (3, 20_000)


@pytest.mark.parametrize(("real", "generated"), [(133, 1000), (1000, 66), (0, 0)])
def test_too_few_events_are_refused_with_the_number_needed(real, generated):
    with pytest.raises(EmptySelectionError, match="134 real and 67 generated events are needed"):
        draw_splits(real, generated, QUICK)


def test_more_events_than_there_are_cannot_be_asked_for():
    with pytest.raises(EmptySelectionError, match="1000 real and 500 generated events are needed"):
        draw_splits(999, 500, QUICK.model_copy(update={"events": 500}))


def test_fewer_events_than_the_precision_needs_are_refused():
    with pytest.raises(EmptySelectionError, match=r"events = 50: an AUC known to 0\.05 needs 67"):
        draw_splits(1000, 500, QUICK.model_copy(update={"events": 50}))


def test_the_number_needed_is_that_of_the_rank_statistic():
    n = ValidationSettings(precision=0.02).needed
    rng = np.random.default_rng(0)
    areas = [(rng.random(n)[:, None] > rng.random(n)).mean() for _ in range(300)]
    assert np.std(areas) == pytest.approx(0.02, rel=0.15)


def test_the_interval_is_that_of_a_single_comparison():
    values = np.random.default_rng(1).normal(5.0, 2.0, (5000, 6))
    spreads = [spread_of(row[:5]) for row in values]
    inside = [spread.low < value < spread.high for spread, value in zip(spreads, values[:, 5], strict=True)]
    assert np.mean(inside) == pytest.approx(0.63, abs=0.03)  # 68 % about a known mean, less about a mean of five


def test_errors_of_a_ratio_add_in_squares():
    ratio = ratio_of(spread(3.0, 0.3), spread(2.0, 0.4))
    assert ratio.value == 1.5
    assert ratio.high - ratio.value == pytest.approx(1.5 * np.hypot(0.1, 0.2))


@pytest.mark.parametrize(
    ("value", "expected"), [(0.9, "floor"), (1.2, "floor"), (1.4, "near"), (1.5, "near"), (1.6, "off")]
)
def test_a_verdict_goes_by_the_error_then_by_the_bar(value, expected):
    assert judged(spread(value), spread(1.0), 1.5) == expected


def test_more_independent_splits_see_smaller_differences():
    assert judged(spread(1.2), spread(1.0), 1.5) == "floor"
    assert judged(spread(1.2), spread(1.0), 1.5, independent=5) == "near"


def test_of_coverage_more_is_better():
    assert judged(spread(0.5), spread(0.97), 0.9, sign=-1) == "off"
    assert judged(spread(1.2), spread(0.97), 0.9, sign=-1) == "floor"


def test_an_area_below_one_half_is_as_bad_as_one_above():
    measure = Measure(lambda *_: {}, {"auc": "AUC"}, "judges", {"auc": 0.55}, kind="auc")
    found, floors = np.array([0.2, 0.21, 0.22]), np.array([0.5, 0.49, 0.51])
    metric = metric_of("auc", measure, found, floors)
    assert metric.verdict == "off"
    assert metric.generated.value == pytest.approx(0.21)
    assert metric.symmetric is not None
    assert metric.symmetric.value == pytest.approx(0.79)
    assert metric.ratio is None
