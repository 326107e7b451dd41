"""A selection of events by the number of their leptons: exactly two, exactly three, with momenta by rank.

Good leptons are those that pass the cuts on single leptons; they are counted, and their pT is compared rank by rank.
Ref: Frette 2023 (Oslo): three leptons with at least two above 20 GeV; two leptons above 25 GeV with m_ll > 70 GeV;
|d0|/sigma up to 5 for electrons and 3 for muons.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from anomalon.config import Settings
from anomalon.errors import ConfigError
from anomalon.events import Events
from anomalon.kinematics import M_ELECTRON, M_MUON, invariant_mass
from anomalon.objects import Lists
from anomalon.selection.quality import IdMinimum
from anomalon.selection.triggers import TriggerList

Flavour = Literal["electrons", "muons"]
FLAVOURS: tuple[Flavour, ...] = ("electrons", "muons")
LEADING = (0, 1)
"""Ranks of the pair that m_ll, the charges and the flavours of the cuts are about."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class SignificanceMaximum(Settings):
    """Highest |d0|/sigma per flavour; None takes any. A value that is NaN (not measured) fails."""

    electrons: float | None = Field(default=None, gt=0)
    muons: float | None = Field(default=None, gt=0)


class LeptonSelection(Settings):
    """A number of good leptons, and cuts on them and on the missing transverse momentum.

    Attributes:
        kind: name in the registry of selections.
        count: number of good leptons; the leading ones are the event's leptons.
        exact: whether an event with more good leptons fails.
        pt_min: pT in GeV that the event's leptons must exceed, one number per lepton by decreasing pT.
        good_pt_min: pT in GeV that makes a lepton good, and counted.
        eta_max: maximum |eta| of a good lepton.
        isolation_max: maximum relative isolation; None takes leptons of any isolation.
        d0_significance_max: maximum |d0|/sigma per flavour.
        id_min: lowest identification per flavour.
        triggers: any-of lists per year, of which one must have fired; None asks for none. Simulation has none.
        opposite_sign: whether the two leading leptons have opposite (true) or equal (false) charges.
        same_flavour: whether the two leading leptons are of the same (true) or of different flavour (false).
        m_ll_min: mass in GeV that the two leading leptons must exceed.
        met_min: missing transverse momentum in GeV that must be exceeded.

    >>> muons = [{"pt": 40, "eta": 0, "phi": 0, "charge": 1}, {"pt": 40, "eta": 0, "phi": 3, "charge": -1}]
    >>> for cut, passed in LeptonSelection(count=2, pt_min=(25, 25)).steps(Events.from_dicts([{"muons": muons}])):
    ...     print(cut, passed)
    all events [ True]
    2 leptons, pT > 10 GeV, |eta| < 2.5 [ True]
    no other lepton [ True]
    pT > 25/25 GeV [ True]
    """

    kind: Literal["leptons"] = "leptons"
    count: int = Field(default=3, ge=2, le=8)
    exact: bool = True
    pt_min: tuple[float, ...] = (20.0, 20.0, 10.0)
    good_pt_min: float = Field(default=10.0, ge=0)
    eta_max: float = 2.5
    isolation_max: float | None = Field(default=None, gt=0)
    d0_significance_max: SignificanceMaximum = SignificanceMaximum()
    id_min: IdMinimum = IdMinimum()
    triggers: TriggerList | None = None
    opposite_sign: bool | None = None
    same_flavour: bool | None = None
    m_ll_min: float | None = Field(default=None, ge=0)
    met_min: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _one_threshold_each(self) -> Self:
        given = ", ".join(f"{pt:g}" for pt in self.pt_min)
        if len(self.pt_min) != self.count:
            raise ConfigError(
                f"pt_min = [{given}]: {len(self.pt_min)} thresholds for count = {self.count}; give one per lepton"
            )
        if list(self.pt_min) != sorted(self.pt_min, reverse=True):
            raise ConfigError(f"pt_min = [{given}]: leptons are sorted by decreasing pT; sort the thresholds, too")
        return self

    @property
    def requires(self) -> frozenset[str]:
        """Dotted names of the event fields that the selection reads."""
        leptons = frozenset(f"{name}.{column}" for name in FLAVOURS for column in self._columns(name))
        met = frozenset(("met.pt",)) if self.met_min is not None else frozenset()
        return leptons | met | (frozenset(("triggers",)) if self.triggers is not None else frozenset())

    def _columns(self, flavour: Flavour) -> tuple[str, ...]:
        cuts = {"isolation": self.isolation_max, "d0_significance": getattr(self.d0_significance_max, flavour)}
        cuts["id"] = getattr(self.id_min, flavour)
        return ("pt", "eta", "phi", "charge", *(column for column, cut in cuts.items() if cut is not None))

    def good(self, leptons: Mapping[str, npt.NDArray[Any]], flavour: Flavour) -> Mask:
        """Mask of the good leptons of one flavour, from their columns."""
        mask: Mask = (leptons["pt"] > self.good_pt_min) & (abs(leptons["eta"]) < self.eta_max)
        if self.isolation_max is not None:
            mask &= leptons["isolation"] < self.isolation_max
        if (d0_max := getattr(self.d0_significance_max, flavour)) is not None:
            mask &= abs(leptons["d0_significance"]) <= d0_max
        if (id_min := getattr(self.id_min, flavour)) is not None:
            mask &= leptons["id"] >= id_min
        return mask

    def good_of(self, events: Events, flavour: Flavour) -> tuple[Lists, Mask]:
        """Leptons of one flavour and the mask of the good ones."""
        leptons = events.lists(flavour, self._columns(flavour))
        return leptons, self.good(leptons.columns, flavour)

    def steps(self, events: Events) -> list[tuple[str, Mask]]:
        """Cumulative masks (event,) of the cuts: all events, the number of leptons, their pT, and what else is asked.

        Raises:
            MissingFieldError: the events lack a field.
        """
        leptons = find_leptons(events, self)
        passed = np.zeros(len(events), dtype=np.bool_)
        passed[leptons.event] = True
        steps = [("all events", np.ones(len(events), dtype=np.bool_)), (self._number, passed)]
        for name, mask in self._cuts(leptons, events):
            passed = passed.copy()
            passed[leptons.event] &= mask
            steps.append((name, passed))
        return steps

    @property
    def _number(self) -> str:
        return f"{self.count} leptons, pT > {self.good_pt_min:g} GeV, |eta| < {self.eta_max:g}"

    def _cuts(self, leptons: Leptons, events: Events) -> Iterable[tuple[str, Mask]]:
        """Name and mask of the cuts on events with enough leptons; none depends on another."""
        if self.exact:
            yield "no other lepton", leptons.number == self.count
        yield "pT > " + "/".join(f"{pt:g}" for pt in self.pt_min) + " GeV", leptons.pt_passes(self.pt_min)
        if self.triggers is not None:
            yield "trigger", self.triggers.keep(events)[leptons.event]
        yield from self._pair_cuts(leptons)
        if self.met_min is not None:
            yield f"MET > {self.met_min:g} GeV", events.numbers("met.pt")[leptons.event] > self.met_min

    def _pair_cuts(self, leptons: Leptons) -> Iterable[tuple[str, Mask]]:
        first, second = LEADING
        if self.opposite_sign is not None:
            sign = leptons.charge[:, first] * leptons.charge[:, second]
            yield ("opposite charges", sign < 0) if self.opposite_sign else ("equal charges", sign > 0)
        if self.same_flavour is not None:
            same = leptons.is_muon[:, first] == leptons.is_muon[:, second]
            yield ("equal flavours", same) if self.same_flavour else ("different flavours", ~same)
        if self.m_ll_min is not None:
            yield f"m_ll > {self.m_ll_min:g} GeV", leptons.mass_of(LEADING) > self.m_ll_min


