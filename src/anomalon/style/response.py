"""A parametric response, fitted with the cut of the target inside the fit.

A map that is inferred from spectra behind a cut without the cut in the model is wrong near the cut: objects that fell
below are not there to be matched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from anomalon.events import Events
from anomalon.style.contract import Calibrator, CalibratorSettings
from anomalon.style.objects import Chosen, Freedom, Values
from anomalon.style.pairs import Broadening
from anomalon.style.response_fit import Problem, select
from anomalon.style.response_model import Response, ResponseSettings

_REFERENCE = 0.15
"""Relative width of the resolution that pairs' masses are to tell from none."""


class ParametricResponse(Calibrator):
    """Scale in pT and |eta|, with a resolution where it is allowed."""

    Settings: ClassVar[type[CalibratorSettings]] = ResponseSettings
    kind = "response"
    settings: ResponseSettings

    def summary(self) -> dict[str, Any]:
        """Parameters with their errors (0 where fixed), lowest pT in the fit (GeV), and the quality of the fit."""
        return {"response": self.response.to_dict(), **self.quality}

    def _fit(self, source: Events, target: Events) -> None:
        freedom = self.settings.freedom
        before, after = (Chosen.read(events, freedom.objects) for events in (source, target))
        lowest = max(freedom.pt_min, 1.3 * float(before.pt.min()))
        found: Response | None = None
        for _ in range(self.settings.rounds):
            weight = before.weight if found is None else before.weight * self.others_pass(before, found)
            problem = Problem.of(before, weight, after, lowest, self.settings)
            if found is not None:
                problem = replace(problem, masses=self._masses(before, after, lowest, found))
            problem, found, free = select(problem, found)
            quality = {"fitted_from": lowest, **problem.quality(found, free)}
            lowest = max(freedom.pt_min, _covered_from(found, before, freedom))
        self.response, self.quality = found or Response(np.zeros(freedom.n_cells)), quality

    def _masses(
        self, before: Chosen, after: Chosen, lowest: float, near: Response
    ) -> Callable[[Response], float] | None:
        """Squared pull of the pairs' masses, a function of the response; None where they are not used or too few."""
        if not (self.settings.smear and self.settings.masses):
            return None
        sharp, smeared = (self._moved(before, replace(near, smearing=width)) for width in (0.0, _REFERENCE))
        found = Broadening.of(before, after, lowest, sharp=sharp, smeared=smeared)
        return None if found is None else lambda response: found.distance(self._moved(before, response))

    def others_pass(self, found: Chosen, response: Response) -> Values:
        """1 where the event would pass with this object above the cut, else 0; shape (object,)."""
        freedom = self.settings.freedom
        passes = self._moved(found, response) >= freedom.pt_min
        count = np.bincount(found.owner[passes], minlength=len(found.events))
        return np.asarray(count[found.owner] - passes >= freedom.at_least - 1, dtype=np.float64)

    def _moved(self, found: Chosen, response: Response) -> Values:
        cell = self.settings.freedom.cells(found.abs_eta)
        return response.smeared(found.pt, cell, found.uniform(f"style/response/{self.settings.seed}"))

    def _transform(self, events: Events) -> Events:
        found = Chosen.read(events, self.settings.freedom.objects)
        return found.moved(self._moved(found, self.response))

    def _save(self, folder: Path) -> dict[str, Any]:  # noqa: ARG002 - everything fits into JSON
        return self.summary()

    def _load(self, folder: Path, state: dict[str, Any]) -> None:  # noqa: ARG002
        self.response = Response.from_dict(state["response"])
        self.quality = {name: value for name, value in state.items() if name != "response"}


def _covered_from(response: Response, before: Chosen, freedom: Freedom) -> float:
    """Lowest pT in GeV from where the source, which has a threshold of its own, describes all of the target."""
    lowest = np.full(freedom.n_cells, before.pt.min())
    moved = lowest * response.scale(lowest, np.arange(freedom.n_cells))
    return float(moved.max() * (1.0 + 3.0 * response.smearing))
