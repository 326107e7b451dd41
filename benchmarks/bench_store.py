"""The columns of the trilepton variables from our store beside uproot reading the same from ZSTD NanoAOD.

Both sides end with the numbers in memory, chunk by chunk; the store holds every event and every column that
``anomalon read`` takes from the file. Seconds of the processor, in turns.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import uproot

from anomalon.features import TrileptonFeatures
from anomalon.sources import ingest
from anomalon.store import Store
from benchmarks.bench_nanoaod import LEPTON, best_of, branches, make_file

N_EVENTS = 400_000
CHUNK = 50_000
ROUNDS = 5


def run() -> list[dict[str, Any]]:
    """Ratio of events per CPU second, ours to uproot's; the best of five runs of each."""
    with tempfile.TemporaryDirectory() as folder:
        path = make_file(Path(folder) / "nano.root", N_EVENTS)
        store = Path(folder) / "store"
        ingest([path], store)
        if from_store(store) != from_root(path):
            raise ValueError("the store and the file give different numbers of leptons")
        ours, peer = best_of(ROUNDS, lambda: from_store(store), lambda: from_root(path))
    print(f"{N_EVENTS:,} events;", end=" ")
    speeds = {"ours": N_EVENTS / ours, "peer": N_EVENTS / peer, "ratio": peer / ours}
    return [{"name": "trilepton columns from the store", **speeds, "unit": "events/CPU s", "peer_name": "uproot"}]


def from_store(path: Path) -> int:
    """Read the columns; returns the number of electrons and muons."""
    parts = Store(path).iterate(TrileptonFeatures(jets=False).requires)
    return sum(len(events.lists(name, ["pt"])["pt"]) for events in parts for name in ("electrons", "muons"))


def from_root(path: Path) -> int:
    """Read the same columns from the NanoAOD file."""
    parts = uproot.iterate(f"{path}:Events", branches(LEPTON), step_size=CHUNK, how=dict)
    return sum(len(part[f"{name}_pt"].layout.content) for part in parts for name in ("Electron", "Muon"))
