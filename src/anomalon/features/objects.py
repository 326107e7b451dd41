"""Event-level variables of leptons, jets and missing momentum, for selections that do not ask for a number of leptons.

Good objects are those of the selection. ``m_ll``, ``pT_ll`` and ``dphi_ll`` are those of the two leading leptons,
``mT_l1`` the transverse mass of the leading lepton and the missing momentum, ``m_jj`` the mass of the two leading jets,
``dphi_jet_MET`` the smallest angle between the missing momentum and one of the four leading jets; each is missing where
there are too few objects. ``HT`` is that of the jets, ``ST`` the sum of the pT of leptons, jets and missing momentum.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from anomalon.config import Settings
from anomalon.events import Events
from anomalon.features.contract import Features
from anomalon.kinematics import (
    M_ELECTRON,
    M_MUON,
    delta_phi,
    invariant_mass,
    transverse_mass,
    transverse_momentum_of_sum,
)
from anomalon.selection.objects import LEPTONS, ObjectSelection, Ranked

Floats = npt.NDArray[np.float64]

N_LEPTONS, N_JETS = 3, 4
DIRECTION = ("eta", "phi")
LEPTONS_NEEDED = {"m_ll": 2, "pT_ll": 2, "dphi_ll": 2, "mT_l1": 1, **{f"lep{k}_pt": k for k in range(1, N_LEPTONS + 1)}}
JETS_NEEDED = {"m_jj": 2, "dphi_jet_MET": 1, "MET_over_HT": 1, **{f"jet{k}_pt": k for k in range(1, N_JETS + 1)}}
"""Objects that an event must have for a column to be present."""


class ObjectFeatures(Settings):
    """Features of the good leptons and jets and of the missing transverse momentum.

    Attributes:
        selection: which leptons and jets are good.

    >>> ObjectFeatures().names[:4]
    ('MET_pt', 'HT', 'MET_over_HT', 'LT')
    """

    selection: ObjectSelection = ObjectSelection()

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return (
            "MET_pt", "HT", "MET_over_HT", "LT", "ST", "nElectron", "nMuon", "nJet", "nBJet",
            *(f"lep{k + 1}_pt" for k in range(N_LEPTONS)), *(f"jet{k + 1}_pt" for k in range(N_JETS)),
            "m_ll", "pT_ll", "dphi_ll", "mT_l1", "m_jj", "dphi_jet_MET",
        )  # fmt: skip

    @property
    def requires(self) -> frozenset[str]:
        """Dotted names of the event fields that :meth:`transform` reads."""
        directions = {f"{name}.{column}" for name in (*LEPTONS, "jets") for column in DIRECTION}
        return self.selection.requires | directions | {"met.phi", "jets.mass"}

    def transform(self, events: Events) -> Features:
        """Compute the features, float32 (event, feature); what an event has too few objects for is missing.

        Raises:
            MissingFieldError: the events lack a field.
        """
        events.require(sorted(self.requires), "feature set 'objects'")
        leptons = self.selection.leptons(events, DIRECTION)
        jets = self.selection.jets(events, (*DIRECTION, "mass", "btag"))
        met, phi = (events.numbers(f"met.{name}").astype(np.float64) for name in ("pt", "phi"))
        columns = {**_sums(leptons, jets, met), **_of_leptons(leptons, met, phi), **_of_jets(jets, phi)}
        there = [
            (leptons.count >= LEPTONS_NEEDED.get(name, 0)) & (jets.count >= JETS_NEEDED.get(name, 0))
            for name in self.names
        ]
        mask = np.stack(there, axis=1)
        values = np.where(mask, np.stack([columns[name] for name in self.names], axis=1), np.nan)
        return Features(values.astype(np.float32), mask, self.names)


def _sums(leptons: Ranked, jets: Ranked, met: Floats) -> dict[str, Floats]:
    ht, lt, muons = jets.total(), leptons.total(), leptons.total("collection")
    return {
        "MET_pt": met, "HT": ht, "MET_over_HT": np.divide(met, ht, out=np.zeros(len(ht)), where=ht > 0), "LT": lt,
        "ST": ht + lt + met, "nElectron": leptons.count - muons, "nMuon": muons, "nJet": jets.count,
        "nBJet": jets.total("btag"),
    }  # fmt: skip


def _of_leptons(leptons: Ranked, met: Floats, met_phi: Floats) -> dict[str, Floats]:
    pt, eta, phi, is_muon = (leptons.leading(N_LEPTONS, name) for name in ("pt", *DIRECTION, "collection"))
    mass = np.where(is_muon == LEPTONS.index("muons"), M_MUON, M_ELECTRON)
    first, second = ((pt[:, k], eta[:, k], phi[:, k], mass[:, k]) for k in (0, 1))
    return {
        **{f"lep{k + 1}_pt": pt[:, k] for k in range(N_LEPTONS)},
        "m_ll": np.asarray(invariant_mass([first, second])),
        "pT_ll": np.asarray(transverse_momentum_of_sum([(first[0], first[2]), (second[0], second[2])])),
        "dphi_ll": np.asarray(abs(delta_phi(first[2], second[2]))),
        "mT_l1": np.asarray(transverse_mass(pt[:, 0], phi[:, 0], mass[:, 0], met, met_phi)),
    }


def _of_jets(jets: Ranked, met_phi: Floats) -> dict[str, Floats]:
    pt, eta, phi, mass = (jets.leading(N_JETS, name) for name in ("pt", *DIRECTION, "mass"))
    angle = np.asarray(abs(delta_phi(phi, met_phi[:, None])))
    return {
        **{f"jet{k + 1}_pt": pt[:, k] for k in range(N_JETS)},
        "m_jj": np.asarray(invariant_mass([(pt[:, k], eta[:, k], phi[:, k], mass[:, k]) for k in (0, 1)])),
        "dphi_jet_MET": np.where(np.isnan(angle), np.inf, angle).min(axis=1),
    }
