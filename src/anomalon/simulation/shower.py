"""Events of other generators through the detector: PYTHIA showers LHE files, HepMC3 files are taken as they are.

Everything else is as for a process of the catalogue: blocks of events own their random numbers, skims and fake leptons
follow the same rules, and sums of weights are taken before any selection. A file is read once per simulation; fewer
events than it holds may be taken, never more.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from anomalon.errors import ConfigError, InputFileError
from anomalon.generator.hepmc import HepmcFile, is_hepmc
from anomalon.generator.lhe import LheFile, is_lhe
from anomalon.generator.particles import GeneratedEvents
from anomalon.simulation.blocks import BLOCK_SIZE, SimulationSettings, generator_seed
from anomalon.simulation.particles import Record, record_from_batch
from anomalon.simulation.processes import Process
from anomalon.simulation.pythia import Counts, Generator, pythia_version
from anomalon.simulation.run import Progress, Simulation, simulate

_MERGED = re.compile(rb"^\s*([1-9])\s*=\s*ickkw\b", re.MULTILINE)
_SYSTEM = 90


class FileSettings(SimulationSettings):
    """What to simulate from a file; made by :func:`file_settings`.

    Attributes:
        path: the LHE or HepMC3 file.
        allow_unmatched: take a file of merged jet multiplicities although no matching is applied: hard jets are then
            counted twice, and the cross section is too large.
    """

    path: Path
    allow_unmatched: bool = False

    @property
    def title(self) -> str:
        """The sample in a ledger."""
        return f"{self.path}, seed {self.seed}"

    def _range(self, block: int) -> tuple[int, int]:
        start = block * BLOCK_SIZE
        return start, min(start + BLOCK_SIZE, self.n_events)


class LheSettings(FileSettings):
    """What to simulate from an LHE file: shower, hadrons and decays by PYTHIA, then the detector."""

    def commands(self) -> tuple[str, ...]:
        """Every PYTHIA string of the run, seeds and the block's file left out."""
        return ("Beams:frameType=4", f"PartonLevel:MPI={'on' if self.mpi else 'off'}")

    def generator_name(self) -> str:
        """PYTHIA, after the generators that the file names."""
        before = ", ".join(_lhe(self.path).generators) or "LHE file"
        return f"{before}, showered by PYTHIA {pythia_version()}"

    def generate(self, block: int) -> tuple[Record, Counts]:
        """Shower the block's events; they alone are given to PYTHIA, so that any worker makes the same of them."""
        start, stop = self._range(block)
        with tempfile.TemporaryDirectory(prefix="anomalon-") as folder:
            part = Path(folder) / "events.lhe"
            part.write_bytes(_lhe(self.path).block(start, stop))
            return Generator((*self.commands(), f"Beams:LHEF={part}")).rest(generator_seed(self, block))

    def merge_counts(self, counts: Iterable[Counts]) -> Counts:
        """Join blocks. The error that the file gives its cross section is the same in all: it does not average out."""
        merged = Counts.merge(counts)
        given = _lhe(self.path).cross_section_pb
        if given is None:
            return merged
        return replace(merged, cross_section_error_pb=merged.cross_section_pb * given[1] / given[0])


class HepmcSettings(FileSettings):
    """What to simulate from a HepMC3 file: the detector alone."""

    def commands(self) -> tuple[str, ...]:
        """Nothing is generated."""
        return ()

    def generator_name(self) -> str:
        """The file itself: HepMC3 does not say who made it."""
        return f"HepMC3 file {self.path.name}"

    def generate(self, block: int) -> tuple[Record, Counts]:
        """Read the block's events."""
        start, stop = self._range(block)
        events = _hepmc(self.path).read(start, stop)
        sigma, error = _hepmc(self.path).cross_section_pb or (0.0, 0.0)
        n = len(events)
        return _record(events), Counts(n, n, n, sigma, error)

    def merge_counts(self, counts: Iterable[Counts]) -> Counts:
        """Join blocks: all share the file's cross section and its error."""
        blocks = list(counts)
        return replace(Counts.merge(blocks), cross_section_error_pb=blocks[0].cross_section_error_pb)


def file_settings(path: str | Path, **options: Any) -> FileSettings:
    """Settings for simulating a file, its format found by what it holds.

    Args:
        path: LHE (plain or gzipped) or HepMC3 file.
        options: fields of :class:`SimulationSettings`: ``process`` is the name to give, the file's own if left out,
            ``n_events`` all events if left out; and ``fake_leptons=True`` to turn jets into leptons by weight.

    Raises:
        InputFileError: neither format, damaged, or of merged jet multiplicities.
        ConfigError: more events than the file holds.
        MissingExtraError: pylhe, pyhepmc or PYTHIA is not installed.
    """
    file = Path(path).resolve()
    head = _first(file)
    if is_lhe(file, head):
        return _lhe_settings(file, options)
    if is_hepmc(file, head):
        return _hepmc_settings(file, options)
    raise InputFileError(f"{path}: starts with {head[:16]!r}: neither an LHE nor a HepMC3 file, nothing to simulate")


