"""Benchmarks: what stands beside every detector, what a kill leaves, real files, detectors from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from anomalon.batches import TEST, TRAIN
from anomalon.errors import ConfigError, OutputExistsError, RunError
from anomalon.events import Events, Sample
from anomalon.metrics import auc
from anomalon.models.detector import Detector
from anomalon.pipeline import benchmark as module
from anomalon.pipeline.benchmark import BenchmarkOptions, read_benchmark, run_benchmark
from anomalon.pipeline.benchmark_cells import Task, make_cell, tasks
from anomalon.pipeline.benchmark_channels import Bench, prepared
from anomalon.pipeline.benchmark_configuration import BenchmarkConfig
from anomalon.pipeline.benchmark_files import with_files
from anomalon.pipeline.benchmark_summary import COMPARED
from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.search import RunOptions, run_search
from anomalon.search.benchmark_results import BenchmarkResults, Standing
from anomalon.writers.contract import WriterSettings
from anomalon.writers.darkmachines import DarkMachinesWriter
from tests.pipeline.conftest import simulation, trilepton_rows, write_store
from tests.random_events import random_rows

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
Values = dict[str, Any]


def values_of(stores: dict[str, Path], **changes: Any) -> Values:
    roles = {"soft": "background", "hard": "background", "signal": "signal"}
    samples = [{"name": name, "role": role, "files": [str(stores[name])]} for name, role in roles.items()]
    detectors = [{"kind": "isolation-forest", "trees": 20}, {"kind": "kmeans", "clusters": 3, "starts": 1}]
    return {
        "seed": 3, "seeds": [3, 4], "replicas": 20, "leave_out": ["hard"], "samples": samples, "detectors": detectors,
        "supervised": {"kind": "gradient-boosting", "trees": 10}, "channels": {"only": {}}, **changes,
    }  # fmt: skip


@pytest.fixture(scope="session")
def small(stores: dict[str, Path]) -> BenchmarkConfig:
    return BenchmarkConfig.parse(values_of(stores))


@pytest.fixture(scope="session")
def bench_run(small: BenchmarkConfig, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BenchmarkResults]:
    output = tmp_path_factory.mktemp("benchmark") / "out"
    return output, run_benchmark(small, output, BenchmarkOptions(workers=1))


def test_baseline_oracle_and_bound_stand_beside_every_detector(bench_run: tuple[Path, BenchmarkResults]) -> None:
    rows = {row.detector: row for row in bench_run[1].rows}
    assert {name: row.kind for name, row in rows.items()} == {
        "met": "baseline", "best-single-variable": "oracle", "supervised": "bound", "isolation-forest": "detector",
        "kmeans": "detector",
    }  # fmt: skip
    assert rows["best-single-variable"].detail
    assert rows["met"].figures[0].minus_met is None
    assert {name: row.seeds for name, row in rows.items() if row.kind == "detector"} == dict.fromkeys(
        ("isolation-forest", "kmeans"), 2
    )


def test_a_benchmark_and_a_search_agree(
    small: BenchmarkConfig, bench_run: tuple[Path, BenchmarkResults], tmp_path: Path
) -> None:
    values = values_of({s.name: Path(s.files[0]) for s in small.searches["only"].samples})
    keys = ("samples", "detectors", "supervised", "seed")
    found = run_search(SearchConfig.parse({k: values[k] for k in keys}), tmp_path / "run", RunOptions(figures=False))
    cells = {(c.detector, c.seed): c.figures[0] for c in bench_run[1].cells}
    for name in ("met", "isolation-forest", "kmeans", "supervised", "best-single-variable"):
        said, cell = found.evaluation(name, "signal"), cells[name, 3]
        assert said is not None
        assert cell.auc == pytest.approx(said.auc.value)
        assert cell.max_sic == pytest.approx(said.max_sic)
        assert [p.signal_efficiency for p in cell.points] == pytest.approx(
            [p.signal_efficiency.value for p in said.working_points]
        )
        assert [p.background_left for p in cell.points] == [p.background_left for p in said.working_points]


def test_a_mean_over_seeds_is_that_of_its_cells_and_its_spread_enters_the_error(
    bench_run: tuple[Path, BenchmarkResults],
) -> None:
    results = bench_run[1]
    aucs = [c.figures[0].auc for c in results.cells if c.detector == "isolation-forest"]
    figure = next(r for r in results.rows if r.detector == "isolation-forest").figure("auc")
    assert figure is not None
    assert figure.minus_met is not None
    assert figure.seed_deviation is not None
    assert figure.mean.value == pytest.approx(np.mean(aucs))
    assert figure.seed_deviation == pytest.approx(np.std(aucs, ddof=1))
    assert figure.minus_met.error > figure.seed_deviation / np.sqrt(2)


def test_needed_events_and_significance_are_compared_with_met(bench_run: tuple[Path, BenchmarkResults]) -> None:
    rows = {row.detector: row for row in bench_run[1].rows}
    met, bound = rows["met"], rows["supervised"]
    assert met.needed
    assert bound.needed
    assert bound.needed_over_met == pytest.approx(bound.needed / met.needed)
    assert bound.significance_gain is not None
    assert bound.significance_gain > 1
    assert met.significance_gain is None


def test_a_process_that_was_left_out_is_compared_with_met(bench_run: tuple[Path, BenchmarkResults]) -> None:
    found = bench_run[1].left_out
    assert [(x.sample, x.detector) for x in found] == [("hard", "isolation-forest"), ("hard", "kmeans")]
    assert len({x.met.value for x in found}) == 1
    for x in found:
        assert x.difference.value == pytest.approx(x.auc.value - x.met.value)


def test_a_process_that_was_left_out_has_not_been_seen(
    small: BenchmarkConfig, bench_run: tuple[Path, BenchmarkResults]
) -> None:
    cache = bench_run[0].parent / ".anomalon-cache"
    ready = prepared(Bench.of(small, cache), "only")
    background, table = ready.parts.of_part("background", TRAIN), ready.parts.table
    test = ready.parts.where("background", TEST)
    left_out = table.sample_name == "hard"
    for x in bench_run[1].left_out:
        settings = next(d for d in small.trained("only") if d.name == x.detector).seeded(3)
        shown = {"all": background.weight, "rest": np.where(background.sample_name == "hard", 0.0, background.weight)}
        aucs = {}
        for name, weight in shown.items():
            scores = ready.parts.score(Detector(settings).fit(background.features, weight))
            pair = scores[test & ~left_out], scores[test & left_out]
            weights = table.weight[test & ~left_out], table.weight[test & left_out]
            aucs[name] = auc(*pair, background_weights=weights[0], signal_weights=weights[1])
        assert x.auc.value == pytest.approx(aucs["rest"])
        assert aucs["rest"] != pytest.approx(aucs["all"])


def test_a_standing_counts_only_points_that_mean_something(bench_run: tuple[Path, BenchmarkResults]) -> None:
    results = bench_run[1]
    for standing in results.standings:
        figures = [f for r in results.rows if r.detector == standing.detector for f in r.figures]
        counted = [f for f in figures if f.name in COMPARED and f.reliable and f.minus_met is not None]
        assert standing.compared == len(counted)
        assert standing.above == sum(f.minus_met.verdict == "above" for f in counted if f.minus_met)


def test_the_directory_holds_results_tables_and_figures(bench_run: tuple[Path, BenchmarkResults]) -> None:
    output, results = bench_run
    assert read_benchmark(output) == results
    names = {f.name for f in (output / "tables").iterdir()}
    for table in ("ranking-judged-on", "only-signal", "left-out", "times", "events"):
        assert {f"{table}.csv", f"{table}.md", f"{table}.tex"} <= names
    assert {f.suffix for f in (output / "figures").iterdir()} == {".png", ".pdf"}
    assert BenchmarkConfig.load(output / "config.yaml").searches


def test_a_finished_benchmark_is_shown_and_neither_replaced_nor_taken_for_another(
    small: BenchmarkConfig, bench_run: tuple[Path, BenchmarkResults]
) -> None:
    output, results = bench_run
    assert run_benchmark(small, output, BenchmarkOptions(resume=True)) == results
    with pytest.raises(OutputExistsError, match="--resume"):
        run_benchmark(small, output)
    with pytest.raises(RunError, match="another configuration"):
        run_benchmark(small.model_copy(update={"replicas": 30}), output, BenchmarkOptions(resume=True))


def test_what_was_finished_before_an_interruption_is_not_done_again(
    small: BenchmarkConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Task] = []

    def stopping(bench: Bench, task: Task) -> Path:
        if len(made) == 4:
            raise KeyboardInterrupt
        made.append(task)
        return make_cell(bench, task)

    monkeypatch.setattr(module, "make_cell", stopping)
    options = BenchmarkOptions(workers=1, figures=False)
    with pytest.raises(KeyboardInterrupt):
        run_benchmark(small, tmp_path / "out", options)
    assert not (tmp_path / "out").exists()
    cells = {f: f.stat().st_mtime_ns for f in (tmp_path / ".anomalon-cache").glob("cell-*/cell.json")}
    assert len(cells) == 4
    monkeypatch.setattr(module, "make_cell", make_cell)
    results = run_benchmark(small, tmp_path / "out", options)
    assert len(results.cells) + len(results.left_out) == len(tasks(small))
    assert {f: f.stat().st_mtime_ns for f in cells} == cells


@pytest.mark.slow
def test_the_number_of_workers_changes_nothing(
    small: BenchmarkConfig, bench_run: tuple[Path, BenchmarkResults], tmp_path: Path
) -> None:
    results = run_benchmark(small, tmp_path / "out", BenchmarkOptions(workers=2, figures=False))
    assert results.rows == bench_run[1].rows
    assert results.left_out == bench_run[1].left_out


PLUGIN = """
from anomalon.models.contract import Scorer

