"""Masked prediction: inputs that do not follow from the others as they do in background are anomalous.

A network learns to predict inputs that are hidden at random from those that are shown, with an uncertainty. The score
is the sum over the inputs of minus the log density of each, given all others: a pseudo-likelihood (Besag 1975).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from anomalon.models.contract import Floats, Inputs, ModelSettings
from anomalon.models.network_scorer import NetworkScorer
from anomalon.networks.computing import in_blocks
from anomalon.networks.dense import Activation
from anomalon.networks.masked import MaskedPredictor
from anomalon.training import Loss, TrainingSettings


class MaskedPredictionSettings(ModelSettings):
    """Shape and training of the predictor.

    Attributes:
        hidden: widths of the hidden layers.
        activation: of the hidden layers.
        share: probability of an input to be hidden in training; at least one is.
        training: the training loop.
    """

    hidden: tuple[int, ...] = (128, 128)
    activation: Activation = "silu"
    share: float = Field(default=0.3, gt=0, lt=1)
    training: TrainingSettings = TrainingSettings(epochs=60, patience=8, gradient_clip=5.0)


class MaskedPrediction(NetworkScorer):
    """Pseudo-likelihood of the inputs."""

    Settings: ClassVar[type[ModelSettings]] = MaskedPredictionSettings
    kind = "masked-prediction"
    settings: MaskedPredictionSettings

    def _build(self) -> MaskedPredictor:
        return MaskedPredictor(self.n_inputs, hidden=self.settings.hidden, activation=self.settings.activation)

    def _loss(self) -> Loss:
        share = self.settings.share

        def per_event(network: nn.Module, x: Tensor) -> Tensor:
            # The same inputs are hidden whenever the network is only looked at, so that epochs can be compared.
            generator = None if network.training else torch.Generator(x.device).manual_seed(0)
            draws = torch.rand(x.shape, generator=generator, device=x.device)
            hidden = (draws < share) | (draws == draws.min(dim=1, keepdim=True).values)
            terms = network(x, (~hidden).to(x.dtype)) * hidden
            per_input: Tensor = terms.sum(dim=1) / hidden.sum(dim=1)
            return per_input.float()

        return per_event

    def _score(self, x: Inputs) -> Floats:
        return np.asarray(self._explain(x).sum(axis=1))

    def _explain(self, x: Inputs) -> Floats:
        """Minus the log density of each input given all others: the columns add up to the score."""
        return np.concatenate(in_blocks(self.network, self._terms, x))

    def _terms(self, x: Tensor) -> Floats:
        columns = []
        for k in range(x.shape[1]):
            shown = torch.ones_like(x)
            shown[:, k] = 0.0
            columns.append(self.network(x, shown)[:, k].double().numpy())
        return np.stack(columns, axis=1)
