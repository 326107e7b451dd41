r"""Background from the spectrum itself: a smooth function fitted outside a window, for very many spectra at once.

The logarithms of both families are linear in their parameters, with x = m / sqrt(s) or x from 0 to 1 over the spectrum:

- dijet: ln f = p0 - p1 ln x + p2 ln(1 - x) - p3 ln^2 x - p4 ln^3 x, a power law where there are two parameters
  (CDF, arXiv:0812.4036, eq. 1, and its extensions by ATLAS and CMS, arXiv:1911.03947, sec. 6);
- exponential: ln f = p0 + p1 x + p2 x^2 + ...

So the Poisson likelihood is concave, and Newton's method (iteratively reweighted least squares) finds its one maximum.
Bins hold integrals of f: the ratio of integral to width times f at the centre is taken from a first fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator
from scipy.special import gammaincc, xlogy

from anomalon.bumps.hunt import checked_bins, checked_edges
from anomalon.bumps.records import Function, OrderTried, SidebandFit
from anomalon.config import Settings
from anomalon.errors import ConfigError, EmptySelectionError, InvalidEventsError

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_ITERATIONS = 60
_CONVERGED = 1e-6
"""Twice the log-likelihood that the last Newton step could gain; what is left after it is its square."""
_MERGED = 5.0
"""Events expected in a bin of the goodness of fit: below, chi2 is not distributed as such."""
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(5)


class SidebandSettings(Settings):
    """The function, and which bins it may see.

    Attributes:
        function: family.
        parameters: how many; None takes the smallest number whose successor gains nothing (likelihood ratio).
        min_parameters, max_parameters: tried then.
        least_p: a further parameter is taken where its gain has a smaller probability by chance.
        sqrt_s_gev: collision energy, the unit of masses in the dijet family.
        sideband_bins: bins that must be left on either side of a scanned window.
    """

    function: Function = "dijet"
    parameters: int | None = Field(default=None, ge=2, le=5)
    min_parameters: int = Field(default=3, ge=2, le=5)
    max_parameters: int = Field(default=5, ge=2, le=5)
    least_p: float = Field(default=0.05, gt=0, lt=1)
    sqrt_s_gev: float = Field(default=13_000.0, gt=0)
    sideband_bins: int = Field(default=3, ge=1)

    @model_validator(mode="after")
    def _orders_in_order(self) -> Self:
        if self.max_parameters < self.min_parameters:
            raise ValueError(
                f"max_parameters = {self.max_parameters}: must not be below min_parameters = {self.min_parameters}"
            )
        return self

    @property
    def orders(self) -> range:
        """Numbers of parameters that are tried."""
        if self.parameters is not None:
            return range(self.parameters, self.parameters + 1)
        return range(self.min_parameters, self.max_parameters + 1)


def basis(mass: npt.ArrayLike, number: int, limits: tuple[float, float], settings: SidebandSettings) -> Floats:
    """What the parameters multiply in ln f, shape (mass, parameter).

    Args:
        mass: shape (mass,), in GeV.
        number: of parameters.
        limits: of the spectrum, in GeV.
        settings: the family.

    >>> basis([2.0], 3, (1.0, 3.0), SidebandSettings(function="exponential")).tolist()
    [[1.0, 0.5, 0.25]]
    """
    m = np.asarray(mass, dtype=np.float64)
    if settings.function == "exponential":
        x = (m - limits[0]) / (limits[1] - limits[0])
        return np.asarray(x[:, None] ** np.arange(number))
    x = m / settings.sqrt_s_gev
    log = np.log(x)
    return np.stack([np.ones(len(x)), -log, np.log1p(-x), -(log**2), -(log**3)][:number], axis=1)


@dataclass(frozen=True)
class Shape:
    """A family with its number of parameters on the bins of a spectrum: ln mu = offset + design @ parameters.

    Attributes:
        design: rotated so that the information matrix is near to one, shape (bin, parameter).
        offset: ln of integral over f at the centre, shape (bin,).
        rotation: from the parameters of ``design`` to those of the family, shape (parameter, parameter).
    """

    design: Floats
    offset: Floats
    rotation: Floats

    def log_mean(self, parameters: Floats) -> Floats:
        """Ln of the events per bin, shape (fit, bin), from parameters (fit, parameter)."""
        return np.asarray(parameters @ self.design.T + self.offset)


@dataclass(frozen=True)
class Fits:
    """Fits to many spectra.

    Attributes:
        parameters: shape (fit, parameter).
        mean: events per bin, those that were left out included, shape (fit, bin).
        factor: Cholesky factor of the information matrix, shape (parameter, parameter, fit).
        converged: shape (fit,).
    """

    parameters: Floats
    mean: Floats
    factor: Floats
    converged: Mask

    def variance(self, direction: Floats) -> Floats:
        """Variance of a quantity with derivatives (fit, parameter), shape (fit,)."""
        return np.asarray((_forward(self.factor, direction.T) ** 2).sum(axis=0))


def fit_many(shape: Shape, counts: Floats, used: Mask, start: Floats) -> Fits:
    """Fit spectra by Poisson maximum likelihood, all at once.

    Args:
        shape: the function on the bins.
        counts: events, shape (fit, bin).
        used: bins that the fit sees, shape (fit, bin).
        start: parameters, shape (fit, parameter).
    """
    parameters = np.array(start)
    seen, weight = np.where(used, counts, 0.0), used.astype(np.float64)
    active = np.arange(len(counts))
    for _ in range(_ITERATIONS):
        mean = np.exp(shape.log_mean(parameters[active])) * weight[active]
        gradient = (seen[active] - mean) @ shape.design
        step = _solve(_cholesky(_information(shape, mean)), gradient.T).T
        # ln mu moves by 1 at most: beyond, the quadratic form that the step comes from says nothing
        reach = np.abs(step @ shape.design.T).max(axis=1)
        parameters[active] += step / np.maximum(reach, 1.0)[:, None]
        active = active[~((step * gradient).sum(axis=1) < _CONVERGED)]
        if not len(active):
            break
    mean = np.exp(shape.log_mean(parameters))
    converged = np.asarray(np.isfinite(mean).all(axis=1), dtype=np.bool_)
    converged[active] = False
    return Fits(parameters, mean, _cholesky(_information(shape, mean * weight)), converged)


def fit_sidebands(
    observed: npt.ArrayLike,
    edges: npt.ArrayLike,
    *,
    window: tuple[float, float] | None = None,
    settings: SidebandSettings | None = None,
) -> SidebandFit:
    """Fit a smooth function to a spectrum outside a window, and predict what the window holds.

    Args:
        observed: events, >= 0, shape (bin,).
        edges: of the bins, in GeV, shape (bin + 1,).
        window: in GeV; bins that overlap it are left out. None fits all bins.
        settings: family and number of parameters.

    Raises:
        InvalidEventsError: bad counts or edges, or masses outside what the dijet family allows.
        EmptySelectionError: too few bins with events, or no fit converges.

    >>> edges = np.linspace(100, 500, 41)
    >>> exact = 1e5 * (np.exp(-edges[:-1] / 80) - np.exp(-edges[1:] / 80))
    >>> smooth = SidebandSettings(function="exponential", parameters=2)
    >>> fit = fit_sidebands(exact, edges, window=(200, 240), settings=smooth)
    >>> round(fit.window_expected, 3), round(float(exact[10:14].sum()), 3)
    (3229.793, 3229.793)
    """
    settings = settings or SidebandSettings()
    limits = checked_edges(edges)
    counts = checked_bins(observed, "observed", (len(limits) - 1,))
    used = np.ones(len(counts), dtype=bool)
    if window is not None:
        used = (limits[1:] <= window[0]) | (limits[:-1] >= window[1])
    shape, tried = choose(counts, limits, used, settings)
    return record(shape, counts, limits, used=used, settings=settings, tried=tried)


def choose(
    counts: Floats, edges: Floats, used: Mask, settings: SidebandSettings
) -> tuple[Shape, tuple[OrderTried, ...]]:
    """The function with its number of parameters: the smallest whose successor gains nothing.

    Raises:
        InvalidEventsError: masses outside what the dijet family allows.
        EmptySelectionError: too few bins with events, or no fit converges.
    """
    check_masses(edges, settings)
    tried: list[OrderTried] = []
    shapes: list[Shape] = []
    for number in settings.orders:
        if tried and int((used & (counts > 0)).sum()) <= number:
            break
        shapes.append(_shape(counts, edges, used, number=number, settings=settings))
        deviance = _deviance(counts, _single(shapes[-1], counts, used).mean[0], used)
        if tried:
            # the difference of two deviances is distributed as chi2 with one degree of freedom (Wilks)
            gained = float(gammaincc(0.5, max(tried[-1].deviance - deviance, 0.0) / 2))
            tried[-1] = tried[-1].model_copy(update={"next_p": gained})
            if gained >= settings.least_p:
                tried.append(OrderTried(parameters=number, deviance=deviance))
                return shapes[-2], tuple(tried)
        tried.append(OrderTried(parameters=number, deviance=deviance))
    return shapes[-1], tuple(tried)


def record(
    shape: Shape,
    counts: Floats,
    edges: Floats,
    *,
    used: Mask,
    settings: SidebandSettings,
    tried: tuple[OrderTried, ...] = (),
) -> SidebandFit:
    """A fit to one spectrum as plain data, with its goodness.

    Raises:
        EmptySelectionError: too few bins with events, or the fit does not converge.
    """
    fits = _single(shape, counts, used)
    mean = fits.mean[0]
    errors = np.sqrt([fits.variance(row[None])[0] for row in mean[:, None] * shape.design])
    left_out = (mean * ~used)[None] @ shape.design
    chi2, ndof = _chi2(counts[used], mean[used], shape.design.shape[1])
    outside = np.flatnonzero(~used)
    return SidebandFit(
        function=settings.function,
        parameters=tuple((shape.rotation @ fits.parameters[0]).tolist()),
        errors=tuple(np.sqrt([fits.variance(row[None])[0] for row in shape.rotation]).tolist()),
        window=(float(edges[outside[0]]), float(edges[outside[-1] + 1])) if len(outside) else None,
        expected=tuple(mean.tolist()),
        expected_error=tuple(errors.tolist()),
        window_expected=float(mean[~used].sum()),
        window_expected_error=float(np.sqrt(fits.variance(left_out)[0])),
        chi2=chi2,
        ndof=ndof,
        p_value=float(gammaincc(ndof / 2, chi2 / 2)) if ndof > 0 else None,
        tried=tried,
    )


def check_masses(edges: Floats, settings: SidebandSettings) -> None:
    """Refuse masses that the dijet family has no value for.

    Raises:
        InvalidEventsError: a mass of 0 or of the collision energy and more.
    """
    if settings.function == "dijet" and not 0 < edges[0] < edges[-1] < settings.sqrt_s_gev:
        raise InvalidEventsError(
            f"the spectrum goes from {edges[0]:g} to {edges[-1]:g} GeV, the dijet function is defined above 0 "
            f"and below sqrt_s_gev = {settings.sqrt_s_gev:g}: cut the spectrum, set sqrt_s_gev, or take "
            "function: exponential"
        )


def _single(shape: Shape, counts: Floats, used: Mask) -> Fits:
    """The fit to one spectrum, from a straight fit to its logarithm.

    Raises:
        EmptySelectionError: too few bins with events, or it does not converge.
    """
    number = shape.design.shape[1]
    filled = used & (counts > 0)
    if filled.sum() <= number:
        raise EmptySelectionError(
            f"{int(filled.sum())} of {int(used.sum())} sideband bins have events, a fit of {number} parameters needs "
            f"at least {number + 1}: take fewer parameters, a narrower window or wider bins"
        )
    weight = np.sqrt(counts[used] + 0.5)
    log = np.log(counts[used] + 0.5) - shape.offset[used]
    start = np.asarray(np.linalg.lstsq(shape.design[used] * weight[:, None], log * weight, rcond=None)[0], np.float64)
    fits = fit_many(shape, counts[None], used[None], start[None])
    if not fits.converged[0]:
        raise EmptySelectionError(
            f"the fit of {number} parameters to {int(used.sum())} sideband bins with {counts[used].sum():g} events did "
            f"not converge in {_ITERATIONS} steps: take fewer parameters or another function"
        )
    return fits


def _shape(counts: Floats, edges: Floats, used: Mask, *, number: int, settings: SidebandSettings) -> Shape:
    """The function on the bins, with integrals over them as a first fit to the values at their centres has them."""
    limits, widths = (float(edges[0]), float(edges[-1])), np.diff(edges)
    centres = edges[:-1] + widths / 2
    plain = basis(centres, number, limits, settings)
    _, upper = np.linalg.qr(plain * np.sqrt(np.where(used, counts, 0.0) + 0.5)[:, None])
    if np.abs(np.diag(upper)).min() < 1e-10 * np.abs(np.diag(upper)).max():
        raise ConfigError(
            f"{number} parameters of the {settings.function} function cannot be told apart over {edges[0]:g} to "
            f"{edges[-1]:g} GeV: take fewer"
        )
    rotation = np.linalg.inv(upper)
    shape = Shape(plain @ rotation, np.log(widths), rotation)
    for _ in range(2):
        natural = rotation @ _single(shape, counts, used).parameters[0]
        inside = (centres[:, None] + widths[:, None] / 2 * _NODES).ravel()
        there = (basis(inside, number, limits, settings) @ natural).reshape(len(centres), -1)
        ratio = np.exp(there - (plain @ natural)[:, None]) @ _WEIGHTS / 2
        shape = Shape(shape.design, np.log(widths) + np.log(ratio), rotation)
    return shape


def _deviance(counts: Floats, mean: Floats, used: Mask) -> float:
    """Twice the log-likelihood that is missing to the counts themselves."""
    n, mu = counts[used], mean[used]
    return float(2 * (xlogy(n, n / mu) - n + mu).sum())


def _chi2(counts: Floats, mean: Floats, parameters: int) -> tuple[float, int]:
    """Pearson's chi2 and its degrees of freedom, neighbouring bins merged until enough is expected in each."""
    group, held = np.zeros(len(mean), dtype=int), 0.0
    for i, value in enumerate(mean):
        group[i:] = group[i - 1] + (held >= _MERGED) if i else 0
        held = value if held >= _MERGED else held + value
    if held < _MERGED:  # what is left at the end joins the bin before it
        group[group == group[-1]] = max(group[-1] - 1, 0)
    n, mu = (np.bincount(group, weights=x) for x in (counts, mean))
    return float(((n - mu) ** 2 / mu).sum()), max(len(n) - parameters, 0)


