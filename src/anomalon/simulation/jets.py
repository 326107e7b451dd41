"""Jets: anti-kt clustering with FastJet, energy smearing and b-tag.

Ref: M. Cacciari, G. P. Salam, G. Soyez, JHEP 04 (2008) 063, arXiv:0802.1189; FastJet: arXiv:1111.6097.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from anomalon.errors import MissingExtraError
from anomalon.events import make_objects
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
    if not len(particles):
        return _Clusters(*(np.zeros(0, dtype=np.int64),) * 2, *(np.zeros(0),) * 4)
    fastjet = load_fastjet()
    events, counts = np.unique(particles.event, return_counts=True)
    momenta = {"px": particles.px, "py": particles.py, "pz": particles.pz, "E": particles.energy}
    ragged = ak.unflatten(ak.zip(momenta, with_name="Momentum4D"), counts)
    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, response.radius)
    jets = fastjet.ClusterSequence(ragged, definition).inclusive_jets(min_pt=0.5 * response.pt_min)
    jets = jets[ak.argsort(jets.px**2 + jets.py**2, axis=1, ascending=False, stable=True)]
    flat = ak.flatten(jets)
    px, py, pz, energy = (ak.to_numpy(flat[k]) for k in ("px", "py", "pz", "E"))
    pt = np.hypot(px, py)
    mass = np.sqrt(np.maximum(energy**2 - px**2 - py**2 - pz**2, 0.0))
    event = np.repeat(events, ak.to_numpy(ak.num(jets)))
    number = ak.to_numpy(ak.flatten(ak.local_index(jets, axis=1)))
    return _Clusters(event, number, pt, np.arcsinh(pz / pt), np.arctan2(py, px), mass)


def _flavour(jets: _Clusters, hadrons: HeavyHadrons, cone: float) -> Ints:
    flavour = np.zeros(len(jets.event), dtype=np.int64)
    i, j = close_pairs((jets.event, jets.eta, jets.phi), (hadrons.event, hadrons.eta, hadrons.phi), cone)
    np.maximum.at(flavour, i, np.where(hadrons.is_b[j], 5, 4))
    return flavour


@cache
def load_fastjet() -> Any:
    """Import FastJet without its banner.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        fastjet = importlib.import_module("fastjet")
        importlib.import_module("fastjet._swig").ClusterSequence.set_fastjet_banner_stream(None)
    except ImportError:
        raise MissingExtraError('jets need FastJet, which is missing: pip install "anomalon[simulate]"') from None
    return fastjet
