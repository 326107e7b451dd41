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

from anomalon.likelihood.asymptotics import BANDS, at, best, discovery_statistic, upper_statistic
from anomalon.likelihood.fits import Fit
from anomalon.likelihood.limits import (
    Band,
    Excess,
    Limits,
    LimitSettings,
    ScanPoint,
    asymptotic_band,
    observed_data,
    sentence,
)
from anomalon.likelihood.model import LEAST_GAMMA, Data, Floats, Likelihood

_TIES = 1e-6
"""Test statistics closer than this are equal: fits are no more exact, and counts make many ties."""
_POINTS = 7
_GROWTH = 1.4
_FEWEST = 5.0
_CLOSE = 0.03
_FINE = 500
_NEAR = 8.0
"""Points whose p-value differs from the level by no more than this factor help to find the limit."""


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

    def p_values(self, mu: float) -> tuple[Floats, Floats]:
        """CLs or CLs+b and their relative errors, shape (5,) for the bands or (1,) for data.

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
        both = np.maximum(_at_least(with_signal, tested), least)
        n = self.settings.toys
        return both / alone, np.sqrt((1.0 - both) / (both * n) + (1.0 - alone) / (alone * n))

    def _q(self, data: Data, mu: float, free: Fit) -> Floats:
        return upper_statistic(self.likelihood, data, np.full(len(data), mu), free=free)


def _at_least(toys: Floats, values: Floats) -> Floats:
    """Part of the toys at or above each value."""
    ordered = np.sort(toys)
    return np.asarray(1.0 - np.searchsorted(ordered, values - _TIES, side="left") / len(ordered))


def toy_limits(likelihood: Likelihood, settings: LimitSettings) -> Limits:
    """Limits from pseudo-experiments, looked for around the asymptotic ones that are expected."""
    known = [v for v in asymptotic_band(likelihood, settings).model_dump().values() if v] or [likelihood.scale]
    mu = list(np.geomspace(0.5 * min(known), 1.6 * max(known), _POINTS))
    seeds = [np.random.default_rng(seed) for seed in np.random.SeedSequence(settings.seed).spawn(2)]
    prior = _Ensemble(likelihood, settings, lambda m: nominal(likelihood, m), None, seeds[0])
    expected = _Series(prior, settings).over(mu)
    band = expected.limits()
    observed = None
    if not likelihood.blinded:
        data = observed_data(likelihood)
        fitted = _Ensemble(likelihood, settings, lambda m: _fitted(likelihood, data, m), data, seeds[1])
        observed = _Series(fitted, settings).over(mu)
        expected.add([m for m in observed.mu if m not in expected.mu])  # for the scan: the band is known by now
    return _summary(likelihood, settings, band, (expected, observed))


def _fitted(likelihood: Likelihood, data: Data, mu: float) -> Truth:
    """Nuisance parameters fitted to data at a signal strength."""
    found = at(likelihood, data, mu)
    return Truth(found.theta[0], np.maximum(found.gammas[0], LEAST_GAMMA))


class _Series:
    """p-values at a growing list of signal strengths, in their order."""

    def __init__(self, ensemble: _Ensemble, settings: LimitSettings):
        self._ensemble, self._settings = ensemble, settings
        self.mu: list[float] = []
        self.p = self.errors = np.empty((0, 0))

    def over(self, mu: list[float]) -> _Series:
        """Compute the points, more on both sides until every curve crosses the level of the limit, and those places."""
        alpha = 1.0 - self._settings.confidence
        self.add(mu)
        while self.p[-1].max() >= alpha and self.mu[-1] < self._settings.farthest:
            self.add([min(self.mu[-1] * _GROWTH, self._settings.farthest)])
        while self.p[0].min() <= alpha and self.mu[0] > 1e-3 * mu[0]:
            self.add([self.mu[0] / _GROWTH])
        for limit in self.limits():
            if limit and min(abs(np.log(limit / m)) for m in self.mu) > _CLOSE:
                self.add([limit])
        return self

    def add(self, mu: list[float]) -> None:
        """Compute more points."""
        for one in mu:
            p, errors = self._ensemble.p_values(one)
            i = int(np.searchsorted(self.mu, one))
            self.mu.insert(i, one)
            self.p = np.insert(self.p.reshape(-1, len(p)), i, p, axis=0)
            self.errors = np.insert(self.errors.reshape(-1, len(p)), i, errors, axis=0)

    def limits(self) -> list[float | None]:
        """Where each curve crosses the level of the limit."""
        return [self._crossing(p, errors) for p, errors in zip(self.p.T, self.errors.T, strict=True)]

    def _crossing(self, p: Floats, errors: Floats) -> float | None:
        """A parabola through logarithms of p-values near the level, where the curve crosses it last."""
        alpha, mu = 1.0 - self._settings.confidence, np.asarray(self.mu)
        above = np.flatnonzero(p >= alpha)
        if not len(above):
            return 0.0
        last = int(above[-1])
        if last + 1 == len(p):
            return None
        near = (p > alpha / _NEAR) & (p < min(_NEAR * alpha, 0.7))
        if near.sum() < 4:
            return float(np.interp(-np.log(alpha), -np.log(p[last : last + 2]), mu[last : last + 2]))
        parabola = np.polynomial.Polynomial.fit(mu[near], np.log(p[near]), 2, w=1 / errors[near])
        fine = np.linspace(mu[max(last - 1, 0)], mu[min(last + 2, len(mu) - 1)], _FINE)
        below = np.flatnonzero(parabola(fine) < np.log(alpha))
        return float(fine[below[0]]) if len(below) else float(fine[-1])

    def error(self, limit: float | None, column: int) -> float | None:
        """Statistical error of a limit: that of the p-value over the slope of the curve."""
        if not limit or len(self.mu) < 2:
            return None
        i = int(np.clip(np.searchsorted(self.mu, limit), 1, len(self.mu) - 1))
        first, last = max(i - 2, 0), min(i + 1, len(self.mu) - 1)
        slope = np.log(self.p[last, column] / self.p[first, column]) / (self.mu[last] - self.mu[first])
        return float(np.interp(limit, self.mu, self.errors[:, column]) / abs(slope)) if slope < 0 else None


def _summary(
    likelihood: Likelihood,
    settings: LimitSettings,
    found: list[float | None],
    series: tuple[_Series, _Series | None],
) -> Limits:
    expected, observed = series
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
