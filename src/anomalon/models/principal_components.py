"""Principal components: what lies off the plane in which the background varies most is anomalous."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field
from safetensors.numpy import load_file, save_file

from anomalon.batches import Batches, gather
from anomalon.models.contract import Floats, Inputs, ModelSettings, Scorer
from anomalon.training import TrainingRun

ARRAYS = "arrays.safetensors"
_SMALLEST = 1e-6
"""Of the largest variance: below, a direction is rounding."""


class PrincipalComponentsSettings(ModelSettings):
    """Principal components.

    Attributes:
        components: number that a reconstruction keeps; at most one less than there are inputs.
        score: ``reconstruction``, the mean squared error without the others, or ``mahalanobis``, the squared distance
            from the mean in the standard deviations of all components.
    """

    components: int = Field(default=3, ge=1)
    score: Literal["reconstruction", "mahalanobis"] = "reconstruction"


class PrincipalComponents(Scorer):
    """The linear autoencoder, in closed form."""

    Settings: ClassVar[type[ModelSettings]] = PrincipalComponentsSettings
    kind = "principal-components"
    settings: PrincipalComponentsSettings

    def _fit(self, batches: Batches, validation: Batches | None, run: TrainingRun | None) -> None:  # noqa: ARG002
        values, weights = gather(batches)
        x, w = values.astype(np.float64), np.abs(weights)
        self.mean = np.average(x, axis=0, weights=w)
        covariance = np.atleast_2d(np.cov(x.T, aweights=w))
        variances, vectors = np.linalg.eigh(covariance)
        self.variances = np.maximum(variances[::-1], _SMALLEST * max(float(variances[-1]), 1e-12))
        self.axes = np.ascontiguousarray(vectors[:, ::-1].T)

    @property
    def _kept(self) -> Floats:
        return self.axes[: max(min(self.settings.components, self.n_inputs - 1), 1)]

    def _score(self, x: Inputs) -> Floats:
        return np.asarray(self._explain(x).sum(axis=1))

    def _explain(self, x: Inputs) -> Floats:
        """What each input adds to the score."""
        centred = x - self.mean
        if self.settings.score == "mahalanobis":
            return np.asarray(centred * (centred @ (self.axes.T / self.variances) @ self.axes))
        return np.asarray((centred - centred @ self._kept.T @ self._kept) ** 2 / self.n_inputs)

    def _encode(self, x: Inputs) -> Floats:
        return np.asarray((x - self.mean) @ self._kept.T)

    def _reconstruct(self, x: Inputs) -> Inputs:
        return np.asarray(self.mean + self._encode(x) @ self._kept, dtype=np.float32)

    def _save(self, folder: Path) -> dict[str, Any]:
        save_file({"mean": self.mean, "axes": self.axes, "variances": self.variances}, folder / ARRAYS)
        return {}

    def _load(self, folder: Path, state: dict[str, Any]) -> None:  # noqa: ARG002
        arrays = load_file(folder / ARRAYS)
        self.mean, self.axes, self.variances = (arrays[name] for name in ("mean", "axes", "variances"))
