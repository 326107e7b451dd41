"""Trilepton features from a NanoAOD file, beside the same analysis in awkward + vector and in coffea.

The file is made here: about 90 branches; jagged collections of realistic multiplicity and precision, four events in a
hundred with three good leptons, clusters of 20,000 events, ZSTD. The features are those of leptons and missing
transverse momentum, without jets, and the ids and weights of the events go with them: 14 branches, 4 of each flavour of
leptons, 2 of MET, 4 of ids and weight. Everyone opens the file once, reads it in parts of five whole clusters (100,000
events, the default of coffea) and must give the same events with the same values in every column. The floor is what
nobody can beat with this file: opening it, decompressing the baskets of the 14 branches and swapping the bytes.
Speeds are events per CPU second: on a busy machine, seconds on the clock measure the others.

Peers come in two forms. Written naturally is what tutorials teach and physicists write: leptons zipped with their
masses, which are read too (16 branches), electrons and muons concatenated and sorted in every event, then the cuts,
the events with three and the candidates; each tool with its defaults. Written for speed is what an expert makes of it:
the file mapped into memory, masses taken as known, cuts on bare columns, and leptons zipped, concatenated and sorted
only in events with three. The columns of the selected events are computed alike in both.
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
import vector

from anomalon.features import TrileptonFeatures
from anomalon.selection import TrileptonSelection, apply
from anomalon.sources import open_source

vector.register_awkward()

N_EVENTS = 600_000
CLUSTER = 20_000
CHUNK = 5 * CLUSTER
ROUNDS = 4
M_Z = 91.1876
MASSES = {"Electron": 0.000511, "Muon": 0.105658}
FLAVOUR = {"Electron": 11, "Muon": 13}
IDS = ("run", "luminosityBlock", "event", "genWeight")
EVENT = (*IDS, "MET_pt", "MET_phi")
LEPTON = ("pt", "eta", "phi", "charge")
WITH_MASS = (*LEPTON, "mass")

Selected = dict[str, npt.NDArray[Any]]


def branches(of_leptons: tuple[str, ...]) -> list[str]:
    return [*EVENT, *(f"{name}_{column}" for name in FLAVOUR for column in of_leptons)]


def run() -> list[dict[str, Any]]:
    """Ratios of events per CPU second, the best of four runs of each, in turns."""
    peers: dict[str, Callable[[Path], Any]] = {
        "awkward + vector, written naturally": with_awkward,
        "awkward + vector, written for speed": with_awkward_fast,
    }
    if has_coffea := find_spec("coffea") is not None:
        peers["coffea NanoEvents, written naturally"] = with_coffea
        peers["coffea NanoEvents, written for speed"] = with_coffea_fast
    with tempfile.TemporaryDirectory() as folder:
        path = make_file(Path(folder) / "nano.root", N_EVENTS)
        megabytes = path.stat().st_size / 1e6
        ours = with_anomalon(path)
        for peer in peers.values():
            check_equal(ours, peer(path))
        peers["floor: open, decompress, swap bytes"] = decompress
        seconds = best_of(ROUNDS, lambda: with_anomalon(path), *(lambda p=p: p(path) for p in peers.values()))
    print(f"{N_EVENTS:,} events, {len(ours['event']):,} selected, {megabytes:.0f} MB;", end=" ")
    if not has_coffea:
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
    features = TrileptonFeatures(selection=selection, jets=False)
    parts = []
    for events in open_source(path).iterate(features.requires, chunk=CHUNK):
        selected = apply(selection, events).events
        got = features.transform(selected)
        ids = {
            name: selected.numbers(ours) for name, ours in zip(IDS, ("run", "lumi", "event", "gen_weight"), strict=True)
        }
        parts.append(ids | {name: got.column(name) for name in got.names})
    return joined(parts)


def with_awkward(path: Path) -> Selected:
    """What an analyst would write."""
    tree = uproot.open(path)["Events"]
    parts = []
    for raw in tree.iterate(branches(WITH_MASS), step_size=CHUNK):
        leptons = [ak.zip({c: raw[f"{name}_{c}"] for c in WITH_MASS}, with_name="Momentum4D") for name in FLAVOUR]
        parts.append(analyse(*select(raw[list(EVENT)], *leptons)))
    return joined(parts)


def with_coffea(path: Path) -> Selected:
    """The same on coffea's NanoEvents, with its own vectors."""
    from coffea.nanoevents.methods import candidate  # noqa: PLC0415 of the group bench

    parts = []
    for events in nano_events(uproot.open(path)):
        leptons = [
            ak.zip({c: some[c] for c in WITH_MASS}, with_name="PtEtaPhiMCandidate", behavior=candidate.behavior)
            for some in (events.Electron, events.Muon)
        ]
        raw = ak.zip({name: events[name] for name in IDS} | {"MET_pt": events.MET.pt, "MET_phi": events.MET.phi})
        parts.append(analyse(*select(raw, *leptons)))
    return joined(parts)


def select(raw: ak.Array, electrons: ak.Array, muons: ak.Array) -> tuple[ak.Array, ak.Array]:
    electrons["flavour"], muons["flavour"] = FLAVOUR.values()
    leptons = ak.concatenate([electrons, muons], axis=1)
    leptons = leptons[ak.argsort(leptons.pt, ascending=False)]
    leptons = leptons[(leptons.pt > 10) & (abs(leptons.eta) < 2.5)]
    three = ak.num(leptons) >= 3
    return raw[three], leptons[three]


