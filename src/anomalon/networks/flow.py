"""A normalising flow whose conditionals can be read off: one order of the inputs for all of its transforms.

Masked autoregressive flows (Papamakarios et al., arXiv:1705.07057), affine or with monotone rational-quadratic splines
(Durkan et al., arXiv:1906.04032), from zuko. Flows usually reverse the order from transform to transform; here every
transform has the same one, so that log p(x) is a sum of log p(x_j | x_1 ... x_(j-1)), term by term. A missing input has
no term: the others are conditioned on that it is missing.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

LOG_2PI = 1.8378770664093453


class ConditionalFlow(nn.Module):
    """Autoregressive flow of inputs, given which of them are present.

    Args:
        n_inputs: number of inputs.
        transforms: number of transforms.
        hidden: widths of the hidden layers of each.
        bins: of the splines; 0 makes affine transforms.

    Shapes: (event, input), (event, input) -> (event, input).

    >>> flow = ConditionalFlow(3, transforms=2, hidden=(8,), bins=0)
    >>> flow(torch.zeros(5, 3), torch.ones(5, 3)).shape
    torch.Size([5, 3])
    """

    def __init__(self, n_inputs: int, *, transforms: int, hidden: tuple[int, ...], bins: int) -> None:
        super().__init__()
        from zuko.flows import MaskedAutoregressiveTransform  # noqa: PLC0415 - only flows need it

        self.transforms = nn.ModuleList(
            MaskedAutoregressiveTransform(
                n_inputs, n_inputs, hidden_features=hidden, activation=nn.SiLU, **(_spline(bins) if bins else {})
            )
            for _ in range(transforms)
        )

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """Log density (event, input) of each input given those before it; 0 where it is missing. In float64."""
        z, terms = x, torch.zeros_like(x)
        for transform in self.transforms:
            layer: Any = transform
            # of one input alone zuko makes an element-wise transform; both sum the terms, which are wanted one by one
            made = layer.meta(present, z) if hasattr(layer, "meta") else layer(present)
            z, stretched = made.base.call_and_ladj(z)
            z, terms = z * present, terms + stretched
        return (terms.double() - 0.5 * (z.double().square() + LOG_2PI)) * present


def _spline(bins: int) -> dict[str, Any]:
    from zuko.transforms import MonotonicRQSTransform  # noqa: PLC0415

    return {"univariate": MonotonicRQSTransform, "shapes": [(bins,), (bins,), (bins - 1,)]}
