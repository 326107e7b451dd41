"""Every mistake is one readable line and exit code 2; nothing is executed and nothing half-written stays."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import awkward as ak
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from anomalon.cli import _app
from anomalon.errors import RunError
from anomalon.partial import held
from anomalon.pipeline import export
from anomalon.pipeline.run_directory import RunDirectory
from anomalon.sources import ReadSettings, ingest
from anomalon.store import Store, StoreWriter
from tests.sources.nano_files import as_data, nano_branches, write_nano


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds nothing, expected a mapping"),
        ("- a", "holds a list, expected a mapping"),
        ("hello", "holds a str, expected a mapping"),
        ("a:\n\t- b", "not plain YAML"),
        ("seed: 1\nseed: 2", "key 'seed' is given twice"),
        ("split: {train: 0.5, train: 0.6}", "key 'train' is given twice"),
        ("title: !!python/object/apply:os.system ['touch executed']", "not plain YAML: could not determine"),
        ("title: !!python/name:os.system", "not plain YAML: could not determine"),
        ("a: " + "[" * 800 + "]" * 800, "nested too deeply"),
        ("title: 2020-13-45", "not plain YAML"),
        ("a: 1\n---\nb: 2", "not plain YAML: expected a single document"),
        (b"title: \xe9", "cannot be read as text"),
        (b"\xff\xfea\x00", "cannot be read as text"),
        (b"a: \x00", "not plain YAML"),
        ("? [a]\n: 1", "not plain YAML"),
    ],
)
def test_text_that_is_no_configuration_is_refused(search, text, message):
    line = search(text)
    assert "search.yaml: " in line
    assert message in line
    assert not Path("executed").exists()


def test_a_byte_order_mark_is_no_mistake(config, run, tmp_path):
    file = tmp_path / "bom.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + yaml.safe_dump(config).encode())
    assert run("search", file, "-o", tmp_path / "out", "--no-figures")[0] == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sedd": 1}, "unknown key 'sedd'; did you mean 'seed'?"),
        ({5: 1}, "5 = 5: Keys should be strings"),
        ({"seed": "x"}, "seed = 'x': Input should be a valid integer"),
        ({"seed": -1}, "seed = -1: Input should be greater than or equal to 0"),
        ({"seed": 2**40}, "seed = 1099511627776: Input should be less than"),
        ({"seed": True}, "seed = True: expected a number, not true or false"),
        ({"seed": None}, "seed = None"),
        ({"luminosity_fb": float("nan")}, "luminosity_fb = nan: Input should be a finite number"),
        ({"luminosity_fb": float("inf")}, "luminosity_fb = inf"),
        ({"luminosity_fb": 1e308}, "normalisation inf per generator weight is impossible"),
        ({"title": ["a"]}, "title = ['a']: Input should be a valid string"),
        ({"title": "two\nlines"}, "expected one line"),
        ({"samples": {}}, "samples = {}: expected a list"),
        ({"samples": []}, "no sample has role background"),
        ({"samples": ["wz"]}, "samples.0 = 'wz': expected a mapping"),
        ({"samples": [{}]}, "key 'samples.0.name' is required"),
        ({"simulation": {"mpii": True}}, "unknown key 'simulation.mpii'; did you mean 'mpi'?"),
        ({"simulation": {"detector": "cmss"}}, "no detector 'cmss'; did you mean 'cms'?"),
        ({"simulation": {"workers": 0}}, "simulation.workers = 0"),
        ({"selection": []}, "selection = []: expected a mapping"),
        ({"selection": {"pt_mim": [20, 15, 10]}}, "unknown key 'selection.pt_mim'; did you mean 'pt_min'?"),
        ({"selection": {"pt_min": [True, 15, 10]}}, "expected a number, not true or false"),
        ({"features": {"set": "trilepto"}}, "no feature set 'trilepto'; did you mean 'trilepton' or 'leptons'?"),
        ({"features": {"set": ["a"]}}, "set = ['a']: expected the name of a feature set"),
        ({"features": {"set": None}}, "set = None"),
        ({"features": {"selection": {}}}, "give it under the key selection"),
        ({"features": {"jet_pt_mim": 1}}, "unknown key 'jet_pt_mim'; did you mean 'jet_pt_min'"),
        (
            {"split": {"train": 0.5, "validation": 0.5, "test": 0.5}},
            "split: train + validation + test = 1.5, must be 1",
        ),
        ({"threshold_quantile": 1}, "threshold_quantile = 1: Input should be less than 1"),
        ({"detectors": []}, "detectors = []: give at least one"),
        ({"detectors": ["isolation-forest"]}, "detectors.0 = 'isolation-forest': expected a mapping"),
        ({"detectors": [{}]}, "detectors[0]: give a mapping with kind"),
        ({"detectors": [{"kind": "isolation-forst"}]}, "did you mean 'isolation-forest'?"),
        ({"detectors": [{"kind": ["a"]}]}, "no detector '['a']'"),
        ({"detectors": [{"kind": "kmeans"}, {"kind": "kmeans"}]}, "two detectors are called 'kmeans'"),
        ({"detectors": [{"kind": "kmeans"}, {"kind": "kmeans", "name": "KMeans"}]}, "two detectors are called"),
        (
            {"detectors": [{"kind": "kmeans", "inputs": ["MET_p"]}]},
            "inputs: no feature 'MET_p'; did you mean 'MET_pt'?",
        ),
        ({"detectors": [{"kind": "kmeans", "inputs": []}]}, "inputs = []: give at least one"),
        ({"detectors": [{"kind": "kmeans", "features": "x"}]}, "no feature set 'x'; allowed: "),
        (
            {"detectors": [{"kind": "kmeans", "feature_settings": {"jet_pt_min": 20}}]},
            "feature_settings of the search's own set are given once, under the key features",
        ),
        ({"detectors": [{"kind": "kmeans", "name": "supervised"}]}, "is taken by a baseline"),
        ({"detectors": [{"kind": "kmeans", "name": "met"}]}, "is taken by a baseline"),
        ({"main_detector": "isolation"}, "main_detector: no detector 'isolation'; did you mean 'isolation-forest'?"),
        ({"supervised": []}, "supervised = []: expected a mapping"),
        ({"supervised": {"kind": "boosting"}}, "supervised: no classifier 'boosting'"),
        ({"supervised": {"treees": 1}}, "supervised: unknown key 'treees'; did you mean 'trees'?"),
        ({"supervised": {"preprocessing": {"inputs": ["x"]}}}, "supervised: inputs: no feature 'x'"),
        ({"report": {"candidates": -1}}, "report.candidates = -1"),
    ],
)
def test_a_wrong_key_or_value_is_named_before_anything_runs(search, config, changes, message):
    line = search(config | changes)
    assert message in line
    assert len(line) < 1000


@pytest.mark.parametrize("name", ["../evil", "a/b", "/abs", "", "..", "a b", "<script>", "-x", "a\nb", "é", "x" * 100])
def test_names_that_become_files_hold_no_surprise(search, config, name, tmp_path):
    allowed = "expected up to 64 letters, digits and . _ + -"
    config["samples"][0]["name"] = name
    assert allowed in search(config)
    config["samples"][0]["name"] = "soft"
    config["detectors"][0]["name"] = name
    assert allowed in search(config)
    assert not (tmp_path / ".anomalon-cache").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "hard"}, "two samples are called 'hard'"),
        ({"role": "backgrund"}, "samples.0.role = 'backgrund'"),
        ({"files": []}, "give either simulate: PROCESS or files"),
        ({"files": "x"}, "samples.0.files = 'x': expected a list"),
        ({"files": [""]}, "samples.0.files.0 = ''"),
        ({"files": ["none/*.root"]}, "none/*.root: the pattern matches no file"),
        ({"files": ["none.root"]}, "none.root: no such file"),
        ({"simulate": "wz"}, "give either simulate: PROCESS or files"),
        ({"files": [], "simulate": "wzz"}, "no process 'wzz'; did you mean"),
        ({"files": [], "simulate": "wprime-wz", "parameters": {"mas": 1}}, "did you mean 'mass'?"),
        ({"files": [], "simulate": "wprime-wz", "parameters": {"mass": 3}}, "mass = 3 is out of range"),
        ({"files": [], "simulate": "wz", "role": "data"}, "simulated events cannot have role data"),
        ({"files": [], "simulate": "wz", "filter_efficiency": 0.5}, "filter_efficiency means nothing with simulate"),
        ({"parameters": {"mass": 3}}, "parameters means nothing with files"),
        ({"events": 100}, "events means nothing with files"),
        ({"role": "data", "cross_section_pb": 1}, "cross_section_pb means nothing for collision data"),
        ({"cross_section_pb": 0}, "samples.0.cross_section_pb = 0"),
        ({"cross_section_pb": "5 pb"}, "samples.0.cross_section_pb = '5 pb'"),
        ({"cross_section_pb": 1e308}, "normalisation inf per generator weight is impossible"),
        ({"process": ""}, "samples.0.process = ''"),
        ({"role": "data"}, "role data, but its events are made by simulation; give role: background or signal"),
    ],
)
def test_a_sample_that_makes_no_sense_is_refused(search, config, changes, message):
    config["samples"][0] |= changes
    assert message in search(config)


def test_the_same_process_twice_is_no_second_sample(search, config):
    config["samples"] += [{"name": name, "role": "background", "simulate": "wz"} for name in ("wz", "wz2")]
    assert "samples 'wz' and 'wz2' both simulate wz" in search(config)


def test_events_are_not_both_background_and_signal(search, config, samples, tmp_path):
    (tmp_path / "inputs").mkdir()
    copy = shutil.copytree(samples["soft"], tmp_path / "inputs" / "copy")
    config["samples"][2]["files"] = [str(copy)]
    assert "samples 'soft' and 'signal' hold the same events" in search(config)


def test_stores_that_were_read_from_one_file_hold_the_same_events(search, config, tmp_path):
    (tmp_path / "inputs").mkdir()
    file = write_nano(tmp_path / "inputs" / "a.root", nano_branches(20))
    for i, name in enumerate(("one", "two")):
        store = ingest([file], tmp_path / "inputs" / name, ReadSettings(process=name, cross_section_pb=1.0))
        config["samples"][i] |= {"files": [str(store.path)]}
    assert "samples 'soft' and 'hard' hold the same events" in search(config)


def test_roles_and_files_agree_about_collision_data(search, config, samples):
    config["samples"][0]["files"] = [str(samples["data"])]
    assert "role background, but its events are collision data" in search(config)


def test_collisions_in_two_data_samples_are_not_counted_twice(search, config, samples, tmp_path):
    (tmp_path / "inputs").mkdir()
    with StoreWriter(tmp_path / "inputs" / "other") as writer:  # as in an overlapping primary dataset
        writer.append(Store(samples["data"]).load()[:20])
    for name, path in (("a", samples["data"]), ("b", tmp_path / "inputs" / "other")):
        config["samples"].append({"name": name, "role": "data", "files": [str(path)]})
    assert "samples 'a' and 'b' share collisions" in search(config)


def test_relative_weights_are_not_mixed_with_yields(search, config, tmp_path):
    (tmp_path / "inputs").mkdir()
    file = write_nano(tmp_path / "inputs" / "a.root", nano_branches(20))
    config["samples"][0]["files"] = [str(file)]
    assert "sample 'soft': no cross section" in search(config)


def test_two_stores_in_one_sample_are_refused(search, config, samples):
    config["samples"][0]["files"] = [str(samples["soft"]), str(samples["data"])]
    assert "a sample takes one store alone" in search(config)


def test_a_selection_that_passes_nothing_shows_its_cutflow_and_stops(search, config):
    line = search(config | {"selection": {"pt_min": [900, 900, 900]}})
    assert "0 background events left to train on" in line
    assert "Z candidate: 0" in line


def _broken(name: str) -> dict:
    branches = nano_branches(40)
    if name == "negative pt":
        return branches | {"Muon_pt": -branches["Muon_pt"]}
    if name == "NaN pt":
        return branches | {"Jet_pt": branches["Jet_pt"] * np.float32("nan")}
    if name == "infinite pt":
        return branches | {"Muon_pt": branches["Muon_pt"] * np.float32("inf")}
    if name == "NaN weight":
        return branches | {"genWeight": branches["genWeight"] * np.float32("nan")}
    return {k: v * 1000 if k.endswith("_pt") else v for k, v in branches.items()}


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("negative pt", "values of Muon_pt are negative or not finite, the first -"),
        ("NaN pt", "values of Jet_pt are negative or not finite, the first nan"),
        ("infinite pt", "values of Muon_pt are negative or not finite, the first inf"),
        ("NaN weight", "values of genWeight are not finite, the first nan"),
        ("MeV", "it is in MeV; NanoAOD is in GeV"),
    ],
)
def test_numbers_that_no_event_has_are_refused_by_every_command(refused, finished, tmp_path, case, message):
    file = write_nano(tmp_path / "a.root", _broken(case))
    for command in (["read", file, "-o", tmp_path / "s"], ["features", file, "-o", tmp_path / "f.h5"]):
        assert message in refused(*command)
    assert message in refused("score", finished, file, "-o", tmp_path / "s.parquet")
    assert [p.name for p in tmp_path.iterdir()] == ["a.root"]


@pytest.mark.parametrize("factor", [-1.0, 0.0])
def test_weights_without_a_positive_sum_have_no_normalisation(search, config, tmp_path, factor):
    (tmp_path / "inputs").mkdir()
    branches = nano_branches(20)
    branches["genWeight"] = np.full(20, factor, dtype=np.float32)
    config["samples"][0] |= {
        "files": [str(write_nano(tmp_path / "inputs" / "a.root", branches))],
        "cross_section_pb": 1.0,
    }
    # one trilepton event at least is needed for a weight to be asked for
    config["selection"] = {"pt_min": [0, 0, 0], "require_z": False}
    assert "sum_gen_weights = " in search(config)


def test_a_file_that_selects_nothing_gives_an_empty_table(run, finished, tmp_path):
    branches = {k: v[:, :0] if k.startswith("Muon") else v for k, v in nano_branches(30).items()}
    branches = {k: v[:, :1] if k.startswith("Electron") else v for k, v in branches.items()}
    empty = {k: v[:0] for k, v in nano_branches(5).items()}
    for name, content in (("one.root", branches), ("none.root", empty)):
        output = tmp_path / f"{name}.parquet"
        assert run("score", finished, write_nano(tmp_path / name, content), "-o", output)[0] == 0
        assert pq.read_table(output).num_rows == 0
        assert json.loads(output.with_suffix(".json").read_text())["rows"] == 0


def _change(run: Path, case: str) -> None:
    model = run / "model" / "isolation-forest"
    if case == "config":
        text = (run / "config.yaml").read_text()
        (run / "config.yaml").write_text(text.replace("eta_max: 2.5", "eta_max: 1.5"))
    elif case == "threshold":
        saved = json.loads((model / "detector.json").read_text())
        (model / "detector.json").write_text(json.dumps(saved | {"threshold": -1e9}))
    elif case == "pickle":
        (model / "planted.pkl").write_bytes(pickle.dumps(_Planted()))
    elif case == "bit":
        file = model / "scorer" / "estimator.skops"
        raw = bytearray(file.read_bytes())
        raw[len(raw) // 2] ^= 1
        file.write_bytes(bytes(raw))
    elif case == "missing":
        shutil.rmtree(model / "scorer")
    elif case == "unfinished":
        (run / "results.json").unlink()
    else:
        (run / "manifest.json").write_text({"manifest": "{", "list": "[]", "old": "{}"}[case])


class _Planted:
    def __reduce__(self):
        return os.system, ("touch executed",)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("config", "config.yaml: has changed since the run was made"),
        ("threshold", "detector.json: has changed since the run was made"),
        ("pickle", "planted.pkl: is new since the run was made"),
        ("bit", "estimator.skops: has changed since the run was made"),
        ("missing", "is missing since the run was made"),
        ("unfinished", "not a finished run"),
        ("manifest", "manifest.json: damaged"),
        ("list", "manifest.json: damaged, or from an older version"),
        ("old", "manifest.json: damaged, or from an older version"),
    ],
)
def test_a_run_that_was_changed_scores_nothing(refused, finished, samples, tmp_path, monkeypatch, case, message):
    monkeypatch.chdir(tmp_path)
    copy = shutil.copytree(finished, tmp_path / "run")
    _change(copy, case)
    assert message in refused("score", copy, samples["signal"], "-o", "s.parquet")
    assert [p.name for p in tmp_path.iterdir()] == ["run"]  # nothing written, nothing executed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--detector", "isolation-forst"], "did you mean 'isolation-forest'?"),
        (["--detector", ""], "no detector ''"),
        (["--detector", "../model/met"], "no detector '../model/met'"),
        (["--unblind", ""], "--unblind needs a reason"),
        (["--unblind", "  "], "--unblind needs a reason"),
        (["-o", "s.csv"], "ends in .parquet"),
        (["-o", "none/s.parquet"], "no such directory for s.parquet"),
        (["-o", "folder.parquet", "--overwrite"], "folder.parquet: is a directory"),
        (["-o", "there.parquet"], "there.parquet: already there"),
        (["-o", "notes.parquet"], "notes.json: already there"),
    ],
)
def test_options_of_score_are_checked_before_the_work(
    refused, finished, samples, in_folder, monkeypatch, options, message
):
    monkeypatch.chdir(in_folder)
    (in_folder / "folder.parquet").mkdir()
    for name in ("there.parquet", "notes.json"):
        (in_folder / name).write_text("precious")
    output = [] if "-o" in options else ["-o", "s.parquet"]
    assert message in refused("score", finished, samples["data"], *output, *options)
    assert {p.name for p in in_folder.iterdir()} == {"folder.parquet", "there.parquet", "notes.json"}
    assert (in_folder / "notes.json").read_text() == "precious"


def test_simulation_given_twice_is_not_scored_twice(refused, finished, samples, tmp_path):
    copy = shutil.copytree(samples["signal"], tmp_path / "copy")
    assert "the same as" in refused("score", finished, samples["signal"], copy, "-o", tmp_path / "s.parquet")


@pytest.mark.parametrize("output", ["", ".", "..", "/"])
def test_a_run_needs_a_name_of_its_own(refused, finished, output):
    config = finished.parent / "search.yaml"
    assert "not a name for a run directory" in refused("search", config, "-o", output, "--overwrite")


def test_only_runs_are_overwritten(refused, finished, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "file").write_text("precious")
    config = finished.parent / "search.yaml"
    for name in ("precious", "file"):
        assert "not overwritten" in refused("search", config, "-o", tmp_path / name, "--overwrite")
        assert "not overwritten" in refused("search", config, "-o", tmp_path / name, "--resume")
    assert "--unblind needs a reason" in refused("search", config, "-o", tmp_path / "new", "--unblind", " ")
    assert not (tmp_path / "new.partial").exists()


def test_another_configuration_replaces_a_run_only_when_asked_to(run, refused, finished, tmp_path):
    copy = shutil.copytree(finished, tmp_path / "run")
    values = yaml.safe_load((finished.parent / "search.yaml").read_text()) | {"seed": 9}
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(values))
    arguments = ["search", tmp_path / "other.yaml", "-o", copy, "--no-figures", "--resume"]
    assert "a finished run of another configuration" in refused(*arguments)
    assert run(*arguments, "--overwrite")[0] == 0
    assert RunDirectory(copy).config().seed == 9


def test_one_search_makes_a_run_at_a_time(refused, finished, tmp_path):
    with held(tmp_path / "out.partial"):
        line = refused("search", finished.parent / "search.yaml", "-o", tmp_path / "out", "--no-figures")
    assert "another search is making it" in line


def test_what_a_killed_search_left_is_cleared(tmp_path):
    (tmp_path / "out.partial" / "model").mkdir(parents=True)
    (tmp_path / "out.partial" / "results.json").write_text("{")
    run = RunDirectory(tmp_path / "out")
    with run.making():
        assert list(run.begin().iterdir()) == []
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").write_text("not a run")
    with pytest.raises(RunError, match="not a finished run"):
        run.manifest()


def test_what_a_killed_writer_left_goes_and_what_another_writes_stays(tmp_path):
    (tmp_path / "s.0123abcd.partial").mkdir()
    (tmp_path / "s.old-notes.partial").mkdir()
    with StoreWriter(tmp_path / "s") as first, StoreWriter(tmp_path / "s") as second:
        names = {p.name for p in tmp_path.iterdir()}
        assert names == {first._folder.name, second._folder.name, "s.old-notes.partial"}
        first._finished = second._finished = True


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["wzz"], "no process 'wzz'; did you mean"),
        ([""], "process '' cannot be read"),
        (["wz(taus=x)"], "a parameter is not a number"),
        (["wprime-wz", "--set", "mas=3000"], "did you mean 'mass'?"),
        (["wprime-wz", "--set", "mass"], "--set mass: expected NAME=VALUE"),
        (["wprime-wz", "--set", "mass=nan"], "mass = nan is out of range"),
        (["wprime-wz", "--set", "mass=900", "--set", "mass=950"], "--set mass=950: mass is set twice"),
        (["wz", "--seed", "-1"], "Invalid value for '--seed'"),
        (["wz", "--events", "0"], "Invalid value for '--events'"),
        (["wz", "--workers", "0"], "Invalid value for '--workers'"),
        (["wz", "--detector", "cmss"], "did you mean 'cms'?"),
    ],
)
def test_options_of_simulate_are_checked_before_the_work(refused, tmp_path, options, message):
    assert message in refused("simulate", *options, "-o", tmp_path / "s")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("f.csv", "features are written as .h5, .parquet, .npy"),
        ("none/f.h5", "no such directory for f.h5"),
        ("folder.h5", "folder.h5: is a directory"),
        ("f.npy", "f.ids.npy: already there"),
    ],
)
def test_features_replace_nothing_unasked(refused, samples, tmp_path, output, message):
    (tmp_path / "folder.h5").mkdir()
    (tmp_path / "f.ids.npy").write_text("precious")
    assert message in refused("features", samples["soft"], "-o", tmp_path / output)
    assert (tmp_path / "f.ids.npy").read_text() == "precious"
    assert {p.name for p in tmp_path.iterdir()} == {"folder.h5", "f.ids.npy"}


def test_init_replaces_nothing_unasked(refused, tmp_path):
    (tmp_path / "search.yaml").write_text("precious")
    assert "already there" in refused("init", tmp_path / "search.yaml")
    assert "is a directory" in refused("init", tmp_path, "--overwrite")
    assert "check the path" in refused("init", tmp_path / "search.yaml" / "x.yaml")


def test_a_full_disk_leaves_nothing_half_written(refused, samples, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export._Growing, "append", full)
    monkeypatch.setattr(export._Target, "check", full)
    for name in ("f.h5", "f.npy"):
        assert "No space left on device" in refused("features", samples["soft"], "-o", tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def _chained() -> Exception:
    try:
        try:
            raise OSError(28, "No space left on device", "x.parquet")
        except OSError:
            raise RuntimeError("writer was not closed")  # noqa: B904 as libraries do it
    except RuntimeError as error:
        return error


@pytest.mark.parametrize("error", [_chained(), RuntimeError("I/O error: No space left on device (os error 28)")])
def test_a_full_disk_is_recognised_behind_the_error_of_a_library(refused, monkeypatch, error):
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(_app, "app", fail)
    assert "No space left on device" in refused("info", "x")


def test_an_interrupted_command_says_so(run, monkeypatch):
    monkeypatch.setattr(_app, "app", lambda **_: 130)  # what typer returns after Ctrl-C
    assert run("info", "x") == (130, "", "anomalon: error: interrupted\n")


def test_a_killed_search_leaves_no_run_and_is_resumed(run, config, finished, tmp_path):
    (tmp_path / "search.yaml").write_text(yaml.safe_dump(config))
    kill = "import os, signal, sys; from anomalon.pipeline import search; from anomalon.cli import main\n"
    kill += "search.write_report = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
    arguments = ["search", str(tmp_path / "search.yaml"), "--output", str(tmp_path / "out"), "--no-figures"]
    dead = subprocess.run([sys.executable, "-c", f"{kill}main({arguments!r})"], capture_output=True, check=False)
    assert dead.returncode == -9
    assert not (tmp_path / "out").exists()
    assert run(*arguments, "--resume")[0] == 0
    assert not list(tmp_path.glob("*.partial"))
    again, once = (pq.read_table(path / "scores.parquet") for path in (tmp_path / "out", finished))
    assert again.equals(once)


def test_data_stay_data_whatever_they_are_called(run, finished, tmp_path):
    file = write_nano(tmp_path / "ttbar_simulation.root", as_data(nano_branches(200)))
    assert run("score", finished, file, "-o", tmp_path / "s.parquet")[0] == 0
    assert json.loads((tmp_path / "s.json").read_text())["blinding"]["applies"]
    assert ak.all(np.isin(pq.read_table(tmp_path / "s.parquet")["process"].to_numpy(), ["data"]))
