"""A search in which the collision data is its own background."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from anomalon.batches import TEST, TRAIN, VALIDATION
from anomalon.errors import ConfigError
from anomalon.events import Sample
from anomalon.models.detector import Detector
from anomalon.pipeline.compare_run import compare_search
from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.parts import Parts
from anomalon.pipeline.score import score_files
from anomalon.pipeline.search import RunOptions, run_search
from anomalon.pipeline.table import Table
from anomalon.search.results import SearchResults
from anomalon.selection import TrileptonSelection, apply
from anomalon.store import Store
from tests.pipeline.conftest import trilepton_rows, write_store

SELECTED, CUT = 1237, 41
FIRST_EVENT = 70_000_000
"""Numbers that nothing else in a run directory is likely to be."""
REASON = "selection frozen on 1 May"

Finished = tuple[Path, SearchResults]
Config = Callable[..., dict[str, Any]]


class _Heard:
    """Remembers what a listener is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def start(self, title: str, total: float | None = None) -> None:
        del total
        self.notes.append(title)

    def update(self, done: float, note: str = "") -> None:
        del done
        self.notes.append(note)

    def say(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture(scope="module")
def collisions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Collision data with a hard tail, and events that the last cut takes away."""
    rows = trilepton_rows(SELECTED - 30, 11, run=316058) + trilepton_rows(30, 12, hardness=6.0, run=316058)
    without_z = trilepton_rows(CUT, 13, run=316058)
    for row in without_z:
        for lepton in (*row["muons"], *row["electrons"]):
            lepton["charge"] = 1
    everything = [row | {"event": FIRST_EVENT + 7919 * i} for i, row in enumerate([*rows, *without_z])]
    sample = Sample(name="collisions", process="data", origin="data")
    return write_store(tmp_path_factory.mktemp("collisions") / "data", everything, sample)


@pytest.fixture(scope="module")
def alone(collisions: Path, stores: dict[str, Path]) -> Config:
    def make(*, signal: bool = False, **changes: Any) -> dict[str, Any]:
        samples = [{"name": "collisions", "role": "data", "files": [str(collisions)]}]
        if signal:
            samples.append({"name": "signal", "role": "signal", "files": [str(stores["signal"])]})
        training = {"epochs": 3, "batch_size": 256}
        config = {
            "seed": 3,
            "background": "data",
            "samples": samples,
            "detectors": [{"kind": "isolation-forest"}, {"kind": "autoencoder", "training": training}],
        }
        return config | changes

    return make


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def heard() -> _Heard:
    return _Heard()


@pytest.fixture(scope="module")
def blinded(alone: Config, cache: Path, heard: _Heard, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """With a signal, blinded, with every figure."""
    output = tmp_path_factory.mktemp("runs") / "blinded"
    return output, run_search(SearchConfig.parse(alone(signal=True)), output, RunOptions(cache=cache, progress=heard))


@pytest.fixture(scope="module")
def unblinded(alone: Config, cache: Path, blinded: Finished, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    output = tmp_path_factory.mktemp("runs") / "unblinded"
    options = RunOptions(cache=cache, unblind=REASON, figures=False)
    return output, run_search(SearchConfig.parse(alone(signal=True)), output, options)


@pytest.fixture(scope="module")
def data_only(alone: Config, cache: Path, blinded: Finished, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Without any signal, unblinded, with every figure."""
    output = tmp_path_factory.mktemp("runs") / "data-only"
    return output, run_search(SearchConfig.parse(alone()), output, RunOptions(cache=cache, unblind=REASON))


def scores(run: Finished) -> dict[str, Any]:
    table = pq.read_table(run[0] / "scores.parquet")
    return {name: np.asarray(table[name].to_pylist()) for name in table.column_names}


def numbers(value: Any) -> Iterator[float]:
    """Every number in plain values, those in texts included."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from numbers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from numbers(inner)
    elif isinstance(value, str):
        yield from (float(n) for n in re.findall(r"\d+\.?\d*", value))
    elif value is not None and not isinstance(value, bool):
        yield float(value)


def secrets(run: Finished) -> dict[str, set[float]]:
    """From the unblinded run: numbers of events that tell how many lie above, and the events that do."""
    table = scores(run)
    data = table["role"] == "data"
    above = data & (table["region"] == "above")
    counts = {float(SELECTED)}
    for part in ("train", "validation", "test"):
        own = table["split"] == part
        counts |= {float((data & own).sum()), float((above & own).sum())}
    assert min(counts) > 10  # what is smaller, such as an order or a version, says nothing
    return {"counts": counts | {float(above.sum())}, "events": {float(e) for e in table["event"][above]}}


def test_the_data_itself_is_learned_from(unblinded: Finished) -> None:
    table = scores(unblinded)
    data = table["role"] == "data"
    assert data.sum() == SELECTED
    assert (table["weight"][data] == 1).all()
    for detector in unblinded[1].detectors:
        if detector.role == "detector":
            assert detector.n_train == (data & (table["split"] == "train")).sum()
    main = next(d for d in unblinded[1].detectors if d.name == unblinded[1].main_detector)
    validation = table["score"][data & (table["split"] == "validation")]
    assert main.threshold is not None
    assert (validation > main.threshold.value).mean() == pytest.approx(0.05, abs=0.01)


def test_a_blinded_run_shows_no_event_above_the_threshold(blinded: Finished, unblinded: Finished) -> None:
    table = scores(blinded)
    assert set(table["role"]) == {"data", "signal"}
    assert set(table["region"][table["role"] == "data"]) == {"below"}
    hidden = {str(int(event)) for event in secrets(unblinded)["events"]}
    assert len(hidden) > 30
    for file in blinded[0].rglob("*"):
        if file.suffix in (".json", ".csv", ".html", ".yaml"):
            assert not hidden & set(re.findall(r"\d+", file.read_text(encoding="utf-8"))), file


def test_a_blinded_run_tells_no_number_from_which_that_above_the_threshold_follows(
    blinded: Finished, unblinded: Finished
) -> None:
    known, results = secrets(unblinded)["counts"], json.loads((blinded[0] / "results.json").read_text())
    told = {key: results[key] for key in ("headline", "notes", "features")}
    told["samples"] = [s for s in results["samples"] if s["role"] == "data"]
    told["cutflow"] = [row for row in results["cutflow"] if row["process"] == "collisions"]
    told["ledger"] = [entry for entry in results["ledger"] if "collisions" in entry["file"]]
    told["detectors"] = [{key: d[key] for key in d if key != "training"} for d in results["detectors"]]
    assert all(told.values())
    for what, value in told.items():
        assert not known & set(numbers(value)), what
    assert json.loads((blinded[0] / "cutflow.json").read_text()) == results["cutflow"]
    assert json.loads((blinded[0] / "ledger.json").read_text()) == {"entries": results["ledger"]}


def test_what_is_computed_from_the_tail_is_withheld_and_the_report_says_so(blinded: Finished) -> None:
    output, results = blinded
    assert results.blinding.hides_background
    assert (results.evaluations, results.candidates) == ((), ())
    assert [f.role for f in results.flagged] == ["signal"]
    assert [s.role for s in results.split] == ["signal"]
    assert {d.name for d in results.detectors} == {"met", "isolation-forest", "autoencoder"}
    for d in results.detectors:
        assert d.n_train is None
        assert d.threshold is not None
        assert d.threshold.value is not None
        rates = (d.threshold.false_positive_rate, d.threshold.background_above, d.threshold.background_total)
        assert rates == (None, None, None)
        assert d.training is None or (d.training.train_loss, d.training.validation_loss) == ((), ())
    with (output / "candidates.csv").open() as file:
        assert not list(csv.DictReader(file))
    drawn = {file.stem for file in (output / "figures").glob("*.png")}
    assert {"score_isolation-forest", "features_1", "correlation", "flagged"} <= drawn
    assert not [name for name in drawn if name.startswith(("performance", "roc", "sic", "training"))]
    page = (output / "report.html").read_text(encoding="utf-8")
    for text in (
        "Candidates are withheld",
        "How detectors do against signals is withheld",
        "<td>withheld</td>",
        "Data above the threshold of Isolation forest is withheld",
    ):
        assert text in page


def test_no_loss_of_a_blinded_training_is_heard(blinded: Finished, heard: _Heard) -> None:
    assert blinded[1].detectors
    assert [note for note in heard.notes if note.startswith("train autoencoder")]
    assert not [note for note in heard.notes if "loss" in note]


def test_an_unblinded_run_tells_what_was_withheld(unblinded: Finished) -> None:
    output, results = unblinded
    table = scores(unblinded)
    tested = (table["role"] == "data") & (table["split"] == "test")
    main = next(d for d in results.detectors if d.name == results.main_detector)
    assert main.threshold is not None
    assert main.threshold.background_total == tested.sum()
    assert main.threshold.background_above == (tested & (table["region"] == "above")).sum()
    assert {e.detector for e in results.evaluations} == {
        "met", "best-single-variable", "isolation-forest", "autoencoder", "supervised",
    }  # fmt: skip
    assert {c.role for c in results.candidates} <= {"data", "signal"}
    flagged = {f.role: f for f in results.flagged}
    assert flagged["data"].tested == tested.sum()
    assert flagged["data"].expected is None
    assert REASON in (output / "report.html").read_text()


def test_a_search_without_any_signal_runs(data_only: Finished) -> None:
    output, results = data_only
    assert results.evaluations == ()
    assert {d.name for d in results.detectors} == {"met", "isolation-forest", "autoencoder"}
    assert results.candidates
    assert all(c.role == "data" and c.weight is None for c in results.candidates)
    test_events = {
        int(e) for e, part in zip(*(scores(data_only)[k] for k in ("event", "split")), strict=True) if part == "test"
    }
    assert {c.event for c in results.candidates} <= test_events
    assert not any("oracle" in note or "Yields" in note for note in results.notes)
    assert {"score_isolation-forest", "flagged", "correlation"} <= {f.stem for f in (output / "figures").glob("*.png")}


@pytest.mark.parametrize("which", ["blinded", "unblinded", "data_only"])
def test_the_report_says_what_it_means_that_the_data_is_its_own_background(
    which: str, request: pytest.FixtureRequest
) -> None:
    output, results = request.getfixturevalue(which)
    assert results.background == "data"
    notes = " ".join(results.notes)
    for text in ("its own background", "moves the threshold up", "by construction", "no evidence", "independent"):
        assert text in notes
    assert any("The data is its own background" in line for line in results.headline)
    page = (output / "report.html").read_text(encoding="utf-8")
    assert "moves the threshold up" in page
    assert "simulated events" not in " ".join(results.headline)


def test_resume_shows_a_finished_run_and_unblinding_reuses_its_stages(
    alone: Config, blinded: Finished, unblinded: Finished, cache: Path
) -> None:
    search = SearchConfig.parse(alone(signal=True))
    before = (blinded[0] / "results.json").stat().st_mtime_ns
    assert run_search(search, blinded[0], RunOptions(resume=True, cache=cache)) == blinded[1]
    assert (blinded[0] / "results.json").stat().st_mtime_ns == before
    stages = [json.loads((run[0] / "manifest.json").read_text())["stages"] for run in (blinded, unblinded)]
    assert stages[0] == stages[1]
    a, b = scores(blinded), scores(unblinded)
    known = dict(zip(b["event"], b["score"], strict=True))
    assert all(known[event] == score for event, score in zip(a["event"], a["score"], strict=True))


def test_other_files_are_scored_with_such_a_run(blinded: Finished, collisions: Path, tmp_path: Path) -> None:
    summary = score_files(blinded[0], [collisions], tmp_path / "scores.parquet")
    assert summary.blinding.applies
    assert summary.above is None
    table = pq.read_table(tmp_path / "scores.parquet")
    assert set(table["region"].to_pylist()) == {"below"}
    mine = scores(blinded)
    assert table.num_rows == (mine["role"] == "data").sum()
    detector = Detector.load(blinded[0] / "model" / "isolation-forest")
    chosen = apply(TrileptonSelection(), Store(collisions).load()).events
    known = dict(zip(mine["event"], mine["score"], strict=True))
    for event, score in zip(chosen.array.event.tolist(), detector.score(chosen), strict=True):
        assert event not in known or known[event] == pytest.approx(score)


def test_data_is_compared_from_a_finished_run_alone(alone: Config, data_only: Finished, tmp_path: Path) -> None:
    (tmp_path / "search.yaml").write_text(yaml.safe_dump(alone()))
    with pytest.raises(ConfigError, match="collision data is compared from a finished run"):
        compare_search(tmp_path / "search.yaml", ("MET_pt",))
    assert compare_search(data_only[0], ("MET_pt",))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"background": "dta"}, "background"),
        ({"samples": [{"name": "s", "role": "signal", "files": ["x"]}]}, "no sample has role data.*background: data"),
        (
            {"samples": [{"name": n, "role": n, "files": [n]} for n in ("data", "background")]},
            "sample 'background': role background, but the search says background: data",
        ),
        ({"background": "simulation"}, "no sample has role background; .* background: data"),
        ({"sanity": {"leave_out": ["collisions"]}}, "sanity.leave_out: no background sample 'collisions'"),
    ],
)
def test_samples_that_do_not_go_with_the_background_are_refused(
    change: dict[str, Any], message: str, alone: Config
) -> None:
    with pytest.raises(ConfigError, match=message):
        SearchConfig.parse(alone(**change), where="search.yaml")


def test_sanity_tests_need_a_simulated_background(alone: Config, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--sanity .* simulated"):
        run_search(SearchConfig.parse(alone()), tmp_path / "run", RunOptions(sanity=True))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("background", ["simulation", "data"])
def test_collisions_are_counted_and_never_scaled(background: str, collisions: Path, alone: Config) -> None:
    search = SearchConfig.parse(alone()).model_copy(update={"background": background})
    table = Table.of(Store(collisions).load(), search.feature_set(), None)
    parts = Parts.of(table, search, lambda _: Store(collisions))
    weight = parts.test_weight()
    assert set(np.unique(parts.split)) == {TRAIN, VALIDATION, TEST}
    assert weight[parts.split == TEST].tolist() == [1.0] * int((parts.split == TEST).sum())
    assert set(parts.configured_role) == {"data"}
