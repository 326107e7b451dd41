"""Calibrations without a form: they move ln pT by what is left after a parametric response with the cut inside its fit.

Only what passes the cuts of the target, after the response, is compared with it: these samples are alike but for what
is still to be learned.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from anomalon.events import Events
from anomalon.style.contract import MINIMUM_OBJECTS, Calibrator, CalibratorSettings
from anomalon.style.objects import Chosen, Sample, Values, require_objects
from anomalon.style.response import ParametricResponse
from anomalon.style.response_model import ResponseSettings

_FIRST = "response"


class ResidualSettings(CalibratorSettings):
    """Settings of a calibration that may come after a response.

    Attributes:
        response: whether a parametric response goes first. Without it the map is right only where no cut of the target
            lies in the spectrum.
    """

    response: bool = True


class Residual(Calibrator):
    """Moves ln pT, after a response where that is asked for; subclasses learn and give the displacement."""

    Settings: ClassVar[type[CalibratorSettings]] = ResidualSettings
    settings: ResidualSettings
    first: ParametricResponse | None = None
    lowest: float = 0.0
    """GeV: below, the response alone is known."""

    def summary(self) -> dict[str, Any]:
        """The response that goes first."""
        return {} if self.first is None else {"first": self.first.summary()}

    def _fit(self, source: Events, target: Events) -> None:
        freedom = self.settings.freedom
        if self.settings.response:
            self.first = ParametricResponse(ResponseSettings(freedom=freedom, seed=self.settings.seed))
            source = self.first.fit(source, target).transform(source)
        before, after = (Chosen.read(freedom.selected(events), freedom.objects) for events in (source, target))
        lowest = max(freedom.pt_min, self.first.quality["fitted_from"] if self.first else 0.0)
        behind = [found.where(found.pt >= lowest) for found in (before, after)]
        require_objects(behind[0], behind[1], f"{freedom.objects} above {lowest:.4g} GeV", MINIMUM_OBJECTS)
        self.lowest = lowest
        self._learn(behind[0], behind[1])

    def _transform(self, events: Events) -> Events:
        moved = events if self.first is None else self.first.transform(events)
        found = Chosen.read(moved, self.settings.freedom.objects)
        if not len(found):
            return Events(moved.array, events.samples)
        known, shift = found.pt >= self.lowest, np.zeros(len(found))
        if known.any():
            shift[known] = self._displaced(found.where(known))
        return Events(found.moved(found.pt * np.exp(shift)).array, events.samples)

    def _save(self, folder: Path) -> dict[str, Any]:
        first = None if self.first is None else self.first.summary()
        return {_FIRST: first, "lowest": self.lowest, "residual": self._save_residual(folder)}

    def _load(self, folder: Path, state: dict[str, Any]) -> None:
        if state[_FIRST] is not None:
            self.first = ParametricResponse(ResponseSettings(freedom=self.settings.freedom, seed=self.settings.seed))
            self.first._load(folder, state[_FIRST])
            self.first.fitted = True
        self.lowest = float(state["lowest"])
        self._load_residual(folder, state["residual"])

    @abstractmethod
    def _learn(self, before: Sample, after: Sample) -> None:
        """Learn from objects behind the cuts."""

    @abstractmethod
    def _displaced(self, found: Sample) -> Values:
        """By how much ln pT of each object changes, shape (object,); the pT that it has after the response."""

    @abstractmethod
    def _save_residual(self, folder: Path) -> dict[str, Any]:
        """Write what was learned; return what fits into JSON."""

    @abstractmethod
    def _load_residual(self, folder: Path, state: dict[str, Any]) -> None:
        """Read what :meth:`_save_residual` wrote and returned."""
