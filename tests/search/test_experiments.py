"""Pseudo-experiments: p-values that are as they should be pass, those that are not do not; signals come back."""

import numpy as np
import pytest

from anomalon.bumps.records import BumpHuntSettings
from anomalon.bumps.windows import Hypothesis
from anomalon.likelihood.asymptotics import best, discovery_statistic
from anomalon.likelihood.limits import discovery
from anomalon.likelihood.model import read_likelihood
from anomalon.likelihood.templates import Channel, Template
from anomalon.likelihood.workspace import make_workspace
from anomalon.search.experiments import background_only, check_likelihood, hunt_p_values, strength_of

pyhf = pytest.importorskip("pyhf", reason="needs the extra stats")

RANDOM = np.random.default_rng(4)


def likelihood():
    background = Template(
        "b", "background", np.array([80.0, 30.0, 12.0]), np.array([2.0, 1.0, 0.6]), norms={"lumi": (0.98, 1.02)}
    )
    signal = Template("s", "signal", np.array([2.0, 4.0, 6.0]), np.array([0.1, 0.1, 0.1]))
    return read_likelihood(make_workspace([Channel("R1", "MET", np.array([0.0, 1, 2, 3]), (background, signal))], "s"))


def test_uniform_p_values_pass_with_and_without_a_ceiling():
    p = RANDOM.random(400)
    assert background_only("test", p).passed
    assert background_only("test", np.minimum(p, 0.5), ceiling=0.5).passed


@pytest.mark.parametrize("wrong", [lambda p: p**2, np.sqrt, lambda p: p / 4])
def test_p_values_that_are_too_small_or_too_large_do_not(wrong):
    assert not background_only("test", wrong(RANDOM.random(400))).passed


def test_a_strength_gives_the_significance_that_was_asked_for():
    model = likelihood()
    for wanted in (1.0, 5.0):
        mu = strength_of(model, wanted, 1.0)
        data = model.asimov(model.start(1, mu=mu))
        assert np.sqrt(discovery_statistic(model, data, free=best(model, data)))[0] == pytest.approx(wanted, rel=5e-3)


@pytest.mark.slow
def test_the_likelihood_finds_what_was_injected_and_nothing_where_nothing_is():
    model = likelihood()
    empty, injected = check_likelihood("s", model, discovery(model), injections=(3.0, 5.0), number=400, seed=5)
    assert empty.passed
    assert [one.passed for one in injected] == [True, True]
    assert injected[1].fitted_mu == pytest.approx(injected[1].mu, abs=4 * injected[1].fitted_error)


@pytest.mark.slow
def test_background_only_spectra_have_uniform_global_p_values():
    slices = np.array([np.linspace(60, 6, 12), np.linspace(20, 3, 12)])
    hypothesis = Hypothesis(slices, np.sqrt(slices * 0.2), 0.1)
    p = hunt_p_values(hypothesis, np.linspace(100, 700, 13), BumpHuntSettings(toys=500, seed=3), 200)
    assert background_only("hunt", p).passed
