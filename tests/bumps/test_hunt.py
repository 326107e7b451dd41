"""Bump hunt: the same as pyBumpHunter where that has an answer, and right about chance where it has none."""

from __future__ import annotations

import contextlib
import io
from itertools import pairwise
from typing import Any

import mpmath as mp
import numpy as np
import pyBumpHunter
import pytest
from scipy.stats import kstest, nbinom, norm, poisson

from anomalon.bumps.hunt import (
    BumpHuntResult,
    BumpHuntSettings,
    bin_significances,
    bump_hunt,
    bump_hunt_over,
)
from anomalon.bumps.probability import log_excess_probability, significance_of
from anomalon.bumps.windows import Hypothesis, Scan, Windows, nested
from anomalon.errors import AnomalonError, ConfigError, EmptySelectionError, InvalidEventsError

EDGES = np.linspace(100.0, 500.0, 41)
CENTRES = (EDGES[1:] + EDGES[:-1]) / 2
FALLING = 600 * np.exp(-(CENTRES - 100) / 90) + 1


def settings(**changes: Any) -> BumpHuntSettings:
    return BumpHuntSettings(**{"min_width": 2, "max_width": 6, "toys": 500, **changes})


def hunt(observed: Any, background: Any = FALLING, **changes: Any) -> BumpHuntResult:
    errors = changes.pop("errors", None)
    return bump_hunt(observed, background, edges=EDGES, errors=errors, settings=settings(**changes))


def peer(observed: Any, background: Any, **options: Any) -> pyBumpHunter.BumpHunter1D:
    hunter = pyBumpHunter.BumpHunter1D(
        **{"width_min": 2, "width_max": 6, "npe": 50, "nworker": 1, "seed": 0, "bins": EDGES, **options}
    )
    with contextlib.redirect_stdout(io.StringIO()):
        hunter.bump_scan(observed, background, is_hist=True)
    return hunter


@pytest.mark.parametrize("seed", range(12))
def test_window_and_local_p_value_are_those_of_pybumphunter(seed):
    random = np.random.default_rng(seed)
    background = 10 ** random.uniform(0, 3, 40)
    observed = random.poisson(background)
    theirs, ours = peer(observed, background), hunt(observed, background, toys=20).window
    assert (ours.first_bin, ours.last_bin + 1 - ours.first_bin) == (theirs.min_loc_ar[0], theirs.min_width_ar[0])
    assert ours.local_p == pytest.approx(theirs.min_Pval_ar[0], rel=1e-9)
    assert ours.excess == pytest.approx(theirs.signal_eval)


def test_global_p_value_agrees_with_pybumphunter():
    random = np.random.default_rng(5)
    observed = random.poisson(FALLING)
    theirs, ours = peer(observed, FALLING, npe=4000).global_Pval, hunt(observed, toys=20_000).global_p.value
    assert ours == pytest.approx(theirs, abs=4 * np.sqrt(theirs * (1 - theirs) / 4000))


def test_toys_are_scanned_as_the_observed_spectrum_is():
    for scale, errors, r in ((1.0, 0.0, 0.0), (1e4, 0.0, 0.0), (1.0, 0.1, 0.05)):
        slices = np.stack([FALLING, FALLING / 10]) * scale
        hypothesis, windows = Hypothesis(slices, errors * slices, r), Windows.over(40, settings())
        scan = Scan(hypothesis, windows, np.ones((2, len(windows)), dtype=bool))
        counts = hypothesis.draw(np.random.default_rng(7), 200)
        expected = [min(scan.values(counts[..., i].astype(float)).max(), 45.0) for i in range(200)]
        assert scan.of_toys(settings(toys=200, seed=7)) == pytest.approx(expected, rel=1e-12)


def test_the_seed_alone_decides():
    observed = np.random.default_rng(1).poisson(FALLING)
    np.random.seed(1)  # noqa: NPY002 - the global state must not matter
    first = hunt(observed, seed=3)
    np.random.seed(2)  # noqa: NPY002
    assert hunt(observed, seed=3) == first
    assert hunt(observed, seed=4).toys_above != first.toys_above


def test_a_smaller_block_of_toys_holds_the_same_toys_of_a_scan(monkeypatch):
    observed = np.random.default_rng(2).poisson(FALLING)
    whole = hunt(observed, toys=4000).global_p.value
    monkeypatch.setattr("anomalon.bumps.windows._CELLS", 40 * 64)
    assert hunt(observed, toys=4000).global_p.value == pytest.approx(whole, abs=0.04)


