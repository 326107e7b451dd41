"""Top pairs of a toy: phase space, acceptance and smearing alone, made in milliseconds and without a generator."""

from __future__ import annotations

from typing import Any

import numpy as np

from anomalon.events import Events, Sample, make_events
from anomalon.generation.flatten import KINDS, EventArrays, energy
from anomalon.kinematics import M_ELECTRON, M_MUON
from anomalon.objects import make_lists, make_objects

M_TOP = 172.5
REAL = Sample(name="toy", process="toy top pairs")
GENERATED = Sample(name="made", process="toy top pairs", origin="generated")


def decay(parent, mass1, mass2, rng):
    """Two-body decay, isotropic in the rest frame; four-vectors px, py, pz, E of shape (event, 4)."""
    m = np.sqrt(np.maximum(parent[:, 3] ** 2 - (parent[:, :3] ** 2).sum(axis=1), 1.0))
    e1 = (m**2 + mass1**2 - mass2**2) / (2 * m)
    p = np.sqrt(np.maximum(e1**2 - mass1**2, 0.0))
    cos, phi = rng.uniform(-1, 1, len(m)), rng.uniform(-np.pi, np.pi, len(m))
    sin = np.sqrt(1 - cos**2)
    first = np.stack([p * sin * np.cos(phi), p * sin * np.sin(phi), p * cos, e1], axis=1)
    first = boost(first, parent, m)
    return first, parent - first


def boost(vectors, parent, mass):
    gamma = parent[:, 3] / mass
    beta = parent[:, :3] / parent[:, 3:]
    along = (beta * vectors[:, :3]).sum(axis=1)
    factor = gamma**2 / (gamma + 1) * along + gamma * vectors[:, 3]
    return np.column_stack([vectors[:, :3] + factor[:, None] * beta, gamma * (vectors[:, 3] + along)])


def top_pairs(n: int, seed: int = 0, *, m_w: float = 80.4, sample: Sample = REAL) -> Events:
    """One top decays to a b-jet and two jets, the other to a b-jet, a lepton and a neutrino; some jets are radiated."""
    rng = np.random.default_rng(seed)
    pt, phi, y = rng.gamma(2.0, 45.0, n), rng.uniform(-np.pi, np.pi, n), rng.normal(0, 0.8, (2, n))
    found, seen = [], np.zeros((n, 2))
    for k, side in enumerate((1, -1)):
        m_t = np.hypot(M_TOP, pt)
        top = np.stack([side * pt * np.cos(phi), side * pt * np.sin(phi), m_t * np.sinh(y[k]), m_t * np.cosh(y[k])], 1)
        w, b = decay(top, rng.normal(m_w, 2.0, n), np.full(n, 5.0), rng)
        one, two = decay(w, np.zeros(n), np.zeros(n), rng)
        found += [("b", b), ("j" if k == 0 else "lepton", one), ("j" if k == 0 else "neutrino", two)]
    flavour = rng.choice(["e-", "e+", "m-", "m+"], n)
    objects: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    for kind, vector in found:
        if kind == "neutrino":
            continue
        jet = kind in "bj"
        smeared = vector * rng.normal(1.0, 0.1 if jet else 0.01, n)[:, None]
        pt_ = np.hypot(smeared[:, 0], smeared[:, 1])
        eta = np.arcsinh(smeared[:, 2] / np.maximum(pt_, 1e-6))
        ok = (pt_ > (20 if jet else 15)) & (np.abs(eta) < (2.5 if kind != "j" else 2.8))
        seen += np.where(ok[:, None], smeared[:, :2], 0.9 * smeared[:, :2])
        seen += np.where((kind == "neutrino"), vector[:, :2], 0.0)
        mass = rng.gamma(4.0, 2.5, n) if jet else np.zeros(n)
        columns = np.stack([pt_, eta, np.arctan2(smeared[:, 1], smeared[:, 0]), mass], axis=1)
        for name in (kind,) if jet else ("e-", "e+", "m-", "m+"):
            objects[name].append((columns, ok & (True if jet else flavour == name)))
    for _ in range(4):
        soft = 20 + rng.exponential(20, n)
        columns = np.stack([soft, rng.uniform(-2.8, 2.8, n), rng.uniform(-np.pi, np.pi, n), rng.gamma(4, 1.5, n)], 1)
        ok = rng.random(n) < 0.35
        seen += np.where(ok[:, None], soft[:, None] * np.stack([np.cos(columns[:, 2]), np.sin(columns[:, 2])], 1), 0)
        objects["j"].append((columns, ok))
    missing = -seen + rng.normal(0, 6, (n, 2))
    return events_of(objects, np.hypot(*missing.T), np.arctan2(missing[:, 1], missing[:, 0]), sample)


