"""The way of a user through the commands: init, simulate, features, search, score."""

from __future__ import annotations

import json
from importlib.util import find_spec

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from anomalon.pipeline.configuration import SearchConfig
from anomalon.store import Store
from tests.sources.nano_files import as_data, nano_branches, write_nano

needs_pythia = pytest.mark.skipif(find_spec("pythia8mc") is None, reason="the extra 'simulate' is not installed")


def test_the_starter_configuration_is_a_configuration_and_says_how_to_run_it(run, tmp_path):
    file = tmp_path / "new" / "search.yaml"
    code, out, err = run("init", file)
    assert (code, err) == (0, "")
    assert f"anomalon search {file} --output runs/first" in out
    search = SearchConfig.load(file)
    assert {s.role for s in search.samples} == {"background", "signal"}
    assert search.main == "exposed-to-heavy"
    assert [p.name for p in file.parent.iterdir()] == ["search.yaml"]


def test_the_defaults_in_the_starter_are_the_defaults(run, tmp_path):
    run("init", tmp_path / "search.yaml")
    search = SearchConfig.load(tmp_path / "search.yaml")
    bare = SearchConfig.parse({"samples": [s.model_dump() for s in search.samples]})
    for name in ("luminosity_fb", "seed", "selection", "features", "split", "threshold_quantile", "report"):
        assert getattr(search, name) == getattr(bare, name), name


def test_a_resolved_configuration_gives_the_same_search(finished):
    first = SearchConfig.load(finished.parent / "search.yaml")
    again = SearchConfig.load(finished / "config.yaml")
    assert again == first
    assert again.to_yaml() == (finished / "config.yaml").read_text()


@needs_pythia
def test_simulated_events_become_a_store(run, tmp_path):
    arguments = ["wz", "--events", 100, "--no-mpi", "--workers", 1, "--seed", 3]
    code, out, _ = run("simulate", *arguments, "--output", tmp_path / "a", "--json")
    store = Store(tmp_path / "a")
    assert (code, json.loads(out)["events"]) == (0, store.n_events)
    assert store.samples[0].n_generated == 100
    assert run("simulate", *arguments, "--output", tmp_path / "b")[0] == 0
    assert Store(tmp_path / "b").shards == store.shards
    assert {p.name for p in tmp_path.iterdir()} == {"a", "b"}


def test_the_catalogue_of_processes_is_shown(run):
    code, out, _ = run("simulate", "--list", "--json")
    assert code == 0
    assert {"wz", "wprime-wz", "c1n2"} <= {process["name"] for process in json.loads(out)["processes"]}


@pytest.mark.parametrize("suffix", [".h5", ".parquet", ".npy"])
def test_features_are_the_same_in_every_format(run, samples, tmp_path, suffix):
    output = tmp_path / f"f{suffix}"
    code, out, _ = run("features", samples["soft"], "--output", output, "--json")
    summary = json.loads(out)
    assert (code, summary["read"], summary["written"]) == (0, 400, 400)
    values = _met(output)
    assert len(values) == 400
    assert np.isclose(values.sum(), Store(samples["soft"]).load().array.met.pt.to_numpy().sum(), rtol=1e-5)
    assert not [p for p in tmp_path.iterdir() if "partial" in p.name]


def _met(path) -> np.ndarray:
    if path.suffix == ".parquet":
        return pq.read_table(path)["MET_pt"].to_numpy()
    if path.suffix == ".npy":
        names = path.with_suffix(".names.txt").read_text().split()
        return np.load(path)[:, names.index("MET_pt")]
    with h5py.File(path) as file:
        return file["features"][:, list(file["features"].attrs["names"]).index("MET_pt")]


