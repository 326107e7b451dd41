from __future__ import annotations

import json
from pathlib import Path

import pytest

from anomalon.cli import main
from anomalon.events import Events
from anomalon.selection import TrileptonSelection, apply
from anomalon.sources import open_source
from anomalon.store import Store, StoreWriter
from anomalon.writers import load_padded
from tests.writers.exported import DATA, WZ, rich_events


def run(*arguments: object) -> int | str | None:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return stop.value.code


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("stores") / "mixed"
    with StoreWriter(path) as writer:
        writer.append(Events.concatenate([rich_events(60), rich_events(20, 2, DATA)]))
    return path


def test_a_skim_keeps_the_selected_events_and_the_sum_of_weights(store, tmp_path, capsys):
    assert run("export", store, "-o", tmp_path / "skim", "--selected", "--sample", "wz", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    everything = Store(store).load()
    expected = apply(TrileptonSelection(), everything[~everything.is_data()]).events
    made = Store(tmp_path / "skim")
    assert summary["written"] == made.n_events == len(expected) > 0
    assert made.samples == (WZ,)
    assert made.load().weights(140.0).tolist() == expected.weights(140.0).tolist()
    entry = made.ledger.check().entries[-1]
    assert (entry.read, entry.written) == (80, len(expected))


def test_only_the_fields_asked_for_are_written(store, tmp_path):
    assert run("export", store, "-o", tmp_path / "x.h5", "--fields", "muons,met", "--selected") == 0
    assert set(load_padded(tmp_path / "x.h5").fields) == {
        "run", "lumi", "event", "dataset", "gen_weight", "muons", "met", "factors",
    }  # fmt: skip


def test_a_root_file_reads_as_nanoaod(store, tmp_path):
    assert run("export", store, "-o", tmp_path / "x.root", "--sample", "muons") == 0
    assert open_source(tmp_path / "x.root").info().format == "cms-nanoaod"
    assert run("read", tmp_path / "x.root", "-o", tmp_path / "again") == 0


MISTAKES = {
    "several samples in ROOT": (["-o", "x.root"], "one sample per file, given wz, muons"),
    "unknown sample": (["-o", "x.root", "--sample", "wx"], "no sample 'wx'; allowed: muons, wz"),
    "unknown format": (["-o", "x", "-f", "hdf"], "no format 'hdf' to write; did you mean 'hdf5'?"),
    "unknown ending": (["-o", "x.txt"], "the ending names no format"),
    "no directory": (["-o", "there/x.h5"], "no such directory"),
    "unknown field": (["-o", "x.h5", "--fields", "muon"], "no field 'muon' in this store; did you mean 'muons'"),
    "zero objects": (["-o", "x.h5", "--max-objects", "0"], "max_objects = 0"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_gives_one_line_and_leaves_nothing(case, store, tmp_path, monkeypatch, capsys):
    arguments, message = MISTAKES[case]
    monkeypatch.chdir(tmp_path)
    assert run("export", store, *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
