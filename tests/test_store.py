"""Laws of the store: what is written is read; what is damaged is refused; nothing half-made stays."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import awkward as ak
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anomalon import shards
from anomalon.errors import InvalidEventsError, LedgerError, MissingFieldError, OutputExistsError, StoreError
from anomalon.events import Events, Sample
from anomalon.ledger import Ledger, LedgerEntry
from anomalon.store import EVENTS_PER_SHARD, Store, StoreWriter, merge, sha256
from tests.random_events import random_rows

WZ = Sample(name="wz", process="WZ", cross_section_pb=0.5, sum_gen_weights=10.0)
DY = Sample(name="dy", process="DY", cross_section_pb=6000.0, sum_gen_weights=20.0)


def make(n: int = 12, seed: int = 1, sample: Sample = WZ) -> Events:
    rows = [row | {"event": i, "gen_weight": (-1.0) ** i} for i, row in enumerate(random_rows(n, seed))]
    return Events.from_dicts(rows, [sample])


def write(path: Path, *parts: Events, size: int = 5, samples=None, ledger=None) -> Store:
    with StoreWriter(path, events_per_shard=size) as writer:
        for part in parts:
            writer.append(part)
        return writer.finish(samples, ledger)


def same(a: Events, b: Events) -> bool:
    return a.samples == b.samples and ak.array_equal(a.array, b.array)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    n=st.integers(0, 12),
    seed=st.integers(0, 99),
    size=st.integers(1, 15),
    cut=st.integers(0, 12),
    chunk=st.none() | st.integers(1, 20),
)
def test_what_is_written_is_read(tmp_path_factory, n, seed, size, cut, chunk):
    events = make(n, seed)
    store = write(tmp_path_factory.mktemp("store") / "s", events[:cut], events[cut:], size=size)
    assert same(store.load(), events)
    parts = list(store.iterate(chunk=chunk))
    assert sum(map(len, parts)) == store.n_events == n
    if parts:
        assert same(Events.concatenate(parts), events)
    if chunk is not None:
        assert [len(part) for part in parts] == [chunk] * (n // chunk) + [n % chunk] * bool(n % chunk)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 30),
    cuts=st.lists(st.integers(0, 30), max_size=4),
    size=st.integers(1, 31),
    group=st.integers(1, 9),
    fields=st.none() | st.just(["jets.pt", "jets.btag", "met.phi"]),
)
def test_slices_put_together_are_the_whole(tmp_path_factory, n, cuts, size, group, fields):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "EVENTS_PER_GROUP", group)
        store = write(tmp_path_factory.mktemp("store") / "s", make(n, seed=n), size=size)
    edges = sorted({0, n, *(min(cut, n) for cut in cuts)})
    parts = [store.slice(a, b, fields) for a, b in pairwise(edges)]
    assert [len(part) for part in parts] == np.diff(edges).tolist()
    assert same(Events.concatenate(parts), store.load(fields))
    assert all(same(part, store.load(fields)[a:b]) for part, (a, b) in zip(parts, pairwise(edges), strict=True))


def test_a_slice_reads_only_the_row_groups_that_hold_it(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "EVENTS_PER_GROUP", 4)
    store = write(tmp_path / "s", make(40), size=20)
    read, inner = [], pq.ParquetFile.read_row_groups
    monkeypatch.setattr(
        pq.ParquetFile,
        "read_row_groups",
        lambda self, groups, *a, **k: read.append(groups) or inner(self, groups, *a, **k),
    )
    assert store.slice(5, 9).numbers("event").tolist() == [5, 6, 7, 8]
    assert store.slice(18, 24).numbers("event").tolist() == [18, 19, 20, 21, 22, 23]
    assert read == [[1, 2], [4], [0]]


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (3, 2), (0, 13)])
def test_a_slice_outside_of_the_store_is_refused(tmp_path, start, stop):
    with pytest.raises(InvalidEventsError, match=f"events {start} to {stop} asked for, there are 0 to 12"):
        write(tmp_path / "s", make()).slice(start, stop)


def test_an_empty_slice_has_the_columns(tmp_path):
    empty = write(tmp_path / "s", make()).slice(7, 7, ["jets.pt"])
    assert (len(empty), empty.array.jets.fields) == (0, ["pt"])
    assert len(write(tmp_path / "t", make()[:0]).slice(0, 0)) == 0


def test_a_shard_is_whole_row_groups():
    assert EVENTS_PER_SHARD % shards.EVENTS_PER_GROUP == 0


def test_shards_as_older_versions_wrote_them_are_read(tmp_path, monkeypatch):
    def write_as_before(array, path):
        table = ak.zip({name: ak.to_packed(array[name]) for name in array.fields}, depth_limit=1)
        ak.to_parquet(table, path, compression="zstd")

    monkeypatch.setattr("anomalon.store.write_shard", write_as_before)
    store = write(tmp_path / "s", make(12))
    assert same(store.load(), make(12))
    assert store.load(["jets.btag"]).array.jets.btag.to_list() == make(12).array.jets.btag.to_list()
    assert same(Events.concatenate([store.slice(0, 3), store.slice(3, 12)]), make(12))


def test_every_program_reads_the_shards(tmp_path):
    store = write(tmp_path / "s", make(5))
    table = pq.read_table(tmp_path / "s" / store.shards[0].file)
    assert table.column("event").to_pylist() == [0, 1, 2, 3, 4]
    assert ak.from_parquet(tmp_path / "s" / store.shards[0].file).to_list() == make(5).array.to_list()


def test_fields_of_any_kind_come_back(tmp_path):
    events = make(6)
    array = events.array
    array["triggers"] = ak.zip({"HLT_a": np.arange(6) % 2 == 0, "HLT_b": np.arange(6) > 3})
    array["numbers"] = ak.Array([[1, 2], [], [3], [], [], [4, 5, 6]])
    array["nested"] = ak.Array([[[1.5], []], [], [[2.5, 3.5]], [], [], [[]]])
    events = Events(array, events.samples)
    store = write(tmp_path / "s", events, size=4)
    assert same(store.load(), events)
    assert same(store.slice(1, 6), events[1:])
    assert store.slice(3, 6, ["triggers.HLT_b"]).array.triggers.HLT_b.to_list() == [False, True, True]


def test_shards_do_not_depend_on_how_events_are_handed_in(tmp_path):
    events = make(23)
    one = write(tmp_path / "one", events)
    many = write(tmp_path / "many", *(events[i : i + 3] for i in range(0, 23, 3)))
    assert [s.sha256 for s in one.shards] == [s.sha256 for s in many.shards]
    assert len(one.shards) == 5


def test_only_the_columns_asked_for_are_read(tmp_path):
    store = write(tmp_path / "s", make())
    array = store.load(["muons.pt", "met"]).array
    assert array.fields == ["run", "lumi", "event", "dataset", "gen_weight", "muons", "met"]
    assert array.muons.fields == ["pt"]
    assert array.muons.pt.to_list() == make().array.muons.pt.to_list()
    assert ak.array_equal(store.load(["electrons"]).array.electrons.energy, make().array.electrons.energy)


def test_a_field_that_is_not_there_is_named_with_near_ones(tmp_path):
    store = write(tmp_path / "s", make())
    with pytest.raises(MissingFieldError, match=r"no field 'muons.ptt'.*did you mean 'muons.pt'"):
        store.load(["muons.ptt"])


def test_columns_that_some_shards_lack_are_left_out_and_missing_factors_are_one(tmp_path):
    plain = make(3)
    rich = make(2, sample=DY)
    rich = Events(ak.with_field(rich.array, ak.zip({"fake": [0.1, 0.2]}), "factors"), rich.samples)
    rich = Events(ak.without_field(rich.array, "photons"), rich.samples)
    store = write(tmp_path / "s", plain, rich)
    loaded = store.load()
    assert "photons" not in loaded.fields
    assert loaded.array.factors.fake.to_list() == [1, 1, 1, 0.1, 0.2]
    weights = np.concatenate([plain.weights(), rich.weights()])
    assert np.allclose(loaded.weights(), weights)
    assert np.allclose(np.concatenate([part.weights() for part in store.iterate(["met"], chunk=2)]), weights)


def test_missing_factors_are_one_in_slices(tmp_path):
    rich = make(4, sample=DY)
    rich = Events(ak.with_field(rich.array, ak.zip({"b": [0.1, 0.2, 0.3, 0.4], "a": [1, 2, 3, 4.0]}), "factors"), [DY])
    other = Events(ak.with_field(make(2).array, ak.zip({"c": [0.5, 0.6], "a": [5.0, 6.0]}), "factors"), [WZ])
    store = write(tmp_path / "s", make(3), rich, other, size=20)
    events = store.slice(2, 8, ["met"])
    assert events.array.factors.a.to_list() == [1, 1, 2, 3, 4, 5]
    assert events.array.factors.b.to_list() == [1, 0.1, 0.2, 0.3, 0.4, 1]
    assert events.array.factors.c.to_list() == [1, 1, 1, 1, 1, 0.5]
    assert same(events, store.load(["met"])[2:8])


def test_samples_are_joined_by_name_and_may_be_known_at_the_end(tmp_path):
    provisional = WZ.model_copy(update={"sum_gen_weights": None})
    with StoreWriter(tmp_path / "s") as writer:
        for part in (make(2, sample=DY), make(3, sample=provisional), make(1, sample=DY)):
            writer.append(part)
        store = writer.finish([WZ, DY])
    assert store.samples == (DY, WZ)
    assert store.load().processes().tolist() == ["DY", "DY", "WZ", "WZ", "WZ", "DY"]


def test_final_samples_must_hold_every_sample_in_use(tmp_path):
    with pytest.raises(StoreError, match="no final sample called wz; given: dy"):
        write(tmp_path / "s", make(2), samples=[DY])
    assert not any(tmp_path.iterdir())


def test_provisional_samples_that_disagree_need_final_ones(tmp_path):
    other = WZ.model_copy(update={"sum_gen_weights": 3.0})
    with pytest.raises(InvalidEventsError, match="two different samples are called 'wz'"):
        write(tmp_path / "s", make(2), make(2, sample=other))


def test_a_failure_leaves_nothing_and_keeps_the_store_that_was_there(tmp_path):
    write(tmp_path / "s", make(4))
    lost = pytest.raises(RuntimeError)
    with lost, StoreWriter(tmp_path / "s", overwrite=True, events_per_shard=2) as writer:
        writer.append(make(9))
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["s"]
    assert Store(tmp_path / "s").n_events == 4


def test_a_killed_writer_leaves_nothing_under_the_final_name(tmp_path):
    code = f"""
