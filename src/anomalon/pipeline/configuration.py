"""The configuration of a search, checked before anything runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import AfterValidator, Field, field_validator, model_validator

from anomalon import features
from anomalon.config import Settings, load_yaml
from anomalon.errors import ConfigError, suggest
from anomalon.events import DEFAULT_LUMINOSITY, Sample
from anomalon.features import FeatureSet
from anomalon.models.detector import DetectorSettings
from anomalon.models.discriminator import DiscriminatorSettings
from anomalon.pipeline.reading import KEYS as READING_KEYS
from anomalon.pipeline.reading import trigger_list, trigger_paths
from anomalon.preprocessing import expand
from anomalon.search.evaluation import BEST_VARIABLE, MET_ALONE, SUPERVISED
from anomalon.search.results import Role
from anomalon.selection import TrileptonSelection
from anomalon.simulation import FakeSettings, SimulationSettings, get_process
from anomalon.simulation.presets import get_detector

SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
"""Names become names of files and folders: nothing that a file system, a shell or a page could misread."""


def _safe_name(name: str) -> str:
    if not SAFE_NAME.fullmatch(name):
        raise ValueError("expected up to 64 letters, digits and . _ + - that begin with a letter or a digit")
    return name


def _one_line(text: str) -> str:
    if not text.strip() or len(text) > 200 or not text.isprintable():
        raise ValueError("expected one line of 1 to 200 printable characters")
    return text


SafeName = Annotated[str, AfterValidator(_safe_name)]
OneLine = Annotated[str, AfterValidator(_one_line)]


class SampleConfig(Settings):
    """One sample: simulated (``simulate``) or read from files or a store (``files``).

    Attributes:
        name: a short name of its own, such as ``wz``; letters, digits and ``. _ + -``.
        role: ``background`` (trained on), ``signal`` (evaluated on) or ``data`` (collision data, scored blinded).
        simulate: a process of ``anomalon simulate --list``.
        parameters: of the process, such as ``{mass: 2000}``.
        events: number of events to generate, 10 000 by default.
        files: event files or stores; globs and directories too.
        process: name of the process in tables; by default the sample's name.
        title: a few words for the report; by default the catalogue's.
        cross_section_pb: for files whose cross section is known to you alone.
        k_factor: ratio to the cross section of a higher order; None keeps what the sample says.
        filter_efficiency: for files: fraction that passes the generator's filter; None keeps what the sample says.
        luminosity_mask: for files: JSON of good lumi blocks; collision data outside is left out.
        triggers: for files: any of these paths must have fired: a list, year -> list, or a YAML file of such.
        year: of simulated events, where triggers has lists of several years.
        mapping: for flat files: YAML that says which column is which event field.
        checksums: for files: list as ``sha256sum`` writes it; a changed file is refused.
        skip_bad: for files: list damaged ones in the ledger and go on.
        lenient: for text files: leave bad lines out and count them.
        keep_duplicates: for files of simulation whose jobs reuse event numbers.
        sqrt_s_gev: for files: centre-of-mass energy; None for that of the file, or 13 TeV where it does not say.
    """

    name: SafeName
    role: Role
    simulate: str | None = None
    parameters: dict[str, float] = Field(default_factory=dict)
    events: int | None = Field(default=None, ge=1)
    files: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    process: OneLine | None = None
    title: OneLine | None = None
    cross_section_pb: float | None = Field(default=None, gt=0)
    k_factor: float | None = Field(default=None, gt=0)
    filter_efficiency: float | None = Field(default=None, gt=0, le=1)
    luminosity_mask: Path | None = None
    triggers: dict[int, tuple[str, ...]] | None = None
    year: int | None = None
    mapping: Path | None = None
    checksums: Path | None = None
    skip_bad: bool = False
    lenient: bool = False
    keep_duplicates: bool = False
    sqrt_s_gev: float | None = Field(default=None, gt=0)

    @field_validator("triggers", mode="before")
    @classmethod
    def _trigger_paths(cls, given: Any) -> Any:
        return trigger_paths(given)

    @model_validator(mode="before")
    @classmethod
    def _default_events(cls, values: Any) -> Any:
        return {"events": 10_000, **values} if isinstance(values, dict) and values.get("simulate") else values

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.simulate) == bool(self.files):
            raise ConfigError(f"sample '{self.name}': give either simulate: PROCESS or files: [...]")
        if self.simulate and self.role == "data":
            raise ConfigError(f"sample '{self.name}': simulated events cannot have role data")
        for key in self._senseless():
            raise ConfigError(f"sample '{self.name}': {key} means nothing {self._kind}; leave it out")
        if self.simulate:
            get_process(self.simulate, **self.parameters)
        if self.triggers is not None:
            trigger_list(self.triggers, self.year, f"sample '{self.name}'")
        elif self.year is not None:
            raise ConfigError(f"sample '{self.name}': year chooses among the lists of triggers; give those, too")
        return self

    @property
    def _kind(self) -> str:
        return "for collision data" if self.role == "data" else "with files" if self.files else "with simulate"

    def _senseless(self) -> list[str]:
        """Keys that are given and would have no effect."""
        normalisation = ("cross_section_pb", "k_factor", "filter_efficiency")
        keys = ["parameters", "events"] if self.files else ["filter_efficiency", *READING_KEYS]
        keys += (*normalisation, "keep_duplicates") if self.role == "data" else ()
        return [key for key in keys if getattr(self, key)]

    @property
    def process_name(self) -> str:
        """Name of the process in tables and figures."""
        return self.process or self.name

    @property
    def heading(self) -> str:
        """Title for the report."""
        if self.title or not self.simulate:
            return self.title or self.process_name
        process = get_process(self.simulate, **self.parameters)
        chosen = ", ".join(f"{name} = {value:g}" for name, value in process.values.items())
        return f"{process.title} ({chosen})" if chosen else process.title

    def describe(self, sample: Sample) -> Sample:
        """The sample with this configuration's name, process and cross section."""
        changes: dict[str, Any] = {"name": self.name, "process": self.process_name}
        given = {k: getattr(self, k) for k in ("cross_section_pb", "k_factor", "filter_efficiency")}
        changes |= {key: value for key, value in given.items() if value is not None}
        return sample.model_copy(update=changes)


