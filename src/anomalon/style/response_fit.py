"""The fit of a parametric response: binned, by the shape of pT above the cut in each cell of |eta|.

Neither losses nor numbers of events enter. With n the target's numbers and m those that the source predicts, it
minimises sum (n - m)^2 / V at a fixed variance V. The source enters as a smooth spectrum: its fluctuations, moved
across the edges of bins, would make local minima, and any resolution would seem to help because it averages them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares, minimize_scalar
from scipy.special import ndtr
from scipy.stats import chi2

from anomalon.errors import FitError
from anomalon.style.objects import Chosen, Freedom, Ints, Values
from anomalon.style.response_model import Response, ResponseSettings
from anomalon.style.spectrum import smooth_spectra

_FINE = 400
"""Bins of the source's pT: finer than any resolution that can be told."""
_NARROWEST = 0.01
"""Relative width that stands for none: that of the fine bins."""
_SCAN = np.log(np.geomspace(0.35, 2.2, 25))
_LARGEST_VARIANCE = 0.25
_STEP = 1e-3

Free = npt.NDArray[np.bool_]
"""Which parameters are free: a common scale, its steps between cells, slope, smearing squared."""


@dataclass(frozen=True)
class Problem:
    """Binned source and target of one fit.

    Attributes:
        pt: centres of the source's fine bins in GeV, shape (fine,).
        source, squares: sums of weights, smooth, and of their squares by cell and fine bin, shape (cell, fine).
        edges: of the target's bins in GeV; the last bin is open.
        target: effective numbers of objects by cell and bin, shape (cell, bin).
        variance: of the target's numbers minus the predicted ones, shape (cell, bin).
        settings: of the calibration.
        masses: chi-squared of the pairs' masses at a response; None where they are not used.
    """

    pt: Values
    source: Values
    squares: Values
    edges: Values
    target: Values
    variance: Values
    settings: ResponseSettings
    masses: Callable[[Response], float] | None = None

    @classmethod
    def of(cls, before: Chosen, weight: Values, after: Chosen, lowest: float, settings: ResponseSettings) -> Problem:
        """Bin both samples; the target above ``lowest`` (GeV).

        Raises:
            FitError: too few objects are left there.
        """
        freedom = settings.freedom
        fine = np.geomspace(before.pt.min() * (1 - 1e-9), before.pt.max() * (1 + 1e-9), _FINE + 1)
        source, squares = (_binned(before, w, freedom, fine) for w in (weight, weight**2))
        effective = source.sum() / squares.sum()
        source = smooth_spectra(source * effective) / effective
        edges = _edges(after, lowest, settings)
        kept = after.weight * (after.pt >= lowest)
        target, target_squares = (_binned(after, w, freedom, edges) for w in (kept, kept**2))
        target *= _ratio(target.sum(axis=1), target_squares.sum(axis=1))[:, None]
        # the shape of all cells together: numbers of one bin would pull the fit where they fluctuate down
        variance = np.maximum(np.outer(target.sum(axis=1), target.sum(axis=0) / target.sum()), 1.0)
        return cls(np.sqrt(fine[1:] * fine[:-1]), source, squares, edges, target, variance, settings)

    @property
    def n_cells(self) -> int:
        """Number of cells in |eta|."""
        return len(self.source)

    def with_source_noise(self, response: Response) -> Problem:
        """The same problem with the fluctuations of the source in its variance, at a response without resolution."""
        alone = replace(response, smearing=0.0)
        noise = np.zeros_like(self.target)
        for cell in range(self.n_cells):
            some, share, scale = self._shares(alone, cell)
            noise[cell] = scale**2 * (self.squares[cell, some] @ share**2)
        return replace(self, variance=self.variance + noise)

    def expected(self, response: Response) -> Values:
        """Predicted numbers of objects, shape (cell, bin); each cell has as many as the target."""
        numbers = np.zeros_like(self.target)
        for cell, weight in enumerate(self.source):
            some, share, scale = self._shares(response, cell)
            numbers[cell] = scale * (weight[some] @ share)
        return numbers

    def _shares(self, response: Response, cell: int) -> tuple[Ints, Values, float]:
        """Filled fine bins of a cell, their share in each bin (fine, bin), and what makes the sum the target's."""
        some = np.flatnonzero(self.source[cell])
        centre = self.pt[some] * response.scale(self.pt[some], cell)
        width = max(response.smearing, _NARROWEST)
        below = ndtr((self.edges[None, :] / centre[:, None] - 1.0) / width)
        share = below[:, 1:] - below[:, :-1]
        above = float(self.source[cell, some] @ (below[:, -1] - below[:, 0]))
        return some, share, self.target[cell].sum() / max(above, 1e-300)

    def cost(self, x: Values) -> Values:
        """Pulls of the bins, and of the parameters from what is expected of a detector."""
        numbers = self.expected(unpacked(x))
        pulls = ((self.target - numbers) / np.sqrt(self.variance)).ravel()
        return np.concatenate([pulls, x[1:-2] / self.settings.cell_width, x[-2:-1] / self.settings.slope_width])

    def objective(self, x: Values) -> float:
        """Squared pulls, those of the pairs' masses included."""
        return _square(self.cost(x)) + (self.masses(unpacked(x)) if self.masses else 0.0)

    def solve(self, start: Values, free: Free) -> Values:
        """The best parameters, of which some are free and the others 0.

        With masses, the resolution is the best of both, all other parameters those of the spectra at that resolution.

        Raises:
            FitError: the minimiser finds no way down.
        """
        if not (free[-1] and self.masses):
            return self._of_spectra(start, free, 0.0)
        others = free & (np.arange(len(free)) < len(free) - 1)
        profile = minimize_scalar(
            lambda width: self.objective(self._of_spectra(start, others, width**2)),
            bounds=(0.0, _LARGEST_VARIANCE**0.5),
            method="bounded",
            options={"xatol": 2e-3, "maxiter": 16},
        )
        return self._of_spectra(start, others, float(profile.x) ** 2)

    def _of_spectra(self, start: Values, free: Free, variance: float) -> Values:
        """The best parameters for the spectra, at a variance where that is not free."""
        low, high = np.full(len(free), -2.0), np.full(len(free), 2.0)
        low[-1], high[-1] = 0.0, _LARGEST_VARIANCE
        fixed = np.zeros(len(free))
        fixed[-1] = variance
        found = least_squares(
            lambda v: self.cost(_filled(v, free, fixed)),
            np.clip(start, low + 1e-4, high - 1e-4)[free],
            lambda v: self._slopes(_filled(v, free, fixed), free),
            bounds=(low[free], high[free]),
            ftol=1e-6,
            xtol=1e-6,
        )
        if not found.success:
            raise FitError(f"response of {self.settings.freedom.objects}: the fit does not converge ({found.message})")
        return _filled(found.x, free, fixed)

    def quality(self, response: Response, free: Free) -> dict[str, Any]:
        """Errors of the parameters from the curvature at the best fit, chi-squared and its degrees of freedom."""
        x = packed(response)
        slopes = self._slopes(x, free)
        covariance = np.zeros((len(x), len(x)))
        covariance[np.ix_(free, free)] = np.linalg.pinv(slopes.T @ slopes)
        sums = np.tril(np.ones((self.n_cells, self.n_cells)))
        log_scale = np.sqrt(np.diag(sums @ covariance[:-2, :-2] @ sums.T))
        slope, square = np.sqrt(np.diag(covariance)[-2:]).tolist()
        if free[-1] and self.masses:
            square = self._error_of_variance(x, free)
        smearing = square / (2.0 * max(response.smearing, np.sqrt(square), 1e-9))
        filled = np.count_nonzero(self.target.sum(axis=1))
        return {
            "errors": {"log_scale": log_scale.tolist(), "slope": slope, "smearing": smearing},
            "chi2": _square(self.cost(x)),
            "ndf": int(filled * (self.target.shape[1] - 1) - free.sum()),
        }

    def _error_of_variance(self, x: Values, free: Free) -> float:
        """Where the objective has grown by 1, from its curvature between half and one and a half of the variance."""
        others = free & (np.arange(len(free)) < len(free) - 1)
        reach = 0.5 * float(x[-1])
        down, centre, up = (self.objective(self._of_spectra(x, others, float(x[-1]) + d)) for d in (-reach, 0.0, reach))
        curvature = (up + down - 2.0 * centre) / reach**2
        return float(np.sqrt(2.0 / curvature)) if curvature > 0 else reach

    def _slopes(self, x: Values, free: Free) -> Values:
        """Derivatives of the cost by the free parameters, shape (residual, parameter)."""
        centre = self.cost(x)
        at = np.flatnonzero(free)
        return np.stack([(self.cost(x + _STEP * (np.arange(len(x)) == i)) - centre) / _STEP for i in at], axis=1)


