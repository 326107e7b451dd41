"""Which NanoAOD branches fill which event fields: one table, for the names of versions 5 to 15.

Where several branches can fill a field, the first that the file has is taken: the missing transverse momentum was
called ``MET`` up to version 12 and ``PFMET`` from version 15, with ``PuppiMET`` beside both. ``id`` is 0 (fails),
1 (veto), 2 (loose), 3 (medium) or 4 (tight) for electrons (cut-based) and muons alike.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anomalon.errors import MissingFieldError, suggest
from anomalon.events import COLLECTIONS, EVENT_FIELDS

B_TAGGERS: Mapping[str, float] = {
    "Jet_btagDeepFlavB": 0.2783,
    "Jet_btagUParTAK4B": 0.1272,
    "Jet_btagPNetB": 0.2450,
    "Jet_btagRobustParTAK4B": 0.4319,
    "Jet_btagDeepB": 0.4168,
    "Jet_btagCSVV2": 0.8484,
}
"""b-tagging scores in order of preference, with the medium working point (1 % light-jet mistag rate) of one year each:
DeepJet and DeepCSV 2018, UParT 2024, ParticleNet and RobustParT 2022, CSVv2 2016 (CMS BTV recommendations).
Other years differ by a few per cent of the score: cut on ``jets.btag_score`` where that matters."""


@dataclass(frozen=True)
class Column:
    """How to fill one event field: the branches it needs and what to do with them.

    ``compute`` works value by value on the branches' flat NumPy arrays, whatever lists they form; with ``whole`` it is
    given the branch as it is, and gives one value per event.
    """

    field: str
    branches: tuple[str, ...]
    compute: Callable[..., Any]
    whole: bool = False


def _as(dtype: Any) -> Callable[[Any], Any]:
    return lambda values: values.astype(dtype, copy=False)


def _signed(values: Any) -> Any:
    """Event numbers are written as unsigned 64-bit integers, of which none in use passes 2^63."""
    return values.astype(np.int64, copy=False)


def _significance(value: Any, error: Any) -> Any:
    """Impact parameter over its uncertainty; NaN, never 0, where the uncertainty is not positive."""
    good = error > 0
    return np.where(good, value / np.where(good, error, 1), np.nan).astype(np.float32)


def _muon_id(tight: Any, medium: Any, loose: Any) -> Any:
    return np.where(tight, 4, np.where(medium, 3, np.where(loose, 2, 0))).astype(np.float32)


def _above(threshold: float) -> Callable[[Any], Any]:
    return lambda score: score > threshold


def _momentum(name: str, prefix: str, columns: Sequence[str]) -> list[Column]:
    return [Column(f"{name}.{c}", (f"{prefix}_{c}",), _as(np.float32)) for c in columns]


def _lepton(name: str, prefix: str) -> list[Column]:
    return [
        *_momentum(name, prefix, ("pt", "eta", "phi", "mass")),
        Column(f"{name}.charge", (f"{prefix}_charge",), _as(np.int32)),
        Column(f"{name}.isolation", (f"{prefix}_pfRelIso03_all",), _as(np.float32)),
        Column(f"{name}.d0_significance", (f"{prefix}_dxy", f"{prefix}_dxyErr"), _significance),
        Column(f"{name}.d0_significance", (f"{prefix}_d0Significance",), _as(np.float32)),
    ]


CANDIDATES: tuple[Column, ...] = (
    Column("run", ("run",), _signed),
    Column("lumi", ("luminosityBlock",), _signed),
    Column("event", ("event",), _signed),
    Column("gen_weight", ("genWeight",), _as(np.float64)),
    *_lepton("electrons", "Electron"),
    Column("electrons.id", ("Electron_cutBased",), _as(np.float32)),
    *_lepton("muons", "Muon"),
    Column("muons.id", ("Muon_tightId", "Muon_mediumId", "Muon_looseId"), _muon_id),
    Column("muons.id", ("Muon_tightId", "Muon_mediumId"), lambda tight, medium: _muon_id(tight, medium, False)),
    *_momentum("photons", "Photon", ("pt", "eta", "phi", "mass")),
    Column("photons.mass", ("Photon_pt",), lambda pt: np.zeros(len(pt), np.float32)),
    *_momentum("jets", "Jet", ("pt", "eta", "phi", "mass")),
    Column("jets.btag_score", ("Jet_btagScore",), _as(np.float32)),  # as anomalon export writes it
    *(Column("jets.btag_score", (branch,), _as(np.float32)) for branch in B_TAGGERS),
    Column("jets.btag", ("Jet_btag",), _as(np.bool_)),
    *(Column("jets.btag", (branch,), _above(cut)) for branch, cut in B_TAGGERS.items()),
    *_momentum("met", "MET", ("pt", "phi")),
    *_momentum("met", "PFMET", ("pt", "phi")),
    *_momentum("met", "PuppiMET", ("pt", "phi")),
)
CORE = dict.fromkeys(COLLECTIONS, ("pt", "eta", "phi")) | {"met": ("pt", "phi")}
"""Columns without which a collection is of no use."""


def is_collision_data(branches: Collection[str]) -> bool:
    """Whether no branch speaks of a generator."""
    return not any(name.startswith(("Gen", "gen", "nGen", "LHE", "nLHE")) for name in branches)


def available(branches: Collection[str]) -> dict[str, Column]:
    """Event fields that these branches can fill, each with the first candidate whose branches are all there."""
    have = set(branches)
    found: dict[str, Column] = {}
    for column in CANDIDATES:
        if have.issuperset(column.branches):
            found.setdefault(column.field, column)
    return found | {c.field: c for c in map(_factor, branches) if c is not None}


def _factor(branch: str) -> Column | None:
    """Per-event weights that ``anomalon export`` wrote: leaving one out would change the event weight."""
    prefix, _, name = branch.partition("_")
    return Column(f"factors.{name}", (branch,), _as(np.float64)) if prefix == "factors" and name else None


def triggers(branches: Iterable[str]) -> dict[str, Column]:
    """Fields ``triggers.HLT_...`` of the trigger paths; there are hundreds, so they are read only when asked for."""
    return {f"triggers.{b}": Column(f"triggers.{b}", (b,), _as(np.bool_)) for b in branches if b.startswith("HLT_")}


def looked_for(field: str) -> str:
    """Branches that could fill a field, for messages."""
    return " or ".join(" + ".join(dict.fromkeys(c.branches)) for c in CANDIDATES if c.field == field)


def missing(branches: Collection[str], *, is_data: bool) -> dict[str, str]:
    """Fields that these branches cannot fill, and the branches looked for; a collection without any column is one."""
    have = available(branches)
    heads = {field.partition(".")[0] for field in have}
    lost: dict[str, str] = {}
    for field in dict.fromkeys(c.field for c in CANDIDATES):
        head = field.partition(".")[0]
        if field not in have and not (is_data and field == "gen_weight"):
            name = field if head in heads or head not in CORE else head
            lost.setdefault(name, looked_for(field if name == field else f"{head}.pt"))
    return lost


def resolve(fields: Iterable[str] | None, branches: Collection[str], where: str) -> tuple[Column, ...]:
    """Columns to read for the fields asked for; the event's ids and weight, and each collection's pT, come with them.

    Args:
        fields: dotted names or collections; None for all that the branches can fill.
        branches: names in the file.
        where: the file, for messages.

    Raises:
        MissingFieldError: names the branches that are needed and not there, and near names that are.
    """
    have = available(branches)
    asked = list(have if fields is None else fields)
    if any(name.partition(".")[0] == "triggers" for name in asked):
        paths = triggers(branches)
        have |= paths
        asked = [path for name in asked for path in (paths if name == "triggers" else [name])]
    wanted = _wanted(asked, have) - {"dataset"}
    if is_collision_data(branches):
        wanted -= {"gen_weight"}
    lost = sorted(wanted - set(have))
    if lost:
        raise MissingFieldError(_complaint(lost, branches, where))
    return tuple(column for field, column in have.items() if field in wanted)


def _wanted(fields: Iterable[str], have: Collection[str]) -> set[str]:
    wanted = {*EVENT_FIELDS, *(field for field in have if field.startswith("factors."))}
    for name in fields:
        head, _, tail = name.partition(".")
        if head in CORE:
            wanted |= {f"{head}.pt"}
        if tail or head not in CORE:
            wanted.add(name)
        else:
            wanted |= {f for f in have if f.startswith(f"{name}.")} | {f"{name}.{c}" for c in CORE[name]}
    return wanted


def _complaint(lost: Sequence[str], branches: Collection[str], where: str) -> str:
    known = dict.fromkeys(c.field for c in CANDIDATES)
    paths = [field for field in lost if field.startswith("triggers.")]
    if paths:
        near = suggest(paths[0], triggers(branches)) if triggers(branches) else "the file has no HLT_ branch"
        return f"{where}: no trigger path {', '.join(p.partition('.')[2] for p in paths)}; {near}"
    unknown = [field for field in lost if field not in known]
    if unknown:
        return f"{where}: no field '{unknown[0]}' in NanoAOD; {suggest(unknown[0], [*known, *CORE])}"
    needs = ", ".join(f"{field} needs {looked_for(field)}" for field in lost)
    near = suggest(looked_for(lost[0]).split(" ")[0], branches)
    found = f"; {near}" if near.startswith("did you mean") else f"; the file has {_sample_of(branches)}"
    return f"{where}: missing branch: {needs}{found}"


def _sample_of(branches: Collection[str], n: int = 5) -> str:
    names = sorted(branches)
    return ", ".join(names[:n]) + (f", ... ({len(names)} in all)" if len(names) > n else "")