class SimulationConfig(Settings):
    """How samples are simulated.

    Attributes:
        mpi: multi-parton interactions; off is several times faster and fine for development.
        detector: a detector preset.
        skim_leptons: store only events with at least this many leptons; yields are not touched by it.
        fakes: how jets turn into leptons, in the processes that ask for it.
        workers: processes; None uses all cores. The events do not depend on it.
    """

    mpi: bool = True
    detector: str = "cms"
    skim_leptons: int = Field(default=3, ge=0)
    fakes: FakeSettings = FakeSettings()
    workers: int | None = Field(default=None, ge=1)

    @field_validator("detector")
    @classmethod
    def _known_detector(cls, name: str) -> str:
        get_detector(name)
        return name


class SplitConfig(Settings):
    """Fractions of the events for training, validation and test; they are disjoint and sum to 1."""

    train: float = Field(default=0.5, gt=0, lt=1)
    validation: float = Field(default=0.2, gt=0, lt=1)
    test: float = Field(default=0.3, gt=0, lt=1)

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        if abs(sum(self.fractions) - 1.0) > 1e-9:
            raise ConfigError(f"split: train + validation + test = {sum(self.fractions):g}, must be 1")
        return self

    @property
    def fractions(self) -> tuple[float, float, float]:
        """The three fractions, in the order training, validation, test."""
        return self.train, self.validation, self.test


class ReportConfig(Settings):
    """What the report shows.

    Attributes:
        candidates: number of top events listed.
        experiment_label: printed on figures, such as ``CMS Open Data``; none by default.
    """

    candidates: int = Field(default=20, ge=0, le=10_000)
    experiment_label: str = Field(default="", max_length=100)


