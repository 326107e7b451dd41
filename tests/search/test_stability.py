"""Stability over seeds: what is equal is called equal, and what differs is measured."""

import numpy as np
import pytest

from anomalon.search.stability import compare_seeds, spread_of

SCORES = np.random.default_rng(2).normal(size=2000)


def test_equal_scores_agree_wholly():
    found = compare_seeds("Detector", {1: SCORES, 2: SCORES}, {1: 1.0, 2: 1.0}, [spread_of("s", [0.9, 0.9])])
    assert found.rank_correlation == pytest.approx(1.0)
    assert found.overlap == 1.0
    assert found.spreads[0].spread == 0


def test_the_worst_of_several_seeds_counts():
    other = np.random.default_rng(3).normal(size=2000)
    scores = {1: SCORES, 2: 5 * SCORES + 3, 3: other}
    thresholds = {seed: float(np.quantile(s, 0.9)) for seed, s in scores.items()}
    found = compare_seeds("Detector", scores, thresholds, [spread_of("s", [0.9, 0.8, 0.7])])
    assert abs(found.rank_correlation) < 0.1  # a monotone function changes nothing, noise everything
    assert found.overlap == pytest.approx(0.1, abs=0.05)
    assert "0.800 ± 0.100" in found.sentence


def test_without_signals_the_sentence_is_about_scores_alone():
    found = compare_seeds("Detector", {1: SCORES, 2: SCORES}, {1: 9.0, 2: 9.0}, [])
    assert found.overlap == 1.0  # nothing is flagged
    assert "AUC" not in found.sentence
