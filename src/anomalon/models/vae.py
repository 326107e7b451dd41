"""The variational autoencoder: what it cannot give back, or must code far from all others, is unlike the background.

Training minimises, per event, the negative evidence lower bound of Kingma and Welling (arXiv:1312.6114, equation 10)
with one draw of the code z, and a Gaussian of unit variance around the reconstruction:

    1/2 sum over inputs (x - reconstruction(z))^2 + beta * KL,
    KL = -1/2 sum over the code (1 + log var - mu^2 - var),

without the constant n/2 log(2 pi). Both terms are sums within the event; the mean is taken over events only, so that
beta means the same for every batch size. It plays the part of the variance of that Gaussian: with beta = 1 a direction
in which the inputs vary by less than 1 is not coded at all, so inputs scaled to 0..1 need a small beta (as in the
beta-VAE of Higgins et al., ICLR 2017).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field
from torch import Tensor, nn

from anomalon.models.contract import Floats, Inputs, ModelSettings
from anomalon.models.reconstruction import ReconstructingScorer, ReconstructionSettings, log10_sum
from anomalon.networks.computing import in_blocks
from anomalon.networks.gradients import integrated_gradients
from anomalon.networks.vae import VariationalAutoencoder, kl_divergence, negative_elbo
from anomalon.training import Loss


class VAESettings(ReconstructionSettings):
    """Shape and training of a variational autoencoder.

    Attributes:
        beta: weight of the KL divergence beside half the summed squared error.
        score: ``reconstruction``, the squared error; ``elbo``, what training minimises; ``kl``, the divergence alone;
            ``radius``, the sum of mu^2, without the variance. The code is its mean
            mu wherever a score is taken. On the scale ``mean`` only ``reconstruction`` is divided by the number of
            inputs, the others are sums.
    """

    beta: float = Field(default=1.0, ge=0)
    score: Literal["reconstruction", "elbo", "kl", "radius"] = "reconstruction"


class VAE(ReconstructingScorer):
    """Dense variational autoencoder; deterministic once it is trained."""

    Settings: ClassVar[type[ModelSettings]] = VAESettings
    kind = "vae"
    settings: VAESettings

    def _build(self) -> VariationalAutoencoder:
        s = self.settings
        return VariationalAutoencoder(self.n_inputs, hidden=s.hidden, code=s.code, activations=s.acting())

    def _loss(self) -> Loss:
        beta = self.settings.beta

        def per_event(module: nn.Module, x: Tensor) -> Tensor:
            reconstruction, mean, log_variance = module(x)
            return negative_elbo(x, reconstruction, mean, log_variance, beta)

        return per_event

    def _score(self, x: Inputs) -> Floats:
        if self.settings.score == "reconstruction":
            return super()._score(x)
        sums = np.concatenate(in_blocks(self.network, self._latent_sums, x))
        return sums if self.settings.scale == "mean" else log10_sum(sums)

    def _of_code(self, x: Tensor) -> Tensor:
        mean, log_variance = self.network.posterior(x)
        return mean.square().sum(dim=1) if self.settings.score == "radius" else kl_divergence(mean, log_variance)

    def _latent_sums(self, x: Tensor) -> Floats:
        """Scores of a block of events that look at the code, before their logarithm."""
        mean, log_variance = self.network.posterior(x)
        # In float64: the square of a far outlier overflows float32.
        mean, log_variance = mean.double(), log_variance.double()
        if self.settings.score == "radius":
            return np.asarray(mean.square().sum(dim=1).numpy())
        divergence = np.asarray(kl_divergence(mean, log_variance).numpy())
        return divergence if self.settings.score == "kl" else 0.5 * self._sums(x) + self.settings.beta * divergence

    def _explain(self, x: Inputs) -> Floats | None:
        """What each input adds to ``reconstruction`` or to the first term of ``elbo``.

        A code belongs to no input: ``kl`` and ``radius`` have integrated gradients from zero, the background's mean
        where inputs are standardised, of the score on the scale ``mean``.
        """
        if self.settings.score in ("kl", "radius"):
            return integrated_gradients(self._of_code, x)
        return super()._explain(x) if self.settings.score == "reconstruction" else 0.5 * self._errors(x)
