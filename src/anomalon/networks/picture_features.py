"""Convolutional features of pictures: 3 x 3 filters in blocks, as in VGG, for content and style of a picture.

Simonyan, Zisserman, arXiv:1409.1556, without the dense layers, with the average pooling that Gatys, Ecker and Bethge
prefer (arXiv:1508.06576). Layers are named as they do: ``conv2_1`` is the first of the second block, after its ReLU.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

CHANNELS = 3
"""Red, green, blue."""
_GREY = 0.5
"""Colours, 0 to 1, are seen as differences from it."""
_RARE = 0.01
_TINY = 1e-6


class PictureFeatures(nn.Module):
    """Blocks of convolutions; each block after the first sees the picture at half the size.

    Args:
        widths: filters of the layers of each block.
        depths: layers of each block.

    Shapes: (picture, 3, height, width) -> by layer (picture, filter, height', width').

    >>> features = PictureFeatures((4, 8), (2, 1))
    >>> features.names
    ('conv1_1', 'conv1_2', 'conv2_1')
    >>> features(torch.zeros(1, 3, 24, 20), {"conv2_1"})["conv2_1"].shape
    torch.Size([1, 8, 12, 10])
    """

    def __init__(self, widths: Sequence[int], depths: Sequence[int]) -> None:
        super().__init__()
        n_out = [width for width, depth in zip(widths, depths, strict=True) for _ in range(depth)]
        n_in = [CHANNELS, *n_out[:-1]]
        self.names = layer_names(depths)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in zip(n_in, n_out, strict=True))
        for layer in self.filters:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        self._last_of_block = {self.names[n - 1] for n in accumulate(depths)}

    @property
    def filters(self) -> list[nn.Conv2d]:
        """The convolutions, in order."""
        return [layer for layer in self.layers if isinstance(layer, nn.Conv2d)]

    def forward(self, pictures: Tensor, wanted: Collection[str]) -> dict[str, Tensor]:
        """Features of the wanted layers; nothing is computed beyond the last of them."""
        found: dict[str, Tensor] = {}
        x = pictures - _GREY
        for name, layer in zip(self.names, self.filters, strict=True):
            x = torch.relu(layer(x))
            if name in wanted:
                found[name] = x
            if len(found) == len(wanted):
                break
            if name in self._last_of_block:
                x = nn.functional.avg_pool2d(x, 2)
        return found

    @torch.no_grad()
    def spread(self, pictures: Tensor) -> None:
        """Give every filter zero mean and unit width over the pictures before its ReLU, so that it acts half the time.

        Random filters of non-negative inputs hardly act at all, or always. Data-dependent initialisation of Salimans
        and Kingma, arXiv:1602.07868, section 3.
        """

        def zero_mean_unit_width(layer: nn.Conv2d, x: Tensor) -> None:
            before = layer(x)
            mean, width = before.mean(dim=(0, 2, 3)), before.std(dim=(0, 2, 3)).clamp_min(_TINY)
            _rescaled(layer, 1.0 / width, shift=-mean)

        self._one_by_one(pictures, zero_mean_unit_width)

    @torch.no_grad()
    def normalise(self, pictures: Tensor) -> None:
        """Scale the filters so that the mean activation of each over the pictures is 1, as Gatys does.

        The scale is taken out again in front of the next layer, so that the network computes the same but for these
        factors. Filters that act in less than a hundredth of the places stay as they are: they would drown the others.
        """
        before = torch.ones(CHANNELS)

        def unit_mean(layer: nn.Conv2d, x: Tensor) -> None:
            nonlocal before
            layer.weight.mul_(before[None, :, None, None])
            acting = torch.relu(layer(x))
            rare = (acting > 0).float().mean(dim=(0, 2, 3)) < _RARE
            before = torch.where(rare, 1.0, acting.mean(dim=(0, 2, 3)))
            _rescaled(layer, 1.0 / before)

        self._one_by_one(pictures, unit_mean)

    def _one_by_one(self, pictures: Tensor, change: Callable[[nn.Conv2d, Tensor], None]) -> None:
        """Change each layer, given its inputs, which are those of the layers changed before."""
        x = pictures - _GREY
        for name, layer in zip(self.names, self.filters, strict=True):
            change(layer, x)
            x = torch.relu(layer(x))
            if name in self._last_of_block:
                x = nn.functional.avg_pool2d(x, 2)


def _rescaled(layer: nn.Conv2d, scale: Tensor, shift: Tensor | float = 0.0) -> None:
    layer.weight.mul_(scale[:, None, None, None])
    if layer.bias is not None:
        layer.bias.add_(shift).mul_(scale)


class PictureClassifier(nn.Module):
    """Features, their means over the picture, and log odds of one of two kinds of pictures.

    Shapes: (picture, 3, height, width) -> (picture,).
    """

    def __init__(self, features: PictureFeatures) -> None:
        super().__init__()
        self.features = features
        self.head = nn.Linear(features.filters[-1].out_channels, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Log odds of the second kind."""
        last = self.features.names[-1]
        odds: Tensor = self.head(self.features(pictures, {last})[last].mean(dim=(2, 3)))
        return odds[:, 0]


def layer_names(depths: Sequence[int]) -> tuple[str, ...]:
    """Names of the layers of blocks of so many layers.

    >>> layer_names((1, 2))
    ('conv1_1', 'conv2_1', 'conv2_2')
    """
    return tuple(f"conv{block}_{layer}" for block, depth in enumerate(depths, 1) for layer in range(1, depth + 1))
