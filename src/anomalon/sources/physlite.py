"""ATLAS DAOD_PHYSLITE: calibrated objects of the xAOD, in MeV, in a tree ``CollectionTree``.

Ref: ATLAS Collaboration, "DAOD_PHYSLITE", https://atlas-physlite-content-opendata.web.cern.ch.

The file has no finished missing momentum, only what it is made of. It is rebuilt here, without the association of every
track and cluster to one object that the experiment's tools make: minus the sum of medium electrons and muons above
10 GeV, of the jets above 20 GeV that are no pile-up and 0.4 away from those electrons, and of the soft tracks
(``PVSoftTrkCore``).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import awkward as ak
import numpy as np

from anomalon.kinematics import M_MUON, delta_r
from anomalon.sources.columns import Column, ColumnTable, as_type, constant, ratio
from anomalon.sources.contract import Format, register
from anomalon.sources.tree import TreeSource, holds_tree

FORMAT = "atlas-physlite"
DL1D_CUT = 2.456
"""Working point of DL1dv01 with 77 % efficiency for b-jets; the score is ln(pb / (0.018 pc + 0.982 pu))."""
_CHARM = 0.018
_IS_SIMULATION = 1

_EVENT = "EventInfoAuxDyn."
_ELECTRON = "AnalysisElectronsAuxDyn."
_MUON = "AnalysisMuonsAuxDyn."
_PHOTON = "AnalysisPhotonsAuxDyn."
_JET = "AnalysisJetsAuxDyn."
_BTAG = "BTagging_AntiKt4EMPFlowAuxDyn."
_MET = "MET_Core_AnalysisMETAuxDyn."
_LOOSE_TRACKS = "Nonprompt_All_MaxWeightTTVALooseCone_pt1000"
_TRACKS = "Nonprompt_All_MaxWeightTTVA_pt1000"


def _gev(values: Any) -> Any:
    return ak.values_astype(values * 1e-3, np.float32)


def _electron_id(tight: Any, medium: Any, loose: Any) -> Any:
    level = ak.where(tight != 0, 4, ak.where(medium != 0, 3, ak.where(loose != 0, 2, 0)))
    return ak.values_astype(level, np.float32)


def _muon_id(quality: Any) -> Any:
    """The lowest three bits are 0 (tight), 1 (medium), 2 (loose) or 3 (very loose)."""
    return ak.values_astype(4 - ak.values_astype(quality & 7, np.int32), np.float32)


def _photon_id(tight: Any, loose: Any) -> Any:
    return ak.values_astype(ak.where(tight != 0, 4, ak.where(loose != 0, 2, 0)), np.float32)


def _score(b: Any, c: Any, light: Any, jet_pt: Any) -> Any:
    """DL1d of every jet; tags and jets are stored apart and must match one to one."""
    if not ak.all(ak.num(b) == ak.num(jet_pt)):
        raise ValueError("an event has another number of b-tags than of jets; ask for fields without jets.btag")
    return ak.values_astype(np.log(b / (_CHARM * c + (1 - _CHARM) * light)), np.float32)


def _momentum(name: str, prefix: str) -> list[Column]:
    return [
        Column(f"{name}.pt", (f"{prefix}pt",), _gev),
        Column(f"{name}.eta", (f"{prefix}eta",), as_type(np.float32)),
        Column(f"{name}.phi", (f"{prefix}phi",), as_type(np.float32)),
    ]


_MET_BRANCHES = (
    *(f"{_MET}{name}" for name in ("name", "mpx", "mpy")),
    *(f"{_ELECTRON}{name}" for name in ("pt", "eta", "phi", "DFCommonElectronsLHMedium")),
    *(f"{_MUON}{name}" for name in ("pt", "phi", "quality")),
    *(f"{_JET}{name}" for name in ("pt", "eta", "phi", "NNJvtPass")),
)


def _missing_momentum(*branches: Any) -> tuple[Any, Any]:
    """Components of the rebuilt missing momentum in GeV."""
    name, soft_x, soft_y, *rest = branches
    electrons = ak.zip(dict(zip(("pt", "eta", "phi", "id"), rest[:4], strict=True)))
    muons = ak.zip(dict(zip(("pt", "phi", "quality"), rest[4:7], strict=True)))
    jets = ak.zip(dict(zip(("pt", "eta", "phi", "jvt"), rest[7:], strict=True)))
    electrons = electrons[(electrons.pt > 10e3) & (electrons.id != 0)]
    muons = muons[(muons.pt > 10e3) & ((muons.quality & 7) <= 1)]
    objects = [electrons, muons, _hard_jets(jets, electrons)]
    is_track_term = name == "PVSoftTrkCore"
    met = []
    for soft, turn in ((soft_x, np.cos), (soft_y, np.sin)):
        hard = sum(ak.sum(o.pt * turn(o.phi), axis=1) for o in objects)
        met.append(1e-3 * (ak.sum(soft[is_track_term], axis=1) - hard))
    return met[0], met[1]


def _hard_jets(jets: Any, electrons: Any) -> Any:
    near_x, near_y = ak.unzip(ak.cartesian([jets, electrons], nested=True))
    near = ak.any(delta_r(near_x.eta, near_x.phi, near_y.eta, near_y.phi) < 0.4, axis=2)
    pile_up = (jets.pt < 60e3) & (abs(jets.eta) < 2.4) & (jets.jvt == 0)
    return jets[(jets.pt > 20e3) & ~near & ~pile_up]


def _met_pt(*branches: Any) -> Any:
    return ak.values_astype(np.hypot(*_missing_momentum(*branches)), np.float32)


def _met_phi(*branches: Any) -> Any:
    x, y = _missing_momentum(*branches)
    return ak.values_astype(np.arctan2(y, x), np.float32)


COLUMNS = ColumnTable(
    title="DAOD_PHYSLITE",
    candidates=(
        Column("run", (f"{_EVENT}runNumber",), as_type(np.int64)),
        Column("lumi", (f"{_EVENT}lumiBlock",), as_type(np.int64)),
        Column("event", (f"{_EVENT}eventNumber",), as_type(np.int64)),
        Column("gen_weight", (f"{_EVENT}mcEventWeights",), lambda w: ak.values_astype(w[:, 0], np.float64)),
        Column("factors.pileup", (f"{_EVENT}PileupWeight_NOSYS",), as_type(np.float64)),
        *_momentum("electrons", _ELECTRON),
        Column("electrons.mass", (f"{_ELECTRON}m",), _gev),
        Column("electrons.charge", (f"{_ELECTRON}charge",), as_type(np.int32)),
        Column("electrons.isolation", (f"{_ELECTRON}ptvarcone30_{_LOOSE_TRACKS}", f"{_ELECTRON}pt"), ratio),
        Column(
            "electrons.id",
            tuple(f"{_ELECTRON}DFCommonElectronsLH{level}" for level in ("Tight", "Medium", "Loose")),
            _electron_id,
        ),
        *_momentum("muons", _MUON),
        Column("muons.mass", (f"{_MUON}pt",), constant(M_MUON, np.float32)),
        Column("muons.charge", (f"{_MUON}charge",), as_type(np.int32)),
        Column("muons.isolation", (f"{_MUON}ptvarcone30_{_TRACKS}", f"{_MUON}pt"), ratio),
        Column("muons.id", (f"{_MUON}quality",), _muon_id),
        *_momentum("photons", _PHOTON),
        Column("photons.mass", (f"{_PHOTON}pt",), constant(0, np.float32)),
        Column("photons.isolation", (f"{_PHOTON}topoetcone20", f"{_PHOTON}pt"), ratio),
        Column("photons.id", tuple(f"{_PHOTON}DFCommonPhotonsIsEM{x}" for x in ("Tight", "Loose")), _photon_id),
        *_momentum("jets", _JET),
        Column("jets.mass", (f"{_JET}m",), _gev),
        Column("jets.btag_score", (*(f"{_BTAG}DL1dv01_p{x}" for x in "bcu"), f"{_JET}pt"), _score),
        Column(
            "jets.btag",
            (*(f"{_BTAG}DL1dv01_p{x}" for x in "bcu"), f"{_JET}pt"),
            lambda *values: _score(*values) > DL1D_CUT,
        ),
        Column("met.pt", _MET_BRANCHES, _met_pt),
        Column("met.phi", _MET_BRANCHES, _met_phi),
    ),
    always=("run", "lumi", "event", "gen_weight", "factors.pileup"),
)
"""The generator weight is the first of ``mcEventWeights``, the nominal one."""


class PhysliteSource(TreeSource):
    """Events of one DAOD_PHYSLITE file, as GeV."""

    format = FORMAT
    tree = "CollectionTree"
    columns = COLUMNS
    unit = "MeV"

    @cached_property
    def is_data(self) -> bool:
        """Whether the event type says that nothing was simulated; without it, whether no weights were written."""
        branch = f"{_EVENT}eventTypeBitmask"
        if branch in self.branches and self.n_events:
            return not bool(ak.any(self.column(branch) & _IS_SIMULATION))
        return f"{_EVENT}mcEventWeights" not in self.branches

    @property
    def _skip(self) -> Sequence[str]:
        optional = [] if f"{_EVENT}PileupWeight_NOSYS" in self.branches else ["factors.pileup"]
        return [*super()._skip, *optional]

    def normalisation(self) -> dict[str, Any]:
        """Sum of the weights in the file: that of the whole dataset is kept in metadata that is not read."""
        weights = ak.to_numpy(self.column(f"{_EVENT}mcEventWeights")[:, 0])
        channel = f"{_EVENT}mcChannelNumber"
        number = sorted(set(ak.to_list(self.column(channel)))) if channel in self.branches else []
        where = "the events of the file: wrong if the file is a skim"
        return {
            "sum_gen_weights": float(np.sum(weights, dtype=np.float64)),
            "n_generated": self.n_events,
            "provenance": {"sum_gen_weights_from": where, "dataset_numbers": number},
        }

    def choices(self) -> dict[str, Any]:
        """The b-tagger's working point and how missing momentum and isolation are made."""
        return {
            "btag": f"DL1dv01 > {DL1D_CUT} (77 % efficiency)",
            "met": "rebuilt from medium leptons, jets and soft tracks (MET_Core_AnalysisMET)",
            "isolation": "ptvarcone30 / pt of tracks above 1 GeV; photons topoetcone20 / pt",
        }


register(
    Format(FORMAT, "ATLAS xAOD: ROOT file with a TTree 'CollectionTree'", holds_tree("CollectionTree"), PhysliteSource)
)
