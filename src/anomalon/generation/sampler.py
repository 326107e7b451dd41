"""The autoregressive network compiled: all events of a block object by object, on one thread without Python.

The features are those of :mod:`anomalon.generation.network`, the weights those of a trained network; the heads are in
:mod:`anomalon.generation.heads`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from anomalon.generation import radial
from anomalon.generation.arithmetic import asinh, compiled, copy_part, dense, hard_swish
from anomalon.generation.heads import FAR, draw_eta, draw_mass, draw_phi, draw_pt, log_size
from anomalon.generation.radial import (
    BALANCE_KNOTS,
    BINS,
    COLUMNS,
    ENERGY,
    ETA,
    JET,
    MASS,
    PAIR_KNOTS,
    PHI_AT,
    PT,
    PX,
    PY,
    PZ,
)

BLOCK = 512
"""Events that are drawn together: enough that calls cost nothing, few enough to stay in the cache."""
_F = np.float32


class Layers(NamedTuple):
    """Weights (input, output) and biases; inputs in multiples of four."""

    element: Any
    trunk: Any
    shared: Any
    more: Any
    bins: Any
    strengths: Any
    partner: Any
    balance: Any
    pair_eta: Any
    pair_phi: Any
    pair_missing: Any
    triple: Any
    gate: Any


class World(NamedTuple):
    """What the kernel knows beside the weights.

    Attributes:
        tables, probabilities: quantiles (table, knot) and where they are.
        places: tables of each kind, (kind, 4): pT of a first object, of a later one, eta, mass / pT.
        pt_min, masses, has_mass, is_jet, seen, which: of each kind, shape (kind,): ``seen`` by MET and when muons are
            taken the other way, shape (kind, 2); ``which`` is the class. Soft momentum is the last kind.
        centres: of the eta bins, shape (class, bin).
        separation: of jets.
        starts: first slot of each kind.
    """

    tables: Any
    probabilities: Any
    places: Any
    pt_min: Any
    masses: Any
    has_mass: Any
    is_jet: Any
    seen: Any
    which: Any
    centres: Any
    separation: Any
    starts: Any


class Space(NamedTuple):
    """Working space of a thread: rows of events (row, number), and objects of events (event, object, number)."""

    sums: Any
    inputs: Any
    one: Any
    two: Any
    heads: Any
    hidden: Any
    logits: Any
    strength: Any
    strength_triple: Any
    gate: Any
    balance: Any
    element: Any
    partner_row: Any
    objects: Any
    partners: Any
    kinds: Any
    totals: Any
    running: Any
    table: Any
    bits: Any
    open_part: Any
    pair: Any


def space_for(layers: Layers, n_slots: int, n_events: int) -> Space:
    """Working space for a block of so many events."""
    rows = n_events + 4

    def floats(*shape: int) -> Any:
        return np.zeros(shape, dtype=np.float32)

    element, trunk, shared = layers.element[2].shape[1], layers.trunk[0].shape, layers.shared[0].shape[1]
    channels, head, partners = len(layers.pair_eta), layers.bins[0][0].shape[0], layers.partner[0].shape[1]
    return Space(
        sums=floats(n_events, element), inputs=floats(rows, trunk[0]), one=floats(rows, trunk[1]),
        two=floats(rows, trunk[1]), heads=floats(rows, shared), hidden=floats(rows, head), logits=floats(rows, BINS),
        strength=floats(rows, channels), strength_triple=floats(rows, len(layers.triple)),
        gate=(floats(len(layers.gate[1])), floats(channels)),
        balance=floats(rows, 4 * BALANCE_KNOTS),
        element=(floats(rows, layers.element[0].shape[0]), floats(rows, element), floats(rows, element)),
        partner_row=floats(rows, partners), objects=floats(n_events, n_slots + 1, COLUMNS),
        partners=floats(n_events, n_slots + 1, partners), kinds=np.zeros((n_events, n_slots + 1), np.int64),
        totals=np.zeros(n_events, np.int64), running=floats(n_events, 9), table=floats(PAIR_KNOTS),
        bits=np.zeros(BINS, np.int32), open_part=floats(BINS), pair=radial.buffers(),
    )  # fmt: skip


_RUN_PX, _RUN_PY, _RUN_PZ, _RUN_E, _RUN_HT = range(4, 9)
"""Running sums of an event: transverse momentum that MET sees, the same with muons the other way (x, y, x, y), and
momentum, energy and HT of all."""


def draw_block(asked: Any, layers: Layers, world: World, space: Space, out: Any) -> None:
    """Draw up to ``BLOCK`` events. The loop over steps is not compiled: that would take most of the time to compile.

    Args:
        asked: counts (event, kind), context (event, input), keys (event,).
        layers: weights.
        world: what else is known.
        space: working space of the thread.
        out: MET (event, 2) in the frame of the first object, objects (event, slot, 4) and whether it worked (event,),
            filled.
    """
    n = len(asked[2])
    _begin(asked, space, out)
    totals = space.totals[:n]
    for step in range(int(totals.max(initial=0))):
        active = np.flatnonzero(totals > step)
        now = active, len(active), step
        _trunk(asked, layers, space, now)
        draw_pt(asked, layers, world, space, now)
        draw_mass(asked, layers, world, space, now)
        draw_eta(asked, layers, world, space, now)
        draw_phi(asked, layers, world, space, now)
        _finish(layers, world, space, out, now)


@compiled
def _begin(asked: Any, space: Any, out: Any) -> None:
    """Lay out the kinds of every event's objects, soft momentum last."""
    counts, _, keys = asked
    n_kinds = counts.shape[1]
    space.sums[:] = 0
    space.running[:] = 0
    for e in range(len(keys)):
        place = 0
        for kind in range(n_kinds):
            for _ in range(counts[e, kind]):
                space.kinds[e, place] = kind
                place += 1
        space.kinds[e, place] = n_kinds
        space.totals[e] = place + 1
        out[2][e] = True


