"""Event-level variables of events with a number of leptons: what reports draw and data are checked in.

The leptons are the ``count`` leading good ones of the selection. ``nElectron`` and ``nMuon`` count all good leptons.
``m_ll`` is the mass of the two leading leptons. With more than two leptons ``m_Z`` is the mass of the opposite-sign
same-flavour pair of the event's leptons closest to m_Z, and ``mT_W`` the transverse mass of the leading lepton outside
that pair and the missing transverse momentum; both are missing where there is no such pair. ``ST`` is the sum of the
pT of the leptons, of the jets and of the missing transverse momentum. Ref: Frette 2023 (Oslo), section 3.4.
"""

from __future__ import annotations

from itertools import combinations, combinations_with_replacement

import numpy as np
import numpy.typing as npt

from anomalon.config import Settings
from anomalon.events import Events
from anomalon.features.contract import Features
from anomalon.kinematics import (
    M_Z,
    delta_phi,
    delta_r,
    transverse_mass,
    transverse_momentum_of_sum,
    vector_sum_xy,
)
from anomalon.selection import Leptons, LeptonSelection, find_leptons
from anomalon.selection.leptons import LEADING

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

JETS = ("nJet", "nBJet", "HT", "jet1_pt")


class LeptonFeatures(Settings):
    """Features of the leading leptons, the missing transverse momentum and the jets.

    Attributes:
        selection: which leptons are good, and how many make the event.
        jet_pt_min: minimum pT in GeV of the jets in HT, nJet, nBJet and jet1_pt.
        jet_eta_max: maximum |eta| of those jets.
        jet_lepton_dr: jets closer than this to a good lepton are that lepton, and do not count.

    >>> LeptonFeatures.parse({"selection": {"count": 2, "pt_min": [25, 25]}}).names[-3:]
    ('flavour_ee', 'flavour_em', 'flavour_mm')
    """

    selection: LeptonSelection = LeptonSelection()
    jet_pt_min: float = 30.0
    jet_eta_max: float = 2.5
    jet_lepton_dr: float = 0.4

    @property
    def flavours(self) -> tuple[str, ...]:
        """Flavours of the event's leptons, such as eem, indexed by the number of muons."""
        return tuple("".join(letters) for letters in combinations_with_replacement("em", self.selection.count))

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        ranks = range(1, self.selection.count + 1)
        more = ("m_Z", f"m_{self.selection.count}l", "mT_W") if self.selection.count > len(LEADING) else ()
        return (
            "MET_pt", *(f"lep{k}_pt" for k in ranks), *(f"lep{k}_eta" for k in ranks),
            "nElectron", "nMuon", "LT", *JETS, "ST",
            "m_ll", "pT_ll", "dphi_ll", "dR_ll", *more, "mT_l1", "dphi_ll_MET",
            *(f"flavour_{name}" for name in self.flavours),
        )  # fmt: skip

    @property
    def requires(self) -> frozenset[str]:
        """Dotted names of the event fields that :meth:`transform` reads."""
        return self.selection.requires | {"met.pt", "met.phi", "jets.pt", "jets.eta", "jets.phi", "jets.btag"}

    def transform(self, events: Events) -> Features:
        """Compute the features, float32 (event, feature); every value of an event with too few leptons is missing.

        Raises:
            MissingFieldError: the events lack a field.
        """
        events.require(sorted(self.requires), "feature set 'leptons'")
        leptons = find_leptons(events, self.selection)
        z_pair, z_mass = _z_candidate(leptons, self.selection.count)
        columns = {**self._lepton_columns(leptons), **_pair_columns(leptons), "m_Z": z_mass}
        columns |= {**_met_columns(leptons, events, _outside(z_pair, self.selection.count))}
        columns |= self._jet_columns(leptons, events)
        columns["ST"] = columns["LT"] + columns["HT"] + columns["MET_pt"]
        present = {"m_Z": z_pair >= 0, "mT_W": z_pair >= 0, "jet1_pt": columns["nJet"] > 0}
        found = np.empty((len(z_pair), len(self.names)), dtype=np.float32)
        there = np.ones(found.shape, dtype=np.bool_)
        for k, name in enumerate(self.names):
            found[:, k] = columns[name]
            if name in present:
                found[~present[name], k], there[:, k] = np.nan, present[name]
        values = np.full((len(events), len(self.names)), np.nan, dtype=np.float32)
        mask = np.zeros(values.shape, dtype=np.bool_)
        values[leptons.event], mask[leptons.event] = found, there
        return Features(values, mask, self.names)

    def _lepton_columns(self, leptons: Leptons) -> dict[str, Floats]:
        count = self.selection.count
        n_muons = leptons.is_muon[:, :count].sum(axis=1)
        return {
            **{f"lep{k + 1}_pt": leptons.pt[:, k] for k in range(count)},
            **{f"lep{k + 1}_eta": leptons.eta[:, k] for k in range(count)},
            "nElectron": (leptons.number - leptons.n_muons).astype(np.float64),
            "nMuon": leptons.n_muons.astype(np.float64),
            "LT": leptons.pt[:, :count].sum(axis=1),
            f"m_{count}l": leptons.mass_of(range(count)),
            **{f"flavour_{name}": (n_muons == k).astype(np.float64) for k, name in enumerate(self.flavours)},
        }

    def _jet_columns(self, leptons: Leptons, events: Events) -> dict[str, Floats]:
        """Number, sum of pT and largest pT of the jets that are no lepton, each of shape (n,)."""
        lists = events.lists("jets", ("pt", "eta", "phi", "btag"))
        owner, place = lists.objects_of(leptons.event)
        jets = {name: column[place] for name, column in lists.columns.items()}
        keep = (jets["pt"] > self.jet_pt_min) & (abs(jets["eta"]) < self.jet_eta_max)
        owner, jets = owner[keep], {name: column[keep] for name, column in jets.items()}
        distance = delta_r(jets["eta"][:, None], jets["phi"][:, None], leptons.eta[owner], leptons.phi[owner])
        keep = ~(distance <= self.jet_lepton_dr).any(axis=1)  # false for NaN, where an event has fewer leptons
        owner, pt = owner[keep], jets["pt"][keep].astype(np.float64)
        sums = {"HT": pt, "nJet": np.ones(len(pt)), "nBJet": jets["btag"][keep]}
        n = len(leptons.event)
        leading = np.zeros(n)
        np.maximum.at(leading, owner, pt)
        return {name: np.bincount(owner, w, minlength=n).astype(np.float64) for name, w in sums.items()} | {
            "jet1_pt": leading
        }