def events_of(objects: dict[str, list[Any]], met, met_phi, sample: Sample) -> Events:
    n = len(met)
    columns: dict[str, Any] = {
        "run": np.ones(n, dtype=np.int64), "lumi": np.ones(n, dtype=np.int64), "event": np.arange(n),
        "dataset": np.zeros(n, dtype=np.int32), "gen_weight": np.ones(n),
        "met": make_objects({"pt": np.float32(met), "phi": np.float32(met_phi)}),
    }  # fmt: skip
    collections = {
        "jets": ("btag", {"b": True, "j": False}, None),
        "electrons": ("charge", {"e-": -1, "e+": 1}, M_ELECTRON),
        "muons": ("charge", {"m-": -1, "m+": 1}, M_MUON),
        "photons": (None, {"g": 0}, 0.0),
    }
    for name, (label, kinds, mass) in collections.items():
        parts = [(c, ok, value) for kind, value in kinds.items() for c, ok in objects.get(kind, [])]
        columns[name] = _collection(parts, n, label, mass)
    return Events(make_events(columns), [sample])


def _collection(parts, n, label, mass):
    event = np.concatenate([np.flatnonzero(ok) for _, ok, _ in parts] or [np.zeros(0, dtype=int)])
    values = np.concatenate([c[ok] for c, ok, _ in parts] or [np.zeros((0, 4))])
    labels = np.concatenate([np.full(int(ok.sum()), v) for _, ok, v in parts] or [np.zeros(0)])
    order = np.lexsort((-values[:, 0], event))
    table = {k: np.float32(values[order, i]) for i, k in enumerate(("pt", "eta", "phi", "mass"))}
    if mass is not None:
        table["mass"][:] = mass
    if label is not None:
        table[label] = labels[order].astype(np.bool_ if label == "btag" else np.int32)
    offsets = np.r_[0, np.cumsum(np.bincount(event, minlength=n))].astype(np.int64)
    return make_lists(table, offsets)


def independent_marginals(arrays: EventArrays, seed: int = 0) -> EventArrays:
    """Every feature of every slot shuffled among the events that fill it: the same marginals, and no physics."""
    rng, objects, e = np.random.default_rng(seed), arrays.objects.copy(), energy(arrays.objects)
    for slot in range(objects.shape[1]):
        rows = np.flatnonzero(arrays.present[:, slot])
        columns = [objects[rows, slot, c] for c in range(3)] + [e[rows, slot]]
        pt, eta, phi, shuffled = (rng.permutation(column) for column in columns)
        squared = shuffled**2 - (pt * np.cosh(eta)) ** 2
        objects[rows, slot] = np.stack([pt, eta, phi, np.sign(squared) * np.sqrt(np.abs(squared))], axis=1)
    met = np.stack([rng.permutation(column) for column in arrays.met.T], axis=1)
    return EventArrays(met, arrays.counts, objects, arrays.slots)


def to_events(arrays: EventArrays, sample: Sample = GENERATED) -> Events:
    """Arrays as events; leptons and photons get their own masses."""
    objects = {}
    for kind in KINDS:
        columns, there = arrays.of(kind)
        objects[kind] = [(columns[:, i], there[:, i]) for i in range(columns.shape[1])]
    return events_of(objects, arrays.met[:, 0], arrays.met[:, 1], sample)
