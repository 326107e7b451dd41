"""Distortions of momenta: scaled, smeared, lost. Missing transverse momentum answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy.special import ndtr, ndtri

from anomalon.config import Settings
from anomalon.distortions.flat import Columns, Draws, Floats, Objects, rebuilt
from anomalon.distortions.which import Which
from anomalon.events import Events
from anomalon.kinematics import wrap_phi

_FOUR_VECTOR = ("pt", "eta", "phi", "mass")
_OF_ONE_MASS = ("electrons", "muons", "photons")
_SOFTEST = 1e-3
"""GeV: below, a resolution that grows like 1 / pT is not extrapolated."""


class Momenta(Settings):
    """What distortions of momenta share.

    Attributes:
        which: the objects.
        into_met: whether missing transverse momentum answers; by default it does for everything but fat jets, whose
            momentum is that of jets already.
    """

    which: Which
    into_met: bool | None = None

    @property
    def moves_met(self) -> bool:
        """Whether missing transverse momentum answers."""
        return self.which.collection != "fatjets" if self.into_met is None else self.into_met

    @property
    def requires(self) -> frozenset[str]:
        """Dotted names of the event fields that are read or changed."""
        return self.which.requires | (frozenset({"met.pt", "met.phi"}) if self.moves_met else frozenset())


class _Response(Momenta):
    """Other momenta for the same objects.

    Attributes:
        scale_mass: whether the mass goes with pT, so that the whole four-vector is scaled; by default it does for jets
            and fat jets, while electrons, muons and photons keep the mass of the particle.
    """

    scale_mass: bool | None = None

    def _scaled(self, name: str, objects: Objects, factor: Any) -> Columns:
        scale_mass = name not in _OF_ONE_MASS if self.scale_mass is None else self.scale_mass
        names = [c for c in ("pt", *(("mass",) if scale_mass else ())) if c in objects.columns]
        return {c: objects.columns[c].astype(np.float64) * factor for c in names}

    def _with_momenta(self, events: Events, draws: Draws, momenta: Callable[[str, Objects], Columns]) -> Events:
        replaced, recoil = {}, np.zeros((2, len(events)))
        for name, (objects, mask) in self.which.find(events, draws).items():
            at = np.flatnonzero(mask)
            if len(at):
                after = objects.with_values(at, momenta(name, objects.taken(at, _FOUR_VECTOR)))
                recoil += objects.momentum(at, minus=after)
                replaced[name] = after.by_pt()
        return rebuilt(events, replaced, recoil if self.moves_met else None)


class Scale(_Response):
    """Multiply pT by a factor; eta and phi stay.

    Attributes:
        factor: of pT and, see ``scale_mass``, of the mass; positive.
    """

    kind: Literal["scale"] = "scale"
    factor: float = Field(gt=0)

    def apply(self, events: Events, draws: Draws) -> Events:
        """Distort events."""
        return self._with_momenta(events, draws, lambda name, objects: self._scaled(name, objects, self.factor))


class Smear(_Response):
    """Multiply pT by a Gaussian around 1, truncated so that pT stays positive, and shift the angles by Gaussians.

    The relative width is sigma^2 = constant^2 + stochastic^2 / pT + noise^2 / pT^2, pT in GeV: the resolution of a
    calorimeter, PDG review "Particle detectors at accelerators" (2024). The truncation raises the mean, by less than
    0.1 % where sigma is below 0.3.

    Attributes:
        constant: relative width at large pT.
        stochastic: in sqrt(GeV).
        noise: in GeV.
        eta, phi: widths of the shifts; phi in rad.
    """

    kind: Literal["smear"] = "smear"
    constant: float = Field(default=0.0, ge=0)
    stochastic: float = Field(default=0.0, ge=0)
    noise: float = Field(default=0.0, ge=0)
    eta: float = Field(default=0.0, ge=0)
    phi: float = Field(default=0.0, ge=0)

    def resolution(self, pt: npt.NDArray[Any]) -> Floats:
        """Relative width at pT in GeV, of the same shape."""
        hard = np.maximum(pt.astype(np.float64), _SOFTEST)
        width: Floats = np.sqrt(self.constant**2 + self.stochastic**2 / hard + (self.noise / hard) ** 2)
        return width

    def apply(self, events: Events, draws: Draws) -> Events:
        """Distort events."""
        return self._with_momenta(events, draws, lambda name, objects: self._smeared(name, objects, draws))

    def _smeared(self, name: str, objects: Objects, draws: Draws) -> Columns:
        new: Columns = {}
        if self.constant or self.stochastic or self.noise:
            sigma = self.resolution(objects.columns["pt"])
            # the inverse of the tail above: it stays above -1 / sigma, and is exact far from the mean
            pull = -ndtri(draws.uniform(f"{name}/pt", objects.owner, objects.place) * ndtr(1.0 / sigma))
            new |= self._scaled(name, objects, np.maximum(1.0 + sigma * pull, np.finfo(np.float32).eps))
        for angle, width in (("eta", self.eta), ("phi", self.phi)):
            if width:
                pull = ndtri(draws.uniform(f"{name}/{angle}", objects.owner, objects.place))
                new[angle] = objects.columns[angle] + width * pull
        return new | ({"phi": wrap_phi(new["phi"])} if "phi" in new else {})


class Lose(Momenta):
    """Drop objects; their momentum becomes missing, MET' = MET + pT of what is lost.

    Attributes:
        probability: of each object to be lost: 1 - efficiency, in the region of ``which``.
    """

    kind: Literal["lose"] = "lose"
    probability: float = Field(default=1.0, ge=0, le=1)

    def apply(self, events: Events, draws: Draws) -> Events:
        """Distort events."""
        replaced, recoil = {}, np.zeros((2, len(events)))
        for name, (objects, mask) in self.which.find(events, draws, self.probability).items():
            if mask.any():
                recoil += objects.momentum(mask)
                replaced[name] = objects.taken(~mask)
        return rebuilt(events, replaced, recoil if self.moves_met else None)
