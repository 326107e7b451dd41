"""ATLAS Open Data at 13 TeV: the mini-ntuple, one tree ``mini`` with leptons, jets and photons in MeV.

Ref: ATLAS Collaboration, "Review of the 13 TeV ATLAS Open Data release", ATL-OREACH-PUB-2020-001, table of variables.

Collision data has no mark of its own. Its events have ``mcWeight`` 0 and repeat ``runNumber`` in ``channelNumber``,
where simulation has the number of its dataset; both must hold in every event, and a file where only one does is
refused.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import awkward as ak
import numpy as np

from anomalon.errors import InputFileError
from anomalon.kinematics import M_ELECTRON, M_MUON
from anomalon.sources.columns import Column, ColumnTable, as_type, constant, ratio
from anomalon.sources.contract import Format, register
from anomalon.sources.root import read_branches, reading
from anomalon.sources.tree import TreeSource, holds_tree

FORMAT = "atlas-mini-ntuple"
MV2C10_CUT = 0.645925
"""Working point of MV2c10 with 77 % efficiency for b-jets (ATL-PHYS-PUB-2016-012)."""
_FLAVOURS = {"electrons": (11, M_ELECTRON), "muons": (13, M_MUON)}
_KINDS = ("channelNumber", "runNumber", "mcWeight")
_SCALE_FACTORS = {"pileup": "PILEUP", "electron": "ELE", "muon": "MUON", "lepton_trigger": "LepTRIGGER"}
_OTHER_SCALE_FACTORS = {"photon": "PHOTON", "tau": "TAU", "btag": "BTAG", "photon_trigger": "PhotonTRIGGER"}


def _gev(values: Any) -> Any:
    return ak.values_astype(values * 1e-3, np.float32)


def _mass(pt: Any, eta: Any, energy: Any) -> Any:
    """Mass in GeV from the energy; rounding below zero gives 0."""
    pt, eta, energy = (ak.values_astype(values, np.float64) for values in (pt, eta, energy))
    squared = energy * energy - (pt * np.cosh(eta)) ** 2
    return _gev(np.sqrt(ak.where(squared > 0, squared, 0.0)))


def _isolation(pt: Any, ptcone: Any, etcone: Any) -> Any:
    """The larger of the track and the calorimeter ratio, so that one cut is a cut on both."""
    return ratio(ak.where(ptcone > etcone, ptcone, etcone), pt)


def _signed(significance: Any, d0: Any) -> Any:
    """The ntuple stores the size of d0/sigma(d0); the sign is that of d0."""
    return ak.values_astype(ak.where(d0 < 0, -abs(significance), abs(significance)), np.float32)


def _level(tight: Any) -> Any:
    return ak.values_astype(ak.where(tight, 4, 2), np.float32)


def _event_number(number: Any) -> Any:
    """Written as a signed 32-bit integer: numbers from 2^31 on came out negative."""
    return ak.values_astype(number, np.int64) & 0xFFFFFFFF


def _lepton(name: str) -> list[Column]:
    code, mass = _FLAVOURS[name]

    def of(branches: tuple[str, ...], compute: Any) -> tuple[tuple[str, ...], Any]:
        picked = ("lep_type", *(f"lep_{branch}" for branch in branches))
        return picked, lambda kind, *values: compute(*(v[kind == code] for v in values))

    columns = {
        "pt": of(("pt",), _gev),
        "eta": of(("eta",), as_type(np.float32)),
        "phi": of(("phi",), as_type(np.float32)),
        "mass": of(("pt",), constant(mass, np.float32)),
        "charge": of(("charge",), as_type(np.int32)),
        "isolation": of(("pt", "ptcone30", "etcone20"), _isolation),
        "d0_significance": of(("tracksigd0pvunbiased", "trackd0pvunbiased"), _signed),
        "id": of(("isTightID",), _level),
    }
    return [Column(f"{name}.{tail}", *column) for tail, column in columns.items()]


def _momentum(name: str, prefix: str) -> list[Column]:
    return [
        Column(f"{name}.pt", (f"{prefix}_pt",), _gev),
        Column(f"{name}.eta", (f"{prefix}_eta",), as_type(np.float32)),
        Column(f"{name}.phi", (f"{prefix}_phi",), as_type(np.float32)),
    ]


COLUMNS = ColumnTable(
    title="an ATLAS mini-ntuple",
    candidates=(
        Column("run", ("runNumber",), as_type(np.int64)),
        Column("lumi", ("runNumber",), constant(1, np.int64)),
        Column("event", ("eventNumber",), _event_number),
        Column("gen_weight", ("mcWeight",), as_type(np.float64)),
        *(
            Column(f"factors.scale_factor_{name}", (f"scaleFactor_{branch}",), as_type(np.float64))
            for name, branch in (_SCALE_FACTORS | _OTHER_SCALE_FACTORS).items()
        ),
        Column("triggers.electron", ("trigE",), as_type(np.bool_)),
        Column("triggers.muon", ("trigM",), as_type(np.bool_)),
        Column("triggers.photon", ("trigP",), as_type(np.bool_)),
        *_lepton("electrons"),
        *_lepton("muons"),
        *_momentum("photons", "photon"),
        Column("photons.mass", ("photon_pt",), constant(0, np.float32)),
        Column("photons.isolation", ("photon_pt", "photon_ptcone30", "photon_etcone20"), _isolation),
        Column("photons.id", ("photon_isTightID",), _level),
        *_momentum("jets", "jet"),
        Column("jets.mass", ("jet_pt", "jet_eta", "jet_E"), _mass),
        Column("jets.btag_score", ("jet_MV2c10",), as_type(np.float32)),
        Column("jets.btag", ("jet_MV2c10",), lambda score: score > MV2C10_CUT),
        Column("met.pt", ("met_et",), _gev),
        Column("met.phi", ("met_phi",), as_type(np.float32)),
    ),
    always=("run", "lumi", "event", "gen_weight", *(f"factors.scale_factor_{name}" for name in _SCALE_FACTORS)),
    on_request=frozenset(f"factors.scale_factor_{name}" for name in _OTHER_SCALE_FACTORS),
)
"""The scale factors of pile-up, leptons and their trigger belong to every analysis of leptons and always enter the
weight; those of photons, taus and b-tags enter it when they are asked for, such as ``factors.scale_factor_btag``."""


class AtlasNtupleSource(TreeSource):
    """Events of one ATLAS Open Data mini-ntuple, as GeV."""

    format = FORMAT
    tree = "mini"
    columns = COLUMNS
    unit = "MeV"

    @cached_property
    def is_data(self) -> bool:
        """Whether every event has weight 0 and its run number for a channel number.

        Raises:
            InputFileError: only one of the two holds, or not for every event.
        """
        columns = self._kinds()
        unweighted, repeated = columns["mcWeight"] == 0, columns["channelNumber"] == columns["runNumber"]
        if not self.n_events or not (unweighted | repeated).any():
            return False
        if (unweighted & repeated).all():
            return True
        if repeated.any() or unweighted.all():
            raise InputFileError(
                f"{self.path}: {int(unweighted.sum())} of {self.n_events} events have mcWeight 0 and "
                f"{int(repeated.sum())} have their run number as channelNumber: collision data has both in every "
                "event, simulation neither; the file mixes them or is damaged"
            )
        return False

    def _kinds(self) -> dict[str, Any]:
        lost = [name for name in _KINDS if name not in self.branches]
        if lost:
            raise InputFileError(f"{self.path}: not {COLUMNS.title}: tree 'mini' has no branch {', '.join(lost)}")
        with reading(self.path):
            read = read_branches(self._table, _KINDS, 0, self.n_events)
        return {name: ak.to_numpy(values) for name, values in read.items()}

    def normalisation(self) -> dict[str, Any]:
        """Cross section (filter and k-factor included) and the sum of weights before any selection, from the file."""
        provenance = {"sum_gen_weights_from": "SumWeights: the whole dataset, before any selection"}
        return {
            "cross_section_pb": self._one_value("XSection"),
            "sum_gen_weights": self._one_value("SumWeights"),
            "provenance": provenance | {"dataset_number": self._one_value("channelNumber")},
        }

    def _one_value(self, branch: str) -> float | None:
        values = np.unique(ak.to_numpy(self.column(branch))) if branch in self.branches else np.zeros(0)
        if len(values) > 1:
            some = ", ".join(f"{value:g}" for value in values[:3])
            raise InputFileError(
                f"{self.path}: {len(values)} values of {branch} ({some}, ...): several datasets in one file, whose "
                "normalisations differ; read them apart"
            )
        return float(values[0]) if len(values) else None

    def choices(self) -> dict[str, Any]:
        """The b-tagger's working point and what isolation and id stand for."""
        return {
            "btag": f"jet_MV2c10 > {MV2C10_CUT} (77 % efficiency)",
            "isolation": "the larger of ptcone30 / pt and etcone20 / pt",
            "id": "4 where isTightID, otherwise 2",
        }


register(Format(FORMAT, "ATLAS Open Data 13 TeV: ROOT file with a TTree 'mini'", holds_tree("mini"), AtlasNtupleSource))