@dataclass(frozen=True)
class Leptons:
    """The good leptons of the n events that have enough of them, by decreasing pT; of equal pT an electron first.

    Attributes:
        event: position of each of the n events in the events that were searched.
        number: good leptons of each event, shape (n,).
        pt, eta, phi, mass: shape (n, most leptons of an event), GeV and rad; NaN where an event has fewer.
        charge: the same shape; 0 where an event has fewer.
        is_muon: the same shape; False where an event has fewer.
    """

    event: Ints
    number: Ints
    pt: Floats
    eta: Floats
    phi: Floats
    mass: Floats
    charge: Ints
    is_muon: Mask

    @property
    def n_muons(self) -> Ints:
        """Good muons of each event, shape (n,)."""
        return np.asarray(self.is_muon.sum(axis=1), dtype=np.int64)

    def pt_passes(self, thresholds: tuple[float, ...]) -> Mask:
        """Whether the leading leptons exceed the thresholds in GeV, rank by rank, shape (n,)."""
        return np.asarray((self.pt[:, : len(thresholds)] > np.asarray(thresholds)).all(axis=1), dtype=np.bool_)

    def four_vectors(self, rank: int) -> tuple[Floats, Floats, Floats, Floats]:
        """pT, eta, phi and mass of the leptons of one rank, each of shape (n,)."""
        return self.pt[:, rank], self.eta[:, rank], self.phi[:, rank], self.mass[:, rank]

    def mass_of(self, ranks: Iterable[int]) -> Floats:
        """Mass in GeV of the sum of the leptons of these ranks, shape (n,)."""
        return np.asarray(invariant_mass([self.four_vectors(rank) for rank in ranks]), dtype=np.float64)


