from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from anomalon.errors import ConfigError, EmptySelectionError, OutputExistsError, RunError
from anomalon.models.detector import Detector
from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.run_directory import RunDirectory
from anomalon.pipeline.search import RunOptions, run_search
from anomalon.search.results import SearchResults
from anomalon.selection import TrileptonSelection, apply
from anomalon.store import Store

Config = Callable[..., dict[str, Any]]
Finished = tuple[Path, SearchResults]


def test_a_run_directory_holds_everything_it_promises(finished: Finished) -> None:
    output, _ = finished
    names = {p.name for p in output.iterdir()}
    assert names >= {
        "config.yaml", "manifest.json", "ledger.json", "cutflow.json", "cutflow.csv", "scores.parquet", "model",
        "results.json", "figures", "candidates.csv", "report.html",
    }  # fmt: skip
    assert not list(output.parent.glob("*.partial"))
    assert RunDirectory(output).results() == finished[1]


def test_every_detector_is_compared_with_met_alone_the_best_variable_and_the_bound(finished: Finished) -> None:
    _, results = finished
    assert {e.detector for e in results.evaluations} == {
        "met", "best-single-variable", "autoencoder", "isolation-forest", "supervised",
    }  # fmt: skip
    for evaluation in results.evaluations:
        assert evaluation.signal == "signal"
        assert evaluation.auc.low is not None
        assert evaluation.auc.low <= evaluation.auc.value <= (evaluation.auc.high or 0)
        assert [p.background_efficiency for p in evaluation.working_points] == [1e-1, 1e-2, 1e-3, 1e-4]
    bound, forest = results.evaluation("supervised", "signal"), results.evaluation("isolation-forest", "signal")
    assert bound is not None
    assert forest is not None
    assert bound.auc.value > 0.95
    assert forest.auc.value > 0.8
    assert results.evaluation("met", "signal").auc_minus_met is None  # type: ignore[union-attr]


def test_the_threshold_gives_about_the_false_positive_rate_it_promises(finished: Finished) -> None:
    for detector in finished[1].detectors:
        if detector.threshold is not None:
            rate = detector.threshold.false_positive_rate
            assert rate.low is not None
            assert rate.high is not None
            assert rate.low < rate.value < rate.high
            assert 0.01 < rate.value < 0.12


def test_the_parts_of_the_split_are_disjoint_and_complete(finished: Finished) -> None:
    output, results = finished
    table = pq.read_table(output / "scores.parquet")
    keys = list(zip(*(table[c].to_pylist() for c in ("sample", "run", "lumi", "event")), strict=True))
    assert len(set(keys)) == len(keys)
    for row in results.split:
        summary = next(s for s in results.samples if s.process == row.process)
        assert row.train + row.validation + row.test == summary.n_selected


def test_events_with_a_value_that_is_not_finite_are_counted_and_never_used(finished: Finished) -> None:
    output, results = finished
    met = next(f for f in results.features if f.name == "MET_pt")
    assert met.not_finite == 3
    table = pq.read_table(output / "scores.parquet").to_pydict()
    unscored = [i for i, region in enumerate(table["region"]) if region == "unscored"]
    assert len(unscored) == 3
    assert all(np.isnan(table["score"][i]) for i in unscored)


def test_blinded_collision_data_shows_no_row_above_the_threshold_and_not_their_number(finished: Finished) -> None:
    output, results = finished
    main = next(d for d in results.detectors if d.name == results.main_detector)
    assert main.threshold is not None
    table = pq.read_table(output / "scores.parquet").to_pydict()
    data = [i for i, role in enumerate(table["role"]) if role == "data"]
    assert 0 < len(data) < 210
    assert max(table["score"][i] for i in data) <= main.threshold.value
    assert results.blinding.applies
    assert not [c for c in results.candidates if c.role == "data"]
    assert not [f for f in results.flagged if f.role == "data"]
    assert next(s for s in results.samples if s.role == "data").n_selected is None
    last = [r for r in results.cutflow if r["process"] == "data"][-1]
    assert last["raw"] is None
    selection = next(e for e in results.ledger if e["file"] == "selection of data")
    assert (selection["written"], selection["cut"]) == (0, 0)
    assert sum(selection["skipped"].values()) == 210
    assert "data" not in {row.process for row in results.split}


