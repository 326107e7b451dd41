"""The configuration of a benchmark: detectors, channels and seeds; every channel is a search of its own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import Field, field_validator, model_validator

from anomalon.config import Settings, load_yaml
from anomalon.errors import AnomalonError, ConfigError, suggest
from anomalon.models.detector import DetectorSettings
from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.sample_configuration import OneLine, SafeName
from anomalon.search.evaluation import MET_ALONE

OF_SEARCHES = (
    "luminosity_fb", "samples", "simulation", "selection", "features", "split", "detectors", "supervised",
)  # fmt: skip
"""Keys of a search that a benchmark gives to all channels, or a channel to itself."""
OF_CHANNELS = ("title", "files", *OF_SEARCHES)


class BenchmarkConfig(Settings):
    """Detectors on signals in channels, for several seeds.

    The keys of a search (``samples``, ``selection``, ``detectors``, ...) hold for every channel that does not give them
    itself. Detectors are trained once per seed; events, and the split into training, validation and test, are those of
    ``seed``, so that all are compared on the same events.

    Attributes:
        seed: of simulation, split and bootstrap.
        seeds: of the trainings.
        channels: name -> keys of a search, and ``files``: patterns of real files, see
            :mod:`anomalon.pipeline.benchmark_files`.
        choose_on: signals that a detector may be chosen on.
        judge_on: signals that it is judged on; by default all others.
        leave_out: background samples that are left out of training one at a time and then are the signal.
        background_uncertainty: relative, of significances and needed events.
        replicas: of the bootstrap.
        minimum_background: raw background events that a point needs to be reliable.
    """

    title: OneLine = "Benchmark of detectors"
    seed: int = Field(default=1, ge=0, lt=2**31)
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**31)], ...], Field(min_length=1)] = (1, 2, 3)
    channels: dict[SafeName, dict[str, Any]] = Field(min_length=1)
    choose_on: tuple[str, ...] = ()
    judge_on: tuple[str, ...] | None = None
    leave_out: tuple[str, ...] = ()
    background_uncertainty: float = Field(default=0.2, ge=0, lt=10)
    replicas: int = Field(default=200, ge=10, le=10_000)
    minimum_background: int = Field(default=10, ge=1)
    common: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _keys_of_all_channels(cls, values: Any) -> Any:
        """Put the keys of searches in one place, so that the others can be checked as usual."""
        if not isinstance(values, dict):
            return values
        given = {key: values[key] for key in OF_SEARCHES if key in values}
        own = {key: value for key, value in values.items() if key not in OF_SEARCHES}
        return {**own, "common": {**own.get("common", {}), **given}} if given else own

    @field_validator("channels")
    @classmethod
    def _known_keys(cls, channels: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name, keys in channels.items():
            for key in keys:
                if key not in OF_CHANNELS:
                    raise ConfigError(f"channels.{name}: unknown key '{key}'; {suggest(key, OF_CHANNELS)}")
        return channels

    @field_validator("seeds")
    @classmethod
    def _different(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds):
            raise ValueError("a seed is given twice: the same training would be counted twice")
        return seeds

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        signals = self.signals
        for key in ("choose_on", "judge_on"):
            for name in getattr(self, key) or ():
                if name not in signals:
                    raise ConfigError(f"{key}: no signal '{name}' in any channel; {suggest(name, signals)}")
        twice = set(self.choose_on) & set(self.judge_on or ())
        if twice:
            raise ConfigError(
                f"judge_on: '{min(twice)}' is among choose_on, too: a detector cannot be judged on what it was "
                "chosen on"
            )
        backgrounds = sorted({s.name for c in self.searches.values() for s in c.samples if s.role == "background"})
        for name in self.leave_out:
            if name not in backgrounds:
                raise ConfigError(f"leave_out: no background sample '{name}'; {suggest(name, backgrounds)}")
        return self

    @cached_property
    def searches(self) -> dict[str, SearchConfig]:
        """The search that each channel is.

        Raises:
            ConfigError: a channel is no search; the message names the channel and the key.
        """
        return {name: self._search(name) for name in self.channels}

    def _search(self, name: str) -> SearchConfig:
        keys = {k: v for k, v in self.channels[name].items() if k != "files"}
        try:
            search = SearchConfig.parse({"title": name, **self.common, **keys, "seed": self.seed})
        except AnomalonError as error:
            raise ConfigError(f"channels.{name}: {str(error).removeprefix('configuration: ')}") from None
        if search.background == "data":
            raise ConfigError(f"channels.{name}: a benchmark needs simulated background to judge with")
        return search

    @property
    def signals(self) -> tuple[str, ...]:
        """Names of the signals of all channels, in order."""
        names = (s.name for search in self.searches.values() for s in search.samples if s.role == "signal")
        return tuple(dict.fromkeys(names))

    @property
    def judged(self) -> tuple[str, ...]:
        """Signals to judge on."""
        return tuple(s for s in self.signals if s not in self.choose_on) if self.judge_on is None else self.judge_on

    def trained(self, channel: str) -> Sequence[DetectorSettings]:
        """Detectors of a channel, MET alone left out: that is the same for every seed."""
        return [d for d in self.searches[channel].detector_settings() if d.name != MET_ALONE]

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a YAML file.

        Raises:
            ConfigError: with the key, the value and what is allowed.
        """
        return cls.parse(load_yaml(path), where=str(path))

    def to_yaml(self) -> str:
        """The configuration as it was given, with the defaults of the benchmark; reading it gives the same."""
        values = self.model_dump(mode="json")
        return yaml.safe_dump({**values, **values.pop("common")}, sort_keys=False, allow_unicode=True)
