"""What a search makes of its scores, as it stands in YAML under ``statistics``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from anomalon.config import Settings
from anomalon.errors import ConfigError, suggest
from anomalon.search.systematics import SystematicsSettings

Quantile = Annotated[float, Field(gt=0.5, lt=1)]

PICTURES = ("MET_pt", "m_3l", "m_ll", "mT_W")
"""Variables that are drawn in the regions where the features have them."""
MASSES = ("m_3l", "m_ll")
"""Spectra that bumps are looked for in, and that a score should not carve, where the features have them."""


class ValidationSettings(Settings):
    """What ``--validate`` does.

    Attributes:
        seeds: that the main detector is trained with, the search's own included.
        pseudo_experiments: drawn from the background alone, and as many for every injected signal.
        injections: signals that are injected, in expected standard deviations.
    """

    seeds: int = Field(default=3, ge=2, le=100)
    pseudo_experiments: int = Field(default=200, ge=50, le=100_000)
    injections: tuple[Annotated[float, Field(ge=0, le=20)], ...] = (1.0, 3.0, 5.0)


class StatisticsSettings(Settings):
    """Regions, significances, likelihood and checks.

    Attributes:
        regions: quantiles of the background validation score; loosened where they leave too few events.
        variable: cut on inside the regions, and binned in the likelihood.
        bins: of the variable in a region, at most.
        minimum_effective: effective background events that a region, a cut and a bin must have.
        background_uncertainty: relative, beside the statistical one, in significances; the likelihood has systematics.
        pictures: variables that are drawn in the regions; None takes missing momentum and the usual masses.
        masses: spectra that are looked at for bumps; None takes those of three and of two leptons.
        decorrelate: a mass; regions then follow the quantile of the score among background of the same mass, so that
            they cannot carve a bump into its spectrum.
        likelihood: whether limits and more are computed; it needs the extra ``stats``.
        toys: pseudo-experiments per hypothesis for limits and significances where asymptotic formulas fail; 0 keeps the
            formulas, and the warning.
        systematics: uncertainties of the templates that the likelihood is built from.
        validation: what ``--validate`` does.
    """

    regions: tuple[Quantile, ...] = Field(default=(0.9, 0.99, 0.999), min_length=1, max_length=10)
    variable: str = "MET_pt"
    bins: int = Field(default=10, ge=1, le=100)
    minimum_effective: float = Field(default=10.0, ge=1)
    background_uncertainty: float = Field(default=0.2, ge=0, le=10)
    pictures: tuple[str, ...] | None = None
    masses: tuple[str, ...] | None = None
    decorrelate: str | None = None
    likelihood: bool = True
    toys: int = Field(default=0, ge=0, le=1_000_000)
    systematics: SystematicsSettings = SystematicsSettings()
    validation: ValidationSettings = ValidationSettings()

    @field_validator("regions")
    @classmethod
    def _increasing(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if list(values) != sorted(set(values)):
            raise ConfigError(f"regions = {list(values)}: quantiles must increase, such as [0.9, 0.99]")
        return values

    def columns(self, names: tuple[str, ...]) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        """The variable, the pictures and the masses among the names of features.

        Raises:
            ConfigError: one that was asked for is not a feature.
        """
        asked = {"variable": (self.variable,), "pictures": self.pictures, "masses": self.masses}
        asked["decorrelate"] = None if self.decorrelate is None else (self.decorrelate,)
        for key, listed in asked.items():
            for name in listed or ():
                if name not in names:
                    raise ConfigError(f"statistics.{key} = {name!r}: no such feature; {suggest(name, names)}")
        pictures = PICTURES if self.pictures is None else self.pictures
        masses = MASSES if self.masses is None else self.masses
        return self.variable, tuple(n for n in pictures if n in names), tuple(n for n in masses if n in names)
