"""Dark Machines files: one event per line, plain or gzipped, energies in MeV.

A line is ``event ID; process ID; weight; MET; METphi; obj,E,pt,eta,phi; ...``, with an optional ``;`` at its end, the
symbols ``j b e- e+ m- m+ g`` and at most 20 objects. Masses are computed from E and p in double precision: for light
objects they are the rounding of the file's six digits. MET was built without muons, and jets with another cone than
:mod:`anomalon.simulation` uses. Blank lines hold no event. Ref: arXiv:2105.14027, section 2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from anomalon.errors import InputFileError
from anomalon.events import Events, Sample
from anomalon.kinematics import wrap_phi
from anomalon.sources.contract import CHUNK, Format, SourceInfo, first_bytes, register
from anomalon.sources.darkmachines_text import GZIP, Collected, Numbers, Parser, blocks, recognises
from anomalon.sources.flat_fields import choose, event_table

FORMAT = "dark-machines"
GEV = 1e-3
"""In MeV^-1."""
LOWEST_MEDIAN_PT = 3000.0
"""In MeV: an object is stored from 10 GeV on, so a file whose median leading pT is below 3 GeV is in GeV."""
_MOMENTUM = ("pt", "eta", "phi", "mass")
_LABELS = {"jets": ("btag",), "electrons": ("charge",), "muons": ("charge",), "photons": ()}
_LABEL_TYPES = {"btag": np.bool_, "charge": np.int32}
FIELDS = (
    *("run", "lumi", "event", "dataset", "gen_weight"),
    *(f"{name}.{column}" for name, labels in _LABELS.items() for column in (*_MOMENTUM, *labels)),
    *("met.pt", "met.phi"),
)
_TEXT_FOR_UNITS = 1 << 16


@dataclass(frozen=True)
class _Survey:
    """What a first pass over a file finds: events and sums of weights by process, lines left out by reason."""

    events: Mapping[str, int]
    weights: Mapping[str, float]
    skipped: Mapping[str, int]


class DarkMachinesSource:
    """Events of one Dark Machines file; every process in it is a sample.

    Args:
        path: the file.
        tolerant: leave lines that are no events out and count them (:attr:`skipped`), instead of stopping.

    Raises:
        InputFileError: the file is missing or empty.
    """

    format = FORMAT

    def __init__(self, path: str | Path, *, tolerant: bool = False) -> None:
        self.path = Path(path)
        self._tolerant = tolerant
        first_bytes(self.path)

    def __repr__(self) -> str:
        return f"DarkMachinesSource('{self.path}')"

    def lenient(self) -> DarkMachinesSource:
        """Return a source that leaves damaged lines out and counts them."""
        return DarkMachinesSource(self.path, tolerant=True)

    @property
    def n_events(self) -> int:
        """Number of events."""
        return sum(self._survey.events.values())

    @property
    def skipped(self) -> Mapping[str, int]:
        """Lines left out, by reason."""
        return self._survey.skipped if self._tolerant else {}

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """One sample per process, in order of appearance, with the sum of the weights in the file."""
        survey = self._survey
        provenance = {
            "files": [str(self.path)],
            "format": FORMAT,
            "sum_gen_weights_from": "the events of the file: wrong if the file is a skim",
        }
        return tuple(
            Sample(name=name, process=name, sum_gen_weights=survey.weights[name], n_generated=n, provenance=provenance)
            for name, n in survey.events.items()
        ) or (Sample(name=self.path.stem, process="unknown", sum_gen_weights=0.0, provenance=provenance),)

    def info(self) -> SourceInfo:
        """What the file holds."""
        packed = first_bytes(self.path).startswith(GZIP)
        details = {"container": "text, gzipped" if packed else "text", "units": "MeV, read as GeV"}
        return SourceInfo(str(self.path), FORMAT, self.n_events, FIELDS, self.samples, {}, details)

    def iterate(self, fields: Iterable[str] | None = None, chunk: int = CHUNK) -> Iterator[Events]:
        """Yield the events in order; see :meth:`anomalon.sources.contract.Source.iterate`."""
        wanted = choose(fields, FIELDS, str(self.path))
        self._check_units()
        return self._iterate(wanted, chunk)

    def _iterate(self, wanted: frozenset[str], chunk: int) -> Iterator[Events]:
        dataset = {sample.name: i for i, sample in enumerate(self.samples)}
        empty = True
        for numbers, found in self._parts():
            table = _events(numbers, found, dataset, wanted)
            for start in range(0, len(table), chunk):
                empty = False
                yield Events(table[start : start + chunk], self.samples)
        if empty:
            yield Events(event_table(*_nothing(wanted), 0), self.samples)

    def _parts(self) -> Iterator[tuple[Numbers, Collected]]:
        parser = Parser()
        for text in blocks(self.path):
            numbers = parser.read(text)
            found = parser.collect(numbers, text)
            if found.first is not None and not self._tolerant:
                raise InputFileError(found.first.message(self.path))
            yield numbers, found

    @cached_property
    def _survey(self) -> _Survey:
        events: Counter[str] = Counter()
        weights: dict[str, float] = {}
        skipped: Counter[str] = Counter()
        for numbers, good, damages in self._checked() if self._tolerant else self._heads():
            code = numbers.process[good]
            sums = np.bincount(code, numbers.weights[good], len(numbers.names)).tolist()
            for name, n, total in zip(numbers.names, np.bincount(code, None, len(sums)).tolist(), sums, strict=True):
                if n:
                    events[name] += n
                    weights[name] = weights.get(name, 0.0) + total
            skipped += damages
        return _Survey(dict(events), weights, dict(skipped))

    def _checked(self) -> Iterator[tuple[Numbers, Any, Counter[str]]]:
        return ((numbers, found.good, found.damages) for numbers, found in self._parts())

    def _heads(self) -> Iterator[tuple[Numbers, Any, Counter[str]]]:
        """The first three fields of every line: strict reading stops at whatever else is wrong anyway."""
        parser = Parser()
        for text in blocks(self.path):
            numbers = parser.read(text, header_only=True)
            if len(numbers.bad):
                found = parser.collect(parser.read(text), text)
                raise InputFileError(found.first.message(self.path) if found.first else f"{self.path}: damaged")
            yield numbers, slice(None), Counter()

    def _check_units(self) -> None:
        """Refuse energies in GeV: looks at the first lines, so the answer does not depend on the chunk size."""
        parser = Parser(_TEXT_FOR_UNITS)
        for text in blocks(self.path, _TEXT_FOR_UNITS):
            found = parser.collect(parser.read(text), text)
            pt = np.concatenate([table[0] for table in found.tables])
            if len(pt) and 1000 * float(np.median(pt)) < LOWEST_MEDIAN_PT:
                raise InputFileError(
                    f"{self.path}: median pT of the first objects is {1000 * np.median(pt):.3g} MeV, less than is "
                    "stored: the file is in GeV; Dark Machines files are in MeV"
                )
            return


def _events(numbers: Numbers, found: Collected, dataset: Mapping[str, int], wanted: Collection[str]) -> ak.Array:
    good = found.good
    codes = np.array([dataset.get(name, -1) for name in numbers.names], dtype=np.int32)
    header = numbers.header[good]
    columns: dict[str, Any] = {
        "event": numbers.ids[good],
        "dataset": codes[numbers.process[good]],
        "gen_weight": header[:, 0],
        "met.pt": (header[:, 1] * GEV).astype(np.float32),
        "met.phi": wrap_phi(header[:, 2]).astype(np.float32),
    }
    for (name, labels), table in zip(_LABELS.items(), found.tables, strict=True):
        columns |= {f"{name}.{column}": table[k] for k, column in enumerate(_MOMENTUM)}
        columns |= {f"{name}.{label}": table[4].astype(_LABEL_TYPES[label]) for label in labels}
    counts = dict(zip(_LABELS, found.counts.T, strict=True))
    return event_table({name: values for name, values in columns.items() if name in wanted}, counts, int(good.sum()))


def _nothing(wanted: Collection[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    columns: dict[str, Any] = {
        name: np.zeros(0, _LABEL_TYPES.get(name.partition(".")[2], np.float32)) for name in wanted if "." in name
    }
    return columns | {"event": np.zeros(0, np.int64)}, dict.fromkeys(_LABELS, np.zeros(0, np.int64))


register(
    Format(
        FORMAT,
        "text, one event per line: event ID; process ID; weight; MET; METphi; obj,E,pt,eta,phi; ...",
        recognises,
        DarkMachinesSource,
    )
)
