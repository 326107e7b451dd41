"""The configuration of a tuning study: a search, a detector, what may vary in it, and what is to be reached."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from anomalon.config import Settings, load_yaml
from anomalon.distortions import Distortion, Distortions, lepton_scale
from anomalon.errors import AnomalonError, ConfigError, suggest
from anomalon.models.detector import DetectorSettings
from anomalon.pipeline.benchmark_configuration import BenchmarkConfig
from anomalon.pipeline.cache import digest
from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.sample_configuration import OneLine

OF_SEARCHES = ("luminosity_fb", "samples", "simulation", "selection", "features", "split")
CHANNEL = "study"
"""Name of the only channel when a study prepares its events as a benchmark does."""
MOVES_THE_LOSS = ("preprocessing", "compare", "beta", "loss", "error", "features", "inputs")
"""Settings that change what a loss is made of: losses on either side of such a change cannot be compared."""


class Range(Settings):
    """Numbers between two ends, both included; whole numbers where both ends are.

    Attributes:
        log: whether to draw evenly in the logarithm.
        step: distance of the numbers that are drawn.
    """

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low = {self.low:g} is not below high = {self.high:g}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log needs a low above 0, and no step")
        return self

    @property
    def whole(self) -> bool:
        """Whether numbers are whole."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def ends(self) -> tuple[Any, ...]:
        """Values that every other one lies between."""
        return self.low, self.high


class Choices(Settings):
    """Values of any kind, such as lists of widths."""

    choices: tuple[Any, ...]

    @field_validator("choices")
    @classmethod
    def _a_choice(cls, choices: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(choices) < 2:
            raise ValueError("give at least two; what does not vary belongs to the detector")
        return choices

    @property
    def ends(self) -> tuple[Any, ...]:
        """All values."""
        return self.choices

    @property
    def written(self) -> list[str]:
        """Each as text: storages hold text, numbers and nothing else."""
        return [json.dumps(choice, sort_keys=True) for choice in self.choices]


def _form(value: Any) -> str:
    given = value if isinstance(value, Mapping) else {}
    return "choices" if "choices" in given or isinstance(value, Choices) else "range"


Varied = Annotated[Annotated[Range, Tag("range")] | Annotated[Choices, Tag("choices")], Discriminator(_form)]
"""What a setting may be: a range, or choices."""


class ValidationLoss(Settings):
    """The smallest loss on validation background: what the detector itself learns by."""

    kind: Literal["validation-loss"] = "validation-loss"


def _harder_leptons() -> dict[str, tuple[Distortion, ...]]:
    return {f"leptons-x{factor:g}": lepton_scale(factor) for factor in (1.5, 3.0)}


class Proxy(Settings):
    """Signal efficiency on events that stand for signals, none of which is one: no label of a signal is used.

    The mean over pseudo-signals: a background process that was left out of training, and distorted background.

    Attributes:
        leave_out: background sample; None takes the smallest that has enough events, where there are several.
        distortions: name -> distortions of background validation events, which make a pseudo-signal each.
        background_efficiency: where the efficiencies are taken.
        events: at most so many validation events are distorted.
    """

    kind: Literal["proxy"] = "proxy"
    leave_out: str | None = None
    distortions: dict[str, Distortions] = Field(default_factory=_harder_leptons)
    background_efficiency: float = Field(default=1e-2, gt=0, lt=1)
    events: int = Field(default=20_000, ge=100)


class NamedSignal(Settings):
    """Largest significance improvement on validation events of a signal: its labels are used, and the study says so."""

    kind: Literal["sic"] = "sic"
    signal: str


def _kind(value: Any) -> Any:
    return value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)


Objective = Annotated[
    Annotated[ValidationLoss, Tag("validation-loss")]
    | Annotated[Proxy, Tag("proxy")]
    | Annotated[NamedSignal, Tag("sic")],
    Discriminator(
        _kind,
        custom_error_type="kind_of_objective",
        custom_error_message="'kind' must be validation-loss, proxy or sic",
    ),
]


