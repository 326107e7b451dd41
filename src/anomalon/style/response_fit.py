"""The fit of a parametric response: binned, by the shape of pT above the cut in each cell of |eta|.

Neither losses nor numbers of events enter. With n the target's numbers and m those that the source predicts, it
minimises sum (n - m)^2 / V at a fixed variance V. The source enters as a smooth spectrum: its fluctuations, moved
across the edges of bins, would make local minima, and any resolution would seem to help because it averages them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares
from scipy.special import ndtr
from scipy.stats import chi2

from anomalon.errors import FitError
from anomalon.style.objects import Chosen, Freedom, Values
from anomalon.style.response_model import Response, ResponseSettings
from anomalon.style.spectrum import smooth_counts

_FINE = 500
"""Bins of the source's pT: finer than any resolution that can be told."""
_NARROWEST = 0.008
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
    """

    pt: Values
    source: Values
    squares: Values
    edges: Values
    target: Values
    variance: Values
    settings: ResponseSettings

    @classmethod
    def of(cls, before: Chosen, weight: Values, after: Chosen, lowest: float, settings: ResponseSettings) -> Problem:
        """Bin both samples; the target above ``lowest`` (GeV).

        Raises:
            FitError: too few objects are left there.
        """
        freedom = settings.freedom
        fine = np.geomspace(before.pt.min() * (1 - 1e-9), before.pt.max() * (1 + 1e-9), _FINE + 1)
        source, squares = (_binned(before, w, freedom, fine) for w in (weight, weight**2))
        source = np.stack([smooth_counts(row) for row in source])
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
        _, noise = self.expected(replace(response, smearing=0.0))
        return replace(self, variance=self.variance + noise)

    def expected(self, response: Response) -> tuple[Values, Values]:
        """Predicted numbers of objects and their variance, shape (cell, bin); each cell has as many as the target."""
        width = max(response.smearing, _NARROWEST)
        numbers, noise = np.zeros_like(self.target), np.zeros_like(self.target)
        for cell, weight in enumerate(self.source):
            some = np.flatnonzero(weight)
            centre = self.pt[some] * response.scale(self.pt[some], cell)
            share = np.diff(ndtr((self.edges[None, :] / centre[:, None] - 1.0) / width), axis=1)
            shape = weight[some] @ share
            scale = self.target[cell].sum() / max(float(shape.sum()), 1e-300)
            numbers[cell], noise[cell] = scale * shape, scale**2 * (self.squares[cell, some] @ share**2)
        return numbers, noise

    def cost(self, x: Values) -> Values:
        """Pulls of the bins, and of the parameters from what is expected of a detector."""
        numbers, _ = self.expected(unpacked(x))
        pulls = ((self.target - numbers) / np.sqrt(self.variance)).ravel()
        return np.concatenate([pulls, x[1:-2] / self.settings.cell_width, x[-2:-1] / self.settings.slope_width])

    def solve(self, start: Values, free: Free) -> Values:
        """The best parameters, of which some are free and the others 0.

        Raises:
            FitError: the minimiser finds no way down.
        """
        low, high = np.full(len(free), -2.0), np.full(len(free), 2.0)
        low[-1], high[-1] = 0.0, _LARGEST_VARIANCE
        x = np.clip(start, low + 1e-4, high - 1e-4)
        found = least_squares(
            lambda v: self.cost(_filled(v, free)),
            x[free],
            lambda v: self._slopes(_filled(v, free), free),
            bounds=(low[free], high[free]),
            ftol=1e-6,
            xtol=1e-6,
        )
        if not found.success:
            raise FitError(f"response of {self.settings.freedom.objects}: the fit does not converge ({found.message})")
        return _filled(found.x, free)

    def quality(self, response: Response, free: Free) -> dict[str, Any]:
        """Errors of the parameters from the curvature at the best fit, chi-squared and its degrees of freedom."""
        x = packed(response)
        slopes = self._slopes(x, free)
        covariance = np.zeros((len(x), len(x)))
        covariance[np.ix_(free, free)] = np.linalg.pinv(slopes.T @ slopes)
        sums = np.tril(np.ones((self.n_cells, self.n_cells)))
        log_scale = np.sqrt(np.diag(sums @ covariance[:-2, :-2] @ sums.T))
        slope, square = np.sqrt(np.diag(covariance)[-2:]).tolist()
        smearing = square / (2.0 * max(response.smearing, np.sqrt(square), 1e-9))
        filled = np.count_nonzero(self.target.sum(axis=1))
        return {
            "errors": {"log_scale": log_scale.tolist(), "slope": slope, "smearing": smearing},
            "chi2": _square(self.cost(x)),
            "ndf": int(filled * (self.target.shape[1] - 1) - free.sum()),
        }

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
        worst = _square(problem.cost(x))
        values = {name: chi2.sf(worst - _square(problem.cost(v)), groups[name].sum()) for name, v in tried.items()}
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


def _filled(values: Values, free: Free) -> Values:
    x = np.zeros(len(free))
    x[free] = values
    return x


def _ratio(above: Values, below: Values) -> Values:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _square(values: Values) -> float:
    return float((values**2).sum())
