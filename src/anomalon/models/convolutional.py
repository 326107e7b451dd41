"""The convolutional autoencoder of pictures in (eta, phi): deposits unlike those of the background come back wrong.

The inputs are the cells of :class:`anomalon.features.eta_phi.EtaPhiImages`, picture by picture.
"""

from __future__ import annotations

from math import prod
from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from anomalon.errors import TrainingError
from anomalon.models.contract import ModelSettings
from anomalon.models.reconstruction import ERRORS, ErrorName, ReconstructingScorer, ReconstructionSettings
from anomalon.networks.convolutional import ConvolutionalAutoencoder
from anomalon.training import Loss


class ConvolutionalSettings(ReconstructionSettings):
    """Shape and training of a convolutional autoencoder.

    Attributes:
        image: pictures, rows of eta, columns of phi, as in the feature set.
        hidden: filters of the encoder's convolutions, mirrored by the decoder; each halves the sides that are even.
        code: width of the code.
        loss: what training minimises, mean over the cells.
        error: what the score is made of.
    """

    image: tuple[int, int, int] = (6, 12, 16)
    hidden: tuple[int, ...] = Field(default=(16, 32), min_length=1)
    code: int = Field(default=12, ge=1)
    loss: ErrorName = "mse"
    error: ErrorName = "mse"


class ConvolutionalScorer(ReconstructingScorer):
    """Convolutional autoencoder; the score is the reconstruction error, its explanation a picture."""

    Settings: ClassVar[type[ModelSettings]] = ConvolutionalSettings
    kind = "convolutional-autoencoder"
    settings: ConvolutionalSettings

    @property
    def error(self) -> ErrorName:
        """What scores and explanations add up."""
        return self.settings.error

    def _build(self) -> ConvolutionalAutoencoder:
        s = self.settings
        if prod(s.image) != self.n_inputs or min(s.image) < 1:
            raise TrainingError(
                f"{self.kind}: image {list(s.image)} has {prod(s.image)} cells, the inputs are {self.n_inputs}; "
                "set image to pictures, eta_cells and phi_cells of the feature set"
            )
        return ConvolutionalAutoencoder(s.image, filters=s.hidden, code=s.code, activations=s.acting())

    def _loss(self) -> Loss:
        error = ERRORS[self.settings.loss]

        def per_event(module: nn.Module, x: Tensor) -> Tensor:
            return error(module(x), x).mean(dim=1)

        return per_event