def test_a_search_tells_what_it_does_and_where_its_report_is(run, config, tmp_path):
    (tmp_path / "search.yaml").write_text(yaml.safe_dump(config))
    arguments = ["search", tmp_path / "search.yaml", "-o", tmp_path / "out", "--no-figures"]
    code, out, err = run(*arguments)
    assert code == 0
    assert "Isolation forest" in out
    assert out.rstrip().endswith(f"Report: {tmp_path / 'out' / 'report.html'}")
    assert [line for line in err.splitlines() if line.startswith("train isolation-forest")]
    code, out, err = run(*arguments, "--resume", "--json")
    assert (code, json.loads(out)["main_detector"]) == (0, "isolation-forest")
    assert "nothing to do" in err


def test_the_cache_is_used_again_by_another_run(run, finished, tmp_path):
    before = {p.name: p.stat().st_mtime_ns for p in (finished.parent / ".anomalon-cache").iterdir() if p.is_dir()}
    cache = ["--cache", finished.parent / ".anomalon-cache", "--no-figures"]
    assert run("search", finished.parent / "search.yaml", "-o", tmp_path / "out", *cache)[0] == 0
    after = {p.name: p.stat().st_mtime_ns for p in (finished.parent / ".anomalon-cache").iterdir() if p.is_dir()}
    assert after == before
    one, two = (pq.read_table(path / "scores.parquet") for path in (finished, tmp_path / "out"))
    assert one.equals(two)


def test_a_background_without_cross_section_stands_alone_and_gives_no_yields(run, config, samples, tmp_path):
    branches = nano_branches(3000, seed=5)
    branches["genWeight"] = np.ones(3000, dtype=np.float32)
    file = write_nano(tmp_path / "a.root", branches)
    config["samples"] = [
        {"name": "only", "role": "background", "files": [str(file)]},
        {"name": "signal", "role": "signal", "files": [str(samples["signal"])]},
    ]
    (tmp_path / "search.yaml").write_text(yaml.safe_dump(config))
    code, out, _ = run("search", tmp_path / "search.yaml", "-o", tmp_path / "out", "--no-figures", "--json")
    results = json.loads(out)
    assert code == 0
    assert results["notes"][0].startswith("Sample 'only' has no cross section")
    assert {row["process"]: row["expected"] is None for row in results["flagged"]} == {"only": True, "signal": False}


def test_what_a_store_knows_of_its_normalisation_is_kept(config, samples):
    search = SearchConfig.parse(config)
    stored = Store(samples["soft"]).samples[0].model_copy(update={"filter_efficiency": 0.3, "k_factor": 1.2})
    described = search.samples[0].describe(stored)
    assert (described.filter_efficiency, described.k_factor) == (0.3, 1.2)


def test_other_files_are_scored_with_a_finished_run(run, finished, samples, tmp_path):
    file = write_nano(tmp_path / "mc.root", nano_branches(300))
    output = tmp_path / "s.parquet"
    code, out, _ = run("score", finished, samples["signal"], file, "--output", output)
    table = pq.read_table(output)
    assert code == 0
    assert "450 events read" in out
    assert f"{table.num_rows:,} scored with 'isolation-forest'" in out
    assert set(table["process"].to_pylist()) == {"signal", "unknown"}
    assert run("score", finished, file, "--output", output)[0] == 2
    assert run("score", finished, file, "--output", output, "--overwrite", "--detector", "met")[0] == 0
    assert json.loads(output.with_suffix(".json").read_text())["detector"] == "met"


def test_collision_data_above_the_threshold_are_handed_out_for_a_reason_alone(run, finished, tmp_path):
    file = write_nano(tmp_path / "data.root", as_data(nano_branches(400)))
    blinded, opened = tmp_path / "blinded.parquet", tmp_path / "opened.parquet"
    code, out, _ = run("score", finished, file, "--output", blinded)
    assert code == 0
    assert "withheld, its number included" in out
    assert set(pq.read_table(blinded)["region"].to_pylist()) == {"below"}
    assert run("score", finished, file, "--output", opened, "--unblind", "selection frozen")[0] == 0
    assert "above" in pq.read_table(opened)["region"].to_pylist()
    assert json.loads(opened.with_suffix(".json").read_text())["blinding"]["unblinded_reason"] == "selection frozen"
