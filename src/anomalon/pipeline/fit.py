"""Training: detectors on background events only, the supervised bound with one signal at a time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anomalon.batches import TRAIN, VALIDATION
from anomalon.errors import EmptySelectionError
from anomalon.models.detector import Detector, DetectorSettings
from anomalon.models.discriminator import Discriminator, DiscriminatorSettings
from anomalon.pipeline.cache import StageCache, code_digest
from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.parts import Parts
from anomalon.pipeline.progress import Progress
from anomalon.selection import Cutflow
from anomalon.training import EpochReport, TrainingRun

MINIMUM_TRAINING = 100
"""Fewer background events than this train nothing."""

CODE = (
    "models", "networks", "training", "preprocessing", "batches", "streaming", "features", "distortions",
    "events", "kinematics", "selection",
    "pipeline/fit", "pipeline/parts", "pipeline/mixed",
)  # fmt: skip


@dataclass(frozen=True)
class Fitted:
    """A fitted detector and where it is saved."""

    detector: Detector
    folder: Path
    seconds: float


def check_enough(parts: Parts, cutflow: Cutflow) -> None:
    """Refuse to train on next to nothing.

    Raises:
        EmptySelectionError: with the number of events, the cutflow and what to do.
    """
    n = int(parts.where("background", TRAIN).sum())
    if n < MINIMUM_TRAINING:
        steps = ", ".join(f"{cut}: {count.raw}" for cut, count in zip(cutflow.cuts, cutflow.total(), strict=True))
        raise EmptySelectionError(
            f"{n} background events left to train on, at least {MINIMUM_TRAINING} are needed "
            f"(raw events after each cut, all samples: {steps}); loosen the selection, or give more events"
        )


def training_key(search: SearchConfig, stages: dict[str, str]) -> dict[str, Any]:
    """What a fitted model depends on beside its own settings: the selected events, their split and their weights."""
    return {
        "selected": {k: v for k, v in stages.items() if k.startswith("select-")},
        "split": search.split.fractions,
        "seed": search.seed,
        "luminosity": search.luminosity_fb,
        "background": search.background,
    }


def fit_detector(
    settings: DetectorSettings,
    parts: Parts,
    key: dict[str, Any],
    cache: StageCache,
    progress: Progress,
    *,
    without: str | None = None,
) -> Fitted:
    """Fit a detector on training background, perhaps without one sample, or take it from the cache."""
    name = settings.name if without is None else f"{settings.name}-without-{without}"

    def produce(folder: Path) -> None:
        progress.start(f"train {settings.name}" + (f" without {without}" if without else ""))
        run = TrainingRun(checkpoint_dir=folder / "checkpoint", resume=cache.resume, progress=_epochs(progress))
        start = time.perf_counter()
        detector = _taught(Detector(settings), parts if without is None else parts.without(without), run)
        _save(detector, folder, time.perf_counter() - start)

    left_out = {} if without is None else {"without": without}
    columns = {"columns": settings.feature_set().names}  # digests of settings do not tell the order of a mapping
    folder = cache.make(f"detector-{name}", {**key, **left_out, **columns, **_fit_key(settings.to_dict())}, produce)
    return Fitted(Detector.load(folder / "model"), folder / "model", _seconds(folder))


def _taught(detector: Detector, parts: Parts, run: TrainingRun) -> Detector:
    if detector.settings.features != parts.tabulated or detector.settings.needs_events:
        train, validation = (parts.blocks(detector.settings.feature_set(), part) for part in (TRAIN, VALIDATION))
        return detector.fit_blocks(train, validation, run=run)
    seen, checked = (parts.of_part("background", part) for part in (TRAIN, VALIDATION))
    return detector.fit(
        seen.features, seen.weight, validation=checked.features, validation_weights=checked.weight, run=run
    )


def fit_supervised(
    settings: DiscriminatorSettings,
    signal: str,
    parts: Parts,
    key: dict[str, Any],
    cache: StageCache,
    progress: Progress,
) -> tuple[Discriminator, float]:
    """Fit the supervised bound for one signal on training events, or take it from the cache."""

    def produce(folder: Path) -> None:
        background, events = (parts.of_part("background", TRAIN), parts.of_part("signal", TRAIN, signal))
        progress.start(f"train supervised bound, {signal}")
        start = time.perf_counter()
        model = Discriminator(settings).fit(
            background.features, events.features, background_weights=background.weight, signal_weights=events.weight
        )
        _save(model, folder, time.perf_counter() - start)

    folder = cache.make(f"supervised-{signal}", {**key, "signal": signal, **_fit_key(settings.to_dict())}, produce)
    return Discriminator.load(folder / "model"), _seconds(folder)


def _fit_key(settings: dict[str, Any]) -> dict[str, Any]:
    return {"settings": settings, "fit_code": code_digest(*CODE)}


def _save(model: Detector | Discriminator, folder: Path, seconds: float) -> None:
    model.save(folder / "model")
    (folder / "seconds.json").write_text(json.dumps(seconds), encoding="utf-8")


def _seconds(folder: Path) -> float:
    return float(json.loads((folder / "seconds.json").read_text(encoding="utf-8")))


def _epochs(progress: Progress) -> Callable[[EpochReport], None]:
    def tell(report: EpochReport) -> None:
        which = "training" if report.validation_loss is None else "validation"
        progress.update(report.epoch, f"epoch {report.epoch}, {which} loss {report.loss:.4g}, best {report.best_epoch}")

    return tell
