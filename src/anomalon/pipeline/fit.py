"""Training: detectors on background events only, the supervised bound with one signal at a time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from anomalon.batches import TEST, TRAIN, VALIDATION, assign_split
from anomalon.errors import EmptySelectionError
from anomalon.models.detector import Detector, DetectorSettings
from anomalon.models.discriminator import Discriminator, DiscriminatorSettings
from anomalon.pipeline.cache import StageCache, code_digest
from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.progress import Progress
from anomalon.pipeline.table import Table
from anomalon.search.results import Role
from anomalon.selection import Cutflow
from anomalon.training import EpochReport, TrainingRun

MINIMUM_TRAINING = 100
"""Fewer background events than this train nothing."""

CODE = ("models", "networks", "training", "preprocessing", "batches", "features", "pipeline/fit", "pipeline/search")


@dataclass(frozen=True)
class Parts:
    """The selected events, who plays which role, and which part of the split each event belongs to.

    Attributes:
        table: all selected events.
        role: role of each event, shape (event,).
        split: TRAIN, VALIDATION or TEST for each event, shape (event,).
        usable: whether every present feature is finite, shape (event,).
    """

    table: Table
    role: npt.NDArray[np.str_]
    split: npt.NDArray[np.int8]
    usable: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, table: Table, search: SearchConfig) -> Parts:
        """Split every event by a hash of its identity: no event is in two parts, whatever the order of files."""
        roles = {s.name: s.role for s in search.samples}
        role = np.asarray([roles[name] for name in table.sample_name], dtype=np.str_)
        split = assign_split(table.ids, search.seed, search.split.fractions)
        return cls(table, role, split, table.features.usable())

    def where(self, role: Role, part: int | None = None, sample: str | None = None) -> npt.NDArray[np.bool_]:
        """Mask (event,) of usable events with a role, in a part of the split, of a sample."""
        mask = self.usable & (self.role == role)
        if part is not None:
            mask &= self.split == part
        if sample is not None:
            mask &= self.table.sample_name == sample
        return np.asarray(mask, dtype=np.bool_)

    def of_part(self, role: Role, part: int, sample: str | None = None) -> Table:
        """The events of :meth:`where`."""
        return self.table[self.where(role, part, sample)]

    def test_weight(self) -> npt.NDArray[np.float64]:
        """Weights (event,) of test events scaled by the inverse of their sample's tested share; others are 0.

        With them the yields of the test part are those of the whole sample.
        """
        weight = np.zeros(len(self.table))
        for name in np.unique(self.table.sample_name):
            own = self.table.sample_name == name
            tested = own & (self.split == TEST)
            if tested.any():
                weight[tested] = self.table.weight[tested] * (own.sum() / tested.sum())
        return weight


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
            f"(raw events after each cut, all samples: {steps}); loosen the selection, or raise `events`"
        )


def fit_detector(
    settings: DetectorSettings, parts: Parts, key: dict[str, Any], cache: StageCache, progress: Progress
) -> Fitted:
    """Fit a detector on training background, or take it from the cache."""

    def produce(folder: Path) -> None:
        train, validation = (parts.of_part("background", part) for part in (TRAIN, VALIDATION))
        progress.start(f"train {settings.name}")
        run = TrainingRun(checkpoint_dir=folder / "checkpoint", resume=cache.resume, progress=_epochs(progress))
        start = time.perf_counter()
        detector = Detector(settings).fit(
            train.features,
            train.weight,
            validation=validation.features,
            validation_weights=validation.weight,
            run=run,
        )
        _save(detector, folder, time.perf_counter() - start)

    folder = cache.make(f"detector-{settings.name}", {**key, **_fit_key(settings.to_dict())}, produce)
    return Fitted(Detector.load(folder / "model"), folder / "model", _seconds(folder))


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
        progress.update(
            report.epoch,
            f"epoch {report.epoch}, validation loss {report.validation_loss:.4g}, best {report.best_epoch}",
        )

    return tell
