"""Files of a dataset into a store: one call behind ``anomalon read``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from pydantic import Field

from anomalon.config import Settings
from anomalon.errors import ConfigError, InputFileError
from anomalon.events import Events, Sample
from anomalon.ledger import Ledger, LedgerEntry
from anomalon.sources.contract import CHUNK, Source, Tolerant, expand, open_source, with_origin
from anomalon.sources.duplicates import SeenEvents
from anomalon.sources.filters import MISSING_TRIGGERS, EventFilter, Filtering, check_units
from anomalon.sources.flat import open_flat
from anomalon.sources.mapping import load_mapping
from anomalon.sources.remote import origin
from anomalon.sources.stored import StoreSource
from anomalon.store import Store, StoreWriter, sha256


class ReadSettings(Settings):
    """How files become samples of a store.

    Attributes:
        process: name of the process; all files are then one sample of this name. None: one sample per file, with
            process ``unknown`` (``data`` for collision data), because file names lie.
        cross_section_pb: cross section of the process in pb; None for that of the file, where it gives one.
        k_factor: ratio to the cross section of a higher order.
        filter_efficiency: fraction of the cross section that the generator's filter lets through.
        luminosity_fb: integrated luminosity of collision data in fb^-1.
        sqrt_s_gev: centre-of-mass energy in GeV; None for that of the file, or 13 TeV where it does not say.
        fields: event fields to store, such as ``electrons``, ``met.pt``; None for all that the file has.
        factors: factors of the event weight, and their variations, that are read only when asked for, such as
            ``scale`` or ``pileup``; ``all`` for all that the file has. Collision data has none.
        skip_bad: list damaged files in the ledger and go on, instead of stopping.
        keep_duplicates: simulation only: let events of equal (run, lumi, event) pass, for productions that number
            the events of every job alike. Of collision data, only the first is ever kept.
        mapping: YAML file that says which column of a flat file is which event field.
        lenient: text files: leave lines out that cannot be read, and count them in the ledger by reason.
        checksums: file in the form of ``sha256sum``; an input whose hash differs from it is refused.
        chunk: events in memory at a time.
    """

    process: str | None = Field(default=None, min_length=1)
    cross_section_pb: float | None = Field(default=None, gt=0)
    k_factor: float = Field(default=1.0, gt=0)
    filter_efficiency: float = Field(default=1.0, gt=0, le=1)
    luminosity_fb: float | None = Field(default=None, gt=0)
    sqrt_s_gev: float | None = Field(default=None, gt=0)
    fields: tuple[str, ...] | None = None
    factors: tuple[str, ...] = ()
    skip_bad: bool = False
    keep_duplicates: bool = False
    mapping: Path | None = None
    lenient: bool = False
    checksums: Path | None = None
    chunk: int = Field(default=CHUNK, ge=1)


EVENTS_FOR_UNITS = 200


@dataclass(frozen=True)
class _Input:
    source: Source
    samples: tuple[Sample, ...]
    entry: LedgerEntry
    filtering: Filtering = field(default_factory=Filtering)

    @property
    def is_data(self) -> bool:
        return self.samples[0].is_data

    @property
    def skipped(self) -> Mapping[str, int]:
        return self.source.skipped if isinstance(self.source, Tolerant) else {}


def ingest(
    paths: Iterable[str | Path],
    output: str | Path,
    settings: ReadSettings | None = None,
    *,
    overwrite: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
    filters: Sequence[EventFilter] = (),
) -> Store:
    """Read files into a store, with a ledger that accounts for every event.

    All files are opened, hashed and checked for the fields before the first event is written.

    Args:
        paths: files, glob patterns and directories.
        output: the store to make.
        settings: names, normalisation and what to do with bad files.
        overwrite: replace a store that is already there.
        on_progress: called with (events read, events in all) after every part.
        filters: such as a luminosity mask or a trigger list; what they leave out is counted by reason.

    Raises:
        InputFileError: a file is missing, damaged, given twice, not of a known format or off by a factor of 1000 in its
            momenta; simulated events repeat.
        MissingFieldError: a file lacks a branch that a field needs.
        ConfigError: the settings do not fit the files.
        OutputExistsError: ``output`` is there and ``overwrite`` is off.
    """
    chosen = settings or ReadSettings()
    with StoreWriter(output, overwrite=overwrite) as writer:
        files = expand(paths)
        inputs, failed = _open_all(files, chosen, filters)
        named = _assign_samples(inputs, chosen, n_failed=len(failed))
        copy = _Copy(writer, chosen, sum(item.source.n_events for item in named), on_progress)
        entries = {entry.file: entry for entry in (*(copy.file(item) for item in named), *failed)}
        samples = _lowered((item, entries[item.entry.file].read) for item in named)
        return writer.finish(samples, Ledger(tuple(entries[origin(file)] for file in files)))


@dataclass
class _Copy:
    """Moves events from sources to the writer, and counts."""

    writer: StoreWriter
    settings: ReadSettings
    total: int
    on_progress: Callable[[int, int], None] | None
    done: int = 0
    data: SeenEvents = field(default_factory=SeenEvents)
    simulation: dict[str, SeenEvents] = field(default_factory=dict)

    def file(self, item: _Input) -> LedgerEntry:
        read = written = 0
        skipped: Counter[str] = Counter()
        fields = item.filtering.wanted(self.settings.fields, item.source, self.settings.factors)
        for part in item.source.iterate(fields, self.settings.chunk):
            if not read:
                check_units(part[:EVENTS_FOR_UNITS], str(item.source.path))
            passed, lost = item.filtering.apply(_of_samples(part, item.samples))
            kept = self._without_duplicates(passed, item)
            self.writer.append(kept)
            read, written = read + len(part), written + len(kept)
            skipped.update(lost)
            self._report(len(part))
        duplicated = read - written - skipped.total()
        unreadable = Counter(item.skipped)
        return replace(
            item.entry,
            read=read + unreadable.total(),
            written=written,
            duplicated=duplicated,
            skipped=skipped + unreadable,
        )

    def _report(self, n: int) -> None:
        self.done += n
        if self.on_progress is not None:
            self.on_progress(self.done, self.total)

    def _without_duplicates(self, events: Events, item: _Input) -> Events:
        if item.is_data:
            new = self.data.add(events)
            return events if new.all() else events[new]
        if not self.settings.keep_duplicates:
            for sample, part in _by_sample(events):
                new = self.simulation.setdefault(sample, SeenEvents()).add(part)
                if not new.all():
                    raise InputFileError(_repeats(part, int(np.argmin(new)), item.source.path, sample))
        return events


def _of_samples(events: Events, samples: tuple[Sample, ...]) -> Events:
    """Events under the names that the user chose: one for all, or one for each that the source knows."""
    if len(samples) == len(events.samples):
        return Events(events.array, samples)
    return Events(ak.with_field(events.array, np.zeros(len(events), dtype=np.int32), "dataset"), samples)


def _by_sample(events: Events) -> Iterable[tuple[str, Events]]:
    if len(events.samples) == 1:
        return [(events.samples[0].name, events)]
    dataset = ak.to_numpy(events.array.dataset)
    return [(events.samples[i].name, events[dataset == i]) for i in np.unique(dataset)]


def _repeats(events: Events, index: int, path: Path, sample: str) -> str:
    ids = ":".join(str(events.array[name][index]) for name in ("run", "lumi", "event"))
    return (
        f"{path}: simulated event {ids} (run:lumi:event) has been read before: its weight would count "
        f"twice in sample '{sample}'; leave the file out, or pass --keep-duplicates if its production "
        "reuses numbers"
    )


def _open_all(
    files: Sequence[Path], settings: ReadSettings, filters: Sequence[EventFilter]
) -> tuple[list[_Input], list[LedgerEntry]]:
    registered = {} if settings.checksums is None else read_checksums(settings.checksums)
    inputs: list[_Input] = []
    failed: list[LedgerEntry] = []
    for file in files:
        try:
            item = _filtered(_open(file, settings, registered), settings, filters)
        except InputFileError as error:
            if not settings.skip_bad:
                raise
            size = file.stat().st_size if file.is_file() else 0
            failed.append(LedgerEntry(origin(file), size=size, error=str(error)))
        else:
            inputs.append(_refuse_twin(item, inputs))
    if not inputs:
        raise InputFileError(f"none of the {len(files)} files can be read; the first: {failed[0].error}")
    return inputs, failed


def _open(file: Path, settings: ReadSettings, registered: Mapping[str, str]) -> _Input:
    source = open_source(file) if settings.mapping is None else open_flat(file, load_mapping(settings.mapping))
    if settings.lenient and isinstance(source, Tolerant):
        source = source.lenient()
    if isinstance(source, StoreSource):
        raise InputFileError(f"{file}: is a store already; score it or merge it (anomalon.store.merge)")
    entry = LedgerEntry(origin(file), sha256=sha256(file), size=file.stat().st_size)
    _check_registered(file, entry.sha256, registered)
    return _Input(source, with_origin(source.info()).samples, entry)


def _filtered(item: _Input, settings: ReadSettings, filters: Sequence[EventFilter]) -> _Input:
    """Check that the fields are there, those of the filters too, and note what the filters cannot see."""
    filtering = Filtering.of(item.source, filters)
    fields = filtering.wanted(settings.fields, item.source, settings.factors)
    parts = item.source.iterate(fields, settings.chunk)
    if settings.skip_bad:  # a first pass: a file that breaks in the middle leaves no events behind
        for _ in parts:
            pass
    noted = {**filtering.notes}
    if lost := noted.pop(MISSING_TRIGGERS, None):
        noted[MISSING_TRIGGERS] = {item.entry.file: lost}
    samples = tuple(s.model_copy(update={"provenance": {**s.provenance, **noted}}) for s in item.samples)
    return replace(item, filtering=filtering, samples=samples)


def _lowered(copied: Iterable[tuple[_Input, int]]) -> list[Sample]:
    """The samples with the luminosity of collision data lowered by the events that could not be read.

    Sums of generator weights are those of the readable events, so simulation needs nothing.
    """
    read: Counter[str] = Counter()
    damaged: Counter[str] = Counter()
    found: dict[str, Sample] = {}
    for item, n_read in copied:
        for sample in item.samples:
            found[sample.name] = sample
            read[sample.name] += n_read
            damaged[sample.name] += sum(item.skipped.values())
    return [_with_lower_luminosity(s, damaged[name], read[name]) for name, s in found.items()]


def _with_lower_luminosity(sample: Sample, damaged: int, read: int) -> Sample:
    if not sample.is_data or sample.luminosity_fb is None or not damaged:
        return sample
    noted = {"luminosity_fb_of_all_events": sample.luminosity_fb, **sample.provenance}
    lower = sample.luminosity_fb * (read - damaged) / read
    return sample.model_copy(update={"luminosity_fb": lower, "provenance": noted})


def _refuse_twin(item: _Input, others: Sequence[_Input]) -> _Input:
    for other in others:
        if other.entry.sha256 == item.entry.sha256:
            raise InputFileError(f"{item.entry.file}: the same file as {other.entry.file} (equal sha256); give it once")
    return item


def read_checksums(path: str | Path) -> dict[str, str]:
    """Hashes by file name, from a file in the form of ``sha256sum``: ``HASH  NAME`` per line.

    Raises:
        InputFileError: the file is missing or a line has another form.
    """
    file = Path(path)
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputFileError(f"{file}: cannot be read as a list of checksums ({error})") from None
    hashes: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        digest, _, name = line.strip().partition(" ")
        if line.strip() and (len(digest) != 64 or not name.strip(" *")):
            raise InputFileError(f"{file}, line {number}: {line!r}, expected 'SHA256  NAME' as sha256sum writes it")
        hashes[Path(name.strip(" *")).name] = digest.lower()
    return hashes


def _check_registered(file: Path, digest: str, registered: Mapping[str, str]) -> None:
    expected = registered.get(file.name, digest)
    if digest != expected:
        raise InputFileError(
            f"{file}: changed: its sha256 starts with {digest[:12]}, the registered one with {expected[:12]}; "
            "copy or download it again"
        )


def _assign_samples(inputs: Sequence[_Input], settings: ReadSettings, *, n_failed: int) -> list[_Input]:
    """Name and normalise the sample of every input: one for all under a process, otherwise one each."""
    good = len(inputs) / (len(inputs) + n_failed)
    if settings.process is not None:
        sample = _normalised(_joined(inputs, settings.process), settings, good)
        return [replace(item, samples=(sample,)) for item in inputs]
    taken: set[str] = set()
    return [replace(item, samples=_named(item, settings, good, taken)) for item in inputs]


def _named(item: _Input, settings: ReadSettings, good: float, taken: set[str]) -> tuple[Sample, ...]:
    """Samples of one input under names that no other has; adds them to ``taken``."""
    if len(item.samples) > 1 and settings.cross_section_pb is not None:
        names = ", ".join(sample.process for sample in item.samples)
        raise ConfigError(f"{item.source.path}: holds {names}: one cross section does not fit all; leave it out")
    named = []
    for sample in item.samples:
        name = _free_name(sample.name, taken)
        taken.add(name)
        named.append(_normalised(sample.model_copy(update={"name": name}), settings, good))
    return tuple(named)


def _joined(inputs: Sequence[_Input], process: str) -> Sample:
    """One sample of several files: sums of weights and events add up."""
    samples = [sample for item in inputs for sample in item.samples]
    data = [str(item.source.path) for item in inputs if item.is_data]
    if data and len(data) < len(inputs):
        other = next(str(item.source.path) for item in inputs if not item.is_data)
        raise ConfigError(f"process '{process}': {data[0]} is collision data and {other} simulation; read them apart")
    provenance = samples[0].provenance | {"files": [item.entry.file for item in inputs]}
    update = {
        "name": process,
        "process": process,
        "sum_gen_weights": _total(s.sum_gen_weights for s in samples),
        "n_generated": _total(s.n_generated for s in samples),
        "cross_section_pb": _common(s.cross_section_pb for s in samples),
        "cross_section_error_pb": _common(s.cross_section_error_pb for s in samples),
        "provenance": provenance | _values_of("sum_gen_weights_from", samples) | _missing_triggers(samples),
    }
    return samples[0].model_copy(update=update)


def _values_of(key: str, samples: Sequence[Sample]) -> dict[str, str]:
    values = dict.fromkeys(s.provenance[key] for s in samples if key in s.provenance)
    return {key: "; ".join(values)} if values else {}


def _missing_triggers(samples: Sequence[Sample]) -> dict[str, Any]:
    files = {file: lost for s in samples for file, lost in s.provenance.get(MISSING_TRIGGERS, {}).items()}
    return {MISSING_TRIGGERS: files} if files else {}


def _common(values: Iterable[Any]) -> Any:
    """The value that all share; None where they differ, so that the user has to say which holds."""
    known = set(values)
    return known.pop() if len(known) == 1 else None


def _total(values: Iterable[Any]) -> Any:
    known = list(values)
    return None if any(value is None for value in known) else sum(known)


def _normalised(sample: Sample, settings: ReadSettings, good: float) -> Sample:
    """Apply what the user said; ``good`` is the fraction of the files that could be read."""
    if sample.is_data and settings.cross_section_pb is not None:
        raise ConfigError(f"sample '{sample.name}' is collision data: it has no cross section; leave it out")
    luminosity, provenance = settings.luminosity_fb, dict(sample.provenance)
    if sample.is_data and luminosity is not None and good < 1:
        provenance["luminosity_fb_of_all_files"] = luminosity
        luminosity *= good
    update = {
        "cross_section_pb": sample.cross_section_pb if settings.cross_section_pb is None else settings.cross_section_pb,
        "cross_section_error_pb": sample.cross_section_error_pb if settings.cross_section_pb is None else None,
        "k_factor": settings.k_factor,
        "filter_efficiency": settings.filter_efficiency,
        "luminosity_fb": luminosity,
        "sqrt_s_gev": sample.sqrt_s_gev if settings.sqrt_s_gev is None else settings.sqrt_s_gev,
        "provenance": provenance,
    }
    return sample.model_copy(update=update)


def _free_name(name: str, taken: set[str]) -> str:
    numbered = (f"{name}-{i}" for i in range(2, len(taken) + 3))
    return name if name not in taken else next(n for n in numbered if n not in taken)