def simulate_lhe(
    path: str | Path, *, workers: int | None = None, progress: Progress | None = None, **options: Any
) -> Simulation:
    """Shower an LHE file with PYTHIA and pass it through the detector; see :func:`file_settings` for the options.

    Raises:
        InputFileError: not an LHE file, damaged, or of merged jet multiplicities.
        ConfigError: an option is wrong, or more events are asked for than there are.
        MissingExtraError: pylhe, PYTHIA or FastJet is not installed.
    """
    settings = _lhe_settings(Path(path).resolve(), options)
    return simulate(settings, workers=workers, progress=progress)


def simulate_hepmc(
    path: str | Path, *, workers: int | None = None, progress: Progress | None = None, **options: Any
) -> Simulation:
    """Pass the particles of a HepMC3 file through the detector; see :func:`file_settings` for the options.

    Raises:
        InputFileError: not a HepMC3 file, or damaged.
        ConfigError: an option is wrong, or more events are asked for than there are.
        MissingExtraError: pyhepmc or FastJet is not installed.
    """
    settings = _hepmc_settings(Path(path).resolve(), options)
    return simulate(settings, workers=workers, progress=progress)


def _lhe_settings(path: Path, options: dict[str, Any]) -> LheSettings:
    file = _lhe(path)
    if not options.get("allow_unmatched"):
        _refuse_merged(path, file)
    caveats = ("matrix elements of the file; its weight variations are not carried through the shower",)
    process = _process(path, options, f"{', '.join(file.generators) or 'LHE file'}, showered by PYTHIA", caveats)
    values = _values(path, options, len(file)) | {"process": process, "sqrt_s_gev": file.sqrt_s_gev}
    return LheSettings.parse(values, where=f"{path.name}")


def _hepmc_settings(path: Path, options: dict[str, Any]) -> HepmcSettings:
    file = _hepmc(path)
    values = _values(path, options, len(file)) | {"process": _process(path, options, "HepMC3 file", ())}
    energy = file.sqrt_s_gev
    return HepmcSettings.parse(values | ({"sqrt_s_gev": energy} if energy else {}), where=f"{path.name}")


def _values(path: Path, options: dict[str, Any], n_file: int) -> dict[str, Any]:
    own = {k: v for k, v in options.items() if k != "fake_leptons"}
    n_events = own.get("n_events") or n_file
    if n_events > n_file:
        raise ConfigError(f"{path}: n_events = {n_events}, the file holds {n_file}; leave it out to take them all")
    return own | {"path": path, "n_events": n_events}


def _process(path: Path, options: dict[str, Any], title: str, caveats: tuple[str, ...]) -> Process:
    name = options.get("process") or path.name.removesuffix(".gz").rpartition(".")[0] or path.name
    fakes = bool(options.get("fake_leptons", False))
    return Process(name=name, title=title, settings=(), fakes=fakes, caveats=caveats, source=path.name)


def _refuse_merged(path: Path, file: LheFile) -> None:
    found = _MERGED.search(file.head())
    if found is not None:
        raise InputFileError(
            f"{path}: ickkw = {found.group(1).decode()}: a file of merged jet multiplicities, which needs "
            "matching to the shower; without it hard jets count twice. allow_unmatched takes it all the same"
        )


def _lhe(path: Path) -> LheFile:
    return _open_lhe(path, _version(path))


def _hepmc(path: Path) -> HepmcFile:
    return _open_hepmc(path, _version(path))


# Counting a file's events takes a pass over it: the file of the last block is kept.
@lru_cache(maxsize=1)
def _open_lhe(path: Path, _version: int) -> LheFile:
    return LheFile(path)


@lru_cache(maxsize=1)
def _open_hepmc(path: Path, _version: int) -> HepmcFile:
    return HepmcFile(path)


def _version(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def _first(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(64)
    except OSError as error:
        raise InputFileError(f"{path}: cannot be read ({error.strerror})") from None


def _record(events: GeneratedEvents) -> Record:
    """Particles in the layout of PYTHIA's record, whose first entry stands for the event."""
    particles, n = events.particles, len(events)
    counts = np.bincount(particles.event, minlength=n)
    first = np.cumsum(counts) - counts
    place = np.repeat(first, counts)

    def with_system(values: Any, system: float) -> Any:
        return np.insert(values, first, system)

    mother = np.where(particles.mother >= 0, particles.mother - place + 1, 0)
    names = {"px": "px", "py": "py", "pz": "pz", "e": "energy"}
    columns = {
        "id": with_system(particles.pdg_id, _SYSTEM),
        "status": with_system(np.where(particles.final, 1, -1), -1),
        "mother1": with_system(mother, 0),
        "p": ak.zip({name: with_system(getattr(particles, column), 0.0) for name, column in names.items()}),
    }
    listed = ak.unflatten(ak.zip(columns, depth_limit=1), counts + 1)
    weights = ak.zip({"weights": ak.unflatten(events.weight, 1)}, depth_limit=1)
    return record_from_batch(ak.zip({"prt": listed, "info": weights}, depth_limit=1))
