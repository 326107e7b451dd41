"""The heads of the autoregressive network, compiled: pT, mass, eta and phi of the next object of a block of events.

A number is drawn by inverting its distribution, bin and place in the bin at once, with a uniform number that follows
from the event's key. ``now`` is (active, rows, step): the events that have an object left, and which one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from anomalon.generation import radial
from anomalon.generation.arithmetic import compiled, copy_part, dense, exponentials, hard_swish
from anomalon.generation.radial import BINS, ENERGY, ETA, JET, MASS, PHI_AT, PT, PZ

FAR = np.float32(50.0)
"""An angle beyond this says that no place was open."""
_MOST_PLACES = 64
"""Places tried within a phi bin that is partly closed."""
_F = np.float32


@compiled
def uniform(key: Any, number: Any) -> Any:
    """The ``number``-th uniform of an event in (0, 1): SplitMix64, as in :mod:`anomalon.hashing`."""
    z = key + np.uint64(number + 1) * np.uint64(0x9E3779B97F4A7C15)
    z ^= z >> np.uint64(30)
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> np.uint64(27)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return (np.float64(z >> np.uint64(12)) + 0.5) * 2.0**-52


@compiled
def _quantile(place: Any, table: Any, probabilities: Any) -> Any:
    k = min(max(np.searchsorted(probabilities, place, side="right"), 1), len(table) - 1)
    f = (place - probabilities[k - 1]) / (probabilities[k] - probabilities[k - 1])
    return table[k - 1] + f * (table[k] - table[k - 1])


@compiled
def _weights_of(logits: Any, bits: Any) -> None:
    """From logits to unnormalised probabilities, in place."""
    highest = logits[0]
    for b in range(1, BINS):
        highest = max(highest, logits[b])
    for b in range(BINS):
        logits[b] -= highest
    exponentials(logits, bits)


@compiled
def _place(weights: Any, u: Any) -> Any:
    """Place in (0, 1) whose cumulative probability is ``u``: linear within a bin, so continuous in everything."""
    total = 0.0
    for b in range(BINS):
        total += weights[b]
    wanted = u * total
    for b in range(BINS):
        if wanted < weights[b] or b == BINS - 1:
            f = min(wanted / max(weights[b], 1e-30), 1.0 - 1e-7)
            return (b + f) / BINS
        wanted -= weights[b]
    return 0.5


@compiled
def _head(space: Any, which: Any, rows: Any) -> None:
    """The hidden layer of a head, before what the object itself adds."""
    width = space.hidden.shape[1]
    for r in range(rows):
        copy_part(space.heads[r], which * width, space.hidden[r])


@compiled
def _add_input(hidden: Any, weights: Any, value: Any) -> None:
    for n in range(len(hidden)):
        hidden[n] += weights[n] * value


@compiled
def _logits(layers: Any, which: Any, space: Any, rows: Any) -> None:
    hard_swish(space.hidden, rows)
    weights, bias = layers.bins[which]
    dense(space.hidden, weights, bias, space.logits, rows)


@compiled
def draw_pt(asked: Any, layers: Any, world: Any, space: Any, now: Any) -> None:
    """Draw pT: above the threshold, and not above that of the previous object of the kind."""
    active, rows, step = now
    _head(space, 0, rows)
    _logits(layers, 0, space, rows)
    for r in range(rows):
        e = active[r]
        kind, item = space.kinds[e, step], space.objects[e, step]
        later = step > 0 and space.kinds[e, step - 1] == kind
        _weights_of(space.logits[r], space.bits)
        place = _place(space.logits[r], uniform(asked[2][e], 4 * step + 1))
        x = _quantile(place, world.tables[world.places[kind, 1 if later else 0]], world.probabilities)
        floor = world.pt_min[kind]
        if later:
            x *= math.log(max(space.objects[e, step - 1, PT] / floor, 1.0))
        item[PT] = max(_F(floor * math.exp(x)), np.nextafter(_F(floor), _F(np.inf)))
        if later:
            item[PT] = min(item[PT], space.objects[e, step - 1, PT])


@compiled
def draw_mass(asked: Any, layers: Any, world: Any, space: Any, now: Any) -> None:
    """Draw the mass of jets; leptons and photons have theirs."""
    active, rows, step = now
    _head(space, 1, rows)
    for r in range(rows):
        x = _F(math.log(space.objects[active[r], step, PT] * _F(0.02)))
        _add_input(space.hidden[r], layers.more[0][0], x)
        _add_input(space.hidden[r], layers.more[0][1], x * x)
    _logits(layers, 1, space, rows)
    for r in range(rows):
        e = active[r]
        kind, item = space.kinds[e, step], space.objects[e, step]
        item[MASS] = world.masses[kind]
        if world.has_mass[kind]:
            _weights_of(space.logits[r], space.bits)
            place = _place(space.logits[r], uniform(asked[2][e], 4 * step + 2))
            item[MASS] = item[PT] * _F(_quantile(place, world.tables[world.places[kind, 3]], world.probabilities))


@compiled
def _pair_table(strength: Any, partner: Any, first: Any, weights: Any, table: Any) -> None:
    """Table of a pair: the channels' tables by the strengths of both; those of the partner begin at ``first``."""
    for k in range(weights.shape[1]):
        table[k] = 0
    for c in range(weights.shape[0]):
        s = strength[c] * partner[first + c]
        for k in range(weights.shape[1]):
            table[k] += s * weights[c, k]


