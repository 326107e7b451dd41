"""The cutflow: how many events, raw and weighted, are left after each cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from anomalon.events import Events

ALL = "all"
"""Name of the cutflow's total over simulated processes."""


@dataclass(frozen=True)
class Count:
    """Raw events, sum of weights and sum of squared weights after a cut."""

    raw: int = 0
    weighted: float = 0.0
    squared: float = 0.0

    @property
    def error(self) -> float:
        """Statistical error of the weighted yield, sqrt(sum w^2)."""
        return float(np.sqrt(self.squared))

    def __add__(self, other: Count) -> Count:
        return Count(self.raw + other.raw, self.weighted + other.weighted, self.squared + other.squared)

    @classmethod
    def of(cls, weights: npt.NDArray[np.float64]) -> Count:
        """Count the events that have these weights, shape (event,)."""
        return cls(len(weights), float(weights.sum()), float((weights * weights).sum()))


@dataclass(frozen=True)
class Cutflow:
    """Counts per process and cut; cutflows of different chunks add up.

    Attributes:
        cuts: names of the cuts, in order; each includes those before it.
        counts: for every process one :class:`Count` per cut.
    """

    cuts: tuple[str, ...]
    counts: dict[str, tuple[Count, ...]] = field(default_factory=dict)

    def __add__(self, other: Cutflow) -> Cutflow:
        if self.cuts != other.cuts:
            raise ValueError(f"cutflows with different cuts do not add up: {self.cuts} and {other.cuts}")
        zero = (Count(),) * len(self.cuts)
        names = dict.fromkeys([*self.counts, *other.counts])
        return Cutflow(
            self.cuts,
            {
                name: tuple(
                    a + b for a, b in zip(self.counts.get(name, zero), other.counts.get(name, zero), strict=True)
                )
                for name in names
            },
        )

    def starting_with(self, cut: str, counts: Mapping[str, Count]) -> Cutflow:
        """Put a cut before the others, such as the events generated before the store was skimmed."""
        return Cutflow((cut, *self.cuts), {name: (counts[name], *rest) for name, rest in self.counts.items()})

    def total(self) -> tuple[Count, ...]:
        """Sum over the processes, one count per cut."""
        columns = zip(*self.counts.values(), strict=True) if self.counts else (() for _ in self.cuts)
        return tuple(sum(column, Count()) for column in columns)

    def rows(self) -> list[dict[str, Any]]:
        """One row per process and cut.

        ``efficiency`` is relative to the first cut, ``relative_efficiency`` to the cut before; both use the weights,
        and are None where there is nothing to divide by.
        """
        groups = dict(self.counts)
        if len(groups) != 1:
            groups[ALL] = self.total()
        return [row for name, counts in groups.items() for row in _rows(name, self.cuts, counts)]


@dataclass(frozen=True)
class Selected:
    """Events that pass a selection, and how they got there."""

    events: Events
    cutflow: Cutflow


class Selection(Protocol):
    """Named cuts. ``requires`` lists the event fields that the cuts read."""

    @property
    def requires(self) -> frozenset[str]:
        """Dotted names of the event fields."""
        ...

    def steps(self, events: Events) -> list[tuple[str, npt.NDArray[np.bool_]]]:
        """Cumulative masks (event,), one per cut, the first being all events."""
        ...


def apply(selection: Selection, events: Events, luminosity: float | None = None) -> Selected:
    """Apply a selection.

    Args:
        selection: the cuts.
        events: any events.
        luminosity: in fb^-1 for weighted yields; None counts relative weights.

    Returns:
        The selected events and their cutflow, per process.
    """
    steps = selection.steps(events)
    weights = events.weights(luminosity)
    counts = {}
    for name in dict.fromkeys(sample.process for sample in events.samples):
        own = events.of_process(name)
        counts[name] = tuple(Count.of(weights[mask & own]) for _, mask in steps)
    return Selected(events[steps[-1][1]], Cutflow(tuple(name for name, _ in steps), counts))


def _rows(process: str, cuts: Sequence[str], counts: Sequence[Count]) -> list[dict[str, Any]]:
    before = [counts[0], *counts[:-1]] if counts else []
    return [
        {
            "process": process,
            "cut": cut,
            "raw": now.raw,
            "weighted": now.weighted,
            "error": now.error,
            "efficiency": _ratio(now.weighted, counts[0].weighted),
            "relative_efficiency": _ratio(now.weighted, last.weighted),
        }
        for cut, now, last in zip(cuts, counts, before, strict=True)
    ]


def _ratio(a: float, b: float) -> float | None:
    return a / b if b else None
