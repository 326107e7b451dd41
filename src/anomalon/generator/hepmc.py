"""HepMC3 files: one pass that counts and checks, then the events through pyhepmc. Ref: arXiv:1912.08005."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from anomalon.errors import InputFileError
from anomalon.generator.particles import GeneratedEvents, Ints, build_particles
from anomalon.generator.text import finite, load_extra, open_text, reading_text, text_head

_LISTING = b"HepMC::Asciiv3-START_EVENT_LISTING"
_END = b"HepMC::Asciiv3-END_EVENT_LISTING"
_FINAL, _BEAM = 1, 4
_MOMENTA = {"px": "px", "py": "py", "pz": "pz", "energy": "e"}


def is_hepmc(path: Path, head: bytes) -> bool:
    """Whether a file, perhaps gzipped, is a listing of HepMC, version 2 or 3."""
    return text_head(path, head).lstrip().startswith(b"HepMC::Version")


@dataclass
class _Scan:
    """What one pass over the lines finds: lines and bytes of the events, nominal weights, the last cross section."""

    path: Path
    lines: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    cross_section: tuple[float, float] | None = None
    complete: bool = False
    line: int = 0

    def run(self) -> _Scan:
        """Read the file once.

        Raises:
            InputFileError: HepMC of another version, or cut short.
        """
        self._check_version()
        place = 0
        with reading_text(self.path), open_text(self.path) as file:
            for self.line, text in enumerate(file, start=1):
                if text.startswith(b"E "):
                    self.lines.append(self.line)
                    self.places.append(place)
                elif text.startswith(b"W ") and self.lines:
                    self._weight(text)
                elif text.startswith(b"A 0 GenCrossSection "):
                    self._cross_section(text)
                elif text.startswith(_END):
                    self.complete = True
                    break
                place += len(text)
        self.places.append(place)
        if not self.complete:
            raise InputFileError(
                f"{self.path}: cut short: it ends in line {self.line}, event {len(self.lines) - 1}, without "
                f"{_END.decode()}; copy or download it again"
            )
        return self

    def _check_version(self) -> None:
        head = text_head(self.path, b"H" if self.path.exists() else b"")
        if _LISTING not in head:
            first = head.lstrip().split(b"\n")[0][:40].decode(errors="replace")
            raise InputFileError(f"{self.path}: '{first}' is not a HepMC3 listing; write it as HepMC3 ASCII")

    def _weight(self, text: bytes) -> None:
        if len(self.weights) < len(self.lines):
            try:
                self.weights.append(finite(text.split()[1]))
            except (IndexError, ValueError):
                raise InputFileError(f"{self.path}, line {self.line}: {text[:40]!r} is not a weight") from None

    def _cross_section(self, text: bytes) -> None:
        value, error = (float(word) for word in text.split()[3:5])
        self.cross_section = (value, max(error, 0.0)) if value > 0 else None


class HepmcFile:
    """One HepMC3 listing, plain or gzipped.

    Raises:
        InputFileError: not HepMC3, cut short, or broken.
        MissingExtraError: pyhepmc is not installed.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._pyhepmc = load_extra("pyhepmc", "HepMC3")
        # every broken event becomes an error here; HepMC3 would also print it
        self._pyhepmc.Setup.print_errors = self._pyhepmc.Setup.print_warnings = False
        self._pyhepmc.Setup.debug_level = 0
        self._scan = _Scan(self.path).run()

    def __len__(self) -> int:
        return len(self._scan.lines)

    @property
    def sum_of_weights(self) -> float:
        """Sum of the nominal weights of all events; an event without weight counts 1."""
        return float(np.sum(self._scan.weights, dtype=np.float64)) + len(self) - len(self._scan.weights)

    @property
    def cross_section_pb(self) -> tuple[float, float] | None:
        """Cross section and error in pb at the last event, the best estimate; None where there is none."""
        return self._scan.cross_section

    @cached_property
    def sqrt_s_gev(self) -> float | None:
        """Mass of the two beams in GeV; None where the file does not tell."""
        first = next(self._events(), None)
        beams = [] if first is None else [p.momentum for p in first.particles if p.status == _BEAM]
        if first is None or len(beams) != 2:
            return None
        energy, px, py, pz = (sum(getattr(beam, k) for beam in beams) for k in ("e", "px", "py", "pz"))
        return float(np.sqrt(max(energy**2 - px**2 - py**2 - pz**2, 0.0))) * self._unit(first)

    @cached_property
    def variations(self) -> tuple[str, ...]:
        """Names of the weights besides the first, the nominal one."""
        first = next(self._events(), None)
        if first is None or len(first.weights) < 2:
            return ()
        names = first.weight_names if first.run_info is not None else []
        return tuple(names[1:]) if len(names) == len(first.weights) else tuple(map(str, range(1, len(first.weights))))

    def iterate(self, chunk: int) -> Iterator[GeneratedEvents]:
        """Yield the events in order, at most ``chunk`` at a time.

        Raises:
            InputFileError: an event is broken; names the line.
        """
        waiting: list[dict[str, Any]] = []
        for i, event in enumerate(self._events()):
            waiting.append(self._flatten(event, i))
            if len(waiting) == chunk or i == len(self) - 1:
                yield self._table(waiting, i + 1 - len(waiting))
                waiting = []

    def read(self, start: int, stop: int) -> GeneratedEvents:
        """The events ``start`` to ``stop`` alone.

        Raises:
            InputFileError: an event is broken; names the line.
        """
        places = self._scan.places
        with reading_text(self.path), open_text(self.path) as file:
            text = file.read(places[0])
            file.seek(places[start])
            text += file.read(places[stop] - places[start]) + _END + b"\n"
        reader = self._pyhepmc.open(io.BytesIO(text), "r")
        return self._table([self._flatten(self._next(reader, i), i) for i in range(start, stop)], start)

    def _events(self) -> Iterator[Any]:
        with reading_text(self.path), open_text(self.path) as file:
            reader = self._pyhepmc.open(file, "r")
            for i in range(len(self)):
                yield self._next(reader, i)

    def _next(self, reader: Any, number: int) -> Any:
        try:
            event = reader.read()
        except (RuntimeError, ValueError, OSError):  # what HepMC3 cannot parse
            event = None
        if event is None:
            line = self._scan.lines[number]
            raise InputFileError(f"{self.path}, line {line}: event {number} is broken or empty")
        return event

    def _unit(self, event: Any) -> float:
        return 1e-3 if event.momentum_unit == self._pyhepmc.Units.MEV else 1.0

    def _flatten(self, event: Any, number: int) -> dict[str, Any]:
        """Arrays of one event; mothers count from 0 within it."""
        weights = list(event.weights) or [1.0]
        if len(weights) != 1 + len(self.variations):
            line = self._scan.lines[number]
            raise InputFileError(
                f"{self.path}, line {line}: event {number} has {len(weights)} weights, the first event "
                f"{1 + len(self.variations)}"
            )
        data = self._pyhepmc.GenEventData()
        event.write_data(data)
        particles, unit = data.particles, self._unit(event)
        columns = {name: particles[short] * unit for name, short in _MOMENTA.items()}
        columns |= {"pdg_id": particles["pid"].astype(np.int64), "final": particles["status"] == _FINAL}
        columns |= {"mother": _mothers(np.asarray(data.links1), np.asarray(data.links2), len(particles))}
        return columns | {"weights": weights}

    def _table(self, events: Sequence[dict[str, Any]], start: int) -> GeneratedEvents:
        counts = np.array([len(event["pdg_id"]) for event in events], dtype=np.int64)
        first = np.repeat(np.cumsum(counts) - counts, counts)
        columns = {name: np.concatenate([event[name] for event in events]) for name in (*_MOMENTA, "pdg_id", "final")}
        mother = np.concatenate([event["mother"] for event in events])
        columns |= {
            "mother": np.where(mother >= 0, mother + first, -1),
            "event": np.repeat(np.arange(len(counts)), counts),
        }
        weights = np.array([event["weights"] for event in events], dtype=np.float64)
        variations = {name: weights[:, i] for i, name in enumerate(self.variations, start=1)}
        table = build_particles(columns)
        if (bad := table.first_bad_event()) is not None:
            line = self._scan.lines[start + bad]
            raise InputFileError(f"{self.path}, line {line}: event {start + bad} has a momentum that is no number")
        return GeneratedEvents(start, weights[:, 0], table, variations)


def _mothers(links1: Ints, links2: Ints, n: int) -> Ints:
    """First mother of every particle from HepMC3's links, -1 where there is none.

    A link joins a particle (positive, from 1) to a vertex (negative): as (particle, vertex) it enters the vertex, as
    (vertex, particle) it leaves it.
    """
    mother = np.full(n, -1, dtype=np.int64)
    enters, leaves = (links1 > 0) & (links2 < 0), (links1 < 0) & (links2 > 0)
    if not enters.any() or not leaves.any():
        return mother
    vertex, first = np.unique(-links2[enters], return_index=True)
    incoming = np.zeros(int(max(vertex.max(), (-links1[leaves]).max())) + 1, dtype=np.int64)
    incoming[vertex] = links1[enters][first]
    mother[links2[leaves] - 1] = incoming[-links1[leaves]] - 1
    # a particle made by another one alone names it instead of a vertex
    direct = (links1 > 0) & (links2 > 0)
    mother[links2[direct] - 1] = links1[direct] - 1
    return mother
