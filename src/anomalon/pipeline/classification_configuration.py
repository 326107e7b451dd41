"""The configuration of a comparison of classifiers, checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from anomalon.config import Settings, load_yaml
from anomalon.errors import ConfigError, suggest
from anomalon.events import DEFAULT_LUMINOSITY
from anomalon.models.discriminator import DiscriminatorSettings
from anomalon.models.probabilities import Method
from anomalon.pipeline.configuration import SearchConfig, SimulationConfig
from anomalon.pipeline.sample_configuration import OneLine, SampleConfig, safe_name
from anomalon.preprocessing import expand
from anomalon.selection import AnySelection, TopPairSelection

GAUSSIAN_NAMES = ("x", "y")
BEST_CUT, OPTIMUM = "best-cut", "optimum"
"""Names of rows that every comparison has."""


class GaussiansConfig(Settings):
    """Two normal distributions in two dimensions, those of Garcia Senas 2018 by default.

    Attributes:
        kind: name of the toy.
        train: events of each class to learn from.
        test: events of both classes together to judge on.
        means: of background and signal.
        covariances: of background and signal.
    """

    kind: Literal["gaussians"] = "gaussians"
    train: int = Field(default=5000, ge=100)
    test: int = Field(default=1_000_000, ge=1000)
    means: tuple[tuple[float, float], tuple[float, float]] = ((20.0, 20.0), (30.0, 10.0))
    covariances: tuple[
        tuple[tuple[float, float], tuple[float, float]], tuple[tuple[float, float], tuple[float, float]]
    ] = (
        ((10.0, 9.0), (9.0, 15.0)),
        ((10.0, -9.0), (-9.0, 25.0)),
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for (xx, xy), (yx, yy) in self.covariances:
            if xy != yx or not (xx > 0 and yy > 0 and xx * yy > xy * xy):
                raise ConfigError(f"covariances: (({xx:g}, {xy:g}), ({yx:g}, {yy:g})) is not that of a distribution")
        return self


class AverageConfig(Settings):
    """A mean of the log odds of other classifiers.

    Attributes:
        name: in tables.
        average: names of the classifiers.
    """

    name: str
    average: tuple[str, ...] = Field(min_length=2)


class ClassificationConfig(Settings):
    """What is told from what, by which classifiers, and how they are judged.

    Attributes:
        title: of the comparison.
        seed: of folds, classifiers, bootstraps and toys.
        toy: distributions that are known, in place of samples.
        samples: of role background and signal; simulated or read, as in a search.
        luminosity_fb: of expected yields.
        simulation: how samples are simulated.
        selection: the cuts.
        features: ``set`` names the feature set, other keys are its settings.
        classifiers: settings with a ``kind`` of :func:`anomalon.models.registry.classifier_names` or a preset, or with
            ``average``, a list of the names of others.
        folds: every event is judged by a classifier that has not learned from its fold.
        probabilities: form of the map from held-out scores to probabilities.
        baseline: feature that rejections are compared with.
        cuts: fixed cuts beside the best ones, feature: smallest value that counts as signal.
        signal_efficiency: at which rejections are given.
        background_uncertainty: relative, of expected significances.
        replicas: of the bootstrap.
        shuffles: of each input, for its importance; 0 leaves that out.
    """

    title: OneLine = "Classification"
    seed: int = Field(default=1, ge=0, lt=2**31)
    toy: GaussiansConfig | None = None
    samples: tuple[SampleConfig, ...] = ()
    luminosity_fb: float = Field(default=DEFAULT_LUMINOSITY, gt=0)
    simulation: SimulationConfig = SimulationConfig(skim_leptons=2)
    selection: AnySelection = TopPairSelection()
    features: dict[str, Any] = Field(default_factory=lambda: {"set": "top-pairs"})
    classifiers: tuple[dict[str, Any], ...] = Field(default=({"kind": "gradient-boosting"},), min_length=1)
    folds: int = Field(default=5, ge=2, le=50)
    probabilities: Method = "isotonic"
    baseline: str | None = None
    cuts: dict[str, float] = Field(default_factory=dict)
    signal_efficiency: float = Field(default=0.1, gt=0, lt=1)
    background_uncertainty: float = Field(default=0.2, ge=0)
    replicas: int = Field(default=200, ge=10)
    shuffles: int = Field(default=3, ge=0)

    @field_validator("classifiers")
    @classmethod
    def _known_classifiers(cls, values: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        for i, value in enumerate(values):
            parse_classifier(value, f"classifiers[{i}]", seed=1)
        return values

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self._check_classes()
        names = [one.name for one in self.classifier_settings()]
        for i, name in enumerate(names):
            if name in (*names[:i], BEST_CUT, OPTIMUM, *self.names):
                raise ConfigError(f"classifiers[{i}]: the name '{name}' is taken; give each row a name of its own")
        self._check_inputs()
        for one in self.classifier_settings():
            for name in one.average if isinstance(one, AverageConfig) else ():
                before = names[: names.index(one.name)]
                if name not in before:
                    raise ConfigError(
                        f"'{one.name}': no classifier '{name}' before it; {suggest(name, before or ['-'])}"
                    )
        return self

    def _check_classes(self) -> None:
        if (self.toy is None) == (not self.samples):
            raise ConfigError("give either samples, of role background and signal, or toy: {kind: gaussians}")
        for sample in self.samples:
            if sample.role == "data":
                raise ConfigError(f"sample '{sample.name}': collision data has no labels to learn; leave it out")
        for role in ("background", "signal") if self.samples else ():
            if not any(sample.role == role for sample in self.samples):
                raise ConfigError(f"samples: no sample has role {role}: there is one class only; add one to tell apart")
        if self.samples:
            self.search()

    def _check_inputs(self) -> None:
        """Refuse features that are not there, before anything is simulated or read."""
        for one in self.classifier_settings():
            if isinstance(one, DiscriminatorSettings):
                try:
                    expand(one.preprocessing.inputs or (), self.names)
                except ConfigError as error:
                    raise ConfigError(f"classifier '{one.name}': {error}") from None
        for key, names in (("cuts", list(self.cuts)), ("baseline", [self.baseline_name])):
            for name in names:
                if name not in self.names:
                    raise ConfigError(f"{key}: no feature '{name}'; {suggest(name, self.names)}")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a YAML file.

        Raises:
            ConfigError: with the key, the value and what is allowed.
        """
        return cls.parse(load_yaml(path), where=str(path))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features."""
        return GAUSSIAN_NAMES if self.toy is not None else self.search().feature_set().names

    @property
    def baseline_name(self) -> str:
        """Feature that rejections are compared with: missing transverse momentum, or the toy's first."""
        return self.baseline or (GAUSSIAN_NAMES[0] if self.toy is not None else "MET_pt")

    def search(self) -> SearchConfig:
        """The samples, their selection and features as those of a search, whose stages they share."""
        keys = ("title", "seed", "luminosity_fb", "samples", "simulation", "features")
        values = {key: self.model_dump(mode="json")[key] for key in keys}
        return SearchConfig.parse({**values, "selection": self.selection}, where="classification")

    def classifier_settings(self) -> tuple[DiscriminatorSettings | AverageConfig, ...]:
        """Settings of the classifiers; those without a seed use the comparison's, those without a name their kind."""
        return tuple(
            parse_classifier(value, f"classifiers[{i}]", seed=self.seed) for i, value in enumerate(self.classifiers)
        )


def parse_classifier(value: Any, where: str, *, seed: int) -> DiscriminatorSettings | AverageConfig:
    """Settings of one classifier, or of an average of others.

    Raises:
        ConfigError: a key or name is unknown, or a value impossible.
    """
    if isinstance(value, Mapping) and "average" in value:
        made: DiscriminatorSettings | AverageConfig = AverageConfig.parse(value, where=where)
    else:
        given = dict(value) if isinstance(value, Mapping) else value
        named = {"name": str(given.get("kind", "gradient-boosting"))} if isinstance(given, dict) else {}
        made = DiscriminatorSettings.parse({"seed": seed, **named, **given} if named else given, where=where)
    try:
        safe_name(made.name)
    except ValueError as error:
        raise ConfigError(f"{where}: name = {made.name[:80]!r}: {error}") from None
    return made
