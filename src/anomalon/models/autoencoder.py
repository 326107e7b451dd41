"""The autoencoder: events unlike the background come back wrong from a code that is too narrow to copy them."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from anomalon.models.contract import ModelSettings
from anomalon.models.reconstruction import ERRORS, ErrorName, ReconstructingScorer, ReconstructionSettings
from anomalon.networks.dense import Activation, DenseAutoencoder
from anomalon.training import Loss


class AutoencoderSettings(ReconstructionSettings):
    """Shape and training of a dense autoencoder.

    Attributes:
        code_activation: of the code.
        batch_norm: whether hidden layers are normalised over the batch.
        loss: what training minimises, mean over the inputs.
        error: what the score is made of.
    """

    code_activation: Activation = "linear"
    batch_norm: bool = False
    loss: ErrorName = "mse"
    error: ErrorName = "mse"


class Autoencoder(ReconstructingScorer):
    """Dense autoencoder; the score is the reconstruction error."""

    Settings: ClassVar[type[ModelSettings]] = AutoencoderSettings
    kind = "autoencoder"
    settings: AutoencoderSettings

    @property
    def error(self) -> ErrorName:
        """What scores and explanations add up."""
        return self.settings.error

    def _build(self) -> DenseAutoencoder:
        s = self.settings
        acting = s.acting(code=s.code_activation)
        return DenseAutoencoder(self.n_inputs, hidden=s.hidden, code=s.code, activation=acting, batch_norm=s.batch_norm)

    def _loss(self) -> Loss:
        error = ERRORS[self.settings.loss]

        def per_event(module: nn.Module, x: Tensor) -> Tensor:
            return error(module(x), x).mean(dim=1)

        return per_event
