"""A selection of top pairs that decay to two leptons: two leptons of opposite charge and two b-jets.

Ref: Garcia Senas 2018 (Cantabria): leptons with pT > 20 GeV and |eta| < 2.4, b-jets with pT > 20 GeV and |eta| < 3.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from anomalon.config import Settings
from anomalon.events import Events
from anomalon.kinematics import delta_r
from anomalon.selection.leptons import Leptons, LeptonSelection, find_leptons

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Columns = dict[str, npt.NDArray[Any]]

JET_COLUMNS = ("pt", "eta", "phi", "mass", "btag")
COUNT = 2
"""Leptons and b-jets of a pair."""


def _two_leptons() -> LeptonSelection:
    return LeptonSelection(count=COUNT, pt_min=(20.0, 20.0), good_pt_min=20.0, eta_max=2.4, opposite_sign=True)


class TopPairSelection(Settings):
    """Two leptons and at least two b-jets.

    Attributes:
        kind: name in the registry of selections.
        leptons: cuts on the leptons.
        bjet_pt_min: pT in GeV that a b-jet must exceed.
        bjet_eta_max: maximum |eta| of a b-jet.
        jet_pt_min: pT in GeV that all other jets must exceed.
        jet_eta_max: their maximum |eta|.
        jet_lepton_dr: jets closer than this to a good lepton are that lepton, and do not count.
    """

    kind: Literal["top-pairs"] = "top-pairs"
    leptons: LeptonSelection = Field(default_factory=_two_leptons)
    bjet_pt_min: float = Field(default=20.0, ge=0)
    bjet_eta_max: float = Field(default=3.0, gt=0)
    jet_pt_min: float = Field(default=20.0, ge=0)
    jet_eta_max: float = Field(default=4.7, gt=0)
    jet_lepton_dr: float = Field(default=0.4, ge=0)

    @property
    def requires(self) -> frozenset[str]:
        """Dotted names of the event fields that the selection reads."""
        return self.leptons.requires | {f"jets.{column}" for column in JET_COLUMNS}

    def steps(self, events: Events) -> list[tuple[str, Mask]]:
        """Cumulative masks (event,) of the cuts: those on the leptons, then two b-jets.

        Raises:
            MissingFieldError: the events lack a field.
        """
        steps = self.leptons.steps(events)
        passed = np.zeros(len(events), dtype=np.bool_)
        passed[find_top_pairs(events, self).event] = True
        name = f"2 b-jets, pT > {self.bjet_pt_min:g} GeV, |eta| < {self.bjet_eta_max:g}"
        return [*steps, (name, passed & steps[-1][1])]


@dataclass(frozen=True)
class Jets:
    """The leading jets of n events, by decreasing pT, and sums over all.

    Attributes:
        number: shape (n,).
        pt, eta, phi, mass: shape (n, 2), GeV and rad; NaN where an event has fewer.
        ht: scalar sum of the pT of all in GeV, shape (n,).
        px, py: components of their vector sum in GeV, shape (n,).
    """

    number: Ints
    pt: Floats
    eta: Floats
    phi: Floats
    mass: Floats
    ht: Floats
    px: Floats
    py: Floats

    def four_vectors(self, rank: int) -> tuple[Floats, Floats, Floats, Floats]:
        """pT, eta, phi and mass of the jets of one rank, each of shape (n,)."""
        return self.pt[:, rank], self.eta[:, rank], self.phi[:, rank], self.mass[:, rank]


@dataclass(frozen=True)
class TopPairs:
    """The n events with enough leptons and b-jets.

    Attributes:
        event: position of each in the events that were searched.
        leptons: all good ones.
        bjets: b-jets.
        others: all other jets.
    """

    event: Ints
    leptons: Leptons
    bjets: Jets
    others: Jets


def find_top_pairs(events: Events, selection: TopPairSelection) -> TopPairs:
    """Find leptons and jets of all events with at least two of the good leptons and two b-jets.

    Raises:
        MissingFieldError: the events lack a column that the selection needs.
    """
    events.require(sorted(selection.requires), "the selection of top pairs")
    leptons = find_leptons(events, selection.leptons)
    owner, jets = _away_from(leptons, events, selection.jet_lepton_dr)
    tagged = jets["btag"].astype(np.bool_)
    good = (jets["pt"] > selection.bjet_pt_min) & (abs(jets["eta"]) < selection.bjet_eta_max) & tagged
    rest = (jets["pt"] > selection.jet_pt_min) & (abs(jets["eta"]) < selection.jet_eta_max) & ~good
    n = len(leptons.event)
    bjets, others = (_leading(owner[mask], {k: v[mask] for k, v in jets.items()}, n) for mask in (good, rest))
    chosen = bjets.number >= COUNT
    return TopPairs(leptons.event[chosen], *(_rows(part, chosen) for part in (leptons, bjets, others)))


def _away_from(leptons: Leptons, events: Events, distance: float) -> tuple[Ints, Columns]:
    """Jets of the events with leptons that are none of them: the position of each one's event, and its columns."""
    lists = events.lists("jets", JET_COLUMNS)
    owner, place = lists.objects_of(leptons.event)
    jets = {name: column[place].astype(np.float64) for name, column in lists.columns.items()}
    apart = delta_r(jets["eta"][:, None], jets["phi"][:, None], leptons.eta[owner], leptons.phi[owner])
    keep = ~(apart <= distance).any(axis=1)  # false for NaN, where an event has fewer leptons
    return owner[keep], {name: column[keep] for name, column in jets.items()}


def _leading(owner: Ints, jets: Columns, n: int) -> Jets:
    order = np.lexsort((-jets["pt"], owner))
    owner, jets = owner[order], {name: column[order] for name, column in jets.items()}
    number = np.bincount(owner, minlength=n)
    rank = np.arange(len(owner)) - (np.cumsum(number) - number)[owner]
    first = rank < COUNT
    found = {name: np.full((n, COUNT), np.nan) for name in ("pt", "eta", "phi", "mass")}
    for name, column in found.items():
        column[owner[first], rank[first]] = jets[name][first]
    weights = (jets["pt"], jets["pt"] * np.cos(jets["phi"]), jets["pt"] * np.sin(jets["phi"]))
    ht, px, py = (np.bincount(owner, w, minlength=n).astype(np.float64) for w in weights)
    return Jets(number=number.astype(np.int64), **found, ht=ht, px=px, py=py)


def _rows(part: Any, chosen: Mask) -> Any:
    """The same record of some of its rows."""
    return replace(part, **{field.name: getattr(part, field.name)[chosen] for field in fields(part)})
