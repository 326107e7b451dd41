"""Sideband fits: the maximum of the likelihood, its errors, and a hunt whose p-values know the freedom of the fit."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import kstest

from anomalon.bumps.hunt import BumpHuntSettings
from anomalon.bumps.probability import log_excess_probability
from anomalon.bumps.records import BumpHuntResult
from anomalon.bumps.sideband_hunt import bump_hunt_sidebands
from anomalon.bumps.sidebands import SidebandFit, SidebandSettings, basis, choose, fit_many, fit_sidebands
from anomalon.errors import ConfigError, EmptySelectionError, InvalidEventsError

EDGES = np.linspace(100.0, 500.0, 41)
CENTRES = (EDGES[1:] + EDGES[:-1]) / 2
FALLING = 600 * np.exp(-(CENTRES - 100) / 90) + 1
DIJET_EDGES = np.geomspace(1000.0, 6000.0, 36)


def smooth(**changes: Any) -> SidebandSettings:
    return SidebandSettings(**{"function": "exponential", **changes})


def dijet(edges: np.ndarray, parameters: tuple[float, ...], settings: SidebandSettings) -> np.ndarray:
    """Integrals of the function over the bins, with a thousand steps in each."""
    found = []
    for low, high in pairwise(edges):
        m = np.linspace(low, high, 2001)
        m = (m[1:] + m[:-1]) / 2
        f = np.exp(basis(m, len(parameters), (edges[0], edges[-1]), settings) @ np.asarray(parameters))
        found.append(f.mean() * (high - low))
    return np.asarray(found)


def negative_log_likelihood(p: np.ndarray, design: np.ndarray, n: np.ndarray, offset: np.ndarray) -> float:
    eta = design @ p + offset
    return float((np.exp(eta) - n * eta).sum())


@pytest.mark.parametrize("function", ["dijet", "exponential"])
@pytest.mark.parametrize("number", [2, 3, 4, 5])
def test_an_exact_spectrum_gives_back_its_parameters(function, number):
    settings = SidebandSettings(function=function, parameters=number)
    truth = {"dijet": (-9.0, 5.0, 8.0, -0.2, 0.02), "exponential": (3.0, -6.0, 1.0, 0.5, -0.3)}[function][:number]
    exact = dijet(DIJET_EDGES, truth, settings)
    fit = fit_sidebands(exact, DIJET_EDGES, window=(2000, 2500), settings=settings)
    assert fit.expected == pytest.approx(exact, rel=2e-4)
    assert fit.parameters == pytest.approx(truth, abs=2e-2 if number < 5 else 0.3)
    assert fit.chi2 < 1e-2
    assert fit.p_value == pytest.approx(1.0)


def test_the_fit_is_the_maximum_of_the_likelihood_of_the_sidebands_alone():
    counts = np.random.default_rng(1).poisson(FALLING).astype(float)
    used = (CENTRES < 200) | (CENTRES > 250)
    shape, _ = choose(counts, EDGES, used, smooth(parameters=3))
    fits = fit_many(shape, counts[None], used[None], np.array([[0.0, 0.0, 0.0]]))
    best = minimize(
        negative_log_likelihood, np.zeros(3), (shape.design[used], counts[used], shape.offset[used]), method="BFGS",
        jac=lambda p, design, n, offset: design.T @ (np.exp(design @ p + offset) - n), options={"gtol": 1e-7},
    )  # fmt: skip
    assert fits.converged.all()
    assert fits.parameters[0] == pytest.approx(best.x, abs=1e-5)
    changed = counts.copy()
    changed[~used] = 1e4
    assert fit_sidebands(changed, EDGES, window=(200, 250), settings=smooth()).window_expected == pytest.approx(
        fit_sidebands(counts, EDGES, window=(200, 250), settings=smooth()).window_expected, rel=1e-6
    )


def test_many_fits_at_once_are_each_fit_alone():
    counts = np.random.default_rng(2).poisson(FALLING, (30, 40)).astype(float)
    used = np.random.default_rng(3).random((30, 40)) > 0.2
    shape, _ = choose(counts[0], EDGES, np.ones(40, dtype=bool), smooth(parameters=4))
    start = np.zeros((30, 4))
    together = fit_many(shape, counts, used, start)
    for i in range(30):
        alone = fit_many(shape, counts[i : i + 1], used[i : i + 1], start[:1])
        assert together.parameters[i] == pytest.approx(alone.parameters[0], rel=1e-8, abs=1e-8)
        assert together.variance(start + 1.0)[i] == pytest.approx(alone.variance(start[:1] + 1.0)[0], rel=1e-6)


def test_the_stated_error_of_the_window_is_the_spread_of_its_prediction():
    random = np.random.default_rng(4)
    fits = [
        fit_sidebands(random.poisson(FALLING), EDGES, window=(200, 240), settings=smooth(parameters=3))
        for _ in range(300)
    ]
    values = np.array([fit.window_expected for fit in fits])
    assert values.std() == pytest.approx(np.mean([fit.window_expected_error for fit in fits]), rel=0.13)
    assert values.mean() == pytest.approx(FALLING[10:14].sum(), rel=0.02)


def test_goodness_of_fit_is_uniform_for_the_true_function_and_small_for_a_wrong_one():
    random = np.random.default_rng(5)
    exact = 500 * np.exp(-CENTRES / 90)
    p = [fit_sidebands(random.poisson(exact), EDGES, settings=smooth(parameters=2)).p_value for _ in range(200)]
    assert kstest(p, "uniform").pvalue > 0.01
    wrong = random.poisson(1000 * np.exp(-(((CENTRES - 300) / 60) ** 4)) + 5)
    assert fit_sidebands(wrong, EDGES, settings=smooth(parameters=2)).p_value < 1e-6


def test_the_number_of_parameters_is_the_smallest_that_is_enough():
    random = np.random.default_rng(6)
    straight, curved = (1e4 * np.exp(-CENTRES / 90 - a * ((CENTRES - 300) / 100) ** 2) for a in (0, 0.4))
    settings = smooth(min_parameters=2)
    numbers = [len(fit_sidebands(random.poisson(straight), EDGES, settings=settings).parameters) for _ in range(100)]
    assert np.mean([number > 2 for number in numbers]) == pytest.approx(0.05, abs=0.06)
    fit = fit_sidebands(random.poisson(curved), EDGES, settings=settings)
    assert len(fit.parameters) >= 3
    assert fit.tried[0].parameters == 2
    assert fit.tried[0].next_p < 1e-6
    assert [order.deviance for order in fit.tried] == sorted((order.deviance for order in fit.tried), reverse=True)


def test_wide_bins_hold_integrals_and_not_values_at_their_centres():
    edges = np.array([100, 130, 170, 220, 280, 350, 430, 520, 620, 800.0])
    exact = 1e6 * (np.exp(-edges[:-1] / 60) - np.exp(-edges[1:] / 60))
    fit = fit_sidebands(exact, edges, settings=smooth(parameters=2))
    assert fit.expected == pytest.approx(exact, rel=1e-3)


BAD: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "few bins": (
        {"observed": np.r_[np.ones(4), np.zeros(36)], "settings": smooth(parameters=4)},
        EmptySelectionError,
        "4 of 40 sideband bins have events, a fit of 4 parameters needs at least 5",
    ),
    "no events": ({"observed": np.zeros(40)}, EmptySelectionError, "0 of 40 sideband bins have events"),
    "all in the window": (
        {"observed": FALLING, "window": (100, 490)},
        EmptySelectionError,
        "1 of 1 sideband bins have events",
    ),
    "mass above the energy": (
        {"observed": FALLING, "settings": SidebandSettings(sqrt_s_gev=400)},
        InvalidEventsError,
        "100 to 500 GeV, the dijet function is defined above 0 and below sqrt_s_gev = 400",
    ),
    "nan": ({"observed": np.full(40, np.nan)}, InvalidEventsError, "observed = nan in bin 0"),
    "negative": ({"observed": -FALLING}, InvalidEventsError, "observed = .* in bin 0: expected .* at least 0"),
    "shape": ({"observed": np.ones(3)}, InvalidEventsError, r"observed has shape \(3,\), expected \(40,\)"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_fit_is_refused(case):
    changes, kind, message = BAD[case]
    with pytest.raises(kind, match=message) as caught:
        fit_sidebands(changes.pop("observed"), EDGES, **{"settings": smooth(), **changes})
    assert "\n" not in str(caught.value)


def test_a_fit_that_does_not_converge_is_refused(monkeypatch):
    monkeypatch.setattr("anomalon.bumps.sidebands._ITERATIONS", 1)
    with pytest.raises(EmptySelectionError, match="did not converge in 1 steps"):
        fit_sidebands(np.random.default_rng(0).poisson(FALLING), EDGES, settings=smooth())


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(ConfigError, match="max_parameters = 3: must not be below min_parameters = 4"):
        SidebandSettings.parse({"min_parameters": 4, "max_parameters": 3})
    with pytest.raises(ConfigError, match=r"normalisation_error = 0\.1: sidebands fix the normalisation"):
        bump_hunt_sidebands(FALLING, EDGES, settings=BumpHuntSettings(normalisation_error=0.1))


def hunt(observed: Any, *, toys: int = 100, seed: int = 0, **changes: Any) -> BumpHuntResult:
    settings = BumpHuntSettings(min_width=2, max_width=5, toys=toys, seed=seed)
    return bump_hunt_sidebands(observed, EDGES, settings=settings, sidebands=smooth(**changes))


def test_the_window_of_a_hunt_is_predicted_by_the_rest_of_the_spectrum():
    observed = np.random.default_rng(7).poisson(FALLING)
    found = hunt(observed, parameters=3)
    window, fit = found.window, found.fit
    alone = fit_sidebands(observed, EDGES, window=(window.low, window.high), settings=smooth(parameters=3))
    assert (window.expected, window.expected_error) == pytest.approx(
        (alone.window_expected, alone.window_expected_error), rel=1e-3
    )
    assert fit.window == (window.low, window.high)
    averaged = log_excess_probability(window.observed, window.expected, window.expected_error**2)
    assert window.local_log_p == pytest.approx(float(averaged), rel=1e-6)
    assert found.spectrum.background == fit.expected
    assert BumpHuntResult.model_validate_json(found.model_dump_json()) == found


def test_bins_beside_every_window_are_left_for_the_fit():
    observed = FALLING.copy()
    observed[:2] *= 3
    assert hunt(observed, toys=20, sideband_bins=5).window.first_bin >= 5


def test_a_signal_does_not_enter_the_background_that_toys_are_drawn_from():
    observed = FALLING.copy()
    observed[20:23] += 400
    found = hunt(observed, toys=20)
    assert sum(found.fit.expected[20:23]) == pytest.approx(FALLING[20:23].sum(), rel=0.05)
    assert found.toys_above == 0


def test_without_enough_bins_there_is_no_hunt():
    with pytest.raises(EmptySelectionError, match="no window of at least 2 bins leaves 20 bins on either side"):
        hunt(FALLING, sideband_bins=20)


def test_toys_whose_fit_fails_are_counted_as_extreme_and_too_many_are_refused(monkeypatch):
    observed = np.random.default_rng(8).poisson(FALLING)
    whole = fit_many

    def failing(every: int) -> Any:
        def fit(*arguments: Any) -> Any:
            fits = whole(*arguments)
            if len(fits.converged) > 5000:
                fits.converged[:: every * plain.n_windows] = False
            return fits

        return fit

    plain = hunt(observed, toys=200)
    monkeypatch.setattr("anomalon.bumps.sideband_hunt.fit_many", failing(40))
    some = hunt(observed, toys=200)
    assert 4 <= some.toys_failed <= 6
    assert plain.toys_above <= some.toys_above <= plain.toys_above + some.toys_failed
    monkeypatch.setattr("anomalon.bumps.sideband_hunt.fit_many", failing(4))
    with pytest.raises(EmptySelectionError, match=r"the fit did not converge for \d+ of 200 toys"):
        hunt(observed, toys=200)


@pytest.mark.slow
def test_global_p_values_of_background_are_uniform():
    random = np.random.default_rng(9)
    p = [hunt(random.poisson(FALLING), seed=i, parameters=4).global_p.value for i in range(200)]
    assert kstest(p, "uniform").pvalue > 0.01
    assert 0.02 <= (np.array(p) <= 0.05).mean() <= 0.09


@pytest.mark.slow
@pytest.mark.parametrize("injected", [3.0, 5.0])
def test_an_injected_signal_is_found_with_its_significance_at_its_mass(injected):
    random = np.random.default_rng(10)
    expected = FALLING.copy()
    b = FALLING[14:17].sum()
    expected[14:17] += injected * np.sqrt(b) * (1 + injected / 6 / np.sqrt(b)) / 3
    found = [hunt(random.poisson(expected), toys=20, parameters=3).window for _ in range(60)]
    assert np.median([window.local_z for window in found]) == pytest.approx(injected, abs=1.0)
    assert np.mean([window.first_bin <= 16 and window.last_bin >= 14 for window in found]) > 0.7


def test_the_record_has_every_number_of_the_fit():
    fit = fit_sidebands(FALLING, EDGES, window=(203, 248), settings=smooth())
    assert fit.window == (200.0, 250.0)
    assert fit.window_expected == pytest.approx(sum(fit.expected[10:15]))
    assert len(fit.errors) == len(fit.parameters)
    assert SidebandFit.model_validate_json(fit.model_dump_json()) == fit
