"""Classifier reweighting: the ratio of densities, target over source, as a weight of the event.

A classifier that tells target from source, with equal total weights, has p / (1 - p) as its estimate of the ratio
(Cranmer, Pavez, Louppe, arXiv:1506.02169). It sees the degree of freedom alone: numbers of the objects, pT and |eta| of
the hardest. Weights move no object; where the target has what the source lacks, no weight helps.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from anomalon.distortions.flat import order_by_pt, runs
from anomalon.events import Events
from anomalon.models.classifier import ALLOWED, ESTIMATOR
from anomalon.models.storage import load_estimator, save_estimator
from anomalon.style.contract import Calibrator, CalibratorSettings, with_factor
from anomalon.style.objects import Chosen, Values, event_weights


class ReweightingSettings(CalibratorSettings):
    """Settings of classifier reweighting.

    Attributes:
        hardest: so many objects of an event are seen by pT and |eta|.
        trees, learning_rate, leaves, events_per_leaf: of the boosting.
        largest: weights lie between 1 / largest and largest.
    """

    hardest: int = Field(default=3, ge=1)
    trees: int = Field(default=120, ge=1)
    learning_rate: float = Field(default=0.05, gt=0)
    leaves: int = Field(default=8, ge=2)
    events_per_leaf: int = Field(default=100, ge=1)
    largest: float = Field(default=20.0, gt=1)


class Reweighting(Calibrator):
    """Weights that make the source's distribution of the degree of freedom that of the target."""

    Settings: ClassVar[type[CalibratorSettings]] = ReweightingSettings
    kind = "reweighting"
    settings: ReweightingSettings

    def _fit(self, source: Events, target: Events) -> None:
        freedom, s = self.settings.freedom, self.settings
        samples = [freedom.selected(events) for events in (source, target)]
        weights = [event_weights(events) for events in samples]
        total = sum(map(len, samples)) / 2
        self.estimator = HistGradientBoostingClassifier(
            max_iter=s.trees, learning_rate=s.learning_rate, max_leaf_nodes=s.leaves,
            min_samples_leaf=s.events_per_leaf, early_stopping=False, random_state=s.seed,
        )  # fmt: skip
        with threadpool_limits(1):
            self.estimator.fit(
                np.concatenate([self._seen(events) for events in samples]),
                np.repeat([0, 1], [len(events) for events in samples]),
                sample_weight=np.concatenate([w * (total / w.sum()) for w in weights]),
            )

    def _seen(self, events: Events) -> Values:
        """Number of objects, then pT and |eta| of the hardest, shape (event, 1 + 2 hardest); -1 where there is none."""
        found = Chosen.read(events, self.settings.freedom.objects)
        kept = np.flatnonzero(found.pt >= self.settings.freedom.pt_min)
        seen = np.full((len(events), 1 + 2 * self.settings.hardest), -1.0)
        seen[:, 0] = np.bincount(found.owner[kept], minlength=len(events))
        at = kept[order_by_pt(found.owner[kept], found.pt[kept])]
        _, rank = runs(found.owner[at])
        at, rank = at[rank < self.settings.hardest], rank[rank < self.settings.hardest]
        seen[found.owner[at], 1 + 2 * rank], seen[found.owner[at], 2 + 2 * rank] = found.pt[at], found.abs_eta[at]
        return seen

    def _transform(self, events: Events) -> Events:
        with threadpool_limits(1):
            log_ratio = np.asarray(self.estimator.decision_function(self._seen(events)), dtype=np.float64)
        limit = np.log(self.settings.largest)
        return with_factor(events, np.exp(np.clip(log_ratio, -limit, limit)))

    def _save(self, folder: Path) -> dict[str, Any]:
        save_estimator(self.estimator, folder / ESTIMATOR)
        return {}

    def _load(self, folder: Path, state: dict[str, Any]) -> None:  # noqa: ARG002
        self.estimator = load_estimator(folder / ESTIMATOR, HistGradientBoostingClassifier, ALLOWED)
