"""Quantities that no generator is given: masses, sums, angles and balance, computed from the objects of each event.

Jets are b-jets and others together, leptons electrons and muons; *hardest* is by pT. Missing quantities are NaN.

===================== ===========================================================================================
``HT``                scalar sum of the jets' pT
``m_jj, m_bb, m_ll``  mass of the two hardest jets, b-jets, leptons
``m_lb``              smallest mass of the hardest lepton and a b-jet
``m_top``             mass of the b-jet and the two other jets whose vector sum has the largest pT: not drawn to a known
                      mass, so a peak is the events' own (the choice of CDF's M3, hep-ex/0612026)
``m_W``               mass of the two other jets of that triple
``m_W_peak``          ``m_W`` between 60 and 100 GeV; ``m_top_peak``: ``m_top`` between 120 and 230 GeV
``m_T``               transverse mass of the hardest lepton and MET
``balance``           |sum of all pT + MET|; ``balance_calo`` without muons, which calorimeter MET does not see
``sphericity``        3/2 (second + third eigenvalue) of sum p_a p_b / sum p^2 (Bjorken, Brodsky, PRD 1 (1970) 1416)
===================== ===========================================================================================

Most belong into :mod:`anomalon.kinematics` once others need them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from anomalon.generation.flatten import ETA, MASS, PHI, PT, EventArrays, Floats, Mask, energy
from anomalon.kinematics import delta_phi, delta_r, transverse_mass

COUNTS = ("n_jets", "n_b", "n_leptons", "n_photons")
ENERGIES = (
    "MET", "HT", "jet1_pt", "lepton1_pt", "m_jj", "m_bb", "m_ll", "m_lb", "m_W", "m_top", "m_W_peak", "m_top_peak",
    "m_T", "balance", "balance_calo",
)  # fmt: skip
SHAPES = ("delta_r_jj", "delta_r_lj", "dphi_met_jet", "dphi_met_lepton", "sphericity")
QUANTITIES = (*ENERGIES, *SHAPES, *COUNTS)

W_PEAK, TOP_PEAK = (60.0, 100.0), (120.0, 230.0)
"""In GeV."""
_MOST_JETS, _MOST_B = 6, 3
"""Hardest jets that may come from a top quark: combinations grow with the square."""
_NEAR = 8
"""Hardest jets whose distances are looked at."""


@dataclass(frozen=True)
class Derived:
    """Derived quantities, NaN where an event lacks one.

    Attributes:
        values: shape (event, quantity).
        names: of the quantities.
    """

    values: Floats
    names: tuple[str, ...] = QUANTITIES

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: Any) -> Derived:
        """The events at a slice, a mask or an index array."""
        return Derived(self.values[rows], self.names)

    def column(self, name: str) -> Floats:
        """A quantity, shape (event,)."""
        return self.values[:, self.names.index(name)]

    def present(self, name: str) -> Floats:
        """The values of a quantity where it exists."""
        column = self.column(name)
        return np.asarray(column[np.isfinite(column)])


@dataclass(frozen=True)
class Objects:
    """Objects of some kinds by decreasing pT.

    Attributes:
        columns: pT, eta, phi, mass, shape (event, object, 4).
        there: shape (event, object).
    """

    columns: Floats
    there: Mask

    @property
    def width(self) -> int:
        """Most objects of an event."""
        return int(self.there.shape[1])

    @property
    def four_vectors(self) -> Floats:
        """px, py, pz, E; 0 where there is none; shape (event, object, 4)."""
        return four_vectors(self.columns)

    def first(self, column: int, place: int = 0) -> Floats:
        """A column of the object at a place by pT; NaN where there is none; shape (event,)."""
        if place >= self.width:
            return np.full(len(self.there), np.nan)
        return np.where(self.there[:, place], self.columns[:, place, column], np.nan)


def hardest(arrays: EventArrays, *kinds: str, most: int | None = None) -> Objects:
    """The hardest objects of some kinds together, at most ``most`` of each event."""
    columns, there = arrays.of(*kinds)
    order = np.argsort(-np.where(there, columns[..., PT], -1.0), axis=1, kind="stable")[:, :most]
    return Objects(np.take_along_axis(columns, order[..., None], 1), np.take_along_axis(there, order, 1))


def four_vectors(columns: Floats) -> Floats:
    """px, py, pz, E in GeV of pT, eta, phi, mass, shape (..., 4)."""
    pt, eta, phi = columns[..., PT], columns[..., ETA], columns[..., PHI]
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), energy(columns)], axis=-1)


def mass_of(total: Floats) -> Floats:
    """Invariant mass in GeV of px, py, pz, E, shape (..., 4); 0 where E < p."""
    squared = total[..., 3] ** 2 - (total[..., :3] ** 2).sum(axis=-1)
    return np.asarray(np.sqrt(np.maximum(squared, 0.0)))


def derive(arrays: EventArrays) -> Derived:
    """All quantities of :data:`QUANTITIES`."""
    jets, b, light = hardest(arrays, "b", "j"), hardest(arrays, "b"), hardest(arrays, "j")
    leptons, everything = hardest(arrays, "e-", "e+", "m-", "m+"), Objects(arrays.objects, arrays.present)
    found = {
        "MET": arrays.met[:, 0],
        "HT": (jets.columns[..., PT] * jets.there).sum(axis=1),
        "jet1_pt": jets.first(PT),
        "lepton1_pt": leptons.first(PT),
        "m_jj": _first_two(jets),
        "m_bb": _first_two(b),
        "m_ll": _first_two(leptons),
        "m_lb": _lepton_and_b(leptons, b),
        **_top(b, light),
        "m_T": _transverse_mass(leptons, arrays.met),
        "balance": _imbalance(everything, arrays.met),
        "balance_calo": _imbalance(Objects(*arrays.of("b", "j", "e-", "e+", "g")), arrays.met),
        "delta_r_jj": _closest(jets, jets),
        "delta_r_lj": _closest(leptons, jets),
        "dphi_met_jet": np.abs(delta_phi(jets.first(PHI), arrays.met[:, 1])),
        "dphi_met_lepton": np.abs(delta_phi(leptons.first(PHI), arrays.met[:, 1])),
        "sphericity": _sphericity(everything),
        **_numbers(arrays),
    }
    return Derived(np.stack([found[name] for name in QUANTITIES], axis=1))


def _numbers(arrays: EventArrays) -> dict[str, Floats]:
    b, j, *leptons, photons = arrays.counts.T.astype(np.float64)
    return {"n_jets": b + j, "n_b": b, "n_leptons": np.sum(leptons, axis=0), "n_photons": photons}


def _first_two(objects: Objects) -> Floats:
    if objects.width < 2:
        return np.full(len(objects.there), np.nan)
    return np.where(objects.there[:, 1], mass_of(objects.four_vectors[:, :2].sum(axis=1)), np.nan)


def _transverse_mass(leptons: Objects, met: Floats) -> Floats:
    mass = np.maximum(leptons.first(MASS), 0.0)
    return np.asarray(transverse_mass(leptons.first(PT), leptons.first(PHI), mass, met[:, 0], met[:, 1]))


def _lepton_and_b(leptons: Objects, b: Objects) -> Floats:
    if not leptons.width or not b.width:
        return np.full(len(leptons.there), np.nan)
    masses = mass_of(leptons.four_vectors[:, :1] + b.four_vectors)
    smallest = np.where(b.there, masses, np.inf).min(axis=1)
    return np.where(leptons.there[:, 0] & b.there[:, 0], smallest, np.nan)


def _top(b: Objects, light: Objects) -> dict[str, Floats]:
    """Masses of the b-jet and two other jets whose sum has the largest pT, and of those two alone."""
    p_b, p_j = b.four_vectors, light.four_vectors
    best, m_top, m_w = (np.full(len(p_b), fill) for fill in (-1.0, np.nan, np.nan))
    for i, j in combinations(range(min(light.width, _MOST_JETS)), 2):
        pair = p_j[:, i] + p_j[:, j]
        for k in range(min(b.width, _MOST_B)):
            total = pair + p_b[:, k]
            pt2 = total[:, 0] ** 2 + total[:, 1] ** 2
            better = light.there[:, j] & b.there[:, k] & (pt2 > best)
            best[better] = pt2[better]
            m_top[better], m_w[better] = mass_of(total[better]), mass_of(pair[better])
    return {
        "m_top": m_top,
        "m_W": m_w,
        "m_W_peak": _within(m_w, W_PEAK),
        "m_top_peak": _within(m_top, TOP_PEAK),
    }


def _within(values: Floats, window: tuple[float, float]) -> Floats:
    return np.where((values > window[0]) & (values < window[1]), values, np.nan)


def _imbalance(objects: Objects, met: Floats) -> Floats:
    pt, phi = objects.columns[..., PT] * objects.there, objects.columns[..., PHI]
    x = (pt * np.cos(phi)).sum(axis=1) + met[:, 0] * np.cos(met[:, 1])
    y = (pt * np.sin(phi)).sum(axis=1) + met[:, 0] * np.sin(met[:, 1])
    return np.asarray(np.hypot(x, y))


def _closest(first: Objects, second: Objects) -> Floats:
    """Smallest delta R of two objects, one of each group; NaN where there are no two."""
    smallest = np.full(len(first.there), np.inf)
    for i in range(min(first.width, _NEAR)):
        for j in range(i + 1 if first is second else 0, min(second.width, _NEAR)):
            a, b = first.columns[:, i], second.columns[:, j]
            distance = delta_r(a[:, ETA], a[:, PHI], b[:, ETA], b[:, PHI])
            smallest = np.where(first.there[:, i] & second.there[:, j], np.minimum(smallest, distance), smallest)
    return np.where(np.isfinite(smallest), smallest, np.nan)


def _sphericity(objects: Objects) -> Floats:
    p = objects.four_vectors[..., :3] * objects.there[..., None]
    tensor = np.einsum("nia,nib->nab", p, p)
    trace = np.trace(tensor, axis1=1, axis2=2)
    if not len(p):
        return np.zeros(0)
    values: npt.NDArray[np.float64] = np.linalg.eigvalsh(tensor / np.where(trace > 0, trace, 1.0)[:, None, None])
    return np.where(objects.there.sum(axis=1) > 1, 1.5 * values[:, :2].sum(axis=1), np.nan)
