"""Collections as flat arrays while they are distorted, the random numbers of their objects, and the way back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import awkward as ak
import numpy as np
import numpy.typing as npt

from anomalon.events import Events
from anomalon.hashing import hash_events, splitmix64, uniforms
from anomalon.kinematics import wrap_phi
from anomalon.objects import make_lists, make_objects, record

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Columns = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Objects:
    """Objects of one collection, one after the other.

    Attributes:
        owner: position of the event of each object, shape (object,).
        place: place of each object in its event's collection when it was read, from 0, shape (object,).
        columns: by name, shape (object,).
        n_events: number of events, those without an object included.
    """

    owner: Ints
    place: Ints
    columns: Columns
    n_events: int

    @classmethod
    def read(cls, events: Events, name: str) -> Self:
        """Take a collection of events."""
        lists = events.lists(name, ak.fields(events.array[name]))
        owner, at = lists.objects_of(np.arange(len(events)))
        contiguous = not len(at) or at[-1] - at[0] == len(at) - 1
        where = slice(at[0], at[-1] + 1) if contiguous and len(at) else at
        return cls(owner, at - lists.starts[owner], {c: v[where] for c, v in lists.columns.items()}, len(events))

    def __len__(self) -> int:
        return len(self.owner)

    def taken(self, where: Mask | Ints, names: Collection[str] | None = None) -> Self:
        """The objects at a mask or an index, with the columns of some names or with all of them."""
        columns = {name: v[where] for name, v in self.columns.items() if names is None or name in names}
        return replace(self, owner=self.owner[where], place=self.place[where], columns=columns)

    def with_values(self, at: Ints, values: Mapping[str, Any]) -> Self:
        """The same objects with other values at some places; columns that are not there are left out."""
        columns = dict(self.columns)
        for name in values.keys() & columns.keys():
            columns[name] = columns[name].copy()
            columns[name][at] = values[name]
        return replace(self, columns=columns)

    def joined(self, owner: Ints, columns: Columns) -> Self:
        """These objects and then others, given with the same columns; to be sorted."""
        both = {name: np.concatenate([values, columns[name]]) for name, values in self.columns.items()}
        place = np.concatenate([self.place, np.zeros(len(owner), dtype=np.int64)])
        return replace(self, owner=np.concatenate([self.owner, owner]), place=place, columns=both)

    def by_pt(self) -> Self:
        """The same objects by event and then by decreasing pT; equal ones keep their order."""
        order = order_by_pt(self.owner, self.columns["pt"])
        return self if (order[1:] > order[:-1]).all() else self.taken(order)

    def momentum(self, where: Mask | Ints, minus: Objects | None = None) -> Floats:
        """Sum of the transverse momenta at a mask or an index, px and py in GeV, shape (2, event).

        ``minus`` are the same objects with other momenta, to be subtracted; where they agree this is exactly 0.
        """
        owner, pt, phi = self.owner[where], self.columns["pt"][where].astype(np.float64), self.columns["phi"][where]
        if minus is not None and minus.columns["phi"] is not self.columns["phi"]:
            return self.momentum(where) - minus.momentum(where)
        if minus is not None:  # no angle has changed: half of the cosines
            pt -= minus.columns["pt"][where]
        angle = phi.astype(np.float64)
        parts = (pt * np.cos(angle), pt * np.sin(angle))
        return np.stack([np.bincount(owner, part, minlength=self.n_events) for part in parts])

    def as_lists(self) -> ak.Array:
        """The collection as it is in events."""
        offsets = np.zeros(self.n_events + 1, dtype=np.int64)
        np.cumsum(np.bincount(self.owner, minlength=self.n_events), out=offsets[1:])
        return make_lists(self.columns, offsets)


@dataclass(frozen=True)
class Draws:
    """Random numbers of one distortion, functions of ``stream`` and of the names of events and objects."""

    events: Events
    stream: str

    def uniform(self, what: str, owner: Ints, place: Ints) -> Floats:
        """Numbers in (0, 1) for objects at a place of an event's collection, shape (object,).

        ``what`` tells the draws of a distortion apart; it names the collection too.
        """
        numbers = self.events.numbers
        samples = [sample.name for sample in self.events.samples]
        ids = [numbers(name) for name in ("run", "lumi", "event")]
        hashes = hash_events(f"{self.stream}/{what}", samples, numbers("dataset"), ids)
        return uniforms(splitmix64(hashes[owner] ^ place.astype(np.uint64)))


def order_by_pt(owner: Ints, pt: npt.NDArray[Any]) -> Ints:
    """Index (object,) that sorts by event, then by decreasing pT, equal ones in their order.

    Only events that are out of order are sorted, which is most of the work saved.

    >>> order_by_pt(np.array([0, 0, 1, 1]), np.array([9.0, 5.0, 3.0, 4.0])).tolist()
    [0, 1, 3, 2]
    """
    order = np.argsort(owner, kind="stable")
    event, hardness = owner[order], pt[order]
    rises = (event[1:] == event[:-1]) & (hardness[1:] > hardness[:-1])
    if rises.any():
        unsorted = np.zeros(event[-1] + 1, dtype=bool)
        unsorted[event[1:][rises]] = True
        at = np.flatnonzero(unsorted[event])
        first, place = runs(event[at])
        lists = make_lists({"pt": hardness[at]}, np.append(first, len(at)))
        within = ak.flatten(ak.argsort(lists.pt, axis=1, ascending=False, stable=True))
        order[at] = order[at[np.arange(len(at)) - place + np.asarray(within)]]
    return order


def runs(owner: Ints) -> tuple[Ints, Ints]:
    """Where the runs of equal owners start, shape (run,), and the place of each object in its run, shape (object,).

    >>> first, place = runs(np.array([3, 3, 3, 5, 6, 6]))
    >>> first.tolist(), place.tolist()
    ([0, 3, 4], [0, 1, 2, 0, 0, 1])
    """
    starts = np.ones(len(owner), dtype=bool)
    np.not_equal(owner[1:], owner[:-1], out=starts[1:])
    first = np.flatnonzero(starts)
    lengths = np.diff(first, append=len(owner))
    return first, np.arange(len(owner)) - np.repeat(first, lengths)


def rebuilt(events: Events, replaced: Mapping[str, Objects], recoil: Floats | None = None) -> Events:
    """Events with other collections, and with ``recoil`` (GeV, shape (2, event)) added to the missing momentum."""
    if not replaced and (recoil is None or not recoil.any()):
        return events
    table = {name: events.array.layout[name] for name in events.fields}
    table |= {name: objects.as_lists() for name, objects in replaced.items()}
    if recoil is not None:
        table["met"] = _met(events, recoil)
    return Events(ak.Array(record(table)), events.samples)


def _met(events: Events, recoil: Floats) -> ak.Array:
    """Missing transverse momentum with a vector added; where it is zero nothing is rounded anew."""
    columns = {name: events.numbers(f"met.{name}").copy() for name in ak.fields(events.array.met)}
    at = np.flatnonzero(recoil.any(axis=0))
    pt, phi = (columns[name][at].astype(np.float64) for name in ("pt", "phi"))
    px, py = pt * np.cos(phi) + recoil[0, at], pt * np.sin(phi) + recoil[1, at]
    columns["pt"][at], columns["phi"][at] = np.hypot(px, py), wrap_phi(np.arctan2(py, px))
    return make_objects(columns)
