"""Results of an evaluation as frozen records, and its settings."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from anomalon.config import Settings

Floats = npt.NDArray[np.float64]


class _Record:
    """A frozen result that can be written as JSON: numbers that are not finite become null."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain: dict[str, Any] = _plain(asdict(self))  # type: ignore[call-overload]
        return plain


@dataclass(frozen=True)
class Interval(_Record):
    """A value with its 68 % and 95 % intervals."""

    value: float
    low68: float
    high68: float
    low95: float
    high95: float


@dataclass(frozen=True)
class RocCurve(_Record):
    """Efficiencies of a cut ``score >= threshold``, from the tightest cut (inf) to none; all of shape (cut,)."""

    threshold: Floats
    background_efficiency: Floats
    signal_efficiency: Floats

    def thinned(self, points: int = 300) -> RocCurve:
        """At most about ``points`` points: half evenly in background efficiency, half evenly in its logarithm."""
        n, eps = len(self.threshold), self.background_efficiency
        if n <= points:
            return self
        smallest = eps[eps > 0][0] if (eps > 0).any() else 1.0
        wanted = np.concatenate([np.linspace(0, 1, points // 2), np.geomspace(smallest, 1, points - points // 2)])
        keep = np.unique(np.r_[0, np.searchsorted(eps, np.sort(wanted), side="left").clip(0, n - 1), n - 1])
        return RocCurve(self.threshold[keep], eps[keep], self.signal_efficiency[keep])


@dataclass(frozen=True)
class WorkingPoint(_Record):
    """Signal efficiency at a fixed background efficiency.

    Attributes:
        background_efficiency: asked for; the cut is the loosest that does not exceed it.
        threshold: events pass with ``score >= threshold``.
        signal_efficiency: with its bootstrap interval.
        background_left: raw background events that pass.
        background_left_effective: (sum w)^2 / sum w^2 of those.
        reliable: whether enough background events pass for the point to mean something.
    """

    background_efficiency: float
    threshold: float
    signal_efficiency: Interval
    background_left: int
    background_left_effective: float
    reliable: bool


@dataclass(frozen=True)
class SicCurve(_Record):
    """Significance improvement eps_S / sqrt(eps_B) of a cut (arXiv:2001.05001), where enough background events pass.

    Attributes:
        background_efficiency, improvement: shape (cut,).
        best: largest improvement, NaN if no cut leaves enough background events.
        best_background_efficiency: where it is.
        left_out: number of cuts left out because too few background events pass.
    """

    background_efficiency: Floats
    improvement: Floats
    best: float
    best_background_efficiency: float
    left_out: int


@dataclass(frozen=True)
class Performance(_Record):
    """A score against one signal."""

    auc: Interval
    efficiencies: tuple[WorkingPoint, ...]
    sic: SicCurve
    roc: RocCurve


@dataclass(frozen=True)
class SingleVariable(_Record):
    """One feature used as a score: ``high`` or ``low`` values are called anomalous."""

    name: str
    direction: Literal["high", "low"]
    auc: float


class EvaluationSettings(Settings):
    """How scores are evaluated.

    Attributes:
        replicas: of the bootstrap.
        seed: of the bootstrap.
        background_efficiencies: where signal efficiencies are given.
        minimum_background: raw background events that must pass a cut for it to be reliable.
    """

    replicas: int = Field(default=200, ge=2)
    seed: int = Field(default=0, ge=0)
    background_efficiencies: tuple[float, ...] = (1e-1, 1e-2, 1e-3, 1e-4)
    minimum_background: int = Field(default=10, ge=1)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_plain(v) for v in value.tolist()]
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
