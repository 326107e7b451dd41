"""The configuration of a search, checked before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import Field, field_validator, model_validator

from anomalon import features
from anomalon.config import Settings, load_yaml
from anomalon.errors import ConfigError, suggest
from anomalon.events import DEFAULT_LUMINOSITY
from anomalon.features import FeatureSet
from anomalon.models.detector import DetectorSettings
from anomalon.models.discriminator import DiscriminatorSettings
from anomalon.models.presets import with_preset
from anomalon.pipeline.sample_configuration import OneLine, SampleConfig, check_simulated_once, safe_name
from anomalon.preprocessing import expand
from anomalon.search.evaluation import BEST_VARIABLE, MET_ALONE, SUPERVISED
from anomalon.search.results import Background, Role, background_role
from anomalon.search.sanity import SanitySettings
from anomalon.search.statistics_settings import StatisticsSettings
from anomalon.search.systematics import check as check_systematics
from anomalon.selection import AnySelection, TrileptonSelection
from anomalon.simulation import FakeSettings, SimulationSettings, get_process
from anomalon.simulation.presets import get_detector

_ADVICE = {
    "background": " (or background: data, with which collision data is its own background)",
    "data": " with background: data",
}
"""What to do without a sample of a role."""


MET_COLUMN = "MET_pt"
"""Feature that the baseline of every search is made of."""


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
    """A whole search; see ``anomalon init`` for a commented example.

    ``background`` says what the detectors learn from: simulated samples of role background, or the collision data
    itself, which then is its own background.
    """

    title: OneLine = "Search for anomalous events"
    luminosity_fb: float = Field(default=DEFAULT_LUMINOSITY, gt=0)
    seed: int = Field(default=1, ge=0, lt=2**31)
    background: Background = "simulation"
    samples: tuple[SampleConfig, ...]
    simulation: SimulationConfig = SimulationConfig()
    selection: AnySelection = TrileptonSelection()
    features: dict[str, Any] = Field(default_factory=dict)
    split: SplitConfig = SplitConfig()
    threshold_quantile: float = Field(default=0.95, gt=0.5, lt=1)
    detectors: tuple[dict[str, Any], ...] = Field(default=({"kind": "isolation-forest"},), min_length=1)
    main_detector: str | None = None
    supervised: dict[str, Any] | None = Field(default_factory=lambda: {"kind": "gradient-boosting"})
    report: ReportConfig = ReportConfig()
    sanity: SanitySettings = SanitySettings()
    statistics: StatisticsSettings = StatisticsSettings()

    @model_validator(mode="before")
    @classmethod
    def _features_of_the_selection(cls, values: Any) -> Any:
        """Without a feature set, that of the same name as the selection is taken."""
        if not isinstance(values, dict):
            return values
        chosen, selection = values.get("features", {}), values.get("selection", {})
        if not isinstance(chosen, dict) or "set" in chosen or not isinstance(selection, dict):
            return values
        return {**values, "features": {"set": selection.get("kind", "trilepton"), **chosen}}

    @field_validator("features")
    @classmethod
    def _known_feature_set(cls, values: dict[str, Any]) -> dict[str, Any]:
        name = values.get("set", "trilepton")
        if not isinstance(name, str):
            raise ConfigError(f"set = {name!r}: expected the name of a feature set: {', '.join(features.available())}")
        if "selection" in values:
            raise ConfigError("the features follow the selection of the search; give it under the key selection")
        made = features.get(name, **{k: v for k, v in values.items() if k != "set"})
        if MET_COLUMN not in made.names:
            raise ConfigError(
                f"set '{name}' has no {MET_COLUMN}, which every search cuts on; keep the set of the table, such as "
                f"leptons, and give 'features: {name}' to the detectors that see it"
            )
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
        check_simulated_once(self.samples)
        names = [d.name for d in self.detector_settings()]
        _unique("detector", names)
        self._check_inputs()
        self._check_roles()
        self.statistics.columns(self.feature_set().names)
        roles = {s.name: s.role for s in self.samples}
        check_systematics(self.statistics.systematics, roles, "statistics.systematics")
        for key, name in (("main_detector", self.main_detector), ("sanity.detector", self.sanity.detector)):
            if name is not None and name not in names:
                raise ConfigError(f"{key}: no detector '{name}'; {suggest(name, names)}")
        backgrounds = [s.name for s in self.samples if s.role == "background"]
        for name in self.sanity.leave_out or ():
            if name not in backgrounds:
                raise ConfigError(f"sanity.leave_out: no background sample '{name}'; {suggest(name, backgrounds)}")
        return self

    def _check_roles(self) -> None:
        """Refuse a search without background, and one whose data is its own background beside simulated ones."""
        needed: tuple[Role, ...] = ("background", "signal") if self.background == "simulation" else ("data",)
        for role in needed:
            if not any(s.role == role for s in self.samples):
                raise ConfigError(
                    f"samples: no sample has role {role}; a search needs at least one{_ADVICE.get(role, '')}"
                )
        for sample in self.samples:
            if self.background == "data" and sample.role == "background":
                raise ConfigError(
                    f"sample '{sample.name}': role background, but the search says background: data, so that the data "
                    "is its own background; leave the sample out, or give background: simulation"
                )

    @property
    def background_role(self) -> Role:
        """Role of the samples that the detectors learn from."""
        return background_role(self.background)

    def _check_inputs(self) -> None:
        """Refuse inputs that the features do not have, before anything is simulated or read."""
        settings = [(f"detector '{d.name}'", d.preprocessing, d.feature_set().names) for d in self.detector_settings()]
        if self.supervised is not None:
            settings.append(("supervised", self.supervised_settings().preprocessing, self.feature_set().names))
        for what, preprocessing, columns in settings:
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
        """The features of the table: what is drawn, compared and cut on; computed with this search's selection."""
        keys = self._feature_keys()
        return features.get(keys["features"], **keys["feature_settings"])

    @property
    def event_fields(self) -> tuple[str, ...]:
        """Dotted names of the event fields that the search needs."""
        detectors = self.detector_settings()
        learned = (part for d in detectors for part in (d.feature_set(), d.scorer))
        sets = [self.feature_set(), self.selection, *learned]
        varied = self.statistics.systematics.requires
        return tuple(sorted(varied.union(*(s.requires for s in sets))))

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
            DetectorSettings.parse({"seed": self.seed, **value, **self._features_of(value)}, where=f"detectors[{i}]")
            for i, value in enumerate(self.detectors)
        ]
        if any(d.name == MET_ALONE for d in configured):
            return tuple(configured)
        return (DetectorSettings.parse({"kind": "met", "inputs": [MET_COLUMN], **self._feature_keys()}), *configured)

    def supervised_settings(self) -> DiscriminatorSettings:
        """Settings of the supervised bound; without a seed it uses the search's."""
        return DiscriminatorSettings.parse({"seed": self.seed, **(self.supervised or {})}, where="supervised")

    def _features_of(self, detector: dict[str, Any]) -> dict[str, Any]:
        """What a saved detector must know to compute its features from events by itself."""
        named = with_preset(detector).get("features")
        if named is None or named == self.features["set"]:
            if "feature_settings" in detector:
                raise ConfigError("feature_settings of the search's own set are given once, under the key features")
            return self._feature_keys()
        return {"features": named}

    def _feature_keys(self) -> dict[str, Any]:
        settings = {k: v for k, v in self.features.items() if k != "set"}
        if features.follows_selection(self.features["set"]):
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
        safe_name(name)
    except ValueError as error:
        raise ConfigError(f"{where}: name = {name[:80]!r}: {error}") from None
    if name in (BEST_VARIABLE, SUPERVISED) or (name == MET_ALONE and value["kind"] != MET_ALONE):
        raise ConfigError(f"{where}: name = '{name}' is taken by a baseline of every search; choose another")


def _unique(what: str, names: list[str]) -> None:
    folded = [name.casefold() for name in names]  # some file systems do not tell a.b from A.b
    for name, key in zip(names, folded, strict=True):
        if folded.count(key) > 1:
            raise ConfigError(f"two {what}s are called '{name}'; give each a name of its own")