def _information(shape: Shape, mean: Floats) -> Floats:
    """Information matrices, shape (parameter, parameter, fit)."""
    number = shape.design.shape[1]
    pairs = (shape.design[:, :, None] * shape.design[:, None, :]).reshape(len(shape.design), -1)
    return np.ascontiguousarray((mean @ pairs).T).reshape(number, number, -1)


# Matrices of at most five rows: going through their elements for all fits at once is many times faster than a
# library call per matrix.


def _cholesky(matrix: Floats) -> Floats:
    """Lower triangular factors, shape (row, column, fit); directions without information get a very large variance."""
    number = len(matrix)
    factor = np.zeros_like(matrix)
    floor = 1e-12 * np.maximum(np.trace(matrix), 1e-280)
    for j in range(number):
        left = matrix[j, j] - (factor[j, :j] ** 2).sum(axis=0)
        factor[j, j] = np.sqrt(np.maximum(left, floor))
        for i in range(j + 1, number):
            factor[i, j] = (matrix[i, j] - (factor[i, :j] * factor[j, :j]).sum(axis=0)) / factor[j, j]
    return factor


def _forward(factor: Floats, right: Floats) -> Floats:
    """Solution of L x = r, shape (parameter, fit)."""
    x = np.empty_like(right)
    for i in range(len(right)):
        x[i] = (right[i] - (factor[i, :i] * x[:i]).sum(axis=0)) / factor[i, i]
    return x


def _solve(factor: Floats, right: Floats) -> Floats:
    """Solution of L L^T x = r, shape (parameter, fit)."""
    x = _forward(factor, right)
    for i in range(len(right) - 1, -1, -1):
        x[i] = (x[i] - (factor[i + 1 :, i] * x[i + 1 :]).sum(axis=0)) / factor[i, i]
    return x
