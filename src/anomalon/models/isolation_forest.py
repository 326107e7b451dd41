"""Isolation forest: anomalous events are cut off from the rest by few random cuts (Liu, Ting, Zhou 2008)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field
from sklearn.ensemble import IsolationForest

from anomalon.batches import Batches, gather, resample
from anomalon.models.contract import Floats, Inputs, ModelSettings, Scorer
from anomalon.models.storage import load_estimator, save_estimator
from anomalon.training import TrainingRun

ESTIMATOR = "estimator.skops"
ALLOWED = ("sklearn.tree._tree.Tree",)
"""Types in a saved forest beyond those that skops trusts: the arrays of its trees."""


class IsolationForestSettings(ModelSettings):
    """Isolation forest.

    Attributes:
        trees: number of trees.
        events_per_tree: number of events that each tree sees.
    """

    trees: int = Field(default=200, ge=1)
    events_per_tree: int = Field(default=256, ge=2)


class IsolationForestScore(Scorer):
    """Isolation forest; the score grows as the mean path to an event shortens. Learns from a resample by weight."""

    Settings: ClassVar[type[ModelSettings]] = IsolationForestSettings
    kind = "isolation-forest"
    settings: IsolationForestSettings

    def _fit(self, batches: Batches, validation: Batches | None, run: TrainingRun | None) -> None:  # noqa: ARG002
        values, weights = gather(batches)
        s = self.settings
        drawn = values[resample(weights, s.seed)]
        self.estimator = IsolationForest(
            n_estimators=s.trees, max_samples=min(s.events_per_tree, len(drawn)), random_state=s.seed
        ).fit(drawn)

    def _score(self, x: Inputs) -> Floats:
        return np.asarray(-self.estimator.score_samples(x), dtype=np.float64)

    def _save(self, folder: Path) -> dict[str, Any]:
        save_estimator(self.estimator, folder / ESTIMATOR)
        return {}

    def _load(self, folder: Path, state: dict[str, Any]) -> None:  # noqa: ARG002
        self.estimator = load_estimator(folder / ESTIMATOR, IsolationForest, ALLOWED)
