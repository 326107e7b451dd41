"""What readers of generator files share: particles into collections of events, only those asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import awkward as ak
import numpy as np

from anomalon.events import Events, Sample, make_events
from anomalon.generator.particles import (
    INVISIBLE,
    Floats,
    GeneratedEvents,
    GeneratedParticles,
    Ints,
    Mask,
    coordinates,
    factor_names,
    mass,
    variation_factors,
)
from anomalon.kinematics import M_ELECTRON, M_MUON
from anomalon.objects import make_objects
from anomalon.sources.columns import Column, ColumnTable
from anomalon.sources.contract import CHUNK, SourceInfo

LEPTONS = {"electrons": (11, M_ELECTRON), "muons": (13, M_MUON)}
PHOTON = 22
_AT_ONCE = 5_000
"""Events read at a time at most: one Python object per particle takes a hundred times the memory of the arrays."""
_MOMENTUM = ("pt", "eta", "phi", "mass")
FIELDS = (
    *("run", "lumi", "event", "gen_weight"),
    *(f"{name}.{column}" for name in LEPTONS for column in (*_MOMENTUM, "charge")),
    *(f"photons.{column}" for column in _MOMENTUM),
    *(f"jets.{column}" for column in (*_MOMENTUM, "btag")),
    *("met.pt", "met.phi"),
)
"""What can be said without a detector."""


class GeneratedSource(ABC):
    """Events of one generator file. The process is for the user to name; run and luminosity block are 1."""

    format: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}('{self.path}', events={self.n_events})"

    @property
    @abstractmethod
    def n_events(self) -> int:
        """Number of events."""

    @abstractmethod
    def _normalisation(self) -> dict[str, Any]:
        """Fields of the sample that the file gives, ``provenance`` among them."""

    @abstractmethod
    def _read(self, chunk: int) -> Iterator[GeneratedEvents]: ...

    @abstractmethod
    def _variations(self) -> Collection[str]: ...

    @abstractmethod
    def _jets(self, particles: GeneratedParticles, n: int) -> ak.Array: ...

    @abstractmethod
    def _is_object(self, particles: GeneratedParticles) -> Mask:
        """Whether a particle is final and may be a lepton or photon of the event."""

    @cached_property
    def sample(self) -> Sample:
        """The sample of the file."""
        said = self._normalisation()
        provenance = {"files": [str(self.path)], "format": self.format} | said.pop("provenance")
        name = self.path.name.removesuffix(".gz").rpartition(".")[0] or self.path.name
        return Sample(
            name=name,
            process="unknown",
            origin="generated",
            n_generated=self.n_events,
            provenance=provenance | {"sum_gen_weights_from": "the events of the file"},
            **said,
        )

    @cached_property
    def _table(self) -> ColumnTable:
        factors = [
            f"factors.{name}{end}" for name in factor_names(list(self._variations())).values() for end in ("", "Up")
        ]
        return ColumnTable(self.title, tuple(Column(name, (name,), lambda x: x) for name in (*FIELDS, *factors)))

    def info(self) -> SourceInfo:
        """What the file holds, without reading its events."""
        details = {k: v for k, v in self.sample.provenance.items() if k not in {"files", "format"}}
        return SourceInfo(str(self.path), self.format, self.n_events, self._table.fields, (self.sample,), {}, details)

    def iterate(self, fields: Iterable[str] | None = None, chunk: int = CHUNK) -> Iterator[Events]:
        """Yield the events in order; see :meth:`anomalon.sources.contract.Source.iterate`."""
        columns = self._table.resolve(fields, self._table.fields, where=str(self.path))
        return self._iterate([column.field for column in columns], chunk)

    def _iterate(self, fields: Collection[str], chunk: int) -> Iterator[Events]:
        empty = True
        for part in self._read(min(chunk, _AT_ONCE)):
            empty = False
            yield Events(make_events(self._columns(part, fields)), (self.sample,))
        if empty:
            none = GeneratedEvents(0, np.zeros(0), no_particles(), dict.fromkeys(self._variations(), np.zeros(0)))
            yield Events(make_events(self._columns(none, fields)), (self.sample,))

    def _columns(self, part: GeneratedEvents, fields: Collection[str]) -> dict[str, Any]:
        n = len(part)
        columns: dict[str, Any] = {
            "run": np.ones(n, dtype=np.int64),
            "lumi": np.ones(n, dtype=np.int64),
            "event": np.arange(part.start, part.start + n, dtype=np.int64),
            "dataset": np.zeros(n, dtype=np.int32),
            "gen_weight": part.weight,
        }
        factors = variation_factors(part.weight, part.variations)
        kept = {name: values for name, values in factors.items() if f"factors.{name}" in fields}
        if kept:
            columns["factors"] = ak.zip(kept)
        for name in dict.fromkeys(field.partition(".")[0] for field in fields if "." in field):
            if name != "factors":
                found = self._collection(name, part.particles, n)
                columns[name] = make_objects({k: found[k] for k in found.fields if f"{name}.{k}" in fields})
        return columns

    def _collection(self, name: str, particles: GeneratedParticles, n: int) -> ak.Array:
        if name == "met":
            return missing_momentum(particles, n)
        if name == "jets":
            return self._jets(particles, n)
        good = self._is_object(particles)
        if name == "photons":
            return objects(particles, np.flatnonzero(good & (particles.pdg_id == PHOTON)), n, {"mass": 0.0})
        code, lepton_mass = LEPTONS[name]
        rows = np.flatnonzero(good & (np.abs(particles.pdg_id) == code))
        return objects(particles, rows, n, {"mass": lepton_mass, "charge": -np.sign(particles.pdg_id[rows])})


def objects(particles: GeneratedParticles, rows: Ints, n: int, extra: Mapping[str, Any]) -> ak.Array:
    """Particles as one list of objects per event.

    Args:
        particles: all particles.
        rows: those taken.
        n: number of events.
        extra: more columns; ``mass`` replaces the mass of the four-momentum.
    """
    px, py, pz, energy = (getattr(particles, k)[rows] for k in ("px", "py", "pz", "energy"))
    pt, eta, phi = coordinates(px, py, pz)
    columns: dict[str, Any] = {"pt": pt, "eta": eta, "phi": phi, "mass": mass(px, py, pz, energy), **extra}
    types = {"charge": np.int32, "btag": np.bool_}
    flat: dict[str, Any] = {
        k: np.broadcast_to(v, len(rows)).astype(types.get(k, np.float32)) for k, v in columns.items()
    }
    return ak.unflatten(make_objects(flat), np.bincount(particles.event[rows], minlength=n))


def missing_momentum(particles: GeneratedParticles, n: int) -> ak.Array:
    """Transverse momentum of the invisible particles of every event."""
    unseen = np.flatnonzero(particles.final & np.isin(np.abs(particles.pdg_id), INVISIBLE))
    event = particles.event[unseen]
    x, y = (np.bincount(event, weights=p[unseen], minlength=n) for p in (particles.px, particles.py))
    columns: dict[str, Floats] = {"pt": np.hypot(x, y), "phi": np.arctan2(y, x)}
    return make_objects({k: v.astype(np.float32) for k, v in columns.items()})


def no_particles() -> GeneratedParticles:
    """Nothing."""
    none, counts = np.zeros(0), np.zeros(0, dtype=np.int64)
    return GeneratedParticles(counts, counts, counts.astype(np.bool_), counts, none, none, none, none)