def with_awkward_fast(path: Path) -> Selected:
    tree = uproot.open(path, handler=uproot.MemmapSource)["Events"]
    parts = tree.iterate(branches(LEPTON), step_size=CHUNK, how=dict)
    return joined([analyse(*select_fast(raw)) for raw in parts])


def with_coffea_fast(path: Path) -> Selected:
    file = uproot.open(path, handler=uproot.MemmapSource)
    return joined([analyse(*select_fast(columns_of(events))) for events in nano_events(file)])


def nano_events(file: Any) -> Iterator[Any]:
    from coffea.nanoevents import NanoAODSchema, NanoEventsFactory  # noqa: PLC0415 of the group bench

    NanoAODSchema.warn_missing_crossrefs = False
    for start in range(0, N_EVENTS, CHUNK):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            factory = NanoEventsFactory.from_root(
                file, treepath="Events", entry_start=start, entry_stop=start + CHUNK, mode="virtual"
            )
        yield factory.events()


def columns_of(events: Any) -> dict[str, Any]:
    met = {"MET_pt": events.MET.pt, "MET_phi": events.MET.phi}
    return {name: events[name] for name in IDS} | met | {f"{n}_{c}": events[n][c] for n in FLAVOUR for c in LEPTON}


def select_fast(raw: dict[str, Any]) -> tuple[ak.Array, ak.Array]:
    good = {name: (raw[f"{name}_pt"] > 10) & (abs(raw[f"{name}_eta"]) < 2.5) for name in FLAVOUR}
    three = ak.to_numpy(sum(ak.sum(mask, axis=1) for mask in good.values()) >= 3)
    flavours = []
    for name, mask in good.items():
        more = {"mass": np.float32(MASSES[name]), "flavour": FLAVOUR[name]}
        leptons = ak.zip({c: raw[f"{name}_{c}"][three] for c in LEPTON} | more, with_name="Momentum4D")
        flavours.append(leptons[mask[three]])
    leptons = ak.concatenate(flavours, axis=1)
    events = ak.zip({name: ak.to_numpy(raw[name])[three] for name in EVENT})
    return events, leptons[ak.argsort(leptons.pt, ascending=False)]


def analyse(raw: ak.Array, leptons: ak.Array) -> Selected:
    """All columns of events with three good leptons, sorted; the Z candidate is a pair of the three leading ones."""
    triplet = leptons[:, :3]
    pairs = ak.argcombinations(triplet, 2, fields=["a", "b"])
    a, b = triplet[pairs.a], triplet[pairs.b]
    same = (a.charge * b.charge < 0) & (a.flavour == b.flavour)
    pairs, a, b = pairs[same], a[same], b[same]
    best = ak.argmin(abs((a + b).mass - M_Z), axis=1, keepdims=True)
    l1, l2 = ak.firsts(a[best]), ak.firsts(b[best])
    w = ak.firsts(triplet[(3 - pairs.a - pairs.b)[best]])
    z, all_three = l1 + l2, triplet[:, 0] + triplet[:, 1] + triplet[:, 2]
    dphi = (w.phi - raw.MET_phi + np.pi) % (2 * np.pi) - np.pi
    columns = {
        "MET_pt": raw.MET_pt,
        **{f"n{name}": ak.sum(leptons.flavour == flavour, axis=1) for name, flavour in FLAVOUR.items()},
        **{f"lep{k + 1}_pt": triplet[:, k].pt for k in range(3)},
        "Z_pt": z.pt,
        "W_lepton_pt": w.pt,
        "mT_W": np.sqrt(2 * w.pt * raw.MET_pt * (1 - np.cos(dphi))),
        "m_3l": all_three.mass,
        "LT": ak.sum(triplet.pt, axis=1),
        "dphi_W_MET": abs(dphi),
        "n_muons": ak.sum(triplet.flavour == FLAVOUR["Muon"], axis=1),
    }
    of_channel = {"Zmass": z.mass, "Dr_Z": l1.deltaR(l2), "Sum_mass": all_three.mass}
    arrays = {name: ak.to_numpy(ak.fill_none(values, np.nan)) for name, values in (columns | of_channel).items()}
    return {name: ak.to_numpy(raw[name]) for name in IDS} | by_channel(arrays, list(of_channel))


def by_channel(columns: Selected, names: list[str]) -> Selected:
    """Replace columns by one for each channel, missing in the events of the others."""
    named = {name: columns.pop(name) for name in names}
    n_muons = columns.pop("n_muons")
    for i, channel in enumerate("ABCD"):
        here = n_muons == i
        columns |= {f"{channel}_{name}": np.where(here, values, np.nan) for name, values in named.items()}
        columns[f"channel_{channel}"] = here
    return columns


def decompress(path: Path) -> int:
    """Open the file and decompress the baskets that we need; returns their bytes."""
    tree = uproot.open(path, handler=uproot.MemmapSource)["Events"]
    swapped = 0
    for branch in (tree[name] for name in branches(LEPTON)):
        for i in range(branch.num_baskets):
            data = branch.basket(i).data
            swapped += data[: len(data) // 4 * 4].view(np.uint32).byteswap().nbytes
    return swapped


def joined(parts: list[Selected]) -> Selected:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def check_equal(ours: Selected, theirs: Selected) -> None:
    """Both sides selected the same events and computed the same columns, to the precision of float32."""
    assert ours.keys() == theirs.keys(), sorted(ours.keys() ^ theirs.keys())
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
