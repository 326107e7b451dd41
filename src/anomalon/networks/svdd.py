"""Networks without biases that map events close to a point each, Ruff et al. (ICML 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

_SLOPE = 0.1
_COLLAPSED = 1e-4
"""Added to variances: the slope of a square root is infinite at zero."""


class Spheres(nn.Module):
    """One network per dimension of the image, and the point that each aims at.

    Args:
        n_inputs: number of inputs.
        dimensions: of the images.
        hidden: widths of the hidden layers.
        constant: every coordinate of the points.
        learned: whether points are learned; images are then kept from shrinking onto them.

    >>> network = Spheres(3, (2, 5), (8,), constant=1.0, learned=False)
    >>> network(torch.zeros(4, 3)).shape, network.distances(torch.zeros(4, 3)).tolist()[0]
    (torch.Size([4]), [1.0, 1.0])
    """

    def __init__(
        self, n_inputs: int, dimensions: Sequence[int], hidden: Sequence[int], *, constant: float, learned: bool
    ) -> None:
        super().__init__()
        self.learned = learned
        self.maps = nn.ModuleList(_stack([n_inputs, *hidden, dimension]) for dimension in dimensions)
        points = [torch.full((dimension,), constant) for dimension in dimensions]
        self.points = nn.ParameterList(nn.Parameter(point, requires_grad=learned) for point in points)

    def aim(self, points: Sequence[Tensor]) -> None:
        """Set the points."""
        for kept, point in zip(self.points, points, strict=True):
            kept.data = point

    def images(self, x: Tensor) -> list[Tensor]:
        """Images (event, dimension) of inputs (event, input), one per network."""
        return [mapped(x) for mapped in self.maps]

    def distances(self, x: Tensor) -> Tensor:
        """Squared distances from the points over the dimension, (event, network)."""
        pairs = zip(self.images(x), self.points, strict=True)
        return torch.stack([(image.double() - point).square().mean(dim=1) for image, point in pairs], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """Sum of the distances (event,), and what keeps images from shrinking onto learned points."""
        images = self.images(x)
        pairs = zip(images, self.points, strict=True)
        loss = torch.stack([(image - point).square().mean(dim=1) for image, point in pairs]).sum(dim=0)
        if self.learned and len(x) > 1:
            loss = loss + sum((1.0 - (image.var(dim=0) + _COLLAPSED).sqrt()).relu().mean() for image in images)
        return loss


def _stack(widths: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [nn.Linear(n_in, n_out, bias=False), nn.LeakyReLU(_SLOPE)]
    return nn.Sequential(*layers[:-1])
