"""The trilepton selection and its channels A (eee), B (ee mu), C (e mu mu) and D (mu mu mu).

The triplet is made of the three leading leptons; its flavour names the channel, so that channels exclude each other.
The Z candidate is the opposite-sign same-flavour pair of the triplet with the mass closest to m_Z, the third lepton
is the W lepton. Ref: Terrazas 2025 (UACJ), with the channels made exclusive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from anomalon.config import Settings
from anomalon.events import Events
from anomalon.kinematics import M_ELECTRON, M_MUON
from anomalon.objects import Lists
from anomalon.selection.quality import IdMinimum
from anomalon.selection.trilepton_kernels import Ranked, Three, leading_three, masses_of_three

CHANNELS = ("A", "B", "C", "D")
"""Channel names, indexed by the number of muons in the triplet: eee, ee mu, e mu mu, mu mu mu."""

FLAVOURS: tuple[Literal["electrons"], Literal["muons"]] = ("electrons", "muons")
"""Collections of leptons, in the order in which ties are resolved."""

PAIRS = np.array([[0, 1], [0, 2], [1, 2]])
"""The three pairs of a triplet, in the order in which ties are resolved."""

LEPTON_COLUMNS = ("pt", "eta", "phi", "charge")
"""Columns of every lepton."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class TrileptonSelection(Settings):
    """At least three leptons, with a Z candidate among the three leading ones.

    Attributes:
        pt_min: minimum pT in GeV of the first, second and third lepton.
        eta_max: maximum |eta| of a lepton.
        isolation_max: maximum relative isolation; None takes leptons of any isolation.
        d0_significance_max: maximum |d0|/sigma; None takes any.
        id_min: lowest identification per flavour, such as ``{muons: 3}``; off by default, but raw NanoAOD lists every
            candidate, and without it most of its trileptons are fakes.
        require_z: whether the triplet must hold a Z candidate.
    """

    pt_min: tuple[float, float, float] = (20.0, 15.0, 10.0)
    eta_max: float = 2.5
    isolation_max: float | None = None
    d0_significance_max: float | None = None
    id_min: IdMinimum = IdMinimum()
    require_z: bool = True

    @property
    def requires(self) -> frozenset[str]:
        """Dotted names of the event fields that the selection reads."""
        return frozenset(f"{name}.{column}" for name in FLAVOURS for column in self._columns(name))

    def _columns(self, flavour: Literal["electrons", "muons"]) -> tuple[str, ...]:
        cuts = {"isolation": self.isolation_max, "d0_significance": self.d0_significance_max}
        cuts["id"] = getattr(self.id_min, flavour)
        return (*LEPTON_COLUMNS, *(column for column, cut in cuts.items() if cut is not None))

    def good(
        self, leptons: Mapping[str, npt.NDArray[Any]], flavour: Literal["electrons", "muons"]
    ) -> npt.NDArray[np.bool_]:
        """Mask of the leptons of one flavour that may enter a triplet, from their columns."""
        mask: npt.NDArray[np.bool_] = (leptons["pt"] > min(self.pt_min)) & (abs(leptons["eta"]) < self.eta_max)
        if self.isolation_max is not None:
            mask &= leptons["isolation"] < self.isolation_max
        if self.d0_significance_max is not None:
            mask &= abs(leptons["d0_significance"]) < self.d0_significance_max
        if (id_min := getattr(self.id_min, flavour)) is not None:
            mask &= leptons["id"] >= id_min
        return mask

    def good_of(self, events: Events, flavour: Literal["electrons", "muons"]) -> GoodLeptons:
        """Leptons of one flavour and which of them may enter a triplet."""
        leptons = events.lists(flavour, self._columns(flavour))
        return GoodLeptons(leptons, self.good(leptons.columns, flavour))

    def steps(self, events: Events) -> list[tuple[str, npt.NDArray[np.bool_]]]:
        """Cumulative masks (event,) of the cuts: all, three leptons, their pT thresholds, a Z candidate."""
        triplets = find_triplets(events, self)
        three = _flag(len(events), triplets.event)
        hard = triplets.pt_passes(self.pt_min)
        steps = [
            ("all events", np.ones(len(events), dtype=bool)),
            (f"3 leptons, pT > {min(self.pt_min):g} GeV, |eta| < {self.eta_max:g}", three),
            ("pT > " + "/".join(f"{pt:g}" for pt in self.pt_min) + " GeV", _flag(len(events), triplets.event[hard])),
        ]
        if self.require_z:
            steps.append(("Z candidate", _flag(len(events), triplets.event[hard & triplets.has_z])))
        return steps


