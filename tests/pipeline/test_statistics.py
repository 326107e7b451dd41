"""The statistics of a search: what regions hold, what blinding hides, what is written for others."""

from __future__ import annotations

import csv
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from anomalon.errors import ConfigError, OutputExistsError
from anomalon.events import Sample
from anomalon.likelihood.workspace import pyhf_model
from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.search import RunOptions, run_search
from anomalon.search.results import SearchResults
from tests.pipeline.conftest import trilepton_rows, write_store

Finished = tuple[Path, SearchResults]


def test_yields_of_regions_are_those_of_the_scores_file_scaled_for_the_split(finished: Finished) -> None:
    output, results = finished
    rows = pq.read_table(output / "scores.parquet").to_pydict()
    sample, split, weight = (np.asarray(rows[k]) for k in ("sample", "split", "weight"))
    main = results.main_detector
    score = np.asarray(rows[main] if main in rows else rows["score"], dtype=float)
    region = next(r for r in results.statistics.regions if r.detector == main)
    for found in region.yields:
        own = sample == found.sample
        tested = own & (split == "test")
        scale = own.sum() / tested.sum()
        inside = tested & (score > region.threshold)
        assert found.value == pytest.approx(scale * weight[inside].sum(), rel=1e-6)
        assert found.raw == inside.sum()


def test_regions_are_nested_and_hold_enough_background(finished: Finished) -> None:
    _, results = finished
    for detector in {r.detector for r in results.statistics.regions}:
        own = [r for r in results.statistics.regions if r.detector == detector]
        assert [r.threshold for r in own] == sorted(r.threshold for r in own)
        assert [r.background for r in own] == sorted((r.background for r in own), reverse=True)
        assert all(r.effective >= results.statistics.minimum_effective for r in own[1:])