@compiled
def _trunk(asked: Any, layers: Any, space: Any, now: Any) -> None:
    """From what is known of an event to what all heads share."""
    active, rows, step = now
    for r in range(rows):
        e, row = active[r], space.inputs[r]
        at = _state(row, space.sums[e], space.objects[e], space.running[e], step)
        at = _to_come(row, at, asked[0][e], space.kinds[e], step)
        for k in range(at, len(row)):
            row[k] = asked[1][e, k - at] if k - at < asked[1].shape[1] else 0
    w1, b1, w2, b2 = layers.trunk
    dense(space.inputs, w1, b1, space.one, rows)
    hard_swish(space.one, rows)
    dense(space.one, w2, b2, space.two, rows)
    hard_swish(space.two, rows)
    dense(space.two, layers.shared[0], layers.shared[1], space.heads, rows)


@compiled
def _features(item: Any, at: Any, row: Any) -> None:
    """The features of an object: as in :func:`anomalon.generation.network.object_features`."""
    row[at] = math.log(item[PT] * _F(0.02))
    row[at + 1] = item[ETA] * _F(0.5)
    row[at + 2] = item[PX] / item[PT]
    row[at + 3] = item[PY] / item[PT]
    row[at + 4] = asinh(item[PX] * _F(0.02))
    row[at + 5] = asinh(item[PY] * _F(0.02))
    row[at + 6] = asinh(item[PZ] * _F(0.01))
    row[at + 7] = math.log((item[MASS] + _F(0.5)) * _F(0.1))


@compiled
def _place_in_kind(kinds: Any, step: Any) -> Any:
    place = 0
    while place < step and kinds[step - place - 1] == kinds[step]:
        place += 1
    return place


@compiled
def _state(row: Any, sums: Any, objects: Any, run: Any, step: Any) -> Any:
    """Inputs of the trunk from the objects so far, in the network's order; how many they are."""
    at = len(sums)
    for k in range(at):
        row[k] = sums[k]
    for k in range(at, at + 9):
        row[k] = 0
    if step:
        _features(objects[step - 1], at, row)
        row[at + 8] = 1
    for k in range(4):
        row[at + 9 + k] = asinh(run[k] * _F(0.02))
    row[at + 13] = log_size(run[0], run[1])
    row[at + 14] = log_size(run[2], run[3])
    _visible(run, at + 15, row)
    return at + 18


