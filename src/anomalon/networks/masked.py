"""A network that predicts the inputs that it is not shown, with their uncertainty."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from anomalon.networks.dense import dense_stack

LARGEST_LOG_VARIANCE = 10.0
LOG_2PI = 1.8378770664093453


class MaskedPredictor(nn.Module):
    """Mean and log variance of every input from those that are shown.

    Args:
        n_inputs: number of inputs.
        hidden: widths of the hidden layers.
        activation: of the hidden layers.

    Shapes: (event, input), (event, input) -> (event, input), minus the log density of each input that is hidden.
    """

    def __init__(self, n_inputs: int, *, hidden: Sequence[int], activation: str) -> None:
        super().__init__()
        widths = [2 * n_inputs, *hidden, 2 * n_inputs]
        self.stack = dense_stack(widths, [activation] * len(hidden) + ["linear"])

    def forward(self, x: Tensor, shown: Tensor) -> Tensor:
        """Minus the Gaussian log density of each input given those that are shown."""
        mean, log_variance = self.stack(torch.cat([x * shown, shown], dim=1)).chunk(2, dim=1)
        log_variance = log_variance.clamp(-LARGEST_LOG_VARIANCE, LARGEST_LOG_VARIANCE)
        pulls = (x.double() - mean).square() * torch.exp(-log_variance.double())
        minus_log: Tensor = 0.5 * (pulls + log_variance + LOG_2PI)
        return minus_log