class SearchConfig(Settings):
    """A whole search; see ``anomalon init`` for a commented example."""

    title: OneLine = "Search for anomalous events"
    luminosity_fb: float = Field(default=DEFAULT_LUMINOSITY, gt=0)
    seed: int = Field(default=1, ge=0, lt=2**31)
    samples: tuple[SampleConfig, ...]
    simulation: SimulationConfig = SimulationConfig()
    selection: TrileptonSelection = TrileptonSelection()
    features: dict[str, Any] = Field(default_factory=lambda: {"set": "trilepton"})
    split: SplitConfig = SplitConfig()
    threshold_quantile: float = Field(default=0.95, gt=0.5, lt=1)
    detectors: tuple[dict[str, Any], ...] = Field(default=({"kind": "isolation-forest"},), min_length=1)
    main_detector: str | None = None
    supervised: dict[str, Any] | None = Field(default_factory=lambda: {"kind": "gradient-boosting"})
    report: ReportConfig = ReportConfig()

    @field_validator("features")
    @classmethod
    def _known_feature_set(cls, values: dict[str, Any]) -> dict[str, Any]:
        name = values.get("set", "trilepton")
        if not isinstance(name, str):
            raise ConfigError(f"set = {name!r}: expected the name of a feature set: {', '.join(features.available())}")
        if "selection" in values:
            raise ConfigError("the features follow the selection of the search; give it under the key selection")
        features.get(name, **{k: v for k, v in values.items() if k != "set"})
        return {"set": name, **values}

    @field_validator("detectors")
    @classmethod
    def _known_detectors(cls, values: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        for i, value in enumerate(values):
            _check_detector(value, f"detectors[{i}]")
        return values

    @field_validator("supervised")
    @classmethod
    def _known_classifier(cls, values: dict[str, Any] | None) -> dict[str, Any] | None:
        if values is not None:
            DiscriminatorSettings.parse(values, where="supervised")
        return values

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _unique("sample", [s.name for s in self.samples])
        _simulated_once(self.samples)
        names = [d.name for d in self.detector_settings()]
        _unique("detector", names)
        self._check_inputs()
        for role in ("background", "signal"):
            if not any(s.role == role for s in self.samples):
                raise ConfigError(f"samples: no sample has role {role}; a search needs at least one")
        if self.main_detector is not None and self.main_detector not in names:
            raise ConfigError(
                f"main_detector: no detector '{self.main_detector}'; {suggest(self.main_detector, names)}"
            )
        return self

    def _check_inputs(self) -> None:
        """Refuse inputs that the features do not have, before anything is simulated or read."""
        columns = self.feature_set().names
        settings = [(f"detector '{d.name}'", d.preprocessing) for d in self.detector_settings()]
        if self.supervised is not None:
            settings.append(("supervised", self.supervised_settings().preprocessing))
        for what, preprocessing in settings:
            try:
                expand(preprocessing.inputs or (), columns)
            except ConfigError as error:
                raise ConfigError(f"{what}: {error}") from None

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a YAML file.

        Raises:
            ConfigError: with the key, the value and what is allowed.
        """
        return cls.parse(load_yaml(path), where=str(path))

    def feature_set(self) -> FeatureSet:
        """The features, computed with this configuration's selection."""
        settings = {k: v for k, v in self.features.items() if k != "set"}
        return features.get(self.features["set"], selection=self.selection, **settings)

    def simulation_settings(self, sample: SampleConfig) -> SimulationSettings:
        """How one of the samples is simulated."""
        return SimulationSettings.parse(
            {
                "process": get_process(sample.simulate or "", **sample.parameters),
                "n_events": sample.events,
                "seed": self.seed,
                **self.simulation.model_dump(exclude={"workers"}),
            },
            where=f"sample '{sample.name}'",
        )

    def detector_settings(self) -> tuple[DetectorSettings, ...]:
        """Settings of the detectors; those without a seed use the search's. MET alone always comes first."""
        configured = [
            DetectorSettings.parse({"seed": self.seed, **value, **self._feature_keys()}, where=f"detectors[{i}]")
            for i, value in enumerate(self.detectors)
        ]
        if any(d.name == "met" for d in configured):
            return tuple(configured)
        return (DetectorSettings.parse({"kind": "met", **self._feature_keys()}), *configured)

    def supervised_settings(self) -> DiscriminatorSettings:
        """Settings of the supervised bound; without a seed it uses the search's."""
        return DiscriminatorSettings.parse({"seed": self.seed, **(self.supervised or {})}, where="supervised")

    def _feature_keys(self) -> dict[str, Any]:
        """What a saved detector must know to compute its features from events by itself."""
        settings = {k: v for k, v in self.features.items() if k != "set"}
        settings["selection"] = self.selection.model_dump(mode="json")
        return {"features": self.features["set"], "feature_settings": settings}

    @property
    def main(self) -> str:
        """Name of the detector that flags events: ``main_detector``, else the first one that is no baseline."""
        return self.main_detector or next((d.name for d in self.detector_settings() if d.name != "met"), "met")

    def to_yaml(self) -> str:
        """The resolved configuration."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _check_detector(value: dict[str, Any], where: str) -> None:
    """Refuse what the detector's own settings cannot: names of other things, and features of its own."""
    name = DetectorSettings.parse(value, where=where).name
    try:
        _safe_name(name)
    except ValueError as error:
        raise ConfigError(f"{where}: name = {name[:80]!r}: {error}") from None
    if name in (BEST_VARIABLE, SUPERVISED) or (name == MET_ALONE and value["kind"] != MET_ALONE):
        raise ConfigError(f"{where}: name = '{name}' is taken by a baseline of every search; choose another")
    for key in ("features", "feature_settings"):
        if key in value:
            raise ConfigError(f"{where}: unknown key '{key}'; all detectors share the search's, under the key features")


def _unique(what: str, names: list[str]) -> None:
    folded = [name.casefold() for name in names]  # some file systems do not tell a.b from A.b
    for name, key in zip(names, folded, strict=True):
        if folded.count(key) > 1:
            raise ConfigError(f"two {what}s are called '{name}'; give each a name of its own")


def _simulated_once(samples: tuple[SampleConfig, ...]) -> None:
    """Refuse the same process twice: with one seed its events are the same, not more of them."""
    names: dict[str, str] = {}
    for sample in samples:
        if sample.simulate:
            label = get_process(sample.simulate, **sample.parameters).label
            if label in names:
                raise ConfigError(
                    f"samples '{names[label]}' and '{sample.name}' both simulate {label}: their events would be the "
                    "same; make one sample of them with more events"
                )
            names[label] = sample.name
