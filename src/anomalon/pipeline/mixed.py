"""The selected events of all samples in one store, in the order in which learners walk through them.

Training background comes first, then validation background, then all others; inside each part the processes are mixed.
So learners read contiguous blocks, each with the process mix of the whole, and memory is bounded by a bucket of events
however many there are.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from anomalon.events import Events
from anomalon.pipeline.cache import StageCache, code_digest
from anomalon.pipeline.progress import Progress
from anomalon.store import Store, StoreWriter
from anomalon.streaming import ROWS

Ints = npt.NDArray[np.int64]

BUCKET = 16 * ROWS
"""Events of the mixed store that are sorted in memory at a time."""


def mixed_stage(stores: Sequence[Store], places: Ints, cache: StageCache, progress: Progress) -> Path:
    """Folder of the mixed store, made by :func:`mix_events` or taken from the cache."""
    key = {"selected": [s.digest for s in stores], "places": hashlib.sha256(places.tobytes()).hexdigest()}
    key["code"] = code_digest("store", "pipeline/mixed")

    def produce(folder: Path) -> None:
        progress.start("mix events")
        mix_events(stores, places, folder / "store")

    return cache.make("events", key, produce) / "store"


def mix_events(stores: Sequence[Store], places: Ints, folder: Path) -> Store:
    """Write the events of stores, one after the other, to their places in a new store.

    Args:
        stores: with different samples and the same columns.
        places: position in the new store of every event, in the order of the stores, shape (event,).
        folder: to make; left-overs in it are replaced.
    """
    buckets = folder.with_name(f"{folder.name}.buckets")
    shutil.rmtree(buckets, ignore_errors=True)
    order = _scatter(stores, places, buckets)
    with StoreWriter(folder, overwrite=True, events_per_shard=4 * ROWS) as writer:
        for number, found in enumerate(order):
            events = Store(buckets / str(number)).load()
            writer.append(events[np.argsort(np.concatenate(found))])
        mixed = writer.finish([sample for store in stores for sample in store.samples])
    shutil.rmtree(buckets)
    return mixed


def _scatter(stores: Sequence[Store], places: Ints, folder: Path) -> list[list[Ints]]:
    """Spread the events over one store per bucket; the places of the events in each, in the order of writing."""
    number = max(-(-len(places) // BUCKET), 1)
    writers = [StoreWriter(folder / str(i), events_per_shard=ROWS) for i in range(number)]
    order: list[list[Ints]] = [[np.zeros(0, dtype=np.int64)] for _ in writers]
    for events, own in _parts(stores, places):
        bucket = own // BUCKET
        for i in np.unique(bucket) if len(bucket) else (0,):  # without events, a table of none
            writers[i].append(events[bucket == i])
            order[i].append(own[bucket == i])
    for writer in writers:
        with writer:
            writer.finish()
    return order


def _parts(stores: Sequence[Store], places: Ints) -> Iterator[tuple[Events, Ints]]:
    start = 0
    for store in stores:
        for events in store.iterate() if store.n_events else [store.load()]:
            yield events, places[start : start + len(events)]
            start += len(events)
