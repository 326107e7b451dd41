"""Scores made of one input at a time, as if inputs were independent: histograms and tails."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field
from safetensors.numpy import load_file, save_file

from anomalon.batches import Batches, gather
from anomalon.models.contract import Floats, Inputs, ModelSettings, Scorer
from anomalon.training import TrainingRun

ARRAYS = "arrays.safetensors"


class HistogramsSettings(ModelSettings):
    """One histogram per input.

    Attributes:
        bins: of equal width, between the lowest and the highest value.
    """

    bins: int = Field(default=40, ge=2)


class Histograms(Scorer):
    """HBOS (Goldstein and Dengel 2012): minus the sum of the logarithms of one-dimensional densities.

    An empty bin, and everything outside, holds half an average event.
    """

    Settings: ClassVar[type[ModelSettings]] = HistogramsSettings
    kind = "histograms"
    settings: HistogramsSettings

    def _fit(self, batches: Batches, validation: Batches | None, run: TrainingRun | None) -> None:  # noqa: ARG002
        values, weights = gather(batches)
        w = np.abs(weights)
        seen, w = values[w > 0].astype(np.float64), w[w > 0]
        self.low, high = seen.min(axis=0), seen.max(axis=0)
        self.width = np.where(high > self.low, high - self.low, 1.0) / self.settings.bins
        share = np.stack([np.bincount(place, w, self.settings.bins) for place in self._places(seen).T]) / w.sum()
        self.levels = -np.log(np.maximum(share, 0.5 / len(w)) / self.width[:, None])
        self.outside = -np.log(0.5 / len(w) / self.width)

    def _places(self, x: Inputs | Floats) -> Any:
        places = np.floor((x - self.low) / self.width)
        return np.clip(places, 0, self.settings.bins - 1).astype(np.int64)

    def _score(self, x: Inputs) -> Floats:
        return np.asarray(self._explain(x).sum(axis=1))

    def _explain(self, x: Inputs) -> Floats:
        """Minus the logarithm of each density: the columns add up to the score."""
        levels = self.levels[np.arange(x.shape[1]), self._places(x)]
        beyond = (x < self.low) | (x > self.low + self.width * self.settings.bins * (1 + 1e-6))
        return np.where(beyond, self.outside, levels)

    def _save(self, folder: Path) -> dict[str, Any]:
        arrays = {name: getattr(self, name) for name in ("low", "width", "levels", "outside")}
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / ARRAYS)
        return {}

    def _load(self, folder: Path, state: dict[str, Any]) -> None:  # noqa: ARG002
        arrays = load_file(folder / ARRAYS)
        self.low, self.width, self.levels, self.outside = (arrays[n] for n in ("low", "width", "levels", "outside"))


class EmpiricalTails(Scorer):
    """ECOD (Li et al., arXiv:2201.00382): the sums over the inputs of -log of their empirical tail probabilities.

    Three sums: of the left tails, of the right tails, and of that tail of each input to which it is skewed; the score
    is the largest. Unlike ``upper-tails`` it looks both ways, and no tail goes on beyond the last event.
    """

    kind = "empirical-tails"

    def _fit(self, batches: Batches, validation: Batches | None, run: TrainingRun | None) -> None:  # noqa: ARG002
        values, weights = gather(batches)
        w = np.abs(weights)
        seen, w = values[w > 0].astype(np.float64), w[w > 0] / w.sum()
        order = np.argsort(seen, axis=0, kind="stable")
        self.ordered = np.take_along_axis(seen, order, axis=0)
        self.below = np.concatenate([np.zeros((1, seen.shape[1])), np.cumsum(w[order], axis=0)])
        centred = seen - w @ seen
        self.skewed_left = (w @ centred**3) < 0
        self.smallest = 0.5 / len(w)

    def _tails(self, x: Inputs) -> tuple[Floats, Floats]:
        """-log of the left and right tail probability of each input, (event, input)."""
        left, right = np.empty((2, *x.shape))
        for k, (ordered, below) in enumerate(zip(self.ordered.T, self.below.T, strict=True)):
            left[:, k] = below[np.searchsorted(ordered, x[:, k], side="right")]
            right[:, k] = 1.0 - below[np.searchsorted(ordered, x[:, k], side="left")]
        return -np.log(np.maximum(left, self.smallest)), -np.log(np.maximum(right, self.smallest))

    def _sums(self, x: Inputs) -> Floats:
        """The terms of the three sums, (sum, event, input)."""
        left, right = self._tails(x)
        return np.stack([left, right, np.where(self.skewed_left, left, right)])

    def _score(self, x: Inputs) -> Floats:
        return np.asarray(self._sums(x).sum(axis=2).max(axis=0))

    def _explain(self, x: Inputs) -> Floats:
        """The terms of the largest sum: the columns add up to the score."""
        terms = self._sums(x)
        return np.asarray(terms[terms.sum(axis=2).argmax(axis=0), np.arange(len(x))])

    def _save(self, folder: Path) -> dict[str, Any]:
        arrays = {"ordered": self.ordered, "below": self.below, "skewed_left": self.skewed_left}
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / ARRAYS)
        return {"smallest": self.smallest}

    def _load(self, folder: Path, state: dict[str, Any]) -> None:
        arrays = load_file(folder / ARRAYS)
        self.ordered, self.below, self.skewed_left = (arrays[name] for name in ("ordered", "below", "skewed_left"))
        self.smallest = float(state["smallest"])
