"""Significance: closed forms against arithmetic with many digits, and their conventions at the edges."""

import mpmath as mp
import numpy as np
import pytest

from anomalon.errors import InvalidEventsError
from anomalon.search import asimov_significance, simple_significance

mp.mp.dps = 60


def by_hand(s, b, sigma):
    """PHYSICS.md's formula as it is written, with sixty digits."""
    s, b, sigma = mp.mpf(s), mp.mpf(b), mp.mpf(sigma)
    if sigma == 0:
        return float(mp.sqrt(2 * ((s + b) * mp.log(1 + s / b) - s)))
    v = sigma**2
    first = (s + b) * mp.log((s + b) * (b + v) / (b**2 + (s + b) * v))
    return float(mp.sqrt(2 * (first - b**2 / v * mp.log(1 + v * s / (b * (b + v))))))


@pytest.mark.parametrize("b", [1e-3, 0.5, 7.0, 100.0, 1e6, 1e12])
@pytest.mark.parametrize("ratio", [1e-12, 1e-8, 9e-6, 1.1e-5, 1e-3, 0.3, 1.0, 40.0, 1e5])
def test_it_has_all_digits_for_any_signal_and_uncertainty(b, ratio):
    for relative in (0.0, 1e-12, 1e-8, 1e-3, 0.2, 1.0, 1e3):
        expected = by_hand(ratio * b, b, relative * b)
        assert asimov_significance(ratio * b, b, relative * b) == pytest.approx(expected, rel=1e-9)


def test_a_vanishing_uncertainty_is_no_uncertainty():
    assert asimov_significance(5, 100, 1e-8) == pytest.approx(asimov_significance(5, 100), rel=1e-12)
    assert asimov_significance(5, 100) == pytest.approx(0.49592, abs=1e-5)


def test_a_small_signal_gives_s_over_sqrt_b():
    assert asimov_significance(1e-6, 100) == pytest.approx(simple_significance(1e-6, 100), rel=1e-7)


def test_a_large_uncertainty_leaves_nothing():
    z = asimov_significance(5, 100, np.array([0, 10, 1e3, 1e10, 1e200]))
    assert (np.diff(z) <= 0).all()
    assert np.isfinite(z).all()
    assert z[-1] == 0 < z[-2] < 1e-6


@pytest.mark.parametrize("significance", [asimov_significance, simple_significance])
def test_without_signal_it_is_zero_and_without_background_it_is_zero_and_says_so(significance):
    assert significance(0, 10) == significance(-3, 10) == 0
    with pytest.warns(RuntimeWarning, match=r"background -2 at bin 1: .*2 such bins"):
        assert significance([1, 1, 1], [4, -2, 0]).tolist()[1:] == [0, 0]
    with pytest.warns(RuntimeWarning, match="background 0 at the only bin"):
        assert significance(0, 0) == 0


def test_extreme_numbers_stay_finite():
    extreme = np.array([1e-300, 1e-30, 1.0, 1e30, 1e300])
    for s in extreme:
        for sigma in (0.0, *extreme):
            assert np.isfinite(asimov_significance(s, extreme, sigma)).all()


def test_arrays_broadcast_and_match_single_numbers():
    s, b, sigma = np.array([[1.0], [3.0]]), np.array([2.0, 50.0, 900.0]), 0.5
    z = asimov_significance(s, b, sigma)
    assert z.shape == (2, 3)
    assert z[1, 2] == asimov_significance(3.0, 900.0, 0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.nan, 1), r"s = nan at the only bin: expected a finite number"),
        ((1, [1, np.inf]), r"b = inf at bin 1"),
        ((1, 1, -0.1), r"sigma_b = -0.1 at the only bin: expected a finite number of at least 0"),
    ],
)
def test_what_is_no_number_is_refused(arguments, message):
    with pytest.raises(InvalidEventsError, match=message):
        asimov_significance(*arguments)
