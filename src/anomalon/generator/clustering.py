"""Anti-kt clustering of many events at once with FastJet. Ref: arXiv:0802.1189, arXiv:1111.6097."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache
from typing import Any

import awkward as ak
import numpy as np

from anomalon.errors import MissingExtraError
from anomalon.generator.particles import Floats, Ints


@dataclass(frozen=True)
class Clusters:
    """Jets of some events, by event and decreasing pT.

    Attributes:
        event: index of the event, shape (jet,).
        number: place of the jet in its event.
        px, py, pz, energy: four-momentum in GeV.
    """

    event: Ints
    number: Ints
    px: Floats
    py: Floats
    pz: Floats
    energy: Floats


def antikt(event: Ints, momenta: dict[str, Floats], *, radius: float, pt_min: float) -> Clusters:
    """Cluster with the anti-kt algorithm.

    Args:
        event: index of each particle's event, not decreasing.
        momenta: ``px, py, pz, E`` of the particles in GeV.
        radius: of the jets.
        pt_min: jets below this pT in GeV are left out.

    Raises:
        MissingExtraError: FastJet is not installed.
    """
    fastjet = load_fastjet()
    if not len(event):
        return Clusters(*(np.zeros(0, dtype=np.int64),) * 2, *(np.zeros(0),) * 4)
    events, counts = np.unique(event, return_counts=True)
    ragged = ak.unflatten(ak.zip(momenta, with_name="Momentum4D"), counts)
    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, radius)
    jets = fastjet.ClusterSequence(ragged, definition).inclusive_jets(min_pt=pt_min)
    jets = jets[ak.argsort(jets.px**2 + jets.py**2, axis=1, ascending=False, stable=True)]
    flat = ak.flatten(jets)
    number = ak.to_numpy(ak.flatten(ak.local_index(jets, axis=1)))
    px, py, pz, energy = (ak.to_numpy(flat[k]) for k in ("px", "py", "pz", "E"))
    return Clusters(np.repeat(events, ak.to_numpy(ak.num(jets))), number, px, py, pz, energy)


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
