"""Pseudo-experiments: does the machinery find what was put in, and nothing where there is nothing?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import kstest, norm

from anomalon.bumps.hunt import bump_hunt_over
from anomalon.bumps.records import BumpHuntSettings
from anomalon.bumps.windows import Hypothesis
from anomalon.config import Settings
from anomalon.likelihood.asymptotics import best, discovery_statistic
from anomalon.likelihood.limits import Discovery
from anomalon.likelihood.model import Likelihood
from anomalon.likelihood.toys import draw, nominal
from anomalon.search.stability import SeedStability

Floats = npt.NDArray[np.float64]

LEAST_KS = 0.01
FIRES = (0.02, 0.09)
"""Between these shares of background-only experiments, a test at 5 % should fire."""
LEVEL = 0.05
_STREAM = 7_919
"""Keeps the experiments apart from the toys of the same seed."""


class BackgroundOnly(Settings):
    """p-values of pseudo-experiments without a signal.

    Attributes:
        what: such as a likelihood or a bump hunt.
        experiments: drawn.
        ks_p: Kolmogorov-Smirnov probability that the p-values of experiments with an excess are uniform; a deficit is
            none, and all of them have the same p-value.
        fires: share of p-values below 5 %.
        passed: ks_p above 1 % and ``fires`` between 2 % and 9 %.
        p_values: of all experiments.
        sentence: what came out.
    """

    what: str
    experiments: int
    ks_p: float | None
    fires: float
    passed: bool
    p_values: tuple[float, ...]
    sentence: str


class Injection(Settings):
    """Pseudo-experiments with a signal.

    Attributes:
        expected_z: significance that the injected strength should have.
        mu: injected strength.
        fitted_mu, fitted_error: mean of the fitted strengths, and its error.
        median_z: of the experiments.
        passed: whether ``median_z`` is within one standard deviation of ``expected_z``.
    """

    signal_name: str
    expected_z: float
    mu: float
    fitted_mu: float
    fitted_error: float
    median_z: float
    passed: bool


class Validation(Settings):
    """The checks that retrain or need pseudo-experiments.

    Attributes:
        stability: of the main detector over seeds.
        background_only: one per likelihood and per mass spectrum.
        injections: of every signal.
    """

    stability: SeedStability
    background_only: tuple[BackgroundOnly, ...]
    injections: tuple[Injection, ...]


def background_only(what: str, p_values: Floats, *, ceiling: float = 1.0) -> BackgroundOnly:
    """Compare p-values with what chance gives.

    Args:
        what: name of the test.
        p_values: of background-only experiments, shape (experiment,).
        ceiling: p-value of every experiment without an excess; those below it are uniform up to the largest one.

    >>> background_only("test", np.linspace(0.005, 0.995, 100)).passed
    True
    """
    seen = p_values[p_values < ceiling * (1 - 1e-9)]
    seen = seen / (seen.max() * (1 + 1 / len(seen))) if len(seen) else seen
    ks = float(kstest(seen, "uniform").pvalue) if len(seen) else None
    fires = float((p_values <= LEVEL).mean())
    passed = ks is not None and ks > LEAST_KS and FIRES[0] <= fires <= FIRES[1]
    sentence = (
        f"{what}: of {len(p_values)} background-only experiments {100 * fires:.1f} % have p below 5 %"
        + (f"; p-values are uniform with a Kolmogorov-Smirnov probability of {ks:.2g}" if ks is not None else "")
        + (": as it should be." if passed else ": not as it should be.")
    )
    return BackgroundOnly(
        what=what, experiments=len(p_values), ks_p=ks, fires=fires, passed=passed,
        p_values=tuple(p_values.tolist()), sentence=sentence,
    )  # fmt: skip


def likelihood_experiments(likelihood: Likelihood, mu: float, number: int, *, seed: int) -> tuple[Floats, Floats]:
    """Fitted strengths and significances of pseudo-experiments with a signal of some strength, shape (experiment,)."""
    data = draw(likelihood, nominal(likelihood, mu), number, random=np.random.default_rng(seed))
    free = best(likelihood, data)
    return free.mu, np.sqrt(discovery_statistic(likelihood, data, free=free))


def check_likelihood(
    signal: str, likelihood: Likelihood, found: Discovery, *, injections: Sequence[float], number: int, seed: int
) -> tuple[BackgroundOnly, tuple[Injection, ...]]:
    """Pseudo-experiments without and with the signal.

    Args:
        signal: its name.
        likelihood: of the regions.
        found: expected significance at strength 1, from which the injected strengths are scaled.
        injections: significances to inject.
        number: experiments of each kind.
        seed: of the draws.
    """
    _, z = likelihood_experiments(likelihood, 0.0, number, seed=seed)
    empty = background_only(f"likelihood, {signal}", norm.sf(z), ceiling=0.5)
    unit = found.expected.z if found.expected is not None else 0.0
    return empty, tuple(
        inject(signal, likelihood, wanted, number, guess=wanted / unit, seed=seed + 1 + i)
        for i, wanted in enumerate(injections)
        if unit > 0
    )


def inject(signal: str, likelihood: Likelihood, wanted: float, number: int, *, guess: float, seed: int) -> Injection:
    """Experiments with a signal that Asimov data see with the wanted significance."""
    mu = strength_of(likelihood, wanted, guess)
    fitted, z = likelihood_experiments(likelihood, mu, number, seed=seed)
    median = float(np.median(z))
    return Injection(
        signal_name=signal,
        expected_z=wanted,
        mu=mu,
        fitted_mu=float(fitted.mean()),
        fitted_error=float(fitted.std(ddof=1) / np.sqrt(number)),
        median_z=median,
        passed=abs(median - wanted) < 1.0,
    )


def strength_of(likelihood: Likelihood, wanted: float, guess: float) -> float:
    """Signal strength whose Asimov data have a significance; by repeated secants from a guess."""
    mu = guess
    for _ in range(20):
        data = likelihood.asimov(likelihood.start(1, mu=mu))
        z = float(np.sqrt(discovery_statistic(likelihood, data, free=best(likelihood, data)))[0])
        if z <= 0 or abs(z - wanted) < 1e-3 * max(wanted, 1.0):
            break
        mu *= min(max(wanted / z, 0.2), 5.0)
    return mu


def hunt_p_values(hypothesis: Hypothesis, edges: Floats, settings: BumpHuntSettings, number: int) -> Floats:
    """Global p-values of background-only spectra, each hunted with toys of its own; shape (experiment,).

    Args:
        hypothesis: the background, in disjoint slices of the score.
        edges: of the bins.
        settings: of the hunts; the error of the normalisation is that of the background.
        number: of experiments.
    """
    known = settings.model_copy(update={"normalisation_error": hypothesis.normalisation_error})
    slices = hypothesis.draw(np.random.default_rng([settings.seed, _STREAM]), number)
    found = (
        bump_hunt_over(
            np.asarray(slices[..., i], dtype=np.float64), hypothesis.slices, edges=edges, errors=hypothesis.errors,
            settings=known.model_copy(update={"seed": settings.seed + 1 + i}),
        )
        for i in range(number)
    )  # fmt: skip
    return np.asarray([one.global_p.value for one in found])
