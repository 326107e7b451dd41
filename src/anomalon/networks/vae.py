"""The variational autoencoder: a code with a width, Kingma and Welling, arXiv:1312.6114."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from anomalon.networks.dense import Activations, dense_stack, input_activation

LARGEST_LOG_VARIANCE = 20.0
"""Bound of |log variance|: above 88 its exponential overflows float32, and events far outside the training sample get
there. Trained networks stay far within variances of 2e-9 to 5e8, so no gradient is cut on the way."""


class VariationalAutoencoder(nn.Module):
    """inputs - hidden - (mean, log variance) - sampled code - reversed hidden - inputs.

    The forward pass draws the code, z = mean + sqrt(variance) * noise, for what training minimises is an expectation: a
    validation loss at the mean would reward an encoder that ignores its own noise, and stop the training at once. In
    evaluation mode the noise is always the same, so that the losses of two epochs can be compared. What is scored is
    ``decode(encode(x))``, with the mean as the code and no noise at all.

    Args:
        n_inputs: number of inputs.
        hidden: widths of the encoder's hidden layers; the decoder mirrors them.
        code: width of the code.
        activations: which activation acts where; mean and log variance are linear, whatever ``activations.code`` says.

    Shapes: (event, input) -> (event, input), (event, code), (event, code).

    >>> network = VariationalAutoencoder(5, hidden=[8], code=2, activations=Activations(("tanh",)))
    >>> [tuple(part.shape) for part in network(torch.zeros(3, 5))]
    [(3, 5), (3, 2), (3, 2)]
    """

    def __init__(self, n_inputs: int, *, hidden: Sequence[int], code: int, activations: Activations) -> None:
        super().__init__()
        widths = [n_inputs, *hidden]
        self.encoder = nn.Sequential(
            *input_activation(activations.inputs), *_every_one_activated(widths, activations.hidden)
        )
        self.mean = nn.Linear(widths[-1], code)
        self.log_variance = nn.Linear(widths[-1], code)
        self.decoder = dense_stack([code, *widths[::-1]], (*activations.hidden[::-1], activations.output))

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance (event, code) of the code of inputs (event, input)."""
        h = self.encoder(x)
        bound = LARGEST_LOG_VARIANCE
        return self.mean(h), self.log_variance(h).clamp(-bound, bound)

    def encode(self, x: Tensor) -> Tensor:
        """Mean of the code (event, code) of inputs (event, input)."""
        mean: Tensor = self.mean(self.encoder(x))
        return mean

    def decode(self, code: Tensor) -> Tensor:
        """Inputs (event, input) reconstructed from a code (event, code)."""
        x: Tensor = self.decoder(code)
        return x

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruction (event, input), mean and log variance (event, code)."""
        mean, log_variance = self.posterior(x)
        z = mean + (0.5 * log_variance).exp() * self._noise(mean)
        return self.decode(z), mean, log_variance

    def _noise(self, like: Tensor) -> Tensor:
        generator = None if self.training else torch.Generator(like.device).manual_seed(0)
        return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=like.device)


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence (event,) of N(mean, variance) from N(0, 1), arXiv:1312.6114 appendix B.

    -1/2 sum(1 + log variance - mean^2 - variance) over the code, written so that it does not cancel near zero.

    >>> kl_divergence(torch.tensor([[1.0, 2.0]]), torch.zeros(1, 2))
    tensor([2.5000])
    """
    return 0.5 * (mean.square() + torch.expm1(log_variance) - log_variance).sum(dim=1)


def negative_elbo(x: Tensor, reconstruction: Tensor, mean: Tensor, log_variance: Tensor, beta: float) -> Tensor:
    """1/2 sum (x - reconstruction)^2 over inputs + beta KL, (event,): arXiv:1312.6114 equation 10, without constants.

    The likelihood is a Gaussian of unit variance around the reconstruction (event, input).

    >>> one = torch.ones(1, 2)
    >>> negative_elbo(2 * one, one, one, 0 * one, beta=0.5)
    tensor([1.5000])
    """
    return 0.5 * (x - reconstruction).square().sum(dim=1) + beta * kl_divergence(mean, log_variance)


def _every_one_activated(widths: Sequence[int], activations: Sequence[str]) -> nn.Sequential | tuple[()]:
    return dense_stack(widths, activations) if activations else ()
