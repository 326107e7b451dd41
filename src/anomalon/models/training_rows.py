"""The rows of blocks that a detector can learn from, found in the pass that fits its preprocessing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from anomalon.errors import TrainingError
from anomalon.features.contract import Features
from anomalon.streaming import Blocks, FeatureBlocks

Floats = npt.NDArray[np.float64]

SAMPLE_ROWS = 20_000
"""Rows of a stream whose distributions are kept with the detector; they come in mixed order, so any will do."""


class TrainingRows:
    """Usable rows of blocks; iterate over them once, then ask what was found.

    Args:
        blocks: of features.
        select: keeps the columns that the detector sees.
        owner: who learns, for messages.

    Attributes:
        kept: per block, whether every input of a row is finite and its weight not zero, shape (row,).
        dropped: values that are not finite, by input.
    """

    def __init__(self, blocks: Blocks, select: Callable[[Features], Features], owner: str) -> None:
        self.blocks, self.select, self.owner = blocks, select, owner
        self.kept: list[npt.NDArray[np.bool_]] = []
        self.dropped: Counter[str] = Counter()
        self._sample: list[tuple[Features, Floats]] = []

    def __iter__(self) -> Iterator[tuple[Features, Floats]]:
        for number in range(len(self.blocks.sizes)):
            features, weights = self.blocks.block(number)
            rows = self._look(self.select(features), weights)
            if len(rows[0]):
                yield rows
        if not any(mask.any() for mask in self.kept):
            raise TrainingError(
                f"{self.owner}: none of {sum(self.blocks.sizes)} training events is usable"
                + "".join(f"; {name}: {n} values not finite" for name, n in self.dropped.items())
            )

    def look(self) -> bool:
        """Pass over the rows; whether there is any."""
        for number in range(len(self.blocks.sizes)):
            features, weights = self.blocks.block(number)
            self._look(self.select(features), weights)
        return any(mask.any() for mask in self.kept)

    def _look(self, features: Features, weights: Floats) -> tuple[Features, Floats]:
        finite = features.usable()
        mask = finite & (weights != 0.0)
        self.kept.append(mask)
        if not finite.all():
            self.dropped.update(features.not_finite())
        if not mask.all():
            features, weights = features[mask], weights[mask]
        if isinstance(self.blocks, FeatureBlocks) or sum(len(w) for _, w in self._sample) < SAMPLE_ROWS:
            self._sample.append((features, weights))
        return features, weights

    def sample(self) -> tuple[Features, Floats]:
        """Rows whose distributions stand for all: everything in memory, the first of a stream."""
        return Features.concatenate([f for f, _ in self._sample]), np.concatenate([w for _, w in self._sample])