def select(problem: Problem, start: Response | None) -> tuple[Problem, Response, Free]:
    """The simplest response that describes the target.

    Cells in |eta|, a slope in pT and a resolution are added one after the other, the one with the most evidence first,
    while its p-value stays below ``settings.evidence``.

    Returns:
        The problem with its final variance, the response, and which parameters are free.

    Raises:
        FitError: a fit does not converge.
    """
    n = problem.n_cells + 2
    groups = _groups(n, problem.settings)
    free = np.arange(n) == 0
    x = _scanned(problem) if start is None else packed(start)
    problem = problem.with_source_noise(unpacked(x))
    x = problem.solve(x, free)
    while groups:
        tried = {name: problem.solve(x, free | group) for name, group in groups.items()}
        worst = problem.objective(x)
        values = {name: chi2.sf(worst - problem.objective(v), groups[name].sum()) for name, v in tried.items()}
        best = min(values, key=lambda name: float(values[name]))
        if values[best] > problem.settings.evidence:
            break
        x, free = tried[best], free | groups.pop(best)
    return problem, unpacked(x), free


def packed(response: Response) -> Values:
    """Parameters of a response, shape (cell + 2,)."""
    return np.concatenate([np.diff(response.log_scale, prepend=0.0), [response.slope, response.smearing**2]])


