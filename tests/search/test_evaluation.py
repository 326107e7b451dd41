from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from anomalon.features import Features
from anomalon.search.evaluation import best_single_variable, evaluate, single_variable_score
from anomalon.search.threshold import Scored


def gaussians(n: int, shift: float, seed: int) -> Scored:
    rng = np.random.default_rng(seed)
    return Scored(rng.normal(shift, 1.0, n), rng.uniform(0.5, 1.5, n))


def test_the_auc_is_that_of_scikit_learn_and_lies_in_its_interval() -> None:
    b, s = gaussians(3000, 0.0, 1), gaussians(1000, 1.0, 2)
    row = evaluate("d", "x", b, s)
    expected = roc_auc_score(
        np.r_[np.zeros(3000), np.ones(1000)], np.r_[b.score, s.score], sample_weight=np.r_[b.weight, s.weight]
    )
    assert row.auc.value == pytest.approx(expected, abs=1e-9)
    assert row.auc.low is not None
    assert row.auc.high is not None
    assert row.auc.low < expected < row.auc.high
    assert row.auc.high - row.auc.low == pytest.approx(2 * 0.0095, rel=0.3)


def test_events_without_a_score_are_left_out() -> None:
    b, s = gaussians(500, 0.0, 1), gaussians(200, 1.0, 2)
    broken = Scored(np.r_[b.score, np.nan], np.r_[b.weight, 1e6])
    assert evaluate("d", "x", broken, s) == evaluate("d", "x", b, s)


def test_points_with_fewer_than_ten_background_events_are_called_unreliable() -> None:
    row = evaluate("d", "x", gaussians(2000, 0.0, 1), gaussians(500, 1.0, 2))
    assert [p.reliable for p in row.working_points] == [True, True, False, False]
    assert all(p.reliable == (p.background_left >= 10) for p in row.working_points)


def test_the_curve_rises_from_nothing_to_everything() -> None:
    curve = evaluate("d", "x", gaussians(800, 0.0, 1), gaussians(300, 1.0, 2)).curve
    assert curve.background_efficiency[-1] == curve.signal_efficiency[-1] == 1.0
    assert (np.diff(curve.background_efficiency) >= 0).all()
    assert (np.diff(curve.signal_efficiency) >= 0).all()
    assert curve.background_left[-1] == 800


def test_the_best_variable_may_be_one_whose_low_values_are_anomalous() -> None:
    rng = np.random.default_rng(4)
    mask = np.ones((400, 2), dtype=bool)
    background = Features(
        np.stack([rng.normal(size=400), rng.normal(5, 1, 400)], 1).astype(np.float32), mask, ("u", "v")
    )
    signal = Features(np.stack([rng.normal(size=400), rng.normal(0, 1, 400)], 1).astype(np.float32), mask, ("u", "v"))
    name, direction = best_single_variable(background, signal, background_weights=np.ones(400))
    assert (name, direction) == ("v", "low")
    scores = [single_variable_score(f, name, direction).mean() for f in (background, signal)]
    assert scores[1] > scores[0]


def test_a_missing_value_is_the_least_anomalous() -> None:
    features = Features(np.array([[np.nan], [-5.0]], dtype=np.float32), np.array([[False], [True]]), ("v",))
    for direction in ("high", "low"):
        score = single_variable_score(features, "v", direction)
        assert score[0] < score[1]
        assert np.isfinite(score).all()