@dataclass(frozen=True)
class GoodLeptons:
    """All leptons of one flavour, and a mask over them of those that pass the quality cuts."""

    leptons: Lists
    mask: npt.NDArray[np.bool_]

    @property
    def ranked(self) -> Ranked:
        """What the loop over events needs to find the leading ones."""
        lists = self.leptons
        return Ranked(lists.starts, lists.stops, self.mask, lists["pt"].astype(np.float64))


@dataclass(frozen=True)
class Triplets:
    """The three leading good leptons of the events that have them, n events.

    Attributes:
        event: position of each of the n events in the events that were searched.
        pt, eta, phi, mass, charge: shape (n, 3), by decreasing pT; GeV and rad.
        is_muon: shape (n, 3).
        n_electrons, n_muons: good leptons of the event, the triplet's and the others, shape (n,).
        channel: index into ``CHANNELS``, shape (n,).
        z_pair: the Z candidate as an index into ``PAIRS``, -1 where there is none, shape (n,).
        z_mass: its mass in GeV, NaN where there is none, shape (n,).
        m_3l: invariant mass of the three leptons in GeV, shape (n,).
    """

    event: Ints
    pt: Floats
    eta: Floats
    phi: Floats
    mass: Floats
    charge: Ints
    is_muon: npt.NDArray[np.bool_]
    n_electrons: Ints
    n_muons: Ints
    channel: Ints
    z_pair: Ints
    z_mass: Floats
    m_3l: Floats

    @property
    def has_z(self) -> npt.NDArray[np.bool_]:
        """Whether the triplet holds a Z candidate, shape (n,)."""
        return self.z_pair >= 0

    @property
    def w_lepton(self) -> Ints:
        """Position of the lepton outside the Z candidate, shape (n,); 0 where there is no candidate."""
        return np.where(self.has_z, 2 - self.z_pair, 0)

    def pt_passes(self, thresholds: tuple[float, float, float]) -> npt.NDArray[np.bool_]:
        """Whether the leptons pass the three pT thresholds in GeV, shape (n,)."""
        return np.asarray((self.pt > np.asarray(thresholds)).all(axis=1), dtype=np.bool_)


def find_triplets(events: Events, selection: TrileptonSelection) -> Triplets:
    """Find the triplets of all events with at least three good leptons.

    Raises:
        MissingFieldError: the events lack a lepton column that the selection needs.
    """
    events.require(sorted(selection.requires), "the trilepton selection")
    return triplets_of(*(selection.good_of(events, flavour) for flavour in FLAVOURS))


def triplets_of(electrons: GoodLeptons, muons: GoodLeptons) -> Triplets:
    """Find the triplets of all events with at least three good leptons, given those of both flavours."""
    event, place, counts = leading_three(electrons.ranked, muons.ranked)
    joined = {name: np.concatenate([electrons.leptons[name], muons.leptons[name]])[place] for name in LEPTON_COLUMNS}
    pt, eta, phi = (joined[name].astype(np.float64) for name in ("pt", "eta", "phi"))
    is_muon = place >= len(electrons.mask)
    mass = np.where(is_muon, M_MUON, M_ELECTRON)
    three = Three(pt, eta, phi, mass, joined["charge"].astype(np.int64), is_muon)
    z_pair, z_mass, m_3l = masses_of_three(three, PAIRS)
    n_e, n_mu = counts
    return Triplets(event, *three, n_e, n_mu, is_muon.sum(axis=1), z_pair, z_mass, m_3l)


def _flag(n: int, where: Ints) -> npt.NDArray[np.bool_]:
    mask = np.zeros(n, dtype=bool)
    mask[where] = True
    return mask
