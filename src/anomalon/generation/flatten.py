"""Events as arrays of a fixed shape: slots for the objects of each kind, by decreasing pT, and numbers of objects.

Kinds are those of the Dark Machines form: b-jets, other jets, electrons, muons by charge, photons. A mass below zero
stands for an energy below the momentum, as in ROOT: E^2 = p^2 + m |m|. Only a bad generator makes such objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from anomalon.errors import ConfigError, InvalidEventsError, suggest
from anomalon.events import Events
from anomalon.hashing import hash_events, uniforms
from anomalon.kinematics import momentum

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

KINDS = ("b", "j", "e-", "e+", "m-", "m+", "g")
"""In the order of the Dark Machines form."""
WIDE_SLOTS: Mapping[str, int] = {"b": 4, "j": 12, "e-": 3, "e+": 3, "m-": 3, "m+": 3, "g": 2}
"""More than a generator needs, so that a comparison sees what a generator cannot make."""
PT, ETA, PHI, MASS = range(4)
_LABELS = {"jets": "btag", "electrons": "charge", "muons": "charge", "photons": "mass"}
FIELDS = (
    *(f"{name}.{column}" for name, label in _LABELS.items() for column in ("pt", "eta", "phi", "mass", label)),
    "met.pt",
    "met.phi",
)
"""What :func:`flatten` needs of events."""


@dataclass(frozen=True)
class EventArrays:
    """Events as arrays.

    Attributes:
        met: magnitude and azimuth of the missing transverse momentum, GeV and rad, shape (event, 2).
        counts: number of objects of each kind, those without a slot included, shape (event, kind).
        objects: pT, eta, phi, mass; 0 where there is none; shape (event, slot, 4).
        slots: number of slots of each kind, in the order of :data:`KINDS`.
    """

    met: Floats
    counts: Ints
    objects: Floats
    slots: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.met)

    def __getitem__(self, rows: Any) -> EventArrays:
        """The events at a slice, a mask or an index array."""
        return EventArrays(self.met[rows], self.counts[rows], self.objects[rows], self.slots)

    def span(self, kind: str) -> slice:
        """Slots of a kind."""
        before = sum(self.slots[k] for k in KINDS[: KINDS.index(kind)])
        return slice(before, before + self.slots[kind])

    def count(self, kind: str) -> Ints:
        """Number of objects of a kind that have a slot, shape (event,)."""
        return np.minimum(self.counts[:, KINDS.index(kind)], self.slots[kind])

    @property
    def present(self) -> Mask:
        """Whether a slot holds an object, shape (event, slot)."""
        filled = [np.arange(self.slots[kind]) < self.count(kind)[:, None] for kind in KINDS]
        return np.concatenate(filled, axis=1)

    def of(self, *kinds: str) -> tuple[Floats, Mask]:
        """Objects of some kinds and which are there, shapes (event, slot, 4) and (event, slot)."""
        present = self.present
        spans = [self.span(kind) for kind in kinds]
        return (
            np.concatenate([self.objects[:, span] for span in spans], axis=1),
            np.concatenate([present[:, span] for span in spans], axis=1),
        )

    def without_slot(self) -> float:
        """Fraction of the objects that found no slot."""
        kept = sum(int(self.count(kind).sum()) for kind in KINDS)
        return 1 - kept / max(int(self.counts.sum()), 1)


def flatten(events: Events, slots: Mapping[str, int] | None = None) -> EventArrays:
    """Events as arrays; objects beyond the slots of their kind are dropped, the softest first, but counted.

    Args:
        events: with all four collections and MET.
        slots: number of slots by kind; a kind that is left out has none. Default: :data:`WIDE_SLOTS`.

    Raises:
        ConfigError: a kind is not known.
        MissingFieldError: a collection or column is missing.
        InvalidEventsError: a lepton without charge.
    """
    chosen = _checked(slots if slots is not None else WIDE_SLOTS)
    events.require(FIELDS, "comparing generated events")
    counts = np.zeros((len(events), len(KINDS)), dtype=np.int64)
    objects = np.zeros((len(events), sum(chosen.values()), 4))
    arrays = EventArrays(_met(events), counts, objects, chosen)
    for kind, event, columns in _by_kind(events):
        counts[:, KINDS.index(kind)] = np.bincount(event, minlength=len(events))
        starts = np.cumsum(counts[:, KINDS.index(kind)]) - counts[:, KINDS.index(kind)]
        place = np.arange(len(event)) - starts[event]
        fits = place < chosen[kind]
        objects[event[fits], arrays.span(kind).start + place[fits]] = columns[fits]
    return arrays


def energy(objects: Floats) -> Floats:
    """Energy in GeV of objects (..., 4) of pT, eta, phi, mass; below the momentum where the mass is negative.

    >>> bool(energy(np.array([30.0, 0.0, 0.0, -10.0])) < 30.0)
    True
    """
    p, mass = momentum(objects[..., PT], objects[..., ETA]), objects[..., MASS]
    return np.asarray(np.sqrt(np.maximum(p * p + mass * np.abs(mass), 0.0)))


def unweighted(events: Events, seed: int = 0) -> Events:
    """Events of weight one: each is kept with probability |w| / max |w|, drawn from its own hash.

    Simulated events come in weighted versions (one jet taken for a lepton, or none): only their weighted sum is what a
    detector sees. The sign of a weight is left out.

    Raises:
        InvalidEventsError: no weight differs from zero.
    """
    weight = np.abs(_weights(events))
    largest = float(weight.max(initial=0.0))
    if not largest > 0 and len(events):
        raise InvalidEventsError(f"all {len(events)} events have weight 0: nothing can be drawn from them")
    if (weight == largest).all():
        return events
    ids = [events.numbers(name) for name in ("run", "lumi", "event")]
    names = [sample.name for sample in events.samples]
    hashes = hash_events(f"unweight {seed}", names, events.numbers("dataset"), ids)
    return events[np.flatnonzero(uniforms(hashes) * largest < weight)]


def _weights(events: Events) -> Floats:
    try:
        return events.weights(1.0)
    except InvalidEventsError:  # no cross section: only weights within a sample are known
        return events.weights(None)


def _checked(slots: Mapping[str, int]) -> dict[str, int]:
    unknown = [kind for kind in slots if kind not in KINDS]
    if unknown:
        raise ConfigError(f"slots: no kind '{unknown[0]}'; {suggest(unknown[0], KINDS)}")
    return {kind: slots.get(kind, 0) for kind in KINDS}


def _met(events: Events) -> Floats:
    return np.stack([events.numbers(f"met.{name}").astype(np.float64) for name in ("pt", "phi")], axis=1)


def _by_kind(events: Events) -> Iterator[tuple[str, Ints, Floats]]:
    """Objects of each kind: their events, in order, and their columns, shape (object, 4)."""
    for name, label in _LABELS.items():
        lists = events.lists(name, list(dict.fromkeys(("pt", "eta", "phi", "mass", label))))
        event, place = lists.objects_of(np.arange(len(events)))
        columns = np.stack([lists[c][place].astype(np.float64) for c in ("pt", "eta", "phi", "mass")], axis=1)
        for kind, chosen in _split(name, np.asarray(lists[label][place])):
            yield kind, event[chosen], columns[chosen]


def _split(name: str, label: npt.NDArray[Any]) -> list[tuple[str, Mask]]:
    if name == "photons":
        return [("g", np.ones(len(label), dtype=np.bool_))]
    if name == "jets":
        return [("b", label.astype(np.bool_)), ("j", ~label.astype(np.bool_))]
    if (label == 0).any():
        raise InvalidEventsError(
            f"{name}: {int((label == 0).sum())} without charge; kinds are told by it, give -1 or 1"
        )
    return [(f"{name[0]}-", label < 0), (f"{name[0]}+", label > 0)]
