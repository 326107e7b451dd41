"""Events as ROOT files with the names of CMS NanoAOD, as TTree or RNTuple: what reads NanoAOD reads them.

What NanoAOD has no name for keeps its own: ``Jet_btag`` (bool), ``Jet_btagScore``, ``Electron_d0Significance`` and
``factors_<name>`` (per-event weights). ``Runs`` holds the sum of generator weights before any selection, so that the
normalisation survives a skim, and the string ``anomalon_sample`` is the sample as JSON. Muon identification is written
as NanoAOD's three flags, so only the levels loose, medium and tight survive.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import awkward as ak
import numpy as np
import uproot

from anomalon.errors import InvalidEventsError
from anomalon.events import Events
from anomalon.writers.contract import EventWriter, columns_of, only_sample

PREFIXES = {"electrons": "Electron", "muons": "Muon", "photons": "Photon", "jets": "Jet", "fatjets": "FatJet"}
IDS = {"run": "run", "lumi": "luminosityBlock", "event": "event", "gen_weight": "genWeight"}
RENAMED = {
    "isolation": "pfRelIso03_all",
    "d0_significance": "d0Significance",
    "btag_score": "btagScore",
}
MUON_FLAGS = {"looseId": 2, "mediumId": 3, "tightId": 4}
"""Level of ``muons.id`` from which on a flag is set (see :mod:`anomalon.sources.nanoaod_columns`)."""
COMPRESSION = uproot.ZSTD(3)


class _RootWriter(EventWriter):
    """Common to both containers: names, the sample and the tree ``Runs``."""

    _file: Any = None
    _table: Any = None

    def _append(self, events: Events) -> None:
        sample = only_sample(self.samples, self.path, self.format)
        self.left_out = tuple(sorted({n.partition(".")[0] for n in columns_of(events.array)} - _PLACES))
        branches = nano_branches(events, is_data=sample.is_data)
        if self._file is None:
            self._file = uproot.recreate(self.partial, compression=COMPRESSION)
            self._table = self._make("Events", branches)
            self._written = set(branches)
        if set(branches) != self._written:
            raise InvalidEventsError(f"{self.path}: a part has other fields than the first; export them separately")
        self._extend(self._table, branches)

    def _close(self, *, complete: bool) -> None:
        if self._file is None:
            if complete:
                raise InvalidEventsError(f"{self.path}: no events to write, not even an empty table of them")
            return
        if complete:
            self._write_sample()
        self._file.close()

    def _write_sample(self) -> None:
        sample = self.samples[0]
        self._file["anomalon_sample"] = sample.model_dump_json()
        if sample.sum_gen_weights is not None:
            runs = {"run": np.array([1]), "genEventSumw": np.array([float(sample.sum_gen_weights)])}
            if sample.n_generated is not None:
                runs["genEventCount"] = np.array([int(sample.n_generated)])
            self._extend(self._make("Runs", runs), runs)

    def _make(self, name: str, branches: Mapping[str, Any]) -> Any:
        raise NotImplementedError

    def _extend(self, table: Any, branches: Mapping[str, Any]) -> None:
        raise NotImplementedError


class TTreeWriter(_RootWriter):
    """A TTree ``Events``: one basket per branch and part."""

    format = "root"
    description = "ROOT TTree with NanoAOD names, one sample per file"
    endings = (".root",)

    def _make(self, name: str, branches: Mapping[str, Any]) -> Any:
        types = {key: ak.type(ak.Array(values[:0])).content for key, values in _zipped(branches).items()}
        return self._file.mktree(name, types)

    def _extend(self, table: Any, branches: Mapping[str, Any]) -> None:
        table.extend(_zipped(branches))


class RNTupleWriter(_RootWriter):
    """An RNTuple ``Events``: one cluster per part."""

    format = "rntuple"
    description = "ROOT RNTuple with NanoAOD names, one sample per file"

    endings = (".rntuple.root",)

    def _make(self, name: str, branches: Mapping[str, Any]) -> Any:
        return self._file.mkrntuple(name, ak.type(ak.zip(dict(branches), depth_limit=1)[:0]).content)

    def _extend(self, table: Any, branches: Mapping[str, Any]) -> None:
        table.extend(ak.zip(dict(branches), depth_limit=1))


_PLACES = {*PREFIXES, *IDS, "dataset", "met", "factors", "triggers"}


def nano_branches(events: Events, *, is_data: bool) -> dict[str, Any]:
    """Branches with NanoAOD names, each of shape (event,) or (event, object).

    Collision data gets no generator weight: its absence is how NanoAOD is recognised as data.
    """
    branches: dict[str, Any] = {}
    for name, values in columns_of(events.array).items():
        head, _, tail = name.partition(".")
        if head in IDS and not (is_data and head == "gen_weight"):
            branches[IDS[head]] = ak.to_numpy(values)
        elif head in PREFIXES:
            branches |= _object_branches(head, tail, ak.to_packed(values))
        elif head in ("met", "factors", "triggers"):
            prefix = {"met": "MET_", "factors": "factors_", "triggers": ""}[head]
            branches[f"{prefix}{tail}"] = ak.to_numpy(values)
    return branches


def _object_branches(head: str, tail: str, values: ak.Array) -> dict[str, ak.Array]:
    prefix = PREFIXES[head]
    if name := {"electrons.id": "cutBased"}.get(f"{head}.{tail}"):
        return {f"{prefix}_{name}": values}
    if (head, tail) == ("muons", "id"):
        return {f"{prefix}_{flag}": values >= level for flag, level in MUON_FLAGS.items()}
    return {f"{prefix}_{RENAMED.get(tail, tail)}": values}


def _zipped(branches: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of one collection zipped, so that they share one counter such as ``nElectron``."""
    groups: dict[str, dict[str, Any]] = {}
    for name, values in branches.items():
        prefix = name.partition("_")[0]
        if isinstance(values, ak.Array) and prefix in PREFIXES.values():
            groups.setdefault(prefix, {})[name.removeprefix(f"{prefix}_")] = values
        else:
            groups[name] = {"": values}
    return {name: columns[""] if "" in columns else ak.zip(columns) for name, columns in groups.items()}
