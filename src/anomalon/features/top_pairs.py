"""Variables of top pairs with two leptons: what tells more missing momentum than two neutrinos carry.

Leptons and b-jets are the leading two of the selection; every value of an event without them is missing. Angles are
absolute; ``HT`` is the sum of the pT of all jets, ``HT_bb`` that of both b-jets, ``ST`` adds leptons and missing
transverse momentum. The *recoil* is what the pair was produced against: minus the vector sum of leptons, b-jets and
missing momentum. All formulas are those of :mod:`anomalon.kinematics`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from anomalon.config import Settings
from anomalon.events import Events
from anomalon.features.contract import Features
from anomalon.kinematics import (
    component_along,
    delta_phi,
    delta_r,
    helicity_cosine,
    invariant_mass,
    met_over_sqrt,
    pair_mass,
    smaller_of_larger,
    stransverse_mass,
    transverse_mass,
    vector_sum_xy,
)
from anomalon.selection import TopPairs, TopPairSelection, find_top_pairs

Floats = npt.NDArray[np.float64]
Columns = dict[str, Floats]
Particle = tuple[Floats, Floats, Floats, Floats]
"""pT, eta, phi, mass."""

SENAS2018 = ("MET_pt", "dphi_ll", "lep1_pt", "lep2_pt", "dphi_bb", "bjet1_pt", "bjet2_pt")
"""The seven inputs of Garcia Senas 2018 (Cantabria), section 3.3, with the angles wrapped and absolute."""


class TopPairFeatures(Settings):
    """The full kinematics of top pairs with two leptons.

    Attributes:
        selection: which leptons and jets are good.

    >>> len(TopPairFeatures().names), set(SENAS2018) <= set(TopPairFeatures().names)
    (62, True)
    """

    selection: TopPairSelection = TopPairSelection()
    title: ClassVar[str] = "top-pairs"

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return NAMES

    @property
    def requires(self) -> frozenset[str]:
        """Dotted names of the event fields that :meth:`transform` reads."""
        return self.selection.requires | {"met.pt", "met.phi"}

    def transform(self, events: Events) -> Features:
        """Compute the features, float32 (event, feature).

        Raises:
            MissingFieldError: the events lack a field.
        """
        events.require(sorted(self.requires), f"feature set '{self.title}'")
        pairs = find_top_pairs(events, self.selection)
        columns = self._columns(TopPairKinematics.of(pairs, events))
        values = np.full((len(events), len(self.names)), np.nan, dtype=np.float32)
        values[pairs.event] = np.stack([columns[name] for name in self.names], axis=1)
        mask = np.zeros(values.shape, dtype=np.bool_)
        mask[pairs.event] = True
        if "jet3_pt" in self.names:  # in no other way can a value of a selected event be missing
            mask[pairs.event, self.names.index("jet3_pt")] = pairs.others.number > 0
        return Features(values, mask, self.names)

    def _columns(self, kinematics: TopPairKinematics) -> Columns:
        return kinematics.columns()


class Senas2018Features(TopPairFeatures):
    """The seven inputs of Garcia Senas 2018 alone.

    >>> Senas2018Features().names[:2]
    ('MET_pt', 'dphi_ll')
    """

    title: ClassVar[str] = "senas2018"

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return SENAS2018

    def _columns(self, kinematics: TopPairKinematics) -> Columns:
        return {**kinematics.objects(), **kinematics.leptons_together(), **kinematics.bjets_together()}


@dataclass(frozen=True)
class TopPairKinematics:
    """The objects of n events, and the columns that follow from them, each of shape (n,).

    Attributes:
        pairs: leptons and jets.
        met_pt, met_phi: missing transverse momentum, GeV and rad.
    """

    pairs: TopPairs
    met_pt: Floats
    met_phi: Floats

    @classmethod
    def of(cls, pairs: TopPairs, events: Events) -> TopPairKinematics:
        """Take the missing transverse momentum of the events."""
        return cls(pairs, *(events.numbers(f"met.{name}")[pairs.event].astype(np.float64) for name in ("pt", "phi")))

    @cached_property
    def leptons(self) -> tuple[Particle, Particle]:
        """The leading two leptons."""
        return self.pairs.leptons.four_vectors(0), self.pairs.leptons.four_vectors(1)

    @cached_property
    def bjets(self) -> tuple[Particle, Particle]:
        """The leading two b-jets."""
        return self.pairs.bjets.four_vectors(0), self.pairs.bjets.four_vectors(1)

    @property
    def ht(self) -> Floats:
        """Scalar sum of the pT of all jets in GeV."""
        return self.pairs.bjets.ht + self.pairs.others.ht

    def columns(self) -> Columns:
        """All columns by name."""
        parts = (
            self.objects(), self.sums(), self.leptons_together(), self.bjets_together(), self.crossed(),
            self.transverse_masses(), self.angles_to_met(), self.recoil(),
        )  # fmt: skip
        return {name: column for part in parts for name, column in part.items()}

    def objects(self) -> Columns:
        """Objects one by one."""
        found = {"MET_pt": self.met_pt}
        for k in (0, 1):
            found[f"lep{k + 1}_pt"], found[f"lep{k + 1}_abs_eta"] = self.leptons[k][0], np.abs(self.leptons[k][1])
            found[f"bjet{k + 1}_pt"], found[f"bjet{k + 1}_abs_eta"] = self.bjets[k][0], np.abs(self.bjets[k][1])
            found[f"bjet{k + 1}_mass"] = self.bjets[k][3]
        found["jet3_pt"] = self.pairs.others.pt[:, 0]
        found["nJet"] = (self.pairs.bjets.number + self.pairs.others.number).astype(np.float64)
        found["nBJet"] = self.pairs.bjets.number.astype(np.float64)
        found["flavour_em"] = (self.pairs.leptons.is_muon[:, :2].sum(axis=1) == 1).astype(np.float64)
        return found

    def sums(self) -> Columns:
        """Scalar sums, and the missing momentum beside them."""
        lt = self.leptons[0][0] + self.leptons[1][0]
        found = {"HT": self.ht, "LT": lt, "ST": self.ht + lt + self.met_pt}
        found["HT_bb"] = self.bjets[0][0] + self.bjets[1][0]
        found["MET_sqrtHT"] = met_over_sqrt(self.met_pt, self.ht)
        found["MET_sqrtLT"] = met_over_sqrt(self.met_pt, lt)
        found["MET_sqrtST"] = met_over_sqrt(self.met_pt, self.ht + lt)
        return found

    def leptons_together(self) -> Columns:
        """The pair of leptons."""
        (_, eta1, _, _), (_, eta2, _, _) = self.leptons
        return {**_pair("ll", *self.leptons), "cos_ll": helicity_cosine(eta1, eta2)}

    def bjets_together(self) -> Columns:
        """The pair of b-jets."""
        return _pair("bb", *self.bjets)

    def crossed(self) -> Columns:
        """Leptons with b-jets: masses of pairs, of all four, and the angles between them."""
        (l1, l2), (b1, b2) = self.leptons, self.bjets
        m11, m12, m21, m22 = (pair_mass(a, b) for a in (l1, l2) for b in (b1, b2))
        found = {"m_lb_minimax": smaller_of_larger((m11, m22), (m12, m21))}
        found["m_lb_min"] = np.minimum.reduce([m11, m12, m21, m22])
        found["m_lb_max"] = np.maximum.reduce([m11, m12, m21, m22])
        found["m_llbb"] = invariant_mass([l1, l2, b1, b2])
        found["pT_llbb"] = _size(l1, l2, b1, b2)
        found["dR_lb_min"] = np.minimum.reduce([delta_r(a[1], a[2], b[1], b[2]) for a in (l1, l2) for b in (b1, b2)])
        return found

    def transverse_masses(self) -> Columns:
        """Transverse masses of one object, of systems and of two decays at once."""
        (l1, l2), (b1, b2) = self.leptons, self.bjets
        singles = {"l1": l1, "l2": l2, "b1": b1, "b2": b2}
        found = {f"mT_{name}": self._transverse_mass(one) for name, one in singles.items()}
        found["mT_l_min"] = np.minimum(found["mT_l1"], found["mT_l2"])
        found["mT_ll"], found["mT_llbb"] = (self._transverse_mass(*group) for group in ((l1, l2), (l1, l2, b1, b2)))
        found["mT2_ll"] = self._stransverse((l1,), (l2,))
        found["mT2_bb"] = self._stransverse((b1,), (b2,), unseen=(l1, l2))
        found["mT2_lblb"] = np.minimum(self._stransverse((l1, b1), (l2, b2)), self._stransverse((l1, b2), (l2, b1)))
        return found

    def angles_to_met(self) -> Columns:
        """Azimuthal angles between the missing momentum and objects or systems."""
        (l1, l2), (b1, b2) = self.leptons, self.bjets
        groups = {"l1": (l1,), "l2": (l2,), "ll": (l1, l2), "b1": (b1,), "b2": (b2,), "bb": (b1, b2)}
        groups["llbb"] = (l1, l2, b1, b2)
        return {f"dphi_{name}_MET": np.abs(delta_phi(_azimuth(*group), self.met_phi)) for name, group in groups.items()}

    def recoil(self) -> Columns:
        """The balance of missing momentum, leptons, b-jets and what the pair was produced against."""
        met = (self.met_pt, np.zeros_like(self.met_pt), self.met_phi, np.zeros_like(self.met_pt))
        leptons, bjets = self.leptons, self.bjets
        recoil_phi = _azimuth(*leptons, *bjets, met) + np.pi
        return {
            "recoil_pt": _size(*leptons, *bjets, met),
            "pT_llMET": _size(*leptons, met),
            "pT_bbMET": _size(*bjets, met),
            "MET_along_recoil": component_along(self.met_pt, self.met_phi, recoil_phi),
            "MET_along_ll": component_along(self.met_pt, self.met_phi, _azimuth(*leptons)),
            "MET_along_bb": component_along(self.met_pt, self.met_phi, _azimuth(*bjets)),
        }

    def _transverse_mass(self, *group: Particle) -> Floats:
        pt, phi, mass = _visible(group)
        return np.asarray(transverse_mass(pt, phi, mass, self.met_pt, self.met_phi))

    def _stransverse(
        self, first: tuple[Particle, ...], second: tuple[Particle, ...], unseen: tuple[Particle, ...] = ()
    ) -> Floats:
        """M_T2 of two visible groups; ``unseen`` counts as missing momentum."""
        x, y = vector_sum_xy([(self.met_pt, self.met_phi), *((p[0], p[2]) for p in unseen)])
        found = stransverse_mass(_visible(first), _visible(second), met_pt=np.hypot(x, y), met_phi=np.arctan2(y, x))
        return np.asarray(found, dtype=np.float64)


def _pair(name: str, first: Particle, second: Particle) -> Columns:
    """Mass, pT and angles of two particles."""
    (_, eta1, phi1, _), (_, eta2, phi2, _) = first, second
    return {
        f"m_{name}": pair_mass(first, second),
        f"pT_{name}": _size(first, second),
        f"dphi_{name}": np.abs(delta_phi(phi1, phi2)),
        f"deta_{name}": np.abs(eta1 - eta2),
        f"dR_{name}": delta_r(eta1, phi1, eta2, phi2),
    }


def _size(*group: Particle) -> Floats:
    """Transverse momentum of a vector sum in GeV."""
    return np.asarray(np.hypot(*vector_sum_xy([(p[0], p[2]) for p in group])))


def _azimuth(*group: Particle) -> Floats:
    """Azimuth of a vector sum."""
    x, y = vector_sum_xy([(p[0], p[2]) for p in group])
    return np.asarray(np.arctan2(y, x))


def _visible(group: tuple[Particle, ...]) -> tuple[Floats, Floats, Floats]:
    """Transverse momentum, azimuth and mass of a system."""
    mass = group[0][3] if len(group) == 1 else invariant_mass(group)
    return _size(*group), _azimuth(*group), np.asarray(mass)


NAMES = (
    "MET_pt", "MET_sqrtHT", "MET_sqrtLT", "MET_sqrtST",
    "lep1_pt", "lep2_pt", "bjet1_pt", "bjet2_pt", "jet3_pt",
    "lep1_abs_eta", "lep2_abs_eta", "bjet1_abs_eta", "bjet2_abs_eta", "bjet1_mass", "bjet2_mass",
    "nJet", "nBJet", "flavour_em", "HT", "LT", "ST", "HT_bb",
    "m_ll", "pT_ll", "dphi_ll", "deta_ll", "dR_ll", "cos_ll",
    "m_bb", "pT_bb", "dphi_bb", "deta_bb", "dR_bb",
    "m_lb_minimax", "m_lb_min", "m_lb_max", "dR_lb_min", "m_llbb", "pT_llbb",
    "mT_l1", "mT_l2", "mT_l_min", "mT_b1", "mT_b2", "mT_ll", "mT_llbb", "mT2_ll", "mT2_bb", "mT2_lblb",
    "dphi_l1_MET", "dphi_l2_MET", "dphi_ll_MET", "dphi_b1_MET", "dphi_b2_MET", "dphi_bb_MET", "dphi_llbb_MET",
    "recoil_pt", "pT_llMET", "pT_bbMET", "MET_along_recoil", "MET_along_ll", "MET_along_bb",
)  # fmt: skip
"""Columns of the full set."""