import os, signal
from anomalon.events import Events
from anomalon.store import StoreWriter
writer = StoreWriter({str(tmp_path / "s")!r}, events_per_shard=1)
writer.append(Events.from_dicts([{{}}, {{}}]))
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    assert [p.suffix for p in tmp_path.iterdir()] == [".partial"]
    assert write(tmp_path / "s", make(2)).n_events == 2


def test_a_store_that_is_there_is_replaced_only_when_asked(tmp_path):
    write(tmp_path / "s", make(4))
    with pytest.raises(OutputExistsError, match="already there"):
        StoreWriter(tmp_path / "s")
    with StoreWriter(tmp_path / "s", overwrite=True) as writer:
        writer.append(make(2))
    assert Store(tmp_path / "s").n_events == 2
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


def test_what_is_not_a_store_is_never_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(StoreError, match="not a store: not overwritten"):
        StoreWriter(tmp_path, overwrite=True)


def test_one_flipped_bit_in_a_shard_is_refused(tmp_path):
    store = write(tmp_path / "s", make(9))
    shard = tmp_path / "s" / store.shards[1].file
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    reads = (
        lambda s: s.load(),
        lambda s: s.verify(),
        lambda s: list(s.iterate(["met"])),
        lambda s: s.slice(4, 6, ["met"]),
    )
    for read in reads:
        with pytest.raises(StoreError, match=r"shard-00001.parquet: changed since it was written"):
            read(Store(tmp_path / "s"))


