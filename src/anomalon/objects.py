"""Collections of objects: built with their vector behaviour, sorted by pT, and read as flat arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt
import vector

from anomalon.errors import InvalidEventsError

vector.register_awkward()


@dataclass(frozen=True)
class Lists:
    """A collection of objects as flat arrays.

    Attributes:
        starts, stops: event i has the objects ``starts[i]`` to ``stops[i]`` (exclusive) of every column.
        columns: by name; they may hold objects of no event at all.
    """

    starts: npt.NDArray[np.int64]
    stops: npt.NDArray[np.int64]
    columns: Mapping[str, npt.NDArray[Any]]

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self.columns[name]

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Number of objects of each event."""
        return self.stops - self.starts

    def counts_of(self, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """Number of objects of each event where a mask over the columns is true."""
        before = np.zeros(len(mask) + 1, dtype=np.int64)
        np.cumsum(mask, out=before[1:])
        return before[self.stops] - before[self.starts]

    def objects_of(self, events: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Places in the columns of the objects of some events, and the position in ``events`` that each belongs to.

        >>> lists = Lists(np.array([0, 2, 3]), np.array([2, 3, 5]), {})
        >>> owner, place = lists.objects_of(np.array([0, 2]))
        >>> owner.tolist(), place.tolist()
        ([0, 0, 1, 1], [0, 1, 3, 4])
        """
        counts = self.counts[events]
        owner = np.repeat(np.arange(len(events)), counts)
        shift = self.starts[events] - (np.cumsum(counts) - counts)
        return owner, np.arange(len(owner)) + shift[owner]

    def of_events(self, events: npt.NDArray[np.int64]) -> Lists:
        """Lists of some events, in the order given; the objects of all others are left behind.

        >>> lists = Lists(np.array([0, 2]), np.array([2, 3]), {"pt": np.array([30.0, 20.0, 40.0])})
        >>> lists.of_events(np.array([1])).columns["pt"].tolist()
        [40.0]
        """
        _, place = self.objects_of(events)
        counts = self.counts[events]
        stops = np.cumsum(counts)
        return Lists(stops - counts, stops, {name: column[place] for name, column in self.columns.items()})


def make_objects(columns: Mapping[str, Any]) -> ak.Array:
    """Zip the columns of an object collection or of ``met`` and attach the vector behaviour."""
    if all(isinstance(column, np.ndarray) for column in columns.values()):
        return ak.Array(record(columns, vector_name(columns)))
    return ak.zip(dict(columns), with_name=vector_name(columns))


def make_lists(columns: Mapping[str, npt.NDArray[Any]], offsets: npt.NDArray[np.int64]) -> ak.Array:
    """A collection from flat columns, of which event i has ``offsets[i]`` to ``offsets[i + 1]``; nothing is copied.

    >>> make_lists({"pt": np.array([3.0, 2.0, 1.0])}, np.array([0, 2, 2, 3])).pt.to_list()
    [[3.0, 2.0], [], [1.0]]
    """
    objects = record(columns, vector_name(columns))
    return ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(offsets), objects))


def record(columns: Mapping[str, Any], name: str | None = None) -> Any:
    """Layout of a record of columns, without copying them.

    Raises:
        InvalidEventsError: the columns have different lengths.
    """
    contents = [
        ak.contents.NumpyArray(column) if isinstance(column, np.ndarray) else ak.to_layout(column)
        for column in columns.values()
    ]
    lengths = {field: content.length for field, content in zip(columns, contents, strict=True)}
    if len(set(lengths.values())) > 1:
        raise InvalidEventsError(f"columns of different lengths: {lengths}")
    return ak.contents.RecordArray(contents, list(columns), parameters={"__record__": name} if name else None)


def lists_of(layout: Any, columns: Sequence[str]) -> Lists:
    """Columns of a layout of lists of records; nothing is copied where each list begins at the end of the last."""
    if isinstance(layout, ak.contents.IndexedArray):  # selected events: awkward would copy the other columns as well
        return lists_of(layout.content, columns).of_events(np.asarray(layout.index.data, dtype=np.int64))
    layout = projected(layout)
    if not isinstance(layout, ak.contents.ListOffsetArray):
        layout = layout.to_ListOffsetArray64(True)
    starts, stops = (np.asarray(ends.data, dtype=np.int64) for ends in (layout.starts, layout.stops))
    return Lists(starts, stops, {name: numbers_of(layout.content[name]) for name in columns})


def numbers_of(layout: Any) -> npt.NDArray[Any]:
    """Values of a layout of numbers.

    Raises:
        InvalidEventsError: some are missing.
    """
    if isinstance(layout, ak.contents.IndexedArray):  # NumPy takes a tenth of the time of awkward's projection
        return numbers_of(layout.content).take(np.asarray(layout.index.data))
    return np.asarray(projected(layout).data)


def projected(layout: Any) -> Any:
    """Take what an index or an option without missing values points to."""
    while layout.is_indexed or layout.is_option:
        inner = layout.project()
        if inner.length != layout.length:
            raise InvalidEventsError(f"{layout.length - inner.length} missing values (None), events have none")
        layout = inner
    return layout


def vector_name(fields: Iterable[str]) -> str | None:
    """Name of the ``vector`` behaviour that fits these coordinates; None where they make no vector.

    >>> vector_name(["pt", "eta", "phi", "mass"]), vector_name(["pt", "phi"]), vector_name(["pt"])
    ('Momentum4D', 'Momentum2D', None)
    """
    names = {frozenset(("pt", "phi")): "Momentum2D", frozenset(("pt", "eta", "phi")): "Momentum3D"}
    names[frozenset(("pt", "eta", "phi", "mass"))] = "Momentum4D"
    return names.get(frozenset(fields) & {"pt", "eta", "phi", "mass"})


def sort_by_pt(objects: ak.Array) -> ak.Array:
    """Sort a collection by decreasing pT in every event; equal pT keep their order."""
    if _is_sorted(objects):
        return objects
    return objects[ak.argsort(objects.pt, axis=1, ascending=False, stable=True)]


def _is_sorted(objects: ak.Array) -> bool:
    """Whether pT decreases in every event: a pass over the numbers that saves most sources the sorting."""
    # the layout's column: the attribute of a vector is computed, which takes longer than the pass
    layout = projected(projected(objects.layout)["pt"]).to_ListOffsetArray64(True)
    offsets = np.asarray(layout.offsets.data)
    flat = np.asarray(projected(layout.content).data)[: offsets[-1]]
    in_order = np.ones(len(flat) + 1, dtype=bool)
    np.less_equal(flat[1:], flat[:-1], out=in_order[1:-1][: max(len(flat) - 1, 0)])  # false for NaN: sorting places it
    in_order[offsets] = True
    return bool(in_order.all())
