"""Outlier exposure: background against events made up from it, so that the upper tails are where nothing else lives.

Hendrycks, Mazeika and Dietterich (arXiv:1812.04606). The classifier is boosting that may only rise with every feature,
on few features: without either it learns how the made-up events were made. No signal is seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field
from sklearn.ensemble import HistGradientBoostingClassifier

from anomalon.batches import resample
from anomalon.distortions import Exaggeration, PseudoEvents
from anomalon.errors import TrainingError
from anomalon.events import Events
from anomalon.features.contract import Features
from anomalon.models.classifier import ALLOWED, ESTIMATOR
from anomalon.models.contract import Floats, ModelSettings
from anomalon.models.feature_scorer import FeatureScorer
from anomalon.models.kept_blocks import KeptBlocks
from anomalon.models.occlusion import Occlusion
from anomalon.models.storage import load_estimator, save_estimator
from anomalon.models.threads import threads_for
from anomalon.training import TrainingRun

REACH = 3.0
"""Ranges of the background that uniform outliers fill, from its lowest value upwards."""


class Maker(Protocol):
    """Makes outliers of background events."""

    @property
    def requires(self) -> frozenset[str]:
        """Fields that it reads."""
        ...

    def make(self, hosts: Events, rng: np.random.Generator) -> tuple[Events, npt.NDArray[np.bool_]]:
        """Outliers, and which hosts made one."""
        ...


class OutlierExposureSettings(ModelSettings):
    """Which outliers the background is told from, and how.

    Attributes:
        against: ``pseudo-events``, decays that fill phase space; ``exaggerated`` background, harder or with missing
            momentum; or ``uniform``, values between the lowest and three times the range of every feature, which needs
            no events.
        pseudo_events: how they are made.
        exaggeration: how it is made.
        copies: outliers made of each background event.
        monotone: whether the score may only rise with every feature.
        trees, learning_rate, leaves, events_per_leaf, l2: of the boosting.
        untie: weight of the mean of log(1 + feature) in the score: trees are constant in places.
        most_events: largest number of background events that are learned from.
    """

    against: Literal["pseudo-events", "exaggerated", "uniform"] = "pseudo-events"
    pseudo_events: PseudoEvents = PseudoEvents()
    exaggeration: Exaggeration = Exaggeration()
    copies: int = Field(default=4, ge=1)
    monotone: bool = True
    trees: int = Field(default=200, ge=1)
    learning_rate: float = Field(default=0.08, gt=0)
    leaves: int = Field(default=15, ge=2)
    events_per_leaf: int = Field(default=40, ge=1)
    l2: float = Field(default=1.0, ge=0)
    untie: float = Field(default=1e-3, ge=0)
    most_events: int = Field(default=200_000, ge=20)

    @property
    def needs_events(self) -> bool:
        """Whether outliers are made of events."""
        return self.against != "uniform"

    @property
    def requires(self) -> frozenset[str]:
        """Dotted names of the event fields that outliers are made of."""
        return self.maker.requires if self.needs_events else frozenset()

    @property
    def maker(self) -> Maker:
        """What makes the outliers of events."""
        return self.pseudo_events if self.against == "pseudo-events" else self.exaggeration


class OutlierExposure(FeatureScorer):
    """Boosting of background against outliers; the score is its log odds. Both classes weigh the same."""

    Settings: ClassVar[type[ModelSettings]] = OutlierExposureSettings
    kind = "outlier-exposure"
    settings: OutlierExposureSettings

    def _fit_blocks(self, blocks: KeptBlocks, validation: KeptBlocks | None, run: TrainingRun | None) -> None:  # noqa: ARG002
        blocks = self._enough(blocks)
        background, weights = blocks.gathered()
        outliers = self._outliers(blocks, background)
        values = np.concatenate([_values(background), outliers])
        w = np.abs(weights) / np.abs(weights).sum()
        w = len(values) * np.r_[w, np.full(len(outliers), 1.0 / len(outliers))]
        s = self.settings
        self.estimator = HistGradientBoostingClassifier(
            max_iter=s.trees,
            learning_rate=s.learning_rate,
            max_leaf_nodes=s.leaves,
            min_samples_leaf=s.events_per_leaf,
            l2_regularization=s.l2,
            monotonic_cst=[1] * self.n_inputs if s.monotone else None,
            early_stopping=False,
            random_state=s.seed,
        )
        with threads_for(values.size):
            self.estimator.fit(values, np.r_[np.zeros(len(background)), np.ones(len(outliers))], sample_weight=w)
        self.occlusion = Occlusion.of(background, weights)

    def _enough(self, blocks: KeptBlocks) -> KeptBlocks:
        """Every so-many-th row, where there are more than are learned from."""
        folds = -(-len(blocks.weights) // self.settings.most_events)
        return blocks if folds < 2 else blocks.fold(0, folds)[1]

    def _outliers(self, blocks: KeptBlocks, background: Features) -> npt.NDArray[np.float32]:
        """Values (outlier, feature), NaN where missing."""
        rng = np.random.default_rng([self.settings.seed, 1])
        if not self.settings.needs_events:
            return self._uniform(background, rng)
        found = [part for number in range(len(blocks.kept)) for part in self._of_block(blocks, number, rng)]
        outliers = np.concatenate([*found, np.zeros((0, self.n_inputs), dtype=np.float32)])
        if len(outliers) < self.minimum_events:
            raise TrainingError(
                f"{self.kind}: {len(outliers)} of the {self.settings.against} have the features of their hosts, at "
                f"least {self.minimum_events} are needed; change {self.settings.against.replace('-', '_')} (leptons, "
                "mass) to what the selection asks for"
            )
        return outliers

    def _of_block(self, blocks: KeptBlocks, number: int, rng: np.random.Generator) -> Iterator[npt.NDArray[np.float32]]:
        """Outliers made of the events of a block, drawn by weight; those that the selection would drop are left out."""
        if not blocks.sizes[number]:
            return
        maker = self.settings.maker
        events, (features, weights) = blocks.events_of(number, maker.requires), blocks.block(number)
        for copy in range(self.settings.copies):
            hosts = resample(weights, self.settings.seed + copy)
            made, able = maker.make(events[hosts], rng)
            outliers, before = blocks.features_of(made), features.mask[hosts[able]]
            keep = (outliers.mask | ~before).all(axis=1) & outliers.usable() & blocks.selected(made)
            yield _values(outliers)[keep]

    def _uniform(self, background: Features, rng: np.random.Generator) -> npt.NDArray[np.float32]:
        values = np.where(background.mask, background.values, np.nan)
        low, high = (np.nan_to_num(f(values, axis=0)) for f in (np.nanmin, np.nanmax))
        n = self.settings.copies * len(values)
        return np.asarray(low + rng.uniform(0, REACH, (n, self.n_inputs)) * (high - low), dtype=np.float32)

    def _score_features(self, features: Features) -> Floats:
        values = _values(features)
        with threads_for(values.size):
            odds = np.asarray(self.estimator.decision_function(values), dtype=np.float64)
        ladder = np.log1p(np.maximum(np.nan_to_num(values.astype(np.float64)), 0.0)).mean(axis=1)
        return np.asarray(odds + self.settings.untie * ladder)

    def _explain_features(self, features: Features) -> Floats:
        """How much the score would fall, were a feature the background's median."""
        return self.occlusion.explain(features, self._score_features)

    def _save_learned(self, folder: Path) -> dict[str, Any]:
        save_estimator(self.estimator, folder / ESTIMATOR)
        return {"occlusion": self.occlusion.model_dump(mode="json")}

    def _load_learned(self, folder: Path, state: dict[str, Any]) -> None:
        self.estimator = load_estimator(folder / ESTIMATOR, HistGradientBoostingClassifier, ALLOWED)
        self.occlusion = Occlusion.parse(state["occlusion"])


def _values(features: Features) -> npt.NDArray[np.float32]:
    return np.where(features.mask, features.values, np.float32(np.nan))
