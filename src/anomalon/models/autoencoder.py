"""The autoencoder: events unlike the background come back wrong from a code that is too narrow to copy them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from anomalon.batches import Batches
from anomalon.models.contract import Floats, Inputs, ModelSettings, Scorer
from anomalon.models.storage import load_network, save_network
from anomalon.networks.dense import Activation, DenseAutoencoder
from anomalon.training import TrainingRecord, TrainingRun, TrainingSettings, train

ErrorName = Literal["mse", "smooth-l1", "mae"]

CHUNK = 65536
"""Events per forward pass when scoring: bounds the memory."""


class AutoencoderSettings(ModelSettings):
    """Shape and training of a dense autoencoder.

    Attributes:
        hidden: widths of the encoder's hidden layers, mirrored by the decoder.
        code: width of the code; below the number of inputs, or the identity is representable.
        activation: of the hidden layers.
        batch_norm: whether hidden layers are normalised over the batch.
        loss: what training minimises, mean over the inputs.
        error: what the score is, mean over the inputs.
        training: the training loop.
    """

    hidden: tuple[int, ...] = (64, 32)
    code: int = Field(default=4, ge=1)
    activation: Activation = "silu"
    batch_norm: bool = False
    loss: ErrorName = "mse"
    error: ErrorName = "mse"
    training: TrainingSettings = TrainingSettings()

    @model_validator(mode="after")
    def _one_seed(self) -> AutoencoderSettings:
        if self.training.seed not in (0, self.seed):
            raise ValueError("training.seed differs from seed: give the detector's own seed only")
        return self


class Autoencoder(Scorer):
    """Dense autoencoder; the score is the reconstruction error."""

    Settings: ClassVar[type[ModelSettings]] = AutoencoderSettings
    kind = "autoencoder"
    settings: AutoencoderSettings

    @property
    def batch_size(self) -> int:
        """Batch size of the training."""
        return self.settings.training.batch_size

    def _fit(self, batches: Batches, validation: Batches | None, run: TrainingRun | None) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)
            self.network = self._build()
        loss = _ERRORS[self.settings.loss]

        def per_event(module: nn.Module, x: Tensor) -> Tensor:
            return loss(module(x), x).mean(dim=1)

        settings = self.settings.training.model_copy(update={"seed": self.settings.seed})
        self.record = train(self.network, per_event, batches=batches, validation=validation, settings=settings, run=run)

    def _build(self) -> DenseAutoencoder:
        s = self.settings
        return DenseAutoencoder(
            self.n_inputs, hidden=s.hidden, code=s.code, activation=s.activation, batch_norm=s.batch_norm
        )

    def _score(self, x: Inputs) -> Floats:
        return np.concatenate([self._errors(part).mean(axis=1) for part in _chunks(x)])

    def _explain(self, x: Inputs) -> Floats:
        """Reconstruction error per input over the number of inputs: the columns add up to the score."""
        return np.concatenate([self._errors(part) / self.n_inputs for part in _chunks(x)])

    def _encode(self, x: Inputs) -> Floats:
        with torch.inference_mode():
            return self.network.encode(torch.from_numpy(x)).double().numpy()

    def _reconstruct(self, x: Inputs) -> Inputs:
        with torch.inference_mode():
            return np.concatenate([self.network(torch.from_numpy(part)).numpy() for part in _chunks(x)] or [x])

    def _errors(self, x: Inputs) -> Floats:
        with torch.inference_mode():
            inputs = torch.from_numpy(x)
            # In float64: the square of a far outlier overflows float32.
            errors = _ERRORS[self.settings.error](self.network(inputs).double(), inputs.double())
        return np.asarray(errors.numpy())

    def _save(self, folder: Path) -> dict[str, Any]:
        save_network(self.network, folder / "network.safetensors")
        return {"record": None if self.record is None else self.record.to_dict()}

    def _load(self, folder: Path, state: dict[str, Any]) -> None:
        self.network = self._build()
        load_network(self.network, folder / "network.safetensors")
        self.network.eval()
        self.record = None if state["record"] is None else TrainingRecord.from_dict(state["record"])


def _squared(a: Tensor, b: Tensor) -> Tensor:
    return nn.functional.mse_loss(a, b, reduction="none")


def _smooth_l1(a: Tensor, b: Tensor) -> Tensor:
    return nn.functional.smooth_l1_loss(a, b, reduction="none")


def _absolute(a: Tensor, b: Tensor) -> Tensor:
    return nn.functional.l1_loss(a, b, reduction="none")


_ERRORS = {"mse": _squared, "smooth-l1": _smooth_l1, "mae": _absolute}


def _chunks(x: Inputs) -> list[Inputs]:
    return [x[start : start + CHUNK] for start in range(0, len(x), CHUNK)]
