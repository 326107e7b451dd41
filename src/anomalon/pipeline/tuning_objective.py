"""What a trial of a study is worth: a detector is trained on background and judged on validation events alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from anomalon import metrics
from anomalon.batches import TRAIN, VALIDATION
from anomalon.distortions import distort
from anomalon.errors import ConfigError
from anomalon.metrics.records import EvaluationSettings
from anomalon.metrics.replicated import replicated
from anomalon.models.detector import Detector, DetectorSettings
from anomalon.pipeline import fit
from anomalon.pipeline.benchmark_channels import Prepared
from anomalon.pipeline.cache import StageCache
from anomalon.pipeline.progress import Progress
from anomalon.pipeline.table import luminosity_for
from anomalon.pipeline.tuning_configuration import NamedSignal, Proxy, TuningConfig
from anomalon.search.threshold import Scored
from anomalon.selection import apply

Floats = npt.NDArray[np.float64]

MINIMUM = 50
"""Training and validation events that a process must have to be left out."""
PARTS = (9, 3, 1)
"""Trials that may be stopped early train for a ninth and a third of their epochs first."""


@dataclass(frozen=True)
class Judge:
    """Trains a detector and says what it is worth.

    Attributes:
        config: the study.
        ready: the events.
        cache: of trainings, so that a trial that was killed goes on where it was.
        progress: who listens.
    """

    config: TuningConfig
    ready: Prepared
    cache: StageCache
    progress: Progress

    def budgets(self, settings: DetectorSettings) -> list[int | None]:
        """Epochs after which a trial is looked at, all of them last; None where the detector has no epochs."""
        training = getattr(settings.scorer, "training", None)
        if training is None:
            return [None]
        parts = PARTS if self.config.pruner == "hyperband" else PARTS[-1:]
        return list(dict.fromkeys(-(-training.epochs // part) for part in parts))

    def value(self, settings: DetectorSettings, epochs: int | None) -> float:
        """The objective after so many epochs.

        Raises:
            TrainingError: the training diverged.
            ConfigError: the objective cannot be computed with this detector or these samples.
        """
        objective = self.config.objective
        if isinstance(objective, Proxy):
            return self._proxy(objective, _with_epochs(settings, epochs))
        detector = self._fitted(_with_epochs(settings, epochs))
        if isinstance(objective, NamedSignal):
            return self._improvement(objective, detector)
        return _validation_loss(detector)

    def _fitted(self, settings: DetectorSettings, without: str | None = None) -> Detector:
        ready = self.ready
        return fit.fit_detector(settings, ready.parts, ready.key, self.cache, self.progress, without=without).detector

    def _improvement(self, objective: NamedSignal, detector: Detector) -> float:
        """Largest eps_S / sqrt(eps_B) on validation events; 0 where no cut leaves enough background."""
        parts = self.ready.parts
        scores = parts.score(detector)
        masks = parts.where("background", VALIDATION), parts.where("signal", VALIDATION, objective.signal)
        b, s = (Scored(scores[mask], parts.table.weight[mask]).finite() for mask in masks)
        if not len(s):
            raise ConfigError(f"objective.signal: no validation events of '{objective.signal}'; give it more events")
        roc = metrics.roc_curve(b.score, s.score, background_weights=b.weight, signal_weights=s.weight)
        return float(np.nan_to_num(metrics.sic_curve(roc, b.score).best))

    def _proxy(self, objective: Proxy, settings: DetectorSettings) -> float:
        without = left_out(self.config, self.ready)
        detector = self._fitted(settings, without)
        parts = self.ready.parts
        scores, weight = parts.score(detector), parts.table.weight
        own = parts.table.sample_name == (without or "")
        background = parts.where("background", VALIDATION)
        ordinary = Scored(scores[background & ~own], weight[background & ~own]).finite()
        pseudo = [Scored(scores[background & own], weight[background & own])] if without else []
        pseudo += self._distorted(objective, detector, background & ~own)
        found = [_efficiency(ordinary, one.finite(), objective.background_efficiency) for one in pseudo]
        if not found:
            raise ConfigError("objective: proxy has no pseudo-signal: give distortions, or a process to leave out")
        return float(np.mean(found))

    def _distorted(self, objective: Proxy, detector: Detector, where: npt.NDArray[np.bool_]) -> Iterator[Scored]:
        """Scores of distorted validation events that still pass the selection."""
        search = self.ready.search
        rows = np.flatnonzero(where)[: objective.events]
        if not objective.distortions or not len(rows):
            return
        events = self.ready.parts.events_of(rows)
        for steps in objective.distortions.values():
            changed = apply(search.selection, distort(events, steps, seed=search.seed)).events
            weights = changed.weights(luminosity_for(changed.samples, search.luminosity_fb))
            yield Scored(detector.score(changed), weights)


def left_out(config: TuningConfig, ready: Prepared) -> str | None:
    """The background process that the proxy leaves out: the one asked for, or the smallest with enough events."""
    objective = config.objective
    if not isinstance(objective, Proxy) or objective.leave_out is not None:
        return objective.leave_out if isinstance(objective, Proxy) else None
    names = [s.name for s in ready.search.samples if s.role == "background"]
    sizes = {n: min(int(ready.parts.where("background", k, n).sum()) for k in (TRAIN, VALIDATION)) for n in names}
    enough = {name: size for name, size in sizes.items() if size >= MINIMUM}
    return min(enough, key=lambda name: enough[name]) if len(enough) > 1 else None


def _efficiency(background: Scored, signal: Scored, background_efficiency: float) -> float:
    if not len(signal):
        return 0.0
    settings = EvaluationSettings(replicas=2, background_efficiencies=(background_efficiency,))
    pair = (background.score, background.weight), (signal.score, np.abs(signal.weight))
    return float(replicated(*pair, settings)[0, 1])


def _validation_loss(detector: Detector) -> float:
    record = detector.record
    if record is None or not record.monitored:
        raise ConfigError(
            f"objective: validation-loss means nothing for '{detector.settings.kind}', which has no losses; use proxy"
        )
    return float(min(record.monitored))


def _with_epochs(settings: DetectorSettings, epochs: int | None) -> DetectorSettings:
    training = getattr(settings.scorer, "training", None)
    if epochs is None or training is None:
        return settings
    scorer = settings.scorer.model_copy(update={"training": training.model_copy(update={"epochs": epochs})})
    return settings.model_copy(update={"scorer": scorer})
