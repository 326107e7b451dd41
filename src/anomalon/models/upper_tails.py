"""One-sided scores: new heavy physics lives in the upper tails of what grows with energy.

Every input gets its background survival probability p, with a tail that goes on beyond the last event
(:mod:`anomalon.models.calibration`); u = -log p is exponential on background. The u are combined:

- ``fisher``: their sum, half of Fisher's statistic, as if inputs were independent.
- ``brown``: -log of the probability of that sum with the covariance of the u (Brown, Biometrics 31 (1975) 987): the sum
  is a scaled chi-squared. It orders events as ``fisher`` does; its values mean something for correlated inputs, too.
- ``decorrelated``: the sum with the weights of least variance, inverse covariance times one, none below zero: inputs
  that say the same share their weight.
- ``joint``: -log of the probability that background is at least as extreme in all inputs at once. It is the mean over
  background events of exp(-sum over inputs max(0, u - u_background) / width), which goes on beyond the last event.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numba import njit
from pydantic import Field
from safetensors.numpy import load_file, save_file
from scipy.optimize import nnls
from scipy.stats import chi2

from anomalon.batches import Batches, gather, resample
from anomalon.errors import ModelFileError
from anomalon.models.calibration import Calibration
from anomalon.models.contract import Floats, Inputs, ModelSettings, Scorer
from anomalon.training import TrainingRun

ARRAYS = "arrays.safetensors"


class UpperTailsSettings(ModelSettings):
    """How survival probabilities are combined.

    Attributes:
        combine: ``fisher``, ``brown``, ``decorrelated`` or ``joint``, see above.
        width: of ``joint``, in units of u.
        events: number of background events that ``joint`` compares with: half of them the most extreme ones, the others
            drawn from the rest.
    """

    combine: Literal["fisher", "brown", "decorrelated", "joint"] = "joint"
    width: float = Field(default=0.3, gt=0)
    events: int = Field(default=4000, ge=20)


class UpperTails(Scorer):
    """Survival probabilities of the inputs, combined; the score grows with every input."""

    Settings: ClassVar[type[ModelSettings]] = UpperTailsSettings
    kind = "upper-tails"
    settings: UpperTailsSettings

    def _fit(self, batches: Batches, validation: Batches | None, run: TrainingRun | None) -> None:  # noqa: ARG002
        values, weights = gather(batches)
        self.tails = [Calibration.of(column, weights) for column in values.T]
        u = self._levels(values)
        self.covariance = np.atleast_2d(np.cov(u.T, aweights=np.abs(weights)))
        self.background, self.shares = _thinned(u, np.abs(weights), self.settings)

    def _levels(self, x: Inputs) -> Floats:
        """-log p of every input, (event, input)."""
        return np.stack([tail.minus_log_p_of(column) for tail, column in zip(self.tails, x.T, strict=True)], axis=1)

    def _score(self, x: Inputs) -> Floats:
        u = self._levels(x)
        match self.settings.combine:
            case "joint":
                return np.asarray(_joint(u, self.background, self.shares, self.settings.width))
            case "decorrelated":
                return np.asarray((self._weights * u).sum(axis=1))
            case "brown":
                return self._brown(u.sum(axis=1))
        return np.asarray(u.sum(axis=1))

    def _brown(self, sums: Floats) -> Floats:
        """-log of the probability of a scaled chi-squared with the mean and variance of Fisher's statistic."""
        mean, variance = 2.0 * len(self.tails), 4.0 * float(self.covariance.sum())
        scale, freedom = variance / (2.0 * mean), 2.0 * mean**2 / variance
        return np.asarray(-chi2.logsf(2.0 * sums / scale, freedom))

    @property
    def _weights(self) -> Floats:
        """Weights of least variance with sum 1, none below zero: non-negative least squares of C w = 1."""
        found = np.asarray(nnls(self.covariance, np.ones(len(self.tails)))[0])
        return np.asarray(found / found.sum())

    def _explain(self, x: Inputs) -> Floats:
        """-log p of every input, times its weight where ``decorrelated``."""
        u = self._levels(x)
        return u * self._weights if self.settings.combine == "decorrelated" else u

    def _save(self, folder: Path) -> dict[str, Any]:
        arrays = {"background": self.background, "shares": self.shares, "covariance": self.covariance}
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / ARRAYS)
        return {"tails": [tail.to_dict() for tail in self.tails]}

    def _load(self, folder: Path, state: dict[str, Any]) -> None:
        self.tails = [Calibration.parse(tail) for tail in state["tails"]]
        arrays = load_file(folder / ARRAYS)
        self.background, self.shares, self.covariance = (arrays[n] for n in ("background", "shares", "covariance"))
        if self.background.shape[1:] != (len(self.tails),):
            raise ModelFileError(
                f"{folder / ARRAYS}: {self.background.shape} do not belong to {len(self.tails)} inputs"
            )


def _thinned(u: Floats, weights: Floats, settings: UpperTailsSettings) -> tuple[Floats, Floats]:
    """Background to compare with (event, input), and what share of the whole each stands for.

    What decides on the score of an extreme event are the few others like it: all of those are kept.
    """
    present = np.flatnonzero(weights > 0)
    ascending = present[np.argsort(u[present].sum(axis=1), kind="stable")]
    half = settings.events // 2
    bulk, top = ascending[:-half], ascending[-half:]
    drawn = bulk[resample(weights[bulk], settings.seed)][:: max(-(-len(bulk) // half), 1)] if len(bulk) else bulk
    shares = np.r_[np.full(len(drawn), weights[bulk].sum() / max(len(drawn), 1)), weights[top]]
    return u[np.r_[drawn, top]], shares / shares.sum()


@njit(cache=True, nogil=True)
def _joint(u: Floats, background: Floats, shares: Floats, width: float) -> Floats:
    """-log of the sum over the background of share times kernel, without underflow."""
    scores = np.empty(len(u))
    for event in range(len(u)):
        largest, total = -np.inf, 0.0
        for other in range(len(background)):
            exponent = 0.0
            for k in range(u.shape[1]):
                exponent -= max(0.0, u[event, k] - background[other, k]) / width
            if exponent > largest:
                total = total * np.exp(largest - exponent) + shares[other]
                largest = exponent
            else:
                total += shares[other] * np.exp(exponent - largest)
        scores[event] = -largest - np.log(total)
    return scores
