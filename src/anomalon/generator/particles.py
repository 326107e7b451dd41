"""Generated particles as flat arrays, and what their identities mean. Ref: PDG, "Monte Carlo particle numbering"."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

INVISIBLE = (12, 14, 16, 18, 51, 52, 53, 1000012, 1000014, 1000016, 1000022, 1000039)
"""Absolute identities that leave nothing in a detector: neutrinos, dark matter, sneutrinos, neutralino 1, gravitino."""

_MAX_GENERATIONS = 50


@dataclass(frozen=True)
class GeneratedParticles:
    """Particles of some events, sorted by event.

    Attributes:
        event: index of the event within the part, shape (particle,).
        pdg_id: identity.
        final: whether the particle leaves the generator: it is not decayed there.
        mother: index of the first mother in these arrays, -1 where there is none.
        px, py, pz, energy: four-momentum in GeV.
    """

    event: Ints
    pdg_id: Ints
    final: Mask
    mother: Ints
    px: Floats
    py: Floats
    pz: Floats
    energy: Floats

    def __len__(self) -> int:
        return len(self.event)

    def first_bad_event(self) -> int | None:
        """Index of the first event with a momentum that is not finite; None where there is none."""
        bad = np.flatnonzero(~np.isfinite(self.px + self.py + self.pz + self.energy))
        return int(self.event[bad[0]]) if len(bad) else None


@dataclass(frozen=True)
class GeneratedEvents:
    """A range of events of a file.

    Attributes:
        start: number of the first event in the file.
        weight: nominal weight, shape (event,).
        variations: other weights by name, each of shape (event,).
        particles: all their particles.
    """

    start: int
    weight: Floats
    particles: GeneratedParticles
    variations: Mapping[str, Floats] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.weight)


def build_particles(columns: Mapping[str, Any]) -> GeneratedParticles:
    """Convert columns to arrays of the right types."""
    types = {"event": np.int64, "pdg_id": np.int64, "mother": np.int64, "final": np.bool_}
    return GeneratedParticles(**{k: np.asarray(v, dtype=types.get(k, np.float64)) for k, v in columns.items()})


def coordinates(px: Floats, py: Floats, pz: Floats) -> tuple[Floats, Floats, Floats]:
    """Transverse momentum, pseudorapidity and azimuth."""
    pt = np.hypot(px, py)
    return pt, np.arcsinh(pz / np.maximum(pt, 1e-12)), np.arctan2(py, px)


def mass(px: Floats, py: Floats, pz: Floats, energy: Floats) -> Floats:
    """Mass in GeV; rounding below zero gives 0."""
    return np.asarray(np.sqrt(np.maximum(energy**2 - px**2 - py**2 - pz**2, 0.0)))


def is_hadron(pdg_id: Ints) -> Mask:
    """Whether a particle is made of quarks.

    >>> is_hadron(np.array([111, 2212, -521, 21, 13, 1000022, 2101])).tolist()
    [True, True, True, False, False, False, False]
    """
    code = np.abs(pdg_id)
    # The tens digit is zero for diquarks; BSM particles and nuclei start at a million.
    return np.asarray((code > 100) & (code < 1_000_000) & ((code // 10) % 10 > 0))


def from_hadron(start: Ints, pdg_id: Ints, mother: Ints) -> Mask:
    """Whether the first ancestor of each particle that is neither lepton nor photon is a hadron.

    Args:
        start: indices of the particles.
        pdg_id: identities of all.
        mother: index of each one's mother; negative where there is none.
    """
    ancestor = mother[start]
    for _ in range(_MAX_GENERATIONS):
        passing = (ancestor >= 0) & np.isin(np.abs(pdg_id[ancestor]), (11, 13, 15, 22))
        if not passing.any():
            break
        ancestor = np.where(passing, mother[ancestor], ancestor)
    return np.asarray((ancestor >= 0) & is_hadron(pdg_id[ancestor]))


def heavy_flavour(pdg_id: Ints) -> Ints:
    """Heaviest quark of each hadron, 5 (b) or 4 (c); 0 for anything else.

    >>> heavy_flavour(np.array([511, 5122, 421, 211, 5])).tolist()
    [5, 5, 4, 0, 0]
    """
    code = np.abs(pdg_id)
    flavour = np.where(code % 10000 >= 1000, code // 1000 % 10, code // 100 % 10)
    return np.asarray(np.where(is_hadron(pdg_id) & ((flavour == 4) | (flavour == 5)), flavour, 0))


def factor_names(names: Sequence[str]) -> dict[str, str]:
    """Names of the event factors that carry weight variations, by the variations' own names.

    >>> factor_names(["1001", "muR=2 muF=1"])
    {'1001': 'weight_1001', 'muR=2 muF=1': 'weight_muR_2_muF_1'}
    """
    plain = {name: "weight_" + re.sub(r"\W+", "_", name).strip("_") for name in names}
    return {name: f"{value}_" if value.endswith(("Up", "Down")) else value for name, value in plain.items()}


def variation_factors(weight: Floats, variations: Mapping[str, Floats]) -> dict[str, Floats]:
    """Variations as event factors: ``NAME`` is 1 and ``NAMEUp`` the ratio to the nominal weight, shape (event,).

    ``Events.weights(variation="NAMEUp")`` then gives the varied weight. The ratio is 1 where the nominal weight is 0.
    """
    names = factor_names(list(variations))
    factors: dict[str, Floats] = {}
    for name, values in variations.items():
        factors[names[name]] = np.ones(len(weight))
        factors[f"{names[name]}Up"] = np.divide(values, weight, out=np.ones(len(weight)), where=weight != 0)
    return factors
