"""Distances to background events: far from all its neighbours, an event is anomalous."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from numba import njit
from pydantic import Field
from safetensors.numpy import load_file, save_file
from scipy.spatial import cKDTree

from anomalon.batches import Batches, gather, resample
from anomalon.errors import ModelFileError
from anomalon.models.contract import Floats, Inputs, ModelSettings, Scorer
from anomalon.training import TrainingRun

ARRAYS = "arrays.safetensors"


class _OfEvents(Scorer):
    """Remembers some background events, drawn by weight."""

    background: Floats

    def _fit(self, batches: Batches, validation: Batches | None, run: TrainingRun | None) -> None:  # noqa: ARG002
        values, weights = gather(batches)
        most = int(getattr(self.settings, "events"))  # noqa: B009 - of both settings below
        drawn = values[resample(weights, self.settings.seed)]
        self.background = np.ascontiguousarray(drawn[:: -(-len(drawn) // most)], dtype=np.float64)
        self._learn()

    def _learn(self) -> None:
        """Prepare for scoring."""

    def _save(self, folder: Path) -> dict[str, Any]:
        save_file({"background": self.background}, folder / ARRAYS)
        return {}

    def _load(self, folder: Path, state: dict[str, Any]) -> None:  # noqa: ARG002
        self.background = load_file(folder / ARRAYS)["background"]
        if self.background.shape[1:] != (self.n_inputs,):
            raise ModelFileError(f"{folder / ARRAYS}: {self.background.shape} do not belong to {self.n_inputs} inputs")
        self._learn()


class NearestNeighboursSettings(ModelSettings):
    """k nearest neighbours.

    Attributes:
        neighbours: number k.
        distance: ``mean`` of the distances to all k, or that to the ``furthest`` of them.
        events: largest number of background events that are remembered.
    """

    neighbours: int = Field(default=10, ge=1)
    distance: Literal["mean", "furthest"] = "mean"
    events: int = Field(default=50_000, ge=20)


class NearestNeighbours(_OfEvents):
    """Distance to the k nearest background events (Ramaswamy, Rastogi, Shim 2000; the mean: Angiulli, Pizzuti 2002)."""

    Settings: ClassVar[type[ModelSettings]] = NearestNeighboursSettings
    kind = "nearest-neighbours"
    settings: NearestNeighboursSettings

    def _learn(self) -> None:
        self.tree = cKDTree(self.background)

    def _nearest(self, x: Inputs) -> tuple[Floats, npt.NDArray[np.int64]]:
        k = min(self.settings.neighbours, len(self.background))
        return self.tree.query(x.astype(np.float64), k=np.arange(1, k + 1), workers=-1)  # type: ignore[no-any-return]

    def _score(self, x: Inputs) -> Floats:
        distances, _ = self._nearest(x)
        return np.asarray(distances.mean(axis=1) if self.settings.distance == "mean" else distances[:, -1])

    def _explain(self, x: Inputs) -> Floats:
        """Squared distance along each input to the neighbours, their mean."""
        _, places = self._nearest(x)
        return np.asarray(((x[:, None].astype(np.float64) - self.background[places]) ** 2).mean(axis=1))


class KernelDensitySettings(ModelSettings):
    """Gaussian kernels around background events.

    Attributes:
        bandwidth: of the kernels, in units of Scott's rule, n^(-1 / (inputs + 4)) standard deviations of each input.
        events: largest number of background events that are remembered.
    """

    bandwidth: float = Field(default=1.0, gt=0)
    events: int = Field(default=5000, ge=20)


class KernelDensity(_OfEvents):
    """Kernel density estimate (Parzen 1962); the score is minus its logarithm."""

    Settings: ClassVar[type[ModelSettings]] = KernelDensitySettings
    kind = "kernel-density"
    settings: KernelDensitySettings

    def _learn(self) -> None:
        n, inputs = self.background.shape
        spread = self.background.std(axis=0)
        width = self.settings.bandwidth * n ** (-1.0 / (inputs + 4))
        self.widths: Floats = width * np.where(spread > 0, spread, 1.0)

    def _score(self, x: Inputs) -> Floats:
        norm = np.log(self.widths).sum() + 0.5 * x.shape[1] * np.log(2.0 * np.pi)
        return np.asarray(_minus_log_kernels(x / self.widths, self.background / self.widths) + norm)


@njit(cache=True, nogil=True)
def _minus_log_kernels(x: Floats, background: Floats) -> Floats:
    scores = np.empty(len(x))
    for event in range(len(x)):
        largest, total = -np.inf, 0.0
        for other in range(len(background)):
            exponent = 0.0
            for k in range(x.shape[1]):
                exponent -= 0.5 * (x[event, k] - background[other, k]) ** 2
            if exponent > largest:
                total = total * np.exp(largest - exponent) + 1.0
                largest = exponent
            else:
                total += np.exp(exponent - largest)
        scores[event] = -largest - np.log(total / len(background))
    return scores
