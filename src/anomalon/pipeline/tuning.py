"""A tuning study from end to end: events once, trials by any number of processes, the best configuration as YAML."""

from __future__ import annotations

import csv
import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

import anomalon
from anomalon.errors import AnomalonError, ConfigError, OutputExistsError, RunError, TrainingError
from anomalon.pipeline.benchmark_channels import Bench, Prepared, prepare
from anomalon.pipeline.cache import StageCache
from anomalon.pipeline.progress import Progress, Silent
from anomalon.pipeline.run_directory import write_json
from anomalon.pipeline.search import CACHE
from anomalon.pipeline.tuning_configuration import CHANNEL, TuningConfig
from anomalon.pipeline.tuning_objective import PARTS, Judge, left_out
from anomalon.pipeline.tuning_study import PLACE, SharedStudy, best_of, load_optuna, settings_of, suggest
from anomalon.processes import ordered_map
from anomalon.report.figures_tuning import study_figures
from anomalon.report.style import to_pdf, to_png
from anomalon.search.tuning_results import TrialRecord, TuningResults

if TYPE_CHECKING:
    from optuna import Trial

CONFIG = "config.yaml"
REASON = "reason"


@dataclass(frozen=True)
class TuningOptions:
    """How a study is run; nothing here changes what a trial is worth.

    Attributes:
        resume: go on with the study that is there, beside other processes or after they were killed.
        cache: folder of samples and trainings; by default beside the output.
        workers: processes that this call starts.
        figures: whether to draw.
        progress: who listens.
    """

    resume: bool = False
    cache: Path | None = None
    workers: int = 1
    figures: bool = True
    progress: Progress = field(default_factory=Silent)


def run_tuning(config: TuningConfig, output: Path, options: TuningOptions | None = None) -> TuningResults:
    """Run a study until all its trials are finished, and write its directory.

    Raises:
        OutputExistsError: ``output`` is there and ``resume`` is off, or is no study.
        RunError: the study there has other settings.
        MissingExtraError: Optuna is not installed.
        EmptySelectionError: too few background events are left.
    """
    options = options or TuningOptions()
    load_optuna()
    _check_free(output, resume=options.resume)
    output.mkdir(parents=True, exist_ok=True)
    for warning in config.warnings():
        options.progress.say(f"warning: {warning}")
    (output / CONFIG).write_text(config.to_yaml(), encoding="utf-8")
    shared = SharedStudy.open(config, output)
    work = _Work(config.model_dump_json(), output, options.cache or output.parent / CACHE)
    prepare(work.bench, CHANNEL, options.progress)
    options.progress.start("trials", config.trials)
    if options.workers == 1:
        _work(work, options.progress, 0)
    else:
        for _ in ordered_map(functools.partial(_work, work, None), range(options.workers), options.workers):
            options.progress.update(len(shared.finished()))
    results = _results(config, shared, work)
    _write(output, config, results, options)
    return results


def _check_free(output: Path, *, resume: bool) -> None:
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if not (output / CONFIG).is_file() or not (output / "workers").is_dir():
        raise OutputExistsError(f"{output}: already there and no study of anomalon; choose another --output")
    if not resume:
        raise OutputExistsError(f"{output}: already there; --resume goes on with it, or choose another --output")


@dataclass(frozen=True)
class _Work:
    """What a process needs; can be sent to others."""

    text: str
    folder: Path
    cache: Path

    @property
    def config(self) -> TuningConfig:
        return TuningConfig.parse(json.loads(self.text))

    @property
    def bench(self) -> Bench:
        """The events of the study, prepared as those of a benchmark."""
        return Bench.of(self.config.benchmark_with({}), self.cache)


def _work(work: _Work, progress: Progress | None, number: int) -> int:
    """Take places until none waits; the number of trials that were finished."""
    del number
    listener = progress or Silent()
    config = work.config
    shared, done = SharedStudy.open(config, work.folder), 0
    judge = Judge(config, prepare(work.bench, CHANNEL), StageCache(work.cache), Silent())
    with shared.working() as name:
        while (trial := shared.claim(name)) is not None:
            _tried(shared, trial, judge)
            done += 1
            listener.update(len(shared.finished()), _where(shared))
    return done


def _where(shared: SharedStudy) -> str:
    best = best_of(shared.finished(), maximised=shared.config.maximised)
    return "" if best is None else f"best {best.value:.4g}"


