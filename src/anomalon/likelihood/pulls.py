"""What data say about the nuisance parameters, and what these do to the signal strength.

The pull of a parameter is its fitted value less its measurement before, over the error of that measurement; its
constraint is its error after the fit over the one before. The impact of a parameter is the shift of the fitted signal
strength when the parameter is held one standard deviation above or below its best value and all others are fitted anew.

While data are blinded all fits are of Asimov data: pulls are then 0, and constraints and impacts those to expect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from anomalon.config import Settings
from anomalon.likelihood.asymptotics import at
from anomalon.likelihood.expectation import SIGNAL
from anomalon.likelihood.fits import Fit, fit, hold
from anomalon.likelihood.limits import observed_data
from anomalon.likelihood.model import LEAST_GAMMA, Data, Floats, Likelihood, read_likelihood

_STEP = 1e-3
"""Of the derivatives of gammas, in errors of a parameter."""


class Pull(Settings):
    """A nuisance parameter after a fit.

    Attributes:
        parameter: ``mcstat_CHANNEL[BIN]`` are the statistical scale factors of the background.
        value: fitted.
        error: after the fit.
        pull: (value - measurement) / error of the measurement.
        constraint: error / error of the measurement.
    """

    parameter: str
    value: float
    error: float
    pull: float
    constraint: float


class Pulls(Settings):
    """Nuisance parameters after fits without and with a signal.

    Attributes:
        background_only: with the signal strength held at 0.
        with_signal: with a free signal strength.
        mu: that strength; while blinded it is 1, that of the Asimov data.
        mu_error: None where the strength is at its bound.
    """

    background_only: tuple[Pull, ...]
    with_signal: tuple[Pull, ...]
    mu: float
    mu_error: float | None
    blinded: bool


class Impact(Settings):
    """Shifts of the fitted signal strength with a parameter one standard deviation up and down.

    Attributes:
        up, down: by the error after the fit.
        prefit_up, prefit_down: by the error of its measurement.
        pull, constraint: as in :class:`Pull`.
    """

    parameter: str
    up: float
    down: float
    prefit_up: float
    prefit_down: float
    pull: float
    constraint: float


class Impacts(Settings):
    """All parameters, the one with the largest impact after the fit first; while blinded for a signal of strength 1."""

    ranked: tuple[Impact, ...]
    mu: float
    mu_error: float | None
    blinded: bool


@dataclass(frozen=True)
class _Spot:
    """A statistical scale factor: which of the two, and its bin; or a constrained parameter, by its number."""

    name: str
    alpha: int = 0
    kind: int = 0
    bin: int = 0


def pulls(workspace: Mapping[str, Any] | Likelihood) -> Pulls:
    """Pulls and constraints of all nuisance parameters, of data or, while they are blinded, of Asimov data.

    Raises:
        FitError: a fit does not converge.
        ConfigError: the workspace has modifiers of other kinds.
    """
    likelihood = workspace if isinstance(workspace, Likelihood) else read_likelihood(workspace)
    plain, data = _data(likelihood, 0.0), _data(likelihood, 1.0)
    with_signal = _free(likelihood, data)
    return Pulls(
        background_only=_pulls(likelihood, plain, at(likelihood, plain, 0.0), free_mu=False),
        with_signal=_pulls(likelihood, data, with_signal, free_mu=True),
        mu=float(with_signal.mu[0]),
        mu_error=_mu_error(likelihood, data, with_signal),
        blinded=likelihood.blinded,
    )


def impacts(workspace: Mapping[str, Any] | Likelihood) -> Impacts:
    """Impacts of all nuisance parameters on the signal strength, ranked.

    Raises:
        FitError: a fit does not converge.
        ConfigError: the workspace has modifiers of other kinds.
    """
    likelihood = workspace if isinstance(workspace, Likelihood) else read_likelihood(workspace)
    data = _data(likelihood, 1.0)
    central = _free(likelihood, data)
    known = _pulls(likelihood, data, central, free_mu=True)
    shifts = _shifts(likelihood, data, central, known)
    rows = [
        Impact(
            parameter=p.parameter,
            up=s[0],
            down=s[1],
            prefit_up=s[2],
            prefit_down=s[3],
            pull=p.pull,
            constraint=p.constraint,
        )
        for p, s in zip(known, shifts.tolist(), strict=True)
    ]
    ranked = sorted(rows, key=lambda row: -max(abs(row.up), abs(row.down)))
    error = _mu_error(likelihood, data, central)
    return Impacts(ranked=tuple(ranked), mu=float(central.mu[0]), mu_error=error, blinded=likelihood.blinded)


def _data(likelihood: Likelihood, mu: float) -> Data:
    """What was observed, or Asimov data while that is blinded."""
    return likelihood.asimov(likelihood.start(1, mu=mu)) if likelihood.blinded else observed_data(likelihood)


def _lowest(likelihood: Likelihood) -> float:
    """A negative signal strength with which something is still expected in every bin."""
    there = likelihood.signal > 0
    return (
        -0.9 * float((likelihood.background[there] / likelihood.signal[there]).min(initial=np.inf))
        if there.any()
        else 0.0
    )


def _free(likelihood: Likelihood, data: Data) -> Fit:
    """Fit of everything; the signal strength may be negative, so that its shifts on both sides are seen."""
    held = None if likelihood.signal.any() else hold(likelihood, 0)
    return fit(likelihood, data, start=likelihood.start(len(data), mu=0.0), held=held, lowest_mu=_lowest(likelihood))


def _spots(likelihood: Likelihood) -> list[_Spot]:
    """All nuisance parameters."""
    alphas = [_Spot(name, alpha=i) for i, name in enumerate(likelihood.parameters) if i]
    gammas = [
        _Spot(f"{'signal_' if kind == SIGNAL else ''}mcstat_{channel}[{i}]", kind=kind, bin=b)
        for kind in range(2)
        for b, (channel, i) in enumerate(likelihood.bins)
        if likelihood.widths[kind, b] > 0
    ]
    return [*alphas, *gammas]


def _covariance(likelihood: Likelihood, data: Data, found: Fit, *, free_mu: bool) -> Floats:
    """Of mu and the alphas, shape (parameter, parameter); what is held or at its bound has none."""
    curvature = likelihood.point(found.theta, data).curvature[0]
    free = np.ones(len(curvature), dtype=np.bool_)
    free[0] = free_mu and found.mu[0] > _lowest(likelihood) * (1 - 1e-9) and curvature[0, 0] > 0
    size = np.sqrt(np.where(free, np.maximum(np.diagonal(curvature), 1e-300), 1.0))  # mu may be of any size
    scaled = np.where(free[:, None] & free, curvature / size[:, None] / size, 0.0)
    return np.asarray(np.linalg.pinv(scaled, hermitian=True) / size[:, None] / size)


def _mu_error(likelihood: Likelihood, data: Data, found: Fit) -> float | None:
    variance = float(_covariance(likelihood, data, found, free_mu=True)[0, 0])
    return float(np.sqrt(variance)) if variance > 0 else None


def _pulls(likelihood: Likelihood, data: Data, found: Fit, *, free_mu: bool) -> tuple[Pull, ...]:
    covariance = _covariance(likelihood, data, found, free_mu=free_mu)
    errors = np.sqrt(np.maximum(np.diagonal(covariance), 0.0))
    gamma_errors = _gamma_errors(likelihood, data, found, covariance)
    rows = []
    for spot in _spots(likelihood):
        if spot.alpha:
            value, error = float(found.theta[0, spot.alpha]), float(errors[spot.alpha])
            centre, width = float(data.centres[0, spot.alpha - 1]), 1.0
        else:
            place = (spot.kind, spot.bin)
            value, error = float(found.gammas[0][place]), float(gamma_errors[place])
            centre, width = float(data.gammas[0][place]), float(likelihood.widths[place])
        rows.append(
            Pull(
                parameter=spot.name,
                value=value,
                error=error,
                pull=(value - centre) / width,
                constraint=error / width,
            )
        )
    return tuple(rows)


def _gamma_errors(likelihood: Likelihood, data: Data, found: Fit, covariance: Floats) -> Floats:
    """Errors of the statistical scale factors, shape (2, bin): at fixed other parameters, and through those."""
    yields = likelihood.expectation.yields(found.theta)[0]
    nu, n = (found.gammas[0] * yields).sum(axis=0), data.counts[0]
    squares = likelihood.widths**2
    a = np.divide(n, nu**2, out=np.zeros_like(nu), where=nu > 0)
    own = squares - a * (squares * yields) ** 2 / (1.0 + a * (squares * yields**2).sum(axis=0))
    steps = _STEP * np.sqrt(np.maximum(np.diagonal(covariance), 0.0))
    count = len(steps)
    theta = np.concatenate([found.theta + np.diag(steps), found.theta - np.diag(steps)])
    moved = likelihood.point(theta, data.repeat(2 * count)).gammas
    slopes = (moved[:count] - moved[count:]) / np.where(steps > 0, 2 * steps, np.inf)[:, None, None]
    return np.asarray(np.sqrt(np.maximum(own + np.einsum("pjb,pq,qjb->jb", slopes, covariance, slopes), 0.0)))


def _shifts(likelihood: Likelihood, data: Data, central: Fit, known: tuple[Pull, ...]) -> Floats:
    """Shifts of mu for post-fit errors up and down and for those before, shape (parameter, 4); all in one fit."""
    spots = _spots(likelihood)
    n = 4 * len(spots)
    theta = np.repeat(central.theta, n, axis=0)
    held = np.zeros(theta.shape, dtype=np.bool_)
    if not n or not likelihood.signal.any():
        return np.zeros((len(spots), 4))
    sets = data.repeat(n)
    sets = replace(sets, gammas=sets.gammas.copy(), widths=np.repeat(data.widths, n, axis=0))
    for i, (spot, pull) in enumerate(zip(spots, known, strict=True)):
        width = 1.0 if spot.alpha else float(likelihood.widths[spot.kind, spot.bin])
        values = pull.value + np.array([pull.error, -pull.error, width, -width])
        rows = slice(4 * i, 4 * i + 4)
        if spot.alpha:
            theta[rows, spot.alpha], held[rows, spot.alpha] = values, True
        else:  # a scale factor with a measurement without error stays there
            sets.gammas[rows, spot.kind, spot.bin] = np.maximum(values, LEAST_GAMMA)
            sets.widths[rows, spot.kind, spot.bin] = 0.0
    moved = fit(likelihood, sets, start=theta, held=held, lowest_mu=_lowest(likelihood))
    return np.asarray((moved.mu - central.mu[0]).reshape(-1, 4))
