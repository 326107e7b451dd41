"""Rapidity-mass matrices computed in every epoch, beside a matrix in memory; and the memory of training out of core.

Training and scoring of the networks of Frette 2023: once from events in a store, features computed on the fly, once
from the matrix, computed before the clock starts. Both take turns, and the median is taken. The last row trains on a
store of several times the memory that it is given, in a process of its own whose peak is measured.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from anomalon.features import RapidityMassMatrix
from anomalon.models.detector import Detector, DetectorSettings
from anomalon.store import Store, StoreWriter
from anomalon.streaming import EventBlocks, FeatureBlocks
from benchmarks.bench_rmm import make

PRESETS = ("frette2023-ae-large", "frette2023-ae-small")
EVENTS = 65_536
EPOCHS = 2
ROUNDS = 3
MEMORY_MB = 160
"""Memory that the training out of core is given, beyond that of the interpreter and its libraries."""
TIMES = 10
"""The store is so many times larger."""
PART = 200_000


def run() -> list[dict[str, Any]]:
    """Ratios of speeds on the fly to those on the matrix, and of the store's size to the peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        store = write(Path(folder) / "store", EVENTS)
        rows = [row for preset in PRESETS for row in compare(preset, store)]
        return [*rows, out_of_core(Path(folder))]


def compare(preset: str, store: Store) -> list[dict[str, Any]]:
    """Rows of training and scoring with one network."""
    matrix = RapidityMassMatrix()
    blocks = EventBlocks(store, matrix)
    features = matrix.transform(store.load())
    settings = {"kind": preset, "training": {"epochs": EPOCHS}}
    taught: dict[str, Callable[[], Any]] = {
        "ours": lambda: Detector(DetectorSettings.parse(settings)).fit_blocks(blocks),
        "peer": lambda: Detector(DetectorSettings.parse(settings)).fit_blocks(FeatureBlocks(features)),
    }
    detector = taught["peer"]()
    scored: dict[str, Callable[[], Any]] = {
        "ours": lambda: detector.score_blocks(blocks),
        "peer": lambda: detector.score_features(features),
    }
    np.testing.assert_allclose(scored["ours"](), scored["peer"](), rtol=1e-5)
    return [row("training", preset, taught, EPOCHS * EVENTS), row("scoring", preset, scored, EVENTS)]


def row(what: str, preset: str, work: dict[str, Callable[[], Any]], events: int) -> dict[str, Any]:
    """Median events per second of both, in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(ROUNDS):
        for name, do in work.items():
            start = time.perf_counter()
            do()
            seconds[name].append(time.perf_counter() - start)
    speed = {name: events / statistics.median(spent) for name, spent in seconds.items()}
    return {
        "name": f"{what} on the fly, {preset}",
        **speed,
        "ratio": speed["ours"] / speed["peer"],
        "unit": "events/s",
        "peer_name": "precomputed matrix",
    }


def write(folder: Path, n_events: int) -> Store:
    """A store of events like those of bench_rmm."""
    with StoreWriter(folder) as writer:
        for seed, start in enumerate(range(0, n_events, PART)):
            writer.append(make(min(PART, n_events - start), seed=seed))
        return writer.finish()


def out_of_core(folder: Path) -> dict[str, Any]:
    """Bytes of a store over the memory that a training on it needs."""
    wanted = TIMES * MEMORY_MB * 1_000_000
    per_event = sum(shard.size for shard in write(folder / "small", PART).shards) / PART
    store = write(folder / "large", int(1.02 * wanted / per_event))
    size = sum(shard.size for shard in store.shards)
    told = subprocess.run(
        [sys.executable, "-m", "benchmarks.train_out_of_core", str(store.path)], check=True, capture_output=True
    )
    peak = json.loads(told.stdout)["peak_bytes"]
    print(f"{store.n_events:,} events, {size / 1e9:.2f} GB; peak {peak / 1e6:.0f} MB of {MEMORY_MB} MB;", end=" ")
    return {
        "name": f"training out of core, store {TIMES} x {MEMORY_MB} MB",
        "ours": size / 1e6,
        "peer": peak / 1e6,
        "ratio": size / peak,
        "unit": "MB",
        "peer_name": "peak memory",
    }