def test_an_asimov_spectrum_has_the_local_significance_of_its_window():
    observed = FALLING.copy()
    observed[10:13] += 4 * np.sqrt(FALLING[10:13].sum()) / 3
    window = hunt(observed, toys=20).window
    assert (window.low, window.high) == (200.0, 230.0)
    assert window.local_z == pytest.approx(4.0, abs=0.15)


def test_a_certain_excess_is_never_said_to_be_impossible():
    observed = FALLING.copy()
    observed[20:22] += 5000
    found = hunt(observed, toys=200)
    assert found.global_p_is_limit
    assert (found.global_p.value, found.global_p.low) == (1 / 200, 0.0)
    assert found.global_p.high > 1 / 200
    assert found.global_z == pytest.approx(norm.isf(1 / 200))
    assert found.window.local_p > 0
    assert found.window.local_log_p < -1000
    assert np.isfinite(found.window.local_z)
    assert "global p < 0.005" in found.sentence


def test_the_interval_of_the_global_p_value_is_binomial():
    found = hunt(np.random.default_rng(3).poisson(FALLING), toys=2000)
    width = (found.global_p.high - found.global_p.low) / 2
    assert width == pytest.approx(np.sqrt(found.global_p.value * (1 - found.global_p.value) / 2000), rel=0.06)
    assert found.global_p.value == found.toys_above / found.toys


def test_nothing_observed_is_no_excess():
    found = hunt(np.zeros(40), toys=20)
    assert (found.window, found.global_p.value, found.statistic) == (None, 1.0, 0.0)
    assert found.sentence.startswith("No event was observed")
    assert np.isfinite(found.global_z)


def test_fewer_events_than_expected_everywhere_are_no_excess():
    found = hunt(np.floor(FALLING * 0.5), toys=20)
    assert (found.window, found.global_p.value) == (None, 1.0)
    assert "no excess" in found.sentence


def test_windows_without_background_are_skipped_and_named():
    background = FALLING.copy()
    background[[5, 38, 39]] = 0
    observed = np.floor(background)
    observed[39] = 7
    found = hunt(observed, background, min_width=1)
    assert found.skipped_bins == ((150.0, 160.0), (480.0, 500.0))
    assert found.n_windows + found.windows_skipped == sum(40 - w + 1 for w in range(1, 7))
    assert "no background is expected in [150, 160], [480, 500]; 7 events were observed there" in found.sentence


def test_without_any_background_the_bins_are_named():
    with pytest.raises(EmptySelectionError, match=r"no background is expected in \[100, 500\]"):
        hunt(np.ones(40), np.zeros(40))
    with pytest.raises(EmptySelectionError, match=r"\[110, 120\], \[130, 140\].* and 15 more ranges"):
        hunt(np.ones(40), np.arange(40) % 2 == 0)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "nan observed": ({"observed": [1, np.nan, 3]}, r"observed = nan in bin 1: expected a finite number of at least 0"),
    "negative observed": ({"observed": [1, 2, -3]}, "observed = -3 in bin 2"),
    "infinite background": ({"background": [np.inf, 2, 3]}, "background = inf in bin 0"),
    "negative background": ({"background": [1, -2.5, 3]}, "background = -2.5 in bin 1: .*; merge bins"),
    "negative error": ({"errors": [1, -2, 3]}, "errors = -2 in bin 1"),
    "shape of observed": ({"observed": [1, 2]}, r"observed has shape \(2,\), expected \(3,\) from the edges"),
    "shape of background": ({"background": [1, 2, 3, 4]}, r"background has shape \(4,\), expected \(3,\)"),
    "falling edges": ({"edges": [0, 2, 1, 3]}, r"edges\[1\] = 2, edges\[2\] = 1: edges must increase"),
    "equal edges": ({"edges": [0, 1, 1, 3]}, "edges must increase"),
    "edges that are no numbers": ({"edges": [0, 1, np.nan, 3]}, r"edges\[2\] = nan"),
    "one edge": ({"edges": [0]}, r"edges of shape \(1,\)"),
    "windows too wide": ({"settings": BumpHuntSettings(min_width=4)}, "3 bins hold no window of min_width = 4"),
}


@pytest.mark.parametrize("case", BAD)
def test_it_refuses(case):
    changes, message = BAD[case]
    given = {"observed": [1, 2, 3], "background": [1, 2, 3], "edges": [0, 1, 2, 3], **changes}
    with pytest.raises(InvalidEventsError, match=message) as caught:
        bump_hunt(given.pop("observed"), given.pop("background"), **given)
    assert isinstance(caught.value, AnomalonError)
    assert "\n" not in str(caught.value)


