"""Events as columns for classifiers, in two views that share none: one for a generator's refinement, one for its judge.

A refinement that sees what its judge sees is graded by its own exam. ``refiner`` has the coordinates in which
generators work: numbers of objects, logarithms of pT, eta, azimuth against MET, mass, and a few sums. ``judge`` has
Cartesian momenta in a frame of the event (the hardest object at phi = 0 and eta > 0, the next at phi > 0), masses of
pairs of jets and all derived quantities that the refiner lacks. Missing values are NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from anomalon.generation.derived import ENERGIES, QUANTITIES, Derived, hardest, mass_of
from anomalon.generation.flatten import ETA, KINDS, MASS, PHI, PT, EventArrays, Floats
from anomalon.generation.validation import View
from anomalon.kinematics import delta_phi

REFINER_QUANTITIES = ("MET", "HT", "m_jj", "delta_r_jj", "balance")
"""Derived quantities of the refiner; all others are the judge's."""
JUDGE_QUANTITIES = tuple(name for name in QUANTITIES if name not in REFINER_QUANTITIES)
_JETS, _LEPTONS, _PHOTONS, _PAIRED = 6, 2, 1, 4
_SCALE = 20.0
"""GeV: asinh(p / scale) is linear below and logarithmic above."""


@dataclass(frozen=True)
class Columns:
    """Values, NaN where missing, shape (event, column), and the names of the columns."""

    values: Floats
    names: tuple[str, ...]


def columns(arrays: EventArrays, derived: Derived, view: View = "judge") -> Columns:
    """Columns of a view.

    Args:
        arrays: the events.
        derived: their derived quantities.
        view: ``judge`` or ``refiner``.
    """
    found = _judge(arrays) if view == "judge" else _refiner(arrays)
    chosen = JUDGE_QUANTITIES if view == "judge" else REFINER_QUANTITIES
    found |= {name: _compressed(name, derived.column(name)) for name in chosen}
    return Columns(np.stack([*found.values()], axis=1), tuple(found))


def momenta(arrays: EventArrays) -> Floats:
    """Cartesian momenta in the frame of the event alone, 0 where missing: a space to measure distances in."""
    return np.nan_to_num(np.stack([*_cartesian(arrays).values()], axis=1))


def _compressed(name: str, values: Floats) -> Floats:
    return np.log(np.maximum(values, 1.0)) if name in ENERGIES else values


def _refiner(arrays: EventArrays) -> dict[str, Floats]:
    found = {f"count_{kind}": arrays.counts[:, i].astype(np.float64) for i, kind in enumerate(KINDS)}
    for kind in KINDS:
        objects, there = arrays.of(kind)
        for i in range(objects.shape[1]):
            slot, gone = objects[:, i], ~there[:, i]
            parts = {
                "log_pt": np.log(np.maximum(slot[:, PT], 1e-3)),
                "eta": slot[:, ETA],
                "dphi": delta_phi(slot[:, PHI], arrays.met[:, 1]),
            }
            if kind in ("b", "j"):
                parts["log_mass"] = np.log1p(np.maximum(slot[:, MASS], 0.0))
            found |= {f"{kind}{i + 1}_{name}": np.where(gone, np.nan, value) for name, value in parts.items()}
    return found


def _judge(arrays: EventArrays) -> dict[str, Floats]:
    jets = hardest(arrays, "b", "j", most=_PAIRED)
    p, found = jets.four_vectors, _cartesian(arrays)
    for i, j in combinations(range(min(_PAIRED, jets.width)), 2):
        mass = np.log(np.maximum(mass_of(p[:, i] + p[:, j]), 1e-3))
        found[f"m_{i + 1}{j + 1}"] = np.where(jets.there[:, j], mass, np.nan)
    return found


def _cartesian(arrays: EventArrays) -> dict[str, Floats]:
    """Momenta of the hardest objects, masses and tags of jets, and MET, in the frame of the event."""
    turn, along, across = _frame(arrays)
    groups = {"jet": ("b", "j"), "lepton": ("e-", "e+", "m-", "m+"), "photon": ("g",)}
    tagged = _tagged(arrays)
    found: dict[str, Floats] = {}
    for (name, kinds), most in zip(groups.items(), (_JETS, _LEPTONS, _PHOTONS), strict=True):
        objects = hardest(tagged, *kinds, most=most)
        for i in range(objects.width):
            pt, eta, phi, label = (objects.columns[:, i, c] for c in range(4))
            parts = _components(pt, phi - turn, across) | {"pz": _soft(pt * np.sinh(eta) * along), "kind": label}
            found |= {f"{name}{i + 1}_{k}": np.where(objects.there[:, i], v, np.nan) for k, v in parts.items()}
    jets = hardest(arrays, "b", "j", most=_JETS)
    masses = np.where(jets.there, np.log1p(np.maximum(jets.columns[..., MASS], 0.0)), np.nan)
    found |= {f"jet{i + 1}_mass": masses[:, i] for i in range(jets.width)}
    met = _components(arrays.met[:, 0], arrays.met[:, 1] - turn, across)
    return found | {f"met_{name}": value for name, value in met.items()}


def _components(pt: Floats, phi: Floats, across: Floats) -> dict[str, Floats]:
    return {"px": _soft(pt * np.cos(phi)), "py": _soft(pt * np.sin(phi) * across)}


def _soft(p: Floats) -> Floats:
    return np.arcsinh(p / _SCALE)


def _frame(arrays: EventArrays) -> tuple[Floats, Floats, Floats]:
    """Azimuth of the hardest object, the sign of its eta, and the side on which the next one is; (event,) each."""
    two = hardest(arrays, *KINDS, most=2)
    turn = np.where(two.there[:, 0], two.columns[:, 0, PHI], arrays.met[:, 1])
    along = np.where(two.columns[:, 0, ETA] < 0, -1.0, 1.0)
    next_phi = np.where(two.there[:, 1], two.columns[:, 1, PHI], arrays.met[:, 1])
    return turn, along, np.where(delta_phi(next_phi, turn) < 0, -1.0, 1.0)


def _tagged(arrays: EventArrays) -> EventArrays:
    """The same with the kind in the place of the mass: b-tag of jets, flavour and charge of leptons."""
    label = {"b": 1.0, "j": 0.0, "e-": -1.0, "e+": 1.0, "m-": -2.0, "m+": 2.0, "g": 0.0}
    objects = arrays.objects.copy()
    for kind in KINDS:
        objects[:, arrays.span(kind), MASS] = label[kind]
    return EventArrays(arrays.met, arrays.counts, objects, arrays.slots)
