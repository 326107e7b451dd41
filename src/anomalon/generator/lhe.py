"""Les Houches event files: one pass that counts and checks, then the events through pylhe.

Ref: J. Alwall et al., "A standard format for Les Houches Event Files", hep-ph/0609017; version 3: arXiv:1405.1067.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import numpy as np

from anomalon.errors import InputFileError
from anomalon.generator.particles import GeneratedEvents, build_particles
from anomalon.generator.text import finite, load_extra, open_text, reading_text, text_head

_END = b"</LesHouchesEvents>"
_IS_FINAL = 1
_MOMENTA = {"px": "px", "py": "py", "pz": "pz", "energy": "e"}


def is_lhe(path: Path, head: bytes) -> bool:
    """Whether a file, perhaps gzipped, is an LHE file."""
    return b"<LesHouchesEvents" in text_head(path, head)


@dataclass
class _Scan:
    """What one pass over the lines finds: where each event starts, and the nominal weights.

    ``places`` are (line, byte) of the opening tags; ``end`` is the byte after the last event.
    """

    path: Path
    places: list[tuple[int, int]] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    end: int = 0
    complete: bool = False
    line: int = 0

    def run(self) -> _Scan:
        """Read the file once.

        Raises:
            InputFileError: cut short, or an event without a weight.
        """
        place, expects_numbers = 0, False
        with reading_text(self.path), open_text(self.path) as file:
            for self.line, text in enumerate(file, start=1):
                stripped = text.strip()
                if expects_numbers and stripped:
                    self._first_line(stripped)
                    expects_numbers = False
                elif stripped.startswith((b"<event>", b"<event ")):
                    self.places.append((self.line, place))
                    expects_numbers = True
                place += len(text)
                if stripped.endswith(b"</event>"):
                    self.end = place
                self.complete |= _END in stripped
        self._check_end()
        return self

    def _first_line(self, text: bytes) -> None:
        numbers = text.split()
        try:
            self.weights.append(finite(numbers[2]))
        except (IndexError, ValueError):
            raise InputFileError(
                f"{self.path}, line {self.line}: {text[:60]!r}, expected the 6 numbers that start an event "
                "(particles, process, weight, scale, alpha_QED, alpha_QCD)"
            ) from None

    def _check_end(self) -> None:
        if self.complete:
            return
        where = f"in event {len(self.places) - 1}, which starts in line {self.places[-1][0]}" if self.places else ""
        raise InputFileError(
            f"{self.path}: cut short: it ends in line {self.line} {where or 'before the first event'}, without "
            "</LesHouchesEvents>; copy or download it again"
        )


class LheFile:
    """One LHE file, plain or gzipped.

    Raises:
        InputFileError: not an LHE file, cut short, or broken.
        MissingExtraError: pylhe is not installed.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._pylhe = load_extra("pylhe", "LHE")
        self._scan = _Scan(self.path).run()
        self._file = self._parse_head()

    def __len__(self) -> int:
        return len(self._scan.places)

    @property
    def sum_of_weights(self) -> float:
        """Sum of the nominal weights of all events."""
        return float(np.sum(self._scan.weights, dtype=np.float64))

    @property
    def strategy(self) -> int:
        """IDWTUP, how weights and cross section belong together (hep-ph/0109068, table 2)."""
        return int(self._file.init.initInfo.weightingStrategy)

    @property
    def beams(self) -> tuple[int, int]:
        """Identities of the two beams."""
        info = self._file.init.initInfo
        return int(info.beamA), int(info.beamB)

    @property
    def sqrt_s_gev(self) -> float:
        """Energy of the collision of two fast beams, 2 sqrt(E1 E2), in GeV."""
        info = self._file.init.initInfo
        return float(2.0 * np.sqrt(info.energyA * info.energyB))

    @property
    def cross_section_pb(self) -> tuple[float, float] | None:
        """Cross section of all processes of ``<init>`` and its error, in pb; None where it was left 0."""
        processes = self._file.init.procInfo
        total = float(sum(process.xSection for process in processes))
        return (total, float(np.hypot.reduce([process.error for process in processes]))) if total > 0 else None

    @property
    def processes(self) -> tuple[int, ...]:
        """Numbers of the processes, as the generator counts them."""
        return tuple(int(process.procId) for process in self._file.init.procInfo)

    @property
    def generators(self) -> tuple[str, ...]:
        """Generators that the file names."""
        return tuple(f"{g.name} {g.version}".strip() for g in self._file.init.generators)

    @cached_property
    def variations(self) -> Mapping[str, str]:
        """Names of the weights that every event has besides the nominal one, and what the header says of each."""
        first = next(iter(self._events()), None)
        header = self._file.header
        groups = [] if header is None or header.initrwgt is None else header.initrwgt.entries
        said = {w.id: str(w.name).strip() for g in groups for w in getattr(g, "weights", [g]) if hasattr(w, "id")}
        return {} if first is None else {name: said.get(name, "") for name in first.weights}

    def iterate(self, chunk: int) -> Iterator[GeneratedEvents]:
        """Yield the events in order, at most ``chunk`` at a time.

        Raises:
            InputFileError: broken; names the line.
        """
        events = self._events()
        for start in range(0, len(self), chunk):
            part = list(itertools.islice(events, chunk))
            if len(part) < min(chunk, len(self) - start):
                raise InputFileError(f"{self.path}: {start + len(part)} of {len(self)} events could be read")
            yield self._table(part, start)

    def head(self) -> bytes:
        """Everything before the first event; the whole file where there is none."""
        with reading_text(self.path), open_text(self.path) as file:
            return file.read(self._scan.places[0][1]) if self._scan.places else file.read()

    def block(self, start: int, stop: int) -> bytes:
        """The file with the events ``start`` to ``stop`` alone."""
        places = [place for _, place in self._scan.places] + [self._scan.end]
        with reading_text(self.path), open_text(self.path) as file:
            head = file.read(places[0])
            file.seek(places[start])
            return head + file.read(places[stop] - places[start]) + _END + b"\n"

    def _parse_head(self) -> Any:
        with reading_text(self.path), open_text(self.path) as file, self._parsing(-1):
            return self._pylhe.LHEFile.frombuffer(file, generator=True)

    def _events(self) -> Iterator[Any]:
        with reading_text(self.path), open_text(self.path) as file:
            with self._parsing(-1):
                events = iter(self._pylhe.LHEFile.frombuffer(file, generator=True).events)
            for i in range(len(self)):
                with self._parsing(i):
                    event = _strict_next(events)
                    if len(event.particles) != event.eventinfo.nparticles:
                        raise ValueError(f"{len(event.particles)} particles, {event.eventinfo.nparticles} announced")
                yield event

    def _parsing(self, event: int) -> _Parsing:
        return _Parsing(self.path, *((event, self._scan.places[event][0]) if event >= 0 else (event, 0)))

    def _table(self, events: Sequence[Any], start: int) -> GeneratedEvents:
        counts = [len(event.particles) for event in events]
        first = np.repeat(np.cumsum(counts) - counts, counts)
        particles = [particle for event in events for particle in event.particles]
        mother = np.array([particle.mother1 for particle in particles], dtype=np.int64)
        columns: dict[str, Any] = {name: [getattr(p, short) for p in particles] for name, short in _MOMENTA.items()}
        columns |= {"pdg_id": [p.id for p in particles], "final": [p.status == _IS_FINAL for p in particles]}
        columns |= {"event": np.repeat(np.arange(len(events)), counts)}
        columns |= {"mother": np.where(mother > 0, first + mother - 1, -1)}
        table = build_particles(columns)
        if (bad := table.first_bad_event()) is not None:
            line = self._scan.places[start + bad][0]
            raise InputFileError(f"{self.path}, line {line}: event {start + bad} has a momentum that is no number")
        return GeneratedEvents(
            start,
            np.array([event.eventinfo.weight for event in events], dtype=np.float64),
            table,
            {name: self._weights(events, name, start) for name in self.variations},
        )

    def _weights(self, events: Sequence[Any], name: str, start: int) -> Any:
        for i, event in enumerate(events):
            if name not in event.weights:
                line = self._scan.places[start + i][0]
                raise InputFileError(f"{self.path}, line {line}: event {start + i} lacks the weight '{name}'")
        return np.array([event.weights[name] for event in events], dtype=np.float64)


def _strict_next(events: Iterator[Any]) -> Any:
    """The next event; pylhe would end at broken XML with no more than a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        return next(events)


@dataclass(frozen=True)
class _Parsing:
    """Turns what pylhe raises into an error that names the line."""

    path: Path
    event: int
    line: int

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, ParseError | RuntimeWarning):
            reason, _, place = str(error).removeprefix("Parse Error: ").partition(": line ")
            raise InputFileError(f"{self.path}, line {place.split(',')[0]}: broken XML ({reason})") from None
        if isinstance(error, StopIteration):
            raise InputFileError(f"{self.path}, line {self.line}: event {self.event} cannot be read") from None
        if isinstance(error, ValueError | TypeError | LookupError | AttributeError):
            where = f", line {self.line}: event {self.event}" if self.event >= 0 else ": <init>"
            raise InputFileError(f"{self.path}{where} is broken ({' '.join(str(error).split())[:120]})") from None
