"""What readers of ROOT trees share: open, find the columns, read ranges of events, check the units."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar

import awkward as ak
import numpy as np
import uproot

from anomalon.errors import InputFileError
from anomalon.events import COLLECTIONS, Events, Sample, make_events
from anomalon.objects import make_objects
from anomalon.sources.columns import Column, ColumnTable, branches_of
from anomalon.sources.contract import CHUNK, SourceInfo, first_bytes
from anomalon.sources.root import MAGIC, branch_names, check_complete, entry_ranges, open_tables, read_branches, reading

MEDIAN_PT = (1.0, 7000.0)
"""Half the events of a file cannot have their leading object below or above these pT in GeV: the unit is another."""
_EVENTS_FOR_UNITS = 200


class TreeSource(ABC):
    """Events of one ROOT file whose events are in one tree.

    Raises:
        InputFileError: not a ROOT file, cut short, damaged, or without the tree.
    """

    format: ClassVar[str]
    tree: ClassVar[str]
    columns: ClassVar[ColumnTable]
    unit: ClassVar[str] = "GeV"

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        check_complete(self.path, first_bytes(self.path))
        tables = open_tables(self.path)
        if self.tree not in tables:
            raise InputFileError(f"{self.path}: not {self.columns.title}: no tree '{self.tree}'; it holds {[*tables]}")
        self._table = tables[self.tree]
        with reading(self.path):
            self.branches = self._names()

    def __repr__(self) -> str:
        return f"{type(self).__name__}('{self.path}', events={self.n_events})"

    @property
    def n_events(self) -> int:
        """Number of events."""
        return int(self._table.num_entries)

    def _names(self) -> tuple[str, ...]:
        """Names of the branches that columns may need."""
        return branch_names(self._table)

    @property
    @abstractmethod
    def is_data(self) -> bool:
        """Whether the file is collision data."""

    @abstractmethod
    def normalisation(self) -> dict[str, Any]:
        """What the file says about the normalisation of simulated events, as fields of :class:`Sample`."""

    def choices(self) -> dict[str, Any]:
        """What the reader decided for the user: taggers, working points, how a quantity is built."""
        return {}

    @cached_property
    def sample(self) -> Sample:
        """The sample of the file. The process is for the user to name: file names lie."""
        provenance = {"files": [str(self.path)], "format": self.format, **self.choices()}
        if self.is_data:
            return Sample(name=self.path.stem, process="data", origin="data", provenance=provenance)
        said = self.normalisation()
        provenance |= said.pop("provenance", {})
        return Sample(name=self.path.stem, process="unknown", provenance=provenance, **said)

    @property
    def _skip(self) -> Collection[str]:
        weights = {name for name in self.columns.fields if name.startswith("factors.")} | {"gen_weight"}
        return weights if self.is_data else ()

    def info(self) -> SourceInfo:
        """What the file holds; of the events, only what the normalisation needs is read."""
        have = self.columns.available(self.branches)
        fields = tuple(name for name in have if name not in self._skip)
        missing = self.columns.missing(self.branches, self._skip)
        details = {"branches": len(self.branches), **self.choices()}
        return SourceInfo(str(self.path), self.format, self.n_events, fields, (self.sample,), missing, details)

    def iterate(self, fields: Iterable[str] | None = None, chunk: int = CHUNK) -> Iterator[Events]:
        """Yield the events in order; see :meth:`anomalon.sources.contract.Source.iterate`."""
        columns = self.columns.resolve(fields, self.branches, where=str(self.path), skip=self._skip)
        self._check_units(columns)
        return self._iterate(columns, chunk)

    def column(self, branch: str) -> Any:
        """All values of one branch."""
        with reading(self.path, branch):
            return read_branches(self._table, [branch], 0, self.n_events)[branch]

    def _iterate(self, columns: Sequence[Column], chunk: int) -> Iterator[Events]:
        names = branches_of(columns)
        with reading(self.path):
            ranges = list(entry_ranges(self._table, names, chunk)) or [(0, 0)]
        for start, stop in ranges:
            yield Events(self._read(columns, start, stop), (self.sample,))

    def _read(self, columns: Sequence[Column], start: int, stop: int) -> ak.Array:
        with reading(self.path, f"events {start} to {stop}"):
            flat = self._compute(columns, start, stop)
            if len(flat["run"]) != stop - start:
                raise InputFileError(f"{self.path}: {len(flat['run'])} of the events {start} to {stop} could be read")
            return make_events(nest(flat, stop - start))

    def _compute(self, columns: Sequence[Column], start: int, stop: int) -> dict[str, Any]:
        arrays = read_branches(self._table, branches_of(columns), start, stop)
        return {c.field: c.compute(*(arrays[name] for name in c.branches)) for c in columns}

    def _check_units(self, columns: Sequence[Column]) -> None:
        """Refuse implausible energies: looks at the first events, so the answer does not depend on the chunk size."""
        wanted = [c for c in columns if c.field in {f"{name}.pt" for name in COLLECTIONS}]
        with reading(self.path):
            found = self._compute(wanted, 0, min(_EVENTS_FOR_UNITS, self.n_events)) if wanted else {}
        for name, values in found.items():
            leading = ak.drop_none(ak.max(values, axis=1))
            median = float(np.median(ak.to_numpy(leading))) if len(leading) else MEDIAN_PT[0]
            if not MEDIAN_PT[0] <= median <= MEDIAN_PT[1]:
                raise InputFileError(
                    f"{self.path}: median of the leading {name} is {median:.3g} GeV, which no collision at the LHC "
                    f"gives: {self.columns.title} is in {self.unit}, this file in another unit"
                )


def nest(flat: dict[str, Any], n: int) -> dict[str, Any]:
    """Collect ``electrons.pt``, ``electrons.eta``, ... into one collection each; add what every event has."""
    nested: dict[str, dict[str, Any]] = {}
    events: dict[str, Any] = {}
    for name, values in flat.items():
        head, _, tail = name.partition(".")
        if tail:
            nested.setdefault(head, {})[tail] = values
        else:
            events[head] = values
    events["dataset"] = np.zeros(n, dtype=np.int32)
    events.setdefault("gen_weight", np.ones(n))
    return events | {name: make_objects(columns) for name, columns in nested.items()}


def holds_tree(name: str) -> Callable[[Path, bytes], bool]:
    """Recognise ROOT files that have a tree of this name, for the registry of formats."""
    return lambda path, head: head.startswith(MAGIC) and name in _tree_names(path)


def _tree_names(path: Path) -> frozenset[str]:
    status = path.stat()
    return _tree_names_of(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=256)
def _tree_names_of(path: Path, _modified: int, _size: int) -> frozenset[str]:
    """Names at the top of the file; none for a damaged one, which its reader describes."""
    try:
        with uproot.open(path) as file:
            return frozenset(
                name for name, kind in file.classnames(recursive=False, cycle=False).items() if kind == "TTree"
            )
    except Exception:  # noqa: BLE001 uproot passes on errors of struct, zlib, numpy and of its own
        return frozenset()
