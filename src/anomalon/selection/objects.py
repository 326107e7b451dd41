"""A selection of events by their leptons, jets and missing momentum, with named channels.

Jets that a good lepton made are not taken out, as in the Dark Machines challenge, whose jets and leptons are stored
apart. HT is the scalar sum of the pT of the good jets, with ``ht_of_everything`` of leptons and photons, too (Delphes'
ScalarHT). Ref: Dark Machines challenge, arXiv:2105.14027, section 2.2.1; Barrios 2022 (LIP): two leptons, a b-jet,
HT > 500 GeV.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator, model_validator

from anomalon.config import Settings
from anomalon.errors import UnknownNameError, suggest
from anomalon.events import Events

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

LEPTONS = ("electrons", "muons")
EVERYTHING = (*LEPTONS, "photons")

CHANNELS: dict[str, dict[str, Any]] = {
    "dark-machines-1": {
        "jet_pt_min": (200.0, 50.0, 50.0, 50.0), "ht_min": 600.0, "met_min": 200.0, "met_over_ht_min": 0.2,
    },
    "dark-machines-2a": {"lepton_pt_min": (15.0, 15.0, 15.0), "met_min": 50.0},
    "dark-machines-2b": {"lepton_pt_min": (15.0, 15.0), "ht_min": 50.0, "met_min": 50.0},
    "dark-machines-3": {"ht_min": 600.0, "met_min": 100.0},
    "dilepton-bjet": {
        "lepton_pt_min": (20.0, 15.0), "lepton_eta_max": 2.5, "bjets_min": 1, "ht_min": 500.0, "ht_of_everything": True,
    },
}  # fmt: skip
"""Cuts of the channels by name; each can be overridden."""


class ObjectSelection(Settings):
    """Cuts on numbers and momenta of leptons and jets, on HT and on missing transverse momentum.

    Attributes:
        kind: name in the registry of selections.
        channel: name in :data:`CHANNELS`, whose cuts are taken where none are given.
        lepton_pt_min: pT in GeV that electrons and muons must exceed, rank by rank, by decreasing pT; empty asks for
            none.
        lepton_eta_max: maximum |eta| of a lepton.
        jet_pt_min: the same of the jets, b-jets included.
        good_jet_pt_min: pT in GeV that makes a jet good.
        jet_eta_max: maximum |eta| of a good jet.
        bjets_min: number of good b-tagged jets.
        ht_min: HT in GeV that must be reached.
        ht_of_everything: whether HT counts leptons and photons, too.
        met_min: missing transverse momentum in GeV that must be reached.
        met_over_ht_min: and its ratio to HT.

    >>> ObjectSelection.parse({"channel": "dark-machines-3"}).ht_min
    600.0
    """

    kind: Literal["objects"] = "objects"
    channel: str | None = None
    lepton_pt_min: tuple[float, ...] = ()
    lepton_eta_max: float = Field(default=2.7, gt=0)
    jet_pt_min: tuple[float, ...] = ()
    good_jet_pt_min: float = Field(default=20.0, ge=0)
    jet_eta_max: float = Field(default=2.8, gt=0)
    bjets_min: int = Field(default=0, ge=0)
    ht_min: float = Field(default=0.0, ge=0)
    ht_of_everything: bool = False
    met_min: float = Field(default=0.0, ge=0)
    met_over_ht_min: float = Field(default=0.0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _cuts_of_the_channel(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or values.get("channel") is None:
            return values
        if values["channel"] not in CHANNELS:
            raise UnknownNameError(f"no channel {values['channel']!r}; {suggest(str(values['channel']), CHANNELS)}")
        return {**CHANNELS[values["channel"]], **values}

    @field_validator("lepton_pt_min", "jet_pt_min")
    @classmethod
    def _decreasing(cls, thresholds: tuple[float, ...]) -> tuple[float, ...]:
        if list(thresholds) != sorted(thresholds, reverse=True):
            raise ValueError("objects are sorted by decreasing pT; sort the thresholds, too")
        return thresholds

    @property
    def _asked(self) -> list[tuple[str, Any]]:
        """What is cut on, in order; the name is empty where nothing is asked for."""
        return [
            (_ranks("lepton", self.lepton_pt_min), self._leptons_pass),
            (_ranks("jet", self.jet_pt_min), self._jets_pass),
            (f"{self.bjets_min} b-jets" if self.bjets_min else "", lambda seen: seen.bjets >= self.bjets_min),
            (f"HT >= {self.ht_min:g} GeV" if self.ht_min else "", lambda seen: seen.ht >= self.ht_min),
            (f"MET >= {self.met_min:g} GeV" if self.met_min else "", lambda seen: seen.met >= self.met_min),
            (
                f"MET / HT >= {self.met_over_ht_min:g}" if self.met_over_ht_min else "",
                lambda seen: seen.met >= self.met_over_ht_min * seen.ht,
            ),
        ]

    @property
    def requires(self) -> frozenset[str]:
        """Dotted names of the event fields that the selection reads."""
        leptons = {f"{name}.{column}" for name in LEPTONS for column in ("pt", "eta")}
        photons = {"photons.pt"} if self.ht_of_everything else set()
        return frozenset({"met.pt", "jets.pt", "jets.eta", "jets.btag", *leptons, *photons})

    def steps(self, events: Events) -> list[tuple[str, Mask]]:
        """Cumulative masks (event,) of the cuts.

        Raises:
            MissingFieldError: the events lack a field.
        """
        events.require(sorted(self.requires), "the selection of objects")
        seen, passed = self.seen(events), np.ones(len(events), dtype=np.bool_)
        steps = [("all events", passed)]
        for name, passes in self._asked:
            if name:
                passed = passed & passes(seen)
                steps.append((name, passed))
        return steps

    def seen(self, events: Events) -> Seen:
        """The good objects of every event."""
        leptons, jets = self.leptons(events), self.jets(events, ("btag",))
        ht = jets.total()
        if self.ht_of_everything:
            ht = ht + sum(Ranked.of(events, (name,)).total() for name in EVERYTHING)
        return Seen(leptons, jets, jets.total("btag"), ht, events.numbers("met.pt").astype(np.float64))

    def leptons(self, events: Events, columns: tuple[str, ...] = ()) -> Ranked:
        """The good electrons and muons, with more of their columns."""
        return Ranked.of(events, LEPTONS, columns, eta_max=self.lepton_eta_max)

    def jets(self, events: Events, columns: tuple[str, ...] = ()) -> Ranked:
        """The good jets, with more of their columns."""
        return Ranked.of(events, ("jets",), columns, pt_min=self.good_jet_pt_min, eta_max=self.jet_eta_max)

    def _leptons_pass(self, seen: Seen) -> Mask:
        return seen.leptons.exceed(self.lepton_pt_min)

    def _jets_pass(self, seen: Seen) -> Mask:
        return seen.jets.exceed(self.jet_pt_min)


@dataclass(frozen=True)
class Ranked:
    """The good objects of every event, flat, by event and decreasing pT; of equal pT as the collections come.

    Attributes:
        event: of each object, shape (object,), increasing.
        columns: pt, in GeV, and what else was asked for, each of shape (object,); ``collection`` counts the
            collections.
        n_events: number of events.
    """

    event: Ints
    columns: Mapping[str, Floats]
    n_events: int

    @classmethod
    def of(
        cls,
        events: Events,
        collections: tuple[str, ...],
        columns: tuple[str, ...] = (),
        *,
        pt_min: float = 0.0,
        eta_max: float = np.inf,
    ) -> Ranked:
        """Objects of some collections together, above ``pt_min`` in GeV and within ``eta_max``."""
        wanted = tuple(dict.fromkeys(("pt", *(("eta",) if np.isfinite(eta_max) else ()), *columns)))
        parts = [_good(events, name, wanted, pt_min=pt_min, eta_max=eta_max) for name in collections]
        event = np.concatenate([owner for owner, _ in parts])
        joined = {name: np.concatenate([found[name] for _, found in parts]) for name in wanted}
        joined["collection"] = np.repeat(np.arange(len(parts)), [len(owner) for owner, _ in parts]).astype(np.float64)
        order = np.lexsort((-joined["pt"], event))
        return cls(event[order], {name: column[order] for name, column in joined.items()}, len(events))

    @property
    def count(self) -> Floats:
        """Objects of each event, shape (event,)."""
        return np.bincount(self.event, minlength=self.n_events).astype(np.float64)

    def total(self, column: str = "pt") -> Floats:
        """Sum of a column of each event, shape (event,)."""
        return np.bincount(self.event, self.columns[column], minlength=self.n_events).astype(np.float64)

    def exceed(self, thresholds: tuple[float, ...]) -> Mask:
        """Whether the leading objects exceed thresholds in GeV, rank by rank, shape (event,); NaN never does."""
        leading = self.leading(len(thresholds))
        return np.asarray((leading > np.asarray(thresholds)).all(axis=1), dtype=np.bool_)

    def leading(self, number: int, column: str = "pt") -> Floats:
        """A column of the leading objects, shape (event, number); NaN where an event has fewer."""
        first = np.searchsorted(self.event, np.arange(self.n_events))
        rank = np.arange(len(self.event)) - first[self.event]
        leading = np.full((self.n_events, number), np.nan)
        kept = rank < number
        leading[self.event[kept], rank[kept]] = self.columns[column][kept]
        return leading


@dataclass(frozen=True)
class Seen:
    """What the cuts look at: good leptons and jets, number of b-jets, HT and MET in GeV, shapes (event,)."""

    leptons: Ranked
    jets: Ranked
    bjets: Floats
    ht: Floats
    met: Floats


def _good(
    events: Events, name: str, columns: tuple[str, ...], *, pt_min: float, eta_max: float
) -> tuple[Ints, dict[str, Floats]]:
    """Event and columns of the good objects of one collection."""
    lists = events.lists(name, columns)
    owner, place = lists.objects_of(np.arange(len(events)))
    found = {column: lists[column][place].astype(np.float64) for column in columns}
    keep = found["pt"] > pt_min
    if np.isfinite(eta_max):
        keep &= abs(found["eta"]) < eta_max
    return owner[keep], {column: values[keep] for column, values in found.items()}


def _ranks(what: str, thresholds: tuple[float, ...]) -> str:
    if not thresholds:
        return ""
    return f"{len(thresholds)} {what}s, pT > {'/'.join(f'{pt:g}' for pt in thresholds)} GeV"
