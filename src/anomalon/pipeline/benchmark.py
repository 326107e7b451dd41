"""A benchmark from end to end: channels, cells on several processes, rows and standings, tables and figures."""

from __future__ import annotations

import functools
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import anomalon
from anomalon.errors import RunError
from anomalon.pipeline.benchmark_cells import Task, bench_digest, make_cell, read_cell, read_left_out, tasks
from anomalon.pipeline.benchmark_channels import MINIMUM_SIGNAL, Bench, Prepared, prepare, prepared
from anomalon.pipeline.benchmark_configuration import BenchmarkConfig
from anomalon.pipeline.benchmark_summary import Seen, rows_of, standings_of, times_of
from anomalon.pipeline.evaluate import signal_names
from anomalon.pipeline.progress import Progress, Silent
from anomalon.pipeline.run_directory import MANIFEST, RunDirectory, files_below, write_json
from anomalon.pipeline.search import CACHE
from anomalon.processes import available_cores, ordered_map
from anomalon.report.benchmark_tables import tables_of
from anomalon.report.data_tables import files_of
from anomalon.report.figures_benchmark import figures_of
from anomalon.report.style import to_pdf, to_png
from anomalon.search.benchmark_results import BenchmarkResults, ChannelCounts, LeftOut, SampleCount, Standing
from anomalon.store import sha256

RESULTS = "results.json"


@dataclass(frozen=True)
class BenchmarkOptions:
    """How a benchmark is run; nothing here changes its results.

    Attributes:
        resume: show a finished benchmark of the same configuration; one that was stopped goes on in any case, from the
            cache.
        overwrite: replace a finished one.
        cache: folder of samples and cells; by default beside the output.
        workers: processes that make cells; None takes all cores.
        figures: whether to draw.
        progress: who listens.
    """

    resume: bool = False
    overwrite: bool = False
    cache: Path | None = None
    workers: int | None = None
    figures: bool = True
    progress: Progress = field(default_factory=Silent)


def run_benchmark(config: BenchmarkConfig, output: Path, options: BenchmarkOptions | None = None) -> BenchmarkResults:
    """Run a benchmark and write its directory: ``results.json``, tables, figures.

    Raises:
        OutputExistsError: ``output`` is there and neither ``resume`` nor ``overwrite`` is on.
        RunError: ``resume``, but the benchmark there has another configuration.
        EmptySelectionError: too few background events are left in a channel.
    """
    options = options or BenchmarkOptions()
    run = RunDirectory(output)
    if options.resume and run.finished:
        return _reuse(run, config, options)
    run.check_free(options.overwrite or options.resume)
    with run.making():
        results = _run(config, options.cache or output.parent / CACHE, options)
        _write(run.begin(), config, results, options)
        run.finish()
    return results


def read_benchmark(output: Path) -> BenchmarkResults:
    """The results of a finished benchmark.

    Raises:
        RunError: not a finished benchmark, or damaged.
    """
    RunDirectory(output).manifest()
    file = output / RESULTS
    try:
        return BenchmarkResults.model_validate_json(file.read_text(encoding="utf-8"))
    except ValueError:
        raise RunError(f"{file}: not the results of a benchmark; make them with: anomalon benchmark") from None


def _reuse(run: RunDirectory, config: BenchmarkConfig, options: BenchmarkOptions) -> BenchmarkResults:
    if run.manifest()["config_digest"] != bench_digest(config):
        raise RunError(
            f"{run.path}: a finished benchmark of another configuration; choose another --output, or --overwrite it"
        )
    options.progress.say(f"{run.path}: finished before with this configuration; nothing to do")
    return read_benchmark(run.path)


def _run(config: BenchmarkConfig, cache: Path, options: BenchmarkOptions) -> BenchmarkResults:
    start = time.perf_counter()
    bench = Bench.of(config, cache)
    ready = {channel: prepared_aloud(bench, channel, options.progress) for channel in config.channels}
    wanted = [t for t in tasks(config) if t.without is None or ready[t.channel].can_leave_out(t.without)]
    folders = dict(_made(bench, wanted, options))
    cells = [Seen(*read_cell(folder)) for task, folder in folders.items() if task.without is None]
    left_out = tuple(read_left_out(folder) for task, folder in folders.items() if task.without is not None)
    rows = rows_of(cells)
    signals = {what: names for what, names in _sets(config) if names}
    standings = standings_of(rows, signals)
    return BenchmarkResults(
        anomalon_version=anomalon.__version__,
        title=config.title,
        seeds=config.seeds,
        replicas=config.replicas,
        background_uncertainty=config.background_uncertainty,
        minimum_background=config.minimum_background,
        choose_on=config.choose_on,
        judge_on=config.judged,
        channels=tuple(_counts(channel, one) for channel, one in ready.items()),
        cells=tuple(seen.cell for seen in cells),
        rows=rows,
        standings=standings,
        left_out=left_out,
        times=times_of(cells),
        notes=(*_notes(config, ready, left_out), *_unequal(standings)),
        seconds=round(time.perf_counter() - start, 1),
    )


