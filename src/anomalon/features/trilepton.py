"""Features of trilepton events, with the column names of Terrazas 2025 (UACJ) and the wider list around them.

An event fills only the variables of its own channel; those of the other channels are missing (NaN, mask False), and
so are pair variables of an event without a Z candidate. No value of another event can ever stand in for them.

``nElectron`` and ``nMuon`` count the leptons that pass the selection's quality, not every candidate in the file:
raw multiplicities differ between producers and would tell the sample, not the physics.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from anomalon.config import Settings
from anomalon.events import Events
from anomalon.features.contract import Features
from anomalon.features.trilepton_kernel import Directions, sum_apart
from anomalon.kinematics import delta_phi, delta_r, transverse_mass, transverse_momentum_of_sum
from anomalon.objects import Lists
from anomalon.selection import TrileptonSelection, Triplets
from anomalon.selection.trilepton import CHANNELS, FLAVOURS, PAIRS, GoodLeptons, triplets_of

Floats = npt.NDArray[np.float64]

PER_CHANNEL = tuple(f"{channel}_{what}" for what in ("Zmass", "Dr_Z", "Sum_mass") for channel in CHANNELS)
COMMON = (
    "MET_pt", "nElectron", "nMuon", "lep1_pt", "lep2_pt", "lep3_pt", "Z_pt", "W_lepton_pt", "mT_W", "m_3l",
    "LT",
)  # fmt: skip
OF_JETS = ("HT", "nJet", "nBJet")
JET_FIELDS = ("pt", "eta", "phi", "btag")
ONE_HOT = tuple(f"channel_{channel}" for channel in CHANNELS)
ANGLES = ("dphi_W_MET",)


class TrileptonFeatures(Settings):
    """Features of the three leading leptons, the missing transverse momentum and the jets.

    Attributes:
        selection: which leptons may enter the triplet.
        jets: whether HT, nJet and nBJet are among the columns; without them no jet is read, and the columns need
            leptons and missing transverse momentum alone, as those of Terrazas 2025.
        jet_pt_min: minimum pT in GeV of the jets in HT, nJet and nBJet.
        jet_eta_max: maximum |eta| of those jets.
        jet_lepton_dr: jets closer than this to a good lepton, of the triplet or not, are that lepton, and do not count.

    >>> features = TrileptonFeatures().transform(Events.from_dicts([{"met": {"pt": 30.0, "phi": 0.0}}]))
    >>> features.values.shape == (1, len(features.names)), bool(features.mask.any())
    (True, False)
    >>> sorted(TrileptonFeatures().requires - TrileptonFeatures(jets=False).requires)
    ['jets.btag', 'jets.eta', 'jets.phi', 'jets.pt']
    """

    selection: TrileptonSelection = TrileptonSelection()
    jets: bool = True
    jet_pt_min: float = 30.0
    jet_eta_max: float = 2.5
    jet_lepton_dr: float = 0.4

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return (*PER_CHANNEL, *COMMON, *(OF_JETS if self.jets else ()), *ONE_HOT, *ANGLES)

    @property
    def requires(self) -> frozenset[str]:
        """Dotted names of the event fields that :meth:`transform` reads."""
        of_jets = {f"jets.{column}" for column in JET_FIELDS if self.jets}
        return self.selection.requires | {"met.pt", "met.phi"} | of_jets

    def transform(self, events: Events) -> Features:
        """Compute the features, float32 (event, feature); every value of an event without a triplet is missing.

        Raises:
            MissingFieldError: the events lack a field.
        """
        events.require(sorted(self.requires), "feature set 'trilepton'")
        electrons, muons = (self.selection.good_of(events, flavour) for flavour in FLAVOURS)
        triplets = triplets_of(electrons, muons)
        columns = _lepton_columns(triplets, events)
        columns |= _channel_columns(triplets, columns)
        if self.jets:
            columns |= self._jet_columns(triplets, events, electrons, muons)
        present = _presence(triplets, self.names)
        there = np.stack([present[name] for name in self.names])
        filled = np.where(there, np.stack([columns[name] for name in self.names]), np.nan)
        values = np.full((len(events), len(self.names)), np.nan, dtype=np.float32)
        mask = np.zeros(values.shape, dtype=bool)
        values[triplets.event], mask[triplets.event] = filled.T, there.T
        return Features(values, mask, self.names)

    def _jet_columns(
        self, triplets: Triplets, events: Events, electrons: GoodLeptons, muons: GoodLeptons
    ) -> dict[str, Floats]:
        """HT and counts of the jets of the events with a triplet."""
        jets = events.lists("jets", JET_FIELDS)
        keep = (jets["pt"] > self.jet_pt_min) & (abs(jets["eta"]) < self.jet_eta_max)
        summed = np.stack([jets["pt"], np.ones(len(keep)), jets["btag"]], axis=1, dtype=np.float64)
        e, mu = (_directions(found.leptons, found.mask) for found in (electrons, muons))
        sums = sum_apart(triplets.event, _directions(jets, keep), summed, e, mu, self.jet_lepton_dr)
        return dict(zip(OF_JETS, sums.T, strict=True))


def _directions(lists: Lists, good: npt.NDArray[np.bool_]) -> Directions:
    eta, phi = (lists[name].astype(np.float64) for name in ("eta", "phi"))
    return Directions(lists.starts, lists.stops, good, eta, phi)


def _lepton_columns(t: Triplets, events: Events) -> dict[str, Floats]:
    met_pt, met_phi = (events.numbers(name)[t.event].astype(np.float64) for name in ("met.pt", "met.phi"))
    w = _pick(t, t.w_lepton)
    l1, l2 = (_pick(t, PAIRS[t.z_pair, side]) for side in (0, 1))
    return {
        "Zmass": t.z_mass,
        "Dr_Z": delta_r(l1[1], l1[2], l2[1], l2[2]),
        "m_3l": t.m_3l,
        "MET_pt": met_pt,
        "nElectron": t.n_electrons.astype(np.float64),
        "nMuon": t.n_muons.astype(np.float64),
        **{f"lep{k + 1}_pt": t.pt[:, k] for k in range(3)},
        "Z_pt": transverse_momentum_of_sum([(l1[0], l1[2]), (l2[0], l2[2])]),
        "W_lepton_pt": w[0],
        "mT_W": transverse_mass(w[0], w[2], w[3], met_pt, met_phi),
        "LT": t.pt.sum(axis=1),
        "dphi_W_MET": abs(delta_phi(w[2], met_phi)),
    }


def _channel_columns(t: Triplets, columns: dict[str, Floats]) -> dict[str, Floats]:
    named = {"Zmass": columns["Zmass"], "Dr_Z": columns["Dr_Z"], "Sum_mass": columns["m_3l"]}
    result = {f"{channel}_{what}": values for channel in CHANNELS for what, values in named.items()}
    return result | {f"channel_{c}": (t.channel == i).astype(np.float64) for i, c in enumerate(CHANNELS)}


def _presence(t: Triplets, names: tuple[str, ...]) -> dict[str, npt.NDArray[np.bool_]]:
    """Which values exist: a channel's variables in that channel only, pair variables with a Z candidate only."""
    always = np.ones(len(t.event), dtype=bool)
    present = dict.fromkeys(names, always)
    present |= dict.fromkeys(("Z_pt", "W_lepton_pt", "mT_W", "dphi_W_MET"), t.has_z)
    for i, channel in enumerate(CHANNELS):
        here = t.channel == i
        present |= {f"{channel}_Zmass": here & t.has_z, f"{channel}_Dr_Z": here & t.has_z, f"{channel}_Sum_mass": here}
    return present


def _pick(t: Triplets, which: npt.NDArray[np.int64]) -> tuple[Floats, Floats, Floats, Floats]:
    rows = np.arange(len(which))
    return t.pt[rows, which], t.eta[rows, which], t.phi[rows, which], t.mass[rows, which]