def test_a_slice_is_named():
    with pytest.raises(InvalidEventsError, match="observed = -1 in bin 2 of slice 1"):
        bump_hunt_over([[1, 1, 1], [1, 1, -1]], np.ones((2, 3)), edges=[0, 1, 2, 3])
    with pytest.raises(InvalidEventsError, match=r"background has shape \(3,\): expected \(slice, bin\)"):
        bump_hunt_over(np.ones((2, 3)), np.ones(3), edges=[0, 1, 2, 3])


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(ConfigError, match="max_width = 2: must not be below min_width = 3"):
        BumpHuntSettings.parse({"min_width": 3, "max_width": 2})


def test_windows_are_all_that_the_settings_allow():
    windows = Windows.over(10, BumpHuntSettings(min_width=2, max_width=6, width_step=2, position_step=3))
    found = list(zip(windows.first.tolist(), windows.stop.tolist(), strict=True))
    assert found == [(0, 2), (3, 5), (6, 8), (0, 4), (3, 7), (6, 10), (0, 6), (3, 9)]


def test_log_probabilities_are_those_of_the_distributions():
    n, b = np.arange(1, 60), 17.3
    assert log_excess_probability(n, b) == pytest.approx(poisson.logsf(n - 1, b), rel=1e-9)
    assert log_excess_probability(n, b, 30.0) == pytest.approx(
        nbinom.logsf(n - 1, b * b / 30.0, b / (b + 30.0)), rel=1e-9
    )
    assert log_excess_probability(n, b, 1e-9) == pytest.approx(log_excess_probability(n, b), rel=1e-7)


def test_log_probabilities_go_on_where_probabilities_end():
    with mp.workdps(40):
        exact = float(mp.log(mp.gammainc(2000, 0, 200, regularized=True)))
        x, shape = mp.mpf(2) / 3, mp.mpf(100)
        terms = (mp.rf(shape, n) / mp.factorial(n) * x**n * (1 - x) ** shape for n in range(3000, 6000))
        averaged = float(mp.log(mp.fsum(terms)))
    assert log_excess_probability(2000, 200.0) == pytest.approx(exact, rel=1e-12)
    assert log_excess_probability(3000, 200.0, 400.0) == pytest.approx(averaged, rel=1e-12)
    for variance in (0.0, 400.0):
        n = np.linspace(500, 6000, 300)
        values = log_excess_probability(n, 200.0, variance)
        slope = np.diff(values)
        assert np.isfinite(values).all()
        assert (slope < 0).all()
        assert values[-1] < -2000
        # no step where the series takes over from the library's function
        assert np.abs(np.diff(slope)).max() < 0.05 * np.abs(slope).max()


def test_an_uncertain_background_means_less():
    observed = FALLING.copy()
    observed[10:13] += 3 * np.sqrt(FALLING[10:13].sum())
    z = [hunt(observed, errors=e * FALLING, toys=20).window.local_z for e in (0.0, 0.05, 0.2)]
    assert all(a > b + 0.3 for a, b in pairwise(z))
    r = [hunt(observed, normalisation_error=e, toys=20).window.local_z for e in (0.0, 0.05, 0.2)]
    assert all(a > b + 0.3 for a, b in pairwise(r))


def test_drawn_expectations_have_the_spread_that_is_stated():
    slices = np.full((2, 8), 50.0)
    hypothesis, windows = Hypothesis(slices, np.full((2, 8), 7.0), 0.1), Windows.over(8, BumpHuntSettings(max_width=3))
    counts = hypothesis.draw(np.random.default_rng(0), 40_000)
    seen = windows.sums(np.moveaxis(nested(counts.astype(float)), -1, 0))
    mean, variance = hypothesis.likely(windows)
    assert seen.mean(axis=0) == pytest.approx(mean, rel=0.005)
    assert seen.var(axis=0) == pytest.approx(mean + variance, rel=0.05)


def test_weights_that_cancel_do_not_blow_the_background_up():
    hypothesis = Hypothesis(np.array([[1e-6, 40.0]]), np.array([[5.0, 5.0]]), 0.0)
    mean, variance = hypothesis.likely(Windows(np.array([0, 1]), np.array([1, 2])))
    assert mean[0, 0] == pytest.approx(2.5, rel=1e-3)
    assert np.sqrt(variance) == pytest.approx(5.0, rel=0.3)
    counts = hypothesis.draw(np.random.default_rng(0), 50_000).mean(axis=-1)
    assert counts == pytest.approx(mean, rel=0.02)


def test_bins_have_signed_significances():
    z = bin_significances([10.0, 25.0, 3.0, 5.0], [10.0, 10.0, 10.0, 0.0])
    assert z[0] == z[3] == 0
    assert z[1] == pytest.approx(norm.isf(poisson.sf(24, 10)))
    assert z[2] == pytest.approx(-norm.isf(poisson.cdf(3, 10)))
    assert np.abs(bin_significances([25.0], [10.0], errors=[3.0])) < z[1]


