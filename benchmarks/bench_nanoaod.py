"""Trilepton features from a NanoAOD file, beside the same analysis in awkward + vector and in coffea.

The file is made here: about 90 branches, of which the analysis needs 18; jagged collections of realistic multiplicity
and precision, five events in a hundred with three leptons, clusters of 20,000 events, ZSTD. Everyone opens the file
once, reads the same 18 branches in parts of five whole clusters (100,000 events, the default of coffea) and must give
the same events, with their ids and weights, and the same masses. The peers are written for speed: they take the masses
of leptons as known, need none of jets, and join electrons and muons only in events with three. The floor is what nobody
can beat with this file: opening it, decompressing the baskets of the 18 branches and swapping the bytes.
Speeds are events per CPU second: on a busy machine, seconds on the clock measure the others.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt
import uproot

from anomalon.features import TrileptonFeatures
from anomalon.selection import TrileptonSelection, apply
from anomalon.sources import open_source

N_EVENTS = 600_000
CLUSTER = 20_000
CHUNK = 5 * CLUSTER
ROUNDS = 5
M_Z = 91.1876
MASSES = {"Electron": 0.000511, "Muon": 0.105658}
IDS = ("run", "luminosityBlock", "event", "genWeight")
EVENT = (*IDS, "MET_pt", "MET_phi")
LEPTON = ("pt", "eta", "phi", "charge")
JET = ("pt", "eta", "phi", "btagDeepFlavB")
COLLECTIONS = {"Electron": LEPTON, "Muon": LEPTON, "Jet": JET}
BRANCHES = (*EVENT, *(f"{name}_{c}" for name, columns in COLLECTIONS.items() for c in columns))

Selected = dict[str, npt.NDArray[Any]]


def run() -> list[dict[str, Any]]:
    """Ratios of events per CPU second, the best of five runs of each, in turns."""
    peers: dict[str, Callable[[Path], Any]] = {"uproot + awkward + vector": with_awkward}
    if find_spec("coffea"):
        peers["coffea NanoEvents"] = with_coffea
    with tempfile.TemporaryDirectory() as folder:
        path = make_file(Path(folder) / "nano.root", N_EVENTS)
        megabytes = path.stat().st_size / 1e6
        ours = with_anomalon(path)
        for peer in peers.values():
            check_equal(ours, peer(path))
        peers["floor: open, decompress, swap bytes"] = decompress
        seconds = best_of(ROUNDS, lambda: with_anomalon(path), *(lambda p=p: p(path) for p in peers.values()))
    print(f"{N_EVENTS:,} events, {len(ours['event']):,} selected, {megabytes:.0f} MB;", end=" ")
    if "coffea NanoEvents" not in peers:
        print("coffea left out: not installed;", end=" ")
    return [row(name, seconds[0], peer) for name, peer in zip(peers, seconds[1:], strict=True)]


def row(peer_name: str, ours: float, peer: float) -> dict[str, Any]:
    speeds = {"ours": N_EVENTS / ours, "peer": N_EVENTS / peer, "ratio": peer / ours}
    return {"name": "trilepton features from NanoAOD", **speeds, "unit": "events/CPU s", "peer_name": peer_name}


def best_of(times: int, *works: Callable[[], Any]) -> list[float]:
    """Shortest of several runs of each, in CPU seconds; in turns, so that a busy machine is busy for all."""
    seconds = [[seconds_of(work) for work in works] for _ in range(times)]
    return [min(of_one) for of_one in zip(*seconds, strict=True)]


def seconds_of(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def with_anomalon(path: Path) -> Selected:
    """What ``anomalon features`` does: select, then all features of ``trilepton`` for the selected events."""
    selection = TrileptonSelection(pt_min=(10.0, 10.0, 10.0), require_z=False)
    features = TrileptonFeatures(selection=selection)
    parts = []
    for events in open_source(path).iterate(features.requires, chunk=CHUNK):
        selected = apply(selection, events).events
        got = features.transform(selected)
        columns = {name: got.column(name) for name in ("m_3l", "lep1_pt", "MET_pt", "mT_W", "HT")}
        columns["m_Z"] = np.nan_to_num(got.select([f"{channel}_Zmass" for channel in "ABCD"]).values).max(axis=1)
        ids = {
            name: selected.numbers(ours) for name, ours in zip(IDS, ("run", "lumi", "event", "gen_weight"), strict=True)
        }
        parts.append(ids | columns)
    return joined(parts)


def with_awkward(path: Path) -> Selected:
    """What an analyst would write: the same quantities, events with three good leptons selected first."""
    tree = uproot.open(path, handler=uproot.MemmapSource)["Events"]
    return joined([select(raw) for raw in tree.iterate(BRANCHES, step_size=CHUNK, how=dict)])


def with_coffea(path: Path) -> Selected:
    """The same on coffea's NanoEvents, which read a column when it is used."""
    return joined([select(columns_of(events)) for events in nano_events(path)])