def test_unblinding_needs_a_reason_and_is_recorded(make_config: Config, finished: Finished, tmp_path: Path) -> None:
    search = SearchConfig.parse(make_config(data=True))
    cache = finished[0].parent / ".anomalon-cache"
    options = RunOptions(cache=cache, unblind="selection frozen on 1 May", figures=False)
    results = run_search(search, tmp_path / "open", options)
    table = pq.read_table(tmp_path / "open" / "scores.parquet").to_pydict()
    assert sum(role == "data" for role in table["role"]) == 210
    assert results.candidates[0].role in ("data", "signal")
    assert json.loads((tmp_path / "open" / "manifest.json").read_text())["unblinded"] == "selection frozen on 1 May"
    assert "selection frozen on 1 May" in (tmp_path / "open" / "report.html").read_text()


def test_the_ledger_balances_and_the_cutflow_ends_with_the_selected_events(finished: Finished) -> None:
    _, results = finished
    for entry in results.ledger:
        known = entry["written"] + entry["cut"] + entry["duplicated"] + sum(entry["skipped"].values())
        assert entry["read"] == known
    for sample in results.samples:
        rows = [r for r in results.cutflow if r["process"] == sample.process]
        assert rows[-1]["raw"] == sample.n_selected


def test_the_same_seed_gives_the_same_scores(make_config: Config, finished: Finished, tmp_path: Path) -> None:
    search = SearchConfig.parse(make_config(data=True))
    run_search(search, tmp_path / "again", RunOptions(cache=tmp_path / "cache", figures=False))
    a, b = (pq.read_table(p / "scores.parquet").to_pydict() for p in (finished[0], tmp_path / "again"))
    for name, values in a.items():
        if name.startswith("score"):
            np.testing.assert_allclose(values, b[name], rtol=1e-5)
        else:
            assert values == b[name]


def test_a_finished_run_is_not_replaced_unless_asked(make_config: Config, finished: Finished) -> None:
    search = SearchConfig.parse(make_config(data=True))
    with pytest.raises(OutputExistsError, match="--resume reuses a finished run, --overwrite replaces it"):
        run_search(search, finished[0])
    before = (finished[0] / "results.json").stat().st_mtime_ns
    assert run_search(search, finished[0], RunOptions(resume=True)) == finished[1]
    assert (finished[0] / "results.json").stat().st_mtime_ns == before


def test_resuming_with_another_configuration_is_refused(make_config: Config, finished: Finished) -> None:
    with pytest.raises(RunError, match="finished run of another configuration"):
        run_search(SearchConfig.parse(make_config(seed=4)), finished[0], RunOptions(resume=True))


def test_a_folder_that_is_no_run_is_never_overwritten(make_config: Config, tmp_path: Path) -> None:
    precious = tmp_path / "thesis"
    precious.mkdir()
    (precious / "chapter.txt").write_text("years of work")
    with pytest.raises(OutputExistsError, match="not a run of anomalon"):
        run_search(SearchConfig.parse(make_config()), precious, RunOptions(overwrite=True))
    assert (precious / "chapter.txt").read_text() == "years of work"


class _Killed(BaseException):
    pass


class _KillIn:
    """A listener that stops everything at a moment of a task."""

    def __init__(self, task: str, after: float) -> None:
        self.task, self.after, self.now = task, after, ""

    def start(self, title: str, total: float | None = None) -> None:
        self.now = title
        if self.after == 0 and title.startswith(self.task):
            raise _Killed

    def update(self, done: float, note: str = "") -> None:
        if self.now.startswith(self.task) and done >= self.after:
            raise _Killed

    def say(self, message: str) -> None:
        pass


@pytest.mark.parametrize(
    ("task", "after"), [("select hard", 0), ("train autoencoder", 2), ("evaluate", 0), ("report", 0)]
)
def test_a_killed_run_leaves_nothing_half_made_and_resumes_to_the_same_result(
    task: str, after: float, make_config: Config, finished: Finished, tmp_path: Path
) -> None:
    search, output = SearchConfig.parse(make_config(data=True)), tmp_path / "run"
    with pytest.raises(_Killed):
        run_search(search, output, RunOptions(progress=_KillIn(task, after), figures=False))
    assert not output.exists()
    run_search(search, output, RunOptions(resume=True, figures=False))
    a, b = (pq.read_table(p / "scores.parquet").to_pydict() for p in (finished[0], output))
    np.testing.assert_allclose(a["score"], b["score"], rtol=1e-5)
    assert a["event"] == b["event"]


