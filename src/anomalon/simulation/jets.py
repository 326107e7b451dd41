"""Jets: anti-kt clustering with FastJet, energy smearing and b-tag.

Ref: M. Cacciari, G. P. Salam, G. Soyez, JHEP 04 (2008) 063, arXiv:0802.1189; FastJet: arXiv:1111.6097.
"""

from __future__ import annotations

from dataclasses import dataclass

import awkward as ak
import numpy as np
import numpy.typing as npt

from anomalon.generator.clustering import antikt
from anomalon.generator.particles import coordinates, mass
from anomalon.objects import make_objects
from anomalon.simulation.neighbours import Directions, close_pairs, has_neighbour
from anomalon.simulation.particles import Floats, HeavyHadrons, Ints, Particles
from anomalon.simulation.response import JetResponse, btag_efficiency, jet_resolution

_SLOTS = 64
"""Random numbers are kept for this many jets of an event; jets beyond start again from the first."""


@dataclass(frozen=True)
class Jets:
    """Accepted jets, sorted by event.

    Attributes:
        event: index of the event, shape (jet,).
        columns: pt, eta, phi, mass, btag.
        truth_pt: pT in GeV before smearing.
    """

    event: Ints
    columns: dict[str, npt.NDArray[np.generic]]
    truth_pt: Floats

    def ragged(self, n_events: int) -> ak.Array:
        """One list of jets per event."""
        return ak.unflatten(make_objects(self.columns), np.bincount(self.event, minlength=n_events))


@dataclass(frozen=True)
class _Clusters:
    event: Ints
    number: Ints
    pt: Floats
    eta: Floats
    phi: Floats
    mass: Floats


def reconstruct_jets(
    particles: Particles, hadrons: HeavyHadrons, *, avoid: Directions, response: JetResponse, rng: np.random.Generator
) -> Jets:
    """Cluster, smear, accept and tag jets.

    Args:
        particles: what to cluster.
        hadrons: hadrons with a b or c quark.
        avoid: directions of accepted leptons and photons, that jets keep ``response.separation`` away from.
        response: acceptance, resolution and tagging.
        rng: stream of these events; each event owns its numbers.
    """
    gauss = rng.standard_normal((particles.n_events, _SLOTS))
    uniform = rng.random((particles.n_events, _SLOTS))
    jets = _cluster(particles, response)
    slot = jets.event, jets.number % _SLOTS
    smear = np.maximum(1.0 + jet_resolution(response.resolution, jets.pt, jets.eta) * gauss[slot], 0.0)
    pt = jets.pt * smear
    near = has_neighbour((jets.event, jets.eta, jets.phi), avoid, response.separation)
    ok = (pt > response.pt_min) & (np.abs(jets.eta) < response.eta_max) & ~near
    chance = np.where(
        np.abs(jets.eta) < response.btag_eta_max,
        btag_efficiency(response, pt, _flavour(jets, hadrons, response.btag_cone)),
        0.0,
    )
    floats = {"pt": pt, "eta": jets.eta, "phi": jets.phi, "mass": jets.mass * smear}
    columns: dict[str, npt.NDArray[np.generic]] = {k: v[ok].astype(np.float32) for k, v in floats.items()}
    columns["btag"] = (uniform[slot] < chance)[ok]
    return Jets(jets.event[ok], columns, jets.pt[ok])


def _cluster(particles: Particles, response: JetResponse) -> _Clusters:
    """Jets of all events down to half the threshold, by decreasing pT within an event."""
    momenta = {"px": particles.px, "py": particles.py, "pz": particles.pz, "E": particles.energy}
    found = antikt(particles.event, momenta, radius=response.radius, pt_min=0.5 * response.pt_min)
    pt, eta, phi = coordinates(found.px, found.py, found.pz)
    return _Clusters(found.event, found.number, pt, eta, phi, mass(found.px, found.py, found.pz, found.energy))


def _flavour(jets: _Clusters, hadrons: HeavyHadrons, cone: float) -> Ints:
    flavour = np.zeros(len(jets.event), dtype=np.int64)
    i, j = close_pairs((jets.event, jets.eta, jets.phi), (hadrons.event, hadrons.eta, hadrons.phi), cone)
    np.maximum.at(flavour, i, np.where(hadrons.is_b[j], 5, 4))
    return flavour
