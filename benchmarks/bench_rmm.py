"""Rapidity-mass matrices of 23 x 23 cells from ragged events, beside the same in padded NumPy, one thread each.

Events have six objects on average. The peer pads the objects to (event, 22) arrays and computes only what a matrix
holds (each pair once), in float64, since masses of light pairs cancel in float32: once a whole batch in each step, as
one would write it, and once in blocks that stay in the cache.
Both start from the same events in memory and end with float32 matrices, batch by batch as a network takes them; all
cells are compared before the clock starts.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from anomalon.events import Events, Sample, make_events
from anomalon.features import RapidityMassMatrix
from anomalon.objects import Lists, make_lists, make_objects
from anomalon.store import StoreWriter

N_EVENTS = 100_000
ROUNDS = 5
BATCH = 8192
BLOCKED = 128
"""Events whose padded arrays are in the cache together: the fastest of 32, 64, ..., 4096."""
MEAN = {"jets": 4.0, "electrons": 0.9, "muons": 0.9, "photons": 0.2}
MASS = {"jets": 12.0, "electrons": 0.000511, "muons": 0.10566, "photons": 0.0}
SET = RapidityMassMatrix()
LEADING = np.array([0, 6, 12, 17])
FIRST, SECOND = np.triu_indices(22, 1)

Floats = npt.NDArray[np.float64]


def run() -> list[dict[str, Any]]:
    """Ratios of events per CPU second, ours to NumPy's; the best of some rounds of each, in turns."""
    events = make(N_EVENTS)
    ours, peers = SET.transform(events).values, {"padded NumPy": BATCH, "padded NumPy in blocks": BLOCKED}
    for size in peers.values():
        np.testing.assert_allclose(ours, padded(events, size), rtol=1e-5, atol=1e-5)
    batches = [events[start : start + BATCH] for start in range(0, N_EVENTS, BATCH)]
    work = [lambda size=size: each(lambda batch: padded(batch, size), batches) for size in peers.values()]
    ours_s, *peers_s = in_turns(ROUNDS, lambda: each(SET.transform, batches), *work)
    objects = sum(int(events.lists(name, ["pt"]).counts.sum()) for name in MASS) / len(events)
    dense, compact = ours.shape[1] * ours.itemsize, bytes_on_disk(events)
    filled = np.count_nonzero(ours) / ours.size
    print(f"{N_EVENTS:,} events, {objects:.2f} objects each, {filled:.1%} of the cells filled;", end=" ")
    print(f"{compact:.0f} bytes per event in the store, {dense} as a matrix ({dense / compact:.0f}x);", end=" ")
    return [
        {
            "name": "rapidity-mass matrix 23 x 23",
            "ours": N_EVENTS / ours_s,
            "peer": N_EVENTS / peer_s,
            "ratio": peer_s / ours_s,
            "unit": "events/CPU s",
            "peer_name": name,
        }
        for name, peer_s in zip(peers, peers_s, strict=True)
    ]


def each(work: Any, batches: list[Events]) -> None:
    """Do the work on every batch; only one result is held at a time."""
    for batch in batches:
        work(batch)


def in_turns(rounds: int, *work: Any) -> list[float]:
    """The least CPU seconds of each."""
    best = [np.inf] * len(work)
    for _ in range(rounds):
        for i, do in enumerate(work):
            start = time.process_time()
            do()
            best[i] = min(best[i], time.process_time() - start)
    return best


def padded(events: Events, block: int) -> npt.NDArray[np.float32]:
    """The cells of ``SET``, (event, cell), with arrays padded to the rows of the matrix, some events at a time."""
    objects, there = pad(events)
    met, met_phi = (events.numbers(name).astype(np.float64) for name in ("met.pt", "met.phi"))
    result = np.zeros((len(events), 23, 23), dtype=np.float32)
    for start in range(0, len(events), block):
        part = slice(start, start + block)
        cells(objects[:, part], there[part], met[part, None], met_phi[part, None], result[part])
    return result.reshape(len(events), -1)


def pad(events: Events) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """pT, eta, phi and mass, (4, event, row), 0 where there is no object, and where there is one, (event, row)."""
    objects = np.zeros((4, len(events), 22))
    there = np.zeros((len(events), 22), dtype=np.bool_)
    jets = events.lists("jets", ("pt", "eta", "phi", "mass", "btag"))
    for lists, tag, rows in (
        (jets, False, slice(0, 6)),
        (jets, True, slice(6, 12)),
        (events.lists("electrons", ("pt", "eta", "phi", "mass")), None, slice(12, 17)),
        (events.lists("muons", ("pt", "eta", "phi", "mass")), None, slice(17, 22)),
    ):
        event, place, k = slots(lists, tag, rows.stop - rows.start)
        for i, name in enumerate(("pt", "eta", "phi", "mass")):
            objects[i, event, rows.start + k] = lists[name][place]
        there[event, rows.start + k] = True
    return objects, there


