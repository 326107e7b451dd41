"""Memory does not grow with the input: each task runs on some events and on five times as many.

What is compared is the highest resident memory of a process of its own, mapped files included. Reading is the one task
that has to remember something of every event, its number, so that none counts twice: 8 bytes, and as much again while
the numbers of a luminosity block are joined.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from anomalon.sources import ingest
from anomalon.store import EVENTS_PER_SHARD, Store
from tests.sources.nano_files import nano_branches, write_nano

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),  # two million events are written and read
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to see a process's peak memory"),
]

SHARDS, FACTOR = 4, 5
"""Shards of the small input (whatever is held at a time is full), and how much larger the large one is."""

ALLOWED = 0.15
"""Growth of the peak, as a fraction of the growth of the events in memory: what allocators keep differs by a tenth."""

REMEMBERED = {"read Dark Machines": 24, "read NanoAOD": 24}
"""Bytes per event that a task has to keep beyond that."""

TASKS = {
    "read Dark Machines": "ingest([folder / 'events.csv'], output)",
    "read NanoAOD": "ingest([folder / 'nano.root'], output)",
    "write and merge": "merge([folder / 'store'], output)",
    "iterate over shards": "sum(len(part) for part in Store(folder / 'store').iterate())",
    "iterate over chunks": "sum(len(part) for part in Store(folder / 'store').iterate(chunk=20_000))",
    "slices at random": "slices(Store(folder / 'store'))",
    "features": "export_features(folder / 'store', output.with_suffix('.parquet'))",
    "export to a store": "export_events(folder / 'store', output)",
    "export to ROOT": "export_events(folder / 'store', output.with_suffix('.root'))",
    "export to HDF5": "export_events(folder / 'store', output.with_suffix('.h5'))",
    "map and reduce": "map_reduce(count, [folder / 'nano.root'], workers=1)",
}

PROGRAM = """
import json
import os
import resource
import sys
from pathlib import Path

import numpy as np

from anomalon.mapreduce import map_reduce
from anomalon.pipeline.export import export_features
from anomalon.pipeline.export_events import export_events
from anomalon.sources import ingest
from anomalon.store import Store, merge


def slices(store, size=16_384):
    for start in np.random.default_rng(1).permutation(np.arange(0, store.n_events, size)):
        store.slice(int(start), min(int(start) + size, store.n_events))


def count(part):
    return sum(len(events) for events in part.iterate())


def memory(kind):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(kind)) * 1024


def peak(code, folder, output):
    # in a child, whose peak starts at what the imports take
    read, write = os.pipe()
    if os.fork() == 0:
        exec(code, globals() | {"folder": folder, "output": output})
        os.write(write, str(memory("VmHWM")).encode())
        os._exit(0)
    os.close(write)
    with open(read) as answer:
        return int(answer.read())


tasks, folders, work = json.loads(sys.argv[1]), map(Path, sys.argv[2:-1]), Path(sys.argv[-1])
"""


def run(code: str, tasks: object, *paths: Path) -> str:
    command = [sys.executable, "-c", PROGRAM + code, json.dumps(tasks), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two folders with the same kinds of input, the second with five times as many events."""
    folders = []
    for times in (1, FACTOR):
        folder = tmp_path_factory.mktemp(f"times{times}")
        n = SHARDS * times * EVENTS_PER_SHARD
        branches = nano_branches(n) | {"luminosityBlock": (np.arange(n) // 1000).astype(np.uint32)}
        write_nano(folder / "nano.root", branches, step=20_000)
        write_csv(folder / "events.csv", n)
        ingest([folder / "nano.root"], folder / "store")
        folders.append(folder)
    return folders


def write_csv(path: Path, n: int) -> None:
    rng = np.random.default_rng(1)
    tails = [
        f";ttbar;1;{met:.6g};1.5;"
        + ";".join(f"j,{3 * pt:.6g},{pt:.6g},1.1,-2.2" for pt in 2e4 + rng.exponential(4e4, 5))
        for met in rng.exponential(5e4, 500)
    ]
    with path.open("w") as file:
        file.writelines(f"{i}{tails[i % 500]}\n" for i in range(n))


@pytest.fixture(scope="module")
def peaks(inputs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[int]]:
    """Highest memory in bytes of each task, for the small and the large input."""
    code = """
folders = list(folders)
print(json.dumps({
    name: [peak(task, folder, work / f"{i}-{j}") for j, folder in enumerate(folders)]
    for i, (name, task) in enumerate(tasks.items())
}))
"""
    answer: dict[str, list[int]] = json.loads(run(code, TASKS, *inputs, tmp_path_factory.mktemp("work")))
    return answer


@pytest.mark.parametrize("task", TASKS)
def test_memory_does_not_grow_with_the_input(task: str, peaks: dict[str, list[int]], inputs: list[Path]) -> None:
    small, large = peaks[task]
    store = Store(inputs[1] / "store")
    new = 1 - 1 / FACTOR
    allowed = new * (ALLOWED * store.load().array.nbytes + REMEMBERED.get(task, 0) * store.n_events)
    assert large - small < allowed, (
        f"{small / 1e6:.0f} MB became {large / 1e6:.0f} MB, at most {allowed / 1e6:.0f} more"
    )


def test_a_store_five_times_larger_than_the_memory_is_processed(inputs: list[Path], tmp_path: Path) -> None:
    code = """
small, large = map(Store, folders)
whole = large.load().array.nbytes


def process(store, output):
    slices(store)
    return sum(len(part) for part in store.iterate()) == store.n_events == merge([store], output).n_events


assert process(small, work / "small")  # what libraries take once, they take before
resource.setrlimit(resource.RLIMIT_DATA, (memory("VmData") + whole // 5, resource.RLIM_INFINITY))
assert process(large, work / "large")
try:
    keep = [large.load() for _ in range(2)]
except MemoryError:
    print("more would not have fitted")
"""
    assert run(code, None, *(folder / "store" for folder in inputs), tmp_path).strip() == "more would not have fitted"
