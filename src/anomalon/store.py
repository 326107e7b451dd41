"""Events on disk: Parquet shards and a manifest with hashes, samples and ledger.

A store is a directory: ``manifest.json`` and ``shard-00000.parquet``, ``shard-00001.parquet``, ... It is written under
a temporary name beside the final one and renamed when it is complete, so that a killed writer leaves nothing half-made.
Memory is that of a shard or of the events asked for, however large the store.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from anomalon.errors import InvalidEventsError, MissingFieldError, OutputExistsError, StoreError, suggest
from anomalon.events import EVENT_FIELDS, Events, Sample, merge_samples
from anomalon.ledger import Ledger
from anomalon.partial import held, remove_leftovers
from anomalon.shards import (
    EVENTS_PER_GROUP,
    columns_of,
    cut,
    open_shard,
    read_rows,
    read_table,
    to_events,
    with_factors,
    write_shard,
)

FORMAT = "anomalon-store"
VERSION = 1
MANIFEST = "manifest.json"
EVENTS_PER_SHARD = 6 * EVENTS_PER_GROUP
"""Events in a shard: a few tens of MB in memory, in whole row groups."""


@dataclass(frozen=True)
class Shard:
    """One Parquet file of a store: its name, number of events, size in bytes, hash and columns (dotted names)."""

    file: str
    events: int
    size: int
    sha256: str
    fields: tuple[str, ...]


class StoreWriter:
    """Write a store; use it as a context manager.

    Events are buffered into shards of equal size, so the shards do not depend on how the events are handed in. An
    exception inside the ``with`` block leaves nothing under the final name.

    Args:
        path: the directory to make.
        overwrite: replace a store that is already there.
        events_per_shard: events per Parquet file.

    Raises:
        OutputExistsError: something is at ``path`` and ``overwrite`` is off.
        StoreError: ``overwrite`` is on, but what is at ``path`` is not a store.
    """

    def __init__(self, path: str | Path, *, overwrite: bool = False, events_per_shard: int = EVENTS_PER_SHARD) -> None:
        self.path = Path(path)
        self._overwrite = overwrite
        _check_free(self.path, overwrite)
        self._shard_size = events_per_shard
        self._samples: dict[str, int] = {}
        self._provisional: list[Sample] = []
        self._shards: list[Shard] = []
        self._buffer: list[ak.Array] = []
        self._finished = False
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._folder = self.path.with_name(f"{self.path.name}.{secrets.token_hex(4)}.partial")
        remove_leftovers(self.path.parent, re.escape(self.path.name) + r"\.[0-9a-f]{8}\.partial")
        self._holding = ExitStack()
        self._holding.enter_context(held(self._folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and not self._finished:
                self.finish()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._holding.close()

    @property
    def n_events(self) -> int:
        """Events handed in so far."""
        return sum(s.events for s in self._shards) + self._buffered

    def append(self, events: Events) -> None:
        """Add events; their samples may be provisional (see :meth:`finish`)."""
        array = self._with_common_dataset(events)
        if self._buffer and columns_of(self._buffer[0]) != columns_of(array):
            self._flush()
        self._buffer.append(array)
        while self._buffered >= self._shard_size:
            self._flush(self._shard_size)

    def finish(self, samples: Sequence[Sample] | None = None, ledger: Ledger | None = None) -> Store:
        """Write the manifest, move the store to its final name and return it.

        Args:
            samples: final samples, matched to the provisional ones by name: cross sections and sums of weights are
                often known only at the end.
            ledger: what became of the events of every input.

        Raises:
            StoreError: no events were handed in, not even an empty table, or ``samples`` lacks one that events use.
            InvalidEventsError: provisional samples of one name disagree and no final ones are given.
            LedgerError: the ledger does not balance.
        """
        self._flush()
        if not self._shards:
            raise StoreError(f"{self.path}: no events to store, not even an empty table of them")
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "events": self.n_events,
            "shards": [asdict(shard) for shard in self._shards],
            "samples": [s.model_dump(mode="json") for s in self._final_samples(samples)],
            "ledger": None if ledger is None else ledger.check().to_dict(),
        }
        manifest["digest"] = _digest(manifest)
        (self._folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        _check_free(self.path, self._overwrite)  # again: another writer may have been faster
        _rename(self._folder, self.path)
        self._finished = True
        return Store(self.path)

    @property
    def _buffered(self) -> int:
        return sum(len(array) for array in self._buffer)

    def _with_common_dataset(self, events: Events) -> ak.Array:
        for sample in events.samples:
            self._samples.setdefault(sample.name, len(self._samples))
        self._provisional.extend(s for s in events.samples if s not in self._provisional)
        order = np.asarray([self._samples[s.name] for s in events.samples], dtype=np.int32)
        local = ak.to_numpy(events.array.dataset)
        return ak.with_field(events.array, order[local] if len(local) else local.astype(np.int32), "dataset")

    def _flush(self, size: int | None = None) -> None:
        if not self._buffer:
            return
        array = self._buffer[0] if len(self._buffer) == 1 else ak.concatenate(self._buffer)
        size = len(array) if size is None else size
        # packed: a slice keeps the objects of the others alive, and the next joining would copy them along
        self._buffer = [ak.to_packed(array[size:])] if size < len(array) else []
        if size or not self._shards:
            self._write(array[:size])

    def _write(self, array: ak.Array) -> None:
        file = self._folder / f"shard-{len(self._shards):05d}.parquet"
        write_shard(array, file)
        self._shards.append(Shard(file.name, len(array), file.stat().st_size, sha256(file), columns_of(array)))

    def _final_samples(self, samples: Sequence[Sample] | None) -> tuple[Sample, ...]:
        known = {s.name: s for s in merge_samples([self._provisional if samples is None else samples])}
        lost = [name for name in self._samples if name not in known]
        if lost:
            raise StoreError(f"{self.path}: no final sample called {', '.join(lost)}; given: {', '.join(known)}")
        return (*(known.pop(name) for name in self._samples), *known.values())


class Store:
    """Read a store.

    Opening checks the manifest and the size of every shard; a shard's hash is checked when it is first read.

    Attributes:
        path: the directory.
        samples: the samples that the events belong to.
        ledger: what became of the events of every input; None where the writer gave none.
        n_events: number of events.
        fields: dotted names of the columns that every shard has; factors that some shard has are filled with 1.

    Raises:
        StoreError: not a store, written by a newer version, cut short or changed.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        manifest = _read_manifest(self.path)
        self.shards = tuple(Shard(**{**s, "fields": tuple(s["fields"])}) for s in manifest["shards"])
        self.samples = tuple(Sample.parse(s, where=f"{self.path}: sample") for s in manifest["samples"])
        self.ledger = None if manifest["ledger"] is None else Ledger.from_dict(manifest["ledger"])
        self.digest: str = manifest["digest"]
        self._verified: dict[str, tuple[int, int]] = {}
        self._check_sizes()

    def __repr__(self) -> str:
        return f"Store('{self.path}', events={self.n_events}, samples={[s.name for s in self.samples]})"

    @property
    def n_events(self) -> int:
        """Number of events."""
        return sum(shard.events for shard in self.shards)

    @property
    def fields(self) -> tuple[str, ...]:
        """Dotted names of the columns, such as ``electrons.pt``, ``met.phi``, ``run``."""
        shards = [s for s in self.shards if s.events] or self.shards
        common = set.intersection(*(set(s.fields) for s in shards)) | set(self._factors())
        return tuple(dict.fromkeys(name for s in shards for name in s.fields if name in common))

    def iterate(self, fields: Iterable[str] | None = None, chunk: int | None = None) -> Iterator[Events]:
        """Yield the events in order; only the columns asked for are read.

        Args:
            fields: dotted names or collections, such as ``electrons.pt``, ``met``; the event's ids, dataset and weights
                are always there. None reads every column.
            chunk: events per part (the last may be shorter), whatever the shards; None yields shard by shard.

        Raises:
            MissingFieldError: the store lacks a field.
            StoreError: a shard has changed since it was written.
        """
        columns = self.columns(fields)
        tables = (self._table(shard, columns) for shard in self.shards if shard.events)
        for group in ([table] for table in tables) if chunk is None else cut(tables, chunk):
            yield self._events(group, columns)

    def load(self, fields: Iterable[str] | None = None) -> Events:
        """All events in memory; arguments and errors as :meth:`iterate`."""
        columns = self.columns(fields)
        shards = [shard for shard in self.shards if shard.events] or self.shards[:1]
        return self._events([self._table(shard, columns) for shard in shards], columns)

    def slice(self, start: int, stop: int, fields: Iterable[str] | None = None) -> Events:
        """Events ``start`` to ``stop`` (exclusive) in the order of the store, for reading blocks at random.

        Only the row groups that hold them are read. The hash of a shard is checked when it is first touched, and again
        when its file has changed since.

        Raises:
            InvalidEventsError: not 0 <= start <= stop <= number of events.
            MissingFieldError: the store lacks a field.
            StoreError: a shard has changed since it was written.
        """
        columns, n = self.columns(fields), self.n_events
        if not 0 <= start <= stop <= n:
            raise InvalidEventsError(f"{self.path}: events {start} to {stop} asked for, there are 0 to {n}")
        if start == stop:
            return self._events([self._table(self.shards[0], columns).slice(0, 0)], columns)
        tables = []
        for shard in self.shards:
            if start < shard.events and stop > 0:
                tables.append(self._rows(shard, max(start, 0), min(stop, shard.events), columns))
            start, stop = start - shard.events, stop - shard.events
        return self._events(tables, columns)

    def columns(self, fields: Iterable[str] | None = None) -> tuple[str, ...]:
        """Columns that :meth:`iterate` reads for these fields.

        Raises:
            MissingFieldError: the store lacks a field; the message suggests near names.
        """
        if fields is None:
            return self.fields
        wanted = {*fields, *EVENT_FIELDS, *self._factors()}
        have = {name.partition(".")[0] for name in self.fields} | set(self.fields)
        for name in sorted(wanted - have):
            raise MissingFieldError(f"{self.path}: no field '{name}' in this store; {suggest(name, have)}")
        return tuple(f for f in self.fields if f in wanted or f.partition(".")[0] in wanted)

    def verify(self) -> None:
        """Check the hash of every shard.

        Raises:
            StoreError: a shard has changed since it was written.
        """
        for shard in self.shards:
            self._verify(shard)

    def _factors(self) -> tuple[str, ...]:
        return tuple(sorted({f for s in self.shards for f in s.fields if f.startswith("factors.")}))

    def _check_sizes(self) -> None:
        for shard in self.shards:
            file = self.path / shard.file
            size = file.stat().st_size if file.is_file() else None
            if size != shard.size:
                found = "missing" if size is None else f"{size} bytes"
                raise StoreError(f"{file}: {found}, the manifest says {shard.size} bytes; make the store anew")

    def _verify(self, shard: Shard, content: pa.Buffer | None = None) -> tuple[int, int]:
        """Check the hash of a shard, once for as long as its file stays the same; returns what identifies the file."""
        file = self.path / shard.file
        identity = (file.stat().st_mtime_ns, file.stat().st_size)
        if self._verified.get(shard.file) != identity:
            digest = sha256(file) if content is None else hashlib.sha256(content).hexdigest()
            if digest != shard.sha256:
                raise StoreError(f"{file}: changed since it was written (sha256 differs); make it anew")
            self._verified[shard.file] = identity
        return identity

    def _table(self, shard: Shard, columns: Sequence[str]) -> pa.Table:
        """All events of a shard, whose bytes are read once: to check the hash and to decode."""
        with pa.OSFile(str(self.path / shard.file)) as file:
            content = file.read_buffer()
        self._verify(shard, content)
        return self._complete(read_table(pq.ParquetFile(content, pre_buffer=False), columns), columns)

    def _rows(self, shard: Shard, start: int, stop: int, columns: Sequence[str]) -> pa.Table:
        file = open_shard(self.path / shard.file, self._verify(shard))
        return self._complete(read_rows(file, start, stop, columns), columns)

    def _complete(self, table: pa.Table, columns: Sequence[str]) -> pa.Table:
        return with_factors(table, [c.partition(".")[2] for c in columns if c.startswith("factors.")])

    def _events(self, tables: Sequence[pa.Table], columns: Sequence[str]) -> Events:
        return Events(to_events(tables, columns), self.samples)


