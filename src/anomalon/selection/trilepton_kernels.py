"""Compiled loops over events: the three leading leptons, and the Z candidate among them.

The formulas of :mod:`anomalon.kinematics` are written here a second time for speed only, with one exponential for both
hyperbolic functions; the tests compare both loops with a slow and obvious one.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from anomalon.kinematics import M_Z


class Ranked(NamedTuple):
    """A collection of objects, some of which count: event i has those from ``starts[i]`` to ``stops[i]`` (exclusive).

    Attributes:
        starts, stops: shape (event,).
        good: which objects count, shape (object,).
        pt: in GeV, shape (object,).
    """

    starts: npt.NDArray[np.int64]
    stops: npt.NDArray[np.int64]
    good: npt.NDArray[np.bool_]
    pt: npt.NDArray[np.float64]


@njit(cache=True, nogil=True)
def leading_three(electrons: Ranked, muons: Ranked) -> Any:
    """Find the events with at least three good leptons, n events, and the three of largest pT in each.

    Of equal pT the first comes first: an electron before a muon.

    Returns:
        Positions of the events, shape (n,); places of the three leptons, those of muons counted on from the last
        electron, shape (n, 3); good electrons and muons of the event, shape (2, n).
    """
    most = len(electrons.starts)
    event, place = np.empty(most, np.int64), np.empty((most, 3), np.int64)
    counts, pt = np.empty((2, most), np.int64), np.empty(3)
    n, n_electrons = 0, len(electrons.pt)
    for i in range(most):
        if electrons.stops[i] - electrons.starts[i] + muons.stops[i] - muons.starts[i] < 3:
            continue  # most events, told without a look at the leptons
        n_e, n_mu = _count(electrons, i), _count(muons, i)
        if n_e + n_mu >= 3:
            pt[:] = -np.inf
            _insert(electrons, i, 0, pt, place[n])
            _insert(muons, i, n_electrons, pt, place[n])
            event[n], counts[0, n], counts[1, n] = i, n_e, n_mu
            n += 1
    return event[:n].copy(), place[:n].copy(), counts[:, :n].copy()


@njit(cache=True, nogil=True)
def _count(leptons: Ranked, event: Any) -> Any:
    n = 0
    for j in range(leptons.starts[event], leptons.stops[event]):
        n += leptons.good[j]
    return n


@njit(cache=True, nogil=True)
def _insert(leptons: Ranked, event: Any, shift: Any, pt: Any, place: Any) -> None:
    """Put the good leptons of an event among the three of largest pT, ``pt`` and ``place`` by decreasing pT."""
    for j in range(leptons.starts[event], leptons.stops[event]):
        if leptons.good[j] and leptons.pt[j] > pt[2]:
            k = 2
            while k > 0 and leptons.pt[j] > pt[k - 1]:
                pt[k], place[k] = pt[k - 1], place[k - 1]
                k -= 1
            pt[k], place[k] = leptons.pt[j], j + shift


class Three(NamedTuple):
    """Three leptons in each of n events, all of shape (n, 3); GeV and rad."""

    pt: npt.NDArray[np.float64]
    eta: npt.NDArray[np.float64]
    phi: npt.NDArray[np.float64]
    mass: npt.NDArray[np.float64]
    charge: npt.NDArray[np.int64]
    is_muon: npt.NDArray[np.bool_]


@njit(cache=True, nogil=True)
def masses_of_three(leptons: Three, pairs: Any) -> Any:
    """Invariant masses in GeV of the Z candidate and of the three leptons together.

    The candidate is the pair of opposite charge and same flavour with the mass closest to m_Z, the first of equal ones.

    Args:
        leptons: n triplets.
        pairs: the two leptons of each pair that may be a candidate, shape (pair, 2).

    Returns:
        Index of the candidate in ``pairs``, -1 where there is none; its mass, NaN where there is none; the mass of the
        three; each of shape (n,).
    """
    n = len(leptons.pt)
    z_pair, z_mass, m_3l, momenta = np.empty(n, np.int64), np.empty(n), np.empty(n), np.empty((4, 4))
    for i in range(n):
        for k in range(3):
            _cartesian(leptons, i, k, momenta[k])
        for c in range(4):
            momenta[3, c] = momenta[0, c] + momenta[1, c]
        m_3l[i] = _mass(momenta[3], momenta[2])
        z_pair[i], z_mass[i], nearest = -1, np.nan, np.inf
        for p in range(len(pairs)):
            a, b = pairs[p]
            opposite = leptons.charge[i, a] * leptons.charge[i, b] < 0
            if opposite and leptons.is_muon[i, a] == leptons.is_muon[i, b]:
                mass = _mass(momenta[a], momenta[b])
                if abs(mass - M_Z) < nearest:  # never of a NaN: a broken lepton loses against every real pair
                    z_pair[i], z_mass[i], nearest = p, mass, abs(mass - M_Z)
    return z_pair, z_mass, m_3l


@njit(cache=True, nogil=True)
def _cartesian(leptons: Three, i: Any, k: Any, out: Any) -> None:
    pt, mass, growth = leptons.pt[i, k], leptons.mass[i, k], math.exp(leptons.eta[i, k])
    out[0], out[1] = pt * math.cos(leptons.phi[i, k]), pt * math.sin(leptons.phi[i, k])
    out[2], p = 0.5 * pt * (growth - 1.0 / growth), 0.5 * pt * (growth + 1.0 / growth)
    out[3] = math.sqrt(p * p + mass * mass)


@njit(cache=True, nogil=True)
def _mass(first: Any, second: Any) -> Any:
    """Invariant mass of the sum of two vectors (px, py, pz, E)."""
    px, py, pz, e = first[0] + second[0], first[1] + second[1], first[2] + second[2], first[3] + second[3]
    squared = e * e - px * px - py * py - pz * pz
    return 0.0 if squared < 0.0 else math.sqrt(squared)  # NaN stays NaN