def _pair_columns(leptons: Leptons) -> dict[str, Floats]:
    """About the two leading leptons."""
    (pt1, eta1, phi1, _), (pt2, eta2, phi2, _) = (leptons.four_vectors(rank) for rank in LEADING)
    return {
        "m_ll": leptons.mass_of(LEADING),
        "pT_ll": transverse_momentum_of_sum([(pt1, phi1), (pt2, phi2)]),
        "dphi_ll": abs(delta_phi(phi1, phi2)),
        "dR_ll": delta_r(eta1, phi1, eta2, phi2),
    }


def _met_columns(leptons: Leptons, events: Events, w_lepton: Ints) -> dict[str, Floats]:
    """About the missing transverse momentum; ``w_lepton`` is the rank of the lepton for mT_W, shape (n,)."""
    met_pt, met_phi = (events.numbers(name)[leptons.event].astype(np.float64) for name in ("met.pt", "met.phi"))
    rows = np.arange(len(w_lepton))
    pt, phi, mass = (column[rows, w_lepton] for column in (leptons.pt, leptons.phi, leptons.mass))
    px, py = vector_sum_xy([(leptons.pt[:, rank], leptons.phi[:, rank]) for rank in LEADING])
    return {
        "MET_pt": met_pt,
        "mT_W": transverse_mass(pt, phi, mass, met_pt, met_phi),
        "mT_l1": transverse_mass(leptons.pt[:, 0], leptons.phi[:, 0], leptons.mass[:, 0], met_pt, met_phi),
        "dphi_ll_MET": abs(delta_phi(np.arctan2(py, px), met_phi)),
    }


def _z_candidate(leptons: Leptons, count: int) -> tuple[Ints, Floats]:
    """The Z candidate among the leading leptons: number of the pair, -1 where there is none, and its mass in GeV."""
    pairs = _pairs(count)
    masses = np.stack([leptons.mass_of(pair) for pair in pairs], axis=1)
    first, second = np.array(pairs).T
    opposite = leptons.charge[:, first] * leptons.charge[:, second] < 0
    allowed = opposite & (leptons.is_muon[:, first] == leptons.is_muon[:, second])
    # A NaN mass (a broken lepton) loses against every real pair instead of winning the minimum.
    distance = np.where(allowed & np.isfinite(masses), abs(masses - M_Z), np.inf)
    best = distance.argmin(axis=1)
    found = np.isfinite(distance.min(axis=1, initial=np.inf))
    return np.where(found, best, -1), np.take_along_axis(masses, best[:, None], axis=1)[:, 0]


def _pairs(count: int) -> list[tuple[int, int]]:
    """Ranks of the pairs among the leading leptons, in the order in which ties are resolved."""
    return list(combinations(range(count), 2))


def _outside(pair: Ints, count: int) -> Ints:
    """Rank of the leading lepton outside a pair, shape (n,); 0 where there is no pair or nothing outside."""
    ranks = [next((rank for rank in range(count) if rank not in chosen), 0) for chosen in _pairs(count)]
    return np.where(pair >= 0, np.array(ranks)[pair], 0)
