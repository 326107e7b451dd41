"""A named mixture made: one store per process and a summary of yields and statistics."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from pydantic import Field

from anomalon.config import Settings
from anomalon.errors import ConfigError, OutputExistsError
from anomalon.events import DEFAULT_LUMINOSITY
from anomalon.simulation.blocks import SimulationSettings
from anomalon.simulation.mixtures import Ingredient, Mixture, get_mixture
from anomalon.simulation.regions import Region
from anomalon.simulation.run import Progress
from anomalon.simulation.stored import simulate_to_store
from anomalon.store import Store

SUMMARY_FILE = "mixture.json"

Announce = Callable[[Ingredient, int], Progress | None]
"""Called before each process with its number of events; returns what reports on its progress."""


class MixtureSettings(Settings):
    """What to make; equal settings give equal events.

    Attributes:
        mixture: name.
        n_events: events to generate, all processes together.
        seed: of every process; processes never share random numbers.
        mpi: multi-parton interactions.
        luminosity_fb: that the yields of the summary are for.
    """

    mixture: str
    n_events: int = Field(gt=0)
    seed: int = Field(default=1, ge=0)
    mpi: bool = True
    luminosity_fb: float = Field(default=DEFAULT_LUMINOSITY, gt=0)

    def simulation(self, item: Ingredient, n_events: int) -> SimulationSettings:
        """Settings of one process."""
        mixture = get_mixture(self.mixture)
        return SimulationSettings(
            process=item.process,
            n_events=n_events,
            seed=self.seed,
            mpi=self.mpi,
            detector=mixture.detector,
            skim_leptons=mixture.skim_leptons,
            fakes=mixture.fakes,
        )


class Part(Settings):
    """One process of a finished mixture.

    Attributes:
        process, role: from the mixture.
        store: folder of the events.
        cross_section_pb: leading order, corrected.
        n_generated, n_stored: events before and after the skim.
        n_region: stored events in the mixture's region.
        expected: yield in the region.
        expected_error: statistical error of it.
    """

    process: str
    role: str
    store: str
    cross_section_pb: float
    n_generated: int
    n_stored: int
    n_region: int
    expected: float
    expected_error: float


class MixtureSummary(Settings):
    """A finished mixture.

    Attributes:
        settings: what it was made from.
        region: the cuts in words.
        parts: one per process.
    """

    settings: MixtureSettings
    region: str
    parts: tuple[Part, ...]

    @property
    def effective_background(self) -> float:
        """(expected / error)^2 of all backgrounds together: how many equal events would be as good."""
        chosen = [part for part in self.parts if part.role == "background"]
        variance = sum(part.expected_error**2 for part in chosen)
        return sum(part.expected for part in chosen) ** 2 / variance if variance else 0.0


def simulate_mixture(
    settings: MixtureSettings,
    output: str | Path,
    *,
    workers: int | None = None,
    overwrite: bool = False,
    announce: Announce | None = None,
) -> MixtureSummary:
    """Simulate every process of a mixture into a store of its own under ``output``.

    Args:
        settings: what to make.
        output: folder; gets one store per process and ``mixture.json``.
        workers: processes; all cores by default. The events do not depend on it.
        overwrite: replace stores that are already there.
        announce: called before each process.

    Raises:
        UnknownNameError: there is no such mixture.
        ConfigError: fewer events than processes, or workers is not positive.
        OutputExistsError: ``output`` holds something and ``overwrite`` is off.
    """
    mixture = get_mixture(settings.mixture)
    numbers = mixture.numbers(settings.n_events)
    folder = _prepare(Path(output), overwrite)
    parts = []
    for item in mixture.ingredients:
        n_events = numbers[item.process]
        store = simulate_to_store(
            settings.simulation(item, n_events),
            folder / item.folder,
            workers=workers,
            overwrite=overwrite,
            progress=announce(item, n_events) if announce else None,
        )
        parts.append(_part(item, store, mixture, settings.luminosity_fb))
    summary = MixtureSummary(settings=settings, region=mixture.resolved_region.words, parts=tuple(parts))
    (folder / SUMMARY_FILE).write_text(json.dumps(summary.model_dump(mode="json"), indent=2) + "\n", encoding="utf-8")
    return summary


def _prepare(folder: Path, overwrite: bool) -> Path:
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; a mixture needs a folder")
    if not overwrite and folder.is_dir() and any(folder.iterdir()):
        raise OutputExistsError(f"{folder} is not empty; choose another folder or say --overwrite")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _part(item: Ingredient, store: Store, mixture: Mixture, luminosity: float) -> Part:
    sample = store.samples[0]
    n_region, expected, variance = _in_region(store, mixture.resolved_region, luminosity)
    return Part(
        process=item.process,
        role=item.role,
        store=item.folder,
        cross_section_pb=sample.cross_section_pb or 0.0,
        n_generated=sample.n_generated or 0,
        n_stored=store.n_events,
        n_region=n_region,
        expected=expected,
        expected_error=variance**0.5,
    )


def _in_region(store: Store, region: Region, luminosity: float) -> tuple[int, float, float]:
    count, total, squares = 0, 0.0, 0.0
    for events in store.iterate():
        chosen = events.weights(luminosity)[region.passes(events.array)]
        count, total, squares = count + len(chosen), total + float(chosen.sum()), squares + float(chosen @ chosen)
    return count, total, squares
