"""The perceptron: a classifier of dense layers, trained with cross entropy."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from anomalon.batches import ArrayBatches
from anomalon.models.contract import Classifier, Floats, Inputs, ModelSettings
from anomalon.models.storage import load_network, save_network
from anomalon.networks.computing import in_blocks
from anomalon.networks.dense import Activation
from anomalon.networks.perceptron import Perceptron
from anomalon.training import TrainingRecord, TrainingSettings, train

NETWORK = "network.safetensors"


class PerceptronSettings(ModelSettings):
    """Shape and training of a perceptron.

    Attributes:
        hidden: widths of the hidden layers; none makes a linear discriminant.
        activation: of the hidden layers.
        dropout: share of each hidden layer's neurons that is switched off in a training step.
        batch_norm: whether hidden layers are normalised over the batch.
        validation: share of the training events that decides when to stop; 0 leaves that to the training loss.
        training: the training loop.
    """

    hidden: tuple[int, ...] = (64, 64)
    activation: Activation = "silu"
    dropout: float = Field(default=0.0, ge=0, lt=1)
    batch_norm: bool = False
    validation: float = Field(default=0.15, ge=0, le=0.5)
    training: TrainingSettings = TrainingSettings(batch_size=256, weight_decay=1e-4)

    @model_validator(mode="after")
    def _one_seed(self) -> PerceptronSettings:
        if self.training.seed not in (0, self.seed):
            raise ValueError("training.seed differs from seed: give the classifier's own seed only")
        return self


class PerceptronClassifier(Classifier):
    """Perceptron with one output for two classes, and one for each of more."""

    Settings: ClassVar[type[ModelSettings]] = PerceptronSettings
    kind = "perceptron"
    settings: PerceptronSettings
    n_classes: int

    def _fit(self, x: Inputs, weights: Floats, labels: npt.NDArray[np.int64]) -> None:
        self.n_classes = int(labels.max()) + 1
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)
            self.network = self._build()
        learned = np.column_stack([x, labels.astype(np.float32)])
        held = self._held_out(labels)
        settings = self.settings.training.model_copy(update={"seed": self.settings.seed})
        samples = [
            ArrayBatches(learned[rows], weights[rows], batch_size=settings.batch_size, seed=settings.seed)
            for rows in (~held, held)
        ]
        validation = samples[1] if held.any() else None
        self.record = train(self.network, _cross_entropy, batches=samples[0], validation=validation, settings=settings)

    def _held_out(self, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Events that decide when to stop, the same share of each class."""
        rng = np.random.default_rng(self.settings.seed)
        held = np.zeros(len(labels), dtype=np.bool_)
        for label in np.unique(labels):
            rows = rng.permutation(np.flatnonzero(labels == label))
            held[rows[: int(self.settings.validation * len(rows))]] = True
        return held

    def _build(self) -> Perceptron:
        s = self.settings
        outputs = 1 if self.n_classes == 2 else self.n_classes
        return Perceptron(
            self.n_inputs, hidden=s.hidden, n_outputs=outputs, activation=s.activation, dropout=s.dropout,
            batch_norm=s.batch_norm,
        )  # fmt: skip

    def _predict_proba(self, x: Inputs) -> Floats:
        return np.concatenate(in_blocks(self.network, self._probabilities, x))

    def _probabilities(self, x: Tensor) -> Floats:
        outputs = self.network(x).double()
        if outputs.shape[1] == 1:
            return np.concatenate([torch.sigmoid(-outputs).numpy(), torch.sigmoid(outputs).numpy()], axis=1)
        return np.asarray(torch.softmax(outputs, dim=1).numpy())

    def _save(self, folder: Path) -> dict[str, Any]:
        save_network(self.network, folder / NETWORK)
        record = None if self.record is None else self.record.to_dict()
        return {"classes": self.n_classes, "record": record}

    def _load(self, folder: Path, state: dict[str, Any]) -> None:
        self.n_classes = int(state["classes"])
        self.network = self._build()
        load_network(self.network, folder / NETWORK)
        self.network.eval()
        self.record = None if state["record"] is None else TrainingRecord.from_dict(state["record"])


def _cross_entropy(module: nn.Module, batch: Tensor) -> Tensor:
    """Cross entropy per event; the last column of a batch is the label."""
    outputs, labels = module(batch[:, :-1]), batch[:, -1]
    if outputs.shape[1] == 1:
        return nn.functional.binary_cross_entropy_with_logits(outputs[:, 0], labels, reduction="none")
    return nn.functional.cross_entropy(outputs, labels.long(), reduction="none")
