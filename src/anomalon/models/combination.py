"""Several detectors as one: their scores as background survival probabilities p, combined event by event.

The names are those of Caron, Hendriks and Verheyen (arXiv:2106.10164): an event is anomalous to AND where all detectors
find it so, to OR where one does, to PRODUCT and AVERAGE in the product and the mean of their p. Without folds the
detectors learn from the training sample and are calibrated on validation background. With folds, each copy learns from
all folds but one and is calibrated on that one; the score is the mean over the copies.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator

from anomalon.features.contract import Features
from anomalon.models.calibration import Calibration
from anomalon.models.contract import Floats, ModelSettings
from anomalon.models.detector import Detector, DetectorSettings
from anomalon.models.feature_scorer import FeatureScorer
from anomalon.models.kept_blocks import KeptBlocks
from anomalon.models.occlusion import Occlusion
from anomalon.training import TrainingRun

HELD_OUT = 4
"""One event in so many calibrates, where there is neither a validation sample nor a fold."""


class CombinationSettings(ModelSettings):
    """Which detectors, and how they are combined.

    Attributes:
        members: fragments as of the configuration's ``detectors``; all see columns of the combination's feature set.
        how: ``and``: the largest p; ``or``: the smallest; ``product`` and ``average``: of the p. Scores are -log.
        folds: 1: no folds.
    """

    members: tuple[dict[str, Any], ...] = Field(min_length=1)
    how: Literal["and", "or", "product", "average"] = "product"
    folds: int = Field(default=1, ge=1, le=20)

    @field_validator("members", mode="before")
    @classmethod
    def _fragments(cls, values: Any) -> Any:
        if not isinstance(values, (list, tuple)):
            return values
        return tuple(DetectorSettings.parse(value, f"members[{i}]").to_dict() for i, value in enumerate(values))

    @property
    def detectors(self) -> tuple[DetectorSettings, ...]:
        """Settings of the members, each with a seed of its own."""
        parsed = [DetectorSettings.parse(member) for member in self.members]
        return tuple(one.seeded(self.seed + one.scorer.seed) for one in parsed)

    @property
    def needs_events(self) -> bool:
        """Whether a member learns from events."""
        return any(one.needs_events for one in self.detectors)

    @property
    def requires(self) -> frozenset[str]:
        """Dotted names of the event fields that a member reads while it learns."""
        return frozenset().union(*(one.scorer.requires for one in self.detectors))

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Inputs of all members; None where one of them sees everything."""
        inputs = [one.preprocessing.inputs for one in self.detectors]
        named = [names for names in inputs if names is not None]
        return tuple(dict.fromkeys(n for names in named for n in names)) if len(named) == len(inputs) else None


class Combination(FeatureScorer):
    """Detectors and their calibrations, one set per fold."""

    Settings: ClassVar[type[ModelSettings]] = CombinationSettings
    kind = "combination"
    settings: CombinationSettings
    minimum_events = 40

    def __init__(self, settings: ModelSettings | None = None) -> None:
        super().__init__(settings)
        self.members: list[list[tuple[Detector, Calibration]]] = []

    def _fit_blocks(self, blocks: KeptBlocks, validation: KeptBlocks | None, run: TrainingRun | None) -> None:
        self.members = []
        for number, (learned, held_out) in enumerate(self._samples(blocks, validation)):
            copies = [self._member(one, learned, held_out, _own(run, f"{number}-{k}")) for k, one in self._numbered()]
            self.members.append(copies)
        self.occlusion = Occlusion.of(*blocks.gathered())

    def _numbered(self) -> Iterator[tuple[int, DetectorSettings]]:
        return iter(enumerate(self.settings.detectors))

    def _samples(self, blocks: KeptBlocks, validation: KeptBlocks | None) -> Iterator[tuple[KeptBlocks, KeptBlocks]]:
        """What each copy learns from, and what calibrates it."""
        folds = self.settings.folds
        if folds > 1:
            yield from (blocks.fold(number, folds) for number in range(folds))
        elif validation is not None and len(validation.weights) >= self.minimum_events:
            yield blocks, validation
        else:
            yield blocks.fold(0, HELD_OUT)

    def _member(
        self, settings: DetectorSettings, learned: KeptBlocks, held_out: KeptBlocks, run: TrainingRun | None
    ) -> tuple[Detector, Calibration]:
        detector = Detector(settings).fit_blocks(learned, held_out, run=run)
        return detector, Calibration.of(detector.score_blocks(held_out), held_out.weights)

    def _score_features(self, features: Features) -> Floats:
        return np.asarray(np.mean([self._combined(copies, features) for copies in self.members], axis=0))

    def _combined(self, copies: list[tuple[Detector, Calibration]], features: Features) -> Floats:
        levels = np.stack([calibration.minus_log_p_of(one.score_features(features)) for one, calibration in copies])
        match self.settings.how:
            case "and":
                return np.asarray(levels.min(axis=0))
            case "or":
                return np.asarray(levels.max(axis=0))
            case "product":
                return np.asarray(levels.sum(axis=0))
        return np.asarray(np.log(len(levels)) - np.logaddexp.reduce(-levels, axis=0))

    def _explain_features(self, features: Features) -> Floats:
        """How much the score would fall, were a feature the background's median."""
        return self.occlusion.explain(features, self._score_features)

    def _save_learned(self, folder: Path) -> dict[str, Any]:
        for number, copies in enumerate(self.members):
            for k, (detector, _) in enumerate(copies):
                detector.save(folder / f"member-{number}-{k}")
        calibrations = [[calibration.to_dict() for _, calibration in copies] for copies in self.members]
        return {"calibrations": calibrations, "occlusion": self.occlusion.model_dump(mode="json")}

    def _load_learned(self, folder: Path, state: dict[str, Any]) -> None:
        self.members = [
            [
                (Detector.load(folder / f"member-{number}-{k}"), Calibration.parse(calibration))
                for k, calibration in enumerate(copies)
            ]
            for number, copies in enumerate(state["calibrations"])
        ]
        self.occlusion = Occlusion.parse(state["occlusion"])


def _own(run: TrainingRun | None, name: str) -> TrainingRun | None:
    """The run of one member, with checkpoints of its own."""
    if run is None or run.checkpoint_dir is None:
        return run
    return replace(run, checkpoint_dir=run.checkpoint_dir / name)