def slots(lists: Lists, tag: bool | None, most: int) -> tuple[npt.NDArray[Any], ...]:
    """Event, place in the columns and number within the event of the objects that have a row."""
    event, place = lists.objects_of(np.arange(len(lists.starts)))
    if tag is not None:
        chosen = lists["btag"][place] == tag
        event, place = event[chosen], place[chosen]
    number = np.arange(len(event)) - np.searchsorted(event, event)
    return event[number < most], place[number < most], number[number < most]


def cells(objects: Floats, there: npt.NDArray[np.bool_], met: Floats, met_phi: Floats, out: Any) -> None:
    """Fill the matrices of some events."""
    pt, eta, phi, mass = objects
    cosh, pz, px, py = np.cosh(eta), pt * np.sinh(eta), pt * np.cos(phi), pt * np.sin(phi)
    energy = np.sqrt(pt * pt * cosh * cosh + mass * mass)
    e_t = energy / cosh
    root = np.exp(0.5 * np.arctanh(np.where(there, pz / np.where(there, energy, 1.0), 0.0)))
    scale = 1.0 / SET.sqrt_s
    out[:, 0, 0] = met[:, 0] * scale
    x, y = px + met * np.cos(met_phi), py + met * np.sin(met_phi)
    m_t = np.sqrt(np.maximum((e_t + met) ** 2 - x * x - y * y, 0.0))
    out[:, 0, 1:] = np.where(there & (met > 0), m_t * scale, 0.0)
    out[:, 1:, 0] = np.where(there, SET.c * 0.5 * (root - 1 / root) ** 2, 0.0)
    out[:, np.arange(1, 23), np.arange(1, 23)] = diagonal(e_t, there, scale)
    pairs(np.stack([energy, px, py, pz]), mass, root, there, out)


def diagonal(e_t: Floats, there: npt.NDArray[np.bool_], scale: float) -> Floats:
    """Transverse energy of the first of a type, imbalance of the others."""
    before = np.roll(e_t, 1, axis=1)
    result = (before - e_t) / np.where(there, before + e_t, 1.0)
    result[:, LEADING] = e_t[:, LEADING] * scale
    return np.where(there, result, 0.0)


def pairs(vectors: Floats, mass: Floats, root: Floats, there: npt.NDArray[np.bool_], out: Any) -> None:
    """Masses above, rapidity differences below the diagonal; each pair of rows once."""
    both = there[:, FIRST] & there[:, SECOND]
    products = vectors[:, :, FIRST] * vectors[:, :, SECOND]
    m2 = mass * mass
    squared = m2[:, FIRST] + m2[:, SECOND] + 2.0 * (products[0] - products[1] - products[2] - products[3])
    out[:, FIRST + 1, SECOND + 1] = np.where(both, np.sqrt(np.maximum(squared, 0.0)) / SET.sqrt_s, 0.0)
    a, b = root[:, FIRST], root[:, SECOND]
    out[:, SECOND + 1, FIRST + 1] = np.where(both, SET.c * 0.5 * (a - b) ** 2 / (a * b), 0.0)


def make(n: int, seed: int = 1) -> Events:
    """Events with six objects on average, falling spectra, a fifth of the jets tagged."""
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {
        name: np.arange(n) if name == "event" else np.ones(n, np.int64) for name in ("run", "lumi", "event")
    }
    columns |= {"dataset": np.zeros(n, np.int32), "gen_weight": np.ones(n)}
    columns |= {name: collection(rng, rng.poisson(mean, n), name) for name, mean in MEAN.items()}
    met = {"pt": rng.exponential(50.0, n), "phi": rng.uniform(-np.pi, np.pi, n)}
    columns["met"] = make_objects({name: values.astype(np.float32) for name, values in met.items()})
    return Events(make_events(columns), [Sample(name="benchmark", process="benchmark")])


def collection(rng: np.random.Generator, counts: npt.NDArray[np.int64], name: str) -> Any:
    n = int(counts.sum())
    event, pt = np.repeat(np.arange(len(counts)), counts), 20 + rng.exponential(50.0, n)
    columns = {
        "pt": pt[np.lexsort((-pt, event))],
        "eta": rng.normal(0, 1.4, n).clip(-4.9, 4.9),
        "phi": rng.uniform(-np.pi, np.pi, n),
        "mass": rng.exponential(MASS[name], n) if name == "jets" else np.full(n, MASS[name]),
    }
    plain = {key: values.astype(np.float32) for key, values in columns.items()}
    if name == "jets":
        plain["btag"] = rng.random(n) < 0.2
    elif name != "photons":
        plain["charge"] = rng.choice(np.array([-1, 1], np.int32), n)
    return make_lists(plain, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))


def bytes_on_disk(events: Events) -> float:
    """Of a store of these events, everything included."""
    with tempfile.TemporaryDirectory() as folder:
        with StoreWriter(Path(folder) / "store") as writer:
            writer.append(events)
        size = sum(file.stat().st_size for file in (Path(folder) / "store").iterdir())
    return size / len(events)
