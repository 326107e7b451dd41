"""LHC Olympics 2020 files (HDF5, as pandas writes them), in both forms, as events with fat jets.

Per jet: the columns ``pxj1, pyj1, pzj1, mj1, tau1j1, tau2j1, tau3j1, pxj2, ...`` in GeV, perhaps with ``label``.
Per particle: 700 times (pT, eta, phi), zero-padded, and perhaps a label; clustered here (anti-kt, R = 1, pT > 20 GeV).
The label is 1 for the signal: its events become the sample ``signal``, the others ``background``, and where there is no
label all are ``unknown``. tau_N of the first form is as the file has it, whose normalisation differs from ours.
Ref: G. Kasieczka et al., arXiv:2101.08320.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from anomalon.errors import InputFileError
from anomalon.events import Events, Sample
from anomalon.sources.contract import CHUNK, Format, SourceInfo, first_bytes, register
from anomalon.sources.flat_fields import choose, event_table
from anomalon.sources.flat_tables import HDF5
from anomalon.sources.lhco_clustering import RADIUS, cluster
from anomalon.sources.root import reading

FORMAT = "lhc-olympics"
PT_MIN = 20.0
"""Lowest pT in GeV of a fat jet that is clustered here."""
N_PARTICLES = 700
_PARTICLE_CHUNK = 5000
"""Events of 2,100 numbers in memory at a time."""
FIELDS = (
    *("run", "lumi", "event", "dataset", "gen_weight"),
    *(f"fatjets.{name}" for name in ("pt", "eta", "phi", "mass", "tau1", "tau2", "tau3")),
)
_JET_COLUMN = re.compile(r"(px|py|pz|m|tau[1-4])j(\d+)")
_SAMPLES = ("background", "signal")


class LhcOlympicsSource:
    """Events of one LHC Olympics file.

    Raises:
        InputFileError: the file is damaged or in neither form.
    """

    format = FORMAT

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        first_bytes(self.path)
        with reading(self.path), h5py.File(self.path) as file:
            found = _find(file)
        if found is None:
            raise InputFileError(
                f"{self.path}: not LHC Olympics: neither 2100 columns of particles nor pxj1, pyj1, ..."
            )
        self._name, self.columns, self._n = found

    def __repr__(self) -> str:
        return f"LhcOlympicsSource('{self.path}', events={self._n})"

    @property
    def n_events(self) -> int:
        """Number of events."""
        return self._n

    @property
    def per_jet(self) -> bool:
        """Whether the file has jets already, instead of particles."""
        return "pxj1" in self.columns

    @property
    def is_labelled(self) -> bool:
        """Whether the file says which events are signal."""
        return "label" in self.columns or len(self.columns) == 3 * N_PARTICLES + 1

    @cached_property
    def _labels(self) -> npt.NDArray[np.int32]:
        if not self.is_labelled:
            return np.zeros(self._n, np.int32)
        where = self.columns.index("label") if "label" in self.columns else len(self.columns) - 1
        labels = np.concatenate([part[:, where] for part in self._parts(CHUNK)])
        wrong = np.flatnonzero(~np.isin(labels, (0, 1)))
        if len(wrong):
            raise InputFileError(f"{self.path}: label {labels[wrong[0]]:g} in row {wrong[0]}, expected 0 or 1 (signal)")
        return labels.astype(np.int32)

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """``background`` and ``signal``, or one sample called after the file where it has no labels."""
        provenance: dict[str, Any] = {"files": [str(self.path)], "format": FORMAT}
        provenance["sum_gen_weights_from"] = "the number of events in the file"
        names = _SAMPLES if self.is_labelled else (self.path.stem,)
        counts = np.bincount(self._labels, minlength=len(names)).tolist()
        return tuple(
            Sample(
                name=name,
                process=name if self.is_labelled else "unknown",
                sum_gen_weights=float(n),
                n_generated=n,
                provenance=provenance,
            )
            for name, n in zip(names, counts, strict=True)
        )

    def info(self) -> SourceInfo:
        """What the file holds."""
        form = "jets" if self.per_jet else f"particles, clustered: anti-kt R = {RADIUS}, pT > {PT_MIN:g} GeV"
        return SourceInfo(str(self.path), FORMAT, self._n, self._fields, self.samples, {}, {"holds": form})

    @property
    def _fields(self) -> tuple[str, ...]:
        if not self.per_jet:
            return FIELDS
        taus = {f"fatjets.tau{n}" for n in range(1, 5) if f"tau{n}j1" in self.columns}
        return (*(f for f in FIELDS if "tau" not in f), *sorted(taus))

    def iterate(self, fields: Iterable[str] | None = None, chunk: int = CHUNK) -> Iterator[Events]:
        """Yield the events in order; see :meth:`anomalon.sources.contract.Source.iterate`."""
        wanted = choose(fields, self._fields, str(self.path))
        return self._iterate(wanted, chunk)

    def _iterate(self, wanted: frozenset[str], chunk: int) -> Iterator[Events]:
        first = 0
        for part in self._parts(chunk):
            n = len(part)
            counts, jets = self._jets(part) if any("." in name for name in wanted) else (np.zeros(n, np.int64), {})
            columns: dict[str, Any] = {
                "event": np.arange(first, first + n),
                "dataset": self._labels[first : first + n],
            }
            columns |= {f"fatjets.{name}": values.astype(np.float32) for name, values in jets.items()}
            kept = {name: values for name, values in columns.items() if name in wanted}
            yield Events(event_table(kept, {"fatjets": counts}, n), self.samples)
            first += n

    def _parts(self, chunk: int) -> Iterator[npt.NDArray[Any]]:
        with reading(self.path), h5py.File(self.path) as file:
            step = chunk if self.per_jet else min(chunk, _PARTICLE_CHUNK)
            for start in range(0, max(self._n, 1), step):
                yield _rows(file, self._name, start, min(start + step, self._n))

    def _jets(self, part: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], dict[str, npt.NDArray[np.float64]]]:
        if self.per_jet:
            return _from_columns(self.columns, part)
        jets = cluster(part[:, : 3 * N_PARTICLES].reshape(len(part), N_PARTICLES, 3), PT_MIN)
        return jets.counts, jets.columns


def _from_columns(
    columns: tuple[str, ...], part: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.int64], dict[str, npt.NDArray[np.float64]]]:
    """Jets from ``pxj1, pyj1, ...``; a jet without transverse momentum is none."""
    numbers = sorted({int(match[2]) for name in columns if (match := _JET_COLUMN.fullmatch(name))})
    names = [name for name in ("px", "py", "pz", "m", "tau1", "tau2", "tau3", "tau4") if f"{name}j1" in columns]
    table = {q: np.column_stack([part[:, columns.index(f"{q}j{n}")] for n in numbers]).astype(float) for q in names}
    pt = np.hypot(table["px"], table["py"])
    there = pt > 0
    flat = {name: values[there] for name, values in table.items()}
    jets = {"pt": pt[there], "eta": np.arcsinh(flat["pz"] / pt[there]), "phi": np.arctan2(flat["py"], flat["px"])}
    jets["mass"] = flat["m"]
    return there.sum(axis=1), jets | {name: values for name, values in flat.items() if name.startswith("tau")}


def _find(file: Any) -> tuple[str, tuple[str, ...], int] | None:
    """Name, columns and number of rows of the table that is in one of the two forms."""
    groups = [file, *(item for item in file.values() if isinstance(item, h5py.Group))]
    for group in groups:
        for name in ("table", "block0_values"):
            found = _columns(group, name)
            if found is not None and _is_ours(found[0]):
                return f"{group.name.rstrip('/')}/{name}", *found
    return None


def _is_ours(columns: tuple[str, ...]) -> bool:
    jets = all(f"{name}j1" in columns for name in ("px", "py", "pz", "m"))
    return jets or len(columns) in (3 * N_PARTICLES, 3 * N_PARTICLES + 1)


def _columns(group: Any, name: str) -> tuple[tuple[str, ...], int] | None:
    """Columns of a pandas frame, in its fixed format (``block0_values``) or its table format."""
    item = group.get(name)
    if not isinstance(item, h5py.Dataset):
        return None
    if name == "block0_values" and item.ndim == 2 and "block0_items" in group:
        names = [n.decode() if isinstance(n, bytes) else str(n) for n in group["block0_items"][:]]
        return tuple(names), len(item)
    if item.dtype.names is None or "values_block_0" not in item.dtype.names:
        return None
    width = int(np.prod(item.dtype["values_block_0"].shape))
    return tuple(str(i) for i in range(width)), len(item)


def _rows(file: Any, name: str, start: int, stop: int) -> npt.NDArray[Any]:
    rows = file[name][start:stop]
    return np.asarray(rows if rows.dtype.names is None else rows["values_block_0"])


def _recognises(path: Path, head: bytes) -> bool:
    if not head.startswith(HDF5):
        return False
    try:
        with h5py.File(path) as file:
            return _find(file) is not None
    except (OSError, RuntimeError, KeyError):
        return False


register(Format(FORMAT, "LHC Olympics: HDF5 with jets or particles", _recognises, LhcOlympicsSource))
