"""Sanity tests inside a search, with a detector on the table and one on rapidity-mass matrices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anomalon.errors import ConfigError
from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.run_directory import RunDirectory
from anomalon.pipeline.search import RunOptions, run_search
from anomalon.search.results import SearchResults

MATRIX = {
    "kind": "autoencoder",
    "name": "matrix",
    "features": "rmm",
    "preprocessing": {"mode": "minmax"},
    "hidden": [16],
    "training": {"epochs": 6, "batch_size": 128, "learning_rate": 3e-3},
}
QUICK: dict[str, Any] = {
    "detectors": [{"kind": "kmeans"}, MATRIX],
    "sanity": {"events": 300, "leave_out_minimum": 50, "pt_factors": [2, 10], "pseudo_events": 200},
    "split": {"train": 0.3, "validation": 0.1, "test": 0.6},
    "supervised": None,
}


@pytest.fixture(scope="module")
def tested(
    make_config: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, SearchConfig, SearchResults]:
    output = tmp_path_factory.mktemp("sanity") / "run"
    search = SearchConfig.parse(make_config(**QUICK))
    return output, search, run_search(search, output, RunOptions(sanity=True))


def test_every_test_is_made_with_every_detector_that_it_fits(tested: tuple[Path, SearchConfig, SearchResults]) -> None:
    made = {(c.test, c.detector) for c in tested[2].sanity}
    both = [(test, who) for test in ("lepton pT", "shuffled features") for who in ("k-means clustering", "matrix")]
    assert made == {*both, ("dummy events", "matrix"), ("left-out process", "k-means clustering")}
    assert len([c for c in tested[2].sanity if c.test == "left-out process"]) == 2


def test_harder_leptons_are_seen_and_more_so_the_harder_they_are(
    tested: tuple[Path, SearchConfig, SearchResults],
) -> None:
    aucs = [c.auc.value for c in tested[2].sanity if c.test == "lepton pT" and c.detector == "k-means clustering"]
    assert 0.6 < aucs[0] < aucs[1]
    assert aucs[1] > 0.9


def test_a_sentence_says_what_should_be_seen_and_whether_it_was(
    tested: tuple[Path, SearchConfig, SearchResults],
) -> None:
    for check in tested[2].sanity:
        assert "should reach" in check.sentence
        assert ("does not see it" in check.sentence) is not check.found
        assert f"{check.auc.value:.3f}" in check.sentence


def test_the_report_shows_the_tests(tested: tuple[Path, SearchConfig, SearchResults]) -> None:
    page = (tested[0] / "report.html").read_text(encoding="utf-8")
    assert 'id="sanity"' in page
    assert all(name in page for name in ("left-out process", "dummy events", "Pseudo-data:"))
    figures = {file.name for file in (tested[0] / "figures").glob("sanity_*.png")}
    assert len(figures) >= 6


def test_the_blind_signal_stays_blind_until_a_reason_is_given(tested: tuple[Path, SearchConfig, SearchResults]) -> None:
    output, search, results = tested
    blind = results.pseudo_data
    assert blind is not None
    assert (blind.above, blind.signal, blind.injected, blind.flagged) == (None, None, None, None)
    assert "signal" not in blind.sentence.replace("a signal was mixed", "")
    options = RunOptions(sanity=True, unblind="the tests are frozen", overwrite=True, figures=False)
    revealed = run_search(search, output.parent / "revealed", options).pseudo_data
    assert revealed is not None
    assert revealed.signal == "signal"
    assert revealed.above is not None
    assert 0 <= (revealed.flagged or 0) <= (revealed.injected or 0)
    assert blind.events == revealed.events - revealed.above


def test_pseudo_data_are_compared_with_the_background_in_every_feature(
    tested: tuple[Path, SearchConfig, SearchResults],
) -> None:
    checks = tested[2].feature_checks
    assert {"MET_pt", "lep1_pt"} <= {c.feature for c in checks}
    assert min(c.p_value for c in checks if c.p_value is not None) > 1e-4


def test_a_finished_run_without_the_tests_is_run_again_for_them(
    make_config: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    search = SearchConfig.parse(make_config(**{**QUICK, "detectors": [{"kind": "kmeans"}]}))
    assert run_search(search, tmp_path / "run", RunOptions(figures=False)).sanity == ()
    assert RunDirectory(tmp_path / "run").manifest()["sanity"] is False
    again = run_search(search, tmp_path / "run", RunOptions(figures=False, sanity=True, resume=True))
    assert again.sanity
    assert run_search(search, tmp_path / "run", RunOptions(figures=False, resume=True)).sanity == again.sanity


def test_a_left_out_process_is_in_no_training(
    tested: tuple[Path, SearchConfig, SearchResults], make_config: Callable[..., dict[str, Any]]
) -> None:
    files = list((tested[0].parent / ".anomalon-cache").glob("detector-kmeans-without-*"))
    assert sorted(f.name.split("-")[3] for f in files) == ["hard", "soft"]
    assert np.unique([(f / "model" / "detector.json").read_text() for f in files]).size == 2


@pytest.mark.parametrize(
    ("sanity", "message"),
    [
        ({"detector": "kmean"}, "did you mean 'kmeans'"),
        ({"leave_out": ["signal"]}, "no background sample 'signal'"),
        ({"pt_factor": [2]}, "did you mean 'pt_factors'"),
    ],
)
def test_mistakes_are_told_before_anything_runs(
    make_config: Callable[..., dict[str, Any]], sanity: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        SearchConfig.parse(make_config(**{**QUICK, "sanity": sanity}))


def test_a_set_without_missing_momentum_is_for_detectors_and_not_for_the_table(
    make_config: Callable[..., dict[str, Any]],
) -> None:
    with pytest.raises(ConfigError, match="give 'features: rmm' to the detectors"):
        SearchConfig.parse(make_config(features={"set": "rmm"}))
