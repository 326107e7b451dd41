"""Upper limits on the strength of a signal, and the significance of an excess.

Expected values come from background-only Asimov data (discovery: from signal-plus-background Asimov data, mu = 1) at
the parameters before any fit; they are computed first and know nothing of what was observed. Observed values use the
parameters fitted to the data, and are None while data are blinded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from pydantic import Field
from scipy.stats import norm

from anomalon.config import Settings
from anomalon.likelihood.asymptotics import (
    BANDS,
    at,
    band_targets,
    best,
    discovery_statistic,
    invert,
    log_tails,
    upper_statistic,
)
from anomalon.likelihood.fits import Fit
from anomalon.likelihood.model import Data, Floats, Likelihood, read_likelihood

Method = Literal["CLs", "CLs+b"]
Calculator = Literal["asymptotic", "toys"]

FEWEST_EVENTS = 10.0
"""Expected background, in the bins that carry the sensitivity, below which asymptotic formulas are not trusted."""
CARRIES = 2.0 / 3.0
"""Those bins are the best ones that together have this part of the information on the signal."""
SMALLEST_P = 1e-300
_SCAN = 25
_FARTHEST = 1e4


class LimitSettings(Settings):
    """How limits and significances are computed.

    Attributes:
        confidence: of the limits.
        method: CLs, or CLs+b, which covers exactly but excludes signals that one is not sensitive to.
        toys: pseudo-experiments per hypothesis; 0 for asymptotic formulas.
        seed: of the pseudo-experiments.
        maximum: signal strength up to which a limit is looked for; None goes to 10,000 times its likely error. With few
            simulated signal events there may be none: their own statistical error allows that there is no signal.
    """

    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    method: Method = "CLs"
    toys: int = Field(default=0, ge=0)
    seed: int = 0
    maximum: float | None = Field(default=None, gt=0)

    def within(self, scale: float) -> LimitSettings:
        """The same with a maximum, given the likely error of the signal strength."""
        return self if self.maximum is not None else self.model_copy(update={"maximum": _FARTHEST * scale})

    @property
    def farthest(self) -> float:
        """The maximum, as a number."""
        return np.inf if self.maximum is None else self.maximum


class Band(Settings):
    """A limit expected from background alone, with its 68 % and 95 % bands; None where there is none."""

    minus_2: float | None = None
    minus_1: float | None = None
    median: float | None = None
    plus_1: float | None = None
    plus_2: float | None = None


class ScanPoint(Settings):
    """p-values (CLs or CLs+b) of one signal strength: expected in the order of the bands, and observed."""

    mu: float
    expected: tuple[float, float, float, float, float]
    observed: float | None = None


class Limits(Settings):
    """Upper limits on a signal strength.

    Attributes:
        expected: from background-only data, before anything observed is used.
        observed: None while blinded, and where there is no limit.
        blinded: whether data are.
        scan: what is drawn.
        error: statistical error of the observed limit, or of the median while blinded, from the number of toys.
        sentence: the result in words; says why there is no limit.
        warnings: what to be careful about, in words.
    """

    method: Method
    confidence: float
    calculator: Calculator
    toys: int = 0
    seed: int | None = None
    expected: Band
    observed: float | None = None
    blinded: bool
    scan: tuple[ScanPoint, ...] = ()
    error: float | None = None
    sentence: str
    warnings: tuple[str, ...] = ()


class Excess(Settings):
    """How unlikely background alone is.

    Attributes:
        p_value: one-sided; 0.5 where there is no excess.
        z: standard deviations.
        error: of the p-value, from the number of toys.
        at_most: whether the p-value is only known to be smaller, and z to be larger.
    """

    p_value: float
    z: float
    error: float | None = None
    at_most: bool = False


class Discovery(Settings):
    """Significance of an excess.

    Attributes:
        expected: of the signal at strength 1; None where background or signal are missing.
        observed: None while blinded.
        mu: fitted strength, at least 0; None while blinded.
    """

    calculator: Calculator
    toys: int = 0
    seed: int | None = None
    expected: Excess | None = None
    observed: Excess | None = None
    blinded: bool
    mu: float | None = None
    sentence: str
    warnings: tuple[str, ...] = ()


def limits(workspace: Mapping[str, Any] | Likelihood, settings: LimitSettings | None = None) -> Limits:
    """Expected and, unless blinded, observed upper limits on the signal strength.

    Args:
        workspace: of :func:`~anomalon.likelihood.workspace.make_workspace`.
        settings: confidence, method, toys.

    Raises:
        FitError: a fit does not converge.
        ConfigError: the workspace has modifiers of other kinds.
    """
    settings = settings or LimitSettings()
    likelihood = workspace if isinstance(workspace, Likelihood) else read_likelihood(workspace)
    settings = settings.within(likelihood.scale)
    if not likelihood.signal.any():
        return _no_limits(likelihood, settings)
    if settings.toys:
        from anomalon.likelihood.toys import toy_limits  # noqa: PLC0415 - it builds on this module

        return toy_limits(likelihood, settings)
    return asymptotic_limits(likelihood, settings)


def asymptotic_limits(likelihood: Likelihood, settings: LimitSettings) -> Limits:
    """Limits with asymptotic distributions."""
    asimov = _background_curve(likelihood)
    band = _band(asimov, settings)
    observed, curves = None, None
    if not likelihood.blinded:
        curves = observed_curves(likelihood)
        target = np.array([-np.log(1.0 - settings.confidence)])
        start = band.median or likelihood.scale
        (observed,) = invert(
            lambda mu: -log_p(*curves, mu, settings.method),
            target,
            start=start,
            maximum=settings.farthest,
        )
    return Limits(
        method=settings.method,
        confidence=settings.confidence,
        calculator="asymptotic",
        expected=band,
        observed=observed,
        blinded=likelihood.blinded,
        scan=_scan(asimov, curves, settings, reach(band, observed, likelihood.scale)),
        sentence=sentence(band, observed, likelihood.blinded, settings),
        warnings=few_events(likelihood),
    )


def asymptotic_band(likelihood: Likelihood, settings: LimitSettings) -> Band:
    """Expected limits with asymptotic distributions."""
    return _band(_background_curve(likelihood), settings)


def _background_curve(likelihood: Likelihood) -> Curve:
    return Curve(likelihood, likelihood.asimov(likelihood.start(1, mu=0.0)))


def _band(asimov: Curve, settings: LimitSettings) -> Band:
    targets = band_targets(settings.method, settings.confidence)
    found = invert(asimov.roots, targets, start=asimov.likelihood.scale, maximum=settings.farthest)
    return Band(**dict(zip(Band.model_fields, found, strict=True)))


class Curve:
    """q~ of one data set as a function of the signal strength; its free fit is made once."""

    def __init__(self, likelihood: Likelihood, data: Data):
        self.likelihood, self.data = likelihood, data
        self.free = best(likelihood, data)

    def q(self, mu: Floats) -> Floats:
        """Shape (mu,)."""
        n = len(mu)
        free = Fit(*(np.repeat(v, n, axis=0) for v in (self.free.theta, self.free.nll, self.free.gammas)))
        return upper_statistic(self.likelihood, self.data.repeat(n), mu, free=free)

    def roots(self, mu: Floats) -> Floats:
        """sqrt(q~), shape (mu,)."""
        return np.asarray(np.sqrt(self.q(mu)))


def observed_data(likelihood: Likelihood) -> Data:
    """What was observed, as one data set."""
    return likelihood.data(likelihood.observed[None])


def observed_curves(likelihood: Likelihood) -> tuple[Curve, Curve]:
    """Of the observed data, and of Asimov data with the background fitted to them."""
    data = observed_data(likelihood)
    background = at(likelihood, data, 0.0)
    return Curve(likelihood, data), Curve(likelihood, likelihood.asimov(background.theta, background.gammas))


def log_p(observed: Curve, asimov: Curve, mu: Floats, method: Method) -> Floats:
    """Ln CLs or ln CLs+b of the observed data, shape (mu,)."""
    both, background = log_tails(observed.q(mu), asimov.q(mu))
    return both - background if method == "CLs" else both


def reach(band: Band, observed: float | None, scale: float) -> float:
    """Largest signal strength that is drawn."""
    known = [v for v in (band.median, band.plus_1, band.plus_2, observed) if v]
    return 1.25 * max(known, default=scale)


def _scan(
    asimov: Curve, curves: tuple[Curve, Curve] | None, settings: LimitSettings, last: float
) -> tuple[ScanPoint, ...]:
    mu = np.linspace(0.0, last, _SCAN)
    roots = asimov.roots(mu)
    expected = np.exp(expected_log_p(roots, settings.method))
    observed = [None] * len(mu) if curves is None else np.exp(log_p(*curves, mu, settings.method)).tolist()
    return tuple(
        ScanPoint(mu=m, expected=tuple(e), observed=o)
        for m, e, o in zip(mu.tolist(), expected.tolist(), observed, strict=True)
    )


def expected_log_p(roots: Floats, method: Method) -> Floats:
    """Ln of the p-values expected in the bands, given sqrt(q_A) of shape (mu,); shape (mu, 5)."""
    n = np.asarray(BANDS, dtype=np.float64)
    both = norm.logsf(roots[:, None] - n)
    return np.asarray(both - norm.logcdf(n) if method == "CLs" else both)


def sentence(band: Band, observed: float | None, blinded: bool, settings: LimitSettings) -> str:
    """The result in words."""
    level = f"{100 * settings.confidence:g} % {settings.method}"
    told = [f"expected {level} limit: {_bound(band.median, settings)}"]
    told.append("data are blinded" if blinded else f"observed {level} limit: {_bound(observed, settings)}")
    return "; ".join(told)


def _bound(value: float | None, settings: LimitSettings) -> str:
    if value is None:
        return f"no limit below {settings.farthest:g}"
    return f"mu < {value:.3g}" if value else "every signal strength is excluded, for there are too few events"


def _no_limits(likelihood: Likelihood, settings: LimitSettings) -> Limits:
    return Limits(
        method=settings.method,
        confidence=settings.confidence,
        calculator="toys" if settings.toys else "asymptotic",
        expected=Band(),
        blinded=likelihood.blinded,
        sentence="no limit: the signal has no expected events in any bin",
    )


def few_events(likelihood: Likelihood) -> tuple[str, ...]:
    """A warning where the bins that carry the sensitivity expect too few events for asymptotic formulas."""
    background, signal = likelihood.background, likelihood.signal
    variance = background + (likelihood.widths[0] * background) ** 2
    information = signal**2 / np.maximum(variance, 1e-300)
    order = np.argsort(-information, kind="stable")
    part = np.cumsum(information[order]) / max(information.sum(), 1e-300)
    carriers = order[: int(np.searchsorted(part, CARRIES)) + 1]
    events = float(background[carriers].sum())
    if events >= FEWEST_EVENTS:
        return ()
    told = (
        f"bins that carry two thirds of the sensitivity ({len(carriers)}) expect {events:.3g} background events: below "
        f"{FEWEST_EVENTS:g} asymptotic formulas are off by several per cent or more; use toys"
    )
    return (told,)


def discovery(workspace: Mapping[str, Any] | Likelihood, settings: LimitSettings | None = None) -> Discovery:
    """Expected significance of the signal at strength 1 and, unless blinded, the observed one.

    Raises:
        FitError: a fit does not converge.
        ConfigError: the workspace has modifiers of other kinds.
    """
    settings = settings or LimitSettings()
    likelihood = workspace if isinstance(workspace, Likelihood) else read_likelihood(workspace)
    common: dict[str, Any] = {"calculator": "toys" if settings.toys else "asymptotic", "blinded": likelihood.blinded}
    if not likelihood.signal.any() or not (likelihood.background[likelihood.signal > 0] > 0).all():
        missing = "signal has no expected events" if not likelihood.signal.any() else "bins with signal lack background"
        return Discovery(**common, sentence=f"no significance is defined: {missing}")
    if settings.toys:
        from anomalon.likelihood.toys import toy_excesses  # noqa: PLC0415 - it builds on this module

        expected, observed, mu = toy_excesses(likelihood, settings)
        common |= {"toys": settings.toys, "seed": settings.seed}
    else:
        expected, observed, mu = _asymptotic_excesses(likelihood)
    told = [f"expected at mu = 1: {in_words(expected)}"]
    told.append("data are blinded" if observed is None else f"observed: {in_words(observed)}, fitted mu = {mu:.3g}")
    notes = () if settings.toys else few_events(likelihood)
    return Discovery(**common, expected=expected, observed=observed, mu=mu, sentence="; ".join(told), warnings=notes)


def _asymptotic_excesses(likelihood: Likelihood) -> tuple[Excess, Excess | None, float | None]:
    expected = excess(likelihood, likelihood.asimov(likelihood.start(1, mu=1.0)))[0]
    return (expected, None, None) if likelihood.blinded else (expected, *excess(likelihood, observed_data(likelihood)))


def excess(likelihood: Likelihood, data: Data) -> tuple[Excess, float]:
    """Asymptotic significance of one data set, and its fitted signal strength."""
    free = best(likelihood, data)
    z = float(np.sqrt(discovery_statistic(likelihood, data, free=free)[0]))
    return Excess(p_value=max(float(norm.sf(z)), SMALLEST_P), z=z), float(free.mu[0])


def in_words(found: Excess) -> str:
    """A significance in words.

    >>> in_words(Excess(p_value=0.00135, z=3.0))
    'Z = 3.00 (p = 0.00135)'
    """
    less, more = ("<", ">") if found.at_most else ("=", "=")
    error = f" +- {found.error:.2g}" if found.error is not None and not found.at_most else ""
    return f"Z {more} {found.z:.2f} (p {less} {found.p_value:.3g}{error})"