def test_one_slice_is_a_plain_hunt():
    observed = np.random.default_rng(4).poisson(FALLING)
    assert bump_hunt_over(observed[None], FALLING[None], edges=EDGES, settings=settings()) == hunt(observed)


def test_the_best_threshold_is_found_and_its_window_is_that_of_the_sum_of_slices():
    slices = np.stack([FALLING * 0.9, FALLING * 0.09, FALLING * 0.01])
    observed = np.floor(slices)
    observed[1, 10:12] += 30
    found = bump_hunt_over(observed, slices, edges=EDGES, settings=settings())
    assert (found.threshold, found.window.first_bin, found.window.last_bin) == (1, 10, 11)
    assert found.window.observed == observed[1:, 10:12].sum()
    assert found.window.expected == pytest.approx(slices[1:, 10:12].sum())
    assert found.spectrum.observed == tuple(observed[1:].sum(axis=0))
    assert found.by_threshold[1] == found.window
    assert "above threshold 1" in found.sentence


def test_looking_at_more_thresholds_costs_significance():
    slices = np.stack([FALLING, FALLING / 10, FALLING / 100])
    observed = np.random.default_rng(8).poisson(slices).astype(float)
    observed[:, 15:17] += slices[:, 15:17] * 0.1
    several = bump_hunt_over(observed, slices, edges=EDGES, settings=settings(toys=4000))
    best = hunt(nested(observed)[several.threshold], nested(slices)[several.threshold], toys=4000)
    assert several.window.local_p == pytest.approx(best.window.local_p, rel=1e-9)
    assert several.global_p.value > best.global_p.value


def test_the_record_survives_json():
    found = hunt(np.random.default_rng(6).poisson(FALLING), toys=20)
    assert BumpHuntResult.model_validate_json(found.model_dump_json()) == found


def known(random: np.random.Generator, seed: int) -> BumpHuntResult:
    return hunt(random.poisson(FALLING), seed=seed)


def uncertain(random: np.random.Generator, seed: int) -> BumpHuntResult:
    """Simulation of weight 0.4 and a normalisation known to 10 %."""
    simulated = random.poisson(FALLING / 0.4)
    observed = random.poisson(FALLING * 1.1 ** random.normal())
    return hunt(observed, 0.4 * simulated, errors=0.4 * np.sqrt(simulated), normalisation_error=0.1, seed=seed)


def over_thresholds(random: np.random.Generator, seed: int) -> BumpHuntResult:
    slices = FALLING * np.array([0.5, 0.4, 0.09, 0.01])[:, None]
    return bump_hunt_over(random.poisson(slices), slices, edges=EDGES, settings=settings(seed=seed))


@pytest.mark.slow
@pytest.mark.parametrize("experiment", [known, uncertain, over_thresholds])
def test_global_p_values_of_background_are_uniform(experiment):
    random = np.random.default_rng(20)
    p = np.array([experiment(random, seed).global_p.value for seed in range(200)])
    assert kstest(p, "uniform").pvalue > 0.01
    assert 0.02 <= (p <= 0.05).mean() <= 0.09


@pytest.mark.slow
def test_a_background_taken_for_certain_when_it_is_not_gives_wrong_p_values():
    """The law above can fail: without the error of the background most of its spectra look like signals."""
    random = np.random.default_rng(21)
    simulated = [random.poisson(FALLING / 0.4) for _ in range(100)]
    p = [hunt(random.poisson(FALLING), 0.4 * n, seed=i).global_p.value for i, n in enumerate(simulated)]
    assert (np.array(p) <= 0.05).mean() > 0.15


@pytest.mark.slow
@pytest.mark.parametrize("injected", [3.0, 5.0])
def test_an_injected_signal_is_found_with_its_significance_at_its_mass(injected):
    random = np.random.default_rng(22)
    inside = slice(14, 17)
    b = FALLING[inside].sum()
    counts = np.arange(1, 2000)
    signal = counts[significance_of(log_excess_probability(b + counts, b)) >= injected][0]
    expected = FALLING.copy()
    expected[inside] += signal / 3
    found = [hunt(random.poisson(expected), toys=20).window for _ in range(100)]
    assert np.median([window.local_z for window in found]) == pytest.approx(injected, abs=1.0)
    at_mass = [window.first_bin <= 16 and window.last_bin >= 14 for window in found]
    assert np.mean(at_mass) > (0.98 if injected > 4 else 0.75)
