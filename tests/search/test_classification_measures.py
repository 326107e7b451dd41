"""Measures of scores against closed forms: accuracy, cuts chosen elsewhere, rejection, overtraining, reliability."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm

from anomalon.search import classification_measures as measures
from anomalon.search.classification_measures import Judged, Scored
from anomalon.search.significance import asimov_significance


def normals(n: int = 20_000, shift: float = 2.0, seed: int = 0, folds: int = 4) -> Scored:
    """Log odds of two normal distributions ``shift`` apart, which are their own optimal score."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    x = rng.normal(size=n) + shift * labels
    return Scored(shift * (x - shift / 2), labels, np.ones(n), rng.integers(0, folds, n))


def test_accuracy_of_two_normal_distributions_is_that_of_theory() -> None:
    scored = normals()
    cut, _ = measures.best_accuracy_cut(scored)
    found = measures.accuracy(scored, measures.correct(scored, cut))
    assert cut == pytest.approx(0.0, abs=0.15)
    assert found.value == pytest.approx(norm.cdf(1.0), abs=0.01)
    assert found.low < found.value < found.high
    assert found.high - found.low == pytest.approx(2 * np.sqrt(0.841 * 0.159 / 20_000), rel=0.05)


def test_classes_count_the_same_whatever_their_weights() -> None:
    scored = normals()
    heavy = Scored(scored.score, scored.labels, np.where(scored.labels == 1, 1e-3, 50.0), scored.group)
    assert measures.best_accuracy_cut(heavy) == pytest.approx(measures.best_accuracy_cut(scored))
    right = measures.correct(scored, 0.0)
    assert measures.accuracy(heavy, right).value == pytest.approx(measures.accuracy(scored, right).value)


def test_the_best_cut_is_no_worse_than_any_other() -> None:
    scored = normals(400)
    cut, best = measures.best_accuracy_cut(scored)
    reached = [measures.accuracy(scored, measures.correct(scored, c)).value for c in np.linspace(-6, 6, 300)]
    assert max(reached) <= best + 1e-12
    assert measures.accuracy(scored, measures.correct(scored, cut)).value == pytest.approx(best)


def test_equal_scores_stay_on_one_side() -> None:
    scored = Scored(np.array([1.0, 1.0, 1.0, 2.0]), np.array([0, 1, 0, 1]), np.ones(4), np.zeros(4, dtype=int))
    assert measures.best_accuracy_cut(scored) == (1.5, 0.75)


def test_cuts_of_a_fold_are_chosen_on_the_others() -> None:
    scored = normals(folds=2)
    moved = Scored(scored.score + 100.0 * scored.group, scored.labels, scored.weights, scored.group)
    cuts = Judged(moved, moved).cuts(lambda one, _: measures.best_accuracy_cut(one)[0])
    for fold, other in ((0, 100.0), (1, 0.0)):
        np.testing.assert_allclose(cuts[moved.group == fold], other, atol=0.5)


def test_separate_test_events_use_every_training_event() -> None:
    learned = normals(100)
    tested = Scored(learned.score, learned.labels, learned.weights, np.full(100, -1))
    cuts = Judged(learned, tested).cuts(lambda s, scale: len(s.score) * scale)
    assert cuts.tolist() == [100.0] * 100


def test_rejection_is_that_of_theory_and_its_gain_is_relative_to_the_baseline() -> None:
    good, poor = normals(60_000, shift=2.0), normals(60_000, shift=1.0)
    options = {"signal_efficiency": 0.1, "number": 60, "seed": 1}
    own, base = (measures.replicated(s, **options) for s in (good, poor))  # type: ignore[arg-type]
    found = measures.rejection(good, own, base, 0.1)
    theory = [norm.sf(shift + norm.isf(0.1)) for shift in (2.0, 1.0)]
    assert found.background_efficiency.low <= theory[0] * 1.25
    assert found.background_efficiency.value == pytest.approx(theory[0], rel=0.35)
    assert found.gain.value == pytest.approx(theory[1] / theory[0], rel=0.4)
    assert found.gain.low < found.gain.value < found.gain.high
    assert measures.rejection(poor, base, base, 0.1).gain.value == 1.0
    assert found.background_left == pytest.approx(found.background_efficiency.value * (good.labels == 0).sum(), abs=1)


def test_a_score_that_leaves_no_background_gains_as_if_one_event_were_left() -> None:
    labels = np.repeat([0, 1], 50)
    perfect = Scored(labels * 1.0, labels, np.ones(100), np.zeros(100, dtype=int))
    useless = Scored(np.zeros(100), labels, np.ones(100), np.zeros(100, dtype=int))
    own, base = (measures.replicated(s, signal_efficiency=0.99, number=10, seed=1) for s in (perfect, useless))
    assert measures.rejection(perfect, own, own, 0.99).background_left == 0
    assert np.isfinite(measures.rejection(perfect, own, base, 0.99).gain.value)
    assert base.left.tolist() == [1.0] * 11  # equal scores pass together: a useless score rejects nothing


def test_differences_on_the_same_events_are_more_certain_than_either() -> None:
    scored = normals()
    first, second = measures.correct(scored, 0.0), measures.correct(scored, 0.05)
    found = measures.accuracy_difference(scored, first, second)
    assert found.high - found.low < 0.3 * 1.96 * (
        measures.accuracy(scored, first).high - measures.accuracy(scored, first).low
    )
    assert measures.accuracy_difference(scored, first, first).value == 0.0


def test_overtraining_is_seen_where_it_is() -> None:
    held = normals(4000, shift=1.0)
    honest = np.stack([np.where(held.group == fold, np.nan, held.score) for fold in range(4)])
    learned = honest + 3.0 * (2 * held.labels - 1)
    fair, over = (measures.overtraining(held, scores) for scores in (honest, learned))
    assert abs(fair.difference) < 0.01
    assert min(fair.p_value.background, fair.p_value.signal) > 0.01
    assert over.difference > 0.15
    assert max(over.p_value.background, over.p_value.signal) < 1e-6


def test_histograms_are_densities() -> None:
    held = normals(2000)
    found = measures.histogram(held, np.where(held.group == 0, np.nan, held.score)[None])
    width = found.edges[1] - found.edges[0]
    for name in ("train_background", "train_signal", "test_background", "test_signal"):
        assert sum(getattr(found, name)) * width == pytest.approx(1.0)


def test_true_probabilities_are_reliable_and_wrong_ones_are_not() -> None:
    held = normals()
    right = measures.reliability(held, expit(held.score))
    wrong = measures.reliability(held, expit(3 * held.score))
    assert right.error < 0.015 < 0.05 < wrong.error
    assert right.brier < wrong.brier
    assert right.error == pytest.approx(right.raw_error)


def test_the_expected_significance_is_that_of_the_events_behind_the_cut() -> None:
    scored = normals(20_000, shift=2.0)
    weighted = Scored(scored.score, scored.labels, np.where(scored.labels == 1, 0.01, 1.0), scored.group)
    found = measures.expected(Judged(weighted, weighted), relative=0.1)
    b, s = found.yields.background, found.yields.signal
    assert found.uncertainty == pytest.approx(np.sqrt(b + (0.1 * b) ** 2))
    assert found.significance == pytest.approx(asimov_significance(s, b, found.uncertainty))
    everything = asimov_significance(0.01 * (scored.labels == 1).sum(), n := (scored.labels == 0).sum(), 0.1 * n)
    assert found.significance > 3 * everything
