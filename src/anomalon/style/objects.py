"""The degree of freedom that a calibration moves: pT of the objects of a type, as flat arrays and back into events.

Everything that depends on it is rebuilt: the four-vector of a jet goes as a whole, electrons, muons and photons keep
the mass of the particle, and missing transverse momentum answers, MET' = MET + (sum of pT before) - (sum of pT after).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from anomalon.config import Settings
from anomalon.distortions.flat import Draws, Mask, Objects, rebuilt
from anomalon.distortions.which import Which
from anomalon.errors import EmptySelectionError, InvalidEventsError
from anomalon.events import Events

Values = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ObjectType = Literal["electrons", "muons", "leptons", "photons", "jets", "bjets", "other-jets"]
"""Names of object types; ``bjets`` are jets with a b-tag, ``other-jets`` those without."""

TYPES: Mapping[str, Which] = {
    **{name: Which.parse({"collection": name}) for name in ("electrons", "muons", "leptons", "photons", "jets")},
    "bjets": Which(collection="jets", btag=True),
    "other-jets": Which(collection="jets", btag=False),
}
DEFAULT_EDGES = (0.0, 0.4, 0.8, 1.3, 1.7, 2.1, 2.5, 3.0)
"""Edges in |eta|: cells of a few towers, with the end of the barrel (1.3), of tracks (2.5) and of the endcap (3)."""
_JETS = ("jets", "bjets", "other-jets")
_KEEP_MASS = ("electrons", "muons", "photons")


class Freedom(Settings):
    """What is moved, and the cuts that the target has behind it.

    Attributes:
        objects: the type of the objects whose pT is moved.
        pt_min: in GeV: the target has no such object below, because of a cut after what it is calibrated for.
        at_least: its events have so many such objects above ``pt_min``.
        eta_edges: cells in |eta|, ascending; the outer cells hold what lies beyond.
    """

    objects: ObjectType = "bjets"
    pt_min: float = Field(default=0.0, ge=0)
    at_least: int = Field(default=0, ge=0)
    eta_edges: tuple[float, ...] = DEFAULT_EDGES

    @field_validator("eta_edges")
    @classmethod
    def _ascending(cls, edges: tuple[float, ...]) -> tuple[float, ...]:
        if len(edges) < 2 or any(high <= low for low, high in pairwise(edges)):
            raise ValueError("give at least two edges in |eta|, ascending")
        return edges

    @property
    def requires(self) -> frozenset[str]:
        """Dotted names of the event fields that are read or changed."""
        return TYPES[self.objects].requires | {"met.pt", "met.phi"}

    def cells(self, abs_eta: Values) -> Ints:
        """Cell in |eta| of each object, from 0."""
        inner = np.asarray(self.eta_edges[1:-1])
        return np.asarray(np.searchsorted(inner, abs_eta, side="right"))

    @property
    def n_cells(self) -> int:
        """Number of cells in |eta|."""
        return len(self.eta_edges) - 1

    def on(self, objects: ObjectType) -> Freedom:
        """The same for other objects, which have these cuts where they are the same or among the same jets."""
        covered = objects == self.objects or (self.objects == "jets" and objects in _JETS)
        pt_min, at_least = (self.pt_min if covered else 0.0), (self.at_least if objects == self.objects else 0)
        return self.model_copy(update={"objects": objects, "pt_min": pt_min, "at_least": at_least})

    def selected(self, events: Events) -> Events:
        """Events behind the cuts: objects below ``pt_min`` are dropped, events with too few are gone.

        Dropped objects are soft momentum now: missing transverse momentum stays.
        """
        found = Chosen.read(events, self.objects)
        soft = {name: mask & (objects.columns["pt"] < self.pt_min) for name, (objects, mask) in found.parts.items()}
        kept = {name: found.parts[name][0].taken(~mask) for name, mask in soft.items() if mask.any()}
        count = np.bincount(found.owner[found.pt >= self.pt_min], minlength=len(events))
        behind = rebuilt(events, kept)
        return behind[np.flatnonzero(count >= self.at_least)] if self.at_least else behind


@dataclass(frozen=True)
class Sample:
    """Objects to learn from: event, pT (GeV), |eta| and weight of each, shape (object,)."""

    owner: Ints
    pt: Values
    abs_eta: Values
    weight: Values

    def __len__(self) -> int:
        return len(self.pt)


@dataclass(frozen=True)
class Chosen:
    """The objects of a type, one after the other.

    Attributes:
        events: where they were read.
        parts: by collection all of its objects and a mask of those that are meant, shape (object of the collection,).
        owner: position of the event of each object that is meant, shape (object,).
        place: its place in its collection.
        pt, abs_eta: GeV; shape (object,).
        weight: absolute weight of its event.
    """

    events: Events
    parts: Mapping[str, tuple[Objects, Mask]]
    owner: Ints
    place: Ints
    pt: Values
    abs_eta: Values
    weight: Values

    @classmethod
    def read(cls, events: Events, objects: str) -> Self:
        """Take the objects of a type.

        Raises:
            MissingFieldError: the events lack their collection, one of its columns, or the missing momentum.
        """
        which = TYPES[objects]
        events.require(sorted(which.requires), f"calibrating {objects}")
        parts = which.find(events, Draws(events, "style"))
        weight = event_weights(events)
        taken = [found.taken(mask, ("pt", "eta")) for found, mask in parts.values()]
        owner, place = (np.concatenate([getattr(t, name) for t in taken]) for name in ("owner", "place"))
        pt, eta = (np.concatenate([t.columns[c].astype(np.float64) for t in taken]) for c in ("pt", "eta"))
        return cls(events, parts, owner, place, pt, np.abs(eta), weight[owner])

    def __len__(self) -> int:
        return len(self.pt)

    def has(self, name: str) -> bool:
        """Whether every object has a column."""
        return all(name in objects.columns for objects, _ in self.parts.values())

    def column(self, name: str) -> Values:
        """A column of the objects that are meant, shape (object,)."""
        return np.concatenate([objects.columns[name][mask].astype(np.float64) for objects, mask in self.parts.values()])

    def where(self, mask: Mask) -> Sample:
        """Owner, pT, |eta| and weight of the objects of a mask alone, for learning from them."""
        return Sample(self.owner[mask], self.pt[mask], self.abs_eta[mask], self.weight[mask])

    def moved(self, pt: Values) -> Events:
        """Events with another pT (GeV, shape (object,)) for these objects, and everything that follows from it."""
        replaced: dict[str, Objects] = {}
        recoil, start = np.zeros((2, len(self.events))), 0
        for name, (objects, mask) in self.parts.items():
            at = np.flatnonzero(mask)
            new, old = pt[start : start + len(at)], self.pt[start : start + len(at)]
            start += len(at)
            changed = new != old
            if changed.any():
                at, factor = at[changed], new[changed] / old[changed]
                columns = [c for c in ("pt", "mass") if c in objects.columns and (c == "pt" or name not in _KEEP_MASS)]
                after = objects.with_values(
                    at, {c: objects.columns[c][at].astype(np.float64) * factor for c in columns}
                )
                recoil += objects.momentum(at, minus=after)
                replaced[name] = after.by_pt()
        return rebuilt(self.events, replaced, recoil)

    def without(self, lost: Mask) -> Events:
        """Events without some of these objects, mask (object,), whose momentum becomes missing."""
        replaced: dict[str, Objects] = {}
        recoil, start = np.zeros((2, len(self.events))), 0
        for name, (objects, mask) in self.parts.items():
            at = np.flatnonzero(mask)
            gone = np.zeros(len(objects), dtype=np.bool_)
            gone[at] = lost[start : start + len(at)]
            start += len(at)
            recoil += objects.momentum(gone)
            replaced[name] = objects.taken(~gone)
        return rebuilt(self.events, replaced, recoil)

    def uniform(self, stream: str) -> Values:
        """Numbers in (0, 1), one per object, from the names of events and objects."""
        draws, start, numbers = Draws(self.events, stream), 0, np.zeros(len(self))
        for name, (_, mask) in self.parts.items():
            some = slice(start, start + int(np.count_nonzero(mask)))
            numbers[some] = draws.uniform(name, self.owner[some], self.place[some])
            start = some.stop
        return numbers


def event_weights(events: Events) -> Values:
    """Absolute weights (event,), with the normalisation of the samples where it is known."""
    try:
        return np.abs(events.weights(1.0))
    except InvalidEventsError:  # no cross section: only weights within a sample are known
        return np.abs(events.weights(None))


def require_objects(source: Sample | Chosen, target: Sample | Chosen, objects: str, at_least: int) -> None:
    """Refuse samples between which nothing can be learned.

    Raises:
        EmptySelectionError: one of them has too few objects of the type.
    """
    for name, found in (("source", source), ("target", target)):
        if np.count_nonzero(found.weight) < at_least:
            raise EmptySelectionError(
                f"{name}: {np.count_nonzero(found.weight)} {objects} with a weight, at least {at_least} are needed in "
                "source and target alike; calibrate objects that both have, or read more events"
            )
