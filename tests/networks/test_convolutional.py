"""Convolutional networks of pictures: phi goes round, eta does not."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from anomalon.networks.convolutional import ConvolutionalAutoencoder, RoundConvolution
from anomalon.networks.dense import Activations


@pytest.mark.parametrize("turn", [1, 3, 7])
def test_a_convolution_of_a_turned_picture_is_the_convolution_turned(turn: int) -> None:
    torch.manual_seed(1)
    layer, x = RoundConvolution(2, 3), torch.randn(4, 2, 5, 8)
    torch.testing.assert_close(layer(x.roll(turn, dims=3)), layer(x).roll(turn, dims=3))


def test_eta_has_ends() -> None:
    torch.manual_seed(1)
    layer, x = RoundConvolution(1, 1), torch.zeros(1, 1, 6, 6)
    x[0, 0, 0, 3] = 1.0
    change = (layer(x) - layer(torch.zeros_like(x)))[0, 0]
    assert change[:2].abs().sum() > 0
    assert change[2:].abs().max() == 0


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 3), (2, 12, 16), (3, 5, 6)])
@pytest.mark.parametrize("filters", [(4,), (4, 6, 8)])
def test_reconstructions_have_the_shape_of_the_inputs(shape: tuple[int, int, int], filters: tuple[int, ...]) -> None:
    acting = Activations(("silu",) * len(filters), inputs="tanh", code="tanh", output="sigmoid")
    network = ConvolutionalAutoencoder(shape, filters=filters, code=3, activations=acting)
    x = torch.randn(5, shape[0] * shape[1] * shape[2])
    assert network.encode(x).shape == (5, 3)
    assert network(x).shape == x.shape
    assert network(x).min() >= 0
    assert network(x).max() <= 1


def test_finite_gradients_reach_every_parameter() -> None:
    torch.manual_seed(0)
    network = ConvolutionalAutoencoder((2, 4, 8), filters=(4, 8), code=3, activations=Activations(("silu", "silu")))
    x = torch.randn(16, 64)
    ((network(x) - x) ** 2).mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_each_convolution_sees_half_of_every_even_side() -> None:
    acting = Activations(("relu", "relu"))
    network = ConvolutionalAutoencoder((1, 6, 8), filters=(2, 4), code=3, activations=acting)
    assert [m.in_features for m in network.encoder.modules() if isinstance(m, nn.Linear)] == [4 * 3 * 2]
