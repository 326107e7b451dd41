"""Blocks of which only some rows and columns are learned from, and their folds."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from anomalon.errors import TrainingError
from anomalon.events import Events
from anomalon.features.contract import Features, FeatureSet
from anomalon.streaming import Blocks

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

SMALL = 5_000_000
"""Numbers in all rows up to which they are kept once they were computed: several learners may walk through them."""


class KeptBlocks:
    """Some rows and columns of blocks, as blocks.

    Args:
        blocks: of features.
        kept: per block, the rows that are used, shape (row,).
        names: columns, in order; all by default.
    """

    def __init__(self, blocks: Blocks, kept: Sequence[Mask], names: Sequence[str] | None = None) -> None:
        self.blocks, self.kept = blocks, list(kept)
        self.names = blocks.names if names is None else tuple(names)
        self.weights: Floats = blocks.weights[self._rows]
        self._seen: dict[int, Features] = {}

    @classmethod
    def of(cls, blocks: Blocks) -> KeptBlocks:
        """Every row that weighs something, of every column."""
        heavy = np.split(blocks.weights != 0.0, np.cumsum(blocks.sizes)[:-1])
        return cls(blocks, heavy if len(blocks.sizes) else [])

    @property
    def _rows(self) -> Mask:
        return np.concatenate([*self.kept, np.zeros(0, dtype=np.bool_)])

    @property
    def sizes(self) -> tuple[int, ...]:
        """Rows of each block."""
        return tuple(int(mask.sum()) for mask in self.kept)

    @property
    def identity(self) -> str:
        """What the blocks say of themselves, with the rows that are used."""
        return f"{self.blocks.identity} {np.packbits(self._rows).tobytes().hex()} {self.names}"

    def block(self, number: int) -> tuple[Features, Floats]:
        """Features and weights of one block."""
        start = sum(self.sizes[:number])
        weights = self.weights[start : start + self.sizes[number]]
        if number in self._seen:
            return self._seen[number], weights
        features = self.blocks.block(number)[0].select(self.names)[self.kept[number]]
        if len(self.weights) * len(self.names) <= SMALL:
            self._seen[number] = features
        return features, weights

    def events_of(self, number: int, fields: Collection[str]) -> Events:
        """The events of one block, with some fields at least.

        Raises:
            TrainingError: these are blocks of features, whose events nobody knows.
        """
        find = getattr(self.blocks, "events_of", None)
        if find is None:
            raise TrainingError(
                "this detector learns from events and was given features: fit it with fit_blocks(EventBlocks(events, "
                "detector.settings.feature_set(), weights))"
            )
        events: Events = find(number, fields)[self.kept[number]]
        return events

    @property
    def feature_set(self) -> FeatureSet:
        """What the blocks of events are computed with."""
        found: FeatureSet = self.blocks.feature_set  # type: ignore[attr-defined] # blocks of events have one
        return found

    def features_of(self, events: Events) -> Features:
        """What the blocks' feature set makes of other events."""
        return self.feature_set.transform(events).select(self.names)

    def selected(self, events: Events) -> Mask:
        """Whether other events pass the selection that the feature set goes with, (event,); all where it has none."""
        selection = getattr(self.feature_set, "selection", None)
        if selection is None or not hasattr(selection, "steps"):
            return np.ones(len(events), dtype=np.bool_)
        return np.asarray(selection.steps(events)[-1][1], dtype=np.bool_)

    def gathered(self) -> tuple[Features, Floats]:
        """Features and weights of all rows at once."""
        parts = [self.block(number)[0] for number in range(len(self.kept))]
        return Features.concatenate(parts or [self.blocks.block(0)[0][:0]]), self.weights

    def fold(self, number: int, folds: int) -> tuple[KeptBlocks, KeptBlocks]:
        """The rows outside and inside one of several folds, for rows come in mixed order: every so-many-th is inside.

        >>> from anomalon.streaming import FeatureBlocks
        >>> features = Features(np.zeros((5, 1), np.float32), np.ones((5, 1), bool), ("x",))
        >>> [part.sizes for part in KeptBlocks.of(FeatureBlocks(features)).fold(0, 3)]
        [(3,), (2,)]
        """
        mine = np.arange(len(self.weights)) % folds == number
        inside = np.split(mine, np.cumsum(self.sizes)[:-1])
        return KeptBlocks(self, [~mask for mask in inside]), KeptBlocks(self, inside)
