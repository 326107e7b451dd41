"""A beta-VAE of whole events: flattened and padded, given the numbers of objects.

The encoder sees an event and its numbers of objects, the decoder a code and the same numbers. Each object is pT, mass
and eta as normal numbers, and cos and sin of phi; slots without an object do not count. The beta that weighs the
divergence is the variance of the Gaussian around what the decoder gives (arXiv:1312.6114; Higgins et al., ICLR 2017):
events are drawn with that noise, unless they are asked to be without it.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from anomalon.generation.encoding import Shape
from anomalon.generation.flatten import EventArrays
from anomalon.generation.neural import (
    NORMAL,
    SLOT_PHI,
    NeuralGenerator,
    NeuralSettings,
    Rows,
    decided,
    filled,
    first_filled,
)  # fmt: skip
from anomalon.generation.noise import normal_noise
from anomalon.generation.records import Asked, GeneratorSettings
from anomalon.networks.dense import dense_stack
from anomalon.networks.vae import LARGEST_LOG_VARIANCE, kl_divergence
from anomalon.training import TrainingSettings

PER_OBJECT = 5
"""pT, mass, eta as normal numbers, cos phi, sin phi."""


class VAESettings(NeuralSettings):
    """Shape and training of the beta-VAE.

    Attributes:
        hidden: widths of the encoder's hidden layers; the decoder mirrors them.
        code: numbers of the code.
        beta: weight of the divergence beside half the summed squared error; the variance of the decoder's noise.
        decoder_noise: draw events with that noise.
        training: the training loop.
    """

    hidden: tuple[int, ...] = Field(default=(256, 256), min_length=1)
    code: int = Field(default=24, ge=1)
    beta: float = Field(default=0.1, gt=0)
    decoder_noise: bool = True
    training: TrainingSettings = TrainingSettings(
        epochs=120, batch_size=512, learning_rate=1e-3, schedule="cosine", patience=120, gradient_clip=10.0
    )


class EventVAE(nn.Module):
    """Encoded events to reconstruction, mean and log variance of the code.

    Args:
        shape: slots and context.
        hidden: widths of the encoder.
        code: width of the code.
    """

    decided: Tensor

    def __init__(self, shape: Shape, hidden: tuple[int, ...], code: int) -> None:
        super().__init__()
        self.shape = shape
        n_given, n = shape.n_slots + 1 + shape.n_context, PER_OBJECT * (shape.n_slots + 1)
        widths = [n + n_given, *hidden]
        self.encoder = dense_stack([*widths, 2 * code], ["silu"] * len(hidden) + ["linear"])
        self.decoder = dense_stack([code + n_given, *hidden[::-1], n], ["silu"] * len(hidden) + ["linear"])
        known = torch.from_numpy(decided(shape))
        self.register_buffer("decided", torch.cat([known, torch.ones(len(known), 2, dtype=torch.bool)], 1), False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Squared error of the event, and mean and log variance of the code."""
        rows = Rows(x, self.shape)
        if self.training:
            rows.mirrored()
        phi = rows.slots[..., SLOT_PHI, None]
        values = torch.cat([rows.slots[..., NORMAL:], phi.cos(), phi.sin()], 2)
        mask = rows.there[..., None] & self.decided
        values = torch.where(mask, values, 0.0)
        given = torch.cat([rows.there.to(x), rows.context], 1)
        mean, log_variance = self.encoder(torch.cat([values.flatten(1), given], 1)).chunk(2, 1)
        log_variance = log_variance.clamp(-LARGEST_LOG_VARIANCE, LARGEST_LOG_VARIANCE)
        made = self.decode(mean + (0.5 * log_variance).exp() * self._noise(mean), given)
        return ((made - values).square() * mask).sum((1, 2)), mean, log_variance, made

    def decode(self, code: Tensor, given: Tensor) -> Tensor:
        """Objects (event, slot + 1, number) from codes and numbers of objects."""
        made: Tensor = self.decoder(torch.cat([code, given], 1))
        return made.view(len(code), self.shape.n_slots + 1, PER_OBJECT)

    def _noise(self, like: Tensor) -> Tensor:
        generator = None if self.training else torch.Generator(like.device).manual_seed(0)
        return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=like.device)


class BetaVAE(NeuralGenerator):
    """Draws a code, and decodes it to a whole event at once."""

    Settings: ClassVar[type[GeneratorSettings]] = VAESettings
    kind = "beta-vae"
    settings: VAESettings

    def _build(self) -> nn.Module:
        return EventVAE(self.encoder.shape, self.settings.hidden, self.settings.code)

    def _loss(self, network: nn.Module, x: Tensor) -> Tensor:
        squared, mean, log_variance, _ = network(x)
        loss: Tensor = 0.5 * squared + self.settings.beta * kl_divergence(mean, log_variance)
        return loss

    def _block(self, asked: Asked) -> EventArrays:
        n_code, n_slots = self.settings.code, self.encoder.shape.n_slots + 1
        noise = normal_noise(asked.keys, n_code + n_slots * PER_OBJECT)
        there = filled(torch.from_numpy(asked.counts).double(), self.encoder.shape).double()
        given = torch.cat([there, torch.from_numpy(asked.context).double()], 1)
        made: Any = self.exact.decode(torch.from_numpy(noise[:, :n_code]), given).numpy()
        if self.settings.decoder_noise:
            made = made + np.sqrt(self.settings.beta) * noise[:, n_code:].reshape(made.shape)
        phi = np.arctan2(made[..., 4], made[..., 3])
        phi[np.arange(len(asked)), first_filled(asked.counts, self.encoder.shape)] = 0.0
        return self.decoder.whole(made[..., :3], phi, asked)
