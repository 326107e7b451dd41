"""What a generated event may hold: slots for objects of each kind, acceptance, the storing rule; arrays to Events.

Kinds, padded arrays and their order are those of :mod:`anomalon.generation.flatten`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import awkward as ak
import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from anomalon.config import Settings
from anomalon.errors import ConfigError, UnknownNameError, suggest
from anomalon.events import Events, Sample
from anomalon.generation.flatten import ETA, KINDS, MASS, PHI, PT, EventArrays, Ints, Mask
from anomalon.kinematics import M_ELECTRON, M_MUON, delta_phi
from anomalon.objects import make_lists, make_objects, record
from anomalon.simulation.presets import get_detector
from anomalon.simulation.response import DetectorSettings, LeptonResponse, StoredIf

CLASSES = ("b", "j", "e", "m", "g")
"""Kinds without their charge: what shares a threshold and a mass."""
CLASS_OF = {kind: kind[0] for kind in KINDS}
MASS_OF: Mapping[str, float | None] = {"b": None, "j": None, "e": M_ELECTRON, "m": M_MUON, "g": 0.0}
"""Mass in GeV of the objects of a class; None where each object has its own."""
COLLECTION_OF = {"b": "jets", "j": "jets", "e": "electrons", "m": "muons", "g": "photons"}

_KINDS_OF = {"electrons": ("e-", "e+"), "muons": ("m-", "m+"), "photons": ("g",), "jets": ("b", "j")}

SLOTS: Mapping[str, Mapping[str, int]] = {
    "default": {"b": 4, "j": 12, "e-": 3, "e+": 3, "m-": 3, "m+": 3, "g": 2},
    "garcia2024": {"b": 3, "j": 9, "e-": 1, "e+": 1, "m-": 1, "m+": 1, "g": 1},
}
"""Slots by name: three per lepton charge and flavour; the 17 of Garcia Ruiz 2024 (UPV)."""


def get_slots(slots: str | Mapping[str, int]) -> dict[str, int]:
    """Slots of every kind by the name of a preset, or from a mapping; a kind that is left out has none.

    Raises:
        UnknownNameError: there is no such preset or kind; the message suggests near ones.
        ConfigError: a number is negative, or no kind has a slot.

    >>> sum(get_slots("garcia2024").values())
    17
    """
    if isinstance(slots, str):
        if slots not in SLOTS:
            raise UnknownNameError(f"no slots '{slots}'; {suggest(slots, SLOTS)}")
        return dict(SLOTS[slots])
    for kind, number in slots.items():
        if kind not in KINDS:
            raise UnknownNameError(f"slots: no kind '{kind}'; {suggest(kind, KINDS)}")
        if number < 0:
            raise ConfigError(f"slots: {kind} = {number}, must not be negative")
    if not sum(slots.values()):
        raise ConfigError("slots: no kind has a slot; give at least one, such as {b: 3, j: 9}")
    return {kind: int(slots.get(kind, 0)) for kind in KINDS}


class Reach(Settings):
    """Objects of a class exist above ``pt_min`` (GeV) and below ``eta_max``."""

    pt_min: float = Field(ge=0)
    eta_max: float = Field(gt=0)


class Acceptance(Settings):
    """What holds for every object of every event.

    Attributes:
        reach: thresholds by class: b, j, e, m, g.
        separation: jets are this far (delta R) from every other object; 0 where nothing is known.
        stored_if: events are stored where one of these holds; empty stores all.
    """

    reach: dict[str, Reach]
    separation: float = Field(default=0.0, ge=0, lt=1)
    stored_if: tuple[StoredIf, ...] = ()

    @field_validator("reach")
    @classmethod
    def _every_class(cls, reach: dict[str, Reach]) -> dict[str, Reach]:
        unknown = [name for name in reach if name not in CLASSES]
        if unknown:
            raise UnknownNameError(f"acceptance: no class '{unknown[0]}'; {suggest(unknown[0], CLASSES)}")
        return {name: reach.get(name, Reach(pt_min=0.0, eta_max=10.0)) for name in CLASSES}

    @classmethod
    def of_detector(cls, detector: str | DetectorSettings) -> Self:
        """Acceptance of a detector of the simulation.

        >>> Acceptance.of_detector("darkmachines").reach["m"].eta_max
        2.7
        """
        d = get_detector(detector)
        jets = Reach(pt_min=d.jets.pt_min, eta_max=d.jets.eta_max)
        b = Reach(pt_min=d.jets.pt_min, eta_max=min(d.jets.btag_eta_max, d.jets.eta_max))
        reach = {"b": b, "j": jets, "e": _reach(d.electrons), "m": _reach(d.muons), "g": _reach(d.photons)}
        # anti-kt jets may end a little closer than R: a few in 10^5, so that this is a choice
        return cls(reach=reach, separation=d.jets.separation, stored_if=d.stored_if)

    @classmethod
    def observed(cls, arrays: EventArrays) -> Self:
        """Thresholds that every object of some events just passes, without a separation and a storing rule."""
        reach = {}
        for name in CLASSES:
            objects, there = arrays.of(*(kind for kind in KINDS if CLASS_OF[kind] == name))
            pt, eta = objects[..., PT][there], np.abs(objects[..., ETA][there])
            if len(pt):
                reach[name] = Reach(pt_min=_below(pt.min()), eta_max=_above(eta.max()))
        return cls(reach=reach)

    def holds(self, arrays: EventArrays) -> Mask:
        """Whether every object of an event is within reach, shape (event,)."""
        there, objects = arrays.present, arrays.objects
        pt_min, eta_max = (
            np.concatenate([[getattr(self.reach[CLASS_OF[k]], name)] * arrays.slots[k] for k in KINDS])
            for name in ("pt_min", "eta_max")
        )
        inside = (objects[..., PT] > pt_min) & (np.abs(objects[..., ETA]) < eta_max)
        return np.asarray((inside | ~there).all(axis=1))

    def stores(self, arrays: EventArrays) -> Mask:
        """Whether an event obeys the storing rule, shape (event,)."""
        if not self.stored_if:
            return np.ones(len(arrays), dtype=np.bool_)
        return np.asarray(np.any([_holds(rule, arrays) for rule in self.stored_if], axis=0))

    def may_store(self, masks: Ints) -> Mask:
        """Whether masks (mask, kind) have an object that the storing rule looks at: others never obey it."""
        looked_at = {rule.collection for rule in self.stored_if}
        if not looked_at:
            return np.ones(len(masks), dtype=np.bool_)
        return np.asarray(masks[:, [COLLECTION_OF[CLASS_OF[kind]] in looked_at for kind in KINDS]].any(axis=1))

    def separates(self, arrays: EventArrays) -> Mask:
        """Whether all jets of an event keep their distance, shape (event,): a slow check, for tests and training."""
        jets, there = arrays.of("b", "j")
        others, others_there = arrays.objects, arrays.present
        d2 = (jets[:, :, None, ETA] - others[:, None, :, ETA]) ** 2
        d2 += delta_phi(jets[:, :, None, PHI], others[:, None, :, PHI]) ** 2
        pair = there[:, :, None] & others_there[:, None, :]
        n_jets = jets.shape[1]
        pair[:, np.arange(n_jets), np.arange(n_jets)] = False  # b and j are the first slots: a jet and itself
        return np.asarray(np.logical_not(((d2 < self.separation**2) & pair).any(axis=(1, 2))))


def _reach(response: LeptonResponse) -> Reach:
    return Reach(pt_min=response.pt_min, eta_max=response.efficiency[-1][0])


def _below(value: float) -> float:
    return float(np.nextafter(np.float32(value), np.float32(0)))


def _above(value: float) -> float:
    return float(np.nextafter(np.float32(value), np.float32(np.inf)))


def _holds(rule: StoredIf, arrays: EventArrays) -> Mask:
    kinds = [kind for kind in KINDS if COLLECTION_OF[CLASS_OF[kind]] == rule.collection]
    objects, there = arrays.of(*kinds)
    eta = np.abs(objects[..., ETA])
    good = there & (objects[..., PT] > rule.pt_min) & (eta < rule.eta_max)
    if rule.gap is not None:
        good &= (eta < rule.gap[0]) | (eta > rule.gap[1])
    return np.asarray(good.any(axis=1))


@dataclass(frozen=True)
class Numbering:
    """What events are called.

    Attributes:
        event: event number, shape (event,).
        dataset: index of the sample, shape (event,).
        samples: the samples.
    """

    event: Ints
    dataset: npt.NDArray[np.int32]
    samples: Sequence[Sample]


def to_events(arrays: EventArrays, numbering: Numbering) -> Events:
    """Build events from arrays; values are rounded to float32, masses of leptons and photons are exact."""
    n = len(arrays)
    columns: dict[str, Any] = {
        "run": np.ones(n, dtype=np.int64),
        "lumi": np.ones(n, dtype=np.int64),
        "event": numbering.event.astype(np.int64),
        "dataset": numbering.dataset.astype(np.int32),
    }
    for name, kinds in _KINDS_OF.items():
        columns[name] = _collection(arrays, kinds)
    met = arrays.met.astype(np.float32)
    columns["met"] = make_objects({"pt": met[:, 0].copy(), "phi": met[:, 1].copy()})
    columns["gen_weight"] = np.ones(n)
    return Events(ak.Array(record(columns)), numbering.samples)


def _collection(arrays: EventArrays, kinds: tuple[str, ...]) -> ak.Array:
    """Objects of some kinds by decreasing pT, with the column that tells the kinds apart."""
    objects, there = arrays.of(*kinds)
    first = np.arange(objects.shape[1]) < arrays.slots[kinds[0]]
    order = np.argsort(np.where(there, -objects[..., PT], np.inf), axis=1, kind="stable")
    sorted_there = np.take_along_axis(there, order, axis=1)
    flat = np.take_along_axis(objects, order[..., None], axis=1)[sorted_there].astype(np.float32)
    is_first = np.broadcast_to(first, there.shape)[np.arange(len(there))[:, None], order][sorted_there]
    columns: dict[str, npt.NDArray[Any]] = {
        "pt": flat[:, PT].copy(), "eta": flat[:, ETA].copy(), "phi": flat[:, PHI].copy(), "mass": flat[:, MASS].copy()
    }  # fmt: skip
    if kinds == ("b", "j"):
        columns["btag"] = is_first
    elif len(kinds) > 1:
        columns["charge"] = np.where(is_first, -1, 1).astype(np.int32)
    offsets = np.zeros(len(there) + 1, dtype=np.int64)
    np.cumsum(there.sum(axis=1), out=offsets[1:])
    return make_lists(columns, offsets)
