"""Dense networks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from anomalon.networks.dense import DenseAutoencoder

ACTIVATIONS = ["relu", "leaky-relu", "elu", "selu", "silu", "gelu", "tanh", "linear"]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("hidden", [(), (8,), (16, 8)])
def test_finite_gradients_reach_every_parameter(activation: str, batch_norm: bool, hidden: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    network = DenseAutoencoder(5, hidden=hidden, code=3, activation=activation, batch_norm=batch_norm)  # type: ignore[arg-type]
    x = torch.randn(64, 5)
    ((network(x) - x) ** 2).mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        # Batch normalisation takes out the bias before it, up to rounding.
        if not (batch_norm and name.endswith("bias")):
            assert parameter.grad.abs().sum() > 0, name


def test_the_decoder_mirrors_the_encoder() -> None:
    network = DenseAutoencoder(5, hidden=[64, 32], code=16, activation="selu", batch_norm=True)
    widths = [(m.in_features, m.out_features) for m in network.modules() if isinstance(m, nn.Linear)]
    assert widths == [(5, 64), (64, 32), (32, 16), (16, 32), (32, 64), (64, 5)]
    kinds = [type(m).__name__ for m in network.encoder]
    assert kinds == ["Linear", "BatchNorm1d", "SELU"] * 2 + ["Linear"]


def test_code_and_reconstruction_have_their_shapes() -> None:
    network, x = DenseAutoencoder(5, hidden=[8], code=2), torch.zeros(7, 5)
    assert network.encode(x).shape == (7, 2)
    assert network(x).shape == x.shape
    assert torch.equal(network(x), network.decode(network.encode(x)))
