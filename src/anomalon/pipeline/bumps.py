"""Bump hunts of a search: mass spectra with and without a cut on the score."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from anomalon.batches import TEST, VALIDATION
from anomalon.bumps.hunt import bump_hunt_over
from anomalon.bumps.records import BumpHuntSettings
from anomalon.bumps.windows import Hypothesis
from anomalon.errors import EmptySelectionError
from anomalon.pipeline.regions import EVERYTHING, Regions, column
from anomalon.search.inference import MassHunt
from anomalon.search.regions import locate, slices, spectrum_edges
from anomalon.search.results import Blinding

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def hunt_bumps(regions: Regions, state: Blinding) -> tuple[tuple[MassHunt, ...], tuple[str, ...]]:
    """Hunt in every mass spectrum: in unblinded data, else for every signal what is expected. And what could not be."""
    search = regions.search
    _, _, masses = search.statistics.columns(search.feature_set().names)
    found: list[MassHunt] = []
    notes = []
    for mass in masses:
        try:
            found += _hunts(regions, mass, state)
        except EmptySelectionError as error:
            notes.append(f"No bump hunt in {mass}: {error}.")
    return tuple(found), tuple(notes)


def _hunts(regions: Regions, mass: str, state: Blinding) -> Iterator[MassHunt]:
    spectra = Spectra(regions, mass)
    background = spectra.hypothesis()
    is_data = regions.parts.where("data")
    if is_data.any() and not state.applies:
        yield spectra.hunt(spectra.fill(is_data, unweighted=True), background, None)
        return
    for sample in regions.search.samples:
        if sample.role == "signal":
            signal = spectra.fill(regions.parts.where("signal", TEST, sample.name))
            yield spectra.hunt(np.maximum(background.slices + signal, 0.0), background, sample.name)


class Spectra:
    """One mass in bins that background validation events fix, in disjoint slices of the score."""

    def __init__(self, regions: Regions, mass: str) -> None:
        self.regions, self.mass = regions, mass
        values, least = column(regions.parts, mass), regions.search.statistics.minimum_effective
        where = regions.parts.where("background", VALIDATION)
        self.edges = spectrum_edges(values[where], regions.parts.table.weight[where], minimum_effective=least)
        self.place = locate(values, self.edges)
        chosen = (EVERYTHING, *regions.by_detector.get(regions.search.main, ()))
        self.slice = np.maximum(slices(chosen, regions.scores.score), 0)
        self.shape = (len(chosen), len(self.edges) - 1)

    def fill(self, where: Mask, *, unweighted: bool = False, power: int = 1) -> Floats:
        """Expected events, or counts, of shape (slice, bin); what has no mass is nowhere."""
        where = where & (self.place >= 0) & self.regions.scores.shown
        weight = np.ones(int(where.sum())) if unweighted else self.regions.weight[where] ** power
        flat = self.slice[where] * self.shape[1] + self.place[where]
        return np.bincount(flat, weight, minlength=self.shape[0] * self.shape[1]).reshape(self.shape).astype(np.float64)

    def hypothesis(self) -> Hypothesis:
        """The background, with its statistical errors, and as uncertain in its normalisation as in regions."""
        where = self.regions.parts.where("background", TEST)
        slices, errors = np.maximum(self.fill(where), 0.0), np.sqrt(self.fill(where, power=2))
        error = self.regions.search.statistics.background_uncertainty
        return Hypothesis(slices, np.where(slices > 0, errors, 0.0), error)

    def hunt(self, observed: Floats, background: Hypothesis, signal: str | None) -> MassHunt:
        """Search all windows above all thresholds."""
        settings = BumpHuntSettings(seed=self.regions.search.seed, normalisation_error=background.normalisation_error)
        found = bump_hunt_over(
            observed, background.slices, edges=self.edges, errors=background.errors, settings=settings
        )
        kind: Literal["data", "expected"] = "data" if signal is None else "expected"
        return MassHunt(mass=self.mass, observed=kind, signal_name=signal, result=found)
