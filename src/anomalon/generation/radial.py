"""Radial potentials: functions of masses, distances and balance, at every bin of the angle that is to be drawn.

The phi head adds, for an object i and every earlier object j, potentials of m_ij and delta R_ij at each phi bin, and
the eta head of |delta eta_ij| and of the largest and smallest m_ij that this leaves to phi; a jet has one of its mass
with each earlier b-jet and jet, so that tops have a peak; an object has potentials of the momentum that would be
missing after it, and of their transverse mass; soft momentum, which fixes MET, those of every object's transverse mass
and angle with MET. So peaks and edges of masses and correlations of angles are learned as what they are. A potential is
a table, linear between knots that are even in sqrt(m), delta R, sqrt(balance), |delta eta| and sin(delta phi / 2). Jets
keep their distance: a bin within the separation of an earlier object is closed, one that is partly within counts in
part.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from anomalon.generation import quantiles
from anomalon.generation.arithmetic import compiled

BINS = quantiles.BINS
"""Bins of every number that is drawn."""
MASS_KNOTS, DISTANCE_KNOTS, BALANCE_KNOTS, ETA_KNOTS, REACH_KNOTS = 80, 40, 32, 24, 36
PAIR_KNOTS = MASS_KNOTS + DISTANCE_KNOTS
ETA_PAIR_KNOTS = ETA_KNOTS + 2 * REACH_KNOTS

LARGEST_MASS = 1200.0
"""In GeV; steps are even in sqrt(m): 8 GeV at the W."""

# Distances up to 5.9, balance up to 900 GeV.
_PER_ROOT_MASS = np.float32((MASS_KNOTS - 1) / math.sqrt(LARGEST_MASS))
_PER_ROOT_REACH = np.float32((REACH_KNOTS - 1) / math.sqrt(LARGEST_MASS))
_PER_DISTANCE = np.float32((DISTANCE_KNOTS - 1) / 5.9)
_PER_ROOT_BALANCE = np.float32((BALANCE_KNOTS - 1) / math.sqrt(900.0))
_PER_ETA = np.float32((ETA_KNOTS - 1) / 5.6)

PHI_WIDTH = 2 * math.pi / BINS
PHI = ((np.arange(BINS) + 0.5) * PHI_WIDTH - math.pi).astype(np.float32)
COS_PHI, SIN_PHI = np.cos(PHI), np.sin(PHI)
PT, ETA, PHI_AT, MASS, PX, PY, PZ, ENERGY, JET = range(9)
COLUMNS = 9
"""Of an object: pT, eta, phi, mass, momentum, energy; 2 for b-jets, 1 for other jets, -1 for soft momentum, 0 for
others; float32."""

_TWO_PI, _TWO, _NONE = np.float32(2 * math.pi), np.float32(2.0), np.float32(0.0)
# Unsigned: no index counts from the end.
_ZERO, _ONE, _AFTER_MASS = np.uint64(0), np.uint64(1), np.uint64(MASS_KNOTS)
_AFTER_ETA, _AFTER_REACH = np.uint64(ETA_KNOTS), np.uint64(ETA_KNOTS + REACH_KNOTS)


class Buffers(NamedTuple):
    """Working space of a thread, float32, each of shape (bin,)."""

    first: Any
    second: Any
    third: Any


@compiled
def buffers() -> Any:
    """Working space of a thread."""
    space = np.empty((3, BINS), np.float32)
    return Buffers(space[0], space[1], space[2])


@compiled
def _add_interpolated(table: Any, start: Any, at: Any, out: Any) -> None:
    for b in range(BINS):
        whole = np.int32(at[b])
        f, k = at[b] - np.float32(whole), np.uint64(whole) + start
        out[b] += table[k] + f * (table[k + _ONE] - table[k])


@compiled
def _spread(grad: Any, start: Any, at: Any, out: Any) -> None:
    """The gradient of :func:`_add_interpolated` with respect to its table."""
    for b in range(BINS):
        whole = np.int32(at[b])
        f, k = at[b] - np.float32(whole), np.uint64(whole) + start
        out[k] += grad[b] * (np.float32(1.0) - f)
        out[k + _ONE] += grad[b] * f


@compiled
def _mass_positions(still: Any, x: Any, y: Any, space: Any) -> None:
    for b in range(BINS):
        mass2 = max(still - x * COS_PHI[b] - y * SIN_PHI[b], _NONE)
        space.first[b] = min(math.sqrt(math.sqrt(mass2)) * _PER_ROOT_MASS, np.float32(MASS_KNOTS - 1.001))


@compiled
def _pair_positions(one: Any, other: Any, space: Any) -> None:
    """Positions in the tables of mass and distance, at every phi of ``one``.

    m^2 = m1^2 + m2^2 + 2 (E1 E2 - pz1 pz2 - pT1 pT2 cos dphi).
    """
    still = _TWO * (one[ENERGY] * other[ENERGY] - one[PZ] * other[PZ])
    still += one[MASS] * one[MASS] + other[MASS] * other[MASS]
    _mass_positions(still, _TWO * one[PT] * other[PX], _TWO * one[PT] * other[PY], space)
    phi, d_eta2 = other[PHI_AT], (one[ETA] - other[ETA]) * (one[ETA] - other[ETA])
    for b in range(BINS):
        d = abs(PHI[b] - phi)
        d = min(d, _TWO_PI - d)
        space.second[b] = min(math.sqrt(d_eta2 + d * d) * _PER_DISTANCE, np.float32(DISTANCE_KNOTS - 1.001))


@compiled
def add_pair(one: Any, other: Any, table: Any, space: Any, out: Any) -> None:
    """Add the potential of a pair to the logits (bin,) of the phi of ``one``; ``table`` has shape (knot,)."""
    _pair_positions(one, other, space)
    _add_interpolated(table, _ZERO, space.first, out)
    _add_interpolated(table, _AFTER_MASS, space.second, out)


@compiled
def _triple_positions(one: Any, two: Any, three: Any, space: Any) -> None:
    """Positions in the table of the mass of three objects, at every phi of ``one``."""
    px, py, pz = two[PX] + three[PX], two[PY] + three[PY], two[PZ] + three[PZ]
    energy = two[ENERGY] + three[ENERGY]
    still = one[MASS] * one[MASS] + energy * energy - px * px - py * py - pz * pz
    still += _TWO * (one[ENERGY] * energy - one[PZ] * pz)
    _mass_positions(still, _TWO * one[PT] * px, _TWO * one[PT] * py, space)


@compiled
def add_triple(one: Any, two: Any, three: Any, table: Any, space: Any, out: Any) -> None:
    """Add the potential of three objects to the logits (bin,) of the phi of ``one``; ``table`` begins with masses."""
    _triple_positions(one, two, three, space)
    _add_interpolated(table, _ZERO, space.first, out)


@compiled
def _balance_positions(pt: Any, x: Any, y: Any, space: Any) -> None:
    """Positions of |A + p| and of the transverse mass of p and -(A + p) at every phi, A = (x, y) the sum so far."""
    still, x, y = x * x + y * y + pt * pt, _TWO * pt * x, _TWO * pt * y
    last, twice = np.float32(BALANCE_KNOTS - 1.001), _TWO * pt * pt
    for b in range(BINS):
        along = x * COS_PHI[b] + y * SIN_PHI[b]
        missing = math.sqrt(max(still + along, _NONE))
        mass2 = max(_TWO * pt * missing + twice + along, _NONE)
        space.first[b] = min(math.sqrt(missing) * _PER_ROOT_BALANCE, last)
        space.second[b] = min(math.sqrt(math.sqrt(mass2)) * _PER_ROOT_BALANCE, last)


@compiled
def add_balance(pt: Any, sums: Any, table: Any, space: Any, out: Any) -> None:
    """Add the potentials of balance and its transverse mass, for the two ``sums`` so far (x, y, x, y)."""
    for which in range(2):
        _balance_positions(pt, sums[2 * which], sums[2 * which + 1], space)
        _add_interpolated(table, np.uint64(2 * which * BALANCE_KNOTS), space.first, out)
        _add_interpolated(table, np.uint64((2 * which + 1) * BALANCE_KNOTS), space.second, out)


@compiled
def _missing_positions(soft: Any, other: Any, sums: Any, space: Any) -> None:
    """Positions of transverse mass and sin(delta phi / 2) of an object and MET, at every phi of soft momentum."""
    pt, per_mass = soft[PT], _PER_ROOT_MASS
    for b in range(BINS):
        x, y = -sums[0] - pt * COS_PHI[b], -sums[1] - pt * SIN_PHI[b]
        size = math.sqrt(x * x + y * y)
        apart = max(other[PT] * size - other[PX] * x - other[PY] * y, _NONE)
        space.first[b] = min(math.sqrt(math.sqrt(_TWO * apart)) * per_mass, np.float32(MASS_KNOTS - 1.001))
        half = math.sqrt(apart / (_TWO * other[PT] * size + np.float32(1e-6)))
        space.second[b] = min(half * np.float32(DISTANCE_KNOTS - 1.0), np.float32(DISTANCE_KNOTS - 1.001))


@compiled
def add_missing(soft: Any, other: Any, sums: Any, table: Any, space: Any, out: Any) -> None:
    """Add the potential of an object and MET to the logits (bin,) of the phi of soft momentum."""
    _missing_positions(soft, other, sums, space)
    _add_interpolated(table, _ZERO, space.first, out)
    _add_interpolated(table, _AFTER_MASS, space.second, out)


@compiled
def _eta_positions(centres: Any, pt: Any, other: Any, space: Any) -> None:
    """Positions of |delta eta|, and of the largest and smallest mass that any phi would give to massless objects.

    m = 2 sqrt(pT1 pT2) cosh(delta eta / 2) and sinh; ``centres`` (2, bin) are those of the bins, and exp(eta / 2).
    """
    eta, turn, last = other[ETA], np.float32(math.exp(-other[ETA] / _TWO)), np.float32(REACH_KNOTS - 1.001)
    scale = np.float32(math.sqrt(math.sqrt(pt * other[PT]))) * _PER_ROOT_REACH
    for b in range(BINS):
        space.first[b] = min(abs(centres[0, b] - eta) * _PER_ETA, np.float32(ETA_KNOTS - 1.001))
    for b in range(BINS):
        up = centres[1, b] * turn
        down = np.float32(1.0) / up
        space.second[b] = min(math.sqrt(up + down) * scale, last)
        space.third[b] = min(math.sqrt(abs(up - down)) * scale, last)


@compiled
def add_eta(centres: Any, pt: Any, other: Any, table: Any, space: Any, out: Any) -> None:
    """Add the potentials of an earlier object to the logits (bin,) of the eta of an object of ``pt``."""
    _eta_positions(centres, pt, other, space)
    _add_interpolated(table, _ZERO, space.first, out)
    _add_interpolated(table, _AFTER_ETA, space.second, out)
    _add_interpolated(table, _AFTER_REACH, space.third, out)


@compiled
def add_partner(one: Any, other: Any, sums: Any, table: Any, space: Any, out: Any) -> None:
    """Add the potential of an earlier object to the logits (bin,) of the phi of an object or of soft momentum."""
    if one[JET] < 0:
        add_missing(one, other, sums, table, space, out)
    else:
        add_pair(one, other, table, space, out)


@compiled
def half_closed(one: Any, other: Any, separation: Any) -> Any:
    """Half the phi range around ``other`` that ``one`` must keep out of; 0 where there is none."""
    if one[JET] < 0 or (one[JET] == 0 and other[JET] == 0):
        return _NONE
    d_eta = one[ETA] - other[ETA]
    left = separation * separation - d_eta * d_eta
    return np.float32(math.sqrt(left)) if left > 0 else _NONE


@compiled
def close_bins(half: Any, phi: Any, open_part: Any) -> None:
    """Multiply the open part of every phi bin by what a closed range around ``phi`` leaves of it."""
    width = np.float32(PHI_WIDTH)
    for b in range(BINS):
        d = abs(PHI[b] - phi)
        d = min(d, _TWO_PI - d)
        overlap = min(half, d + width / _TWO) - max(-half, d - width / _TWO)
        open_part[b] *= np.float32(1.0) - min(max(overlap / width, _NONE), np.float32(1.0))


@compiled
def close_around(one: Any, other: Any, separation: Any, open_part: Any) -> None:
    """Multiply the open part of every phi bin of ``one`` by what an earlier object leaves of it."""
    half = half_closed(one, other, separation)
    if half > 0:
        close_bins(half, other[PHI_AT], open_part)


@compiled
def phi_logits(objects: Any, first: Any, tables: Any, balance: Any, sums: Any, separation: Any) -> Any:
    """Potentials (object, bin) and open parts (object, bin) of known objects, for training.

    Args:
        objects: event after event, shape (object, column).
        first: place of the first object of each object's event, shape (object,).
        tables: of every pair, the earlier objects of each object in order, shape (pair, knot).
        balance: tables of each object, shape (object, 4 knots).
        sums: of the objects so far that MET sees, and with muons the other way, shape (object, 4).
        separation: of jets.
    """
    n, space, pair = len(objects), buffers(), 0
    out, open_part = np.zeros((n, BINS), np.float32), np.ones((n, BINS), np.float32)
    for i in range(n):
        add_balance(objects[i, PT], sums[i], balance[i], space, out[i])
        for j in range(first[i], i):
            add_partner(objects[i], objects[j], sums[i], tables[pair], space, out[i])
            close_around(objects[i], objects[j], separation, open_part[i])
            pair += 1
    return out, open_part


@compiled
def phi_gradients(objects: Any, first: Any, sums: Any, grad: Any, n_pairs: Any) -> Any:
    """Gradients of the tables of pairs and of the balance, from those of the potentials (object, bin)."""
    n, space, pair = len(objects), buffers(), 0
    tables, balance = np.zeros((n_pairs, PAIR_KNOTS), np.float32), np.zeros((n, 4 * BALANCE_KNOTS), np.float32)
    for i in range(n):
        for which in range(2):
            _balance_positions(objects[i, PT], sums[i, 2 * which], sums[i, 2 * which + 1], space)
            _spread(grad[i], np.uint64(2 * which * BALANCE_KNOTS), space.first, balance[i])
            _spread(grad[i], np.uint64((2 * which + 1) * BALANCE_KNOTS), space.second, balance[i])
        for j in range(first[i], i):
            if objects[i, JET] < 0:
                _missing_positions(objects[i], objects[j], sums[i], space)
            else:
                _pair_positions(objects[i], objects[j], space)
            _spread(grad[i], _ZERO, space.first, tables[pair])
            _spread(grad[i], _AFTER_MASS, space.second, tables[pair])
            pair += 1
    return tables, balance


@compiled
def triple_logits(objects: Any, first: Any, tables: Any) -> Any:
    """Potentials (object, bin) of jets with an earlier b-jet and jet each.

    Args:
        objects: as for :func:`phi_logits`.
        first: the same.
        tables: of every triple, by jet, b-jet, earlier jet, shape (triple, mass knot).
    """
    n, space, triple = len(objects), buffers(), 0
    out = np.zeros((n, BINS), np.float32)
    for i in range(n):
        for j in range(first[i], i):
            for k in range(j + 1, i):
                if makes_triple(objects[i], objects[j], objects[k]):
                    add_triple(objects[i], objects[j], objects[k], tables[triple], space, out[i])
                    triple += 1
    return out


@compiled
def triple_gradients(objects: Any, first: Any, grad: Any, n_triples: Any) -> Any:
    """Gradient of the tables of triples from that of the potentials (object, bin)."""
    n, space, triple = len(objects), buffers(), 0
    tables = np.zeros((n_triples, MASS_KNOTS), np.float32)
    for i in range(n):
        for j in range(first[i], i):
            for k in range(j + 1, i):
                if makes_triple(objects[i], objects[j], objects[k]):
                    _triple_positions(objects[i], objects[j], objects[k], space)
                    _spread(grad[i], _ZERO, space.first, tables[triple])
                    triple += 1
    return tables


@compiled
def makes_triple(one: Any, two: Any, three: Any) -> Any:
    """Whether objects are a jet, a b-jet and a jet."""
    return one[JET] == 1 and two[JET] == 2 and three[JET] == 1


@compiled
def eta_logits(objects: Any, first: Any, tables: Any, centres: Any, which: Any) -> Any:
    """Potentials of eta (object, bin); ``centres`` of the bins by class, ``which`` class each object is of."""
    n, space, pair = len(objects), buffers(), 0
    out = np.zeros((n, BINS), np.float32)
    for i in range(n):
        for j in range(first[i], i):
            add_eta(centres[which[i]], objects[i, PT], objects[j], tables[pair], space, out[i])
            pair += 1
    return out


@compiled
def eta_gradients(objects: Any, first: Any, centres: Any, which: Any, grad: Any, n_pairs: Any) -> Any:
    """Gradient of the tables of pairs from that of the potentials (object, bin)."""
    n, space, pair = len(objects), buffers(), 0
    tables = np.zeros((n_pairs, ETA_PAIR_KNOTS), np.float32)
    for i in range(n):
        for j in range(first[i], i):
            _eta_positions(centres[which[i]], objects[i, PT], objects[j], space)
            _spread(grad[i], _ZERO, space.first, tables[pair])
            _spread(grad[i], _AFTER_ETA, space.second, tables[pair])
            _spread(grad[i], _AFTER_REACH, space.third, tables[pair])
            pair += 1
    return tables
