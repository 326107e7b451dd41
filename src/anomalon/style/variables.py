"""Variables of events for diagnoses and tests: objects of every type, sums, masses, missing transverse momentum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import awkward as ak
import numpy as np

from anomalon.events import Events
from anomalon.kinematics import cartesian, delta_phi, pair_mass, transverse_mass
from anomalon.style.objects import TYPES, Chosen, Ints, Values, event_weights

DISTINCT = ("electrons", "muons", "photons", "bjets", "other-jets")
"""Object types without overlap."""
BARREL = 1.3
"""|eta| at which regions are told apart."""
Padded = tuple[Values, Values, Values, Values]
"""(pt, eta, phi, mass) of objects."""
_HARDEST: Mapping[str, int] = {"electrons": 1, "muons": 1, "bjets": 2, "other-jets": 3}


@dataclass(frozen=True)
class Variable:
    """One quantity of objects or events.

    Attributes:
        values: shape (entry,).
        owner: event of each entry, shape (entry,).
    """

    values: Values
    owner: Ints


def present(events: Events) -> tuple[str, ...]:
    """Object types that the events have columns for."""
    return tuple(name for name in DISTINCT if all(events.has(column) for column in TYPES[name].requires))


def variables(events: Events, also: Sequence[str] = ()) -> dict[str, Variable]:
    """Quantities by name: ``bjets.pt``, ``bjets.pt, barrel``, ``bjets.abs_eta``, ``bjets.number``, ``met``, ``ht``.

    Args:
        events: any events.
        also: object types beside those of :data:`DISTINCT`, such as ``jets``.
    """
    found: dict[str, Variable] = {}
    every = np.arange(len(events))
    ht = np.zeros(len(events))
    for name in dict.fromkeys([*present(events), *also]):
        chosen = Chosen.read(events, name)
        barrel = chosen.abs_eta < BARREL
        found[f"{name}.pt"] = Variable(chosen.pt, chosen.owner)
        found[f"{name}.pt, barrel"] = Variable(chosen.pt[barrel], chosen.owner[barrel])
        found[f"{name}.pt, beyond"] = Variable(chosen.pt[~barrel], chosen.owner[~barrel])
        found[f"{name}.abs_eta"] = Variable(chosen.abs_eta, chosen.owner)
        counts = np.bincount(chosen.owner, minlength=len(events)).astype(np.float64)
        found[f"{name}.number"] = Variable(counts, every)
        if name in DISTINCT:
            ht += np.bincount(chosen.owner, chosen.pt, minlength=len(events))
    if events.has("met.pt"):
        found["met"] = Variable(events.numbers("met.pt").astype(np.float64), every)
    found["ht"] = Variable(ht, every)
    return found


def table(events: Events) -> tuple[tuple[str, ...], Values]:
    """Names and columns (event, variable) that a classifier sees; NaN where an event lacks an object.

    pT and |eta| of the hardest objects of each type, their numbers, masses of the hardest two, MET with its transverse
    mass with the hardest lepton and its angle to the hardest jet, and the scalar sum of pT.
    """
    columns: dict[str, Values] = {}
    hardest: dict[str, Padded] = {}
    for name in present(events):
        padded = _padded(events, name, _HARDEST.get(name, 1))
        hardest[name] = padded
        columns[f"{name}.number"] = np.bincount(Chosen.read(events, name).owner, minlength=len(events)).astype(
            np.float64
        )
        for place in range(padded[0].shape[1]):
            columns[f"{name}{place + 1}.pt"] = padded[0][:, place]
            columns[f"{name}{place + 1}.abs_eta"] = np.abs(padded[1][:, place])
        if padded[0].shape[1] > 1:
            columns[f"{name}.mass"] = pair_mass(*(_vector(padded, i) for i in (0, 1)))
    columns["ht"] = variables(events)["ht"].values
    if events.has("met.pt"):
        columns |= _with_met(events, hardest)
    return tuple(columns), np.stack(list(columns.values()), axis=1)


def normalised_weights(events: Events) -> Values:
    """Absolute weights with a mean of 1, shape (event,)."""
    weight = event_weights(events)
    return weight * (len(weight) / max(float(weight.sum()), np.finfo(np.float64).tiny))


def _with_met(events: Events, hardest: Mapping[str, Padded]) -> dict[str, Values]:
    met, phi = (events.numbers(f"met.{name}").astype(np.float64) for name in ("pt", "phi"))
    columns = {"met": met}
    leptons = [hardest[name] for name in ("electrons", "muons") if name in hardest]
    for number, (pt, _, lepton_phi, mass) in enumerate(leptons, 1):
        columns[f"m_T of lepton {number}"] = transverse_mass(pt[:, 0], lepton_phi[:, 0], mass[:, 0], met, phi)
    for name in ("bjets", "other-jets"):
        if name in hardest:
            columns[f"met to {name}"] = np.abs(delta_phi(hardest[name][2][:, 0], phi))
    jets = [cartesian(*hardest[name]) for name in ("bjets", "other-jets") if name in hardest]
    if jets:
        px, py = (sum(np.nan_to_num(jet[axis]).sum(axis=1) for jet in jets) for axis in (0, 1))
        columns["met along jets"] = met * np.cos(phi - np.arctan2(py, px))
    return columns


def _vector(padded: Padded, place: int) -> Padded:
    pt, eta, phi, mass = (column[:, place] for column in padded)
    return pt, eta, phi, mass


def _padded(events: Events, name: str, most: int) -> Padded:
    """(pt, eta, phi, mass) of the hardest objects of a type, each of shape (event, most); NaN where there are fewer."""
    which = TYPES[name]
    objects = events.array[which.collection]
    if which.btag is not None:
        objects = objects[ak.values_astype(objects["btag"], bool) == which.btag]
    pt, eta, phi, mass = (
        ak.to_numpy(ak.fill_none(ak.pad_none(objects[c], most, clip=True), np.nan)).astype(np.float64)
        for c in ("pt", "eta", "phi", "mass")
    )
    return pt, eta, phi, mass