def prepared_aloud(bench: Bench, channel: str, progress: Progress) -> Prepared:
    """Prepare a channel here first, so that workers find its events in the cache."""
    progress.start(f"events of {channel}")
    prepare(bench, channel, progress)
    return prepared(bench, channel)


def _made(bench: Bench, wanted: Sequence[Task], options: BenchmarkOptions) -> Iterator[tuple[Task, Path]]:
    workers = options.workers or available_cores()
    options.progress.start("train and evaluate", len(wanted))
    made = ordered_map(functools.partial(_make, bench, workers), wanted, workers)
    for done, (task, folder) in enumerate(zip(wanted, made, strict=True), start=1):
        options.progress.update(done, task.words)
        yield task, folder


def _make(bench: Bench, workers: int, task: Task) -> Path:
    """Make a cell with this process' share of the cores: threads of several trainings would wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, min(before, available_cores() // workers)))
    try:
        return make_cell(bench, task)
    finally:
        torch.set_num_threads(before)


def _counts(channel: str, ready: Prepared) -> ChannelCounts:
    parts = ready.parts
    samples = []
    for one in ready.selected:
        name = one.config.name
        own = parts.table.sample_name == name
        expected = float(ready.yields[own].sum()) if ready.normalised_signal(name) else None
        samples.append(
            SampleCount(
                name=name, role=one.config.role, title=one.config.heading, selected=int(own.sum()),
                test=int((own & (ready.yields != 0)).sum()), expected=expected,
            )
        )  # fmt: skip
    return ChannelCounts(
        channel=channel, title=ready.search.title, luminosity_fb=ready.search.luminosity_fb, samples=tuple(samples)
    )


def _notes(config: BenchmarkConfig, ready: dict[str, Prepared], left_out: Sequence[LeftOut]) -> Iterator[str]:
    """What to know before reading the numbers."""
    if len(config.seeds) < 3:
        yield f"{len(config.seeds)} seed(s): the spread of trainings is not known; give at least three."
    for channel, one in ready.items():
        few = [name for name in signal_names(one.parts) if name not in one.signals]
        if few:
            yield f"{channel}: fewer than {MINIMUM_SIGNAL} training or test events, left out: {', '.join(few)}."
        asked = {s.name for s in one.search.samples if s.role == "background"} & set(config.leave_out)
        if small := sorted(name for name in asked if not one.can_leave_out(name)):
            yield f"{channel}: too few events to be left out of training: {', '.join(small)}."
        if not one.normalised:
            yield f"{channel}: weights of the background are relative; no significances and no needed events."
    seen = sorted({(x.sample, x.detector) for x in left_out if x.auc.low is not None and x.auc.low > 0.5})
    if left_out and not seen:
        yield "No detector sees a background process that was left out of training."


def _sets(config: BenchmarkConfig) -> Iterator[tuple[str, Sequence[str]]]:
    yield "judged on", config.judged
    yield "chosen on", config.choose_on


def _unequal(standings: Sequence[Standing]) -> Iterator[str]:
    """Medians over different signals cannot be compared: a point without enough background has no improvement."""
    for what in dict.fromkeys(s.signals for s in standings):
        own = [s for s in standings if s.signals == what]
        most = max(s.ranked for s in own)
        if fewer := [f"{s.detector} ({s.ranked})" for s in own if s.ranked < most]:
            yield (
                f"Ranking, signals {what}: {most} signals, but fewer for {', '.join(fewer)}, for lack of background "
                "events at every point: their TI cannot be compared with the others'."
            )


def _write(folder: Path, config: BenchmarkConfig, results: BenchmarkResults, options: BenchmarkOptions) -> None:
    (folder / "config.yaml").write_text(config.to_yaml(), encoding="utf-8")
    (folder / "tables").mkdir()
    for table in tables_of(results):
        for name, text in files_of(table):
            (folder / "tables" / name).write_text(text, encoding="utf-8")
    options.progress.start("figures")
    if options.figures:
        (folder / "figures").mkdir()
        for name, figure in figures_of(results):
            (folder / "figures" / f"{name}.png").write_bytes(to_png(figure))
            (folder / "figures" / f"{name}.pdf").write_bytes(to_pdf(figure))
    write_json(folder / MANIFEST, _manifest(folder, config))
    write_json(folder / RESULTS, results.model_dump(mode="json"))


def _manifest(folder: Path, config: BenchmarkConfig) -> dict[str, Any]:
    return {
        "anomalon": anomalon.__version__,
        "python": platform.python_version(),
        "seeds": config.seeds,
        "config_digest": bench_digest(config),
        "unblinded": None,
        "files": {file: sha256(folder / file) for file in files_below(folder, "config.yaml")},
    }
