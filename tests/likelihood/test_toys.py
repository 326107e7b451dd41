"""Pseudo-experiments: exact where counting is, uniform, covering, and never a p-value of 0."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import binom, kstest, norm, poisson

from anomalon.likelihood.asymptotics import at, best, discovery_statistic, log_tails, upper_statistic
from anomalon.likelihood.limits import LimitSettings, discovery, limits
from anomalon.likelihood.toys import draw, nominal
from anomalon.likelihood.workspace import make_workspace
from scripts.validate_statistics import strength
from tests.likelihood.counting import counting, counting_workspace, falling_likelihood

pyhf = pytest.importorskip("pyhf")
SEED = 11


@pytest.fixture(scope="module")
def likelihood():
    return falling_likelihood(scale=80.0, signal=6.0)


def thrown(likelihood, mu, n, seed=SEED):
    return draw(likelihood, nominal(likelihood, mu), n, random=np.random.default_rng(seed))


def significances(likelihood, data):
    return np.sqrt(discovery_statistic(likelihood, data, free=best(likelihood, data)))


@pytest.mark.parametrize("b", [0.0, 1e-9])
def test_nothing_observed_without_background_excludes_three_events(b):
    found = limits(counting_workspace(b, 0, 1, 0), LimitSettings(toys=4000, seed=SEED))
    assert found.observed == pytest.approx(-np.log(0.05), abs=3 * found.error)
    assert found.error < 0.1
    assert found.expected.minus_2 == found.expected.plus_2 == pytest.approx(3.0, abs=0.2)


@pytest.mark.parametrize(("b", "n"), [(3.0, 0), (3.0, 3), (3.0, 6)])
def test_counting_limits_are_exact_where_asymptotic_ones_are_not(b, n):
    found = limits(counting_workspace(b, 0, 1, n), LimitSettings(toys=4000, seed=SEED))
    exact = brentq(lambda s: poisson.cdf(n, s + b) / poisson.cdf(n, b) - 0.05, 0, 50)
    assert found.observed == pytest.approx(exact, abs=3 * found.error)
    assert found.error < 0.25 * exact


def test_a_counting_p_value_is_that_of_poisson():
    found = discovery(counting_workspace(3, 0, 4, 8), LimitSettings(toys=20000, seed=SEED)).observed
    assert found.p_value == pytest.approx(poisson.sf(7, 3), abs=4 * found.error)
    assert found.error == pytest.approx(np.sqrt(found.p_value / 20000), rel=0.02)


def test_a_p_value_is_never_zero():
    found = discovery(counting_workspace(100, 0, 100, 250), LimitSettings(toys=500, seed=SEED))
    assert found.observed.at_most
    assert found.observed.p_value == 1 / 500
    assert "p < 0.002" in found.sentence
    assert "Z > 2.88" in found.sentence


def test_without_excess_p_is_one_half():
    found = discovery(counting_workspace(100, 5, 10, 80), LimitSettings(toys=200, seed=SEED)).observed
    assert (found.p_value, found.z) == (0.5, 0.0)


def test_the_seed_decides():
    made = counting_workspace(20, 2, 5, 24)
    one, same, other = (limits(made, LimitSettings(toys=300, seed=s)) for s in (1, 1, 2))
    assert one == same
    assert one.observed != other.observed


def test_expected_values_do_not_know_what_was_observed():
    settings = LimitSettings(toys=300, seed=SEED)
    blinded, other = counting_workspace(20, 2, 5), counting_workspace(20, 2, 5, 60)
    assert discovery(blinded, settings).expected == discovery(other, settings).expected
    assert limits(blinded, settings).observed is None
    assert limits(other, settings).expected == limits(blinded, settings).expected


def test_few_toys_are_warned_of():
    (told,) = limits(counting_workspace(20, 2, 5), LimitSettings(toys=300)).warnings
    assert "band is rough" in told
    assert limits(counting_workspace(20, 2, 5), LimitSettings(toys=5000)).warnings == ()


def test_toys_and_formulas_agree_where_there_are_many_events():
    made = counting_workspace(400, 10, 20, 420)
    toys, formula = limits(made, LimitSettings(toys=4000, seed=SEED)), limits(made)
    assert toys.observed == pytest.approx(formula.observed, rel=0.06)
    for name in ("minus_1", "median", "plus_1", "plus_2"):
        assert getattr(toys.expected, name) == pytest.approx(getattr(formula.expected, name), rel=0.1)


def test_batched_fits_are_those_of_single_fits(likelihood):
    data = thrown(likelihood, 1.0, 20)
    together = best(likelihood, data)
    for i in range(20):
        alone = best(likelihood, data.take(np.array([i])))
        assert alone.nll[0] == pytest.approx(together.nll[i], abs=1e-9)


def test_auxiliary_measurements_are_drawn_too(likelihood):
    data = thrown(likelihood, 0.0, 4000)
    assert data.centres.std() == pytest.approx(1.0, abs=0.02)
    pull = (data.gammas - 1) / np.where(likelihood.widths > 0, likelihood.widths, 1.0)
    assert pull[:, 0].std() == pytest.approx(1.0, abs=0.02)
    np.testing.assert_allclose(data.counts.mean(axis=0), likelihood.background, rtol=0.03)


@pytest.mark.slow
def test_discovery_p_values_of_background_are_uniform_below_one_half(likelihood):
    z = significances(likelihood, thrown(likelihood, 0.0, 200))
    p = norm.sf(z[z > 0])
    assert kstest(2 * p, "uniform").pvalue > 0.01
    assert binom.cdf(len(p), 200, 0.5) > 0.005
    assert binom.sf(len(p) - 1, 200, 0.5) > 0.005
    assert 0.02 <= (norm.sf(z) < 0.05).mean() <= 0.09


@pytest.mark.slow
@pytest.mark.parametrize("injected", [3.0, 5.0])
def test_an_injected_signal_is_found_with_its_significance(likelihood, injected):
    z = significances(likelihood, thrown(likelihood, strength(likelihood, injected), 200))
    assert np.median(z) == pytest.approx(injected, abs=0.35)
    assert z.std() == pytest.approx(1.0, abs=0.25)


@pytest.mark.slow
@pytest.mark.parametrize("part", [0.3, 1.0, 3.0])
def test_limits_cover_the_truth(likelihood, part):
    n, truth = 400, part * limits(likelihood).expected.median
    data = thrown(likelihood, truth, n)
    background = at(likelihood, data, 0.0)
    asimov = likelihood.asimov(background.theta, background.gammas)
    q, q_asimov = (upper_statistic(likelihood, d, np.full(n, truth), free=best(likelihood, d)) for d in (data, asimov))
    both, alone = log_tails(q, q_asimov)
    covered = int((both >= np.log(0.05)).sum())
    assert binom.ppf(0.005, n, 0.95) <= covered <= binom.isf(0.005, n, 0.95)
    assert int((both - alone >= np.log(0.05)).sum()) >= covered


@pytest.mark.slow
def test_whole_limits_cover_the_truth_of_injected_signals(likelihood):
    truth, n = strength(likelihood, 3.0), 40
    counts = thrown(likelihood, truth, n).counts
    above = [limits(replace(likelihood, observed=c, blinded=False)).observed >= truth for c in counts]
    assert sum(above) >= binom.ppf(0.005, n, 0.95)


def test_a_likelihood_of_two_equal_channels_is_that_of_one_twice_as_large():
    one = make_workspace([counting(200, 0, 20)], "s")
    two = make_workspace([counting(100, 0, 10), replace(counting(100, 0, 10), name="B")], "s")
    assert limits(two).expected.median == pytest.approx(limits(one).expected.median, rel=1e-6)
