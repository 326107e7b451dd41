"""HepMC3 listings, plain or gzipped: events of particles.

Electrons, muons and photons are the final ones that do not come from a hadron. Jets are anti-kt R = 0.4 above 20 GeV in
|eta| < 5, of all that is visible and neither one of these nor a tau; a hadron with a b quark within 0.3 tags them.
Missing momentum is that of the invisible particles. To see the events as a detector would, simulate the file
(:func:`anomalon.simulation.simulate_hepmc`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from anomalon.generator.clustering import Clusters, antikt
from anomalon.generator.hepmc import HepmcFile, is_hepmc
from anomalon.generator.particles import (
    INVISIBLE,
    GeneratedEvents,
    GeneratedParticles,
    Mask,
    coordinates,
    from_hadron,
    heavy_flavour,
    mass,
)
from anomalon.kinematics import delta_r
from anomalon.objects import make_objects
from anomalon.sources.contract import Format, register
from anomalon.sources.generated import GeneratedSource

FORMAT = "hepmc3"
PT_MIN = 0.1
"""Leptons and photons below this pT in GeV, such as radiation along the beam, are left out."""
JET_RADIUS, JET_PT_MIN, JET_ETA_MAX = 0.4, 20.0, 5.0
B_TAG_CONE, B_HADRON_PT_MIN = 0.3, 5.0
_TAU = 15


class HepmcSource(GeneratedSource):
    """Events of one HepMC3 file, at particle level; jets need FastJet.

    Raises:
        InputFileError: HepMC of another version, cut short or broken; names the line.
        MissingExtraError: pyhepmc is not installed, or FastJet when jets are asked for.
    """

    format = FORMAT
    title = "a HepMC3 file"

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        self._file = HepmcFile(self.path)

    @property
    def n_events(self) -> int:
        """Number of events."""
        return len(self._file)

    def _normalisation(self) -> dict[str, Any]:
        cross_section, error = self._file.cross_section_pb or (None, None)
        said: dict[str, Any] = {
            "cross_section_pb": cross_section,
            "cross_section_error_pb": error,
            "sum_gen_weights": self._file.sum_of_weights,
            "provenance": {"level": "particles: no detector", "jets": f"anti-kt {JET_RADIUS}, pT > {JET_PT_MIN:g} GeV"},
        }
        energy = self._file.sqrt_s_gev
        return said if energy is None else said | {"sqrt_s_gev": energy}

    def _read(self, chunk: int) -> Iterator[GeneratedEvents]:
        return self._file.iterate(chunk)

    def _variations(self) -> Collection[str]:
        return self._file.variations

    def _is_object(self, particles: GeneratedParticles) -> Mask:
        hard = np.hypot(particles.px, particles.py) > PT_MIN
        candidates = np.flatnonzero(particles.final & hard & np.isin(np.abs(particles.pdg_id), (11, 13, 22)))
        prompt = np.zeros(len(particles), dtype=np.bool_)
        prompt[candidates] = ~from_hadron(candidates, particles.pdg_id, particles.mother)
        return prompt

    def _jets(self, particles: GeneratedParticles, n: int) -> ak.Array:
        unseen = np.isin(np.abs(particles.pdg_id), (*INVISIBLE, _TAU)) | self._is_object(particles)
        rows = np.flatnonzero(particles.final & ~unseen)
        momenta = {k: getattr(particles, v)[rows] for k, v in _MOMENTA.items()}
        found = antikt(particles.event[rows], momenta, radius=JET_RADIUS, pt_min=JET_PT_MIN)
        return _tagged(_jet_objects(found, n), _b_hadrons(particles, n))


_MOMENTA = {"px": "px", "py": "py", "pz": "pz", "E": "energy"}


def _jet_objects(found: Clusters, n: int) -> ak.Array:
    pt, eta, phi = coordinates(found.px, found.py, found.pz)
    columns = {"pt": pt, "eta": eta, "phi": phi, "mass": mass(found.px, found.py, found.pz, found.energy)}
    seen = np.abs(eta) < JET_ETA_MAX
    flat = make_objects({k: v[seen].astype(np.float32) for k, v in columns.items()})
    return ak.unflatten(flat, np.bincount(found.event[seen], minlength=n))


def _b_hadrons(particles: GeneratedParticles, n: int) -> ak.Array:
    rows = np.flatnonzero(heavy_flavour(particles.pdg_id) == 5)
    pt, eta, phi = coordinates(*(getattr(particles, k)[rows] for k in ("px", "py", "pz")))
    hard = pt > B_HADRON_PT_MIN
    flat = ak.zip({"eta": eta[hard], "phi": phi[hard]})
    return ak.unflatten(flat, np.bincount(particles.event[rows][hard], minlength=n))


def _tagged(jets: ak.Array, hadrons: ak.Array) -> ak.Array:
    jet, hadron = ak.unzip(ak.cartesian([jets, hadrons], nested=True))
    near = delta_r(jet.eta, jet.phi, hadron.eta, hadron.phi) < B_TAG_CONE
    return ak.with_field(jets, ak.any(near, axis=2), "btag")


register(Format(FORMAT, "HepMC3 listing: .hepmc3, .hepmc or .gz of it", is_hepmc, HepmcSource))
