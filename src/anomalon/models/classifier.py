"""Supervised classifiers: with the signal's labels in hand, the bound that no anomaly detector can pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field
from sklearn.ensemble import HistGradientBoostingClassifier

from anomalon.models.contract import Classifier, Floats, Inputs, ModelSettings
from anomalon.models.storage import load_estimator, save_estimator
from anomalon.models.threads import threads_for

ESTIMATOR = "estimator.skops"
ALLOWED = ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",)
"""Types in a saved boosting beyond those that skops trusts: the arrays of its trees."""


class GradientBoostingSettings(ModelSettings):
    """Gradient-boosted trees.

    Attributes:
        trees: number of boosting steps.
        learning_rate: shrinkage of each.
        leaves: at most so many per tree.
        events_per_leaf: at least so many.
        l2: regularisation of the leaves' values.
    """

    trees: int = Field(default=150, ge=1)
    learning_rate: float = Field(default=0.08, gt=0)
    leaves: int = Field(default=15, ge=2)
    events_per_leaf: int = Field(default=20, ge=1)
    l2: float = Field(default=1.0, ge=0)


class GradientBoosting(Classifier):
    """Histogram gradient boosting; missing values (NaN) may stay missing."""

    Settings: ClassVar[type[ModelSettings]] = GradientBoostingSettings
    kind = "gradient-boosting"
    accepts_missing = True
    settings: GradientBoostingSettings

    def _fit(self, x: Inputs, weights: Floats, labels: npt.NDArray[np.int64]) -> None:
        s = self.settings
        self.estimator = HistGradientBoostingClassifier(
            max_iter=s.trees,
            learning_rate=s.learning_rate,
            max_leaf_nodes=s.leaves,
            min_samples_leaf=s.events_per_leaf,
            l2_regularization=s.l2,
            early_stopping=False,
            random_state=s.seed,
        )
        # The binning of scikit-learn fails on a column without any value; a constant one is never split on.
        filled = np.where(np.isnan(x).all(axis=0), np.float32(0), x)
        with threads_for(x.size):
            self.estimator.fit(filled, labels, sample_weight=weights)

    def _predict_proba(self, x: Inputs) -> Floats:
        with threads_for(x.size):
            return np.asarray(self.estimator.predict_proba(x), dtype=np.float64)

    def _save(self, folder: Path) -> dict[str, Any]:
        save_estimator(self.estimator, folder / ESTIMATOR)
        return {}

    def _load(self, folder: Path, state: dict[str, Any]) -> None:  # noqa: ARG002
        self.estimator = load_estimator(folder / ESTIMATOR, HistGradientBoostingClassifier, ALLOWED)
