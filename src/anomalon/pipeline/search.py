"""A search from end to end: samples, selection, training, scores, evaluation, report."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import anomalon
from anomalon.errors import ConfigError, RunError
from anomalon.models.detector import Detector, DetectorSettings
from anomalon.pipeline import evaluate as ev
from anomalon.pipeline import fit
from anomalon.pipeline.cache import StageCache
from anomalon.pipeline.checks import Compared, collisions, draw_checks, pseudo
from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.experiments import validate
from anomalon.pipeline.figures import draw
from anomalon.pipeline.fit import Fitted
from anomalon.pipeline.image_figures import draw_images
from anomalon.pipeline.mixed import mixed_stage
from anomalon.pipeline.parts import Parts
from anomalon.pipeline.progress import Progress, Silent, WithoutNotes
from anomalon.pipeline.pseudo_data import describe
from anomalon.pipeline.pseudo_data import draw as draw_pseudo_data
from anomalon.pipeline.publication import publish
from anomalon.pipeline.region_figures import draw_regions
from anomalon.pipeline.regions import Regions
from anomalon.pipeline.run_directory import (
    MANIFEST,
    RunDirectory,
    config_digest,
    make_manifest,
    save_models,
    write_candidates,
    write_json,
    write_scores,
)
from anomalon.pipeline.samples import SelectedSample, select_samples
from anomalon.pipeline.sanity import SanityTests, draw_sanity, examine, too_small
from anomalon.pipeline.statistics import Stated, state_of
from anomalon.pipeline.summaries import (
    cutflow_csv,
    cutflow_of,
    cutflow_rows,
    detector_summaries,
    feature_summaries,
    notes,
    sample_summaries,
    split_summaries,
)
from anomalon.pipeline.table import Table
from anomalon.pipeline.variations import Varying
from anomalon.report import FigureEntry, write_report
from anomalon.search.blinding import blinding, check_reason
from anomalon.search.experiments import Validation
from anomalon.search.headline import headline
from anomalon.search.results import Blinding, SearchResults
from anomalon.store import Store

CACHE = ".anomalon-cache"


@dataclass(frozen=True)
class RunOptions:
    """How a search is run; nothing here changes its results.

    Attributes:
        resume: reuse a finished run of the same configuration and continue an interrupted one.
        overwrite: replace a finished run.
        cache: folder of simulated samples and finished stages; by default beside the output.
        unblind: the reason for looking at collision data above the threshold; None keeps it blinded.
        validate: whether to train with other seeds and draw pseudo-experiments.
        sanity: whether to run the sanity tests too; ``unblind`` reveals the signal that they mix in.
        figures: whether to draw; the report and ``results.json`` hold the same numbers without.
        progress: who listens.
    """

    resume: bool = False
    overwrite: bool = False
    cache: Path | None = None
    unblind: str | None = None
    sanity: bool = False
    validate: bool = False
    figures: bool = True
    progress: Progress = field(default_factory=Silent)


def run_search(search: SearchConfig, output: Path, options: RunOptions | None = None) -> SearchResults:
    """Run a search and write its run directory.

    Args:
        search: the configuration.
        output: the run directory to make.
        options: how to run.

    Returns:
        Every number of the search, as in ``results.json``.

    Raises:
        OutputExistsError: ``output`` is there and neither ``resume`` nor ``overwrite`` is on.
        RunError: ``resume``, but the run there has another configuration.
        BlindedError: the reason for unblinding is empty.
        ConfigError: sanity tests of a search whose data is its own background.
        EmptySelectionError: too few events are left; the message holds the cutflow.
    """
    options = options or RunOptions()
    check_reason(options.unblind)
    if options.sanity and search.background == "data":
        raise ConfigError("--sanity alters and draws background events, which have to be simulated: background is data")
    run = RunDirectory(output)
    if options.resume and run.finished:
        finished = _reuse(run, search, options)
        if finished is not None:
            return finished
    run.check_free(options.overwrite or options.resume)
    with run.making():
        work = _Work(search, StageCache(options.cache or output.parent / CACHE, resume=True), options)
        results = work.run(run)
        run.finish()
    return results


def _reuse(run: RunDirectory, search: SearchConfig, options: RunOptions) -> SearchResults | None:
    manifest = run.manifest()
    if manifest["config_digest"] != config_digest(search):
        if options.overwrite:
            return None
        raise RunError(
            f"{run.path}: a finished run of another configuration; choose another --output, or --overwrite it"
        )
    if manifest["anomalon"] != anomalon.__version__ or manifest["unblinded"] != options.unblind:
        return None
    if any(getattr(options, extra) and not manifest.get(extra) for extra in ("sanity", "validate")):
        return None
    options.progress.say(f"{run.path}: finished before with this configuration; nothing to do")
    return run.results()


@dataclass(frozen=True)
class _Made:
    """What the stages before the evaluation left."""

    parts: Parts
    fitted: Sequence[Fitted]
    supervised: dict[str, Any]
    scores: ev.Scores
    sanity: SanityTests | None
    compared: Compared | None
    stated: Stated | None
    validation: Validation | None


@dataclass
class _Work:
    """State of one run: the configuration, the cache, and how long each stage took."""

    search: SearchConfig
    cache: StageCache
    options: RunOptions
    seconds: dict[str, float] = field(default_factory=dict)
    stages: dict[str, str] = field(default_factory=dict)
    supervised_seconds: dict[str, float] = field(default_factory=dict)

    def run(self, run: RunDirectory) -> SearchResults:
        search, progress = self.search, self.options.progress
        selected = self._select()
        parts = self._parts(selected)
        fit.check_enough(parts, cutflow_of(selected))
        state = blinding(parts.table.is_data, self.options.unblind, parts.role == "background")
        fitted, supervised = self._train(parts, state)
        with self._timed("score"):
            scores = ev.score([f.detector for f in fitted], parts, search, state)
        sanity = self._sanity(parts, fitted, scores) if self.options.sanity else None
        with self._timed("statistics"):
            stated = self._statistics(parts, fitted, scores, state)
        validation = self._validation(parts, stated)
        with self._timed("evaluate"):
            progress.start("evaluate")
            compared = self._compared(parts, fitted, scores, sanity)
            made = _Made(parts, fitted, supervised, scores, sanity, compared, stated, validation)
            results = self._evaluate(selected, made, state)
        with self._timed("report"):
            self._write(run, results, made)
        return results

    def _select(self) -> list[SelectedSample]:
        with self._timed("samples and selection"):
            return select_samples(self.search, self.cache, self.options.progress, self.stages)

    def _parts(self, selected: Sequence[SelectedSample]) -> Parts:
        table = Table.concatenate([s.table for s in selected])
        return Parts.of(table, self.search, lambda places: self._mixed(selected, places))

    def _mixed(self, selected: Sequence[SelectedSample], places: npt.NDArray[np.int64]) -> Store:
        folder = mixed_stage([s.events for s in selected], places, self.cache, self.options.progress)
        self.stages["events"] = folder.parent.name
        return Store(folder)

    def _train(self, parts: Parts, state: Blinding) -> tuple[list[Fitted], dict[str, Any]]:
        search, progress = self.search, self.options.progress
        progress = WithoutNotes(progress) if state.hides_background else progress
        key = fit.training_key(search, self.stages)
        with self._timed("training"):
            fitted = [fit.fit_detector(s, parts, key, self.cache, progress) for s in search.detector_settings()]
            supervised: dict[str, Any] = {}
            if search.supervised is not None and not state.hides_background:
                settings = search.supervised_settings()
                for name in ev.signal_names(parts):
                    model, took = fit.fit_supervised(settings, name, parts, key, self.cache, progress)
                    self.supervised_seconds[name] = took
                    supervised[name] = model.score_features(parts.table.features)
        self.stages |= {f"detector-{f.detector.name}": f.folder.parent.name for f in fitted}
        return fitted, supervised

    def _sanity(self, parts: Parts, fitted: Sequence[Fitted], scores: ev.Scores) -> SanityTests:
        """Alter events, leave processes out, draw pseudo-data; detectors trained anew are stages of their own."""
        key = fit.training_key(self.search, self.stages)

        def retrain(settings: DetectorSettings, without: str) -> Detector:
            made = fit.fit_detector(settings, parts, key, self.cache, self.options.progress, without=without)
            self.stages[f"detector-{settings.name}-without-{without}"] = made.folder.parent.name
            return made.detector

        with self._timed("sanity tests"):
            self.options.progress.start("sanity tests")
            examined = examine(self.search, parts, [f.detector for f in fitted], scores, retrain)
            drawn = draw_pseudo_data(self.search, parts, scores)
            told = describe(drawn, self.search, scores, hidden=self.options.unblind is None)
        note = too_small(self.search, parts)
        return SanityTests(tuple(examined), drawn, told, (note,) if note else ())

    def _statistics(self, parts: Parts, fitted: Sequence[Fitted], scores: ev.Scores, state: Blinding) -> Stated | None:
        """Regions and what follows; data that is its own background has no expectation to compare with."""
        search = self.search
        if search.background == "data":
            return None
        main = next(f for f in fitted if f.detector.name == search.main)
        systematics = search.statistics.systematics
        varying = Varying(
            search, systematics, parts, main, scores.score, self.cache, self.options.progress, self.stages
        )
        return state_of(Regions.of(search, parts, scores), varying, state)

    def _validation(self, parts: Parts, stated: Stated | None) -> Validation | None:
        """Detectors that are trained with other seeds are stages of their own."""
        if not self.options.validate or stated is None:
            return None
        key = fit.training_key(self.search, self.stages)

        def refit(settings: DetectorSettings) -> Detector:
            made = fit.fit_detector(settings, parts, key, self.cache, self.options.progress)
            self.stages[f"detector-{settings.name}-seed-{settings.scorer.seed}"] = made.folder.parent.name
            return made.detector

        with self._timed("validation"):
            self.options.progress.start("validation")
            return validate(stated, refit)

    def _compared(
        self, parts: Parts, fitted: Sequence[Fitted], scores: ev.Scores, sanity: SanityTests | None
    ) -> Compared | None:
        """Data beside background: collisions where there are any, else pseudo-data."""
        found = collisions(parts, scores, blinding(parts.table.is_data, self.options.unblind))
        if found is not None or sanity is None:
            return found
        main = next(f.detector for f in fitted if f.detector.name == self.search.main)
        return pseudo(parts, scores, sanity.drawn, main, hidden=self.options.unblind is None)

    def _evaluate(self, selected: Sequence[SelectedSample], made: _Made, state: Blinding) -> SearchResults:
        search, parts, scores = self.search, made.parts, made.scores
        told = not state.hides_background
        evaluations = ev.evaluate_all(scores, made.supervised, parts, search.seed) if told else []
        main = next(f.detector for f in made.fitted if f.detector.name == search.main)
        summaries = detector_summaries(
            made.fitted, scores, parts, supervised_seconds=self.supervised_seconds, state=state
        )
        samples = sample_summaries(selected, state)
        candidates = ev.list_candidates(scores, main, parts, search.report.candidates) if told else []
        main_summary = next(d for d in summaries if d.name == search.main)
        return SearchResults(
            anomalon_version=anomalon.__version__,
            title=search.title,
            luminosity_fb=search.luminosity_fb,
            seed=search.seed,
            main_detector=search.main,
            background=search.background,
            notes=(*notes(search, parts.table.samples, state), *(made.sanity.notes if made.sanity else ())),
            headline=headline(main_summary, summaries, evaluations, samples, candidates, background=search.background),
            samples=samples,
            ledger=tuple(entry.to_dict() for s in selected for entry in s.visible_ledger(state)),
            cutflow=cutflow_rows(selected, state),
            split=split_summaries(parts, search, state),
            features=feature_summaries(parts, made.fitted, scores),
            detectors=summaries,
            evaluations=tuple(evaluations),
            flagged=tuple(ev.flagged_processes(scores, parts, search, state)),
            candidates=tuple(candidates),
            blinding=state,
            seconds=dict(self.seconds),
            feature_checks=tuple(made.compared.check()) if made.compared is not None else (),
            sanity=tuple(one.check for one in made.sanity.examined) if made.sanity is not None else (),
            pseudo_data=made.sanity.told if made.sanity is not None else None,
            statistics=made.stated.record if made.stated is not None else None,
            validation=made.validation,
        )

    def _write(self, run: RunDirectory, results: SearchResults, made: _Made) -> None:
        folder, search = run.begin(), self.search
        detectors = {f.detector.name: f.detector for f in made.fitted}
        (folder / "config.yaml").write_text(search.to_yaml(), encoding="utf-8")
        write_json(folder / "ledger.json", {"entries": results.ledger})
        write_json(folder / "cutflow.json", results.cutflow)
        (folder / "cutflow.csv").write_text(cutflow_csv(results.cutflow), encoding="utf-8")
        write_scores(folder / "scores.parquet", made.parts, made.scores)
        save_models(folder / "model", [*detectors.values()])
        write_json(folder / MANIFEST, self._manifest(folder))
        write_candidates(folder / "candidates.csv", results.candidates)
        self.options.progress.start("report")
        figures = self._figures(results, made, detectors) if self.options.figures else ()
        write_report(results, figures, folder, progress=lambda name: self.options.progress.update(0, name))
        if made.stated is not None:
            publish(results, made.stated.likelihoods, folder)
        write_json(folder / "results.json", results.model_dump(mode="json"))

    def _manifest(self, folder: Path) -> dict[str, Any]:
        options = self.options
        return make_manifest(
            folder, self.search, self.stages, unblinded=options.unblind, sanity=options.sanity,
            validate=options.validate,
        )  # fmt: skip

    def _figures(self, results: SearchResults, made: _Made, detectors: dict[str, Detector]) -> Iterator[FigureEntry]:
        yield from draw(results, self.search, made.parts, detectors, made.scores)
        yield from draw_images(detectors, made.parts, made.scores)
        yield from draw_regions(results, made.stated.regions if made.stated is not None else None)
        if made.sanity is not None:
            yield from draw_sanity(made.sanity.examined, made.parts, self.search)
        yield from draw_checks(results, self.search, made.compared)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] = round(time.perf_counter() - start, 2)
