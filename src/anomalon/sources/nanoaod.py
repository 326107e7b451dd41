"""CMS NanoAOD, as TTree or RNTuple, data and simulation, with the branch names of versions 5 to 15.

Ref: https://cms-nanoaod-integration.web.cern.ch/autoDoc (branches by version).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from anomalon.errors import InputFileError
from anomalon.events import COLLECTIONS, Events, Sample, make_events
from anomalon.objects import make_lists, make_objects
from anomalon.sources import nanoaod_columns, nanoaod_weights
from anomalon.sources.baskets import Flat
from anomalon.sources.contract import CHUNK, Format, SourceInfo, first_bytes, register
from anomalon.sources.nanoaod_columns import B_TAGGERS, Column
from anomalon.sources.root import (
    MAGIC,
    branch_names,
    check_complete,
    entry_ranges,
    is_rntuple,
    open_tables,
    read_flat,
    reading,
)

FORMAT = "cms-nanoaod"
HIGHEST_MEDIAN_PT = 7000.0
"""Half the events cannot have an object above this pT in GeV at the LHC: such a file is in MeV."""
_EVENTS_FOR_UNITS = 200


class NanoAODSource:
    """Events of one NanoAOD file.

    The process is not in the file, and file names lie: until the user names it, the sample is called after the file
    and its process is ``unknown`` (``data`` for collision data).

    Raises:
        InputFileError: not a ROOT file, cut short, damaged, or without a tree ``Events``.
    """

    format = FORMAT

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        check_complete(self.path, first_bytes(self.path))
        self._tables = open_tables(self.path)
        if "Events" not in self._tables:
            raise InputFileError(f"{self.path}: not NanoAOD: no tree 'Events'; it holds {_describe(self._tables)}")
        self._table = self._tables["Events"]
        self.branches = branch_names(self._table)

    def __repr__(self) -> str:
        return f"NanoAODSource('{self.path}', events={self.n_events})"

    @property
    def n_events(self) -> int:
        """Number of events."""
        return int(self._table.num_entries)

    @property
    def is_data(self) -> bool:
        """Whether the file is collision data: no branch speaks of a generator."""
        return nanoaod_columns.is_collision_data(self.branches)

    @cached_property
    def sample(self) -> Sample:
        """The sample of the file; its sum of generator weights is that of the tree ``Runs`` where there is one."""
        name = self.path.stem
        if self.is_data:
            return Sample(name=name, process="data", origin="data", provenance=self._provenance())
        total, count, where = self._sum_of_weights()
        provenance = {**self._provenance(), "sum_gen_weights_from": where}
        return Sample(name=name, process="unknown", sum_gen_weights=total, n_generated=count, provenance=provenance)

    def info(self) -> SourceInfo:
        """What the file holds; the only events' branch that may be read is ``genWeight``."""
        fields = tuple(nanoaod_columns.available(self.branches))
        missing = nanoaod_columns.missing(self.branches, is_data=self.is_data)
        container = "RNTuple" if is_rntuple(self._table) else "TTree"
        details = {"container": container, "branches": len(self.branches), **self._choices(), **self._factors()}
        return SourceInfo(str(self.path), FORMAT, self.n_events, fields, (self.sample,), missing, details)

    def iterate(self, fields: Iterable[str] | None = None, chunk: int = CHUNK) -> Iterator[Events]:
        """Yield the events in order; see :meth:`anomalon.sources.contract.Source.iterate`."""
        columns = self._columns(fields)
        self._check_units(columns)
        return self._iterate(columns, chunk)

    def ranges(self, chunk: int) -> list[tuple[int, int]]:
        """Cut the events into ranges (start, stop) of at most ``chunk``, along the clusters of the file."""
        names = _branches_of(nanoaod_columns.resolve(None, self.branches, str(self.path)))
        with reading(self.path):
            return list(entry_ranges(self._table, names, chunk)) or [(0, 0)]

    def iterate_range(
        self, start: int, stop: int, fields: Iterable[str] | None = None, chunk: int = CHUNK
    ) -> Iterator[Events]:
        """Yield the events ``start`` to ``stop`` (exclusive); the rest as :meth:`iterate`."""
        columns = self._columns(fields)
        self._check_units(columns)
        edges = [*range(start, stop, chunk), stop] if stop > start else [start, stop]
        return self._events(columns, list(itertools.pairwise(edges)))

    def _columns(self, fields: Iterable[str] | None) -> tuple[Column, ...]:
        plain, factors = nanoaod_weights.split(fields, self.branches)
        columns = nanoaod_columns.resolve(plain, self.branches, str(self.path))
        return columns + nanoaod_weights.resolve(factors, self.branches, title=self._title, where=str(self.path))

    def _title(self, branch: str) -> str:
        return str(self._table[branch].description if is_rntuple(self._table) else self._table[branch].title)

    def _iterate(self, columns: Sequence[Column], chunk: int) -> Iterator[Events]:
        with reading(self.path):
            ranges = list(entry_ranges(self._table, _branches_of(columns), chunk)) or [(0, 0)]
        return self._events(columns, ranges)

    def _events(self, columns: Sequence[Column], ranges: Sequence[tuple[int, int]]) -> Iterator[Events]:
        names = _branches_of(columns)
        for start, stop in ranges:
            yield Events(self._read(columns, names, start, stop), (self.sample,))

    def _read(self, columns: Sequence[Column], names: Sequence[str], start: int, stop: int) -> ak.Array:
        with reading(self.path, f"events {start} to {stop}"):
            branches = read_flat(self._table, names, start, stop)
            self._check_lists(branches, stop - start)
            self._check_numbers(branches, f"events {start} to {stop}")
            return make_events(_nest({c.field: _compute(c, branches) for c in columns}, stop - start))

    def _check_lists(self, branches: Mapping[str, Flat], n: int) -> None:
        """Refuse branches that do not have all events, and branches of one collection with different lists."""
        first: dict[str, tuple[str, npt.NDArray[np.int64]]] = {}
        for name, branch in branches.items():
            if branch.n_events != n:
                raise InputFileError(f"{self.path}: {name}: {branch.n_events} of {n} events could be read")
            if branch.offsets is not None:
                other, offsets = first.setdefault(name.partition("_")[0], (name, branch.offsets))
                if offsets is not branch.offsets and not np.array_equal(offsets, branch.offsets):
                    raise InputFileError(f"{self.path}: damaged: {name} and {other} have lists of different lengths")

    def _check_units(self, columns: Sequence[Column]) -> None:
        """Refuse energies in MeV: looks at the first events, so the answer does not depend on the chunk size."""
        names = [c.branches[0] for c in columns if c.field in {f"{name}.pt" for name in COLLECTIONS}]
        with reading(self.path):
            branches = read_flat(self._table, names, 0, min(_EVENTS_FOR_UNITS, self.n_events))
        for name, branch in branches.items():
            median = _median_of_leading(branch)
            if HIGHEST_MEDIAN_PT < median < np.inf:
                raise InputFileError(
                    f"{self.path}: median of the leading {name} is {median:.0f} GeV, more than a collision has: "
                    "it is in MeV; NanoAOD is in GeV"
                )

    def _check_numbers(self, branches: Mapping[str, Flat], where: str) -> None:
        """Refuse momenta and weights that no event has: a cut would drop such objects without a word.

        MET that is not finite is let through: it is counted as a feature, and never trained on.
        """
        for name, branch in branches.items():
            momentum = name.endswith("_pt") and branch.offsets is not None
            if not momentum and name != "genWeight":
                continue
            flat = branch.values
            lowest = 0.0 if momentum else -np.inf
            bad = ~((flat >= lowest) & np.isfinite(flat))
            if bad.any():
                what = "negative or not finite" if momentum else "not finite"
                raise InputFileError(
                    f"{self.path}, {where}: {bad.sum()} of {len(flat)} values of {name} are {what}, the first "
                    f"{flat[bad][0]:g}; the file is damaged or was not written by NanoAOD: leave it out"
                )

    def _sum_of_weights(self) -> tuple[float | None, int | None, str]:
        runs = self._tables.get("Runs")
        have = branch_names(runs) if runs is not None else ()
        # versions 6 and 7 wrote these names with a trailing underscore
        total, count = (next((n for n in (b, f"{b}_") if n in have), None) for b in ("genEventSumw", "genEventCount"))
        if runs is not None and total is not None:
            with reading(self.path, "tree Runs"):
                names = [name for name in (total, count) if name]
                sums = {k: np.sum(v.values) for k, v in read_flat(runs, names, 0, runs.num_entries).items()}
            return float(sums[total]), None if count is None else int(sums[count]), f"Runs.{total}"
        if "genWeight" not in self.branches:
            return None, None, "not in the file"
        with reading(self.path, "genWeight"):
            read = read_flat(self._table, ["genWeight"], 0, self.n_events)
            self._check_numbers(read, f"events 0 to {self.n_events}")
            weights = read["genWeight"].values
        where = "the events of the file (no genEventSumw in Runs): wrong if the file is a skim"
        return float(np.sum(weights, dtype=np.float64)), self.n_events, where

    def _provenance(self) -> dict[str, Any]:
        return {"files": [str(self.path)], "format": FORMAT, **self._choices()}

    def _factors(self) -> dict[str, str]:
        names = () if self.is_data else nanoaod_weights.available(self.branches)
        return {"factors on request": ", ".join(names)} if names else {}

    def _choices(self) -> dict[str, Any]:
        """Which of several possible branches were taken."""
        have = nanoaod_columns.available(self.branches)
        chosen: dict[str, Any] = {}
        if "met.pt" in have:
            chosen["met"] = have["met.pt"].branches[0].removesuffix("_pt")
        if "jets.btag" in have:
            tagger = have["jets.btag"].branches[0]
            chosen["btag"] = f"{tagger} > {B_TAGGERS[tagger]}" if tagger in B_TAGGERS else tagger
        return chosen


