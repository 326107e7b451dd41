"""Limits, significances, pulls and impacts: against pyhf, against closed forms, and where they have to stay defined."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from anomalon.errors import FitError
from anomalon.likelihood import fits
from anomalon.likelihood.asymptotics import at, best
from anomalon.likelihood.fits import fit
from anomalon.likelihood.limits import LimitSettings, discovery, limits
from anomalon.likelihood.model import read_likelihood
from anomalon.likelihood.pulls import impacts, pulls
from anomalon.likelihood.templates import Channel, Template
from anomalon.likelihood.workspace import make_workspace, pyhf_model
from anomalon.search import asimov_significance
from tests.likelihood.counting import counting, counting_workspace, falling, falling_likelihood

pyhf = pytest.importorskip("pyhf")
OBSERVED = [[175, 105, 77, 55, 38], [150, 90, 80, 50, 31]]


@pytest.fixture(scope="module")
def workspace():
    return make_workspace(falling(OBSERVED), "s")


def random_point(seed=3, n=6):
    likelihood = falling_likelihood()
    random = np.random.default_rng(seed)
    theta = random.normal(0, 1.2, (n, len(likelihood.parameters)))
    theta[:, 0] = random.uniform(0.1, 4, n)
    return likelihood, theta, likelihood.data(random.poisson(likelihood.observed, (n, 10)).astype(float))


def test_gradient_and_curvature_are_the_derivatives():
    likelihood, theta, data = random_point()
    point, h = likelihood.point(theta, data), 1e-5
    for k in range(theta.shape[1]):
        step = h * (np.arange(theta.shape[1]) == k)
        up, down = theta + step, theta - step
        slope = (likelihood.nll(up, data) - likelihood.nll(down, data)) / (2 * h)
        np.testing.assert_allclose(point.gradient[:, k], slope, rtol=1e-5, atol=1e-6)
        curve = (likelihood.point(up, data).gradient - likelihood.point(down, data).gradient) / (2 * h)
        np.testing.assert_allclose(point.curvature[:, k], curve, rtol=1e-5, atol=1e-5)


def test_no_other_gamma_is_better_than_the_profiled_one():
    likelihood, theta, data = random_point()
    yields = likelihood.expectation.yields(theta)
    gammas = likelihood.point(theta, data).gammas
    chosen = likelihood._nll(theta, data, yields, gammas)
    for factor in (0.99, 1.01):
        for place in np.ndindex(2, 10):
            other = gammas.copy()
            other[:, place[0], place[1]] *= factor
            assert (likelihood._nll(theta, data, yields, other) >= chosen - 1e-12).all()


def test_a_fit_finds_what_pyhf_finds(workspace):
    model, data = pyhf_model(workspace)
    likelihood = read_likelihood(workspace)
    ours = best(likelihood, likelihood.data(likelihood.observed[None]))
    pyhf.set_backend("numpy", "minuit")
    _, theirs = pyhf.infer.mle.fit(data, model, return_fitted_val=True)
    background = at(likelihood, likelihood.data(likelihood.observed[None]), 0.0)
    _, fixed = pyhf.infer.mle.fixed_poi_fit(0.0, data, model, return_fitted_val=True)
    pyhf.set_backend("numpy", "scipy")
    assert 2 * (background.nll[0] - ours.nll[0]) == pytest.approx(float(fixed - theirs), abs=1e-3)


@pytest.mark.parametrize("observed", [OBSERVED, [[190, 115, 77, 70, 55], [150, 90, 80, 60, 40]], [[90] * 5] * 2, None])
def test_limits_are_those_of_pyhf(observed):
    made = make_workspace(falling(observed), "s")
    model, data = pyhf_model(made)
    found = limits(made)
    if observed is not None:
        value = pyhf.infer.hypotest(found.observed, data, model, test_stat="qtilde")
        assert float(value) == pytest.approx(0.05, rel=3e-3)
        return
    for i, limit in enumerate(found.expected.model_dump().values()):
        _, band = pyhf.infer.hypotest(limit, data, model, test_stat="qtilde", return_expected_set=True)
        assert float(band[i]) == pytest.approx(0.05, rel=3e-3)


def test_the_discovery_p_value_is_that_of_pyhf():
    made = make_workspace(falling([[190, 115, 77, 70, 55], [150, 90, 80, 60, 40]]), "s")
    model, data = pyhf_model(made)
    theirs = float(pyhf.infer.hypotest(0.0, data, model, test_stat="q0"))
    assert discovery(made).observed.p_value == pytest.approx(theirs, rel=1e-2)


def test_expected_values_do_not_know_what_was_observed(workspace):
    blinded, other = make_workspace(falling(), "s"), make_workspace(falling([[500] * 5] * 2), "s")
    for one in (workspace, other):
        assert limits(one).expected == limits(blinded).expected
        assert discovery(one).expected == discovery(blinded).expected


def test_blinded_data_have_no_observed_values():
    made = make_workspace(falling(), "s")
    found, excess = limits(made), discovery(made)
    assert found.blinded
    assert excess.blinded
    assert found.observed is excess.observed is excess.mu is None
    assert all(point.observed is None for point in found.scan)
    assert "data are blinded" in found.sentence
    assert "data are blinded" in excess.sentence


@pytest.mark.parametrize(("b", "sigma", "s"), [(100, 0, 30), (100, 5, 20), (400, 15, 60), (1e4, 100, 300), (50, 5, 10)])
def test_one_bin_has_the_closed_form_significance(b, sigma, s):
    assert discovery(counting_workspace(b, sigma, s)).expected.z == pytest.approx(
        asimov_significance(s, b, sigma), rel=0.03
    )


@pytest.mark.parametrize("b", [1e4, 1e6, 1e10])
def test_a_signal_of_1e_8_of_the_background_has_all_its_digits(b):
    found = discovery(counting_workspace(b, 0, 1e-8 * b)).expected
    assert found.z == pytest.approx(asimov_significance(1e-8 * b, b), rel=1e-5)
    assert limits(counting_workspace(b, 0, 1e-8 * b)).expected.median == pytest.approx(1.96e8 / np.sqrt(b), rel=0.02)


def test_one_bin_without_uncertainty_has_the_closed_form_limit():
    found = limits(counting_workspace(100, 0, 10)).expected.median
    s = 10 * found
    assert np.sqrt(2 * (s - 100 * np.log1p(s / 100))) == pytest.approx(norm.isf(0.025), rel=1e-4)


def test_vanishing_uncertainties_are_none_and_larger_ones_weaken_the_limit():
    factors = {r: {"x": (1 / (1 + r), 1 + r)} for r in (1e-9, 0.01, 0.1, 0.5, 3.0, 1e3)}
    plain = limits(counting_workspace(100, 0, 10)).expected.median
    for where in ("norms", "signal_norms"):
        if where == "signal_norms":
            pairs = [counting(100, 0, 10) for _ in factors]
            made = [
                replace(c, templates=(c.templates[0], replace(c.templates[1], norms=f)))
                for c, f in zip(pairs, factors.values(), strict=True)
            ]
        else:
            made = [counting(100, 0, 10, norms=f) for f in factors.values()]
        found = [limits(make_workspace([c], "s")).expected.median for c in made]
        assert found[0] == pytest.approx(plain, rel=1e-6)
        assert (np.diff(found) > -1e-9).all()
        assert found[-1] > 2 * plain


def test_the_scan_goes_on_until_there_is_a_limit():
    found = limits(counting_workspace(1e6, 3e5, 1e-5, 1.1e6))
    assert found.observed > found.expected.median > 1e10
    assert found.scan[-1].mu > found.observed


def test_beyond_the_maximum_there_is_no_limit_and_it_says_so():
    found = limits(counting_workspace(100, 10, 1, 100), LimitSettings(maximum=5.0))
    assert found.observed is found.expected.median is None
    assert "observed 95 % CLs limit: no limit below 5" in found.sentence


def test_without_signal_there_is_no_limit_and_it_says_why():
    made = counting_workspace(100, 10, 0, 90)
    assert limits(made).observed is limits(made).expected.median is None
    assert "no expected events" in limits(made).sentence
    assert discovery(made).observed is None
    assert "no expected events" in discovery(made).sentence
    assert pulls(made).mu_error is impacts(made).mu_error is None


def test_without_background_there_is_a_limit_and_no_significance():
    made = counting_workspace(0, 0, 1, 2)
    assert limits(made).observed > 3
    assert discovery(made).observed is None
    assert "lack background" in discovery(made).sentence


def test_nothing_observed_gives_a_finite_limit():
    for b in (0.0, 0.1, 5.0, 100.0):
        found = limits(counting_workspace(b, 0.1 * b, 1, 0))
        assert 0 < found.observed < 6


def test_few_events_are_warned_of():
    assert "below 10 asymptotic formulas are off" in limits(counting_workspace(3, 0, 1, 3)).warnings[0]
    assert limits(counting_workspace(30, 0, 1, 30)).warnings == ()


def test_a_deficit_may_exclude_everything_with_cls_plus_b_but_not_with_cls():
    made = counting_workspace(100, 10, 1, 50)
    plain = limits(made, LimitSettings(method="CLs+b"))
    assert plain.observed == 0
    assert "every signal strength is excluded" in plain.sentence
    assert limits(made).observed > 1


def test_the_scan_falls_through_the_level_at_the_limits(workspace):
    found = limits(workspace)
    mu = np.array([p.mu for p in found.scan])
    observed, median = np.array([(p.observed, p.expected[2]) for p in found.scan]).T
    assert np.interp(-0.05, -observed, mu) == pytest.approx(found.observed, rel=0.02)
    assert np.interp(-0.05, -median, mu) == pytest.approx(found.expected.median, rel=0.02)
    assert mu[-1] > found.expected.plus_2


def test_a_huge_excess_has_no_p_value_of_zero():
    found = discovery(counting_workspace(100, 0, 10, 1e5)).observed
    assert found.p_value > 0
    assert found.z > 100


def test_without_data_nothing_is_pulled(workspace):
    blinded = pulls(make_workspace(falling(), "s"))
    assert blinded.mu == pytest.approx(1.0)
    for row in (*blinded.background_only, *blinded.with_signal):
        assert row.pull == pytest.approx(0.0, abs=1e-6)
        assert 0 < row.constraint < 1.02
    assert max(abs(row.pull) for row in pulls(workspace).background_only) > 0.3


def test_errors_are_those_of_minuit(workspace):
    model, data = pyhf_model(workspace)
    pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(tolerance=1e-4, strategy=2))
    values = pyhf.infer.mle.fixed_poi_fit(0.0, data, model, return_uncertainties=True)
    pyhf.set_backend("numpy", "scipy")
    names = [n + s for n in model.config.par_order for s in _indices(model, n)]
    theirs = dict(zip(names, np.asarray(values).tolist(), strict=True))
    for row in pulls(workspace).background_only:
        if not row.parameter.startswith("signal_"):
            value, error = theirs[row.parameter]
            assert row.value == pytest.approx(value, abs=0.02 * error)
            assert row.error == pytest.approx(error, rel=0.03)


def _indices(model, name):
    n = model.config.param_set(name).n_parameters
    return [f"[{i}]" for i in range(n)] if "mcstat" in name else [""]


def test_impacts_are_ranked_and_agree_with_the_covariance():
    found = impacts(make_workspace(falling(), "s"))
    size = [max(abs(r.up), abs(r.down)) for r in found.ranked]
    assert size == sorted(size, reverse=True)
    assert found.mu == pytest.approx(1.0)
    statistical = found.mu_error**2 - sum((0.5 * (r.up - r.down)) ** 2 for r in found.ranked)
    fixed = limits(make_workspace([replace(c, templates=tuple(_bare(t) for t in c.templates)) for c in falling()], "s"))
    assert 0 < statistical < found.mu_error**2
    assert fixed.expected.median < limits(make_workspace(falling(), "s")).expected.median


def _bare(template):
    return replace(template, shapes={}, norms={}, errors=np.zeros(len(template.values)))


def test_a_parameter_that_moves_the_background_up_moves_the_signal_down():
    found = impacts(counting_workspace(100, 0, 20, 110, norms={"x": (0.9, 1.1)})).ranked[0]
    assert found.parameter == "x"
    assert found.up == pytest.approx(-0.5, abs=0.05)
    assert found.down == pytest.approx(0.5, abs=0.05)


def test_minuit_fits_what_newton_does_not(monkeypatch):
    pytest.importorskip("iminuit")
    likelihood, _, data = random_point()
    newton = best(likelihood, data)
    monkeypatch.setattr(fits, "_STEPS", 1)
    start = likelihood.start(len(data), mu=1.0)
    np.testing.assert_allclose(fit(likelihood, data, start=start).nll, newton.nll, atol=1e-4)


def test_a_fit_that_does_not_converge_names_the_parameter(monkeypatch):
    likelihood, _, data = random_point()
    monkeypatch.setattr(fits, "_STEPS", 0)
    monkeypatch.setitem(__import__("sys").modules, "iminuit", None)
    with pytest.raises(FitError, match=r"does not converge: \S.* is still .* standard deviations"):
        fit(likelihood, data, start=likelihood.start(len(data), mu=1.0))


def test_few_simulated_signal_events_give_no_limit_and_say_so_instead_of_failing():
    """Their own error allows that there is no signal at all, at any strength: the curve of q saturates."""
    b = Template("b", "background", np.array([4975.0, 889.0, 556.0]), np.array([903.0, 180.0, 145.0]))
    s = Template("s", "signal", np.array([3.7, 0.9, 6.5]), np.array([1.85, 0.92, 2.44]))
    found = limits(make_workspace([Channel("R1", "MET", np.array([0.0, 1.0, 2.0, 3.0]), (b, s))], "s"))
    assert found.expected.plus_2 is None
    assert found.expected.median is not None
    alone = Template("s", "signal", np.array([0.0, 0.0, 6.5]), np.array([0.0, 0.0, 6.5]))
    nothing = limits(make_workspace([Channel("R1", "MET", np.array([0.0, 1.0, 2.0, 3.0]), (b, alone))], "s"))
    assert nothing.expected.median is None
    assert "no limit below" in nothing.sentence
