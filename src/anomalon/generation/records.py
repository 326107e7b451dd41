"""What goes into and comes out of generators: settings, reports, what is asked and what was made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from anomalon.config import Settings
from anomalon.events import Events
from anomalon.generation.flatten import EventArrays, Ints
from anomalon.generation.layout import Acceptance
from anomalon.generation.multiplicities import MultiplicitySettings
from anomalon.generation.refine import RefinementSettings
from anomalon.hashing import Hashes


class GeneratorSettings(Settings):
    """Settings that every generator has.

    Attributes:
        slots: name of a preset, or slots by kind (b, j, e-, e+, m-, m+, g).
        acceptance: name of a detector, thresholds by class, or null to take what is observed.
        multiplicities: how numbers of objects are modelled.
        refinement: events are kept as a classifier finds them real; null for none.
        cross_section_pb: of the events as they are stored, for luminosity weights; unknown by default.
        seed: of everything random in the fit.
    """

    slots: str | dict[str, int] = "default"
    acceptance: str | Acceptance | None = None
    multiplicities: MultiplicitySettings = MultiplicitySettings()
    refinement: RefinementSettings | None = None
    cross_section_pb: float | None = Field(default=None, gt=0)
    seed: int = Field(default=0, ge=0)


class TunedFrom(Settings):
    """What a fine-tuned generator started from.

    Attributes:
        name: of the model, or its folder; empty where it was not read from one.
        trained_on: names of the samples that it had learned from.
        learned: events that it had learned from.
        sha256: of its weights and tables.
        tuned_from: what it had started from itself.
    """

    name: str = ""
    trained_on: tuple[str, ...]
    learned: int
    sha256: str
    tuned_from: TunedFrom | None = None


class FitReport(Settings):
    """What a generator was fitted to.

    Attributes:
        read: events given.
        unweighted: events left after those of small weight were drawn.
        beyond_slots: events left out, for they have more objects of a kind than slots.
        out_of_reach: events left out, for an object is outside the acceptance or they break the storing rule.
        filtered: events left out, for their mask is not among those kept.
        learned: events learned from.
        masks: different masks among them.
        total_variation: between the model of the multiplicities and what was seen, before anything was filtered.
        tuned_from: the generator that the fit started from; null for a fit from scratch.
    """

    read: int
    unweighted: int
    beyond_slots: int
    out_of_reach: int
    filtered: int
    learned: int
    masks: int
    total_variation: float
    tuned_from: TunedFrom | None = None


@dataclass(frozen=True)
class Asked:
    """What a family is asked to draw.

    Attributes:
        counts: numbers of objects, shape (event, kind).
        context: inputs that tell processes and parameters apart, shape (event, input).
        keys: 64 random bits of each event, all other random numbers follow from them, shape (event,).
    """

    counts: Ints
    context: npt.NDArray[np.float32]
    keys: Hashes

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, rows: Any) -> Asked:
        """The events at a slice, a mask or an index array."""
        return Asked(self.counts[rows], self.context[rows], self.keys[rows])


@dataclass(frozen=True)
class Generated:
    """Generated events and what they took.

    Attributes:
        events: with origin ``generated``.
        tried: events drawn to get them; those that broke the storing rule or were refused were drawn anew.
    """

    events: Events
    tried: int

    @property
    def rejected(self) -> float:
        """Share of the events drawn that was rejected."""
        return 1.0 - len(self.events) / max(self.tried, 1)


@dataclass(frozen=True)
class Learned:
    """What a family learns from.

    Attributes:
        arrays: events with the objects that have a slot.
        context: inputs that tell processes and parameters apart, shape (event, input).
    """

    arrays: EventArrays
    context: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.arrays)