@compiled
def _to_come(row: Any, at: Any, counts: Any, kinds: Any, step: Any) -> Any:
    """Inputs of the trunk from the numbers of objects, in the network's order; how many there are now."""
    n_kinds = len(counts)
    kind, place, total = kinds[step], _place_in_kind(kinds, step), 1
    for k in range(n_kinds):
        total += counts[k]
        row[at + k] = counts[k] * _F(1 / 3)
    for k in range(n_kinds + 1):
        row[at + n_kinds + 4 + k] = _F(k == kind)
    own = counts[kind] if kind < n_kinds else 1
    row[at + n_kinds] = (own - place) * _F(1 / 3)
    row[at + n_kinds + 1] = place * _F(0.25)
    row[at + n_kinds + 2] = _F(place == 0)
    row[at + n_kinds + 3] = (total - step) * _F(0.2)
    return at + 2 * n_kinds + 5


@compiled
def _visible(run: Any, at: Any, row: Any) -> None:
    px, py, pz, energy = run[_RUN_PX], run[_RUN_PY], run[_RUN_PZ], run[_RUN_E]
    mass2 = energy * energy - px * px - py * py - pz * pz
    row[at] = asinh(pz * _F(0.01))
    row[at + 1] = math.log((math.sqrt(max(mass2, _F(0))) + _F(10)) * _F(0.01))
    row[at + 2] = math.log((run[_RUN_HT] + _F(10)) * _F(0.01))


@compiled
def _finish(layers: Any, world: Any, space: Any, out: Any, now: Any) -> None:
    """Complete the new objects, hand them out, and add them to what is known of their events."""
    active, rows, step = now
    for r in range(rows):
        e = active[r]
        kind, item, run = space.kinds[e, step], space.objects[e, step], space.running[e]
        item[PX], item[PY] = item[PT] * _F(math.cos(item[PHI_AT])), item[PT] * _F(math.sin(item[PHI_AT]))
        if item[PHI_AT] > FAR:
            out[2][e] = False
        if item[JET] < 0:
            out[0][e, 0], out[0][e, 1] = -run[0] - item[PX], -run[1] - item[PY]
            continue
        _add_to_sums(item, world.seen[kind], run)
        slot = world.starts[kind] + _place_in_kind(space.kinds[e], step)
        for k in range(4):
            out[1][e, slot, k] = item[k]
    _embed(layers, space, now)


@compiled
def _add_to_sums(item: Any, seen: Any, run: Any) -> None:
    for k in range(2):
        run[2 * k] += item[PX] * seen[k]
        run[2 * k + 1] += item[PY] * seen[k]
    run[_RUN_PX] += item[PX]
    run[_RUN_PY] += item[PY]
    run[_RUN_PZ] += item[PZ]
    run[_RUN_E] += item[ENERGY]
    run[_RUN_HT] += item[PT]


@compiled
def _embed(layers: Any, space: Any, now: Any) -> None:
    """Add the new objects to the sums over objects, and say what they are as partners of pairs."""
    active, rows, step = now
    rows_in, hidden, made = space.element
    n_kinds = rows_in.shape[1] - 9
    for r in range(rows):
        e = active[r]
        kind, place = space.kinds[e, step], _place_in_kind(space.kinds[e], step)
        _features(space.objects[e, step], 0, rows_in[r])
        for k in range(n_kinds):
            rows_in[r, 8 + k] = _F(k == kind)
        rows_in[r, 8 + n_kinds] = place * _F(0.25)
    w1, b1, w2, b2 = layers.element
    dense(rows_in, w1, b1, hidden, rows)
    hard_swish(hidden, rows)
    dense(hidden, w2, b2, made, rows)
    hard_swish(made, rows)
    dense(made, layers.partner[0], layers.partner[1], space.partner_row, rows)
    for r in range(rows):
        total = space.sums[active[r]]
        for k in range(len(total)):
            total[k] += made[r, k]
        copy_part(space.partner_row[r], 0, space.partners[active[r], step])
