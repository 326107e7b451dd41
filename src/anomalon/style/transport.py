"""Optimal transport of (ln pT, |eta|), of which ln pT alone is moved: sliced, and entropic with the library POT.

Transport of all variables of an event at once finds a short map, which is not the detector's; so it moves one degree of
freedom, under its condition.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from anomalon.errors import MissingExtraError
from anomalon.style.contract import CalibratorSettings
from anomalon.style.objects import Sample, Values
from anomalon.style.residual import Residual, ResidualSettings

_CHUNK = 4096


class SlicedSettings(ResidualSettings):
    """Settings of sliced transport.

    Attributes:
        directions: random directions, one after the other.
        step: share of each one-dimensional map that is taken.
        knots: quantiles of each map.
    """

    directions: int = Field(default=60, ge=1)
    step: float = Field(default=0.5, gt=0, le=1)
    knots: int = Field(default=60, ge=3)


class SlicedTransport(Residual):
    """Descent of the sliced Wasserstein distance (Rabin, Peyre, Delon, Bernot 2011) along ln pT.

    In each random direction the projections are mapped onto the target's by quantiles; the part of the displacement
    along ln pT is taken.
    """

    Settings: ClassVar[type[CalibratorSettings]] = SlicedSettings
    kind = "sliced-transport"
    settings: SlicedSettings

    def _learn(self, before: Sample, after: Sample) -> None:
        s, rng = self.settings, np.random.default_rng([self.settings.seed, 5])
        self.centre, self.width = _scale(after)
        moving, target = self._points(before), self._points(after)
        angles = rng.uniform(-0.5 * np.pi, 0.5 * np.pi, s.directions)
        angles[:: max(s.directions // 10, 1)] = 0.0  # ln pT itself: what it is all about
        self.directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        levels = np.linspace(0.002, 0.998, s.knots)
        self.tables = np.zeros((s.directions, 2, s.knots))
        for number, direction in enumerate(self.directions):
            ends = ((moving @ direction, before.weight), (target @ direction, after.weight))
            self.tables[number] = [_quantiles(values, weight, levels) for values, weight in ends]
            moving[:, 0] += self._step(moving, number)

    def _displaced(self, found: Sample) -> Values:
        points = self._points(found)
        start = points[:, 0].copy()
        for number in range(len(self.directions)):
            points[:, 0] += self._step(points, number)
        return np.asarray((points[:, 0] - start) * self.width[0])

    def _step(self, points: Values, number: int) -> Values:
        source, target = self.tables[number]
        shift = np.interp(points @ self.directions[number], source, target - source)
        return np.asarray(self.settings.step * self.directions[number, 0] * shift)

    def _points(self, found: Sample) -> Values:
        return (np.stack([np.log(found.pt), found.abs_eta], axis=1) - self.centre) / self.width

    def _save_residual(self, folder: Path) -> dict[str, Any]:
        arrays: dict[str, Any] = {"directions": self.directions, "tables": self.tables}
        arrays |= {"centre": self.centre, "width": self.width}
        np.savez(folder / "maps.npz", **arrays)
        return {}

    def _load_residual(self, folder: Path, state: dict[str, Any]) -> None:  # noqa: ARG002
        with np.load(folder / "maps.npz") as arrays:
            self.centre, self.width = arrays["centre"], arrays["width"]
            self.directions, self.tables = arrays["directions"], arrays["tables"]


class EntropicSettings(ResidualSettings):
    """Settings of entropic transport.

    Attributes:
        points: of each sample, drawn by weight.
        regularisation: of the plan, in squared standard deviations.
        condition: how much farther |eta| counts than ln pT, in standard deviations.
    """

    points: int = Field(default=2000, ge=50)
    regularisation: float = Field(default=0.1, gt=0)
    condition: float = Field(default=1.0, gt=0)


class EntropicTransport(Residual):
    """The debiased entropic map: towards the target less towards itself.

    T(x) = sum_j y_j softmax_j(log v_j - |x - y_j|^2 / regularisation), with the potentials of Sinkhorn's iteration
    (Pooladian, Niles-Weed, arXiv:2109.12004); what the same map of the source onto itself does is subtracted
    (arXiv:2202.08919).
    """

    Settings: ClassVar[type[CalibratorSettings]] = EntropicSettings
    kind = "entropic-transport"
    settings: EntropicSettings

    def _learn(self, before: Sample, after: Sample) -> None:
        rng = np.random.default_rng([self.settings.seed, 6])
        self.centre, self.width = _scale(after)
        source, target = (self._drawn(found, rng) for found in (before, after))
        self.towards = target, self._potential(source, target)
        self.itself = source, self._potential(source, source)

    def _potential(self, source: Values, target: Values) -> Values:
        try:
            import ot  # noqa: PLC0415 - an extra
        except ImportError:
            raise MissingExtraError("entropic transport needs POT: pip install 'anomalon[style]'") from None
        cost = _squared(source, target)
        mass = np.full(len(source), 1.0 / len(source)), np.full(len(target), 1.0 / len(target))
        with np.errstate(over="ignore"):  # it also takes the exponential of the potentials, which nobody needs
            _, log = ot.sinkhorn(
                *mass, cost, self.settings.regularisation, method="sinkhorn_log", numItermax=300, log=True, warn=False
            )
        return np.asarray(log["log_v"])

    def _displaced(self, found: Sample) -> Values:
        points = self._points(found)
        shift = np.zeros(len(points))
        for start in range(0, len(points), _CHUNK):
            some = points[start : start + _CHUNK]
            shift[start : start + _CHUNK] = self._mapped(some, *self.towards) - self._mapped(some, *self.itself)
        return np.asarray(shift * self.width[0])

    def _mapped(self, points: Values, target: Values, potential: Values) -> Values:
        score = potential[None, :] - _squared(points, target) / self.settings.regularisation
        share = np.exp(score - score.max(axis=1, keepdims=True))
        return np.asarray(share @ target[:, 0] / share.sum(axis=1))

    def _drawn(self, found: Sample, rng: np.random.Generator) -> Values:
        at = rng.choice(len(found), self.settings.points, p=found.weight / found.weight.sum())
        return self._points(found)[at]

    def _points(self, found: Sample) -> Values:
        points = (np.stack([np.log(found.pt), found.abs_eta], axis=1) - self.centre) / self.width
        return np.asarray(points * [1.0, self.settings.condition])

    def _save_residual(self, folder: Path) -> dict[str, Any]:
        (target, towards), (source, itself) = self.towards, self.itself
        arrays: dict[str, Any] = {"target": target, "towards": towards, "source": source, "itself": itself}
        np.savez(folder / "maps.npz", centre=self.centre, width=self.width, **arrays)
        return {}

    def _load_residual(self, folder: Path, state: dict[str, Any]) -> None:  # noqa: ARG002
        with np.load(folder / "maps.npz") as arrays:
            self.centre, self.width = arrays["centre"], arrays["width"]
            self.towards, self.itself = (arrays["target"], arrays["towards"]), (arrays["source"], arrays["itself"])


def _scale(found: Sample) -> tuple[Values, Values]:
    points = np.stack([np.log(found.pt), found.abs_eta], axis=1)
    return points.mean(axis=0), np.maximum(points.std(axis=0), 1e-6)


def _squared(a: Values, b: Values) -> Values:
    """Squared distances, shape (a, b)."""
    return np.asarray((a[:, None, 0] - b[None, :, 0]) ** 2 + (a[:, None, 1] - b[None, :, 1]) ** 2)


def _quantiles(values: Values, weight: Values, levels: Values) -> Values:
    order = np.argsort(values)
    total = np.cumsum(weight[order])
    return np.interp(levels, (total - 0.5 * weight[order]) / total[-1], values[order])
