"""Delphes output: ROOT files with a tree ``Delphes``. Ref: arXiv:1307.6346."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np

from anomalon.kinematics import M_ELECTRON, M_MUON
from anomalon.sources.columns import Column, ColumnTable, as_type, constant, ratio
from anomalon.sources.contract import Format, register
from anomalon.sources.root import branch_names
from anomalon.sources.tree import TreeSource, holds_tree

FORMAT = "delphes"
_PREFIXES = {
    "electrons": ("Electron", "ElectronMedium", "ElectronCHS"),
    "muons": ("MuonTight", "Muon", "MuonLoose", "MuonTightCHS"),
    "photons": ("Photon", "PhotonTight", "PhotonLoose"),
    "jets": ("Jet", "JetPUPPI", "JetCHS"),
    "met": ("MissingET", "PuppiMissingET"),
}
"""Branches in order of preference: cards for other detectors name their collections differently."""
_MASSES = {"electrons": M_ELECTRON, "muons": M_MUON, "photons": 0.0}


def _first(values: Any) -> Any:
    """The one value per event of a branch that Delphes writes as a list of one."""
    if not ak.all(ak.num(values) == 1):
        raise ValueError("an event without its one entry")
    return values[:, 0]


def _single(dtype: Any) -> Any:
    return lambda values: ak.values_astype(_first(values), dtype)


def _has_bit(values: Any) -> Any:
    """The first working point of a tagger is bit 0."""
    return (values & 1) != 0


def _momentum(name: str, prefix: str) -> list[Column]:
    names = {"pt": "PT", "eta": "Eta", "phi": "Phi"}
    return [Column(f"{name}.{tail}", (f"{prefix}.{leaf}",), as_type(np.float32)) for tail, leaf in names.items()]


def _particle(name: str, prefix: str) -> list[Column]:
    columns = [
        *_momentum(name, prefix),
        Column(f"{name}.mass", (f"{prefix}.PT",), constant(_MASSES[name], np.float32)),
        Column(f"{name}.isolation", (f"{prefix}.IsolationVar",), as_type(np.float32)),
    ]
    if name == "photons":
        return columns
    return [
        *columns,
        Column(f"{name}.charge", (f"{prefix}.Charge",), as_type(np.int32)),
        Column(f"{name}.d0_significance", (f"{prefix}.D0", f"{prefix}.ErrorD0"), ratio),
    ]


def _jets(prefix: str) -> list[Column]:
    return [
        *_momentum("jets", prefix),
        Column("jets.mass", (f"{prefix}.Mass",), as_type(np.float32)),
        Column("jets.btag", (f"{prefix}.BTag",), _has_bit),
        Column("jets.tau_tag", (f"{prefix}.TauTag",), _has_bit),
    ]


def _met(prefix: str) -> list[Column]:
    return [
        Column("met.pt", (f"{prefix}.MET",), _single(np.float32)),
        Column("met.phi", (f"{prefix}.Phi",), _single(np.float32)),
    ]


COLUMNS = ColumnTable(
    title="Delphes output",
    candidates=(
        Column("run", ("Event.Number",), lambda number: ak.values_astype(0 * _first(number) + 1, np.int64)),
        Column("lumi", ("Event.Number",), lambda number: ak.values_astype(0 * _first(number) + 1, np.int64)),
        Column("event", ("Event.Number",), _single(np.int64)),
        Column("gen_weight", ("Event.Weight",), _single(np.float64)),
        *(column for name in _MASSES for prefix in _PREFIXES[name] for column in _particle(name, prefix)),
        *(column for prefix in _PREFIXES["jets"] for column in _jets(prefix)),
        *(column for prefix in _PREFIXES["met"] for column in _met(prefix)),
    ),
)


class DelphesSource(TreeSource):
    """Events of one Delphes file. Run and luminosity block do not exist there and are 1."""

    format = FORMAT
    tree = "Delphes"
    columns = COLUMNS

    @property
    def is_data(self) -> bool:
        """Delphes simulates."""
        return False

    def _names(self) -> tuple[str, ...]:
        """Names with their collection, such as ``Jet.PT``: only of the branches that a column may need."""
        heads = {branch.partition(".")[0] for column in COLUMNS.candidates for branch in column.branches}
        present = [head for head in branch_names(self._table) if head in heads]
        return tuple(leaf.name for head in present for leaf in self._table[head].branches)

    def normalisation(self) -> dict[str, Any]:
        """Cross section that the generator reached with the last event, and the sum of the events' weights."""
        weights = ak.to_numpy(_first(self.column("Event.Weight"))) if "Event.Weight" in self.branches else np.zeros(0)
        return {
            "cross_section_pb": self._last("Event.CrossSection"),
            "cross_section_error_pb": self._last("Event.CrossSectionError"),
            "sum_gen_weights": float(np.sum(weights, dtype=np.float64)) if len(weights) else None,
            "n_generated": self.n_events,
            "provenance": {"sum_gen_weights_from": "Event.Weight: the events of the file; wrong if the file is a skim"},
        }

    def _last(self, branch: str) -> float | None:
        """The last event's value; None where the generator did not know it and wrote none or a negative number."""
        if branch not in self.branches or not self.n_events:
            return None
        value = float(_first(self.column(branch))[-1])
        return value if value > 0 else None

    def choices(self) -> dict[str, Any]:
        """Which of several possible collections were taken."""
        have = COLUMNS.available(self.branches)
        leading = {name: have[f"{name}.pt"] for name in _PREFIXES if f"{name}.pt" in have}
        return {name: column.branches[0].partition(".")[0] for name, column in leading.items()}


register(Format(FORMAT, "Delphes: ROOT file with a TTree 'Delphes'", holds_tree("Delphes"), DelphesSource))
