"""The samples of a search: what is simulated, what is read, and what each is called."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from anomalon.config import Settings
from anomalon.errors import ConfigError
from anomalon.events import Sample
from anomalon.pipeline.reading import KEYS as READING_KEYS
from anomalon.pipeline.reading import trigger_list, trigger_paths
from anomalon.search.results import Role
from anomalon.simulation import get_process

SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
"""Names become names of files and folders: nothing that a file system, a shell or a page could misread."""


def safe_name(name: str) -> str:
    """Return a name that may become that of a file; a ValueError says what is allowed."""
    if not SAFE_NAME.fullmatch(name):
        raise ValueError("expected up to 64 letters, digits and . _ + - that begin with a letter or a digit")
    return name


def _one_line(text: str) -> str:
    if not text.strip() or len(text) > 200 or not text.isprintable():
        raise ValueError("expected one line of 1 to 200 printable characters")
    return text


SafeName = Annotated[str, AfterValidator(safe_name)]
OneLine = Annotated[str, AfterValidator(_one_line)]


class SampleConfig(Settings):
    """One sample: simulated (``simulate``) or read from files or a store (``files``).

    Attributes:
        name: a short name of its own, such as ``wz``; letters, digits and ``. _ + -``.
        role: ``background`` (trained on), ``signal`` (evaluated on) or ``data`` (collision data, scored blinded;
            trained on only where the search says ``background: data``).
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


def check_simulated_once(samples: tuple[SampleConfig, ...]) -> None:
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
