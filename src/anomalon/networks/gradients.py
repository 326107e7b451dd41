"""Integrated gradients: what each input adds to a score that has no terms of its own, arXiv:1703.01365."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

STEPS = 48
ROWS = 2048
"""Events at a time: explanations are wanted of few."""


def integrated_gradients(score: Callable[[Tensor], Tensor], x: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Integral of the gradient along the straight line from zero to x, times x: (event, input).

    Zero is the mean of standardised inputs. The columns add up to score(x) - score(0), but for the width of the steps.

    Args:
        score: differentiable, (event, input) -> (event,).
        x: inputs, (event, input).

    >>> integrated_gradients(lambda x: x.square().sum(dim=1), np.array([[1.0, 2.0]], np.float32)).round(3).tolist()
    [[1.0, 4.0]]
    """
    parts = [_of_rows(score, torch.from_numpy(x[start : start + ROWS])) for start in range(0, len(x), ROWS)]
    return np.concatenate([*parts, np.zeros((0, x.shape[1]))])


def _of_rows(score: Callable[[Tensor], Tensor], x: Tensor) -> npt.NDArray[np.float64]:
    total = torch.zeros(x.shape, dtype=torch.float64)
    for step in range(STEPS):
        at = (x * ((step + 0.5) / STEPS)).requires_grad_()
        total += torch.autograd.grad(score(at).sum(), at)[0].double()
    return np.asarray((total / STEPS * x).numpy())
