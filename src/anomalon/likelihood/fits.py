"""Fits of many data sets at a time: damped Newton steps inside bounds, repeated from elsewhere where they fail."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from anomalon.errors import FitError
from anomalon.likelihood.model import Data, Floats, Likelihood, Point

LARGEST_ALPHA = 5.0
"""Constrained parameters stay within this many standard deviations, as in pyhf."""
TOLERANCE = 1e-10
"""Fits end where -ln L is expected to fall by less than this."""
_STEPS = 200
_NUMBERS = 4_000_000
"""Derivatives in memory at a time: data sets times parameters times rows times yields."""
_DAMPING = (0.0, 1.0)
"""First damping of the first fit and of the one that is tried where it fails."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Fit:
    """Where the likelihood of each data set is largest.

    Attributes:
        theta: parameters, shape (set, parameter).
        nll: -ln L there, see :class:`~anomalon.likelihood.model.Point`; shape (set,).
        gammas: statistical scale factors, shape (set, 2, bin).
    """

    theta: Floats
    nll: Floats
    gammas: Floats

    @property
    def mu(self) -> Floats:
        """Signal strengths, shape (set,)."""
        return self.theta[:, 0]


def fit(
    likelihood: Likelihood,
    data: Data,
    *,
    start: Floats,
    held: Mask | None = None,
    lowest_mu: float = 0.0,
) -> Fit:
    """Maximise the likelihood of every data set.

    Args:
        likelihood: of the model.
        data: the sets.
        start: parameters to start from, shape (set, parameter).
        held: which parameters stay where they start, shape (parameter,) or (set, parameter).
        lowest_mu: bound of the signal strength.

    Raises:
        FitError: a fit does not converge from two starts, nor with MINUIT where it is installed.
    """
    held = np.broadcast_to(False if held is None else held, start.shape)
    fits = []
    size = max(_NUMBERS // (start.shape[1] * likelihood.expectation.nominal.size), 16)
    for i in range(0, len(data), size):
        block = np.arange(i, min(i + size, len(data)))
        fits.append(_fit_block(_Problem(likelihood, data.take(block), held[block], lowest_mu), start[block]))
    return Fit(*(np.concatenate([getattr(f, name) for f in fits]) for name in ("theta", "nll", "gammas")))


def hold(likelihood: Likelihood, *parameters: int) -> Mask:
    """Mask of some parameters by their numbers; 0 is the signal strength."""
    return np.isin(np.arange(len(likelihood.parameters)), parameters)


def _fit_block(problem: _Problem, start: Floats) -> Fit:
    theta, done = problem.minimise(start, _DAMPING[0])
    if not done.all():
        again = np.flatnonzero(~done)
        other = problem.likelihood.start(len(again), mu=start[again, 0] + 1.0)
        other = np.where(problem.held[again], start[again], other)
        theta[again], done[again] = problem.take(again).minimise(other, _DAMPING[1])
    for i in np.flatnonzero(~done):
        theta[i] = _with_minuit(problem.take(np.array([i])), theta[i])
    point = problem.likelihood.point(theta, problem.data)
    return Fit(theta, point.nll, point.gammas)


@dataclass(frozen=True)
class _Problem:
    """Data sets to fit, parameters that are held, and the bounds of the others."""

    likelihood: Likelihood
    data: Data
    held: Mask
    lowest_mu: float

    def take(self, index: npt.NDArray[np.int64]) -> _Problem:
        """Some of the data sets."""
        return _Problem(self.likelihood, self.data.take(index), self.held[index], self.lowest_mu)

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        """Lowest and highest values, both of shape (set, parameter)."""
        high = np.full(self.held.shape, LARGEST_ALPHA)
        low = -high
        low[:, 0], high[:, 0] = self.lowest_mu, np.inf
        return np.where(self.held, -np.inf, low), np.where(self.held, np.inf, high)

    def minimise(self, start: Floats, damping: float) -> tuple[Floats, Mask]:
        """The best parameters, shape (set, parameter), and which sets converged.

        Levenberg and Marquardt: the damping of a data set grows where a step does not lower -ln L, and shrinks else.
        The last step is made although -ln L hardly changes: the place of the minimum still may.
        """
        theta = np.clip(start, *self.bounds)
        left, damp, rest = np.arange(len(theta)), np.full(len(theta), damping), self
        for _ in range(_STEPS):
            point = self.likelihood.point(theta[left], rest.data)
            step, fall = rest._step(theta[left], point, damp[left])
            moved = np.clip(theta[left] + step, *rest.bounds)
            ongoing = ~(fall <= TOLERANCE)
            lower = self.likelihood.nll(moved, rest.data) <= point.nll + np.where(ongoing, 0.0, TOLERANCE)
            theta[left[lower]] = moved[lower]
            damp[left] = np.where(lower, np.where(damp[left] < 1e-4, 0.0, damp[left] / 10), damp[left] * 10 + 1e-3)
            left, rest = left[ongoing], rest.take(np.flatnonzero(ongoing))
            if not len(left):
                break
        return theta, ~np.isin(np.arange(len(theta)), left)

    def _step(self, theta: Floats, point: Point, damping: Floats) -> tuple[Floats, Floats]:
        """A damped step, shape (set, parameter), and by how much -ln L may still fall, shape (set,)."""
        low, high = self.bounds
        blocked = self.held | ((theta <= low) & (point.gradient > 0)) | ((theta >= high) & (point.gradient < 0))
        gradient = np.where(blocked, 0.0, point.gradient)
        positive = np.where(blocked, 1.0, np.diagonal(point.positive, axis1=1, axis2=2))
        scale = np.sqrt(np.maximum(positive, 1e-300))  # unit diagonal: mu may be of any size
        diagonal, unit = np.arange(theta.shape[1]), np.eye(theta.shape[1])
        away = blocked[:, :, None] | blocked[:, None, :]
        exact, safe = (
            np.where(away, unit, c / scale[:, :, None] / scale[:, None, :]) for c in (point.curvature, point.positive)
        )
        curvature = np.where(_is_positive(exact)[:, None, None], exact, safe)
        curvature[:, diagonal, diagonal] += 1e-12
        wanted = (gradient / scale)[:, :, None]
        fall = 0.5 * (wanted * np.linalg.solve(curvature, wanted)).sum(axis=(1, 2))
        curvature[:, diagonal, diagonal] += damping[:, None]
        return -np.linalg.solve(curvature, wanted)[:, :, 0] / scale, fall


def _is_positive(matrices: Floats) -> Mask:
    """Which of the symmetric matrices, shape (set, i, i), are positive definite."""
    try:
        np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:
        return np.asarray(np.linalg.eigvalsh(matrices)[:, 0] > 1e-9)
    return np.ones(len(matrices), dtype=np.bool_)


def _with_minuit(problem: _Problem, start: Floats) -> Floats:
    """A single data set, fitted by MINUIT with the same gradient."""
    try:
        from iminuit import Minuit  # noqa: PLC0415 - an optional dependency, and seldom needed
    except ImportError:
        raise _failure(problem, start) from None

    def nll(theta: Floats) -> float:
        return float(problem.likelihood.nll(theta[None], problem.data)[0])

    def gradient(theta: Floats) -> Floats:
        return np.asarray(problem.likelihood.point(theta[None], problem.data).gradient[0])

    minuit = Minuit(nll, start, grad=gradient, name=problem.likelihood.parameters)
    minuit.errordef, minuit.print_level, minuit.strategy = Minuit.LIKELIHOOD, 0, 2
    minuit.limits = list(zip(*(bound[0] for bound in problem.bounds), strict=True))
    minuit.fixed = list(problem.held[0])
    minuit.migrad()
    if not minuit.valid:
        raise _failure(problem, start)
    return np.asarray(minuit.values, dtype=np.float64)


def _failure(problem: _Problem, theta: Floats) -> FitError:
    """The error that names the parameter which is furthest from where it should be."""
    point = problem.likelihood.point(theta[None], problem.data)
    size = np.sqrt(np.maximum(np.diagonal(point.positive[0]), 1e-300))
    distance = np.where(problem.held[0], 0.0, np.abs(point.gradient[0]) / size)
    worst = int(np.argmax(np.nan_to_num(distance, nan=np.inf)))
    return FitError(
        f"the likelihood fit does not converge: {problem.likelihood.parameters[worst]} = {theta[worst]:.4g} is still "
        f"{distance[worst]:.2g} standard deviations from its best value; look at the variations of that name, merge "
        "bins with little background, or leave it out"
    )