def test_a_shard_that_changes_while_the_store_is_open_is_refused(tmp_path):
    store = write(tmp_path / "s", make(9))
    store.load()
    shard = tmp_path / "s" / store.shards[1].file
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    for read in (lambda: store.slice(4, 6, ["met"]), store.load, store.verify):
        with pytest.raises(StoreError, match=r"shard-00001.parquet: changed since it was written"):
            read()


def test_a_shard_that_is_cut_or_gone_is_refused_on_opening(tmp_path):
    store = write(tmp_path / "s", make(9))
    shard = tmp_path / "s" / store.shards[0].file
    shard.write_bytes(shard.read_bytes()[:-10])
    with pytest.raises(StoreError, match="the manifest says"):
        Store(tmp_path / "s")
    shard.unlink()
    with pytest.raises(StoreError, match="missing, the manifest says"):
        Store(tmp_path / "s")


def test_a_manifest_that_was_edited_is_refused(tmp_path):
    write(tmp_path / "s", make(2))
    manifest = tmp_path / "s" / "manifest.json"
    manifest.write_text(manifest.read_text().replace("0.5", "0.6"))
    with pytest.raises(StoreError, match="digest differs"):
        Store(tmp_path / "s")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not a readable manifest"),
        ("[]", "not a readable manifest"),
        ("{}", "not a readable manifest"),
        (json.dumps({"format": "anomalon-store", "version": 99, "digest": ""}), "version 99"),
    ],
)
def test_a_manifest_of_another_kind_is_refused(tmp_path, content, message):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(StoreError, match=message):
        Store(tmp_path)


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_a_path_without_a_store_is_refused(tmp_path, name):
    with pytest.raises(StoreError, match="not a store"):
        Store(tmp_path / name)