def _tried(shared: SharedStudy, trial: Trial, judge: Judge) -> None:
    """Run one trial: complete, or pruned because it fell behind or its training diverged."""
    optuna = load_optuna()
    states = optuna.trial.TrialState
    try:
        value = _value(trial, judge)
    except optuna.TrialPruned:
        shared.study.tell(trial, state=states.PRUNED)
    except TrainingError as error:
        trial.set_user_attr(REASON, str(error))
        shared.study.tell(trial, state=states.PRUNED)
    except AnomalonError as error:
        shared.study.tell(trial, state=states.FAIL)
        raise ConfigError(f"trial {trial.number}: {error}") from None
    else:
        shared.study.tell(trial, value)


def _value(trial: Trial, judge: Judge) -> float:
    """The objective after all epochs; on the way, after fewer, the pruner is asked."""
    settings = judge.config.settings(suggest(trial, judge.config.space))
    budgets = judge.budgets(settings)
    for step, epochs in zip([PARTS[0] // part for part in PARTS][-len(budgets) :], budgets, strict=True):
        value = judge.value(settings, epochs)
        trial.report(value, step)
        if epochs != budgets[-1] and trial.should_prune():
            raise load_optuna().TrialPruned
    return value


def _results(config: TuningConfig, shared: SharedStudy, work: _Work) -> TuningResults:
    trials = shared.finished()
    best = best_of(trials, maximised=config.maximised)
    records = [
        TrialRecord(
            number=t.number,
            place=t.user_attrs[PLACE],
            state="complete" if t.value is not None and t.state.name == "COMPLETE" else "pruned",
            value=t.value if t.state.name == "COMPLETE" else None,
            settings=settings_of(t, config.space),
            intermediate=dict(t.intermediate_values),
            seconds=t.duration.total_seconds() if t.duration else None,
            reason=str(t.user_attrs.get(REASON, "")),
        )
        for t in trials
    ]
    failed = [t for t in shared.study.get_trials(deepcopy=False) if t.state.name == "FAIL"]
    return TuningResults(
        anomalon_version=anomalon.__version__,
        title=config.title,
        objective=_objective(config, work),
        maximised=config.maximised,
        wanted=config.trials,
        running=shared.running(),
        started_again=len(failed),
        trials=tuple(records),
        best=None if best is None else next(r for r in records if r.number == best.number),
        warnings=tuple(config.warnings()),
    )


def _objective(config: TuningConfig, work: _Work) -> str:
    """The objective with what it left to be chosen."""
    if config.objective.kind != "proxy":
        return config.objective.kind + (f" of {config.objective.signal}" if config.objective.kind == "sic" else "")
    ready: Prepared = prepare(work.bench, CHANNEL)
    pseudo = [f"{name} left out" for name in [left_out(config, ready)] if name] + list(config.objective.distortions)
    return f"proxy: mean eps_S at eps_B = {config.objective.background_efficiency:g} of {', '.join(pseudo)}"


def _write(output: Path, config: TuningConfig, results: TuningResults, options: TuningOptions) -> None:
    write_json(output / "results.json", results.model_dump(mode="json"))
    with (output / "trials.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(_lines(config, results))
    if results.best is not None:
        search = config.search_with(results.best.settings)
        (output / "best-search.yaml").write_text(search.to_yaml(), encoding="utf-8")
        (output / "best-benchmark.yaml").write_text(
            config.benchmark_with(results.best.settings).to_yaml(), encoding="utf-8"
        )
        detector = config.varied(results.best.settings)
        (output / "best-detector.yaml").write_text(yaml.safe_dump(detector, sort_keys=False), encoding="utf-8")
    if options.figures and results.trials:
        (output / "figures").mkdir(exist_ok=True)
        for name, figure in study_figures(results, config.space):
            (output / "figures" / f"{name}.png").write_bytes(to_png(figure))
            (output / "figures" / f"{name}.pdf").write_bytes(to_pdf(figure))


def _lines(config: TuningConfig, results: TuningResults) -> Iterator[list[Any]]:
    yield ["number", "state", "value", "seconds", *config.space, "reason"]
    for t in results.trials:
        drawn = [t.settings.get(key, "") for key in config.space]
        yield [t.number, t.state, "" if t.value is None else t.value, t.seconds or "", *drawn, t.reason]


def read_tuning(output: Path) -> TuningResults:
    """The results of a study.

    Raises:
        RunError: there are none, or they are damaged.
    """
    file = output / "results.json"
    try:
        return TuningResults.model_validate_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise RunError(f"{file}: not the results of a study; make them with: anomalon tune") from None
