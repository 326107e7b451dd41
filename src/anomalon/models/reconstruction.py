"""What scorers that reconstruct their inputs share: settings, training, errors and their scale."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from numba import njit
from pydantic import Field, model_validator
from torch import Tensor, nn

from anomalon.models.contract import Floats, Inputs, ModelSettings
from anomalon.models.network_scorer import NetworkScorer
from anomalon.networks.computing import in_blocks
from anomalon.networks.dense import Activation, Activations
from anomalon.training import TrainingSettings

ErrorName = Literal["mse", "smooth-l1", "mae"]
Scale = Literal["mean", "log10-sum"]

SMALLEST_SUM = 1e-20
"""Floor under the logarithm: far below what float32 tells apart, so that a perfect reconstruction scores -20."""


class ReconstructionSettings(ModelSettings):
    """Shape and training of a network that reconstructs its inputs.

    An activation is a name such as ``tanh``, or ``leaky-relu(0.3)`` with its slope below zero.

    Attributes:
        hidden: widths of the encoder's hidden layers, mirrored by the decoder.
        code: width of the code; below the number of inputs, or the identity is representable.
        activation: of all hidden layers.
        activations: of each hidden layer of the encoder, mirrored by the decoder, in place of ``activation``.
        input_activation: of the inputs as they come, before the first weights.
        output_activation: of the reconstruction.
        scale: of the score: ``mean`` of the error over the inputs, or ``log10-sum``, the decimal logarithm of its sum,
            not below -20. They order events alike. Explanations always add up to the ``mean``.
        training: the training loop.
    """

    hidden: tuple[int, ...] = (64, 32)
    code: int = Field(default=4, ge=1)
    activation: Activation = "silu"
    activations: tuple[Activation, ...] | None = None
    input_activation: Activation = "linear"
    output_activation: Activation = "linear"
    scale: Scale = "mean"
    training: TrainingSettings = TrainingSettings()

    @model_validator(mode="after")
    def _one_seed(self) -> ReconstructionSettings:
        if self.training.seed not in (0, self.seed):
            raise ValueError("training.seed differs from seed: give the detector's own seed only")
        return self

    @model_validator(mode="after")
    def _an_activation_per_layer(self) -> ReconstructionSettings:
        if self.activations is not None and len(self.activations) != len(self.hidden):
            raise ValueError(f"{len(self.activations)} activations for {len(self.hidden)} hidden layers: give as many")
        return self

    def acting(self, code: str = "linear") -> Activations:
        """Which activation acts where."""
        hidden = (self.activation,) * len(self.hidden) if self.activations is None else self.activations
        return Activations(hidden, inputs=self.input_activation, code=code, output=self.output_activation)


class ReconstructingScorer(NetworkScorer):
    """Scorer with a network of ``encode`` and ``decode``; subclasses build it and name its loss."""

    Settings: ClassVar[type[ModelSettings]] = ReconstructionSettings
    settings: ReconstructionSettings

    @property
    def error(self) -> ErrorName:
        """What scores and explanations add up."""
        return "mse"

    def _score(self, x: Inputs) -> Floats:
        sums = np.concatenate(in_blocks(self.network, self._sums, x))
        return sums / self.n_inputs if self.settings.scale == "mean" else log10_sum(sums)

    def _sums(self, x: Tensor) -> Floats:
        """Errors of a block of events, summed over the inputs."""
        return summed_errors(self.error, self._given_back(x), x)

    def _explain(self, x: Inputs) -> Floats | None:
        """Error per input over the number of inputs: the columns add up to the score on the scale ``mean``."""
        return self._errors(x) / self.n_inputs

    def _errors(self, x: Inputs) -> Floats:
        """Errors per input (event, input)."""

        def of_block(block: Tensor) -> Floats:
            return np.asarray(ERRORS[self.error](self._given_back(block).double(), block.double()).numpy())

        return np.concatenate(in_blocks(self.network, of_block, x))

    def _encode(self, x: Inputs) -> Floats:
        codes = in_blocks(self.network, lambda part: self.network.encode(part).double().numpy(), x)
        return np.concatenate(codes or [np.zeros((0, self.settings.code))])

    def _reconstruct(self, x: Inputs) -> Inputs:
        return np.concatenate(in_blocks(self.network, lambda part: self._given_back(part).numpy(), x) or [x])

    def _given_back(self, x: Tensor) -> Tensor:
        given: Tensor = self.network.decode(self.network.encode(x))
        return given


def log10_sum(sums: Floats) -> Floats:
    """Decimal logarithm of non-negative sums (event,), not below that of 1e-20.

    >>> log10_sum(np.array([0.0, 100.0])).tolist()
    [-20.0, 2.0]
    """
    return np.asarray(np.log10(np.maximum(sums, SMALLEST_SUM)))


def summed_errors(error: ErrorName, given: Tensor, x: Tensor) -> Floats:
    """Errors of reconstructions (event, input) summed over the inputs, (event,).

    In float64 throughout: the square of a far outlier overflows float32.
    """
    if error == "mse":
        return np.asarray(_sums_of_squares(given.numpy(), x.numpy()))
    return np.asarray(ERRORS[error](given.double(), x.double()).sum(dim=1).numpy())


# In any order, so that it is vectorised: torch's own float64 sum of float32 takes as long as a small network.
@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _sums_of_squares(given: npt.NDArray[np.float32], x: npt.NDArray[np.float32]) -> Floats:
    sums = np.empty(len(x))
    for event in range(len(x)):
        total = 0.0
        for k in range(x.shape[1]):
            difference = np.float64(given[event, k]) - np.float64(x[event, k])
            total += difference * difference
        sums[event] = total
    return sums


def _squared(a: Tensor, b: Tensor) -> Tensor:
    return nn.functional.mse_loss(a, b, reduction="none")


def _smooth_l1(a: Tensor, b: Tensor) -> Tensor:
    return nn.functional.smooth_l1_loss(a, b, reduction="none")


def _absolute(a: Tensor, b: Tensor) -> Tensor:
    return nn.functional.l1_loss(a, b, reduction="none")


ERRORS = {"mse": _squared, "smooth-l1": _smooth_l1, "mae": _absolute}
"""Errors per input, (event, input)."""
