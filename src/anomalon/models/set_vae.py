"""The variational autoencoder of a particle cloud, Ostdiek (arXiv:2109.01695), best on the Dark Machines challenge.

Training minimises, per event, half the squared errors of the values that are there, the cross entropy of what is there,
and beta times the divergence of the code (:mod:`anomalon.models.vae`).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator
from torch import Tensor, nn

from anomalon.features.contract import Features
from anomalon.models.contract import Floats, ModelSettings
from anomalon.models.network_scorer import FeatureNetworkScorer
from anomalon.networks.computing import in_blocks
from anomalon.networks.sets import SetAutoencoder
from anomalon.networks.vae import kl_divergence
from anomalon.preprocessing import LOGARITHMIC, PreprocessingSettings
from anomalon.training import Loss, TrainingSettings

Score = Literal["reconstruction", "elbo", "kl", "radius"]


class SetVAESettings(ModelSettings):
    """Shape and training of the autoencoder.

    Attributes:
        width: of the objects' images; a multiple of 4 for a transformer.
        code: width of the code.
        attention: number of transformer layers in which objects look at each other; 0 makes deep sets.
        beta: weight of the divergence.
        score: as of the plain ``vae``; ``reconstruction`` counts what is there, too.
        log: names or patterns of the features of which the network sees log(1 + x).
        training: the training loop.
    """

    width: int = Field(default=64, ge=4)
    code: int = Field(default=6, ge=1)
    attention: int = Field(default=0, ge=0, le=6)
    beta: float = Field(default=0.1, ge=0)
    score: Score = "elbo"
    log: tuple[str, ...] = (*LOGARITHMIC, "*energy")
    training: TrainingSettings = TrainingSettings(epochs=40, patience=6, gradient_clip=5.0)

    @model_validator(mode="after")
    def _heads(self) -> SetVAESettings:
        if self.attention and self.width % 4:
            raise ValueError(f"width = {self.width}: a transformer here has four heads, give a multiple of 4")
        return self


class SetVAE(FeatureNetworkScorer):
    """Variational autoencoder of objects; columns such as ``jet2_pt`` belong to the second jet."""

    Settings: ClassVar[type[ModelSettings]] = SetVAESettings
    kind = "set-vae"
    settings: SetVAESettings

    def _preprocessing(self) -> PreprocessingSettings:
        return PreprocessingSettings(log=self.settings.log, clip=1e3)

    def _build(self) -> SetAutoencoder:
        s = self.settings
        return SetAutoencoder(self.names, width=s.width, code=s.code, attention=s.attention)

    def _loss(self) -> Loss:
        return self._bound

    def _bound(self, network: nn.Module, x: Tensor) -> Tensor:
        values, present = x.chunk(2, dim=1)
        given, logits, mean, log_variance = network(values, present)
        errors = _errors(values, present, given, logits).sum(dim=1)
        return errors + self.settings.beta * kl_divergence(mean, log_variance)

    def _score_features(self, features: Features) -> Floats:
        return np.concatenate(in_blocks(self.network, self._scores, self._inputs(features)))

    def _scores(self, x: Tensor) -> Floats:
        values, present = x.chunk(2, dim=1)
        mean, log_variance = (part.double() for part in self.network.posterior(values, present))
        if self.settings.score == "radius":
            return np.asarray(mean.square().sum(dim=1).numpy())
        divergence = kl_divergence(mean, log_variance)
        if self.settings.score == "kl":
            return np.asarray(divergence.numpy())
        errors = self._errors(x).sum(dim=1)
        weight = self.settings.beta if self.settings.score == "elbo" else 0.0
        return np.asarray((errors + weight * divergence).numpy())

    def _errors(self, x: Tensor) -> Tensor:
        """Errors (event, feature) of the reconstruction from the mean of the code."""
        values, present = x.chunk(2, dim=1)
        given, logits = self.network.decode(self.network.posterior(values, present)[0])
        return _errors(values.double(), present.double(), given.double(), logits.double())

    def _explain_features(self, features: Features) -> Floats | None:
        """Errors per feature: they add up to ``reconstruction`` and to the first part of ``elbo``."""
        if self.settings.score in ("kl", "radius"):
            return None
        return np.concatenate(in_blocks(self.network, lambda x: self._errors(x).numpy(), self._inputs(features)))


def _errors(values: Tensor, present: Tensor, given: Tensor, logits: Tensor) -> Tensor:
    """Half the squared error where a value is there, and the cross entropy of its presence, (event, feature)."""
    presence = nn.functional.binary_cross_entropy_with_logits(logits, present, reduction="none")
    return 0.5 * (values - given).square() * present + presence
