"""From what a network draws back to events: the inverse of :mod:`anomalon.generation.encoding`.

Thresholds, acceptance in eta, the order in pT and masses hold by construction, whatever a network draws.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from anomalon.generation.encoding import (
    CLASS_OF_KIND,
    ETA_TABLE,
    FIRST,
    HAS_MASS,
    IS_MUON,
    LATER,
    MASS_TABLE,
    MASSES,
    SOFT,
    SOFT_TABLE,
    Encoder,
)  # fmt: skip
from anomalon.generation.flatten import ETA, MASS, PHI, PT, EventArrays, Floats, Ints
from anomalon.generation.layout import CLASSES
from anomalon.generation.noise import uniform_noise
from anomalon.generation.quantiles import PROBABILITIES
from anomalon.generation.records import Asked
from anomalon.kinematics import wrap_phi

_TURN = 1 << 20
"""Column of the noise that turns an event: beyond all those that a network takes."""


class Decoder:
    """Objects and events from places in empirical distributions.

    Args:
        encoder: the distributions.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder, self.slots = encoder, encoder.shape.slots
        reach = encoder.acceptance.reach
        eta_max = np.array([reach[name].eta_max for name in CLASSES], dtype=np.float32)[CLASS_OF_KIND]
        self.eta_max = np.nextafter(eta_max, np.float32(0)).astype(np.float64)
        self.pt_min = np.nextafter(encoder.pt_min.astype(np.float32), np.float32(np.inf)).astype(np.float64)

    def ratio(self, kind: Ints, place: Ints, normal: Floats) -> Floats:
        """log(pT / threshold) of first objects; of later ones its ratio to that of the previous object of the kind.

        Args:
            kind: soft momentum included.
            place: within the kind.
            normal: place of pT in its distribution, shape (..., object), with kinds and places of shape (object,).
        """
        later = np.where(place == 0, FIRST, LATER) + CLASS_OF_KIND[kind]
        return self._values(np.where(kind == SOFT, SOFT_TABLE, later), normal)

    def objects(self, kind: Ints, above: Floats, normal: Floats) -> Floats:
        """pT, eta, 0 and mass, shape (..., object, 4), from log(pT / threshold) and normal numbers for mass and eta.

        Args:
            kind: soft momentum included, shape (object,).
            above: log(pT / threshold), shape (..., object).
            normal: shape (..., object, 2).
        """
        which, has_eta, eta_max = CLASS_OF_KIND[kind], kind != SOFT, self.eta_max[kind]
        objects = np.zeros((*above.shape, 4))
        objects[..., PT] = np.maximum(self.encoder.pt_min[kind] * np.exp(above), self.pt_min[kind])
        objects[..., ETA] = np.clip(self._values(ETA_TABLE + which, normal[..., 1]), -eta_max, eta_max) * has_eta
        relative = np.maximum(self._values(MASS_TABLE + which, normal[..., 0]), 0.0)
        objects[..., MASS] = np.where(HAS_MASS[kind], relative * objects[..., PT], MASSES[kind])
        return objects

    def _values(self, table: Ints, normal: Floats) -> Floats:
        """Values at the places of normal numbers, shape (..., object): linear between the quantiles."""
        place = ndtr(normal)
        low = np.clip(np.searchsorted(PROBABILITIES, place, side="right") - 1, 0, len(PROBABILITIES) - 2)
        part = (place - PROBABILITIES[low]) / (PROBABILITIES[low + 1] - PROBABILITIES[low])
        tables = self.encoder.tables
        return np.asarray(tables[table, low] * (1 - part) + tables[table, low + 1] * part)

    def whole(self, normal: Floats, phi: Floats, asked: Asked) -> EventArrays:
        """Events from normal numbers and azimuths of all slots at once.

        Args:
            normal: for pT, mass and eta, shape (event, slot + 1, 3), soft momentum last.
            phi: in any frame, shape (event, slot + 1).
            asked: numbers of objects and keys.
        """
        shape = self.encoder.shape
        above = self.ratio(shape.kind, shape.place, normal[..., 0])
        for slot in np.flatnonzero(shape.place > 0):
            above[:, slot] *= above[:, slot - 1]
        objects = self.objects(shape.kind, above, normal[..., 1:])
        objects[..., PHI] = phi
        return self.finish(objects, asked)

    def finish(self, objects: Floats, asked: Asked) -> EventArrays:
        """Events from objects and soft momentum (event, slot + 1, 4): missing momentum follows, all is turned."""
        turn = 2 * np.pi * uniform_noise(asked.keys, 1, first=_TURN)
        arrays = EventArrays(np.zeros((len(asked), 2)), asked.counts, objects[:, :-1].copy(), self.slots)
        arrays.objects[~arrays.present] = 0.0
        x, y = self._missing(arrays, objects[:, -1])
        arrays.met[:, 0], arrays.met[:, 1] = np.hypot(x, y), stored_angle(np.arctan2(y, x) + turn[:, 0])
        arrays.objects[..., PHI] = np.where(arrays.present, stored_angle(arrays.objects[..., PHI] + turn), 0.0)
        return arrays

    def _missing(self, arrays: EventArrays, soft: Floats) -> tuple[Floats, Floats]:
        """-(soft momentum + sum of pT), without muons where MET does not see them, shape (event,) each."""
        counted = ~IS_MUON[self.encoder.shape.kind[:-1]] | self.encoder.muons
        pt, phi = arrays.objects[..., PT] * counted, arrays.objects[..., PHI]
        x, y = ((pt * turn(phi)).sum(axis=1) for turn in (np.cos, np.sin))
        return -(x + soft[:, PT] * np.cos(soft[:, PHI])), -(y + soft[:, PT] * np.sin(soft[:, PHI]))


def stored_angle(phi: npt.NDArray[np.float64]) -> Floats:
    """An angle wrapped, and rounded to float32 without leaving (-pi, pi]: the float32 nearest to pi is above it.

    >>> float(stored_angle(np.array([np.pi]))[0]) < np.pi
    True
    """
    largest = np.nextafter(np.float32(np.pi), np.float32(0))
    return np.asarray(np.clip(wrap_phi(phi).astype(np.float32), -largest, largest), dtype=np.float64)