def test_regions_do_not_know_the_signal(make_config: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    """With a hundred times the signal, every threshold and every background yield is the same."""
    found = []
    for i, factor in enumerate((1.0, 100.0)):
        config = make_config(detectors=[{"kind": "isolation-forest"}], supervised=None)
        config["samples"][-1]["k_factor"] = factor
        run = run_search(SearchConfig.parse(config), tmp_path / str(i), RunOptions(figures=False)).statistics
        found.append([(r.threshold, r.background) for r in run.regions])
    assert found[0] == found[1]


def test_every_signal_has_a_statement_with_the_cut_alone_beside_it(finished: Finished) -> None:
    _, results = finished
    assert [s.signal_name for s in results.statistics.statements] == list(results.signals)
    assert "alone" in results.statistics.statements[0].sentence
    alone = [s for s in results.statistics.significances if s.region == "all"]
    assert [s.signal_name for s in alone] == list(results.signals)


def test_blinded_regions_tell_no_data_in_any_file(finished: Finished) -> None:
    output, results = finished
    assert results.blinding.applies
    assert all(r.observed is None for r in results.statistics.regions)
    rows = list(csv.DictReader((output / "tables" / "region_yields.csv").read_text(encoding="utf-8").splitlines()))
    data = next(row for row in rows if row["role"] == "data")
    assert set(list(data.values())[2:]) <= {"withheld", ""}
    assert "withheld" in (output / "tables" / "region_yields.tex").read_text(encoding="utf-8")


def test_unblinded_regions_count_the_data(make_config: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    config = make_config(data=True, detectors=[{"kind": "isolation-forest"}], supervised=None)
    options = RunOptions(unblind="a test", figures=False)
    results = run_search(SearchConfig.parse(config), tmp_path / "run", options)
    rows = pq.read_table(tmp_path / "run" / "scores.parquet").to_pydict()
    score, role = (
        np.asarray(rows["isolation-forest" if "isolation-forest" in rows else "score"]),
        np.asarray(rows["role"]),
    )
    for region in results.statistics.regions:
        assert region.observed == int(((role == "data") & (score > region.threshold)).sum())
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["unblinded"] == "a test"


def test_too_few_events_for_regions_are_told_and_the_search_goes_on(
    make_config: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    config = make_config(
        detectors=[{"kind": "isolation-forest"}], supervised=None, statistics={"minimum_effective": 1000}
    )
    results = run_search(SearchConfig.parse(config), tmp_path / "run", RunOptions(figures=False))
    assert not results.statistics.regions
    assert "no regions" in results.statistics.notes[0]
    assert "lower statistics.minimum_effective" in results.statistics.notes[0]


@pytest.mark.parametrize(
    ("statistics", "message"),
    [
        ({"variable": "MET"}, r"statistics.variable = 'MET': no such feature; did you mean 'MET_pt'"),
        ({"regions": [0.9, 0.8]}, r"regions = \[0.9, 0.8\]: quantiles must increase"),
        ({"regions": []}, "give at least one"),
        ({"masses": ["m_31"]}, r"statistics.masses = 'm_31': no such feature"),
        ({"region": [0.9]}, r"unknown key 'statistics.region'; did you mean 'regions'"),
    ],
)
def test_a_mistake_in_the_settings_is_one_line(
    make_config: Callable[..., dict[str, Any]], statistics: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        SearchConfig.parse(make_config(statistics=statistics))


def test_the_workspace_of_a_blinded_search_is_valid_and_holds_no_data(finished: Finished) -> None:
    pytest.importorskip("pyhf", reason="needs the extra stats")
    output, results = finished
    specification = json.loads((output / "workspaces" / "signal.json").read_text(encoding="utf-8"))
    model, _ = pyhf_model(specification)
    assert np.isfinite(model.expected_data(model.config.suggested_init())).all()
    assert specification["measurements"][0]["name"].startswith("blinded")
    background = [
        np.sum([s["data"] for s in c["samples"] if all(m["type"] != "normfactor" for m in s["modifiers"])], axis=0)
        for c in specification["channels"]
    ]
    assert np.allclose(np.concatenate(background), np.concatenate([o["data"] for o in specification["observations"]]))
    found = results.statistics.inference[0]
    assert found.limits.blinded
    assert found.limits.observed is found.discovery.observed is None


def test_limits_are_expected_with_their_bands_and_stand_beside_those_without_the_score(finished: Finished) -> None:
    _, results = finished
    for found in results.statistics.inference:
        band = found.limits.expected
        assert band.minus_2 < band.minus_1 < band.median < band.plus_1 < band.plus_2
        assert found.improvement == pytest.approx(found.alone.expected.median / band.median)
    assert {one.name for one in results.statistics.systematics} >= {"luminosity", "cross-section-soft"}


def test_a_blinded_search_does_not_hunt_in_data(finished: Finished) -> None:
    _, results = finished
    assert {hunt.observed for hunt in results.statistics.bumps} <= {"expected"}


def test_a_submission_to_hepdata_is_in_the_run(finished: Finished) -> None:
    pytest.importorskip("hepdata_lib", reason="needs the extra stats")
    output, _ = finished
    with tarfile.open(output / "hepdata" / "submission.tar.gz") as archive:
        names = archive.getnames()
        submission = archive.extractfile("submission.yaml").read().decode()
    assert "signal.json" in names
    assert "Blinded" in submission


@pytest.mark.slow
def test_validation_trains_again_and_draws_experiments(
    make_config: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    config = make_config(
        detectors=[{"kind": "isolation-forest"}],
        supervised=None,
        statistics={"validation": {"seeds": 2, "pseudo_experiments": 50, "injections": [3.0]}, "decorrelate": "m_3l"},
    )
    search = SearchConfig.parse(config)
    found = run_search(search, tmp_path / "run", RunOptions(validate=True, figures=False)).validation
    assert found.stability.seeds == (3, 4)
    assert found.stability.rank_correlation > 0.5
    assert {b.what.split(",")[0].split(" in ")[0] for b in found.background_only} == {"likelihood", "bump hunt"}
    assert len(found.injections) == 1
    with pytest.raises(OutputExistsError):
        run_search(search, tmp_path / "run", RunOptions(validate=True))
    again = run_search(search, tmp_path / "run", RunOptions(validate=True, resume=True))
    assert again.validation == found


def test_negative_weights_are_summed_exactly_and_no_limit_is_lost(
    make_config: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    """Three in ten weights are negative, as from a generator beyond leading order."""
    rows = [row | {"gen_weight": -1.0 if i % 10 < 3 else 1.0} for i, row in enumerate(trilepton_rows(1500, 8))]
    sample = Sample(name="signed", process="signed", cross_section_pb=0.5, sum_gen_weights=600.0, n_generated=1500)
    config = make_config(detectors=[{"kind": "isolation-forest"}], supervised=None)
    config["samples"][0] |= {"name": "signed", "files": [str(write_store(tmp_path / "signed", rows, sample))]}
    results = run_search(SearchConfig.parse(config), tmp_path / "run", RunOptions(figures=False))
    table = pq.read_table(tmp_path / "run" / "scores.parquet").to_pydict()
    name, split, weight = (np.asarray(table[k]) for k in ("sample", "split", "weight"))
    score = np.asarray(table["isolation-forest" if "isolation-forest" in table else "score"], dtype=float)
    own = name == "signed"
    scale = own.sum() / (own & (split == "test")).sum()
    for region in results.statistics.regions:
        inside = scale * weight[own & (split == "test") & (score > region.threshold)]
        found = next(y for y in region.yields if y.sample == "signed")
        assert found.value == pytest.approx(inside.sum(), rel=1e-6)
        assert found.error == pytest.approx(np.sqrt((inside**2).sum()), rel=1e-6)
    limit = results.statistics.inference[0].limits.expected.median
    assert limit is not None
    assert np.isfinite(limit)
