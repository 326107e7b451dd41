"""Scorers of features: they know the columns by name and what is missing and, while they learn, the events themselves.

A :class:`~anomalon.models.contract.Scorer` sees inputs, as :mod:`anomalon.preprocessing` made them; these see features
in their own units and choose by themselves how to read them. Given inputs all the same, they take them for complete
features without names.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from anomalon.batches import Batches, gather
from anomalon.errors import TrainingError
from anomalon.features.contract import Features
from anomalon.models.contract import Floats, Inputs, Scorer
from anomalon.models.kept_blocks import KeptBlocks
from anomalon.streaming import Blocks, FeatureBlocks

if TYPE_CHECKING:
    from anomalon.training import TrainingRun


class FeatureScorer(Scorer):
    """Scorer that subclasses complete with ``_fit_blocks``, ``_score_features``, ``_save_learned``, ``_load_learned``.

    Attributes:
        names: columns that it was fitted on, in order.
    """

    names: tuple[str, ...] = ()

    def fit_blocks(self, blocks: Blocks, validation: Blocks | None = None, *, run: TrainingRun | None = None) -> Self:
        """Learn from blocks of usable training background; events without weight are left out.

        Raises:
            TrainingError: too few events, or features where the scorer learns from events.
        """
        learned = KeptBlocks.of(blocks)
        if len(learned.weights) < self.minimum_events:
            raise TrainingError(
                f"{self.kind}: {len(learned.weights)} training events, at least {self.minimum_events} are needed; "
                "loosen the selection or read more events"
            )
        self.names, self.n_inputs = learned.names, len(learned.names)
        checked = None if validation is None else KeptBlocks.of(validation)
        self._fit_blocks(learned, checked if checked is not None and len(checked.weights) else None, run)
        return self

    def score_features(self, features: Features) -> Floats:
        """Anomaly scores (event,) of usable features.

        Raises:
            NotFittedError: the scorer was not fitted.
            UnknownNameError: a column is not among the features.
        """
        self._require_fit()
        return self._score_features(features.select(self.names)) if len(features) else np.zeros(0)

    def explain_features(self, features: Features) -> Floats | None:
        """What each feature adds to the score, (event, feature); None where the scorer cannot say."""
        self._require_fit()
        if not len(features):
            return np.zeros((0, self.n_inputs))
        return self._explain_features(features.select(self.names))

    def _fit(self, batches: Batches, validation: Batches | None, run: TrainingRun | None) -> None:
        self.fit_blocks(_blocks(batches), None if validation is None else _blocks(validation), run=run)

    def _score(self, x: Inputs) -> Floats:
        return self._score_features(_complete(x, self.names))

    def _explain(self, x: Inputs) -> Floats | None:
        return self._explain_features(_complete(x, self.names))

    def _save(self, folder: Path) -> dict[str, Any]:
        return {"names": list(self.names), **self._save_learned(folder)}

    def _load(self, folder: Path, state: dict[str, Any]) -> None:
        self.names = tuple(str(name) for name in state["names"])
        self._load_learned(folder, state)

    @abstractmethod
    def _fit_blocks(self, blocks: KeptBlocks, validation: KeptBlocks | None, run: TrainingRun | None) -> None:
        """Learn from at least ``minimum_events`` events."""

    @abstractmethod
    def _score_features(self, features: Features) -> Floats:
        """Scores of at least one event, from the columns ``names``."""

    @abstractmethod
    def _save_learned(self, folder: Path) -> dict[str, Any]:
        """Write what was learned; return what fits into JSON."""

    @abstractmethod
    def _load_learned(self, folder: Path, state: dict[str, Any]) -> None:
        """Read what :meth:`_save_learned` wrote and returned."""

    def _explain_features(self, features: Features) -> Floats | None:  # noqa: ARG002 - a hook
        return None


def _complete(values: Inputs, names: tuple[str, ...]) -> Features:
    return Features(values, np.broadcast_to(np.True_, values.shape), names)


def _blocks(batches: Batches) -> FeatureBlocks:
    values, weights = gather(batches)
    return FeatureBlocks(_complete(values, tuple(f"input{k + 1}" for k in range(batches.n_inputs))), weights)
