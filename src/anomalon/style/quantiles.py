"""Quantile morphing: the monotone map between two spectra, pooled or in cells of |eta|, behind a common cut.

pT' = F_target^-1(F_source(pT)) is the optimal transport in one dimension (Villani, Topics in Optimal Transportation,
section 2.2). Between spectra behind a cut it maps the cut to the cut, whatever fell below. So the parametric response
goes first, with the cut inside its fit, and the morphing takes what is left.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from anomalon.style.contract import CalibratorSettings
from anomalon.style.objects import Ints, Sample, Values
from anomalon.style.residual import Residual, ResidualSettings

_TAIL = 0.002
"""Share of the objects at either end that is not resolved."""


class QuantileSettings(ResidualSettings):
    """Settings of quantile morphing.

    Attributes:
        conditional: one map per cell in |eta|; else one for all.
        knots: quantiles of a map.
    """

    conditional: bool = False
    knots: int = Field(default=60, ge=3)


class QuantileMorphing(Residual):
    """Monotone maps of pT, linear in ln pT between quantiles."""

    Settings: ClassVar[type[CalibratorSettings]] = QuantileSettings
    kind = "quantiles"
    settings: QuantileSettings

    def _learn(self, before: Sample, after: Sample) -> None:
        source, target = self._cells(before), self._cells(after)
        levels = np.linspace(_TAIL, 1.0 - _TAIL, self.settings.knots)
        lowest = np.log(max(self.settings.freedom.pt_min, min(before.pt.min(), after.pt.min())))
        maps = []
        for cell in range(self._n_maps):
            pairs = ((before, source == cell), (after, target == cell))
            maps.append([np.r_[lowest, _quantiles(np.log(f.pt[here]), f.weight[here], levels)] for f, here in pairs])
        self.maps = np.asarray(maps)

    def _displaced(self, found: Sample) -> Values:
        log_pt, cell, shift = np.log(found.pt), self._cells(found), np.zeros(len(found))
        for number, (source, target) in enumerate(self.maps):
            here = cell == number
            shift[here] = np.interp(log_pt[here], source, target - source, left=0.0)
        return shift

    @property
    def _n_maps(self) -> int:
        return self.settings.freedom.n_cells if self.settings.conditional else 1

    def _cells(self, found: Sample) -> Ints:
        cells = self.settings.freedom.cells(found.abs_eta)
        return cells if self.settings.conditional else np.zeros_like(cells)

    def _save_residual(self, folder: Path) -> dict[str, Any]:
        np.save(folder / "maps.npy", self.maps)
        return {}

    def _load_residual(self, folder: Path, state: dict[str, Any]) -> None:  # noqa: ARG002
        self.maps = np.load(folder / "maps.npy")
        if self.maps.ndim != 3 or self.maps.shape[:2] != (self._n_maps, 2):
            raise ValueError(f"maps.npy has shape {self.maps.shape}, expected ({self._n_maps}, 2, knot)")


def _quantiles(values: Values, weight: Values, levels: Values) -> Values:
    """Weighted quantiles; those of an empty sample are equal in source and target, so that nothing moves."""
    if weight.sum() <= 0:
        return np.linspace(100.0, 101.0, len(levels))
    order = np.argsort(values)
    total = np.cumsum(weight[order])
    return np.interp(levels, (total - 0.5 * weight[order]) / total[-1], values[order])
