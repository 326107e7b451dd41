"""Fat jets out of lists of particles, many events at once: anti-kt clustering and N-subjettiness.

Refs: M. Cacciari, G. P. Salam, G. Soyez, arXiv:0802.1189 (anti-kt) and arXiv:1111.6097 (FastJet); J. Thaler,
K. Van Tilburg, arXiv:1011.2268 (N-subjettiness).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from anomalon.generator.clustering import load_fastjet
from anomalon.kinematics import cartesian, delta_r
from anomalon.objects import make_objects

RADIUS = 1.0
N_TAU = 3

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FatJets:
    """Jets of some events, flat; an event's jets by decreasing pT.

    Attributes:
        counts: number of jets per event, shape (event,).
        columns: ``pt, eta, phi, mass`` in GeV and rad, and ``tau1 ... tau3``, each of shape (jet,), float64.
    """

    counts: npt.NDArray[np.int64]
    columns: dict[str, Floats]


def cluster(particles: npt.NDArray[Any], pt_min: float) -> FatJets:
    """Cluster massless particles with the anti-kt algorithm, R = 1.0.

    Args:
        particles: (pT in GeV, eta, phi), shape (event, particle, 3); places with pT = 0 hold none.
        pt_min: lowest pT of a jet in GeV.

    Raises:
        MissingExtraError: FastJet is not installed.
    """
    fastjet = load_fastjet()
    there = particles[:, :, 0] > 0
    counts, full = there.sum(axis=1), there.any(axis=1)
    momenta = ak.unflatten(_momenta(particles[there].astype(np.float64)), counts)
    n_jets = np.zeros(len(particles), dtype=np.int64)
    if not full.any():
        return FatJets(n_jets, {name: np.zeros(0) for name in _names()})
    sequence = fastjet.ClusterSequence(momenta[full], fastjet.JetDefinition(fastjet.antikt_algorithm, RADIUS))
    jets, parts = sequence.inclusive_jets(min_pt=pt_min), sequence.constituents(min_pt=pt_min)
    order = ak.argsort(jets.px**2 + jets.py**2, axis=1, ascending=False, stable=True)
    n_jets[full] = ak.to_numpy(ak.num(jets))
    return FatJets(n_jets, _columns(ak.flatten(jets[order]), ak.flatten(parts[order])))


def n_subjettiness(particles: ak.Array, axes: ak.Array) -> Floats:
    """N-subjettiness tau_N of jets with beta = 1, given the N axes of each, shape (jet,).

    tau_N = sum_k pT_k min_a dR(k, a) / (R0 sum_k pT_k), arXiv:1011.2268, equations 2.1 and 2.2.

    Args:
        particles: constituents, with ``pt, eta, phi``, shape (jet, particle).
        axes: with ``eta, phi``, shape (jet, axis).

    >>> particles = ak.Array([[{"pt": 1.0, "eta": 0.0, "phi": 0.0}, {"pt": 3.0, "eta": 0.4, "phi": 0.0}]])
    >>> n_subjettiness(particles, ak.Array([[{"eta": 0.4, "phi": 0.0}]])).tolist()
    [0.1]
    """
    one, axis = particles[:, :, np.newaxis], axes[:, np.newaxis]
    nearest = ak.min(delta_r(one.eta, one.phi, axis.eta, axis.phi), axis=2)
    return np.asarray(ak.to_numpy(ak.sum(particles.pt * nearest, axis=1) / (RADIUS * ak.sum(particles.pt, axis=1))))


def _names() -> tuple[str, ...]:
    return ("pt", "eta", "phi", "mass", *(f"tau{n}" for n in range(1, N_TAU + 1)))


def _momenta(flat: Floats) -> ak.Array:
    px, py, pz, energy = cartesian(flat[:, 0], flat[:, 1], flat[:, 2], 0.0)
    return ak.zip({"px": px, "py": py, "pz": pz, "E": energy}, with_name="Momentum4D")


def _columns(jets: ak.Array, parts: ak.Array) -> dict[str, Floats]:
    """Momenta and tau_1 ... tau_3 of jets and their constituents."""
    px, py, pz, energy = (ak.to_numpy(jets[name]).astype(np.float64) for name in ("px", "py", "pz", "E"))
    pt, p2 = np.hypot(px, py), px**2 + py**2 + pz**2
    columns = {"pt": pt, "eta": np.arcsinh(pz / pt), "phi": np.arctan2(py, px)}
    columns["mass"] = np.sqrt(np.maximum(energy**2 - p2, 0.0))
    return columns | {f"tau{n}": _tau(parts, n) for n in range(1, N_TAU + 1)}


def _tau(parts: ak.Array, n: int) -> Floats:
    """tau_N, the axes being the exclusive kt subjets; 0 for jets of at most N particles."""
    fastjet = load_fastjet()
    enough = ak.to_numpy(ak.num(parts)) > n
    tau = np.zeros(len(enough))
    if enough.any():
        definition = fastjet.JetDefinition(fastjet.kt_algorithm, RADIUS)
        with warnings.catch_warnings():  # FastJet's Python side warns of exclusive jets whatever the algorithm
            warnings.simplefilter("ignore")
            axes = fastjet.ClusterSequence(parts[enough], definition).exclusive_jets(n_jets=n)
        tau[enough] = n_subjettiness(_directions(parts[enough]), _directions(axes))
    return tau


def _directions(momenta: ak.Array) -> ak.Array:
    pt = np.hypot(momenta.px, momenta.py)
    return make_objects({"pt": pt, "eta": np.arcsinh(momenta.pz / pt), "phi": np.arctan2(momenta.py, momenta.px)})
