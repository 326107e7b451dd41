"""Check limits and significances on pseudo-experiments whose truth is known; print the table of docs/statistics.md.

Usage: python scripts/validate_statistics.py [--experiments 2000] [--seed 1]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.stats import binom, kstest, norm

from anomalon.likelihood.asymptotics import at, best, discovery_statistic, log_tails, upper_statistic
from anomalon.likelihood.limits import LimitSettings, discovery, limits
from anomalon.likelihood.model import Data, Floats, Likelihood, read_likelihood
from anomalon.likelihood.templates import Channel, Template
from anomalon.likelihood.toys import draw, nominal
from anomalon.likelihood.workspace import make_workspace

BINS = 6


@dataclass(frozen=True)
class Check:
    """A law, what was measured and what is allowed."""

    law: str
    measured: str
    allowed: str
    holds: bool

    @property
    def row(self) -> str:
        """As a row of a Markdown table."""
        return f"| {self.law} | {self.measured} | {self.allowed} | {'yes' if self.holds else '**no**'} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Limits and significances on pseudo-experiments with known truth.")
    parser.add_argument("--experiments", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    likelihood = example()
    print("| law | measured | allowed | holds |\n|---|---|---|---|")
    for check in checks(likelihood, options.experiments, options.seed):
        print(check.row)


def example(scale: float = 60.0) -> Likelihood:
    """Two channels of six bins, two backgrounds, a shape, three norms and statistical errors; scale is the yield."""
    x = np.arange(BINS)
    channels = []
    for name, size in (("R1", scale), ("R2", 0.4 * scale)):
        templates = []
        for process, slope in (("ttbar", 0.35), ("Z", 0.2)):
            values = size * np.exp(-slope * x)
            tilt = 1 + 0.08 * np.linspace(-1, 1, BINS)
            norms = {"luminosity": (0.98, 1.02), f"cross section {process}": (0.93, 1.07)}
            shapes = {"jet energy": (values / tilt, values * tilt)}
            templates.append(Template(process, "background", values, np.sqrt(0.1 * values), shapes, norms))
        signal = np.exp(-0.5 * ((x - 4) / 1.2) ** 2)
        norms = {"luminosity": (0.98, 1.02)}
        templates.append(Template("signal", "signal", 10 * signal, 0.1 * signal, {}, norms))
        channels.append(Channel(name, "MET", np.linspace(0.0, 50.0 * BINS, BINS + 1), tuple(templates)))
    return read_likelihood(make_workspace(channels, "signal"))


def checks(likelihood: Likelihood, n: int, seed: int) -> Iterator[Check]:
    """All rows."""
    random = np.random.default_rng(seed)
    yield from background_only(likelihood, n, random)
    for z in (3.0, 5.0):
        yield injected(likelihood, z, n, random)
    for part in (0.0, 1.0, 3.0):
        yield from coverage(likelihood, part, n, random)
    yield agreement(likelihood, random)
    yield nothing(random)


def excesses(likelihood: Likelihood, data: Data) -> Floats:
    """Z of every data set."""
    return np.asarray(np.sqrt(discovery_statistic(likelihood, data, free=best(likelihood, data))))


def background_only(likelihood: Likelihood, n: int, random: np.random.Generator) -> Iterator[Check]:
    """p_0 is 0.5 in half of the experiments, where the best strength is 0, and uniform below 0.5 in the others."""
    z = excesses(likelihood, draw(likelihood, nominal(likelihood, 0.0), n, random=random))
    p = norm.sf(z[z > 0])
    ks = float(kstest(2 * p, "uniform").pvalue)
    yield Check(f"background only, {n} experiments: p₀ uniform below 0.5", f"KS p = {ks:.2g}", "> 0.01", ks > 0.01)
    for level in (0.05, 0.0013499):
        yield _binomial(f"background only: p₀ < {level:.2g}", int((norm.sf(z) < level).sum()), n, level, both=True)
    yield _binomial("background only: fitted strength above 0", int((z > 0).sum()), n, 0.5, both=True)


def injected(likelihood: Likelihood, z: float, n: int, random: np.random.Generator) -> Check:
    """A signal as large as has a median significance of z in Asimov data is found with it."""
    mu = strength(likelihood, z)
    found = excesses(likelihood, draw(likelihood, nominal(likelihood, mu), n, random=random))
    median = float(np.median(found))
    return Check(
        f"signal of {z:g} sigma: median significance",
        f"{median:.2f} ± {1.25 * found.std() / np.sqrt(n):.2f}",
        f"{z - 1:g} to {z + 1:g}",
        abs(median - z) < 1,
    )


def strength(likelihood: Likelihood, z: float) -> float:
    """Signal strength with a median significance of z, by bisection."""
    low, high = 0.0, 100 * likelihood.scale
    while high - low > 1e-4 * high:
        middle = 0.5 * (low + high)
        asimov = likelihood.asimov(likelihood.start(1, mu=middle))
        low, high = (middle, high) if excesses(likelihood, asimov)[0] < z else (low, middle)
    return high


def coverage(likelihood: Likelihood, part: float, n: int, random: np.random.Generator) -> Iterator[Check]:
    """A true strength, a part of the expected limit, is below the limit in 95 % of experiments, or more with CLs."""
    truth = part * (limits(likelihood).expected.median or 0.0)
    tested = max(truth, 1e-3 * likelihood.scale)
    data = draw(likelihood, nominal(likelihood, tested), n, random=random)
    both, background = log_p_values(likelihood, data, tested)
    where = f"true strength {part:g} times the expected limit"
    covered = int((both >= np.log(0.05)).sum())
    yield _binomial(f"{where}: below the CLs+b limit", covered, n, 0.95, both=True)
    covered = int((both - background >= np.log(0.05)).sum())
    yield _binomial(f"{where}: below the CLs limit", covered, n, 0.95, both=False)


def log_p_values(likelihood: Likelihood, data: Data, mu: float) -> tuple[Floats, Floats]:
    """Logarithms of CLs+b and CLb of every data set at one signal strength."""
    background = at(likelihood, data, 0.0)
    asimov = likelihood.asimov(background.theta, background.gammas)
    tested = np.full(len(data), mu)
    q = upper_statistic(likelihood, data, tested, free=best(likelihood, data))
    return log_tails(q, upper_statistic(likelihood, asimov, tested, free=best(likelihood, asimov)))


def agreement(likelihood: Likelihood, random: np.random.Generator) -> Check:
    """Limits and significances of toys and of asymptotic formulas, where there are enough events for both."""
    counts = random.poisson(likelihood.observed).astype(np.float64)
    seen = replace(likelihood, observed=counts, blinded=False)
    toys = LimitSettings(toys=4000, seed=int(random.integers(1 << 31)))
    ratio = (limits(seen, toys).observed or np.nan) / (limits(seen).observed or np.nan)
    first, second = discovery(seen, toys).expected, discovery(seen).expected
    difference = (first.z if first else np.nan) - (second.z if second else np.nan)
    return Check(
        "toys beside asymptotic formulas: limit, expected Z",
        f"ratio {ratio:.3f}, difference {difference:+.2f}",
        "0.9 to 1.1, ± 0.15",
        abs(ratio - 1) < 0.1 and abs(difference) < 0.15,
    )


def nothing(random: np.random.Generator) -> Check:
    """Nothing observed and nothing expected excludes 3.0 events: exp(-s) = 0.05."""
    templates = [Template(name, role, np.array([v]), np.zeros(1)) for name, role, v in _EMPTY]
    channel = Channel("R1", "MET", np.array([0.0, 1.0]), tuple(templates), np.zeros(1))
    found = limits(make_workspace([channel], "s"), LimitSettings(toys=20000, seed=int(random.integers(1 << 31))))
    value, error = found.observed or np.nan, found.error or np.nan
    law = "nothing observed, no background: CLs limit with toys"
    return Check(
        law, f"{value:.2f} ± {error:.2f} events", "2.996 within 3 errors", abs(value + np.log(0.05)) < 3 * error
    )


_EMPTY: tuple[tuple[str, Literal["background", "signal"], float], ...] = (
    ("b", "background", 0.0),
    ("s", "signal", 1.0),
)


def _binomial(law: str, k: int, n: int, p: float, *, both: bool) -> Check:
    """Counts k of n where p is expected, within 99 % of the binomial distribution, or not below its lowest 1 %."""
    tail = 0.005 if both else 0.01
    low = float(binom.ppf(tail, n, p)) / n
    high = float(binom.isf(tail, n, p)) / n if both else 1.0
    error = np.sqrt(max(k, 1) * (n - k) / n) / n
    return Check(
        law,
        f"{100 * k / n:.3g} % ± {100 * error:.2g} %",
        f"{100 * low:.3g} to {100 * high:.3g} %",
        low <= k / n <= high,
    )


if __name__ == "__main__":
    main()