class TuningConfig(Settings):
    """A study: ``trials`` settings of one detector, tried on the background of a search.

    Attributes:
        search: a search's YAML file, whose samples, selection, features and split are taken; keys given here win.
        seed: of the events and of what is drawn.
        detector: the detector, with everything that does not vary.
        space: dotted key of a setting, such as ``training.learning_rate`` -> range or choices.
        objective: what is reached; see the classes.
        trials: number of trials that are to be finished.
        sampler: ``tpe`` or ``random``.
        pruner: ``hyperband`` stops trials that fall behind after a ninth and a third of their epochs; ``none``
            lets all of them end.
        storage: URL of a database that several machines can reach; None keeps a journal in the output folder.
        common: keys of the search; written flat in YAML.
    """

    title: OneLine = "Tuning"
    search: Path | None = None
    seed: int = Field(default=1, ge=0, lt=2**31)
    detector: dict[str, Any]
    space: dict[str, Varied] = Field(min_length=1)
    objective: Objective = Proxy()
    trials: int = Field(default=30, ge=1, le=100_000)
    sampler: Literal["tpe", "random"] = "tpe"
    pruner: Literal["hyperband", "none"] = "hyperband"
    storage: str | None = None
    common: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _flat_and_short(cls, values: Any) -> Any:
        """Keys of a search in one place; ``objective: proxy`` is short for ``{kind: proxy}``."""
        if not isinstance(values, Mapping):
            return values
        given = {key: values[key] for key in OF_SEARCHES if key in values}
        own = {key: value for key, value in values.items() if key not in OF_SEARCHES}
        if isinstance(own.get("objective"), str):
            own["objective"] = {"kind": own["objective"]}
        return {**own, "common": {**own.get("common", {}), **given}}

    @field_validator("storage")
    @classmethod
    def _a_url(cls, storage: str | None) -> str | None:
        if storage is not None and "://" not in storage:
            raise ValueError("expected the URL of a database, such as sqlite:///study.db or mysql://...")
        return storage

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        search = self.base
        for key, varied in self.space.items():
            for value in varied.ends:
                self._try(key, value)
        backgrounds, signals = ([s.name for s in search.samples if s.role == r] for r in ("background", "signal"))
        if isinstance(self.objective, NamedSignal) and self.objective.signal not in signals:
            raise ConfigError(
                f"objective.signal: no signal '{self.objective.signal}'; {suggest(self.objective.signal, signals)}"
            )
        left_out = self.objective.leave_out if isinstance(self.objective, Proxy) else None
        if left_out is not None and left_out not in backgrounds:
            raise ConfigError(
                f"objective.leave_out: no background sample '{left_out}'; {suggest(left_out, backgrounds)}"
            )
        return self

    def _try(self, key: str, value: Any) -> None:
        """Refuse a setting that the detector does not have, or a value that it cannot take."""
        try:
            DetectorSettings.parse(self.varied({key: value}), where="detector")
        except AnomalonError as error:
            raise ConfigError(f"space.{key} = {value!r}: {error}") from None

    @cached_property
    def base(self) -> SearchConfig:
        """The search that the study is part of, with the detector as it is given.

        Raises:
            ConfigError: the keys make no search, or the detector no detector.
        """
        given = {k: v for k, v in load_yaml(self.search).items() if k in OF_SEARCHES} if self.search else {}
        values = {**given, **self.common, "title": self.title, "seed": self.seed, "detectors": [self.detector]}
        return SearchConfig.parse(values, where=str(self.search or "tuning"))

    def varied(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The detector with some settings changed, given by dotted keys."""
        changed: dict[str, Any] = json.loads(json.dumps(self.detector))
        for key, value in parameters.items():
            *parents, last = key.split(".")
            place = changed
            for parent in parents:
                place = place.setdefault(parent, {})
            place[last] = value
        return changed

    def search_with(self, parameters: Mapping[str, Any]) -> SearchConfig:
        """The search with the detector of these settings."""
        return SearchConfig.parse(
            {**self.base.model_dump(mode="json"), "detectors": [self.varied(parameters)], "main_detector": None}
        )

    def settings(self, parameters: Mapping[str, Any]) -> DetectorSettings:
        """Settings of the detector for one trial."""
        return self.search_with(parameters).detector_settings()[-1]

    def benchmark_with(self, parameters: Mapping[str, Any]) -> BenchmarkConfig:
        """A benchmark of the detector of these settings, on all signals of the search."""
        search = self.base.model_dump(mode="json")
        keys = {key: search[key] for key in OF_SEARCHES}
        chosen = [self.objective.signal] if isinstance(self.objective, NamedSignal) else []
        return BenchmarkConfig.parse(
            {
                "title": self.title, "seed": self.seed, "choose_on": chosen, "channels": {CHANNEL: {}},
                "detectors": [self.varied(parameters)], **keys,
            }
        )  # fmt: skip

    @property
    def maximised(self) -> bool:
        """Whether larger values are better."""
        return not isinstance(self.objective, ValidationLoss)

    def warnings(self) -> Iterator[str]:
        """What to know before believing the study."""
        if isinstance(self.objective, NamedSignal):
            yield (
                f"the labels of signal '{self.objective.signal}' are used: the detector that is found is no longer "
                "blind to it; judge it on other signals"
            )
        moving = [key for key in self.space if key.split(".")[0] in MOVES_THE_LOSS]
        if isinstance(self.objective, ValidationLoss) and moving:
            yield (
                f"{', '.join(moving)} change(s) what the validation loss is made of: trials that differ in it are not "
                "comparable; use objective: proxy"
            )

    @property
    def digest(self) -> str:
        """Digest of everything that makes two trials comparable: all but the number of trials."""
        kept = self.model_dump(mode="json", exclude={"trials", "storage", "search", "common", "title"})
        return digest(
            {**kept, "base": self.base.model_dump(mode="json", exclude={"simulation": {"workers"}, "title": True})}
        )

    @classmethod
    def load(cls, path: str | Path, **changes: Any) -> Self:
        """Read a YAML file, some keys of it changed; ``search`` is looked for beside the file.

        Raises:
            ConfigError: with the key, the value and what is allowed.
        """
        values = {**load_yaml(path), **changes}
        if isinstance(values.get("search"), str) and not Path(values["search"]).is_absolute():
            beside = Path(path).parent / values["search"]
            values["search"] = str(beside if beside.is_file() else values["search"])
        return cls.parse(values, where=str(path))

    def to_yaml(self) -> str:
        """The resolved configuration, the password of a database left out."""
        values = {**self.model_dump(mode="json"), "storage": without_password(self.storage)}
        return yaml.safe_dump({**values, **values.pop("common")}, sort_keys=False, allow_unicode=True)


def without_password(url: str | None) -> str | None:
    """The URL of a database as it may be shown.

    >>> without_password("mysql://me:secret@host/study"), without_password("sqlite:///study.db")
    ('mysql://me:***@host/study', 'sqlite:///study.db')
    """
    return None if url is None else re.sub(r"(?<=://)([^:/@]*):[^@/]*@", r"\1:***@", url)
