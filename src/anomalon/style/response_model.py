"""The parameters of a response and their settings: pT' = r(pT, eta) pT (1 + sigma g).

ln r = a(cell in |eta|) + s L, with L = ln(pT / 60 GeV) / ln 4, and g a Gaussian number, truncated so that pT stays
positive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field
from scipy.special import ndtr, ndtri

from anomalon.style.contract import CalibratorSettings
from anomalon.style.objects import Values

PIVOT = 60.0
"""pT in GeV at which a cell's scale is that of its parameter."""
_LN4 = float(np.log(4.0))


class ResponseSettings(CalibratorSettings):
    """Settings of the parametric response.

    Attributes:
        smear: whether a resolution may be added; it can only widen.
        evidence: largest p-value at which cells in |eta|, a slope in pT and a resolution enter, each by itself: the
            simplest response that describes the target is taken.
        masses: whether the masses of pairs of these objects help to find the resolution.
        bins: of the target's pT above the cut, equally filled.
        slope_width: expected size of s, the change of ln r per factor 4 in pT.
        cell_width: expected difference of ln r between neighbouring cells.
        rounds: of the fit; each takes the events that pass anew.
    """

    smear: bool = True
    masses: bool = True
    evidence: float = Field(default=1e-4, gt=0, le=1)
    bins: int = Field(default=24, ge=5)
    slope_width: float = Field(default=0.1, gt=0)
    cell_width: float = Field(default=0.1, gt=0)
    rounds: int = Field(default=3, ge=1)


@dataclass(frozen=True)
class Response:
    """A response.

    Attributes:
        log_scale: ln r at 60 GeV by cell in |eta|, shape (cell,).
        slope: change of ln r per factor 4 in pT.
        smearing: relative width sigma.
    """

    log_scale: Values
    slope: float = 0.0
    smearing: float = 0.0

    def scale(self, pt: Values, cell: Any) -> Values:
        """Factor r of pT in GeV and cells; the slope is not continued beyond a factor 16 from the pivot."""
        log_pt = np.clip(np.log(pt / PIVOT) / _LN4, -2.0, 2.0)
        return np.asarray(np.exp(self.log_scale[cell] + self.slope * log_pt))

    def smeared(self, pt: Values, cell: Any, uniform: Values) -> Values:
        """Transverse momentum after scale and resolution, with numbers in (0, 1)."""
        moved = pt * self.scale(pt, cell)
        if self.smearing <= 0:
            return moved
        pull = -ndtri(uniform * ndtr(1.0 / self.smearing))
        return np.asarray(moved * np.maximum(1.0 + self.smearing * pull, np.finfo(np.float32).eps))

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"log_scale": self.log_scale.tolist(), "slope": self.slope, "smearing": self.smearing}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Response:
        """Read plain data."""
        log_scale = np.asarray(values["log_scale"], dtype=np.float64)
        return cls(log_scale, float(values["slope"]), float(values["smearing"]))
