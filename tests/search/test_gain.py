"""The gain over a plain cut at equal background, against a slow loop and known answers."""

import numpy as np
import pytest

from anomalon.search.cut_scan import Weighted, cut_points, scan, significance_interval
from anomalon.search.gain import Sides, gains
from anomalon.search.significance import asimov_significance

RANDOM = np.random.default_rng(5)


def make(n=4000, shift=1.0):
    background, signal = RANDOM.normal(size=n), RANDOM.normal(shift, 1, size=n)
    return Sides(background, signal, RANDOM.uniform(0.5, 2, n), RANDOM.uniform(0.5, 2, n))


def by_hand(sides, background, signal):
    """Move the cut down event by event until it leaves as much background."""
    b = sides.background_weight[background].sum()
    for cut in np.sort(sides.background)[::-1]:
        if sides.background_weight[sides.background >= cut].sum() >= b:
            break
    return sides.signal_weight[signal].sum() / sides.signal_weight[sides.signal >= cut].sum()


def test_it_is_what_a_loop_over_cuts_finds():
    sides = make()
    chosen = (RANDOM.random(4000) < 0.1, RANDOM.random(4000) < 0.3)
    assert gains(sides, [chosen])[0].value == pytest.approx(by_hand(sides, *chosen), rel=0.01)


def test_the_cut_itself_gains_nothing_and_its_interval_holds_one():
    sides = make()
    found = gains(sides, [(sides.background > 1, sides.signal > 1)])[0]
    assert found.value == pytest.approx(1.0, abs=5e-3)
    assert found.low - 1e-9 <= 1.0 <= found.high + 1e-9


def test_a_random_selection_is_far_worse_than_the_cut():
    sides = make()
    found = gains(sides, [(RANDOM.random(4000) < 0.05, RANDOM.random(4000) < 0.05)])[0]
    assert found.high < 0.5


def test_the_interval_covers_the_truth():
    """Selection: a second variable, independent and as good; the truth from many events."""
    truth, covered = None, 0
    for i in range(41):
        n = 200_000 if i == 0 else 2000
        x, y = RANDOM.normal(size=(2, n)), RANDOM.normal(0.8, 1, size=(2, n))
        sides = Sides(x[0], y[0], np.ones(n), np.ones(n))
        found = gains(sides, [(x[0] + x[1] > 2.5, y[0] + y[1] > 2.5)], seed=i)[0]
        if i == 0:
            truth = found.value
        else:
            covered += found.low <= truth <= found.high
    assert 18 <= covered <= 36  # 27 of 40 expected


def test_nothing_selected_and_no_background_have_no_gain():
    sides = make(50)
    nothing = np.zeros(50, dtype=bool)
    assert gains(sides, [(nothing, nothing)])[0].value == 0
    heavy = Sides(np.asarray([3.0]), np.asarray([1.0]), np.ones(1), np.ones(1))
    found = gains(heavy, [(np.asarray([True]), np.asarray([True]))])[0]
    assert np.isfinite(found.value)


def test_a_scan_is_a_loop_over_cuts():
    values = np.append(RANDOM.exponential(50, 500), np.nan)
    b, s = Weighted(values, RANDOM.normal(1, 1, 501)), Weighted(values + 20, np.full(501, 0.1))
    cuts = np.asarray([0.0, 30.0, 90.0])
    found = scan(s, b, cuts, relative=0.2)
    for i, cut in enumerate(cuts):
        inside_b, inside_s = b.values >= cut, s.values >= cut
        assert found.background[i] == pytest.approx(b.weights[inside_b].sum())
        assert found.signal[i] == pytest.approx(s.weights[inside_s].sum())
        variance = (b.weights[inside_b] ** 2).sum() + (0.2 * b.weights[inside_b].sum()) ** 2
        expected = asimov_significance(found.signal[i], found.background[i], np.sqrt(variance))
        assert found.uncertain[i] == pytest.approx(expected)


def test_a_cut_without_background_has_no_significance_and_is_never_the_best():
    b = Weighted(np.asarray([10.0, 20.0, 90.0]), np.asarray([30.0, 30.0, -1.0]))
    s = Weighted(np.asarray([95.0, 95.0]), np.asarray([5.0, 5.0]))
    found = scan(s, b, np.asarray([0.0, 50.0]), relative=0.1)
    assert found.uncertain[1] == 0
    assert found.empty.tolist() == [False, True]
    assert found.best(1.0) == 0


def test_cuts_end_where_too_little_background_is_left():
    b = Weighted(np.arange(100.0), np.ones(100))
    assert cut_points(b, 10.0, 5).tolist() == [0.0, 22.5, 45.0, 67.5, 90.0]


def test_the_interval_of_a_significance_shrinks_with_events():
    def width(n):
        b, s = Weighted(np.zeros(n), np.full(n, 100 / n)), Weighted(np.zeros(n), np.full(n, 20 / n))
        found = significance_interval(s, b, 0.1, seed=1)
        assert found.low < found.value < found.high
        return found.high - found.low

    assert width(4000) < 0.5 * width(400)
