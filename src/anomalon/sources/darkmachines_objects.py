"""Compiled loops from the numbers of Dark Machines files to checked collections of objects in GeV."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from anomalon.sources.darkmachines_kernels import ANGLE, ENERGY, MOST_OBJECTS, WEIGHT

GEV = 1e-3
"""In MeV^-1: the files are in MeV."""
HIGHEST_ENERGY = 1e8
"""In MeV: seven times what the LHC collides."""
WIDEST_ANGLE = 50.0
"""Pseudorapidity and azimuth beyond this are mistakes."""
HIGHEST_WEIGHT = 1e30
COLLECTION_OF = np.array([0, 0, 1, 1, 2, 2, 3])
LABEL_OF = np.array([0.0, 1.0, -1.0, 1.0, -1.0, 1.0, 0.0], dtype=np.float32)


@njit(cache=True, nogil=True, forceinline=True)
def _check(raw: Any, event: Any, first: Any) -> Any:
    """Why an event cannot be, or 0."""
    if not 0.0 <= raw.header[event, 1] <= HIGHEST_ENERGY or not abs(raw.header[event, 0]) < HIGHEST_WEIGHT:
        return ENERGY if abs(raw.header[event, 0]) < HIGHEST_WEIGHT else WEIGHT
    if not abs(raw.header[event, 2]) <= WIDEST_ANGLE:
        return ANGLE
    for k in range(first, raw.ends[event]):
        for column in range(2):
            if not 0.0 <= raw.objects[k, column] <= HIGHEST_ENERGY:
                return ENERGY
            if not abs(raw.objects[k, column + 2]) <= WIDEST_ANGLE:
                return ANGLE
    return 0


@njit(cache=True, nogil=True, forceinline=True)
def _wrapped(phi: Any) -> Any:
    if -math.pi < phi <= math.pi:
        return phi
    return -((-phi + math.pi) % (2.0 * math.pi) - math.pi)


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _mass(energy: Any, pt: Any, eta: Any) -> Any:
    """Mass in GeV from MeV: m^2 = (E - p)(E + p), 0 where rounding makes it negative."""
    p = pt * math.cosh(eta)
    return math.sqrt(max((energy - p) * (energy + p), 0.0)) * GEV


@njit(cache=True, nogil=True, forceinline=True)
def _order(raw: Any, order: Any, first: Any, stop: Any) -> Any:
    """Order of an event's objects by decreasing pT; equal ones keep the order of the file."""
    for k in range(first, stop):
        j = k - first
        while j > 0 and raw.objects[order[j - 1], 1] < raw.objects[k, 1]:
            order[j] = order[j - 1]
            j -= 1
        order[j] = k


@njit(cache=True, nogil=True)
def collect(raw: Any, n_events: Any, verdict: Any, counts: Any, table: Any) -> Any:
    """Put the objects of good events into their collections, in GeV and by decreasing pT.

    Args:
        raw: what :func:`parse` filled.
        n_events: number of events in it.
        verdict: filled with 0 for good events and the reason for others, int8, shape (event,).
        counts: filled with the numbers of jets, electrons, muons and photons of the good events, shape (event, 4).
        table: filled with pT, eta, phi, mass and label, float32, shape (5, object): collection after collection, each
            from where it would begin if all events were good. The label is the charge of leptons, and 1 for b-jets.

    Returns:
        number of good events, and where the collections begin.
    """
    begins = _begins(raw, n_events)
    place, order = begins.copy(), np.empty(MOST_OBJECTS, np.int64)
    first = n_good = 0
    for event in range(n_events):
        stop = raw.ends[event]
        verdict[event] = _check(raw, event, first)
        if verdict[event] == 0:
            counts[n_good, :] = 0
            _order(raw, order, first, stop)
            for j in range(stop - first):
                which = COLLECTION_OF[raw.codes[order[j]]]
                _write(table, place[which], raw, order[j])
                place[which] += 1
                counts[n_good, which] += 1
            n_good += 1
        first = stop
    return n_good, begins


@njit(cache=True, nogil=True)
def _begins(raw: Any, n_events: Any) -> Any:
    sizes = np.zeros(4, np.int64)
    for k in range(raw.ends[n_events - 1] if n_events else 0):
        sizes[COLLECTION_OF[raw.codes[k]]] += 1
    return np.cumsum(sizes) - sizes


@njit(cache=True, nogil=True, forceinline=True)
def _write(table: Any, at: Any, raw: Any, k: Any) -> Any:
    energy, pt, eta, phi = raw.objects[k, 0], raw.objects[k, 1], raw.objects[k, 2], raw.objects[k, 3]
    table[0, at], table[1, at], table[2, at] = pt * GEV, eta, _wrapped(phi)
    table[3, at], table[4, at] = _mass(energy, pt, eta), LABEL_OF[raw.codes[k]]
