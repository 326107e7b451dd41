"""A store is a source too."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

from anomalon.events import Events
from anomalon.shards import EVENTS_PER_GROUP
from anomalon.sources.contract import CHUNK, Format, SourceInfo, register
from anomalon.store import FORMAT, Store, is_store


class StoreSource:
    """Events of a store, through the contract of sources."""

    format = FORMAT

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.store = Store(path)

    @property
    def n_events(self) -> int:
        """Number of events."""
        return self.store.n_events

    def info(self) -> SourceInfo:
        """What the store holds."""
        ledger = self.store.ledger
        details = {"shards": len(self.store.shards), "ledger": None if ledger is None else ledger.to_dict()}
        store = self.store
        return SourceInfo(str(self.path), FORMAT, store.n_events, store.fields, store.samples, {}, details)

    def iterate(self, fields: Iterable[str] | None = None, chunk: int = CHUNK) -> Iterator[Events]:
        """Yield the events in order; see :meth:`anomalon.sources.contract.Source.iterate`."""
        self.store.columns(fields)
        if not self.store.n_events:
            return iter([self.store.load(fields)])
        return self.store.iterate(fields, chunk)

    def ranges(self, chunk: int) -> list[tuple[int, int]]:
        """Cut the events into ranges (start, stop) of at most ``chunk``, each of whole row groups of one shard."""
        found: list[tuple[int, int]] = []
        first, size = 0, max(chunk // EVENTS_PER_GROUP * EVENTS_PER_GROUP, min(chunk, EVENTS_PER_GROUP))
        for shard in self.store.shards:
            stop = first + shard.events
            found += itertools.pairwise([*range(first, stop, size), stop])
            first = stop
        return found or [(0, 0)]

    def iterate_range(
        self, start: int, stop: int, fields: Iterable[str] | None = None, chunk: int = CHUNK
    ) -> Iterator[Events]:
        """Yield the events ``start`` to ``stop`` (exclusive); the rest as :meth:`iterate`."""
        self.store.columns(fields)
        edges = [*range(start, stop, chunk), stop] if stop > start else [start, stop]
        return (self.store.slice(a, b, fields) for a, b in itertools.pairwise(edges))


register(Format(FORMAT, "written by anomalon read or simulate", lambda path, _: is_store(path), StoreSource))