def unpacked(x: Values) -> Response:
    """The response of parameters."""
    return Response(np.cumsum(x[:-2]), float(x[-2]), float(np.sqrt(x[-1])))


def _groups(n: int, settings: ResponseSettings) -> dict[str, Free]:
    at = np.arange(n)
    groups = {"cells": (at > 0) & (at < n - 2), "slope": at == n - 2}
    groups |= {"smearing": at == n - 1} if settings.smear else {}
    return {name: group for name, group in groups.items() if group.any()}


def _scanned(problem: Problem) -> Values:
    """One scale for all: the start, for the objective has more than one minimum."""
    starts = [np.r_[scale, np.zeros(problem.n_cells + 1)] for scale in _SCAN]
    return min(starts, key=lambda x: _square(problem.cost(x)))


def _edges(after: Chosen, lowest: float, settings: ResponseSettings) -> Values:
    kept = after.pt[(after.pt >= lowest) & (after.weight > 0)]
    if len(kept) < 2 * settings.bins:
        raise FitError(
            f"response of {settings.freedom.objects}: {len(kept)} objects of the target above {lowest:.4g} GeV, from "
            f"where the source describes them; at least {2 * settings.bins} are needed: read more events, or "
            "a source with a lower threshold"
        )
    inner = np.unique(np.quantile(kept, np.arange(1, settings.bins) / settings.bins))
    return np.concatenate([[lowest], inner[inner > lowest], [np.inf]])


def _binned(found: Chosen, weight: Values, freedom: Freedom, edges: Values) -> Values:
    n = len(edges) - 1
    at = np.searchsorted(edges, found.pt, side="right") - 1
    inside = (at >= 0) & (at < n)
    where = freedom.cells(found.abs_eta)[inside] * n + at[inside]
    return np.asarray(np.bincount(where, weight[inside], minlength=freedom.n_cells * n).reshape(-1, n))


def _filled(values: Values, free: Free, fixed: Values) -> Values:
    x = fixed.copy()
    x[free] = values
    return x


def _ratio(above: Values, below: Values) -> Values:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _square(values: Values) -> float:
    return float((values**2).sum())
