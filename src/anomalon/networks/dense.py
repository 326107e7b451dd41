"""Networks of dense layers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

Activation = Literal["relu", "leaky-relu", "elu", "selu", "silu", "gelu", "tanh", "linear"]

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky-relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "linear": nn.Identity,
}


class DenseAutoencoder(nn.Module):
    """inputs - hidden - code - reversed hidden - inputs; code and output are linear.

    Each hidden layer is linear, then batch normalisation if wanted, then the activation.

    Args:
        n_inputs: number of inputs.
        hidden: widths of the encoder's hidden layers; the decoder mirrors them.
        code: width of the code.
        activation: of the hidden layers.
        batch_norm: whether hidden layers are normalised over the batch.

    Shapes: (event, input) -> (event, input).

    >>> import torch
    >>> DenseAutoencoder(5, hidden=[64, 32], code=16)(torch.zeros(2, 5)).shape
    torch.Size([2, 5])
    """

    def __init__(
        self,
        n_inputs: int,
        *,
        hidden: Sequence[int] = (64, 32),
        code: int = 4,
        activation: Activation = "silu",
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        widths = [n_inputs, *hidden, code]
        self.encoder = dense_stack(widths, activation=activation, batch_norm=batch_norm)
        self.decoder = dense_stack(widths[::-1], activation=activation, batch_norm=batch_norm)

    def encode(self, x: Tensor) -> Tensor:
        """Code (event, code) of inputs (event, input)."""
        code: Tensor = self.encoder(x)
        return code

    def decode(self, code: Tensor) -> Tensor:
        """Inputs (event, input) reconstructed from a code (event, code)."""
        x: Tensor = self.decoder(code)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct inputs (event, input)."""
        return self.decode(self.encode(x))


def dense_stack(widths: Sequence[int], *, activation: Activation, batch_norm: bool) -> nn.Sequential:
    """Linear layers of the given widths; every one but the last is normalised (if wanted) and activated."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths[:-1]):
        layers.append(nn.Linear(n_in, n_out))
        if batch_norm:
            layers.append(nn.BatchNorm1d(n_out))
        layers.append(_ACTIVATIONS[activation]())
    layers.append(nn.Linear(widths[-2], widths[-1]))
    return nn.Sequential(*layers)
