"""Perceptrons of any depth, with dropout."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from anomalon.networks.dense import activation_layer


class Perceptron(nn.Module):
    """Hidden layers, each linear, then batch normalisation and dropout if wanted, and a linear last layer.

    Weights start as in Glorot, Bengio (2010), uniform, and offsets at zero.

    Args:
        n_inputs: number of inputs.
        hidden: widths of the hidden layers; none makes a linear discriminant.
        n_outputs: number of outputs.
        activation: of the hidden layers.
        dropout: share of each hidden layer's neurons that is switched off in a training step.
        batch_norm: whether hidden layers are normalised over the batch.

    Shapes: (event, input) -> (event, output).

    >>> import torch
    >>> Perceptron(7, hidden=[7, 4, 4])(torch.zeros(2, 7)).shape
    torch.Size([2, 1])
    """

    def __init__(
        self,
        n_inputs: int,
        *,
        hidden: Sequence[int] = (64, 64),
        n_outputs: int = 1,
        activation: str = "silu",
        dropout: float = 0.0,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise([n_inputs, *hidden]):
            layers.append(nn.Linear(n_in, n_out))
            layers += [nn.BatchNorm1d(n_out)] if batch_norm else []
            layers.append(activation_layer(activation))
            layers += [nn.Dropout(dropout)] if dropout else []
        self.layers = nn.Sequential(*layers, nn.Linear([n_inputs, *hidden][-1], n_outputs))
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (event, output) before any last activation."""
        outputs: Tensor = self.layers(x)
        return outputs
