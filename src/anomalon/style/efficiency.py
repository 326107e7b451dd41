"""Losses of objects in regions of |eta|, recovered as weights of events.

The efficiency of a cell is the ratio of the numbers of objects per event, target over source. Cells that differ from 1
significantly make regions. An event of the target with k objects in a region was one with k or more of them, each kept
with the efficiency: its weight is the ratio of the thinned distribution of (objects in the region, objects elsewhere)
to that of the source. Objects are neither moved nor dropped, so the momentum that the target's events have lost is
missing there and not here; losses instead of weights drop objects and let missing momentum answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field
from scipy.stats import binom

from anomalon.events import Events
from anomalon.style.contract import Calibrator, CalibratorSettings, with_factor
from anomalon.style.objects import Chosen, Ints, Values, event_weights

_MOST = 16
"""Objects of an event that are told apart; more count as so many."""


class EfficiencySettings(CalibratorSettings):
    """Settings of efficiencies.

    Attributes:
        significance: standard deviations by which a cell must differ from 1.
        per: what numbers of objects are divided by: ``event``, the weight of all events of a sample, for samples before
            any cut on these objects; ``luminosity``, nothing, for samples with known cross sections.
        put_on: as ``weights`` of events, or as ``losses``: objects of a region are dropped by chance, whatever their
            pT, and their momentum becomes missing. A gain is a weight in any case.
    """

    significance: float = Field(default=3.0, gt=0)
    per: Literal["event", "luminosity"] = "event"
    put_on: Literal["weights", "losses"] = "weights"


@dataclass(frozen=True)
class Region:
    """A range of |eta| and its efficiency.

    Attributes:
        low, high: the range in |eta|; the last cell has no end.
        efficiency, error: target over source.
        weights: of an event, by its number of objects inside and outside, shape (inside, outside).
    """

    low: float
    high: float | None
    efficiency: float
    error: float
    weights: Values = field(compare=False)

    def inside(self, abs_eta: Values) -> Any:
        """Whether objects lie in the region, shape (object,)."""
        return (abs_eta >= self.low) & (abs_eta < (np.inf if self.high is None else self.high))

    def to_dict(self) -> dict[str, Any]:
        """Plain data, without the table of weights."""
        return {"low": self.low, "high": self.high, "efficiency": self.efficiency, "error": self.error}


class Efficiency(Calibrator):
    """Weights for objects that the target's detector loses in some regions of |eta|."""

    Settings: ClassVar[type[CalibratorSettings]] = EfficiencySettings
    kind = "efficiency"
    settings: EfficiencySettings
    regions: tuple[Region, ...] = ()

    def summary(self) -> dict[str, Any]:
        """The regions with their efficiencies."""
        return {"regions": [region.to_dict() for region in self.regions]}

    def _fit(self, source: Events, target: Events) -> None:
        freedom = self.settings.freedom
        (a, va), (b, vb) = (self._rates(events) for events in (source, target))
        usable = (a > 0) & (b > 0)
        ratio = np.divide(b, a, out=np.ones_like(a), where=usable)
        error = ratio * np.sqrt(np.divide(va, a**2, out=np.zeros_like(a), where=usable)
                                + np.divide(vb, b**2, out=np.zeros_like(b), where=usable))  # fmt: skip
        apart = usable & (np.abs(ratio - 1.0) > self.settings.significance * error)
        found = []
        for first, last in _joined(apart, ratio, error):
            value, sigma = _mean(ratio[first : last + 1], error[first : last + 1])
            high = None if last == freedom.n_cells - 1 else freedom.eta_edges[last + 1]
            found.append(
                self._region(source, target, Region(freedom.eta_edges[first], high, value, sigma, np.ones((1, 1))))
            )
        self.regions = tuple(found)

    def _rates(self, events: Events) -> tuple[Values, Values]:
        """Objects by cell in |eta|, per event or per luminosity, and the variance, of which events are the unit."""
        freedom, weight = self.settings.freedom, event_weights(events)
        found = Chosen.read(events, freedom.objects)
        passes = found.pt >= freedom.pt_min
        cell = freedom.cells(found.abs_eta)[passes]
        per_event = np.zeros((len(events), freedom.n_cells))
        np.add.at(per_event, (found.owner[passes], cell), 1.0)
        norm = weight.sum() if self.settings.per == "event" else 1.0
        return weight @ per_event / norm, weight**2 @ per_event**2 / norm**2

    def _region(self, source: Events, target: Events, region: Region) -> Region:
        before = self._table(source, region)
        after = thinned(before, region.efficiency) if region.efficiency <= 1 else self._table(target, region)
        weights = np.divide(after, before, out=np.ones_like(before), where=before > 0)
        return Region(region.low, region.high, region.efficiency, region.error, weights)

    def _table(self, events: Events, region: Region) -> Values:
        """Share of the weight by numbers of objects inside and outside of a region, shape (inside, outside)."""
        inside, outside = self._counts(events, region)
        table = np.zeros((_MOST + 1, _MOST + 1))
        np.add.at(table, (inside, outside), event_weights(events))
        return np.asarray(table / table.sum())

    def _counts(self, events: Events, region: Region) -> tuple[Ints, Ints]:
        found = Chosen.read(events, self.settings.freedom.objects)
        passes, inside = found.pt >= self.settings.freedom.pt_min, region.inside(found.abs_eta)
        masks = (passes & inside, passes & ~inside)
        a, b = (np.minimum(np.bincount(found.owner[mask], minlength=len(events)), _MOST) for mask in masks)
        return a, b

    def _transform(self, events: Events) -> Events:
        losses = [r for r in self.regions if r.efficiency <= 1 and self.settings.put_on == "losses"]
        weights = [r for r in self.regions if r not in losses]
        factor = np.ones(len(events))
        for region in weights:
            factor *= region.weights[self._counts(events, region)]
        weighted = with_factor(events, factor) if weights else events
        return self._with_losses(weighted, losses) if losses else weighted

    def _with_losses(self, events: Events, regions: Sequence[Region]) -> Events:
        found = Chosen.read(events, self.settings.freedom.objects)
        chance = found.uniform(f"style/efficiency/{self.settings.seed}")
        lost = np.zeros(len(found), dtype=np.bool_)
        for region in regions:
            lost |= region.inside(found.abs_eta) & (chance >= region.efficiency)
        return found.without(lost)

    def _save(self, folder: Path) -> dict[str, Any]:
        tables: dict[str, Any] = {str(i): region.weights for i, region in enumerate(self.regions)}
        np.savez(folder / "weights.npz", **tables)
        return self.summary()

    def _load(self, folder: Path, state: dict[str, Any]) -> None:
        with np.load(folder / "weights.npz") as tables:
            self.regions = tuple(Region(**row, weights=tables[str(i)]) for i, row in enumerate(state["regions"]))


def thinned(table: Values, efficiency: float) -> Values:
    """The distribution of (inside, outside) after each object inside was kept with a probability.

    >>> thinned(np.array([[0.0], [0.0], [1.0]]), 0.9).ravel().round(3).tolist()
    [0.01, 0.18, 0.81]
    """
    before = np.arange(len(table))
    kept = binom.pmf(before[:, None], before[None, :], efficiency)
    return np.asarray(kept @ table)


def _joined(apart: Any, ratio: Values, error: Values) -> list[tuple[int, int]]:
    """First and last cell of runs of cells that differ from 1 and agree with each other."""
    runs: list[tuple[int, int]] = []
    for cell in np.flatnonzero(apart).tolist():
        if (
            runs
            and runs[-1][1] == cell - 1
            and abs(ratio[cell] - ratio[cell - 1]) < 3.0 * np.hypot(error[cell], error[cell - 1])
        ):
            runs[-1] = (runs[-1][0], cell)
        else:
            runs.append((cell, cell))
    return runs


def _mean(values: Values, errors: Values) -> tuple[float, float]:
    weight = errors**-2.0
    return float(weight @ values / weight.sum()), float(weight.sum() ** -0.5)
