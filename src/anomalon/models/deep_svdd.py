"""Deep support vector data description: background is mapped close to one point, and what lands far is anomalous.

Ruff et al. (ICML 2018). Networks have no biases and no bounded activations, or they would map everything to the point.
An ensemble has one network per dimension of the image; each squared distance is divided by its dimension and by its
mean on background, and the score is their mean: Caron, Hendriks and Verheyen (arXiv:2106.10164).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from anomalon.batches import Batches
from anomalon.models.contract import Floats, Inputs, ModelSettings, Scorer
from anomalon.models.storage import load_network, save_network
from anomalon.networks.computing import in_blocks
from anomalon.networks.gradients import integrated_gradients
from anomalon.networks.svdd import Spheres
from anomalon.training import TrainingRecord, TrainingRun, TrainingSettings, train

NETWORK = "network.safetensors"


class DeepSVDDSettings(ModelSettings):
    """Shape and training of the networks.

    Attributes:
        dimensions: of the images, one network each.
        hidden: widths of the hidden layers.
        target: the point: ``constant``, the same number in all dimensions; ``initial``, the mean image of the
            background before the training, with no dimension close to zero (Ruff et al.); or ``learned`` with the
            networks, which are then kept from shrinking: the standard deviation of each dimension over a batch costs
            what it lacks to 1.
        constant: that number.
        training: the training loop.
    """

    dimensions: tuple[int, ...] = Field(default=(5, 8, 13, 21), min_length=1)
    hidden: tuple[int, ...] = (64, 32)
    target: Literal["constant", "initial", "learned"] = "constant"
    constant: float = 1.0
    training: TrainingSettings = TrainingSettings(epochs=40, patience=6)


class DeepSVDD(Scorer):
    """Mean over an ensemble of the squared distances from their points, in units of the background's."""

    Settings: ClassVar[type[ModelSettings]] = DeepSVDDSettings
    kind = "deep-svdd"
    settings: DeepSVDDSettings

    @property
    def batch_size(self) -> int:
        """Batch size of the training."""
        return self.settings.training.batch_size

    def _fit(self, batches: Batches, validation: Batches | None, run: TrainingRun | None) -> None:
        s = self.settings
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(s.seed)
            self.network = self._build()
        if s.target == "initial":
            self.network.aim(self._mean_images(batches))
        training = s.training.model_copy(update={"seed": s.seed})
        self.record = train(self.network, _distance, batches=batches, validation=validation, settings=training, run=run)
        sums, total = np.zeros(len(s.dimensions)), 0.0
        for values, weights in batches.epoch(0):
            w = np.abs(weights)
            sums, total = sums + w @ self._distances(values), total + float(w.sum())
        self.usual = np.maximum(sums / total, 1e-12)

    def _build(self) -> Spheres:
        s = self.settings
        return Spheres(self.n_inputs, s.dimensions, s.hidden, constant=s.constant, learned=s.target == "learned")

    def _mean_images(self, batches: Batches) -> list[Tensor]:
        """Mean image of the first batch for each network; Ruff et al. take the first pass."""
        values, _ = next(iter(batches.epoch(0)))
        with torch.inference_mode():
            means = [image.mean(dim=0) for image in self.network.images(torch.from_numpy(values))]
        return [torch.where(m.abs() < 0.1, torch.where(m < 0, -0.1, 0.1), m).clone() for m in means]

    def _distances(self, x: Inputs) -> Floats:
        """Squared distance over dimension of each network, (event, network)."""
        parts = in_blocks(self.network, lambda block: self.network.distances(block).double().numpy(), x)
        return np.concatenate(parts)

    def _score(self, x: Inputs) -> Floats:
        return np.asarray((self._distances(x) / self.usual).mean(axis=1))

    def _explain(self, x: Inputs) -> Floats:
        """Integrated gradients of the score from the background's mean: they add up to its change from there."""
        usual = torch.from_numpy(self.usual)
        return integrated_gradients(lambda at: (self.network.distances(at) / usual).mean(dim=1), x)

    def _save(self, folder: Path) -> dict[str, Any]:
        save_network(self.network, folder / NETWORK)
        return {"usual": self.usual.tolist(), "record": None if self.record is None else self.record.to_dict()}

    def _load(self, folder: Path, state: dict[str, Any]) -> None:
        self.network = self._build()
        load_network(self.network, folder / NETWORK)
        self.network.eval()
        self.usual = np.asarray(state["usual"], dtype=np.float64)
        self.record = None if state["record"] is None else TrainingRecord.from_dict(state["record"])


def _distance(network: nn.Module, x: Tensor) -> Tensor:
    loss: Tensor = network(x)
    return loss
