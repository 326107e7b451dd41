"""Metrics against slow loops, scikit-learn and laws."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, poisson
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as sklearn_roc_curve

from anomalon.errors import InvalidEventsError
from anomalon.features import Features
from anomalon.metrics import (
    EvaluationSettings,
    auc,
    auc_difference,
    clopper_pearson,
    effective_number,
    efficiency,
    evaluate,
    roc_curve,
    sic_curve,
    single_variables,
    weighted_quantile,
)
from anomalon.metrics.ordered import OrderedScores, replicas

scores = st.lists(st.integers(-20, 20), min_size=1, max_size=40).map(lambda x: np.asarray(x, dtype=float))
weights_for = st.integers(0, 2**32 - 1)
laws = settings(max_examples=60, deadline=None)


def some_weights(n: int, seed: int, negative: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    w = rng.exponential(size=n) + 0.1
    w[rng.random(n) < negative] *= -0.5
    return w if w.sum() > 0.1 else np.abs(w)


def slow_auc(b: np.ndarray, s: np.ndarray, wb: np.ndarray, ws: np.ndarray) -> float:
    total = 0.0
    for x, w in zip(s, ws, strict=True):
        for y, v in zip(b, wb, strict=True):
            total += w * v * (1.0 if x > y else 0.5 if x == y else 0.0)
    return total / (wb.sum() * ws.sum())


@given(scores, scores, weights_for)
@laws
def test_auc_is_the_sum_over_all_pairs(b: np.ndarray, s: np.ndarray, seed: int) -> None:
    wb, ws = some_weights(len(b), seed, 0.2), some_weights(len(s), seed + 1, 0.2)
    expected = np.clip(slow_auc(b, s, wb, ws), 0, 1)
    assert auc(b, s, background_weights=wb, signal_weights=ws) == pytest.approx(expected, abs=1e-9)


@given(scores, scores, weights_for)
@laws
def test_auc_and_roc_agree_with_scikit_learn(b: np.ndarray, s: np.ndarray, seed: int) -> None:
    wb, ws = some_weights(len(b), seed), some_weights(len(s), seed + 1)
    labels, values, weights = np.r_[np.zeros(len(b)), np.ones(len(s))], np.r_[b, s], np.r_[wb, ws]
    expected = roc_auc_score(labels, values, sample_weight=weights)
    assert auc(b, s, background_weights=wb, signal_weights=ws) == pytest.approx(expected)
    fpr, tpr, cuts = sklearn_roc_curve(labels, values, sample_weight=weights, drop_intermediate=False)
    roc = roc_curve(b, s, background_weights=wb, signal_weights=ws)
    np.testing.assert_array_equal(roc.threshold, cuts)
    np.testing.assert_allclose(roc.background_efficiency, fpr, atol=1e-12)
    np.testing.assert_allclose(roc.signal_efficiency, tpr, atol=1e-12)


@given(scores, scores, weights_for)
@laws
def test_auc_does_not_change_under_a_monotone_transformation(b: np.ndarray, s: np.ndarray, seed: int) -> None:
    wb, ws = some_weights(len(b), seed, 0.2), some_weights(len(s), seed + 1, 0.2)
    given_weights = {"background_weights": wb, "signal_weights": ws}
    assert auc(np.exp(b / 5), np.exp(s / 5), **given_weights) == auc(b, s, **given_weights)


@given(scores, scores, weights_for)
@laws
def test_auc_of_exchanged_classes_is_the_complement(b: np.ndarray, s: np.ndarray, seed: int) -> None:
    wb, ws = some_weights(len(b), seed, 0.2), some_weights(len(s), seed + 1, 0.2)
    there = auc(b, s, background_weights=wb, signal_weights=ws)
    back = auc(s, b, background_weights=ws, signal_weights=wb)
    assert there == pytest.approx(1 - back, abs=1e-9)


@given(scores, st.floats(-5, 5))
@laws
def test_equal_scores_give_one_half(b: np.ndarray, value: float) -> None:
    assert auc(np.full(len(b), value), np.full(3, value)) == 0.5
    assert auc(b, b) == pytest.approx(0.5)


@given(scores, scores)
@laws
def test_weight_one_is_no_weight_and_weight_two_is_a_duplicate(b: np.ndarray, s: np.ndarray) -> None:
    plain = roc_curve(b, s)
    ones = roc_curve(b, s, background_weights=np.ones(len(b)), signal_weights=np.full(len(s), 3.0))
    np.testing.assert_allclose(plain.signal_efficiency, ones.signal_efficiency, atol=1e-12)
    w = np.ones(len(b))
    w[0] = 2.0
    assert auc(b, s, background_weights=w) == pytest.approx(auc(np.r_[b, b[0]], s))
    assert weighted_quantile(b, 0.7, w) == weighted_quantile(np.r_[b, b[0]], 0.7)


@given(scores, scores, weights_for)
@laws
def test_negative_weights_never_make_a_roc_curve_turn_back(b: np.ndarray, s: np.ndarray, seed: int) -> None:
    wb, ws = some_weights(len(b), seed, 0.3), some_weights(len(s), seed + 1, 0.3)
    roc = roc_curve(b, s, background_weights=wb, signal_weights=ws)
    for eps in (roc.background_efficiency, roc.signal_efficiency):
        assert (np.diff(eps) >= -1e-12).all()
        assert eps[0] == pytest.approx(0, abs=1e-9)
        assert eps[-1] == pytest.approx(1)


@given(scores, scores, weights_for)
@laws
def test_the_order_of_events_does_not_matter(b: np.ndarray, s: np.ndarray, seed: int) -> None:
    wb = some_weights(len(b), seed, 0.3)
    order = np.random.default_rng(seed).permutation(len(b))
    first = roc_curve(b, s, background_weights=wb)
    again = roc_curve(b[order], s, background_weights=wb[order])
    np.testing.assert_allclose(first.background_efficiency, again.background_efficiency, atol=1e-9)


@given(scores, st.floats(0, 1))
@laws
def test_the_quantile_is_numpys_inverted_distribution(values: np.ndarray, probability: float) -> None:
    expected = np.quantile(values, probability, method="inverted_cdf")
    if abs(probability * len(values) - round(probability * len(values))) > 1e-6:
        assert weighted_quantile(values, probability) == expected


def test_a_quantile_with_negative_weights_levels_the_dip() -> None:
    # Cumulative 0.5, 1.0, 0.5, 1.0: between its running extremes 0.5, 0.75, 0.75, 1.0.
    values, weights = [1.0, 2.0, 3.0, 4.0], [1.0, 1.0, -1.0, 1.0]
    assert [weighted_quantile(values, p, weights) for p in (0.5, 0.7, 0.8)] == [1.0, 2.0, 4.0]


@pytest.mark.parametrize("probability", [-0.1, 1.1])
def test_impossible_quantiles_are_refused(probability: float) -> None:
    with pytest.raises(InvalidEventsError, match="between 0 and 1"):
        weighted_quantile([1.0], probability)


@given(st.integers(0, 50), st.integers(1, 50), st.sampled_from([0.68, 0.95]))
@laws
def test_clopper_pearson_is_the_beta_quantile_and_covers(k: int, n: int, level: float) -> None:
    k = min(k, n)
    low, high = clopper_pearson(k, n, level)
    assert low == pytest.approx(beta.ppf((1 - level) / 2, k, n - k + 1) if k else 0.0)
    assert high == pytest.approx(beta.ppf((1 + level) / 2, k + 1, n - k) if k < n else 1.0)
    assert low <= k / n <= high


def test_nothing_tried_says_nothing() -> None:
    assert clopper_pearson(0, 0) == (0.0, 1.0)
    assert efficiency([]).to_dict() == {"value": 0.0, "low68": 0.0, "high68": 1.0, "low95": 0.0, "high95": 1.0}


def test_weighted_efficiency_uses_effective_numbers() -> None:
    passed = np.r_[np.ones(30, dtype=bool), np.zeros(70, dtype=bool)]
    plain, scaled = efficiency(passed), efficiency(passed, np.full(100, 7.0))
    assert plain == scaled
    assert (plain.low68, plain.high68) == clopper_pearson(30, 100)
    uneven = efficiency(passed, np.where(np.arange(100) % 2, 1.0, 10.0))
    assert uneven.value == pytest.approx(0.3)
    assert uneven.high68 - uneven.low68 > plain.high68 - plain.low68


def test_the_effective_number_counts_equal_weights() -> None:
    assert effective_number([3.0] * 7) == pytest.approx(7)
    assert effective_number([1.0, 0.0, 0.0]) == 1
    assert effective_number([]) == 0


def two_normals(n: int = 2000, shift: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=n), rng.normal(shift, 1.0, size=n // 2)


def slow_signal_efficiency(b: np.ndarray, s: np.ndarray, wb: np.ndarray, ws: np.ndarray, eps: float) -> float:
    """Loosest cut at a score whose background efficiency does not exceed eps."""
    best = 0.0
    for cut in np.r_[b, s]:
        if wb[b >= cut].sum() / wb.sum() <= eps:
            best = max(best, ws[s >= cut].sum() / ws.sum())
    return best


def test_signal_efficiencies_agree_with_a_slow_loop() -> None:
    b, s = two_normals(300)
    wb, ws = some_weights(300, 1), some_weights(150, 2)
    performance = evaluate(b, s, background_weights=wb, signal_weights=ws)
    for point in performance.efficiencies:
        eps = point.background_efficiency
        # Cuts lie at background scores: signal between the cut and the next lower one belongs to neither.
        assert wb[b >= point.threshold].sum() / wb.sum() <= eps * (1 + 1e-6)
        assert point.signal_efficiency.value == pytest.approx(ws[s >= point.threshold].sum() / ws.sum())
        assert point.signal_efficiency.value <= slow_signal_efficiency(b, s, wb, ws, eps) + 1e-12
        assert point.background_left == (b >= point.threshold).sum()
        assert point.background_left_effective == pytest.approx(effective_number(wb[b >= point.threshold]))
        assert point.reliable == (point.background_left >= 10)


def test_the_next_looser_cut_would_let_too_much_background_pass() -> None:
    b, s = two_normals(1000)
    for point in evaluate(b, s, settings=EvaluationSettings(replicas=2)).efficiencies:
        looser = b[b < point.threshold].max()
        assert (b >= looser).mean() > point.background_efficiency


def test_points_without_background_are_flagged() -> None:
    b, s = two_normals(500)
    last = evaluate(b, s).efficiencies[-1]
    assert (last.background_left, last.reliable, last.threshold) == (0, False, np.inf)
    assert last.to_dict()["threshold"] is None


def test_intervals_hold_the_value_and_nest() -> None:
    b, s = two_normals()
    performance = evaluate(b, s)
    for i in (performance.auc, *(point.signal_efficiency for point in performance.efficiencies)):
        assert i.low95 <= i.low68 <= i.value <= i.high68 <= i.high95


def test_the_width_of_the_aucs_interval_is_that_of_hanley_and_mcneil() -> None:
    b, s = two_normals(2000)
    a = evaluate(b, s, settings=EvaluationSettings(replicas=500)).auc
    n_b, n_s, q1, q2 = len(b), len(s), a.value / (2 - a.value), 2 * a.value**2 / (1 + a.value)
    variance = (a.value * (1 - a.value) + (n_s - 1) * (q1 - a.value**2) + (n_b - 1) * (q2 - a.value**2)) / (n_b * n_s)
    assert (a.high68 - a.low68) / 2 == pytest.approx(np.sqrt(variance), rel=0.15)


def test_intervals_cover_the_true_auc_as_often_as_they_say() -> None:
    truth, inside = 0.760250, 0
    for seed in range(100):
        a = evaluate(*two_normals(200, seed=seed), settings=EvaluationSettings(replicas=100, seed=seed)).auc
        inside += a.low68 <= truth <= a.high68
    assert 55 <= inside <= 80


def test_the_same_seed_gives_the_same_intervals() -> None:
    b, s = two_normals(300)
    assert evaluate(b, s).auc == evaluate(b, s).auc
    assert evaluate(b, s).auc != evaluate(b, s, settings=EvaluationSettings(seed=1)).auc


def test_another_signal_does_not_change_the_replicas_of_the_background() -> None:
    b, s = (OrderedScores.of(x, None, "sample") for x in two_normals(300))
    other = OrderedScores.of(np.arange(7.0), None, "signal")
    for (first, _), (second, _) in zip(
        replicas(b, s, number=3, seed=1), replicas(b, other, number=3, seed=1), strict=True
    ):
        np.testing.assert_array_equal(first, second)


def test_replicas_repeat_events_as_poisson_says() -> None:
    many = OrderedScores.of(np.arange(100_000.0), None, "sample")
    counts, _ = next(replicas(many, many, number=1, seed=0))
    shares = np.bincount(counts.astype(int), minlength=9)[:9] / len(counts)
    np.testing.assert_allclose(shares, poisson.pmf(np.arange(9), 1.0), atol=0.006)


def test_a_difference_of_aucs_is_paired() -> None:
    b, s = two_normals(1000)
    same = auc_difference((b, s), (2 * b + 1, 2 * s + 1))
    assert (same.low95, same.value, same.high95) == (0.0, 0.0, 0.0)
    rng = np.random.default_rng(3)
    noisy = auc_difference((b, s), (b + 0.3 * rng.normal(size=len(b)), s + 0.3 * rng.normal(size=len(s))))
    alone = evaluate(b, s).auc
    assert noisy.high68 - noisy.low68 < 0.7 * (alone.high68 - alone.low68)


def test_improvement_is_signal_efficiency_over_the_root_of_background_efficiency() -> None:
    b, s = two_normals()
    roc = roc_curve(b, s)
    sic = sic_curve(roc, b, 10)
    left = np.array([(b >= t).sum() for t in roc.threshold])
    keep = left >= 10
    np.testing.assert_allclose(sic.improvement, roc.signal_efficiency[keep] / np.sqrt(roc.background_efficiency[keep]))
    assert sic.left_out == (~keep).sum()
    assert sic.best == sic.improvement.max()
    assert sic.background_efficiency.min() >= 10 / len(b) - 1e-12


def test_too_little_background_has_no_best_improvement() -> None:
    sic = evaluate([1.0, 2.0], [3.0]).sic
    assert np.isnan(sic.best)
    assert sic.to_dict()["best"] is None


def test_a_thinned_curve_keeps_its_ends_and_its_shape() -> None:
    b, s = two_normals(20_000)
    roc = roc_curve(b, s)
    thin = roc.thinned(300)
    assert len(thin.threshold) <= 302
    assert (thin.threshold[0], thin.background_efficiency[-1], thin.signal_efficiency[-1]) == (np.inf, 1.0, 1.0)
    full, part = (np.trapezoid(c.signal_efficiency, c.background_efficiency) for c in (roc, thin))
    assert part == pytest.approx(full, abs=1e-3)
    assert thin.thinned(300) is thin or len(thin.thinned(300).threshold) <= len(thin.threshold)


def some_features(columns: dict[str, list[float]]) -> Features:
    values = np.array(list(columns.values()), dtype=np.float32).T
    return Features(values, ~np.isnan(values), tuple(columns))


def test_the_best_single_variable_is_found_in_either_direction() -> None:
    background = some_features({"noise": [1, 2, 3, 4], "high": [1, 2, 3, 4], "low": [5, 6, 7, 8]})
    signal = some_features({"noise": [1, 4], "high": [9, 3.5], "low": [1, 2]})
    found = single_variables(background, signal)
    assert [(v.name, v.direction) for v in found[:2]] == [("low", "low"), ("high", "high")]
    assert [v.auc for v in found] == [1.0, 0.875, 0.5]


def test_missing_values_are_least_anomalous_in_either_direction() -> None:
    nan = float("nan")
    background = some_features({"x": [nan, nan, 5.0, 6.0]})
    assert single_variables(background, some_features({"x": [1.0, 1.0]}))[0].direction == "low"
    assert single_variables(background, some_features({"x": [1.0, 1.0]}))[0].auc == 1.0
    assert single_variables(background, some_features({"x": [nan, nan]}))[0].auc == 0.25


def test_values_that_are_not_finite_are_left_out() -> None:
    background, signal = some_features({"x": [1.0, 2.0]}), some_features({"x": [3.0, 4.0]})
    background.values[0, 0] = np.inf
    assert single_variables(background, signal, background_weights=[5.0, 1.0])[0].auc == 1.0


def test_results_are_written_as_plain_json() -> None:
    b, s = two_normals(50)
    plain = evaluate(b, s).to_dict()
    text = json.dumps(plain, allow_nan=False)
    assert json.loads(text) == plain
    assert plain["roc"]["threshold"][0] is None


@pytest.mark.parametrize(
    ("b", "weights", "message"),
    [
        ([], None, "background: scores of shape"),
        ([1.0, np.nan], None, "background: 1 of 2 events have a score or weight that is not finite"),
        ([1.0, 2.0], [1.0], "weights of shape"),
        ([1.0, 2.0], [1.0, -1.0], "sum to 0, not positive"),
    ],
)
def test_samples_without_meaning_are_refused(b: list[float], weights: list[float] | None, message: str) -> None:
    with pytest.raises(InvalidEventsError, match=message):
        auc(b, [1.0], background_weights=weights)
