"""Particles that reach the detector, as flat arrays, and how they are read from the generator's record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from anomalon.generator.particles import INVISIBLE, coordinates, from_hadron, heavy_flavour

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_LEPTON_PT_MIN = 5.0
_HADRON_PT_MIN = 5.0


@dataclass(frozen=True)
class Particles:
    """Stable visible particles of some events, sorted by event.

    Attributes:
        n_events: number of events, those without particles included.
        event: index of the event, shape (particle,).
        pdg_id: identity.
        px, py, pz, energy: four-momentum in GeV.
        pt, eta, phi: the same in the detector's coordinates.
        prompt: False for electrons and muons from hadron decays, also through a tau.
    """

    n_events: int
    event: Ints
    pdg_id: Ints
    px: Floats
    py: Floats
    pz: Floats
    energy: Floats
    pt: Floats
    eta: Floats
    phi: Floats
    prompt: Mask

    def __len__(self) -> int:
        return len(self.event)

    def __getitem__(self, where: Mask | Ints) -> Particles:
        """Keep the particles at a mask or at increasing indices."""
        kept = {name: getattr(self, name)[where] for name in self.__dataclass_fields__ if name != "n_events"}
        return Particles(n_events=self.n_events, **kept)

    @classmethod
    def build(cls, n_events: int, columns: Mapping[str, Any]) -> Particles:
        """Build from ``event, pdg_id, px, py, pz, energy`` and ``prompt`` (True where it is left out)."""
        px, py, pz = (np.asarray(columns[k], dtype=np.float64) for k in ("px", "py", "pz"))
        pt, eta, phi = coordinates(px, py, pz)
        event = np.asarray(columns["event"], dtype=np.int64)
        return cls(
            n_events=n_events,
            event=event,
            pdg_id=np.asarray(columns["pdg_id"], dtype=np.int64),
            px=px,
            py=py,
            pz=pz,
            energy=np.asarray(columns["energy"], dtype=np.float64),
            pt=pt,
            eta=eta,
            phi=phi,
            prompt=np.asarray(columns.get("prompt", np.ones(len(event))), dtype=np.bool_),
        )


@dataclass(frozen=True)
class HeavyHadrons:
    """Hadrons with a b or c quark, pT > 5 GeV, sorted by event: the truth behind the b-tag."""

    event: Ints
    eta: Floats
    phi: Floats
    is_b: Mask


@dataclass(frozen=True)
class Record:
    """What the detector needs of generated events.

    Attributes:
        particles: stable visible particles.
        hadrons: hadrons with a b or c quark.
        gen_weight: generator weight, shape (event,).
    """

    particles: Particles
    hadrons: HeavyHadrons
    gen_weight: Floats


def record_from_batch(batch: ak.Array) -> Record:
    """Read the awkward array of ``Pythia.nextBatch``; momenta below 0.1 GeV in the transverse plane are left out."""
    counts = ak.to_numpy(ak.num(batch.prt))
    flat = ak.flatten(batch.prt)
    columns = {name: ak.to_numpy(flat[name]) for name in ("id", "status", "mother1")}
    momenta = {name: ak.to_numpy(flat.p[name]) for name in ("px", "py", "pz", "e")}
    event = np.repeat(np.arange(len(counts)), counts)
    start = np.repeat(np.cumsum(counts) - counts, counts)
    visible = _visible(columns["id"], columns["status"], momenta)
    prompt = np.ones(len(event), dtype=np.bool_)
    leptons = visible[np.isin(np.abs(columns["id"][visible]), (11, 13))]
    leptons = leptons[np.hypot(momenta["px"][leptons], momenta["py"][leptons]) > _LEPTON_PT_MIN]
    prompt[leptons] = ~from_hadron(leptons, columns["id"], columns["mother1"] + start)
    taken = {"event": event, "pdg_id": columns["id"], "energy": momenta["e"], "prompt": prompt}
    taken |= {name: momenta[name] for name in ("px", "py", "pz")}
    particles = Particles.build(len(counts), {name: values[visible] for name, values in taken.items()})
    return Record(particles, _heavy_hadrons(event, columns["id"], momenta), _weights(batch, len(counts)))


def _visible(pdg_id: Ints, status: Ints, momenta: Mapping[str, Floats]) -> Ints:
    final = np.flatnonzero(status > 0)
    seen = (momenta["px"][final] ** 2 + momenta["py"][final] ** 2 > 0.01) & ~np.isin(np.abs(pdg_id[final]), INVISIBLE)
    return np.asarray(final[seen])


def _heavy_hadrons(event: Ints, pdg_id: Ints, momenta: Mapping[str, Floats]) -> HeavyHadrons:
    flavour = heavy_flavour(pdg_id)
    rows = np.flatnonzero(flavour)
    pt, eta, phi = coordinates(*(momenta[k][rows] for k in ("px", "py", "pz")))
    hard = pt > _HADRON_PT_MIN
    return HeavyHadrons(event[rows][hard], eta[hard], phi[hard], flavour[rows][hard] == 5)


def _weights(batch: ak.Array, n_events: int) -> Floats:
    weights = ak.fill_none(ak.firsts(batch.info.weights), 1.0)
    return np.asarray(ak.to_numpy(weights), dtype=np.float64) if n_events else np.zeros(0)
