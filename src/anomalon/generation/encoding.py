"""Events as what the autoregressive network learns: objects in sequence, and their places in empirical distributions.

An object's numbers are its pT, mass, eta and phi, in this order. The pT of the first object of a kind is drawn as
log(pT / threshold), that of a later one as the ratio of this logarithm to the previous one's: so thresholds and order
are exact. phi is relative to the first object's. Every number but phi becomes a place in (0, 1) of its distribution.

Missing momentum comes last, as one more object: the *soft* momentum -(MET + sum of pT), drawn given all others. So the
balance of an event is drawn as what it is, not as the small difference of two large numbers. The sum leaves muons out
where that makes the soft momentum smaller: then MET was built without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from anomalon.generation.flatten import ETA, KINDS, MASS, PHI, PT, EventArrays, Floats
from anomalon.generation.layout import CLASS_OF, CLASSES, MASS_OF, Acceptance
from anomalon.generation.quantiles import quantile_table, to_uniform, tuned_table
from anomalon.generation.records import Learned
from anomalon.kinematics import delta_phi

PER_SLOT = 7
"""Numbers of a slot: pT, eta, phi relative to MET, mass, and the places of pT, mass and eta."""
HEAD = len(KINDS)
"""Numbers before the context: numbers of objects by kind."""
SOFT = len(KINDS)
"""Place of soft momentum among the kinds."""
N_CLASSES = len(CLASSES)
FIRST, LATER, ETA_TABLE, MASS_TABLE = (N_CLASSES * i for i in range(4))
SOFT_TABLE = 4 * N_CLASSES
"""Where the tables of a class begin: pT of a first object, of a later one, eta, mass / pT; and of soft momentum."""
SMALLEST_SOFT = 0.01
"""In GeV: below, all soft momenta are alike."""
HAS_MASS = np.array([MASS_OF[CLASS_OF[kind]] is None for kind in KINDS] + [False])
MASSES = np.array([MASS_OF[CLASS_OF[kind]] or 0.0 for kind in KINDS] + [0.0])
CLASS_OF_KIND = np.array([CLASSES.index(CLASS_OF[kind]) for kind in KINDS] + [0])
JET_OF_KIND = np.array([{"b": 2, "j": 1}.get(CLASS_OF[kind], 0) for kind in KINDS] + [-1])
IS_MUON = np.array([CLASS_OF[kind] == "m" for kind in KINDS] + [False])
"""Of every kind, and of soft momentum; the latter is marked by -1 among the jets, b-jets by 2."""


@dataclass(frozen=True)
class Shape:
    """The shape of what is encoded.

    Attributes:
        slots: by kind.
        n_context: inputs that tell processes and parameters apart.
    """

    slots: Mapping[str, int]
    n_context: int

    @property
    def n_slots(self) -> int:
        """Number of slots of objects."""
        return sum(self.slots.values())

    @property
    def width(self) -> int:
        """Numbers of an event."""
        return HEAD + self.n_context + PER_SLOT * (self.n_slots + 1)

    @cached_property
    def kind(self) -> npt.NDArray[np.int64]:
        """Kind of each slot, that of soft momentum at the end, shape (slot,)."""
        return np.repeat(np.arange(len(KINDS) + 1), [*(self.slots[kind] for kind in KINDS), 1])

    @cached_property
    def place(self) -> npt.NDArray[np.int64]:
        """Place of each slot within its kind, shape (slot,)."""
        return np.concatenate([*(np.arange(self.slots[kind]) for kind in KINDS), [0]])


class Encoder:
    """Empirical distributions of everything that is drawn.

    Args:
        shape: slots and context.
        acceptance: thresholds.
        tables: quantiles, shape (table, knot).
        muons: whether MET was built with muons.
    """

    def __init__(self, shape: Shape, acceptance: Acceptance, tables: Floats, *, muons: bool = True) -> None:
        self.shape, self.acceptance, self.tables, self.muons = shape, acceptance, tables, muons
        pt_min = np.array([max(acceptance.reach[name].pt_min, 1e-3) for name in CLASSES])
        self.pt_min = np.array([*pt_min[CLASS_OF_KIND[:-1]], SMALLEST_SOFT])

    @classmethod
    def of(cls, learned: Learned, shape: Shape, acceptance: Acceptance) -> Encoder:
        """Take the distributions of training events."""
        arrays = learned.arrays
        muons = float(np.median(_soft(arrays, True)[0])) <= float(np.median(_soft(arrays, False)[0]))
        made = cls(shape, acceptance, np.zeros((0, 0)), muons=muons)
        made.tables = np.stack([quantile_table(*column) for column in made._columns(arrays)])
        return made

    def tuned(self, learned: Learned, shape: Shape) -> Encoder:
        """The same places for other events: bins mean what they meant, unless most of the events are in one of them."""
        made = Encoder(shape, self.acceptance, self.tables, muons=self.muons)
        columns = zip(self.tables, made._columns(learned.arrays), strict=True)
        made.tables = np.stack([tuned_table(table, *column) for table, column in columns])
        return made

    def _columns(self, arrays: EventArrays) -> list[tuple[Floats, float | None, float | None]]:
        """Values of each table, and where it begins and ends whatever they are."""
        there, objects, kind = arrays.present, arrays.objects, self.shape.kind[:-1]
        which, first = CLASS_OF_KIND[kind], self.shape.place[:-1] == 0
        x, columns = self._ratios(arrays), []
        for is_first in (True, False):
            ends = (0.0, None) if is_first else (0.0, 1.0)
            columns += [(x[:, at][there[:, at]], *ends) for at in _slots(which, first == is_first)]
        for at in _slots(which, np.ones(len(which), dtype=np.bool_)):
            eta = objects[:, at, ETA][there[:, at]]
            columns.append((np.concatenate([eta, -eta]), None, None))
        for at in _slots(which, HAS_MASS[kind]):
            relative = objects[:, at, MASS] / np.maximum(objects[:, at, PT], 1e-9)
            columns.append((relative[there[:, at]], None, None))
        return [*columns, (self._above(_soft(arrays, self.muons)[0]), 0.0, None)]

    def encode(self, learned: Learned, seed: int) -> npt.NDArray[np.float32]:
        """Events as rows of numbers, shape (event, number): see :data:`HEAD` and :data:`PER_SLOT`."""
        rng = np.random.default_rng([seed, 17])
        arrays, shape = learned.arrays, self.shape
        out = np.zeros((len(arrays), shape.width), dtype=np.float32)
        out[:, :HEAD] = arrays.counts
        out[:, HEAD : HEAD + shape.n_context] = learned.context
        slots = out[:, HEAD + shape.n_context :].reshape(len(arrays), shape.n_slots + 1, PER_SLOT)
        slots[:, :-1, :4] = arrays.objects
        x = self._ratios(arrays)
        for s in range(shape.n_slots):
            slots[:, s, 4:] = self._places(arrays.objects[:, s], x[:, s], s, rng)
        size, phi = _soft(arrays, self.muons)
        slots[:, -1, 0], slots[:, -1, 2] = np.maximum(size, SMALLEST_SOFT), phi
        slots[:, -1, 4] = to_uniform(self._above(size), self.tables[SOFT_TABLE], rng.random(len(size)))
        slots[..., 2] = delta_phi(slots[..., 2], _first_phi(arrays)[:, None])
        slots[:, :-1][~arrays.present] = 0.0
        return out

    def _above(self, soft: Floats) -> Floats:
        return np.asarray(np.log(np.maximum(soft / SMALLEST_SOFT, 1.0)))

    def _places(self, objects: Floats, x: Floats, slot: int, rng: np.random.Generator) -> Floats:
        """Places of pT, mass and eta of the objects of a slot, shape (event, 3)."""
        which = int(CLASS_OF_KIND[self.shape.kind[slot]])
        pt_table = (FIRST if self.shape.place[slot] == 0 else LATER) + which
        relative = objects[:, MASS] / np.maximum(objects[:, PT], 1e-9)
        columns = ((x, pt_table), (relative, MASS_TABLE + which), (objects[:, ETA], ETA_TABLE + which))
        return np.stack([to_uniform(v, self.tables[t], rng.random(len(v))) for v, t in columns], axis=1)

    def _ratios(self, arrays: EventArrays) -> Floats:
        """log(pT / threshold), or its ratio to that of the previous object of the kind, shape (event, slot)."""
        floor, place = self.pt_min[self.shape.kind[:-1]], self.shape.place[:-1]
        above = np.log(np.maximum(arrays.objects[..., PT] / floor, 1.0))
        later = np.flatnonzero(place > 0)
        x = above.copy()
        x[:, later] = np.minimum(above[:, later] / np.maximum(above[:, later - 1], 1e-9), 1.0)
        return np.asarray(x)


def _soft(arrays: EventArrays, muons: bool) -> tuple[Floats, Floats]:
    """Size and azimuth of -(MET + sum of pT), with or without muons, shape (event,) each."""
    counted = ~IS_MUON[np.repeat(np.arange(len(KINDS)), [arrays.slots[kind] for kind in KINDS])] | muons
    pt, phi = arrays.objects[..., PT] * (arrays.present & counted), arrays.objects[..., PHI]
    x = arrays.met[:, 0] * np.cos(arrays.met[:, 1]) + (pt * np.cos(phi)).sum(axis=1)
    y = arrays.met[:, 0] * np.sin(arrays.met[:, 1]) + (pt * np.sin(phi)).sum(axis=1)
    return np.hypot(x, y), np.arctan2(-y, -x)


def _first_phi(arrays: EventArrays) -> Floats:
    """Azimuth of the first object of an event; of soft momentum, opposite to MET, where there is none."""
    there = arrays.present
    first = np.take_along_axis(arrays.objects[..., PHI], there.argmax(axis=1)[:, None], axis=1)[:, 0]
    return np.where(there.any(axis=1), first, arrays.met[:, 1] + np.pi)


def _slots(which: npt.NDArray[np.int64], chosen: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.int64]]:
    """Slots of each class among those chosen."""
    return [np.flatnonzero((which == c) & chosen) for c in range(N_CLASSES)]