def _branches_of(columns: Sequence[Column]) -> list[str]:
    return list(dict.fromkeys(branch for column in columns for branch in column.branches))


def _compute(column: Column, branches: Mapping[str, Flat]) -> Flat:
    if column.whole:
        return Flat(column.compute(*(branches[name] for name in column.branches)))
    values = column.compute(*(branches[name].values for name in column.branches))
    return Flat(values, branches[column.branches[0]].offsets)


def _nest(flat: Mapping[str, Flat], n: int) -> dict[str, Any]:
    """Collect ``electrons.pt``, ``electrons.eta``, ... into one collection each; add what every event has."""
    nested: dict[str, dict[str, Flat]] = {}
    events: dict[str, Any] = {}
    for field, column in flat.items():
        head, _, tail = field.partition(".")
        if tail:
            nested.setdefault(head, {})[tail] = column
        else:
            events[head] = column.values
    events["dataset"] = np.zeros(n, dtype=np.int32)
    events.setdefault("gen_weight", np.ones(n))
    return events | {name: _objects(columns) for name, columns in nested.items()}


def _objects(columns: Mapping[str, Flat]) -> ak.Array:
    values = {name: column.values for name, column in columns.items()}
    offsets = next(iter(columns.values())).offsets
    return make_objects(values) if offsets is None else make_lists(values, offsets)


def _median_of_leading(branch: Flat) -> float:
    """Median over the events of the largest value in each."""
    if branch.offsets is None or not len(branch.values):
        return 0.0
    starts = branch.offsets[:-1][np.diff(branch.offsets) > 0]
    return float(np.median(np.maximum.reduceat(branch.values, starts)))


def _describe(tables: dict[str, Any]) -> str:
    return "; ".join(
        f"{'RNTuple' if is_rntuple(table) else 'TTree'} '{name}' with {', '.join(branch_names(table)[:5])}, ..."
        for name, table in tables.items()
    )


register(
    Format(
        FORMAT,
        "CMS NanoAOD: ROOT file with a TTree or RNTuple 'Events'",
        lambda _, head: head.startswith(MAGIC),
        NanoAODSource,
        fallback=True,
    )
)
