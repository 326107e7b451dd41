from __future__ import annotations

import os
import signal
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from anomalon import mapreduce
from anomalon.errors import ConfigError, InputFileError, MissingExtraError, WorkerError
from anomalon.events import Events
from anomalon.mapreduce import Part, map_reduce, parts
from anomalon.sources import open_source
from anomalon.store import Store, StoreWriter
from tests.sources.nano_files import nano_branches, write_nano

CLUSTER = 10


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nano")
    return [write_nano(folder / f"{i}.root", nano_branches(45, seed=i), step=CLUSTER) for i in range(3)]


def count(part: Part) -> Counter[str]:
    """Sums over a part: exact (events), and in floating point, where the order of the sum shows (pt)."""
    total: Counter[str] = Counter()
    for events in part.iterate(["muons.pt", "met.pt"]):
        total["events"] += len(events)
        total["pt"] += float(np.sum(events.lists("muons", ["pt"])["pt"], dtype=np.float64))
        total["id"] += int(events.numbers("event").sum())
    return total


def count_but_die_once(marker: str, how: int, part: Part) -> Counter[str]:
    if part.start == 2 * CLUSTER and not os.path.exists(marker):  # noqa: PTH110 as cheap as it looks
        Path(marker).touch()
        os.kill(os.getpid(), how)
    return count(part)


def always_die(part: Part) -> Counter[str]:
    os._exit(3)


def refuse(part: Part) -> int:
    raise ValueError(f"no {part.start}")


def test_parts_cover_every_event_once_and_end_where_clusters_do(files):
    cut = parts(files, 2 * CLUSTER)
    assert [(p.start, p.stop) for p in cut] == [(0, 20), (20, 40), (40, 45)] * 3
    assert [p.path for p in cut] == [str(f) for f in files for _ in range(3)]


def test_a_part_gives_the_events_of_its_range(files):
    part = Part(str(files[1]), 7, 23)
    numbers = [int(n) for events in part.iterate(["met.pt"], chunk=5) for n in events.numbers("event")]
    assert numbers == list(range(1007, 1023))


def test_parts_of_a_store_cover_every_event_once(files, tmp_path):
    with StoreWriter(tmp_path / "s", events_per_shard=60) as writer:
        for file in files:
            writer.append(Events.concatenate(open_source(file).iterate(["muons", "met"])))
    cut = parts([tmp_path / "s"], chunk=50)
    assert [(p.start, p.stop) for p in cut] == [(0, 50), (50, 60), (60, 110), (110, 120), (120, 135)]
    numbers = [int(n) for part in cut for events in part.iterate(["met.pt"], 7) for n in events.numbers("event")]
    assert numbers == Store(tmp_path / "s").load().numbers("event").tolist()
    assert map_reduce(count, [tmp_path / "s"], workers=1)["id"] == map_reduce(count, files, workers=1)["id"]


def test_a_store_without_events_is_one_empty_part(tmp_path):
    with StoreWriter(tmp_path / "s") as writer:
        writer.append(Events.from_dicts([{"event": 1}])[:0])
    (part,) = parts([tmp_path / "s"])
    assert sum(len(events) for events in part.iterate()) == 0


def test_two_workers_give_the_result_of_one(files):
    seen: list[tuple[int, int]] = []
    one = map_reduce(count, files, chunk=CLUSTER, workers=1, progress=lambda done, n: seen.append((done, n)))
    assert one["events"] == 135
    assert one["id"] == sum(1000 * i * 45 + 45 * 44 // 2 for i in range(3))
    assert seen == [(i, 15) for i in range(1, 16)]
    assert map_reduce(count, files, chunk=CLUSTER, workers=2) == one


def test_the_part_of_a_killed_worker_is_done_again(files, tmp_path):
    marker = tmp_path / "died"
    got = map_reduce(partial(count_but_die_once, str(marker), signal.SIGKILL), files, chunk=CLUSTER, workers=2)
    assert marker.exists()
    assert got == map_reduce(count, files, chunk=CLUSTER, workers=1)


def test_workers_that_always_die_end_the_run_with_the_reason(files):
    with pytest.raises(WorkerError, match=r"died 3 times, last near Part\(.*start=0.*memory"):
        map_reduce(always_die, files[:1], chunk=2 * CLUSTER, workers=2)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_the_function_is_passed_on(files, workers):
    with pytest.raises(ValueError, match="no 0"):
        map_reduce(refuse, files[:1], chunk=CLUSTER, workers=workers)


def test_another_reduction_is_used(files):
    assert map_reduce(max_event, files, reduce=max, workers=1) == 2044


def max_event(part: Part) -> int:
    return max(int(events.numbers("event").max()) for events in part.iterate(["met.pt"]))


@pytest.mark.parametrize(("options", "message"), [({"workers": 0}, "workers = 0"), ({"chunk": 0}, "chunk = 0")])
def test_impossible_settings_are_refused(files, options, message):
    with pytest.raises(ConfigError, match=message):
        map_reduce(count, files, **options)


def test_nothing_to_map_is_said(tmp_path):
    with pytest.raises(ConfigError, match="no files"):
        map_reduce(count, [])
    with pytest.raises(InputFileError, match="no such file"):
        map_reduce(count, [tmp_path / "none.root"])


def test_a_scheduler_without_dask_names_the_extra(files, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"anomalon\[scale\]"):
        map_reduce(count, files, scheduler="tcp://127.0.0.1:1")


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed", reason='needs the extra scale: pip install "anomalon[scale]"')
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, memory_limit=0
    ) as running:
        yield running


def test_a_cluster_gives_the_result_of_one_worker_though_a_worker_is_killed(files, tmp_path, cluster):
    marker = tmp_path / "died"
    function = partial(count_but_die_once, str(marker), signal.SIGKILL)
    got = map_reduce(function, files, chunk=CLUSTER, scheduler=cluster.scheduler_address)
    assert marker.exists()
    assert got == map_reduce(count, files, chunk=CLUSTER, workers=1)


def test_a_part_that_kills_every_worker_of_a_cluster_ends_the_run(files, cluster):
    with pytest.raises(WorkerError, match=r"events 0 to 45 of .*0\.root: every worker that took them died"):
        map_reduce(always_die, files[:1], scheduler=cluster.scheduler_address)


def test_a_scheduler_that_is_not_there_is_said(files, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(mapreduce, "_PATIENCE", 0.5)
    with pytest.raises(WorkerError, match=r"tcp://127\.0\.0\.1:9: cannot be reached"):
        map_reduce(count, files, scheduler="tcp://127.0.0.1:9")
