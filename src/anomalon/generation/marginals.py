"""Independent marginals: every number from its own distribution, nothing learned about how they belong together.

The baseline: it reaches the floor of one-dimensional metrics while its events are unphysical. Features are those of
Garcia Ruiz 2024 (UPV), energy, pT, eta and phi; so that an event can be written at all, the objects of a kind are put
in order, and an energy below the momentum becomes a mass below zero, as ROOT writes it: E^2 = p^2 + m |m|.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from anomalon.errors import ModelFileError
from anomalon.generation.contract import Generator
from anomalon.generation.flatten import ETA, KINDS, MASS, PHI, PT, EventArrays, Floats, energy
from anomalon.generation.layout import CLASS_OF, Reach
from anomalon.generation.quantiles import PROBABILITIES, from_uniform, quantile_table
from anomalon.generation.records import Asked, Learned
from anomalon.hashing import Hashes, splitmix64, uniforms
from anomalon.kinematics import momentum
from anomalon.training import TrainingRun

_TABLES = "marginals.safetensors"


class Marginals(Generator):
    """Draws energy, pT, eta and phi of every slot, MET and its phi, independently of each other."""

    kind = "marginals"

    def _fit(self, learned: Learned, validation: Learned | None, run: TrainingRun | None) -> None:  # noqa: ARG002
        arrays, there = learned.arrays, learned.arrays.present
        columns = [arrays.met[:, 0], arrays.met[:, 1]]
        features = np.stack([energy(arrays.objects), *(arrays.objects[..., c] for c in (PT, ETA, PHI))], axis=2)
        for slot in range(there.shape[1]):
            columns += list(features[there[:, slot], slot].T)
        self.tables: Floats = np.stack([quantile_table(column) for column in columns])

    def _draw(self, asked: Asked) -> EventArrays:
        n, n_slots = len(asked), sum(self.slots.values())
        drawn = np.stack([from_uniform(_uniform(asked.keys, i), table) for i, table in enumerate(self.tables)], axis=1)
        features = drawn[:, 2:].reshape(n, n_slots, 4)
        arrays = EventArrays(drawn[:, :2], asked.counts, np.zeros((n, n_slots, 4)), self.slots)
        for kind in KINDS:
            reach = self._accepting().reach[CLASS_OF[kind]]
            span = arrays.span(kind)
            arrays.objects[:, span] = _in_order(features[:, span], arrays.count(kind), reach)
        arrays.objects[~arrays.present] = 0.0
        return arrays

    def _save(self, folder: Path) -> dict[str, Any]:
        from safetensors.numpy import save_file  # noqa: PLC0415 - as in models.storage

        save_file({"tables": self.tables.astype(np.float32)}, folder / _TABLES)
        return {}

    def _load(self, folder: Path, state: dict[str, Any]) -> None:  # noqa: ARG002
        from safetensors.numpy import load_file  # noqa: PLC0415

        self.tables = load_file(folder / _TABLES)["tables"].astype(np.float64)
        if self.tables.shape != (2 + 4 * sum(self.slots.values()), len(PROBABILITIES)):
            raise ModelFileError(f"{folder / _TABLES}: tables of shape {self.tables.shape} do not fit the slots")


def _uniform(keys: Hashes, column: int) -> Floats:
    return uniforms(splitmix64(keys + np.uint64((column * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF)))


def _in_order(features: Floats, count: npt.NDArray[np.int64], reach: Reach) -> Floats:
    """Objects (event, slot, 4) of a kind by decreasing pT, from energy, pT, eta, phi; the first ``count`` are real."""
    pt = np.maximum(features[..., 1], np.nextafter(np.float32(reach.pt_min), np.float32(np.inf)))
    there = np.arange(pt.shape[1]) < count[:, None]
    order = np.argsort(np.where(there, -pt, np.inf), axis=1, kind="stable")
    objects = np.zeros_like(features)
    eta = np.clip(features[..., 2], -reach.eta_max, reach.eta_max) * (1 - 1e-6)
    p = momentum(pt, eta)
    squared = features[..., 0] ** 2 - p**2
    columns = {PT: pt, ETA: eta, PHI: features[..., 3], MASS: np.sign(squared) * np.sqrt(np.abs(squared))}
    for place, column in columns.items():
        objects[..., place] = np.take_along_axis(column, order, axis=1)
    return objects
