"""Compiled loops from ragged objects to rapidity-mass matrices.

Some events at a time: first all that can be known of an object alone, in loops that the compiler turns into vector
instructions; then the cells, in which two objects take products and one square root:

- with a = exp(y / 2), cosh((y1 - y2) / 2) - 1 = (a1 - a2)^2 / (2 a1 a2) = h, and cosh(y1 - y2) - 1 = 2 h (h + 2);
- 1 - cos(phi1 - phi2) = 2 (s1 c2 - c1 s2)^2 with s and c of half the angle;
- the mass is the sum of :func:`anomalon.kinematics.pair_mass`, in which no term is negative, so that nothing cancels.

Registers are float64, results float32. The formulas of :mod:`anomalon.kinematics` are written here a second time for
speed only; the tests compare the two.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

KINDS = ("jet", "bjet", "electron", "muon", "photon")
JET, BJET, ELECTRON, MUON, PHOTON = range(len(KINDS))
TOGETHER = 128
"""Events at a time: what is known of their objects stays in the cache."""

# Lines of the work space.
PT, LIGHT, M_T, MASS2, E_T, LIGHT_T, A, INVERSE, SINE, COSINE = range(10)
N_KNOWN = 10


class Objects(NamedTuple):
    """One collection: event i has the objects ``starts[i]`` to ``starts[i + 1]`` (exclusive) of the columns."""

    starts: npt.NDArray[np.int64]
    pt: npt.NDArray[np.float32]
    eta: npt.NDArray[np.float32]
    phi: npt.NDArray[np.float32]
    mass: npt.NDArray[np.float32]
    kind: npt.NDArray[np.int8]
    """Which of ``KINDS`` each is; -1 where it has no row."""


class Rows(NamedTuple):
    """Rows ``first`` to ``stop`` (exclusive) hold the objects of each of ``KINDS``; equal where it has none."""

    first: npt.NDArray[np.int64]
    stop: npt.NDArray[np.int64]


class Space(NamedTuple):
    """Work space: what is known of the objects of some events, and which of them have a row.

    Attributes:
        known: (quantity, object).
        row: of each object.
        before: the object of the same kind in the row above; -1 for the first.
        chosen: objects of each event that have a row, (event, number).
        counts: how many these are, (event,).
    """

    known: npt.NDArray[np.float64]
    row: npt.NDArray[np.int64]
    before: npt.NDArray[np.int64]
    chosen: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def fill(met: Any, collections: Any, rows: Any, units: Any, cells: Any) -> Any:
    """Write the matrix of every event.

    Args:
        met: pT and phi of the missing momentum, shape (event,) each.
        collections: tuple of :class:`Objects`, by decreasing pT in every event; no kind is in two of them.
        rows: which of them go where.
        units: factor on energies, and C.
        cells: float32, shape (event, row, column), contiguous; whatever it held is overwritten.
    """
    n_events, size = cells.shape[0], cells.shape[1]
    most = _most_objects(collections, n_events)
    known, row, before = np.empty((N_KNOWN, most)), np.empty(most, np.int64), np.empty(most, np.int64)
    space = Space(known, row, before, np.empty((TOGETHER, size), np.int64), np.empty(TOGETHER, np.int64))
    flat, angle = cells.reshape(n_events, size * size), np.empty((2, TOGETHER))
    for first in range(0, n_events, TOGETHER):
        stop = min(first + TOGETHER, n_events)
        space.counts[:] = 0
        _angles(met[1][first:stop], angle[0], angle[1])
        begin = 0
        for objects in collections:
            begin = _collect(objects, first, stop, rows, space, begin)
        for event in range(first, stop):
            flat[event, :] = 0.0  # here, not beforehand: now the cells of this event are in the cache
            n = event - first
            missing, chosen = (met[0][event], angle[0, n], angle[1, n]), space.chosen[n, : space.counts[n]]
            _fill_alone(missing, known, chosen, (row, before), units, cells[event])
            _fill_pairs(known, chosen, row, units, cells[event])


@njit(cache=True, nogil=True)
def _most_objects(collections: Any, n_events: Any) -> Any:
    """The most objects that events taken together have."""
    most = 0
    for first in range(0, n_events, TOGETHER):
        n = 0
        for objects in collections:
            n += objects.starts[min(first + TOGETHER, n_events)] - objects.starts[first]
        most = max(most, n)
    return most


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _collect(objects: Any, first: Any, stop: Any, rows: Any, space: Any, begin: Any) -> Any:
    """Prepare the objects of some events from place ``begin`` of the work space on; returns where they end."""
    a, b = objects.starts[first], objects.starts[stop]
    known = space.known[:, begin : begin + b - a]
    _momenta(objects.pt[a:b], objects.eta[a:b], objects.mass[a:b], known)
    _angles(objects.phi[a:b], known[SINE], known[COSINE])
    _choose(objects.starts[first : stop + 1], objects.kind, begin - a, rows, space)
    return begin + b - a


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _exponential(x: Any) -> Any:
    """exp(x) as the 32nd power of a series, relative error 1e-13 for |x| < 10; a call would end the vector loop."""
    y = x * (1 / 32)
    e = 1 + y * (1 / 9 + y * (1 / 90 + y * (1 / 990 + y * (1 / 11880))))
    e = 1 + y * (1 / 5 + y * (1 / 30 + y * (1 / 210 + y * (1 / 1680 * e))))
    e = 1 + y * (1 + y * (1 / 2 + y * (1 / 6 + y * (1 / 24 * e))))
    e = e * e
    e = e * e
    e = e * e
    e = e * e
    return e * e


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _momenta(pt: Any, eta: Any, mass: Any, known: Any) -> Any:
    for k in range(len(pt)):
        p_t, m2, e = np.float64(pt[k]), np.float64(mass[k]) ** 2, _exponential(abs(np.float64(eta[k])))
        sinh, cosh = 0.5 * (e - 1.0 / e), 0.5 * (e + 1.0 / e)
        m_t, m2_t = math.sqrt(p_t * p_t + m2), m2 / (cosh * cosh)
        e_t = math.sqrt(p_t * p_t + m2_t)
        a = math.sqrt((p_t * sinh + e_t * cosh) / m_t)
        known[PT, k], known[M_T, k], known[MASS2, k], known[E_T, k] = p_t, m_t, m2, e_t
        known[LIGHT, k], known[LIGHT_T, k] = m2 / (m_t + p_t), m2_t / (e_t + p_t)
        known[A, k] = a if eta[k] > 0 else 1.0 / a
        known[INVERSE, k] = 1.0 / a if eta[k] > 0 else a


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _angles(phi: Any, sine: Any, cosine: Any) -> Any:
    """Sine and cosine of phi / 2, up to a common sign, by their series within a quarter turn (error 5e-14)."""
    for k in range(len(phi)):
        x = 0.5 * np.float64(phi[k])
        x -= math.pi * np.rint(x / math.pi)
        y = x * x
        s = 1 / 6227020800 + y * (-1 / 1307674368000 + y * (1 / 355687428096000))
        s = -1 / 5040 + y * (1 / 362880 + y * (-1 / 39916800 + y * s))
        sine[k] = x * (1 + y * (-1 / 6 + y * (1 / 120 + y * s)))
        c = 1 / 479001600 + y * (-1 / 87178291200 + y * (1 / 20922789888000))
        c = -1 / 720 + y * (1 / 40320 + y * (-1 / 3628800 + y * c))
        cosine[k] = 1 + y * (-1 / 2 + y * (1 / 24 + y * c))


@njit(cache=True, nogil=True)
def _choose(starts: Any, kind: Any, shift: Any, rows: Any, space: Any) -> Any:
    """Give the leading objects of each kind their rows."""
    row, last = np.empty(len(KINDS), np.int64), np.empty(len(KINDS), np.int64)
    for event in range(len(starts) - 1):
        begin, end = starts[event], starts[event + 1]
        if begin == end:
            continue
        n = space.counts[event]
        row[:] = rows.first
        last[:] = -1
        for k in range(begin, end):
            which = kind[k]
            if which >= 0 and row[which] < rows.stop[which]:
                space.row[k + shift], space.before[k + shift] = row[which], last[which]
                space.chosen[event, n] = last[which] = k + shift
                row[which] += 1
                n += 1
        space.counts[event] = n


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _fill_alone(missing: Any, known: Any, chosen: Any, places: Any, units: Any, cell: Any) -> Any:
    """Row 0, transverse masses with e_T = E pT / p (LIGHT_T is e_T - pT); column 0; and the diagonal.

    The diagonal is the transverse energy of the first of a kind, the imbalance of the others.
    """
    met, sine, cosine = np.float64(missing[0]), missing[1], missing[2]
    cell[0, 0] = units[0] * met
    for k in chosen:
        row, above, e_t, pt = places[0][k], places[1][k], known[E_T, k], known[PT, k]
        across = known[SINE, k] * cosine - known[COSINE, k] * sine
        m_t = math.sqrt(known[LIGHT_T, k] * (e_t + pt + 2.0 * met) + 4.0 * met * pt * across * across)
        cell[0, row] = units[0] * m_t if met != 0.0 else 0.0
        cell[row, 0] = units[1] * 0.5 * (known[A, k] - known[INVERSE, k]) ** 2
        cell[row, row] = units[0] * e_t if above < 0 else (known[E_T, above] - e_t) / (known[E_T, above] + e_t)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def _fill_pairs(known: Any, chosen: Any, rows: Any, units: Any, cell: Any) -> Any:
    """Mass into the upper triangle, rapidity difference into the lower one."""
    for m in range(len(chosen)):
        i = chosen[m]
        pt, m_t, m2, light, a, inverse = (
            known[PT, i],
            known[M_T, i],
            known[MASS2, i],
            known[LIGHT, i],
            known[A, i],
            known[INVERSE, i],
        )
        sine, cosine = known[SINE, i], known[COSINE, i]
        for n in range(m):
            j = chosen[n]
            difference, across = a - known[A, j], sine * known[COSINE, j] - cosine * known[SINE, j]
            h = 0.5 * difference * difference * inverse * known[INVERSE, j]
            m2_pt = pt * known[LIGHT, j] + light * known[M_T, j] + 2.0 * pt * known[PT, j] * across * across
            along = 2.0 * m_t * known[M_T, j] * h * (h + 2.0)
            low, high = min(rows[i], rows[j]), max(rows[i], rows[j])
            cell[low, high] = units[0] * math.sqrt(m2 + known[MASS2, j] + 2.0 * (m2_pt + along))
            cell[high, low] = units[1] * h