def merge(stores: Iterable[Store | str | Path], path: str | Path, *, overwrite: bool = False) -> Store:
    """Write the events of several stores into one; ledgers are joined, equal samples become one.

    Raises:
        InvalidEventsError: two stores have different samples of the same name, or there is nothing to merge.
    """
    opened = [s if isinstance(s, Store) else Store(s) for s in stores]
    if not opened:
        raise InvalidEventsError("no stores to merge: the list is empty")
    samples = merge_samples(s.samples for s in opened)
    with StoreWriter(path, overwrite=overwrite) as writer:
        for store in opened:
            for events in store.iterate() if store.n_events else [store.load()]:
                writer.append(events)
        return writer.finish(samples, Ledger.join(s.ledger for s in opened if s.ledger is not None))


def is_store(path: str | Path) -> bool:
    """Whether a path looks like a store: a directory with a manifest."""
    return (Path(path) / MANIFEST).is_file()


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_free(path: Path, overwrite: bool) -> None:
    if not path.exists():
        return
    if not overwrite:
        raise OutputExistsError(f"{path}: already there; choose another name or overwrite it (--overwrite)")
    if not is_store(path):
        raise StoreError(f"{path}: already there and not a store: not overwritten; choose another name")


def _rename(folder: Path, path: Path) -> None:
    """Move a finished folder to its name; a store already there is moved away first and deleted last."""
    old = folder.with_suffix(".old.partial")
    if path.exists():
        path.rename(old)
    folder.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def _digest(manifest: dict[str, Any]) -> str:
    values = {key: value for key, value in manifest.items() if key != "digest"}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _read_manifest(path: Path) -> dict[str, Any]:
    if not is_store(path):
        what = f"holds no {MANIFEST}" if path.is_dir() else "no such directory"
        raise StoreError(f"{path}: not a store ({what}); make one with: anomalon read FILES... --output STORE")
    try:
        manifest: dict[str, Any] = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        version, digest, format_ = manifest["version"], manifest["digest"], manifest["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path / MANIFEST}: not a readable manifest ({error!r}); make the store anew") from None
    if format_ != FORMAT or version != VERSION:
        raise StoreError(f"{path / MANIFEST}: {format_} version {version}; this anomalon reads {FORMAT} {VERSION}")
    if digest != _digest(manifest):
        raise StoreError(f"{path / MANIFEST}: changed since it was written (digest differs); make the store anew")
    return manifest
