"""The cells of a benchmark: one detector, trained with one seed on one channel, against every signal.

A cell is a stage of the cache, so that a benchmark that was killed goes on where it was, and cells can be made by
several processes; each process reads the selected events once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from anomalon import metrics
from anomalon.batches import TEST, TRAIN
from anomalon.metrics.records import EvaluationSettings
from anomalon.metrics.replicated import background_left, replicated
from anomalon.models.detector import DetectorSettings
from anomalon.pipeline import fit
from anomalon.pipeline.benchmark_channels import Bench, Prepared, prepared
from anomalon.pipeline.benchmark_configuration import BenchmarkConfig
from anomalon.pipeline.cache import StageCache, code_digest, digest
from anomalon.pipeline.parts import Parts
from anomalon.pipeline.progress import Silent
from anomalon.pipeline.run_directory import write_json
from anomalon.search.benchmark_results import Cell, CellFigures, Kind, LeftOut, MetLikeness, Point
from anomalon.search.challenge import Cuts, significance_improvement
from anomalon.search.evaluation import (
    BEST_VARIABLE,
    MET_ALONE,
    SUPERVISED,
    best_single_variable,
    single_variable_score,
)
from anomalon.search.results import Estimate

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

CODE = (
    "metrics",
    "search/challenge",
    "search/significance",
    "search/evaluation",
    "pipeline/benchmark_cells",
    "pipeline/benchmark_channels",
)
LOWEST = -np.finfo(np.float64).max
"""Score of an event without one: it passes no cut, and pairs of scores stay pairs."""
TOP = 0.01
_KINDS: dict[str, Kind] = {MET_ALONE: "baseline", BEST_VARIABLE: "oracle", SUPERVISED: "bound"}


@dataclass(frozen=True)
class Task:
    """A cell to make: a detector of a channel with a seed, perhaps trained without a background sample."""

    channel: str
    detector: str
    seed: int
    without: str | None = None

    @property
    def words(self) -> str:
        """For progress."""
        return f"{self.channel}: {self.detector}, " + (
            f"without {self.without}" if self.without else f"seed {self.seed}"
        )


def tasks(config: BenchmarkConfig) -> list[Task]:
    """Every cell: what stands beside once per channel, each detector once per seed, and left-out processes."""
    found = []
    for channel, search in config.searches.items():
        beside = [MET_ALONE, BEST_VARIABLE, *([SUPERVISED] if search.supervised is not None else [])]
        found += [Task(channel, name, config.seed) for name in beside]
        found += [Task(channel, d.name, seed) for seed in config.seeds for d in config.trained(channel)]
        backgrounds = [s.name for s in search.samples if s.role == "background"]
        names = [name for name in config.leave_out if name in backgrounds]
        found += [Task(channel, d.name, config.seeds[0], name) for name in names for d in config.trained(channel)]
    return found


def make_cell(bench: Bench, task: Task) -> Path:
    """Make a cell, or find it in the cache; the folder of the stage."""
    ready, cache = prepared(bench, task.channel), StageCache(bench.folder)
    name = f"cell-{task.channel}-{task.detector}-{task.seed}" + (f"-without-{task.without}" if task.without else "")
    config = bench.config
    key = {
        **ready.key,
        "detector": _settings_of(config, task),
        "features": ready.search.features,
        "kept": [config.background_uncertainty, config.replicas, config.minimum_background, task.without],
        "code": code_digest(*fit.CODE, *CODE),
    }
    maker = _Maker(config, ready, task, cache)
    return cache.make(name, key, maker.leave_out if task.without else maker.evaluate)


def read_cell(folder: Path) -> tuple[Cell, dict[str, Floats]]:
    """A cell, and the replicas of its figures by signal."""
    with np.load(folder / "replicas.npz", allow_pickle=False) as arrays:
        drawn = {name: arrays[name] for name in arrays.files}
    return Cell.parse(json.loads((folder / "cell.json").read_text(encoding="utf-8")), str(folder)), drawn


def read_left_out(folder: Path) -> LeftOut:
    """A process that was left out."""
    return LeftOut.parse(json.loads((folder / "left_out.json").read_text(encoding="utf-8")), str(folder))


def _settings_of(config: BenchmarkConfig, task: Task) -> dict[str, Any]:
    search = config.searches[task.channel]
    if task.detector in (BEST_VARIABLE, SUPERVISED):
        return {"name": task.detector, "settings": search.supervised_settings().to_dict()}
    return _detector(config, task).to_dict()


def _detector(config: BenchmarkConfig, task: Task) -> DetectorSettings:
    """Settings of a detector with the seed of the task, in the place of whatever seed it was given."""
    known = {d.name: d for d in config.searches[task.channel].detector_settings()}
    return known[task.detector].seeded(task.seed)


@dataclass(frozen=True)
class _Maker:
    """Makes one cell."""

    config: BenchmarkConfig
    ready: Prepared
    task: Task
    cache: StageCache

    @property
    def settings(self) -> EvaluationSettings:
        return EvaluationSettings(
            replicas=self.config.replicas, seed=self.config.seed, minimum_background=self.config.minimum_background
        )

    def evaluate(self, folder: Path) -> None:
        """Write ``cell.json`` and ``replicas.npz``."""
        scored = self._scored()
        drawn: dict[str, Floats] = {}
        figures = []
        for signal, values, detail in scored.by_signal():
            found, drawn[signal] = self._figures(signal, values)
            figures.append(found.model_copy(update={"detail": detail}))
        cell = Cell(
            channel=self.task.channel, detector=self.task.detector, kind=_KINDS.get(self.task.detector, "detector"),
            seed=self.task.seed, figures=tuple(figures), likeness=self._likeness(scored.common),
            unscored=scored.unscored, training_seconds=round(scored.training, 3),
            scoring_seconds=round(scored.scoring, 3), scored=len(self.ready.met),
        )  # fmt: skip
        np.savez(folder / "replicas.npz", **drawn)  # type: ignore[arg-type]
        write_json(folder / "cell.json", cell.model_dump(mode="json"))

    def leave_out(self, folder: Path) -> None:
        """Write ``left_out.json``: the sample that was not trained on, against the rest of the background."""
        task, parts = self.task, self.ready.parts
        fitted = fit.fit_detector(
            _detector(self.config, task), parts, self.ready.key, self.cache, Silent(), without=task.without
        )
        values = _lowered(parts.score(fitted.detector))
        own = self.ready.background & (parts.table.sample_name == task.without)
        rest = self.ready.background & ~own
        ours, met = (self._auc(x, rest, own) for x in (values, self.ready.met))
        left_out = LeftOut(
            channel=task.channel, detector=task.detector, sample=task.without or "", auc=_estimate(ours),
            met=_estimate(met), difference=_estimate(ours - met), events=int(own.sum()),
        )  # fmt: skip
        write_json(folder / "left_out.json", left_out.model_dump(mode="json"))

    def _auc(self, values: Floats, background: Mask, signal: Mask) -> Floats:
        """AUC and its replicas, shape (1 + replica,)."""
        weight = self.ready.parts.table.weight
        b, s = ((values[where], weight[where]) for where in (background, signal))
        return replicated(b, s, self.settings)[:, 0]

    def _scored(self) -> _Scored:
        parts, task, names = self.ready.parts, self.task, self.ready.signals
        if task.detector == BEST_VARIABLE:
            return _Scored.of({name: _oracle(parts, name) for name in names}, 0.0, 0.0)
        if task.detector == SUPERVISED:
            return self._supervised(names)
        fitted = fit.fit_detector(_detector(self.config, task), parts, self.ready.key, self.cache, Silent())
        start = time.perf_counter()
        values = parts.score(fitted.detector)
        seconds = time.perf_counter() - start
        return _Scored.of(dict.fromkeys(names, (values, "")), fitted.seconds, seconds, common=values)

    def _supervised(self, names: tuple[str, ...]) -> _Scored:
        parts, settings = self.ready.parts, self.ready.search.supervised_settings()
        found, training, scoring = {}, 0.0, 0.0
        for name in names:
            model, seconds = fit.fit_supervised(settings, name, parts, self.ready.key, self.cache, Silent())
            start = time.perf_counter()
            found[name] = (model.score_features(parts.table.features), "")
            training, scoring = training + seconds, scoring + time.perf_counter() - start
        return _Scored.of(found, training, scoring)

    def _figures(self, signal: str, values: Floats) -> tuple[CellFigures, Floats]:
        """Figures for one signal from scores (event,), and their replicas."""
        parts, settings = self.ready.parts, self.settings
        background, own = self.ready.background, parts.where("signal", TEST, signal)
        (b, wb), (s, ws) = ((values[x], parts.table.weight[x]) for x in (background, own))
        drawn = replicated((b, wb), (s, ws), settings)
        left = background_left(b, wb, settings.background_efficiencies)
        triples = list(zip(settings.background_efficiencies, drawn[0, 1:].tolist(), left, strict=True))
        roc = metrics.roc_curve(b, s, background_weights=wb, signal_weights=ws)
        significance, needed = self._significance(signal, values)
        return CellFigures(
            signal=signal,
            auc=float(drawn[0, 0]),
            points=tuple(
                Point(background_efficiency=e, signal_efficiency=x, background_left=n,
                      reliable=n >= settings.minimum_background)
                for e, x, n in triples
            ),
            improvement=significance_improvement(triples, settings.minimum_background),
            max_sic=_finite(metrics.sic_curve(roc, b, settings.minimum_background).best),
            significance=significance,
            needed=needed,
        ), drawn  # fmt: skip

    def _significance(self, signal: str, values: Floats) -> tuple[float | None, float | None]:
        """Best significance and fewest signal events, where weights are expected events."""
        ready, config = self.ready, self.config
        if not ready.normalised:
            return None, None
        own, background = ready.parts.where("signal", TEST, signal), ready.background
        cuts = Cuts.of(
            values[background], ready.yields[background], relative=config.background_uncertainty,
            minimum=config.minimum_background,
        )  # fmt: skip
        kept, total = cuts.kept(values[own], ready.yields[own]), float(ready.yields[own].sum())
        expected = cuts.best_significance(kept) if ready.normalised_signal(signal) else None
        return expected, cuts.fewest_events(kept, total)

    def _likeness(self, values: Floats | None) -> MetLikeness | None:
        if values is None or self.task.detector == MET_ALONE:
            return None
        where = self.ready.background
        score, met = _lowered(values)[where], self.ready.met[where]
        number = max(1, round(TOP * len(score)))
        tops = [set(np.argsort(-x, kind="stable")[:number].tolist()) for x in (score, met)]
        constant = min(np.ptp(x.astype(np.float32)) for x in (score, met)) == 0
        correlation = 0.0 if constant else float(spearmanr(score, met).statistic)
        return MetLikeness(rank_correlation=correlation, shared=len(tops[0] & tops[1]) / number)


@dataclass(frozen=True)
class _Scored:
    """Scores by signal: most detectors have the same for all, which then is ``common``."""

    scores: dict[str, tuple[Floats, str]]
    training: float
    scoring: float
    unscored: int
    common: Floats | None

    @classmethod
    def of(
        cls, scores: dict[str, tuple[Floats, str]], training: float, scoring: float, *, common: Floats | None = None
    ) -> _Scored:
        missing = 0 if common is None else int(np.isnan(common).sum())
        lowered = {name: (_lowered(values), detail) for name, (values, detail) in scores.items()}
        return cls(lowered, training, scoring, missing, common)

    def by_signal(self) -> Iterator[tuple[str, Floats, str]]:
        for name, (values, detail) in self.scores.items():
            yield name, values, detail


def _oracle(parts: Parts, signal: str) -> tuple[Floats, str]:
    """The variable with the best AUC on training events, and its name."""
    background, events = parts.of_part("background", TRAIN), parts.of_part("signal", TRAIN, signal)
    if not len(events):
        return np.zeros(len(parts.table)), "no training events"
    name, direction = best_single_variable(background.features, events.features, background_weights=background.weight)
    return single_variable_score(parts.table.features, name, direction), f"{name}, {direction}"


def _lowered(values: Floats) -> Floats:
    return np.nan_to_num(values, nan=LOWEST, posinf=-LOWEST, neginf=LOWEST)


def _estimate(values: Floats) -> Estimate:
    """The first is the value, the others its replicas; 68 %."""
    low, high = np.nanquantile(values[1:], (0.16, 0.84))
    return Estimate(
        value=float(values[0]), low=min(float(low), float(values[0])), high=max(float(high), float(values[0]))
    )


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def bench_digest(config: BenchmarkConfig) -> str:
    """Digest of everything in the configuration that can change a result."""
    values = config.model_dump(mode="json")
    for keys in (values["common"], *values["channels"].values()):
        if isinstance(keys.get("simulation"), dict):
            keys["simulation"].pop("workers", None)
    return digest(values)
