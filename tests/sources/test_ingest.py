"""Files of a dataset into a store: sums add up, duplicates go, the ledger balances, nothing half-made stays."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from anomalon.errors import ConfigError, InputFileError, MissingFieldError, OutputExistsError
from anomalon.sources import ReadSettings, ingest
from anomalon.sources.root import open_tables
from anomalon.store import Store, sha256
from tests.sources.nano_files import as_data, nano_branches, write_nano

RUNS = {"run": np.array([1]), "genEventSumw": np.array([100.0]), "genEventCount": np.array([120])}


def two_files(folder, *, data=False, runs=None):
    """Files a and b of 30 and 20 different events."""
    parts = {"a": nano_branches(30), "b": nano_branches(20, seed=1)}
    return [
        write_nano(folder / f"{name}.root", as_data(raw) if data else raw, runs=runs) for name, raw in parts.items()
    ]


def test_files_of_one_process_share_a_sample_whose_sums_add_up(tmp_path):
    files = two_files(tmp_path, runs=RUNS)
    settings = ReadSettings(process="DY", cross_section_pb=6077.0, k_factor=1.2, filter_efficiency=0.5)
    store = ingest(files, tmp_path / "s", settings)
    (sample,) = store.samples
    assert (sample.name, sample.process, sample.origin) == ("DY", "DY", "simulation")
    assert (sample.sum_gen_weights, sample.n_generated) == (200.0, 240)
    assert (sample.cross_section_pb, sample.k_factor, sample.filter_efficiency) == (6077.0, 1.2, 0.5)
    assert sample.provenance["files"] == [str(file) for file in files]
    events = store.load()
    expected = 6077.0 * 1000 * 1.2 * 0.5 * 10 / 200.0 * events.array.gen_weight.to_numpy()
    assert np.allclose(events.weights(luminosity=10.0), expected)


def test_without_a_process_every_file_is_its_own_sample(tmp_path):
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
    files = [write_nano(tmp_path / n / "same.root", nano_branches(5, seed=i)) for i, n in enumerate(("x", "y"))]
    store = ingest(files, tmp_path / "s")
    assert [(s.name, s.process) for s in store.samples] == [("same", "unknown"), ("same-2", "unknown")]
    assert store.load().array.dataset.to_list() == [0] * 5 + [1] * 5


@pytest.mark.parametrize("chunk", [3, 1000])
def test_data_events_that_overlap_are_kept_once_and_counted(tmp_path, chunk):
    a, b = as_data(nano_branches(30)), as_data(nano_branches(20))
    files = [write_nano(tmp_path / "a.root", a), write_nano(tmp_path / "b.root", b)]
    for settings in (ReadSettings(chunk=chunk), ReadSettings(chunk=chunk, process="data", keep_duplicates=True)):
        store = ingest(files, tmp_path / f"s-{settings.process}", settings)
        assert store.n_events == 30
        assert [(e.read, e.duplicated, e.written) for e in store.ledger] == [(30, 0, 30), (20, 20, 0)]
        assert store.ledger.check().totals.read == 50


def test_simulated_events_that_repeat_are_refused_or_allowed(tmp_path):
    files = two_files(tmp_path)
    again = write_nano(tmp_path / "c.root", nano_branches(10))
    with pytest.raises(InputFileError, match=r"c\.root: simulated event 1:0:0 \(run:lumi:event\) has been read before"):
        ingest([*files, again], tmp_path / "s", ReadSettings(process="DY"))
    assert not list(tmp_path.glob("s*"))
    store = ingest([*files, again], tmp_path / "s", ReadSettings(process="DY", keep_duplicates=True))
    assert store.n_events == 60


def test_the_same_file_twice_is_refused(tmp_path):
    a, _ = two_files(tmp_path)
    copy = tmp_path / "copy.root"
    copy.write_bytes(a.read_bytes())
    with pytest.raises(InputFileError, match=r"copy\.root: the same file as .*a\.root"):
        ingest([a, copy], tmp_path / "s")
    assert ingest([a, a, str(a)], tmp_path / "s").n_events == 30


def test_a_cut_file_stops_the_reading_or_is_listed_and_left_out_of_the_sums(tmp_path):
    a, b = two_files(tmp_path, runs=RUNS)
    b.write_bytes(b.read_bytes()[: b.stat().st_size // 2])
    with pytest.raises(InputFileError, match=r"b\.root: cut short"):
        ingest([a, b], tmp_path / "s", ReadSettings(process="DY"))
    assert not list(tmp_path.glob("s*"))
    store = ingest([a, b], tmp_path / "s", ReadSettings(process="DY", skip_bad=True))
    assert (store.n_events, store.samples[0].sum_gen_weights) == (30, 100.0)
    assert store.ledger.totals.failed == 1
    assert "cut short" in store.ledger.entries[1].error


def test_a_file_that_breaks_in_the_middle_leaves_no_events_behind(tmp_path):
    a = write_nano(tmp_path / "a.root", nano_branches(30))
    b = write_nano(tmp_path / "b.root", nano_branches(400, seed=1), step=100)
    content = bytearray(b.read_bytes())
    where = open_tables(b)["Events"]["Muon_phi"].member("fBasketSeek")[2]
    content[where : where + 200] = b"\xff" * 200
    b.write_bytes(content)
    settings = ReadSettings(process="DY", skip_bad=True, chunk=50)
    store = ingest([b, a], tmp_path / "s", settings)
    assert store.n_events == 30
    assert [bool(entry.error) for entry in store.ledger] == [True, False]


def test_luminosity_is_lowered_with_the_files_that_are_lost(tmp_path):
    a, b = two_files(tmp_path, data=True)
    b.write_bytes(b"")
    settings = ReadSettings(process="data", luminosity_fb=10.0, skip_bad=True)
    (sample,) = ingest([a, b], tmp_path / "s", settings).samples
    assert sample.luminosity_fb == 5.0
    assert sample.provenance["luminosity_fb_of_all_files"] == 10.0


def test_when_no_file_can_be_read_there_is_no_store(tmp_path):
    (tmp_path / "a.root").write_bytes(b"")
    with pytest.raises(InputFileError, match=r"none of the 1 files can be read; the first: .*empty file"):
        ingest([tmp_path / "a.root"], tmp_path / "s", ReadSettings(skip_bad=True))


def test_a_file_whose_hash_is_registered_and_differs_is_refused(tmp_path):
    files = two_files(tmp_path)
    sums = tmp_path / "SHA256SUMS"
    sums.write_text("".join(f"{sha256(file)}  ./{file.name}\n" for file in files))
    settings = ReadSettings(checksums=sums)
    assert ingest(files, tmp_path / "s", settings).n_events == 50
    content = bytearray(files[1].read_bytes())
    content[len(content) // 2] ^= 1
    files[1].write_bytes(content)
    with pytest.raises(InputFileError, match=r"b\.root: changed: its sha256 starts with"):
        ingest(files, tmp_path / "t", settings)


def test_a_list_of_checksums_of_another_form_is_refused(tmp_path):
    (a, _), sums = two_files(tmp_path), tmp_path / "sums"
    sums.write_text("abc a.root\n")
    with pytest.raises(InputFileError, match=r"sums, line 1: 'abc a\.root', expected 'SHA256  NAME'"):
        ingest([a], tmp_path / "s", ReadSettings(checksums=sums))
    with pytest.raises(InputFileError, match="cannot be read as a list"):
        ingest([a], tmp_path / "s", ReadSettings(checksums=tmp_path / "none"))


def test_data_and_simulation_do_not_share_a_process(tmp_path):
    a, _ = two_files(tmp_path)
    data = write_nano(tmp_path / "data.root", as_data(nano_branches(5)))
    with pytest.raises(ConfigError, match=r"process 'X': .*data\.root is collision data and .*a\.root simulation"):
        ingest([a, data], tmp_path / "s", ReadSettings(process="X"))
    with pytest.raises(ConfigError, match="collision data: it has no cross section"):
        ingest([data], tmp_path / "s", ReadSettings(cross_section_pb=1.0))


def test_every_file_is_checked_for_the_fields_before_an_event_is_written(tmp_path):
    a, _ = two_files(tmp_path)
    raw = {name: values for name, values in nano_branches(5, seed=2).items() if not name.startswith("Jet")}
    bare = write_nano(tmp_path / "bare.root", raw)
    reported = []
    with pytest.raises(MissingFieldError, match=r"bare\.root: missing branch: jets.eta needs Jet_eta"):
        ingest([a, bare], tmp_path / "s", ReadSettings(fields=("jets",)), on_progress=lambda *x: reported.append(x))
    assert reported == []
    assert not list(tmp_path.glob("s*"))


def test_only_the_fields_asked_for_are_stored_and_progress_reaches_the_end(tmp_path):
    reported = []
    settings = ReadSettings(fields=("muons.pt", "met"), chunk=20)
    store = ingest(two_files(tmp_path), tmp_path / "s", settings, on_progress=lambda *x: reported.append(x))
    assert store.fields == ("run", "lumi", "event", "gen_weight", "dataset", "muons.pt", "met.pt", "met.phi")
    assert reported == [(20, 50), (30, 50), (50, 50)]


def test_chunk_size_does_not_change_the_store(tmp_path):
    files = two_files(tmp_path)
    stores = [ingest(files, tmp_path / f"s{chunk}", ReadSettings(chunk=chunk)) for chunk in (4, 1000)]
    assert stores[0].shards == stores[1].shards


def test_files_without_events_make_an_empty_store(tmp_path):
    store = ingest([write_nano(tmp_path / "a.root", nano_branches(0))], tmp_path / "s")
    assert (store.n_events, store.ledger.totals.read) == (0, 0)


def test_an_output_that_is_there_is_refused_first(tmp_path):
    files = two_files(tmp_path)
    store = ingest(files, tmp_path / "s")
    with pytest.raises(OutputExistsError):
        ingest([tmp_path / "none.root"], store.path)
    assert ingest(files[:1], store.path, overwrite=True).n_events == 30
    assert Store(store.path).n_events == 30


def test_a_store_is_not_read_into_a_store(tmp_path):
    ingest(two_files(tmp_path), tmp_path / "s")
    with pytest.raises(InputFileError, match="is a store already"):
        ingest([tmp_path / "s"], tmp_path / "t")


@pytest.mark.parametrize(
    "values", [{"cross_section_pb": -1}, {"filter_efficiency": 1.5}, {"chunk": 0}, {"process": ""}]
)
def test_impossible_settings_are_refused(values):
    with pytest.raises(ValidationError):
        ReadSettings(**values)
