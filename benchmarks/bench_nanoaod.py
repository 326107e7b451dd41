"""Trilepton features from a NanoAOD file, beside plain uproot + awkward + vector on the same file.

The file is made here: jagged collections of realistic multiplicity and precision, branches that nobody needs, ZSTD.
Both sides read the file from disk and must select the same events with the same masses.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt
import uproot
import vector

from anomalon.features import TrileptonFeatures
from anomalon.sources import open_source

N_EVENTS = 200_000
CLUSTER = 20_000
CHUNK = 50_000
M_Z = 91.1876

Selected = dict[str, npt.NDArray[Any]]


def run() -> list[dict[str, Any]]:
    """Ratio of events per second, ours to plain awkward + vector; the best of five runs of each."""
    with tempfile.TemporaryDirectory() as folder:
        path = make_file(Path(folder) / "nano.root", N_EVENTS)
        megabytes = path.stat().st_size / 1e6
        check_equal(with_anomalon(path), with_awkward(path))
        ours, theirs = best_of(5, lambda: with_anomalon(path), lambda: with_awkward(path))
    print(f"{N_EVENTS:,} events, {megabytes:.0f} MB;", end=" ")
    return [
        {
            "name": "trilepton features from NanoAOD",
            "ours": N_EVENTS / ours,
            "peer": N_EVENTS / theirs,
            "ratio": theirs / ours,
            "unit": "events/s",
            "peer_name": "uproot + awkward + vector",
        }
    ]


def best_of(times: int, *works: Callable[[], Any]) -> list[float]:
    """Shortest of several runs of each, in seconds; in turns, so that a busy machine is busy for all."""
    seconds = [[seconds_of(work) for work in works] for _ in range(times)]
    return [min(of_one) for of_one in zip(*seconds, strict=True)]


def seconds_of(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def with_anomalon(path: Path) -> Selected:
    """All features of ``trilepton`` for every event, chunk by chunk; keeps those with a triplet."""
    features = TrileptonFeatures()
    parts = []
    for events in open_source(path).iterate(features.requires, chunk=CHUNK):
        got = features.transform(events)
        found = got.mask[:, got.index("m_3l")]
        columns = {name: got.column(name)[found] for name in ("m_3l", "lep1_pt", "MET_pt", "mT_W", "HT")}
        masses = got.select([f"{channel}_Zmass" for channel in "ABCD"]).values[found]
        columns["m_Z"] = np.nan_to_num(masses).max(axis=1)
        parts.append({"event": ak.to_numpy(events.array.event)[found], **columns})
    return joined(parts)


def with_awkward(path: Path) -> Selected:
    """What an analyst would write: the same quantities, events with three good leptons selected first."""
    vector.register_awkward()
    lepton, jet = ("pt", "eta", "phi", "mass", "charge"), ("pt", "eta", "phi", "mass", "btagDeepFlavB")
    branches = ["run", "luminosityBlock", "event", "genWeight", "MET_pt", "MET_phi"]
    branches += [f"{name}_{c}" for name in ("Electron", "Muon") for c in lepton] + [f"Jet_{c}" for c in jet]
    parts = []
    for raw in uproot.iterate(f"{path}:Events", branches, step_size=CHUNK):
        electrons, muons, jets = (collect(raw, n, c) for n, c in (("Electron", lepton), ("Muon", lepton), ("Jet", jet)))
        electrons["flavour"], muons["flavour"] = ak.zeros_like(electrons.charge), ak.ones_like(muons.charge)
        leptons = ak.concatenate([electrons, muons], axis=1)
        leptons = leptons[(leptons.pt > 10) & (abs(leptons.eta) < 2.5)]
        three = ak.num(leptons) >= 3
        parts.append(analyse(raw[three], leptons[three], jets[three]))
    return joined(parts)


def collect(raw: ak.Array, name: str, columns: tuple[str, ...]) -> ak.Array:
    return ak.zip({c: raw[f"{name}_{c}"] for c in columns}, with_name="Momentum4D")


def analyse(raw: ak.Array, leptons: ak.Array, jets: ak.Array) -> Selected:
    leptons = leptons[ak.argsort(leptons.pt, ascending=False)][:, :3]
    l1, l2, l3 = leptons[:, 0], leptons[:, 1], leptons[:, 2]
    pairs = ak.argcombinations(leptons, 2, fields=["a", "b"])
    a, b = leptons[pairs.a], leptons[pairs.b]
    same = (a.charge * b.charge < 0) & (a.flavour == b.flavour)
    mass = (a + b).mass[same]
    best = ak.argmin(abs(mass - M_Z), axis=1, keepdims=True)
    third = ak.firsts((3 - pairs.a - pairs.b)[same][best])
    w = ak.firsts(leptons[ak.local_index(leptons) == third])
    met_x, met_y = raw.MET_pt * np.cos(raw.MET_phi), raw.MET_pt * np.sin(raw.MET_phi)
    squared = (w.et + raw.MET_pt) ** 2 - (w.px + met_x) ** 2 - (w.py + met_y) ** 2
    jets = jets[(jets.pt > 30) & (abs(jets.eta) < 2.5)]
    near, lepton = ak.unzip(ak.cartesian([jets, leptons], nested=True))
    jets = jets[ak.all(near.deltaR(lepton) > 0.4, axis=-1)]
    return {
        "event": ak.to_numpy(raw.event),
        "m_3l": ak.to_numpy((l1 + l2 + l3).mass),
        "lep1_pt": ak.to_numpy(l1.pt),
        "MET_pt": ak.to_numpy(raw.MET_pt),
        "mT_W": ak.to_numpy(ak.fill_none(np.sqrt(np.maximum(squared, 0)), np.nan)),
        "HT": ak.to_numpy(ak.sum(jets.pt, axis=1)),
        "m_Z": ak.to_numpy(ak.fill_none(ak.firsts(mass[best]), 0)),
    }


def joined(parts: list[Selected]) -> Selected:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def check_equal(ours: Selected, theirs: Selected) -> None:
    """Both sides selected the same events and computed the same quantities, to the precision of float32."""
    np.testing.assert_array_equal(ours["event"], theirs["event"])
    for name, values in ours.items():
        np.testing.assert_allclose(values, theirs[name], rtol=2e-3, atol=0.2, err_msg=name)


def make_file(path: Path, n: int, seed: int = 1) -> Path:
    """Write a file in the form of NanoAOD, in clusters, with about as much again that nobody reads."""
    rng = np.random.default_rng(seed)
    with uproot.recreate(path, compression=uproot.ZSTD(3)) as file:
        first = cluster(rng, 0, CLUSTER)
        tree = file.mktree("Events", {name: branch_type(values) for name, values in first.items()})
        tree.extend(first)
        for start in range(CLUSTER, n, CLUSTER):
            tree.extend(cluster(rng, start, CLUSTER))
    return path


def cluster(rng: np.random.Generator, start: int, n: int) -> dict[str, Any]:
    number = np.arange(start, start + n)
    columns = {
        "run": np.ones(n, np.uint32),
        "luminosityBlock": (number // 500).astype(np.uint32),
        "event": number.astype(np.uint64),
        "genWeight": rng.choice([-1.0, 1.0], n, p=[0.1, 0.9]).astype(np.float32),
        "MET_pt": rounded(rng.exponential(30, n)),
        "MET_phi": rounded(rng.uniform(-np.pi, np.pi, n)),
    }
    for name, mean, scale in (("Electron", 0.5, 25), ("Muon", 0.5, 25), ("Jet", 5, 35), ("FatJet", 0.3, 250)):
        columns |= objects(rng, n, name, mean, scale)
    return columns | {f"HLT_Path{i}": rng.random(n) < 0.01 for i in range(30)}


def objects(rng: np.random.Generator, n: int, name: str, mean: float, scale: float) -> dict[str, ak.Array]:
    counts = rng.poisson(mean, n)
    k = int(counts.sum())
    flat = {
        "pt": rounded(5 + rng.exponential(scale, k)),
        "eta": rounded(rng.normal(0, 1.5, k).clip(-4.7, 4.7)),
        "phi": rounded(rng.uniform(-np.pi, np.pi, k)),
        "mass": np.full(k, {"Electron": 0.000511, "Muon": 0.105658}.get(name, 8.0), np.float32),
        "charge": rng.choice([-1, 1], k).astype(np.int32),
        "btagDeepFlavB": rounded(rng.beta(0.3, 2, k)),
    }
    flat |= {f"extra{i}": rounded(rng.exponential(1, k)) for i in range(6)}
    jagged = ak.unflatten(ak.zip(flat), counts)
    jagged = jagged[ak.argsort(jagged.pt, ascending=False)]
    return {f"{name}_{column}": jagged[column] for column in flat}


def rounded(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Keep 11 bits of the mantissa, as NanoAOD does: it is what makes the files small."""
    bits = values.astype(np.float32).view(np.uint32) & np.uint32(0xFFFFF000)
    return bits.view(np.float32)


def branch_type(values: Any) -> Any:
    return ak.type(values[:0]).content if isinstance(values, ak.Array) else values.dtype
