"""Events of a store or file into another format: one call behind ``anomalon export``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from anomalon.errors import ConfigError, UnknownNameError, suggest
from anomalon.events import Events
from anomalon.ledger import Ledger, LedgerEntry
from anomalon.selection import Selection, apply
from anomalon.sources import CHUNK, Source, open_source
from anomalon.store import Store
from anomalon.writers import ParquetWriter, WriterSettings, writer_for


@dataclass(frozen=True)
class Skim:
    """Which events and fields are written.

    Attributes:
        fields: dotted names or collections; None for all that there are.
        selection: events that do not pass are left out; sums of weights stay those before the selection.
        sample: only the events of this sample; None for all.
    """

    fields: tuple[str, ...] | None = None
    selection: Selection | None = None
    sample: str | None = None

    @property
    def to_read(self) -> tuple[str, ...] | None:
        """Fields that have to be read: those to write, and those that the selection looks at."""
        if self.fields is None:
            return None
        return tuple({*self.fields, *(self.selection.requires if self.selection else ())})


@dataclass(frozen=True)
class ExportSummary:
    """What was written.

    Attributes:
        output: the file or store.
        format: its format.
        read: events read.
        written: events written.
        samples: names of the samples in it.
        left_out: event fields that the format has no place for.
        cut_off: objects that did not fit, by collection.
    """

    output: str
    format: str
    read: int
    written: int
    samples: tuple[str, ...]
    left_out: tuple[str, ...]
    cut_off: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {"samples": list(self.samples), "left_out": list(self.left_out)}


def export_events(  # noqa: PLR0913 one argument per option of the command
    source: str | Path,
    output: str | Path,
    *,
    format_: str | None = None,
    skim: Skim | None = None,
    settings: WriterSettings | None = None,
    overwrite: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> ExportSummary:
    """Write the events of a store, or of a file that anomalon reads, in another format.

    Args:
        source: a store or an event file.
        output: the file or store to make; it appears under its name when it is complete.
        format_: one of :func:`anomalon.writers.formats`; None goes by the ending of ``output``.
        skim: which events and fields; None for all.
        settings: choices of the format.
        overwrite: replace what is there.
        on_progress: called with (events read, events in all).

    Raises:
        OutputExistsError: ``output`` is there and ``overwrite`` is off.
        UnknownNameError: no such format or sample.
        InvalidEventsError: the events do not fit the format.
        MissingFieldError: the source lacks a field.
    """
    chosen, opened = skim or Skim(), open_source(source)
    kind = writer_for(output, format_)
    if Path(output).resolve() == Path(source).resolve():
        raise ConfigError(f"{output}: is what is read; choose another name for the output")
    _check_sample(opened, chosen.sample)
    read = written = 0
    with kind(output, settings, overwrite=overwrite) as writer:
        for part in opened.iterate(chosen.to_read, CHUNK):
            kept = _skimmed(part, chosen)
            writer.append(kept)
            read, written = read + len(part), written + len(kept)
            if on_progress is not None:
                on_progress(read, opened.n_events)
        if isinstance(writer, ParquetWriter):
            writer.ledger = _ledger(opened, read, written)
    names = tuple(sample.name for sample in writer.samples)
    return ExportSummary(str(output), kind.format, read, written, names, writer.left_out, dict(writer.cut_off))


def _check_sample(source: Source, name: str | None) -> None:
    names = [sample.name for sample in source.info().samples]
    if name is not None and name not in names:
        raise UnknownNameError(f"{source.path}: no sample '{name}'; {suggest(name, names)}")


def _skimmed(events: Events, skim: Skim) -> Events:
    if skim.sample is not None:
        events = _of_sample(events, skim.sample)
    if skim.selection is not None:
        events = apply(skim.selection, events).events
    return events if skim.fields is None else _with_fields(events, skim.fields)


def _of_sample(events: Events, name: str) -> Events:
    place = [sample.name for sample in events.samples].index(name)
    array = events.array[ak.to_numpy(events.array.dataset) == place]
    return Events(ak.with_field(array, np.zeros(len(array), dtype=np.int32), "dataset"), [events.samples[place]])


def _with_fields(events: Events, fields: Iterable[str]) -> Events:
    """Only these collections, the ids and the weights: what a selection alone has read does not go on."""
    heads = {name.partition(".")[0] for name in fields} | {"factors"}
    always = ("run", "lumi", "event", "dataset", "gen_weight")
    return Events(events.array[[f for f in events.fields if f in heads or f in always]], events.samples)


def _ledger(source: Source, read: int, written: int) -> Ledger:
    before = Store(source.path).ledger if source.format == "anomalon-store" else None
    entry = LedgerEntry(f"export of {source.path}", read=read, written=written, cut=read - written)
    return (before or Ledger()).add(entry)