@compiled
def _gated(strength: Any, item: Any, other: Any, layers: Any, space: Any) -> Any:
    """Strengths of an object's channels, weighted for a pair: as in :class:`anomalon.generation.network`."""
    w1, b1, w2, b2 = layers
    hidden, out = space
    first, second = _F(math.log(item[PT] * _F(0.02))), _F(math.log(other[PT] * _F(0.02)))
    apart = abs(item[ETA] - other[ETA]) * _F(0.5)
    for n in range(len(hidden)):
        x = b1[n] + w1[0, n] * first + w1[1, n] * second + w1[2, n] * apart + w1[3, n] * first * second
        hidden[n] = x * min(max(x * _F(1 / 6) + _F(0.5), _F(0.0)), _F(1.0))
    for c in range(len(out)):
        out[c] = b2[c]
    for n in range(len(hidden)):
        for c in range(len(out)):
            out[c] += hidden[n] * w2[n, c]
    for c in range(len(out)):
        out[c] = strength[c] * (_F(1.0) + out[c])
    return out


@compiled
def _triple_table(strength: Any, one: Any, two: Any, weights: Any, table: Any) -> None:
    """Table of a triple: as of a pair, by the strengths of all three; those of the partners come last."""
    for k in range(weights.shape[1]):
        table[k] = 0
    first = len(one) - len(weights)
    for c in range(weights.shape[0]):
        s = strength[c] * one[first + c] * two[first + c]
        for k in range(weights.shape[1]):
            table[k] += s * weights[c, k]


@compiled
def _add_triples(layers: Any, space: Any, e: Any, r: Any, step: Any) -> None:
    """Add the potentials of a jet with each earlier b-jet and jet."""
    objects, partners = space.objects[e], space.partners[e]
    for j in range(step):
        for k in range(j + 1, step):
            if radial.makes_triple(objects[step], objects[j], objects[k]):
                _triple_table(space.strength_triple[r], partners[j], partners[k], layers.triple, space.table)
                radial.add_triple(objects[step], objects[j], objects[k], space.table, space.pair, space.logits[r])


@compiled
def draw_eta(asked: Any, layers: Any, world: Any, space: Any, now: Any) -> None:
    """Draw eta, with the potentials of pairs."""
    active, rows, step = now
    _head(space, 2, rows)
    for r in range(rows):
        item = space.objects[active[r], step]
        x = _F(math.log(item[PT] * _F(0.02)))
        _add_input(space.hidden[r], layers.more[1][0], x)
        _add_input(space.hidden[r], layers.more[1][1], x * x)
        _add_input(space.hidden[r], layers.more[1][2], _F(math.log((item[MASS] + _F(0.5)) * _F(0.1))))
    _logits(layers, 2, space, rows)
    dense(space.hidden, layers.strengths[0], layers.strengths[1], space.strength, rows)
    for r in range(rows):
        e = active[r]
        kind, item = space.kinds[e, step], space.objects[e, step]
        item[ETA] = 0
        if kind == asked[0].shape[1]:
            continue
        for j in range(step):
            _pair_table(space.strength[r], space.partners[e, j], 0, layers.pair_eta, space.table)
            centres = world.centres[world.which[kind]]
            radial.add_eta(centres, item[PT], space.objects[e, j], space.table, space.pair, space.logits[r])
        _weights_of(space.logits[r], space.bits)
        place = _place(space.logits[r], uniform(asked[2][e], 4 * step + 3))
        item[ETA] = _F(_quantile(place, world.tables[world.places[kind, 2]], world.probabilities))