class Sum(Scorer):
    kind = "sum-of-inputs"
    def _fit(self, batches, validation, run): pass
    def _score(self, x): return x.sum(axis=1).astype(float)
    def _save(self, folder): return {}
    def _load(self, folder, state): pass
"""


@pytest.mark.slow
def test_a_detector_from_outside_is_one_file_and_one_line(stores: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "sum_of_inputs.py").write_text(PLUGIN)
    metadata = tmp_path / "sum_of_inputs-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: sum-of-inputs\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[anomalon.scorers]\nsum-of-inputs = sum_of_inputs:Sum\n")
    (tmp_path / "bench.yaml").write_text(
        yaml.safe_dump(values_of(stores, detectors=[{"kind": "sum-of-inputs"}], leave_out=[], supervised=None))
    )
    command = [sys.executable, "-c", "from anomalon.cli import main; main()", "benchmark", "bench.yaml"]
    done = subprocess.run(
        [*command, "--output", "out", "--no-figures", "--json", "--workers", "1"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "sum-of-inputs" in {row["detector"] for row in json.loads(done.stdout)["rows"]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": {"only": {"sampels": []}}}, "channels.only: unknown key 'sampels'; did you mean 'samples'"),
        ({"channels": {"only": {"selection": {"kind": "lepton"}}}}, "channels.only: .*no selection 'lepton'"),
        ({"choose_on": ["signal"], "judge_on": ["signal"]}, "cannot be judged on what it was chosen on"),
        ({"judge_on": ["stop"]}, "judge_on: no signal 'stop'"),
        ({"leave_out": ["signal"]}, "leave_out: no background sample 'signal'"),
        ({"seeds": [1, 1]}, "a seed is given twice"),
        ({"seeds": []}, "seeds"),
        ({"channels": {}}, "channels"),
        ({"detectros": []}, "unknown key 'detectros'"),
    ],
)
def test_mistakes_are_told_in_one_line(stores: dict[str, Path], changes: Values, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BenchmarkConfig.parse(values_of(stores, **changes))


@pytest.mark.parametrize("name", ["trilepton", "vlt", "darkmachines"])
def test_an_example_is_valid_and_survives_being_written_down(name: str) -> None:
    config = BenchmarkConfig.load(EXAMPLES / f"benchmark-{name}.yaml")
    assert len(config.seeds) >= 3
    assert not set(config.choose_on) & set(config.judged)
    assert BenchmarkConfig.parse(yaml.safe_load(config.to_yaml())) == config


@pytest.fixture
def write_csv(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, number: int, seed: int, *, harder: float = 1.0, weight: float = 1.0) -> Path:
        rows = random_rows(number, seed, leptons=4.0, jets=3.0)
        for k, row in enumerate(rows):
            row["met"]["pt"] = 60.0 + harder * row["met"]["pt"]
            row |= {"event": k, "gen_weight": weight, "dataset": k % 2}
        both = [Sample(name=process, process=process, sum_gen_weights=1.0) for process in ("ttbar", "wz")]
        path = tmp_path / "real" / "chan2a" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with DarkMachinesWriter(path, WriterSettings(luminosity_fb=1.0)) as writer:
            writer.append(Events.from_dicts(rows, both))
        return path

    return write


def test_real_files_take_the_place_of_the_simulation_in_the_same_configuration(
    write_csv: Callable[..., Path], tmp_path: Path
) -> None:
    background = write_csv("background_chan2a_309.6.csv", 2500, 1)
    write_csv("gluino_chan2a.csv", 600, 2, harder=4.0, weight=0.01)
    given = yaml.safe_load((EXAMPLES / "benchmark-darkmachines.yaml").read_text())
    detectors = [{"kind": "isolation-forest", "trees": 20}]
    config = BenchmarkConfig.parse({**given, "seeds": [1], "replicas": 20, "detectors": detectors, "supervised": None})
    real = with_files(config, tmp_path / "real")
    assert list(real.channels) == ["2a"]
    assert real.judged == ("gluino",)
    lines = [float(line.split(";")[2]) for line in background.read_text().splitlines()]
    sigma = {s.name: s.cross_section_pb for s in real.searches["2a"].samples}
    assert sigma["background"] == pytest.approx(sum(lines) / 309.6 / 1000)
    results = run_benchmark(real, tmp_path / "out", BenchmarkOptions(workers=1, figures=False))
    assert {row.detector for row in results.rows} == {"met", "best-single-variable", "isolation-forest"}
    assert all(row.significance is not None for row in results.rows)


def test_a_folder_without_any_real_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no real file for any channel.*background_chan1"):
        with_files(BenchmarkConfig.load(EXAMPLES / "benchmark-darkmachines.yaml"), tmp_path)


@pytest.mark.parametrize("kind", ["exposed-to-pseudo-events", "exposed-or-joint"])
def test_events_keep_what_a_detector_learns_from(stores: dict[str, Path], kind: str) -> None:
    selection = {"kind": "objects", "lepton_pt_min": [20, 15]}
    config = BenchmarkConfig.parse(
        values_of(stores, detectors=[{"kind": kind}], channels={"only": {"selection": selection}})
    )
    search = config.searches["only"]
    needed = search.detector_settings()[-1].scorer.requires
    assert "electrons.charge" in needed - search.feature_set().requires
    assert needed <= set(search.event_fields)


def test_a_process_that_is_too_small_to_be_left_out_is_told(stores: dict[str, Path], tmp_path: Path) -> None:
    rare = write_store(tmp_path / "rare", trilepton_rows(12, 8), simulation("rare", 12, 0.01))
    values = values_of(stores, leave_out=["rare"], seeds=[1], detectors=[{"kind": "kmeans", "clusters": 3}])
    values["samples"].append({"name": "rare", "role": "background", "files": [str(rare)]})
    results = run_benchmark(BenchmarkConfig.parse(values), tmp_path / "out", BenchmarkOptions(workers=1, figures=False))
    assert not results.left_out
    assert "only: too few events to be left out of training: rare." in results.notes


def test_detectors_that_are_ranked_on_fewer_signals_are_told() -> None:
    common = {"signals": "judged on", "kind": "detector"}
    flow, forest = (Standing.parse({**common, "detector": n, "ranked": k}) for n, k in (("flow", 7), ("forest", 5)))
    (note,) = module._unequal((flow, forest))
    assert "7 signals, but fewer for forest (5)" in note
    assert not list(module._unequal((flow, flow)))
