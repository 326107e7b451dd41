"""PYTHIA 8 as a source of generated events.

Ref: C. Bierlich et al., "A comprehensive guide to the physics and usage of PYTHIA 8.3", arXiv:2203.11601.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from anomalon.errors import MissingExtraError, SimulationError
from anomalon.simulation.particles import Record, record_from_batch

MAX_SEED = 900_000_000
"""PYTHIA's largest seed."""

_MB_TO_PB = 1e9
_ATTEMPTS = 20
_AT_ONCE = 1000
_SILENT = (
    "Print:quiet=on",
    "SLHA:verbose=0",
    # stat() is called for its side effect alone: it resets the counters between blocks.
    "Stat:showProcessLevel=off",
    "Stat:showPartonLevel=off",
    "Stat:showErrors=off",
    "Stat:reset=on",
)


@dataclass(frozen=True)
class Counts:
    """What PYTHIA counted for a block of events.

    Attributes:
        tried, selected, accepted: phase-space points tried, selected, and left after every veto.
        cross_section_pb, cross_section_error_pb: PYTHIA's estimate from these points and its statistical error.
    """

    tried: int
    selected: int
    accepted: int
    cross_section_pb: float
    cross_section_error_pb: float

    @classmethod
    def merge(cls, parts: Iterable[Counts]) -> Counts:
        """Join blocks: the estimate of n points is the mean over points, so blocks count by the points they tried."""
        blocks = list(parts)
        tried = np.array([block.tried for block in blocks], dtype=np.float64)
        sigma = np.array([block.cross_section_pb for block in blocks])
        error = np.array([block.cross_section_error_pb for block in blocks])
        return cls(
            tried=int(tried.sum()),
            selected=sum(block.selected for block in blocks),
            accepted=sum(block.accepted for block in blocks),
            cross_section_pb=float(sigma @ tried / tried.sum()),
            cross_section_error_pb=float(np.hypot.reduce(error * tried) / tried.sum()),
        )


class Generator:
    """PYTHIA, initialised once and asked for blocks of events.

    A block depends on its seed alone: initialisation always uses the same seed, and the random stream and the counters
    start anew with every block.

    Args:
        commands: PYTHIA strings.
        slha: SUSY Les Houches text, or empty.

    Raises:
        MissingExtraError: PYTHIA is not installed.
        SimulationError: PYTHIA refuses a setting or cannot start.
    """

    def __init__(self, commands: tuple[str, ...], slha: str = "") -> None:
        self._pythia = load_pythia().Pythia("", False)
        for command in (*_SILENT, "Random:setSeed=on", "Random:seed=1", *commands):
            if not self._pythia.readString(command):
                raise SimulationError(f"PYTHIA refuses the setting '{command}': unknown name or value out of range")
        with tempfile.TemporaryDirectory(prefix="anomalon-") as folder:
            if slha:
                spectrum = Path(folder) / "spectrum.slha"
                spectrum.write_text(slha, encoding="utf-8")
                self._pythia.readString(f"SLHA:file={spectrum}")
            if not self._pythia.init():
                raise SimulationError(f"PYTHIA cannot start with: {'; '.join(commands)}")

    def batch(self, seed: int, n_events: int) -> ak.Array:
        """Generate exactly ``n_events`` events as PYTHIA's own awkward array.

        Raises:
            SimulationError: PYTHIA keeps failing.
        """
        self._pythia.stat()
        self._pythia.rndm.init(seed)
        parts: list[ak.Array] = []
        for _ in range(_ATTEMPTS):
            parts.append(self._pythia.nextBatch(n_events - sum(map(len, parts)), "skip"))
            if sum(map(len, parts)) == n_events:
                return parts[0] if len(parts) == 1 else ak.concatenate(parts)
        raise SimulationError(
            f"PYTHIA made {sum(map(len, parts))} of {n_events} events (seed {seed}) and then failed {_ATTEMPTS} times; "
            "the settings leave too little phase space"
        )

    def block(self, seed: int, n_events: int) -> tuple[Record, Counts]:
        """Generate events and count the points they took."""
        record = record_from_batch(self.batch(seed, n_events))
        return record, self._counts()

    def rest(self, seed: int) -> tuple[Record, Counts]:
        """Process an event file to its end; events that PYTHIA cannot shower are lost, and lower the cross section.

        Raises:
            SimulationError: PYTHIA keeps failing.
        """
        self._pythia.rndm.init(seed)
        parts: list[ak.Array] = []
        for _ in range(_ATTEMPTS):
            parts.append(self._pythia.nextBatch(_AT_ONCE, "skip"))
            if self._pythia.infoPython().atEndOfFile():
                return record_from_batch(parts[0] if len(parts) == 1 else ak.concatenate(parts)), self._counts()
        raise SimulationError(f"PYTHIA does not reach the end of the event file (seed {seed}); it keeps failing")

    def _counts(self) -> Counts:
        info = self._pythia.infoPython()
        return Counts(
            tried=info.nTried(),
            selected=info.nSelected(),
            accepted=info.nAccepted(),
            cross_section_pb=info.sigmaGen() * _MB_TO_PB,
            cross_section_error_pb=info.sigmaErr() * _MB_TO_PB,
        )


@lru_cache(maxsize=1)
def cached_generator(commands: tuple[str, ...], slha: str = "") -> Generator:
    """The generator of the last settings: starting one takes 0.1 to 0.4 seconds."""
    return Generator(commands, slha)


def pythia_version() -> str:
    """Version of PYTHIA in use."""
    load_pythia()
    return version("pythia8mc")


def load_pythia() -> Any:
    """Import PYTHIA.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module("pythia8mc")
    except ImportError:
        raise MissingExtraError(
            'simulation needs PYTHIA 8, which is missing: pip install "anomalon[simulate]"'
        ) from None
