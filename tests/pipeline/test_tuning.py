"""Tuning studies: exactly as many trials as asked for, whatever was killed; what the objective looks at."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from anomalon.errors import ConfigError, MissingExtraError, OutputExistsError, RunError
from anomalon.models.detector import DetectorSettings
from anomalon.pipeline.benchmark_configuration import BenchmarkConfig
from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.tuning import TuningOptions, read_tuning, run_tuning
from anomalon.pipeline.tuning_configuration import TuningConfig
from anomalon.pipeline.tuning_objective import Judge
from anomalon.pipeline.tuning_study import JOURNAL, PLACE, WORKERS, SharedStudy, _cut_torn_line, suggest
from anomalon.search.tuning_results import TuningResults
from tests.pipeline.conftest import simulation, trilepton_rows, write_store

pytest.importorskip("optuna")

Values = dict[str, Any]
SPACE = {"trees": {"low": 5, "high": 60}, "events_per_tree": {"choices": [16, 64, 256]}}
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def values_of(stores: dict[str, Path], **changes: Any) -> Values:
    roles = {"soft": "background", "hard": "background", "signal": "signal"}
    samples = [{"name": name, "role": role, "files": [str(stores[name])]} for name, role in roles.items()]
    return {
        "samples": samples, "detector": {"kind": "isolation-forest"}, "space": SPACE, "trials": 4,
        "objective": {"kind": "proxy", "background_efficiency": 0.1, "events": 200}, **changes,
    }  # fmt: skip


@pytest.fixture(scope="session")
def study(stores: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TuningResults]:
    output = tmp_path_factory.mktemp("tuning") / "study"
    return output, run_tuning(TuningConfig.parse(values_of(stores)), output)


def test_exactly_the_trials_asked_for_are_finished_and_the_best_is_the_best(study: tuple[Path, TuningResults]) -> None:
    output, results = study
    assert [t.place for t in results.trials] == [0, 1, 2, 3]
    assert results.best is not None
    assert results.best.value == max(t.value for t in results.trials if t.value is not None)
    assert results.running == results.started_again == 0
    assert read_tuning(output) == results


def test_no_two_trials_draw_the_same(study: tuple[Path, TuningResults]) -> None:
    assert len({tuple(t.settings.items()) for t in study[1].trials}) > 2


def test_the_best_configuration_is_that_of_a_search_and_of_a_benchmark(study: tuple[Path, TuningResults]) -> None:
    output, results = study
    assert results.best is not None
    search = SearchConfig.load(output / "best-search.yaml")
    bench = BenchmarkConfig.load(output / "best-benchmark.yaml")
    for found in (search.detector_settings()[-1], bench.trained("study")[0]):
        assert found.scorer.trees == results.best.settings["trees"]  # type: ignore[attr-defined]
    fragment = yaml.safe_load((output / "best-detector.yaml").read_text())
    assert DetectorSettings.parse(fragment).scorer.trees == results.best.settings["trees"]  # type: ignore[attr-defined]
    assert {f.name for f in (output / "figures").iterdir()} >= {"history.png", "settings.png"}


def test_more_trials_are_added_to_those_that_are_there(stores: dict[str, Path], tmp_path: Path) -> None:
    options = TuningOptions(figures=False)
    first = run_tuning(TuningConfig.parse(values_of(stores, trials=2)), tmp_path / "study", options)
    with pytest.raises(OutputExistsError, match="--resume"):
        run_tuning(TuningConfig.parse(values_of(stores, trials=3)), tmp_path / "study", options)
    options = TuningOptions(figures=False, resume=True)
    more = run_tuning(TuningConfig.parse(values_of(stores, trials=3)), tmp_path / "study", options)
    assert more.trials[:2] == first.trials
    assert len(more.trials) == 3
    with pytest.raises(RunError, match="other settings"):
        run_tuning(TuningConfig.parse(values_of(stores, seed=7)), tmp_path / "study", options)


def test_a_folder_of_something_else_is_left_alone(stores: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(OutputExistsError, match="no study"):
        run_tuning(TuningConfig.parse(values_of(stores)), tmp_path, TuningOptions(resume=True))


def test_the_trial_of_a_process_that_is_gone_is_failed_and_its_place_waits_with_its_settings(
    stores: dict[str, Path], tmp_path: Path
) -> None:
    config = TuningConfig.parse(values_of(stores, trials=2))
    shared = SharedStudy.open(config, tmp_path)
    with shared.working() as alive:
        kept = shared.claim(alive)
        lost = shared.claim("gone")
        assert kept is not None
        assert lost is not None
        drawn = suggest(lost, config.space)
        again = SharedStudy.open(config, tmp_path)
        states = [t.state.name for t in again.study.get_trials(deepcopy=False)]
        assert states == ["RUNNING", "FAIL", "WAITING"]
        retried = again.claim(alive)
        assert retried is not None
        assert retried.user_attrs[PLACE] == lost.user_attrs[PLACE]
        assert suggest(retried, config.space) == drawn
        assert again.claim(alive) is None
    assert not any((tmp_path / WORKERS).iterdir())


def test_what_a_killed_process_left_half_written_is_cut_off(tmp_path: Path) -> None:
    journal = tmp_path / JOURNAL
    journal.write_bytes(b'{"a":1}\n{"b":')
    _cut_torn_line(journal)
    assert journal.read_bytes() == b'{"a":1}\n'
    _cut_torn_line(journal)
    assert journal.read_bytes() == b'{"a":1}\n'


def test_a_proxy_never_looks_at_the_signal(
    stores: dict[str, Path], study: tuple[Path, TuningResults], tmp_path: Path
) -> None:
    other = write_store(tmp_path / "other", trilepton_rows(400, 9, hardness=0.3), simulation("signal", 400, 1e-3))
    config = TuningConfig.parse(values_of({**stores, "signal": other}))
    found = run_tuning(config, tmp_path / "study", TuningOptions(figures=False))
    assert [t.value for t in found.trials] == [t.value for t in study[1].trials]


def test_the_objective_never_looks_at_test_events(
    stores: dict[str, Path], study: tuple[Path, TuningResults], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from anomalon.batches import TEST  # noqa: PLC0415
    from anomalon.pipeline.parts import Parts  # noqa: PLC0415

    asked: list[int | None] = []
    where = Parts.where

    def watched(self: Parts, role: Any, part: int | None = None, sample: str | None = None) -> Any:
        asked.append(part)
        return where(self, role, part, sample)

    value = Judge.value

    def judged(self: Judge, *given: Any) -> float:
        monkeypatch.setattr(Parts, "where", watched)
        return value(self, *given)

    monkeypatch.setattr(Judge, "value", judged)
    run_tuning(TuningConfig.parse(values_of(stores, trials=1)), tmp_path / "study", TuningOptions(figures=False))
    assert asked
    assert TEST not in asked


def test_a_named_signal_is_used_with_a_warning(stores: dict[str, Path], tmp_path: Path) -> None:
    config = TuningConfig.parse(values_of(stores, trials=1, objective={"kind": "sic", "signal": "signal"}))
    results = run_tuning(config, tmp_path / "study", TuningOptions(figures=False))
    assert "labels of signal 'signal' are used" in results.warnings[0]
    assert results.best is not None
    assert results.best.value is not None
    assert results.best.value > 1
    assert BenchmarkConfig.load(tmp_path / "study" / "best-benchmark.yaml").choose_on == ("signal",)


def test_the_pruner_sees_a_ninth_and_a_third_of_the_epochs(stores: dict[str, Path], tmp_path: Path) -> None:
    detector = {"kind": "autoencoder", "hidden": [8], "training": {"epochs": 9, "batch_size": 256}}
    space = {"training.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}
    values = values_of(stores, detector=detector, space=space, objective="validation-loss", trials=2)
    results = run_tuning(TuningConfig.parse(values), tmp_path / "study", TuningOptions(figures=False))
    assert results.trials[0].state == "complete"
    assert set(results.trials[0].intermediate) == {1, 3, 9}
    assert results.trials[0].value == min(results.trials[0].intermediate.values())
    assert not results.maximised


def test_losses_that_cannot_be_compared_are_warned_of(stores: dict[str, Path]) -> None:
    detector, space = {"kind": "vae"}, {"beta": {"low": 0.1, "high": 1.0}}
    config = TuningConfig.parse(values_of(stores, detector=detector, space=space, objective="validation-loss"))
    assert "not comparable" in next(config.warnings())
    assert not list(config.model_copy(update={"space": TuningConfig.parse(values_of(stores)).space}).warnings())


def test_a_detector_without_losses_has_no_validation_loss(stores: dict[str, Path], tmp_path: Path) -> None:
    config = TuningConfig.parse(values_of(stores, objective="validation-loss"))
    with pytest.raises(ConfigError, match="has no losses; use proxy"):
        run_tuning(config, tmp_path / "study")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": {"tress": {"low": 1, "high": 2}}}, "space.tress = 1: .*did you mean 'trees'"),
        ({"space": {"trees": {"low": 0, "high": 2}}}, "space.trees = 0"),
        ({"space": {"trees": {"low": 5, "high": 5}}}, "low = 5 is not below high = 5"),
        ({"space": {"trees": {"choices": [5]}}}, "give at least two"),
        ({"space": {}}, "space"),
        ({"objective": "sics"}, "must be validation-loss, proxy or sic"),
        ({"objective": {"kind": "sic", "signal": "sginal"}}, "no signal 'sginal'; did you mean 'signal'"),
        ({"objective": {"kind": "proxy", "leave_out": "signal"}}, "no background sample 'signal'"),
        ({"storage": "study.db"}, "expected the URL of a database"),
        ({"detector": {"kind": "isolation-forst"}}, "did you mean 'isolation-forest'"),
    ],
)
def test_mistakes_are_told_in_one_line(stores: dict[str, Path], changes: Values, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TuningConfig.parse(values_of(stores, **changes))


def test_a_database_that_cannot_be_reached_is_one_line_without_its_password(
    stores: dict[str, Path], tmp_path: Path
) -> None:
    config = TuningConfig.parse(values_of(stores, storage=f"sqlite:///{tmp_path}/no/such/folder/study.db"))
    with pytest.raises(RunError, match="cannot be opened"):
        run_tuning(config, tmp_path / "study")
    config = TuningConfig.parse(values_of(stores, storage="nosuchdatabase://me:secret@host/study"))
    with pytest.raises(RunError, match="cannot be opened") as refused:
        run_tuning(config, tmp_path / "other")
    assert "secret" not in str(refused.value)
    assert "secret" not in (tmp_path / "other" / "config.yaml").read_text()


def test_without_optuna_the_extra_is_named(
    stores: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"anomalon\[tune\]"):
        run_tuning(TuningConfig.parse(values_of(stores)), tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_the_example_is_valid_and_survives_being_written_down() -> None:
    config = TuningConfig.load(EXAMPLES / "tune-vae.yaml")
    assert TuningConfig.parse(yaml.safe_load(config.to_yaml())) == config
    assert not list(config.warnings())


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start a study in a process of its own, in the folder ``study``."""

    def started(values: Values, *arguments: str) -> subprocess.Popen[str]:
        (tmp_path / "tune.yaml").write_text(yaml.safe_dump(values))
        command = [sys.executable, "-c", "from anomalon.cli import main; main()", "tune", "tune.yaml", "--output"]
        return subprocess.Popen(
            [*command, "study", "--no-figures", "--resume", *arguments], cwd=tmp_path, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    return started


def seen(config: TuningConfig, folder: Path) -> SharedStudy | None:
    """The study as it is, without touching it."""
    from optuna import load_study  # noqa: PLC0415
    from optuna.storages import JournalStorage  # noqa: PLC0415
    from optuna.storages.journal import JournalFileBackend  # noqa: PLC0415

    if not (folder / JOURNAL).is_file():
        return None
    try:
        storage = JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
        return SharedStudy(folder, load_study(study_name="anomalon", storage=storage), config)
    except KeyError:
        return None


def wait_for(what: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
def test_a_study_killed_three_times_ends_with_exactly_its_trials_and_a_best_value_never_worse(
    stores: dict[str, Path], tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    space = {"trees": {"low": 400, "high": 1500}, "events_per_tree": {"choices": [16, 64, 256]}}
    values, best, done = values_of(stores, space=space, trials=9), -1.0, 0
    config = TuningConfig.parse(values)

    def in_the_middle_of_a_trial() -> bool:
        study = seen(config, tmp_path / "study")
        return study is not None and len(study.finished()) > done and study.running() == 1

    for _ in range(3):
        process = start(values)
        wait_for(in_the_middle_of_a_trial, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        study = seen(config, tmp_path / "study")
        assert study is not None
        done = len(study.finished())
        assert done < 9
        assert study.study.best_value >= best
        best = study.study.best_value
    process = start(values)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    results = read_tuning(tmp_path / "study")
    assert [t.place for t in results.trials] == list(range(9))
    assert results.running == 0
    assert results.started_again >= 2  # a kill may come between two trials
    assert results.best is not None
    assert results.best.value is not None
    assert results.best.value >= best


@pytest.mark.slow
def test_two_processes_share_a_database(
    stores: dict[str, Path], tmp_path: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    values = values_of(stores, trials=8, storage=f"sqlite:///{tmp_path}/study.db")
    both = [start(values), start(values)]
    for process in both:
        _, err = process.communicate(timeout=250)
        assert process.returncode == 0, err
    shared = SharedStudy.open(TuningConfig.parse(values), tmp_path / "study")
    everything = shared.study.get_trials(deepcopy=False)
    assert sorted(t.user_attrs[PLACE] for t in shared.finished()) == list(range(8))
    assert {t.state.name for t in everything} <= {"COMPLETE", "PRUNED"}
    assert len(everything) == 8
