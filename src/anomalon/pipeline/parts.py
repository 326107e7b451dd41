"""The selected events of a search: roles, the split, and two views of them, as a table and as events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from anomalon.batches import TEST, TRAIN, assign_split, mix
from anomalon.events import Events
from anomalon.features import Features, FeatureSet
from anomalon.models.detector import Detector
from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.table import Table
from anomalon.search.results import Role
from anomalon.store import Store
from anomalon.streaming import ROWS, EventBlocks, pick

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Parts:
    """The selected events, who plays which role, and which part of the split each event belongs to.

    Attributes:
        table: all selected events in mixed order.
        role: role that each event plays, shape (event,): background is what detectors learn from, be it simulation or,
            where the search says so, collision data.
        split: TRAIN, VALIDATION or TEST for each event, shape (event,).
        usable: whether every present feature is finite, shape (event,).
        events: the same events in the order of learners, see :mod:`anomalon.pipeline.mixed`.
        rows: row of the table of each of ``events``, shape (event,).
        tabulated: name of the feature set of the table; detectors of another one have theirs computed from the events.
    """

    table: Table
    role: npt.NDArray[np.str_]
    split: npt.NDArray[np.int8]
    usable: npt.NDArray[np.bool_]
    events: Store
    rows: npt.NDArray[np.int64]
    tabulated: str

    @classmethod
    def of(cls, table: Table, search: SearchConfig, gather_events: Callable[[npt.NDArray[np.int64]], Store]) -> Parts:
        """Split every event by a hash of its identity: no event is in two parts, whatever the order of files.

        Args:
            table: the rows of all samples, one after the other.
            search: the configuration.
            gather_events: given the place of each row of ``table``, puts the events there into one store.
        """
        mixed = mix(table.ids, search.seed)
        table = table[mixed]
        roles = {s.name: "background" if s.role == search.background_role else s.role for s in search.samples}
        role = np.asarray([roles[name] for name in table.sample_name], dtype=np.str_)
        split, usable = assign_split(table.ids, search.seed, search.split.fractions), table.features.usable()
        rows = np.argsort(np.where(usable & (role == "background"), split, TEST), kind="stable")
        places = np.empty(len(table), dtype=np.int64)
        places[mixed[rows]] = np.arange(len(table))
        return cls(table, role, split, usable, gather_events(places), rows, search.features["set"])

    def blocks(self, feature_set: FeatureSet, part: int | None = None) -> EventBlocks:
        """Features computed from the background events of a part of the split, or from all events if it is None."""
        first = 0 if part in (None, TRAIN) else int(self.where("background", TRAIN).sum())
        last = len(self.rows) if part is None else first + int(self.where("background", part).sum())
        weights = self.table.weight[self.rows[first:last]]
        return EventBlocks(self.events, feature_set, weights, rows=(first, last))

    def score(self, detector: Detector) -> Floats:
        """Scores of all events, shape (event,)."""
        if detector.settings.features == self.tabulated:
            return detector.score_features(self.table.features)
        scores = np.empty(len(self.rows))
        scores[self.rows] = detector.score_blocks(self.blocks(detector.settings.feature_set()))
        return scores

    def features_of(self, detector: Detector, chosen: npt.NDArray[np.integer]) -> Features:
        """What a detector sees of some rows of the table."""
        if detector.settings.features == self.tabulated:
            return self.table.features[chosen]
        return pick(self.blocks(detector.settings.feature_set()), self.places[chosen])

    @property
    def places(self) -> npt.NDArray[np.int64]:
        """Position in ``events`` of each row of the table, shape (event,)."""
        places = np.empty(len(self.rows), dtype=np.int64)
        places[self.rows] = np.arange(len(self.rows))
        return places

    def events_of(self, chosen: npt.NDArray[np.integer]) -> Events:
        """The events of some rows of the table, in that order."""
        wanted, start = self.places[chosen], 0
        found = []
        for part in self.events.iterate(chunk=ROWS):
            inside = np.sort(wanted[(wanted >= start) & (wanted < start + len(part))]) - start
            found.append(part[inside])
            start += len(part)
        order = np.argsort(np.argsort(wanted, kind="stable"), kind="stable")
        return Events.concatenate(found)[order]

    def without(self, sample: str) -> Parts:
        """The same with the events of one sample weighing nothing, so that no learner sees them."""
        weight = np.where(self.table.sample_name == sample, 0.0, self.table.weight)
        return replace(self, table=replace(self.table, weight=weight))

    def where(self, role: Role, part: int | None = None, sample: str | None = None) -> npt.NDArray[np.bool_]:
        """Mask (event,) of usable events with a role, in a part of the split, of a sample."""
        mask = self.usable & (self.role == role)
        if part is not None:
            mask &= self.split == part
        if sample is not None:
            mask &= self.table.sample_name == sample
        return np.asarray(mask, dtype=np.bool_)

    @property
    def configured_role(self) -> npt.NDArray[np.str_]:
        """Role of each event in the configuration, shape (event,): collisions are data, whatever they stand for."""
        return np.where(self.table.is_data, "data", self.role)

    def of_part(self, role: Role, part: int, sample: str | None = None) -> Table:
        """The events of :meth:`where`."""
        return self.table[self.where(role, part, sample)]

    def test_weight(self) -> npt.NDArray[np.float64]:
        """Weights (event,) of test events scaled by the inverse of their sample's tested share; others are 0.

        With them the yields of the test part are those of the whole sample. Collisions are counted and never scaled.
        """
        weight = np.zeros(len(self.table))
        for name in np.unique(self.table.sample_name):
            own = self.table.sample_name == name
            tested = own & (self.split == TEST)
            if tested.any():
                scale = 1.0 if self.table.is_data[tested].all() else own.sum() / tested.sum()
                weight[tested] = self.table.weight[tested] * scale
        return weight
