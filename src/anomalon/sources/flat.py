"""Flat files: ROOT trees, CSV and HDF5 tables whose columns a mapping turns into event fields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from anomalon.errors import InputFileError
from anomalon.events import Events, Sample
from anomalon.kinematics import M_ELECTRON, M_MUON, wrap_phi
from anomalon.sources.contract import CHUNK, Format, Source, SourceInfo, register
from anomalon.sources.darkmachines_text import open_bytes
from anomalon.sources.flat_fields import choose, event_table
from anomalon.sources.flat_tables import HDF5, Part, describe, is_gzipped, open_table, ragged
from anomalon.sources.mapping import FlatMapping, ObjectMapping
from anomalon.sources.root import MAGIC, table_names

FORMAT = "flat"
_MASS = {"electrons": M_ELECTRON, "muons": M_MUON}
_TYPES: dict[str, Any] = {"charge": np.int32, "btag": np.bool_}
_ENERGIES = ("pt", "mass", "px", "py", "pz", "energy")
_MEDIAN_PT = (1.0, 7000.0)
"""Half the events of a file cannot have their leading object below or above these pT in GeV."""
_EVENTS_FOR_UNITS = 200


def open_flat(path: str | Path, mapping: FlatMapping) -> Source:
    """Open a flat ROOT, CSV or HDF5 file with a mapping.

    Raises:
        InputFileError: the file is missing or damaged.
        MissingFieldError: the mapping names a column that is not there.
    """
    return FlatSource(path, mapping)


class FlatSource:
    """Events of one flat file.

    Args:
        path: ROOT, CSV (plain or gzipped) or HDF5.
        mapping: which column is which field.
        tolerant: leave lines of text out that are no row and count them (:attr:`skipped`), instead of stopping.
    """

    format = FORMAT

    def __init__(self, path: str | Path, mapping: FlatMapping, *, tolerant: bool = False) -> None:
        self.path = Path(path)
        self.mapping = mapping
        self._tolerant = tolerant
        self._table = open_table(self.path, mapping.table, tolerant=tolerant)
        mapping.check(self._table.columns, str(self.path))

    def __repr__(self) -> str:
        return f"FlatSource('{self.path}')"

    def lenient(self) -> FlatSource:
        """Return a source that leaves damaged lines out and counts them."""
        return FlatSource(self.path, self.mapping, tolerant=True)

    @property
    def n_events(self) -> int:
        """Number of events."""
        return self._survey[0]

    @property
    def skipped(self) -> Mapping[str, int]:
        """Lines left out, by reason."""
        return dict(self._survey[2]) if self._tolerant else {}

    @cached_property
    def _survey(self) -> tuple[int, float, Mapping[str, int]]:
        """Number of events, sum of weights and lines left out, from a first pass over the columns that tell."""
        every, n, total = self.mapping.sources, 0, 0.0
        weight = self.mapping.weight
        for part in self._table.parts(every if self._tolerant else [weight or every[0]], CHUNK):
            rows = len(part[weight or every[0]])
            n += rows
            total += float(np.sum(ak.to_numpy(part[weight]), dtype=np.float64)) if weight else rows
        return n, total, dict(self._table.skipped)

    @cached_property
    def sample(self) -> Sample:
        """The sample of the file; its sum of weights is that of its events."""
        provenance: dict[str, Any] = {"files": [str(self.path)], "format": FORMAT}
        if self.mapping.is_data:
            return Sample(name=self.path.stem, process="data", origin="data", provenance=provenance)
        provenance["sum_gen_weights_from"] = "the events of the file: wrong if the file is a skim"
        n, total, _ = self._survey
        return Sample(
            name=self.path.stem, process="unknown", sum_gen_weights=total, n_generated=n, provenance=provenance
        )

    def info(self) -> SourceInfo:
        """What the file holds."""
        unused = [name for name in self._table.columns if name not in self.mapping.sources]
        details = {"unit": self.mapping.unit, "columns not mapped": describe(unused)}
        return SourceInfo(str(self.path), FORMAT, self.n_events, self.mapping.fields, (self.sample,), {}, details)

    def iterate(self, fields: Iterable[str] | None = None, chunk: int = CHUNK) -> Iterator[Events]:
        """Yield the events in order; see :meth:`anomalon.sources.contract.Source.iterate`."""
        wanted = choose(fields, self.mapping.fields, str(self.path))
        self._check_units()
        return self._iterate(wanted, chunk)

    def _iterate(self, wanted: frozenset[str], chunk: int) -> Iterator[Events]:
        first = 0
        heads = {name.partition(".")[0] for name in wanted}
        for part in self._table.parts(self.mapping.sources, chunk):
            columns, counts, n = self._columns(part, first, heads)
            kept = {name: values for name, values in columns.items() if name in wanted}
            yield Events(event_table(kept, counts, n), (self.sample,))
            first += n

    def _columns(self, part: Part, first: int, heads: Iterable[str]) -> tuple[dict[str, Any], dict[str, Any], int]:
        n = len(next(iter(part.values())))
        columns: dict[str, Any] = {"event": np.arange(first, first + n)}
        for name, column in self.mapping.ids.items():
            columns[name] = self._identity(part[column], name)
        counts: dict[str, Any] = {}
        for head, item in self.mapping.objects.items():
            if head in heads:
                found, number = self._objects(part, head, item)
                if head == "met":
                    self._one_per_event(number, item)
                else:
                    counts[head] = number
                columns |= {f"{head}.{name}": values for name, values in found.items()}
        return columns, counts, n

    def _identity(self, values: Any, name: str) -> npt.NDArray[Any]:
        found = ak.to_numpy(values)
        if name == "gen_weight":
            found = found.astype(np.float64)
        if not np.isfinite(found).all():
            where = int(np.argmin(np.isfinite(found)))
            raise InputFileError(f"{self.path}: {name} = {found[where]} in row {where + 1}: every event needs a number")
        return np.asarray(found if name == "gen_weight" else found.astype(np.int64))

    def _one_per_event(self, counts: npt.NDArray[Any], item: ObjectMapping) -> None:
        if (counts != 1).any():
            where = int(np.argmax(counts != 1))
            raise InputFileError(f"{self.path}: row {where + 1} has no number in {', '.join(item.sources)} (met)")

    def _objects(self, part: Part, head: str, item: ObjectMapping) -> tuple[dict[str, Any], npt.NDArray[np.int64]]:
        """Flat columns of the objects that are there, and their number per event."""
        lists = {name: _stacked(part, item, column) for name, column in (item.columns | _same(item.where)).items()}
        counts = ak.to_numpy(ak.num(next(iter(lists.values())), axis=1))
        flat = {}
        for name, values in lists.items():
            if not np.array_equal(ak.to_numpy(ak.num(values, axis=1)), counts):
                raise InputFileError(f"{self.path}: {head}: column of '{name}' has another number of objects per event")
            flat[name] = ak.to_numpy(ak.flatten(values, axis=1)).astype(np.float64)
        keep = self._present(flat, item, head)
        owner = np.repeat(np.arange(len(counts)), counts)
        flat = {name: values[keep] for name, values in flat.items() if name in item.columns}
        return _quantities(flat, item, head, self.mapping.unit), np.bincount(owner[keep], minlength=len(counts))

    def _present(self, flat: Mapping[str, Any], item: ObjectMapping, head: str) -> npt.NDArray[np.bool_]:
        """Which slots hold an object: those with a momentum, of the kind asked for."""
        momentum = [name for name in ("pt", "eta", "phi", "px", "py", "pz", "energy") if name in flat]
        known = np.array([np.isfinite(flat[name]) for name in momentum])
        some = known.all(axis=0)
        if (known.any(axis=0) != some).any():
            where = int(np.argmax(known.any(axis=0) != some))
            shown = ", ".join(f"{name} = {flat[name][where]:g}" for name in momentum)
            raise InputFileError(f"{self.path}: {head}: a momentum that is only half there: {shown}")
        if head != "met":
            some &= (flat["px"] != 0) | (flat["py"] != 0) if item.is_cartesian else flat["pt"] != 0
        for column, values in item.where.items():
            some &= np.isin(flat[column], values)
        return np.asarray(some)

    def _check_units(self) -> None:
        """Refuse implausible energies: looks at the first events, so the answer does not depend on the chunk size."""
        part = next(iter(self._table.parts(self.mapping.sources, _EVENTS_FOR_UNITS)))
        columns, counts, _ = self._columns(part, 0, self.mapping.objects)
        for head, number in counts.items():
            pt = ak.unflatten(columns[f"{head}.pt"], number)
            leading = ak.to_numpy(ak.drop_none(ak.max(pt, axis=1)))
            median = float(np.median(leading)) if len(leading) else _MEDIAN_PT[0]
            if not _MEDIAN_PT[0] <= median <= _MEDIAN_PT[1]:
                raise InputFileError(
                    f"{self.path}: median of the leading {head}.pt is {median:.3g} GeV, which no collision at the LHC "
                    f"gives: the file is not in {self.mapping.unit}; change 'unit' in the mapping (GeV or MeV)"
                )


def _same(where: Iterable[str]) -> dict[str, str]:
    return {column: column for column in where}


def _stacked(part: Part, item: ObjectMapping, column: str) -> ak.Array:
    names = item.files(column)
    if len(names) == 1 and "#" not in column:
        return ragged(part[names[0]])
    return ragged(np.column_stack([np.asarray(part[name], dtype=np.float64) for name in names]))


def _quantities(flat: dict[str, Any], item: ObjectMapping, head: str, unit: str) -> dict[str, Any]:
    """Columns of the collection in GeV, in the types of :class:`anomalon.events.Events`."""
    n = len(next(iter(flat.values())))
    scale = 1e-3 if unit == "MeV" else 1.0
    flat = flat | {name: np.full(n, value) for name, value in item.constants.items()}
    flat = {name: values * scale if name in _ENERGIES else values for name, values in flat.items()}
    if item.is_cartesian:
        flat = _polar(flat)
    flat["phi"] = wrap_phi(flat["phi"])
    if head != "met":
        flat.setdefault("mass", np.full(n, _MASS.get(head, 0.0)))
    if item.btag_above is not None:
        flat["btag"] = flat["btag_score"] > item.btag_above
    return {name: np.asarray(values).astype(_TYPES.get(name, np.float32)) for name, values in flat.items()}


def _polar(flat: Mapping[str, Any]) -> dict[str, Any]:
    """(px, py[, pz, E]) as (pT, phi[, eta, mass]); m^2 = (E - p)(E + p), 0 where rounding makes it negative."""
    px, py = flat["px"], flat["py"]
    found = {name: values for name, values in flat.items() if name not in ("px", "py", "pz", "energy")}
    found |= {"pt": np.hypot(px, py), "phi": np.arctan2(py, px)}
    if "energy" in flat:
        p = np.hypot(found["pt"], flat["pz"])
        found["eta"] = np.arcsinh(flat["pz"] / found["pt"])
        found["mass"] = np.sqrt(np.maximum((flat["energy"] - p) * (flat["energy"] + p), 0.0))
    return found


def _needs_a_mapping(path: Path) -> Source:
    columns = describe(open_table(path).columns)
    raise InputFileError(f"{path}: a flat file needs a mapping: --mapping FILE; its columns are {columns}")


def _is_flat(path: Path, head: bytes) -> bool:
    """Whether a file has a table of no known format; a ROOT file with ``Events`` is left to NanoAOD, to be named."""
    if head.startswith(MAGIC):
        return _has_other_tree(path)
    return head.startswith(HDF5) or _is_csv(path, head)


def _has_other_tree(path: Path) -> bool:
    try:
        names = table_names(path)
    except InputFileError:
        return False
    return bool(names) and "Events" not in names


def _is_csv(path: Path, head: bytes) -> bool:
    """Whether the first line has names and the second numbers."""
    if not (is_gzipped(head) or any(c in head for c in (b",", b";", b"\t"))):
        return False
    try:
        with open_bytes(path) as file:
            lines = [file.readline(1 << 16).decode("utf-8-sig").strip() for _ in range(2)]
    except (OSError, EOFError, UnicodeDecodeError):
        return False
    separator = max(",;\t", key=lines[0].count)
    names = lines[0].split(separator)
    return len(names) > 1 and all(name.strip().strip('"').isprintable() and name.strip() for name in names)


register(
    Format(FORMAT, "flat ROOT, CSV or HDF5 with a mapping: --mapping FILE", _is_flat, _needs_a_mapping, fallback=True)
)
