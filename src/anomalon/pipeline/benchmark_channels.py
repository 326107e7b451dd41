"""The channels of a benchmark: their events selected, split and mixed, once for every process that needs them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from anomalon.batches import TEST, TRAIN
from anomalon.pipeline import fit
from anomalon.pipeline.benchmark_configuration import BenchmarkConfig
from anomalon.pipeline.cache import StageCache
from anomalon.pipeline.configuration import MET_COLUMN, SearchConfig
from anomalon.pipeline.evaluate import signal_names
from anomalon.pipeline.mixed import mixed_stage
from anomalon.pipeline.parts import Parts
from anomalon.pipeline.progress import Progress, Silent
from anomalon.pipeline.samples import SelectedSample, select_samples
from anomalon.pipeline.summaries import cutflow_of
from anomalon.pipeline.table import Table, is_normalised
from anomalon.search.evaluation import single_variable_score
from anomalon.store import Store

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

MINIMUM_SIGNAL = 20
"""Fewer training or test events of a signal than this say nothing."""


@dataclass(frozen=True)
class Bench:
    """What every process needs: the configuration as text, and the folder of the cache; hashable.

    >>> Bench("{}", Path("cache")) == Bench("{}", Path("cache"))
    True
    """

    text: str
    folder: Path

    @classmethod
    def of(cls, config: BenchmarkConfig, folder: Path) -> Bench:
        """Write a configuration down."""
        return cls(config.model_dump_json(), folder)

    @property
    def config(self) -> BenchmarkConfig:
        """The configuration."""
        return _read(self.text)


@lru_cache(maxsize=4)
def _read(text: str) -> BenchmarkConfig:
    return BenchmarkConfig.parse(json.loads(text))


@dataclass(frozen=True)
class Prepared:
    """A channel, ready for detectors.

    Attributes:
        key: what trainings depend on.
        met: missing transverse momentum, shape (event,).
        yields: weights (event,) of test events, scaled to the whole sample; others are 0.
    """

    search: SearchConfig
    selected: tuple[SelectedSample, ...]
    parts: Parts
    key: dict[str, Any]
    met: Floats
    yields: Floats

    @property
    def background(self) -> Mask:
        """Usable test background, shape (event,)."""
        return self.parts.where("background", TEST)

    @property
    def normalised(self) -> bool:
        """Whether weights of the background are expected events."""
        return all(is_normalised(s.sample) for s in self.selected if s.config.role == "background")

    @property
    def signals(self) -> tuple[str, ...]:
        """Signals with enough training and test events to say anything about."""
        parts = self.parts
        enough = ((n, min(int(parts.where("signal", k, n).sum()) for k in (TRAIN, TEST))) for n in signal_names(parts))
        return tuple(name for name, least in enough if least >= MINIMUM_SIGNAL)

    def can_leave_out(self, sample: str) -> bool:
        """Whether a background sample, and what is left without it, have enough events."""
        trained = self.parts.where("background", TRAIN) & (self.parts.table.sample_name != sample)
        enough = int(trained.sum()) >= fit.MINIMUM_TRAINING
        return enough and int(self.parts.where("background", TEST, sample).sum()) >= MINIMUM_SIGNAL

    def normalised_signal(self, name: str) -> bool:
        """Whether those of a signal are, too."""
        return self.normalised and all(is_normalised(s.sample) for s in self.selected if s.config.name == name)


def prepare(bench: Bench, channel: str, progress: Progress | None = None) -> Prepared:
    """Simulate or read, select, split and mix the events of a channel, or take them from the cache."""
    search, cache, listener = bench.config.searches[channel], StageCache(bench.folder), progress or Silent()
    stages: dict[str, str] = {}
    selected = select_samples(search, cache, listener, stages)
    table = Table.concatenate([s.table for s in selected])
    parts = Parts.of(
        table, search, lambda places: Store(mixed_stage([s.events for s in selected], places, cache, listener))
    )
    fit.check_enough(parts, cutflow_of(selected))
    met = single_variable_score(parts.table.features, MET_COLUMN, "high")
    return Prepared(search, tuple(selected), parts, fit.training_key(search, stages), met, parts.test_weight())


@lru_cache(maxsize=2)
def prepared(bench: Bench, channel: str) -> Prepared:
    """The same once per process."""
    return prepare(bench, channel)