def find_leptons(events: Events, selection: LeptonSelection) -> Leptons:
    """Find the good leptons of all events with at least as many as the selection counts.

    Raises:
        MissingFieldError: the events lack a lepton column that the selection needs.
    """
    events.require(sorted(selection.requires), "the lepton selection")
    found = [selection.good_of(events, flavour) for flavour in FLAVOURS]
    counts = [lists.counts_of(good) for lists, good in found]
    total = np.sum(counts, axis=0)
    event = np.flatnonzero(total >= selection.count)
    number = total[event]
    shape = len(event), max(int(number.max(initial=0)), selection.count)
    columns = {name: np.full(shape, np.nan) for name in ("pt", "eta", "phi", "charge")}
    before = np.zeros(len(event), dtype=np.int64)
    for (lists, good), count in zip(found, counts, strict=True):
        owner, place = lists.objects_of(event)
        owner, place = owner[good[place]], place[good[place]]
        slot = before[owner] + _number_within(owner)
        for name, column in columns.items():
            column[owner, slot] = lists[name][place]
        before = before + count[event]
    return _sorted(event, number, columns, n_electrons=counts[0][event])


def _number_within(owner: Ints) -> Ints:
    """0, 1, 2 ... for the objects of each owner; owners come in order."""
    first = np.flatnonzero(np.diff(owner, prepend=-1))
    lengths = np.diff(first, append=len(owner))
    return np.arange(len(owner)) - np.repeat(first, lengths)


def _sorted(event: Ints, number: Ints, columns: Mapping[str, Floats], *, n_electrons: Ints) -> Leptons:
    order = np.argsort(-columns["pt"], axis=1, kind="stable")  # NaN, no lepton, comes last
    place = order + order.shape[1] * np.arange(len(order))[:, None]
    pt, eta, phi, charge = (column.ravel().take(place) for column in columns.values())
    there = np.arange(order.shape[1]) < number[:, None]
    is_muon = (order >= n_electrons[:, None]) & there
    mass = np.where(there, np.where(is_muon, M_MUON, M_ELECTRON), np.nan)
    return Leptons(event, number, pt, eta, phi, mass, np.nan_to_num(charge).astype(np.int64), is_muon)
