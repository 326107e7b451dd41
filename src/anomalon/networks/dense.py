"""Networks of dense layers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator
from torch import Tensor, nn

from anomalon.errors import ConfigError, suggest

# In place where the derivative follows from the result: the same numbers with less memory to move.
_ACTIVATIONS: dict[str, Callable[..., nn.Module]] = {
    "relu": partial(nn.ReLU, inplace=True),
    "leaky-relu": partial(nn.LeakyReLU, inplace=True),
    "elu": nn.ELU,
    "selu": nn.SELU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "linear": nn.Identity,
}
_PARAMETERS = {"leaky-relu": "negative_slope", "elu": "alpha"}
_WRITTEN = re.compile(r"(?P<name>[a-z-]+)(\((?P<parameter>\d+(\.\d+)?)\))?")


def activation_layer(written: str) -> nn.Module:
    """Make an activation from its name: ``tanh``, or with its parameter, ``leaky-relu(0.3)`` (slope below zero).

    Raises:
        ConfigError: there is no such activation, or it has no parameter.

    >>> activation_layer("leaky-relu(0.3)")
    LeakyReLU(negative_slope=0.3, inplace=True)
    """
    match = _WRITTEN.fullmatch(written)
    name = match["name"] if match else written
    if match is None or name not in _ACTIVATIONS:
        raise ConfigError(f"no activation '{written}'; {suggest(name, _ACTIVATIONS)}")
    if match["parameter"] is None:
        return _ACTIVATIONS[name]()
    if name not in _PARAMETERS:
        raise ConfigError(f"activation '{written}': {name} has no parameter, only {', '.join(_PARAMETERS)} have one")
    return _ACTIVATIONS[name](**{_PARAMETERS[name]: float(match["parameter"])})


def _known(written: str) -> str:
    activation_layer(written)
    return written


Activation = Annotated[str, AfterValidator(_known)]
"""Name of an activation, with its parameter in brackets where it has one: see :func:`activation_layer`."""


@dataclass(frozen=True)
class Activations:
    """Which activation acts where in an autoencoder.

    Attributes:
        hidden: after each hidden layer of the encoder; the decoder mirrors them.
        inputs: on the inputs themselves, before the first weights.
        code: after the code's layer.
        output: after the last layer.
    """

    hidden: tuple[str, ...]
    inputs: str = "linear"
    code: str = "linear"
    output: str = "linear"


class Autoencoder(nn.Module):
    """What autoencoders share; subclasses make ``encoder`` and ``decoder``."""

    encoder: nn.Module
    decoder: nn.Module

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


class DenseAutoencoder(Autoencoder):
    """inputs - hidden - code - reversed hidden - inputs; code and output are linear unless told otherwise.

    Each hidden layer is linear, then batch normalisation if wanted, then the activation.

    Args:
        n_inputs: number of inputs.
        hidden: widths of the encoder's hidden layers; the decoder mirrors them.
        code: width of the code.
        activation: of all hidden layers, or which one acts where.
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
        activation: str | Activations = "silu",
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        act = activation if isinstance(activation, Activations) else Activations((activation,) * len(hidden))
        widths = [n_inputs, *hidden, code]
        self.encoder = nn.Sequential(
            *input_activation(act.inputs), *dense_stack(widths, (*act.hidden, act.code), batch_norm=batch_norm)
        )
        self.decoder = dense_stack(widths[::-1], (*act.hidden[::-1], act.output), batch_norm=batch_norm)


def dense_stack(widths: Sequence[int], activations: Sequence[str], *, batch_norm: bool = False) -> nn.Sequential:
    """Linear layers of the given widths, each with its activation; all but the last are normalised if wanted."""
    layers: list[nn.Module] = []
    last = len(widths) - 2
    for k, ((n_in, n_out), activation) in enumerate(zip(pairwise(widths), activations, strict=True)):
        layers.append(nn.Linear(n_in, n_out))
        if batch_norm and k < last:
            layers.append(nn.BatchNorm1d(n_out))
        if k < last or activation != "linear":
            layers.append(activation_layer(activation))
    return nn.Sequential(*layers)


def input_activation(written: str) -> list[nn.Module]:
    """Activation of the inputs as they come, which leaves the caller's array alone; nothing where it is linear."""
    if written == "linear":
        return []
    layer = activation_layer(written)
    if isinstance(layer, (nn.ReLU, nn.LeakyReLU)):
        layer.inplace = False
    return [layer]