def nano_events(path: Path) -> Iterator[Any]:
    from coffea.nanoevents import NanoAODSchema, NanoEventsFactory  # noqa: PLC0415 of the group bench

    NanoAODSchema.warn_missing_crossrefs = False
    file = uproot.open(path, handler=uproot.MemmapSource)
    for start in range(0, N_EVENTS, CHUNK):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            factory = NanoEventsFactory.from_root(
                file, treepath="Events", entry_start=start, entry_stop=start + CHUNK, mode="virtual"
            )
        yield factory.events()


def columns_of(events: Any) -> dict[str, Any]:
    met = {"MET_pt": events.MET.pt, "MET_phi": events.MET.phi}
    objects = {f"{name}_{c}": events[name][c] for name, columns in COLLECTIONS.items() for c in columns}
    return {name: events[name] for name in IDS} | met | objects


def select(raw: dict[str, Any]) -> Selected:
    leptons = {name: collect(raw, name, mass=np.float32(mass)) for name, mass in MASSES.items()}
    electrons, muons = (some[(some.pt > 10) & (abs(some.eta) < 2.5)] for some in leptons.values())
    three = ak.num(electrons) + ak.num(muons) >= 3
    electrons, muons = electrons[three], muons[three]
    electrons["flavour"], muons["flavour"] = ak.zeros_like(electrons.charge), ak.ones_like(muons.charge)
    events = ak.zip({name: raw[name] for name in EVENT})[three]
    return analyse(events, ak.concatenate([electrons, muons], axis=1), collect(raw, "Jet")[three])


def decompress(path: Path) -> int:
    """Open the file and decompress the baskets that we need; returns their bytes."""
    tree = uproot.open(path, handler=uproot.MemmapSource)["Events"]
    swapped = 0
    for branch in (tree[name] for name in BRANCHES):
        for i in range(branch.num_baskets):
            data = branch.basket(i).data
            swapped += data[: len(data) // 4 * 4].view(np.uint32).byteswap().nbytes
    return swapped


def collect(raw: dict[str, Any], name: str, **more: Any) -> ak.Array:
    columns = {c: raw[f"{name}_{c}"] for c in COLLECTIONS[name]}
    return ak.zip(columns | more, with_name="Momentum4D" if more else "Momentum3D")


def analyse(raw: ak.Array, leptons: ak.Array, jets: ak.Array) -> Selected:
    every, leptons = leptons, leptons[ak.argsort(leptons.pt, ascending=False)][:, :3]
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
    near, lepton = ak.unzip(ak.cartesian([jets, every], nested=True))
    jets = jets[ak.all(near.deltaR(lepton) > 0.4, axis=-1)]
    return {
        **{name: ak.to_numpy(raw[name]) for name in IDS},
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
    for name in IDS:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
    for name, values in ours.items():
        np.testing.assert_allclose(values, theirs[name], rtol=2e-3, atol=0.2, err_msg=name)


def make_file(path: Path, n: int, seed: int = 1) -> Path:
    """Write a file in the form of NanoAOD, in clusters, with as much again that nobody reads."""
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
        columns[name] = objects(rng, n, name, mean, scale)
    return columns | {f"HLT_Path{i}": rng.random(n) < 0.01 for i in range(30)}


def objects(rng: np.random.Generator, n: int, name: str, mean: float, scale: float) -> ak.Array:
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
    return jagged[ak.argsort(jagged.pt, ascending=False)]


def rounded(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Keep 11 bits of the mantissa, as NanoAOD does: it is what makes the files small."""
    bits = values.astype(np.float32).view(np.uint32) & np.uint32(0xFFFFF000)
    return bits.view(np.float32)


def branch_type(values: Any) -> Any:
    return ak.type(values[:0]).content if isinstance(values, ak.Array) else values.dtype