def test_a_store_without_events_keeps_its_columns(tmp_path):
    store = write(tmp_path / "s", make(3)[:0])
    assert store.n_events == len(store.load()) == 0
    assert store.load(["muons"]).array.muons.fields == ["pt", "eta", "phi", "mass", "charge"]
    assert list(store.iterate()) == []


def test_a_store_needs_at_least_an_empty_table(tmp_path):
    with pytest.raises(StoreError, match="no events to store"), StoreWriter(tmp_path / "s"):
        pass
    assert not any(tmp_path.iterdir())


def test_the_ledger_is_kept_and_must_balance(tmp_path):
    ledger = Ledger((LedgerEntry("a", read=3, written=2, skipped={"NaN": 1}),))
    assert write(tmp_path / "s", make(2), ledger=ledger).ledger == ledger
    with pytest.raises(LedgerError, match="a: 3 events read but 2 accounted"):
        write(tmp_path / "t", make(2), ledger=Ledger((LedgerEntry("a", read=3, written=2),)))


def test_merging_keeps_events_samples_and_ledgers(tmp_path):
    a, b = write(tmp_path / "a", make(4)), write(tmp_path / "b", make(3, seed=2, sample=DY))
    merged = merge([a, tmp_path / "b"], tmp_path / "c")
    assert same(merged.load(), Events.concatenate([a.load(), b.load()]))
    with pytest.raises(InvalidEventsError, match="no stores to merge"):
        merge([], tmp_path / "d")


def test_the_hash_is_that_of_the_bytes(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
