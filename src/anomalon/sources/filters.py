"""What is looked at in every event while it is read: filters with a reason for the ledger, plausible units."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import awkward as ak
import numpy as np
import numpy.typing as npt

from anomalon.errors import InputFileError, MissingFieldError
from anomalon.events import COLLECTIONS, Events
from anomalon.sources.contract import Source

MISSING_TRIGGERS = "triggers_missing"
"""Key of a sample's provenance: file -> year -> trigger paths that the file lacks."""
HIGHEST_MEDIAN_PT = 7000.0
"""Half the events cannot have an object above this pT in GeV at the LHC: such a file is in MeV."""
LOWEST_MEDIAN_PT = 0.2
"""Half the events cannot have nothing above this pT in GeV: such a file is in TeV."""


class EventFilter(Protocol):
    """Leaves events out while they are read, such as a luminosity mask or a trigger list."""

    @property
    def reason(self) -> str:
        """Why, for the ledger."""
        ...

    def readable(self, can_read: Callable[[str], bool], where: str) -> tuple[frozenset[str], dict[str, Any]]:
        """Fields that the filter reads from a file, and what the sample's provenance should say about it.

        Args:
            can_read: whether the file has a field.
            where: the file, for messages.

        Raises:
            MissingFieldError: the filter cannot work on this file.
        """
        ...

    def keep(self, events: Events) -> npt.NDArray[np.bool_]:
        """Which events go on, shape (event,)."""
        ...


@dataclass(frozen=True)
class Filtering:
    """The filters as they apply to one file.

    Attributes:
        filters: in order; an event counts for the first that leaves it out.
        fields: event fields that they need.
        notes: for the provenance of the file's samples.
    """

    filters: Sequence[EventFilter] = ()
    fields: frozenset[str] = frozenset()
    notes: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, source: Source, filters: Sequence[EventFilter]) -> Filtering:
        """Ask every filter what it needs of a file."""
        found = [item.readable(lambda name: can_read(source, name), str(source.path)) for item in filters]
        notes = {key: value for _, noted in found for key, value in noted.items()}
        return cls(filters, frozenset().union(*(fields for fields, _ in found)), notes)

    def wanted(
        self, fields: Sequence[str] | None, source: Source, factors: Sequence[str] = ()
    ) -> tuple[str, ...] | None:
        """Fields to read: those to store, those that the filters look at, and factors of the weight (``all``: any)."""
        more = [*sorted(self.fields), *("factors" if name == "all" else f"factors.{name}" for name in factors)]
        if not more:
            return None if fields is None else tuple(fields)
        return (*(source.info().fields if fields is None else fields), *more)

    def apply(self, events: Events) -> tuple[Events, dict[str, int]]:
        """The events that go on, and how many each reason left out."""
        lost: dict[str, int] = {}
        for item in self.filters:
            mask = item.keep(events)
            if not mask.all():
                lost[item.reason] = int((~mask).sum())
                events = events[mask]
        return events, lost


def can_read(source: Source, field_: str) -> bool:
    """Whether a source has a field; it says so before anything is read."""
    try:
        source.iterate([field_], 1)
    except MissingFieldError:
        return False
    return True


def check_units(events: Events, where: str) -> None:
    """Refuse momenta that are off by a factor of 1000, from the hardest object of each event.

    Particles of a generator may be arbitrarily soft: below, only objects that a detector has seen are judged.

    Raises:
        InputFileError: the median over the events is above 7 TeV or below 0.2 GeV.
    """
    lowest = 0.0 if all(s.origin == "generated" for s in events.samples) else LOWEST_MEDIAN_PT
    for name in COLLECTIONS:
        if not events.has(f"{name}.pt"):
            continue
        leading = ak.drop_none(ak.max(events.array[name].pt, axis=1))
        median = float(np.median(ak.to_numpy(leading))) if len(leading) else 1.0
        if median > HIGHEST_MEDIAN_PT or median < lowest:
            unit = "MeV" if median > HIGHEST_MEDIAN_PT else "TeV"
            raise InputFileError(
                f"{where}: median pT of the leading {name} is {median:.3g} GeV, which no collisions have: the file is "
                f"probably in {unit}; convert it, or say so in the mapping"
            )