@compiled
def _phi_inputs(weights: Any, objects: Any, step: Any, run: Any, hidden: Any) -> None:
    """Add what the object itself and the balance say to the hidden layer of the phi head."""
    item = objects[step]
    x, y = _F(math.log(item[PT] * _F(0.02))), item[ETA] * _F(0.5)
    before = objects[step - 1, ETA] * _F(0.5) if step else _F(0)
    _add_input(hidden, weights[0], x)
    _add_input(hidden, weights[1], x * x)
    _add_input(hidden, weights[2], _F(math.log((item[MASS] + _F(0.5)) * _F(0.1))))
    _add_input(hidden, weights[3], y)
    _add_input(hidden, weights[4], y * y)
    _add_input(hidden, weights[5], x - _F(log_size(run[0], run[1])))
    _add_input(hidden, weights[6], x - _F(log_size(run[2], run[3])))
    _add_input(hidden, weights[7], y - before)


@compiled
def draw_phi(asked: Any, layers: Any, world: Any, space: Any, now: Any) -> None:
    """Draw phi, with the potentials of pairs and of the balance, where it is open."""
    active, rows, step = now
    _head(space, 3, rows)
    for r in range(rows):
        e = active[r]
        _still(space.objects[e, step], world.is_jet[space.kinds[e, step]])
        _phi_inputs(layers.more[2], space.objects[e], step, space.running[e], space.hidden[r])
    _logits(layers, 3, space, rows)
    dense(space.hidden, layers.strengths[2], layers.strengths[3], space.strength, rows)
    dense(space.hidden, layers.strengths[4], layers.strengths[5], space.strength_triple, rows)
    dense(space.hidden, layers.balance[0], layers.balance[1], space.balance, rows)
    for r in range(rows if step else 0):
        e = active[r]
        objects, logits, open_part = space.objects[e], space.logits[r], space.open_part
        item, running = objects[step], space.running[e]
        weights = layers.pair_missing if item[JET] < 0 else layers.pair_phi
        radial.add_balance(item[PT], running, space.balance[r], space.pair, logits)
        for b in range(BINS):
            open_part[b] = 1
        for j in range(step):
            gated = _gated(space.strength[r], item, objects[j], layers.gate, space.gate)
            _pair_table(gated, space.partners[e, j], len(weights), weights, space.table)
            radial.add_partner(item, objects[j], running, space.table, space.pair, logits)
            radial.close_around(item, objects[j], world.separation, open_part)
        _add_triples(layers, space, e, r, step)
        _weights_of(logits, space.bits)
        for b in range(BINS):
            logits[b] *= open_part[b]
        place = _place(logits, uniform(asked[2][e], 4 * step + 4))
        item[PHI_AT] = _F(_open_place(objects, step, place, asked[2][e], world.separation))


@compiled
def _still(item: Any, is_jet: Any) -> None:
    """What is known of an object before its phi; the first object of an event is at phi = 0."""
    item[PZ] = item[PT] * _F(math.sinh(item[ETA]))
    item[ENERGY] = math.sqrt(item[PT] * item[PT] + item[PZ] * item[PZ] + item[MASS] * item[MASS])
    item[JET] = is_jet
    item[PHI_AT] = 0


@compiled
def _open_place(objects: Any, step: Any, place: Any, key: Any, separation: Any) -> Any:
    """Azimuth at a place, moved within its bin until it is open; far outside the range where no place is found."""
    low = math.floor(place * BINS) / BINS
    for attempt in range(_MOST_PLACES):
        phi = 2 * math.pi * place - math.pi
        is_open = True
        for j in range(step):
            half = radial.half_closed(objects[step], objects[j], separation)
            d = abs(phi - objects[j, PHI_AT])
            if half > 0 and min(d, 2 * math.pi - d) < half:
                is_open = False
        if is_open:
            return phi
        place = low + uniform(key, 1000 + _MOST_PLACES * step + attempt) / BINS
    return 2 * FAR


@compiled
def log_size(x: Any, y: Any) -> Any:
    """Logarithm of the size of a transverse momentum: as in the network."""
    return math.log((math.sqrt(x * x + y * y) + _F(5)) * _F(0.02))
