"""Rankings over signals, and the events that a signal needs: closed forms and slow loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomalon.search.challenge import Cuts, needed_signal, rank, significance_improvement, total_improvements
from anomalon.search.significance import asimov_significance

RNG = np.random.default_rng(7)
BACKGROUND, SIGNAL = RNG.normal(0, 1, 300), RNG.normal(2, 1, 80)
WEIGHT, OWN = RNG.uniform(0.5, 2.0, 300), RNG.uniform(0.5, 2.0, 80)


@given(st.floats(1e-3, 1e6), st.floats(0, 1))
def test_the_needed_signal_is_just_enough(b: float, relative: float) -> None:
    s = float(needed_signal(np.array([b]), relative)[0])
    assert asimov_significance(s, b, relative * b) == pytest.approx(2.0, rel=1e-6)


def slow_cuts() -> list[tuple[float, float]]:
    """Background and signal above every cut that leaves at least ten raw background events."""
    cuts = sorted(BACKGROUND, reverse=True)[9:]
    return [(float(WEIGHT[cut <= BACKGROUND].sum()), float(OWN[cut <= SIGNAL].sum())) for cut in cuts]


def test_significance_and_needed_events_are_those_of_the_best_of_all_cuts() -> None:
    cuts = Cuts.of(BACKGROUND, WEIGHT, relative=0.2, minimum=10)
    kept = cuts.kept(SIGNAL, OWN)
    best = max(float(asimov_significance(s, b, 0.2 * b)) for b, s in slow_cuts())
    fewest = min(float(needed_signal(np.array([b]), 0.2)[0]) * OWN.sum() / s for b, s in slow_cuts() if s > 0)
    assert cuts.best_significance(kept) == pytest.approx(best, rel=1e-9)
    assert cuts.fewest_events(kept, float(OWN.sum())) == pytest.approx(fewest, rel=1e-9)


def test_needed_events_do_not_depend_on_the_cross_section_of_the_signal() -> None:
    cuts = Cuts.of(BACKGROUND, WEIGHT, relative=0.2, minimum=10)
    once, often = (cuts.fewest_events(cuts.kept(SIGNAL, k * OWN), float(k * OWN.sum())) for k in (1.0, 1e-3))
    assert once == pytest.approx(often)


def test_equal_scores_pass_together() -> None:
    cuts = Cuts.of(np.r_[np.full(30, 1.0), np.full(70, 0.0)], np.ones(100), relative=0.2, minimum=10)
    assert cuts.threshold.tolist() == [1.0, 0.0]
    assert cuts.background.tolist() == [30.0, 100.0]


def test_without_a_cut_that_leaves_enough_background_nothing_is_said() -> None:
    cuts = Cuts.of(BACKGROUND[:5], WEIGHT[:5], relative=0.2, minimum=10)
    assert cuts.best_significance(cuts.kept(SIGNAL, OWN)) is None
    assert cuts.fewest_events(cuts.kept(SIGNAL, OWN), 1.0) is None


def test_cuts_above_which_weights_sum_to_nothing_are_left_out() -> None:
    cuts = Cuts.of(np.arange(40.0), np.r_[np.ones(20), -np.ones(20)], relative=0.2, minimum=10)
    assert (cuts.background > 0).all()


def test_an_improvement_needs_enough_background() -> None:
    points = [(1e-1, 1.0, 1000), (1e-2, 0.5, 100), (1e-3, 0.4, 9)]
    assert significance_improvement(points, 10) == pytest.approx(5.0)
    assert significance_improvement(points, 9) == pytest.approx(0.4 / np.sqrt(1e-3))
    assert significance_improvement(points[:1], 10) is None


def test_the_total_improvement_is_that_of_the_best_channel_and_ranks_by_the_median() -> None:
    found = total_improvements([("a", 1.0), ("b", 2.0), ("a", 4.0), ("c", 3.0), ("d", None)])
    assert found == {"a": 4.0, "b": 2.0, "c": 3.0}
    ranking = rank(found)
    assert ranking is not None
    assert (ranking.least, ranking.median, ranking.largest, ranking.signals) == (2.0, 3.0, 4.0, 3)
    assert rank({}) is None
