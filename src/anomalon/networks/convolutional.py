"""Convolutional networks of pictures in (eta, phi): what leaves one end of phi comes in at the other."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import Tensor, nn

from anomalon.networks.dense import Activations, Autoencoder, activation_layer, input_activation


class RoundConvolution(nn.Module):
    """A 3 x 3 convolution that keeps the size: phi goes round, beyond the ends of eta there is nothing.

    Shapes: (event, n_in, eta, phi) -> (event, n_out, eta, phi).
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.filters = nn.Conv2d(n_in, n_out, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve."""
        round_phi = nn.functional.pad(x, (1, 1, 0, 0), mode="circular")
        found: Tensor = self.filters(nn.functional.pad(round_phi, (0, 0, 1, 1)))
        return found


class ConvolutionalAutoencoder(Autoencoder):
    """Pictures - convolutions, each at half the size of the one before - dense code - the same backwards.

    A side that cannot be halved keeps its size. Turning an event by a multiple of all halvings turns the features of
    the last convolution and nothing else; the dense code then sees where things are.

    Args:
        shape: pictures, rows of eta, columns of phi.
        filters: of the encoder's convolutions; the decoder mirrors them.
        code: width of the code.
        activations: which one acts where.

    Shapes: (event, picture x eta x phi) -> (event, picture x eta x phi).

    >>> import torch
    >>> network = ConvolutionalAutoencoder((2, 12, 16), filters=[8, 16], code=5, activations=Activations(("relu",) * 2))
    >>> network.encode(torch.zeros(3, 2 * 12 * 16)).shape, network(torch.zeros(3, 2 * 12 * 16)).shape
    (torch.Size([3, 5]), torch.Size([3, 384]))
    """

    def __init__(
        self, shape: tuple[int, int, int], *, filters: Sequence[int], code: int, activations: Activations
    ) -> None:
        super().__init__()
        sizes = [(shape[1], shape[2])]
        for _ in filters:
            sizes.append(_halved(sizes[-1]))
        widths = [shape[0], *filters]
        n_last = widths[-1] * prod(sizes[-1])
        down: list[nn.Module] = [*input_activation(activations.inputs), nn.Unflatten(1, shape)]
        up: list[nn.Module] = [nn.Linear(code, n_last), nn.Unflatten(1, (widths[-1], *sizes[-1]))]
        for k, acting in enumerate(activations.hidden):
            down += [RoundConvolution(widths[k], widths[k + 1]), activation_layer(acting)]
            down += [nn.AvgPool2d(_ratio(sizes[k], sizes[k + 1]))]
        for k, acting in reversed([*enumerate(activations.hidden)]):
            up += [activation_layer(acting), nn.Upsample(size=sizes[k])]
            up += [RoundConvolution(widths[k + 1], widths[k])]
        self.encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(n_last, code), activation_layer(activations.code))
        self.decoder = nn.Sequential(*up, activation_layer(activations.output), nn.Flatten())


def _halved(size: tuple[int, int]) -> tuple[int, int]:
    """Half of each side that is even."""
    eta, phi = (side // 2 if side % 2 == 0 else side for side in size)
    return eta, phi


def _ratio(before: tuple[int, int], after: tuple[int, int]) -> tuple[int, int]:
    return before[0] // after[0], before[1] // after[1]
