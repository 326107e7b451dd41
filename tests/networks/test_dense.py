"""Dense networks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from anomalon.errors import ConfigError
from anomalon.networks.dense import Activations, DenseAutoencoder, activation_layer

ACTIVATIONS = [
    "relu", "leaky-relu", "leaky-relu(0.3)", "elu", "elu(0.5)", "selu", "silu", "gelu", "tanh", "sigmoid", "linear",
]  # fmt: skip


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("hidden", [(), (8,), (16, 8)])
def test_finite_gradients_reach_every_parameter(activation: str, batch_norm: bool, hidden: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    network = DenseAutoencoder(5, hidden=hidden, code=3, activation=activation, batch_norm=batch_norm)
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


def test_each_layer_has_its_own_activation_and_the_decoder_mirrors_them() -> None:
    acting = Activations(("tanh", "relu"), inputs="sigmoid", code="elu", output="leaky-relu(0.3)")
    network = DenseAutoencoder(5, hidden=[4, 3], code=2, activation=acting)
    kinds = [[type(m).__name__ for m in part if not isinstance(m, nn.Linear)] for part in network.children()]
    assert kinds == [["Sigmoid", "Tanh", "ReLU", "ELU"], ["ReLU", "Tanh", "LeakyReLU"]]
    assert network.decoder[-1].negative_slope == 0.3


@pytest.mark.parametrize("inputs", ["relu", "leaky-relu(0.3)", "tanh"])
def test_activated_inputs_leave_the_callers_array_alone(inputs: str) -> None:
    x = torch.tensor([[-1.0, 2.0]])
    DenseAutoencoder(2, hidden=[], code=1, activation=Activations((), inputs=inputs))(x)
    assert x.tolist() == [[-1.0, 2.0]]


def test_weights_of_linear_ends_have_the_names_they_always_had() -> None:
    names = [*DenseAutoencoder(5, hidden=[4], code=2, batch_norm=True).state_dict()]
    assert [n for n in names if n.startswith("encoder") and n.endswith("weight")] == [
        "encoder.0.weight", "encoder.1.weight", "encoder.3.weight",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("tahn", "no activation 'tahn'; did you mean 'tanh'"),
        ("leaky-relu(-1)", r"no activation 'leaky-relu\(-1\)'"),
        ("tanh(2)", "tanh has no parameter, only leaky-relu, elu have one"),
    ],
)
def test_an_unknown_activation_is_refused(written: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        activation_layer(written)
