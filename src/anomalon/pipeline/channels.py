"""Bins of a likelihood: disjoint slices of the main detector's score, each in bins of the variable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from anomalon.batches import TEST, VALIDATION
from anomalon.likelihood.templates import Channel, Template
from anomalon.pipeline.evaluate import Scores
from anomalon.pipeline.parts import Parts
from anomalon.pipeline.regions import EVERYTHING, Regions
from anomalon.search.regions import Region, bin_edges, locate, slices
from anomalon.search.results import Blinding

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


OUTSIDE = Region("R0", 0.0, -np.inf)
"""What is in no region: it has little signal, and tells how much background there is."""


@dataclass(frozen=True)
class Binning:
    """Where an event belongs: a slice of the regions, and in it a bin of the variable.

    Attributes:
        regions: nested, loosest first.
        edges: of the variable in each slice, fixed by background validation events.
        variable: its name.
    """

    regions: tuple[Region, ...]
    edges: tuple[Floats, ...]
    variable: str

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the channels: R1 stands for what is in it and not in R2, R0 for what is in none."""
        return tuple(region.name for region in self.regions)

    @property
    def starts(self) -> Ints:
        """First place of every channel in the flat list of bins, and their number, shape (channel + 1,)."""
        return np.concatenate([[0], np.cumsum([len(edges) - 1 for edges in self.edges])]).astype(np.int64)

    def place(self, values: Floats, score: Floats) -> Ints:
        """Place of each event in the flat list of bins, shape (event,); -1 outside of all regions."""
        part = slices(self.regions, score)
        places = np.full(len(values), -1, dtype=np.int64)
        for number, (start, edges) in enumerate(zip(self.starts, self.edges, strict=False)):
            own = part == number
            found = locate(values[own], edges)
            places[own] = np.where(found < 0, -1, found + start)
        return places

    def fill(self, places: Ints, weights: Floats) -> Floats:
        """Sum of weights in the flat list of bins."""
        keep = places >= 0
        return np.bincount(places[keep], weights[keep], minlength=int(self.starts[-1])).astype(np.float64)

    def split(self, flat: Floats) -> list[Floats]:
        """A flat list of bins, by channel."""
        return [flat[a:b] for a, b in zip(self.starts[:-1], self.starts[1:], strict=True)]


def binning(regions: Regions, detector: str) -> Binning:
    """Bins of the variable in the slices of a detector's regions; without a detector, of the variable alone."""
    settings = regions.search.statistics
    chosen = (OUTSIDE, *regions.by_detector[detector]) if detector in regions.by_detector else (EVERYTHING,)
    where = regions.parts.where("background", VALIDATION)
    values, weights = regions.variable[where], regions.parts.table.weight[where]
    part = slices(chosen, regions.scores.by_detector[detector][where])
    edges = tuple(
        bin_edges(
            values[part == i], weights[part == i], most=settings.bins, minimum_effective=settings.minimum_effective
        )
        for i in range(len(chosen))
    )
    return Binning(chosen, edges, settings.variable)


def fill_channels(bins: Binning, regions: Regions, detector: str, state: Blinding) -> tuple[Channel, ...]:
    """Expected events of every simulated sample from test events, and collision data where it may be seen."""
    parts, scores = regions.parts, regions.scores
    places = bins.place(regions.variable, scores.by_detector[detector])
    listed: list[list[Template]] = [[] for _ in bins.regions]
    for sample in regions.search.samples:
        if sample.role == "data":
            continue
        where = parts.where(sample.role, TEST, sample.name)
        weight = regions.weight[where]
        values, squares = (bins.split(bins.fill(places[where], w)) for w in (weight, weight**2))
        for channel, value, square in zip(listed, values, squares, strict=True):
            channel.append(Template(sample.name, sample.role, value, np.sqrt(square)))
    observed = _observed(bins, places, parts, scores, state)
    return tuple(
        Channel(name, bins.variable, edges, tuple(templates), seen)
        for name, edges, templates, seen in zip(bins.names, bins.edges, listed, observed, strict=True)
    )


def _observed(bins: Binning, places: Ints, parts: Parts, scores: Scores, state: Blinding) -> Sequence[Floats | None]:
    is_data = parts.where("data")
    if state.applies or not is_data.any():
        return [None] * len(bins.regions)
    seen = is_data & scores.shown
    return bins.split(bins.fill(places[seen], np.ones(int(seen.sum()))))