def test_a_selection_that_passes_nothing_shows_its_cutflow_and_stops(make_config: Config, tmp_path: Path) -> None:
    search = SearchConfig.parse(make_config(selection={"pt_min": [5000, 15, 10]}))
    with pytest.raises(
        EmptySelectionError, match=r"0 background events left to train on.*stored: 1803.*Z candidate: 0"
    ):
        run_search(search, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sede": 3}, "unknown key 'sede'; did you mean 'seed'"),
        ({"detectors": [{"kind": "autoencodr"}]}, "autoencodr.*did you mean 'autoencoder'"),
        ({"detectors": [{"kind": "autoencoder", "cod": 3}]}, "cod.*did you mean 'code'"),
        ({"main_detector": "isolation-forst"}, "no detector 'isolation-forst'; did you mean 'isolation-forest'"),
        ({"selection": {"pt_mn": [1, 2, 3]}}, r"unknown key 'selection\.pt_mn'; did you mean 'pt_min'"),
        ({"features": {"set": "trilepto"}}, "no feature set 'trilepto'; did you mean 'trilepton'"),
        ({"split": {"train": 0.5, "validation": 0.5, "test": 0.5}}, "train . validation . test = 1.5, must be 1"),
        ({"threshold_quantile": 95}, "threshold_quantile = 95"),
        ({"samples": [{"name": "a", "role": "background", "files": ["x"]}]}, "no sample has role signal"),
        ({"samples": [{"name": "a", "role": "background"}]}, "give either simulate: PROCESS or files"),
    ],
)
def test_a_mistake_in_the_configuration_is_found_before_anything_runs(
    change: dict[str, Any], message: str, make_config: Config
) -> None:
    with pytest.raises(ConfigError, match=message):
        SearchConfig.parse(make_config(**change), where="search.yaml")


def test_the_resolved_configuration_makes_the_same_run_again(make_config: Config, finished: Finished) -> None:
    again = SearchConfig.load(finished[0] / "config.yaml")
    assert again == SearchConfig.parse(make_config(data=True))


def test_samples_are_mixed_and_told_apart_by_their_dataset_id(finished: Finished) -> None:
    table = pq.read_table(finished[0] / "scores.parquet").to_pydict()
    names = dict(zip(table["dataset_id"], table["sample"], strict=True))
    assert len(names) == 4
    first = table["sample"][: len(table["sample"]) // 4]
    assert {"soft", "hard", "signal", "data"} <= set(first)


def test_a_saved_detector_scores_events_by_itself(finished: Finished, stores: dict[str, Path]) -> None:
    detector = Detector.load(finished[0] / "model" / "autoencoder")
    events = apply(TrileptonSelection(), Store(stores["signal"]).load()).events
    table = pq.read_table(finished[0] / "scores.parquet").to_pydict()
    known = {e: s for e, s, n in zip(table["event"], table["score"], table["sample"], strict=True) if n == "signal"}
    np.testing.assert_allclose(detector.score(events), [known[e] for e in events.array.event.tolist()], rtol=1e-5)
    assert detector.threshold == next(d for d in finished[1].detectors if d.name == "autoencoder").threshold.value  # type: ignore[union-attr]


def test_candidates_are_ordered_and_name_what_drove_them(finished: Finished) -> None:
    output, results = finished
    scores = [c.score for c in results.candidates]
    assert scores == sorted(scores, reverse=True)
    assert all(c.drivers for c in results.candidates)
    assert all(0 < d.share <= 1 for c in results.candidates for d in c.drivers)
    with (output / "candidates.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(results.candidates)


def test_a_tampered_cache_entry_without_its_key_is_made_again(make_config: Config, tmp_path: Path) -> None:
    search = SearchConfig.parse(make_config(detectors=[{"kind": "isolation-forest"}], supervised=None))
    first = run_search(search, tmp_path / "a", RunOptions(cache=tmp_path / "cache", figures=False))
    entry = next((tmp_path / "cache").glob("select-soft-*"))
    (entry / "key.json").unlink()
    second = run_search(search, tmp_path / "b", RunOptions(cache=tmp_path / "cache", figures=False))
    assert first.evaluations == second.evaluations
    shutil.rmtree(tmp_path / "cache")
