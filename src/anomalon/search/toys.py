"""Pseudo-experiments, for limits and significances where asymptotic formulas fail.

Counts are drawn from Poisson distributions and auxiliary measurements from their Gaussians, around one point of the
nuisance parameters: the one before any fit for expected values, the one fitted to the data at the tested signal
strength for observed values. Every pseudo-experiment is fitted as data are. Many are fitted at a time.

A p-value is the part of n pseudo-experiments with a test statistic at least as large; its error is binomial, and where
there is none it is told to be below 1 / n.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import norm

from anomalon.search.asymptotics import BANDS, at, best, discovery_statistic, upper_statistic
from anomalon.search.fits import Fit
from anomalon.search.likelihood import LEAST_GAMMA, Data, Floats, Likelihood
from anomalon.search.limits import (
    Band,
    Excess,
    Limits,
    LimitSettings,
    ScanPoint,
    asymptotic_limits,
    observed_data,
    sentence,
)

_TIES = 1e-6
"""Test statistics closer than this are equal: fits are no more exact, and counts make many ties."""
_POINTS = 7
_GROWTH = 1.4
_FEWEST = 5.0
_NEAR = 4
"""Points of a curve through which a parabola finds the limit."""


@dataclass(frozen=True)
class Truth:
    """What pseudo-experiments are drawn from: parameters, shape (parameter,), and gammas, shape (2, bin)."""

    theta: Floats
    gammas: Floats


def nominal(likelihood: Likelihood, mu: float) -> Truth:
    """The parameters before any fit."""
    return Truth(likelihood.start(1, mu=mu)[0], np.ones(likelihood.widths.shape))


def draw(likelihood: Likelihood, truth: Truth, n: int, *, random: np.random.Generator) -> Data:
    """Pseudo-experiments: counts and auxiliary measurements."""
    yields = likelihood.expectation.yields(truth.theta[None])[0]
    expected = np.maximum((truth.gammas * yields).sum(axis=0), 0.0)
    counts = random.poisson(expected, size=(n, len(expected))).astype(np.float64)
    centres = random.normal(truth.theta[1:], 1.0, size=(n, len(truth.theta) - 1))
    gammas = random.normal(truth.gammas, likelihood.widths, size=(n, *likelihood.widths.shape))
    return replace(likelihood.data(counts), centres=centres, gammas=np.where(likelihood.widths > 0, gammas, 1.0))


@dataclass
class _Ensemble:
    """p-values of signal strengths for one choice of the truth, with the background-only toys drawn once.

    Attributes:
        truth: point of the nuisance parameters that belongs to a signal strength.
        observed: data whose p-values are asked for; None for the median and the bands of background-only toys.
    """

    likelihood: Likelihood
    settings: LimitSettings
    truth: Callable[[float], Truth]
    observed: Data | None
    random: np.random.Generator

    def __post_init__(self) -> None:
        self._background = self._drawn(0.0)
        self._background_free = best(self.likelihood, self._background)
        self._free = None if self.observed is None else best(self.likelihood, self.observed)

    def _drawn(self, mu: float) -> Data:
        return draw(self.likelihood, self.truth(mu), self.settings.toys, random=self.random)

    def p_values(self, mu: float) -> Floats:
        """CLs or CLs+b, shape (5,) for the bands or (1,) for data.

        Where no toy is left half a one is taken, or what gives half the level of the limit: logarithms exist.
        """
        signal = self._drawn(mu)
        with_signal = self._q(signal, mu, best(self.likelihood, signal))
        background = self._q(self._background, mu, self._background_free)
        if self.observed is None or self._free is None:
            tested = np.quantile(background, norm.cdf(-np.asarray(BANDS, dtype=np.float64)), method="inverted_cdf")
        else:
            tested = self._q(self.observed, mu, self._free)
        alone = np.maximum(_at_least(background, tested), 0.5 / len(background))
        alone = alone if self.settings.method == "CLs" else np.ones(len(tested))
        least = np.minimum(0.5 / len(with_signal), 0.5 * (1.0 - self.settings.confidence) * alone)
        return np.maximum(_at_least(with_signal, tested), least) / alone

    def _q(self, data: Data, mu: float, free: Fit) -> Floats:
        return upper_statistic(self.likelihood, data, np.full(len(data), mu), free=free)


def _at_least(toys: Floats, values: Floats) -> Floats:
    """Part of the toys at or above each value."""
    ordered = np.sort(toys)
    return np.asarray(1.0 - np.searchsorted(ordered, values - _TIES, side="left") / len(ordered))


def toy_limits(likelihood: Likelihood, settings: LimitSettings) -> Limits:
    """Limits from pseudo-experiments, looked for around the asymptotic ones."""
    first = asymptotic_limits(likelihood, settings)
    known = [v for v in (*first.expected.model_dump().values(), first.observed) if v]
    mu = list(
        np.geomspace(0.5 * min(known, default=likelihood.scale), 1.6 * max(known, default=likelihood.scale), _POINTS)
    )
    seeds = np.random.SeedSequence(settings.seed).spawn(2)
    prior = _Ensemble(likelihood, settings, lambda m: nominal(likelihood, m), None, np.random.default_rng(seeds[0]))
    expected = _Series(prior, settings).over(mu)
    observed = None
    if not likelihood.blinded:
        data = observed_data(likelihood)
        fitted = _Ensemble(
            likelihood, settings, lambda m: _fitted(likelihood, data, m), data, np.random.default_rng(seeds[1])
        )
        observed = _Series(fitted, settings).over(mu)
    return _summary(likelihood, settings, expected, observed)


def _fitted(likelihood: Likelihood, data: Data, mu: float) -> Truth:
    """Nuisance parameters fitted to data at a signal strength."""
    found = at(likelihood, data, mu)
    return Truth(found.theta[0], np.maximum(found.gammas[0], LEAST_GAMMA))


class _Series:
    """p-values at a growing list of signal strengths, in their order."""

    def __init__(self, ensemble: _Ensemble, settings: LimitSettings):
        self._ensemble, self._settings = ensemble, settings
        self.mu: list[float] = []
        self.p = np.empty((0, 0))

    def over(self, mu: list[float]) -> _Series:
        """Compute the points, and more on both sides until every curve crosses the level of the limit."""
        alpha = 1.0 - self._settings.confidence
        self._add(mu)
        while self.p[-1].max() >= alpha and self.mu[-1] < self._settings.maximum:
            self._add([min(self.mu[-1] * _GROWTH, self._settings.maximum)])
        while self.p[0].min() <= alpha and self.mu[0] > 1e-3 * mu[0]:
            self._add([self.mu[0] / _GROWTH])
        return self

    def _add(self, mu: list[float]) -> None:
        rows = np.asarray([self._ensemble.p_values(m) for m in mu])
        self.p = rows if not self.mu else np.concatenate([self.p, rows])
        order = np.argsort(self.mu + mu)
        self.mu, self.p = [(self.mu + mu)[i] for i in order], self.p[order]

    def limits(self) -> list[float | None]:
        """Where each curve crosses the level of the limit."""
        return [self._crossing(np.log(column)) for column in self.p.T]

    def _crossing(self, log_p: Floats) -> float | None:
        """A parabola through the nearest points, within the pair of points between which the curve crosses last."""
        target = np.log(1.0 - self._settings.confidence)
        above = np.flatnonzero(log_p >= target)
        if not len(above):
            return 0.0
        last = int(above[-1])
        if last + 1 == len(log_p):
            return None
        mu = np.asarray(self.mu)
        near = slice(max(last + 1 - _NEAR // 2, 0), last + 1 + _NEAR // 2)
        at_level = np.interp(-target, -log_p[last : last + 2], mu[last : last + 2])
        if len(mu[near]) < _NEAR or (np.diff(log_p[near]) >= 0).any():
            return float(at_level)
        return float(np.clip(np.polyval(np.polyfit(log_p[near], mu[near], 2), target), mu[last], mu[last + 1]))

    def error(self, limit: float | None, column: int) -> float | None:
        """Statistical error of a limit: that of the p-value over the slope of the curve."""
        if not limit or len(self.mu) < 2:
            return None
        alpha = 1.0 - self._settings.confidence
        i = int(np.clip(np.searchsorted(self.mu, limit), 1, len(self.mu) - 1))
        slope = (np.log(self.p[i, column]) - np.log(self.p[i - 1, column])) / (self.mu[i] - self.mu[i - 1])
        return float(np.sqrt((1 - alpha) / alpha / self._settings.toys) / abs(slope)) if slope < 0 else None


def _summary(likelihood: Likelihood, settings: LimitSettings, expected: _Series, observed: _Series | None) -> Limits:
    found = expected.limits()
    band = Band(**dict(zip(Band.model_fields, found, strict=True)))
    limit = None if observed is None else observed.limits()[0]
    seen = {} if observed is None else dict(zip(observed.mu, observed.p[:, 0].tolist(), strict=True))
    scan = [
        ScanPoint(mu=float(m), expected=tuple(np.minimum(p, 1.0).tolist()), observed=seen.get(m))
        for m, p in zip(expected.mu, expected.p, strict=True)
    ]
    return Limits(
        method=settings.method,
        confidence=settings.confidence,
        calculator="toys",
        toys=settings.toys,
        seed=settings.seed,
        expected=band,
        observed=limit,
        blinded=likelihood.blinded,
        scan=tuple(scan),
        error=expected.error(found[2], 2) if observed is None else observed.error(limit, 0),
        sentence=sentence(band, limit, likelihood.blinded, settings),
        warnings=_few_toys(settings),
    )


def _few_toys(settings: LimitSettings) -> tuple[str, ...]:
    """A warning where the band two standard deviations down rests on a handful of toys with signal."""
    left = settings.toys * (1.0 - settings.confidence) * (float(norm.cdf(-2)) if settings.method == "CLs" else 1.0)
    if left >= _FEWEST:
        return ()
    told = (
        f"{settings.toys} toys leave {left:.2g} of them beyond the limit two standard deviations below the median, so "
        f"that this end of the band is rough; {int(np.ceil(settings.toys * _FEWEST / left))} toys would do"
    )
    return (told,)


def toy_excesses(likelihood: Likelihood, settings: LimitSettings) -> tuple[Excess, Excess | None, float | None]:
    """Expected and observed significance, and the fitted signal strength."""
    random = np.random.default_rng(settings.seed)
    signal = likelihood.asimov(likelihood.start(1, mu=1.0))
    expected, _ = toy_excess(likelihood, signal, nominal(likelihood, 0.0), n=settings.toys, random=random)
    if likelihood.blinded:
        return expected, None, None
    data = observed_data(likelihood)
    return (expected, *toy_excess(likelihood, data, _fitted(likelihood, data, 0.0), n=settings.toys, random=random))


def toy_excess(
    likelihood: Likelihood, data: Data, truth: Truth, *, n: int, random: np.random.Generator
) -> tuple[Excess, float]:
    """Significance of one data set from background-only pseudo-experiments, and its fitted signal strength."""
    toys = draw(likelihood, truth, n, random=random)
    q = discovery_statistic(likelihood, toys, free=best(likelihood, toys))
    free = best(likelihood, data)
    tested = discovery_statistic(likelihood, data, free=free)
    p = float(_at_least(q, tested)[0]) if tested[0] > _TIES else 0.5
    known = max(p, 1.0 / n)
    z = max(float(norm.isf(known)), 0.0)
    error = float(np.sqrt(p * (1.0 - p) / n)) if p > 0 else None
    return Excess(p_value=known, z=z, error=error, at_most=p == 0), float(free.mu[0])
