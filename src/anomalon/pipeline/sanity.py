"""The sanity tests of a search: events altered, processes left out, pseudo-data drawn, and how the detectors answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from anomalon.batches import TEST, TRAIN
from anomalon.distortions import distort, leading_leptons
from anomalon.errors import EmptySelectionError
from anomalon.events import Events
from anomalon.features import Features, RapidityMassMatrix
from anomalon.models.detector import Detector, DetectorSettings
from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.evaluate import Scores, scored
from anomalon.pipeline.parts import Parts
from anomalon.pipeline.pseudo_data import Drawn
from anomalon.pipeline.summaries import TITLES
from anomalon.report import FigureEntry, Group, Heading
from anomalon.report.figures_scores import score_figure
from anomalon.search.evaluation import MET_ALONE, evaluate
from anomalon.search.results import PseudoData, SanityCheck, SanityTest
from anomalon.search.sanity import check, dummies, shuffled
from anomalon.search.threshold import Scored

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Retrain = Callable[[DetectorSettings, str], Detector]
"""Fits a detector without one sample, or takes it from the cache."""

SECTION = "Sanity tests"
ANY_SEPARATION = 0.5
CLEAR = 0.9
"""AUC that the largest momentum factor and unphysical events must reach."""


@dataclass(frozen=True)
class Examined:
    """A sanity check with the scores behind it.

    Attributes:
        check: what came out.
        detector: name of the detector.
        rows: of the background events that were compared, shape (event,).
        background: their scores and weights.
        altered: scores and weights of the altered events.
    """

    check: SanityCheck
    detector: str
    rows: Rows
    background: Scored
    altered: Scored


def examine(
    search: SearchConfig, parts: Parts, detectors: Sequence[Detector], scores: Scores, retrain: Retrain
) -> list[Examined]:
    """Run every test of altered events with every detector, and of left-out processes with one."""
    sample = _Sample.of(search, parts)
    found = [one for detector in detectors if detector.name != MET_ALONE for one in sample.altered(detector, scores)]
    return [*_left_out(search, parts, retrain), *found]


@dataclass(frozen=True)
class _Sample:
    """Background test events to alter: their rows in the table, and the events themselves."""

    search: SearchConfig
    parts: Parts
    rows: Rows
    events: Events

    @classmethod
    def of(cls, search: SearchConfig, parts: Parts) -> _Sample:
        """The first test events of the background; rows are in mixed order."""
        rows = np.flatnonzero(parts.where("background", TEST))[: search.sanity.events]
        if len(rows) < search.sanity.leave_out_minimum:
            raise EmptySelectionError(f"{len(rows)} background test events are too few for sanity tests")
        return cls(search, parts, rows, parts.events_of(rows))

    @property
    def weight(self) -> Floats:
        return self.parts.table.weight[self.rows]

    def altered(self, detector: Detector, scores: Scores) -> Iterator[Examined]:
        """The detector on events with harder leptons, shuffled features and swapped cells."""
        feature_set, sanity, seed = detector.settings.feature_set(), self.search.sanity, self.search.seed
        for factor in sanity.pt_factors:
            harder = feature_set.transform(distort(self.events, leading_leptons(factor), seed=seed))
            least = CLEAR if factor == max(sanity.pt_factors) >= 10 else ANY_SEPARATION
            name = f"A factor of {factor:g} on the leading leptons' pT"
            yield self._seen("lepton pT", name, detector, harder, scores=scores, least=least)
        seen = self.parts.features_of(detector, self.rows).select(detector.inputs)
        yield self._seen("shuffled features", "Features", detector, shuffled(seen, seed), scores=scores)
        if isinstance(feature_set, RapidityMassMatrix):
            part = "All" if sanity.dummy_fraction == 1 else f"{100 * sanity.dummy_fraction:.0f} % of the"
            name = f"{part} rows and columns"
            swapped = dummies(feature_set.matrix(seen.values), sanity.dummy_fraction, seed).reshape(seen.values.shape)
            swapped_features = Features(swapped, seen.mask, seen.names)
            yield self._seen("dummy events", name, detector, swapped_features, scores=scores, least=CLEAR)

    def _seen(
        self,
        test: SanityTest,
        name: str,
        detector: Detector,
        features: Features,
        *,
        scores: Scores,
        least: float = ANY_SEPARATION,
    ) -> Examined:
        ordinary = Scored(scores.by_detector[detector.name][self.rows], self.weight)
        altered = Scored(detector.score_features(features), self.weight)
        pair = (ordinary, altered)
        return _examined((test, name), detector.name, self.rows, pair, least=least, seed=self.search.seed)


def _left_out(search: SearchConfig, parts: Parts, retrain: Retrain) -> Iterator[Examined]:
    """One detector trained without each process, which then is the signal."""
    name = search.sanity.detector or search.main
    settings = _quicker(next(d for d in search.detector_settings() if d.name == name), search.sanity.epochs)
    background = np.flatnonzero(parts.where("background", TEST))
    for sample in left_out_samples(search, parts):
        values = parts.score(retrain(settings, sample))
        others = background[parts.table.sample_name[background] != sample]
        pair = (Scored(values[others], parts.table.weight[others]), scored(values, parts, "background", TEST, sample))
        title = next(s.heading for s in search.samples if s.name == sample)
        yield _examined(("left-out process", title), name, others, pair, least=ANY_SEPARATION, seed=search.seed)


def _quicker(settings: DetectorSettings, epochs: int | None) -> DetectorSettings:
    """The detector with fewer epochs: it is compared with itself, and trained once per process."""
    training = getattr(settings.scorer, "training", None)
    if epochs is None or training is None or training.epochs <= epochs:
        return settings
    scorer = settings.scorer.model_copy(update={"training": training.model_copy(update={"epochs": epochs})})
    return settings.model_copy(update={"scorer": scorer})


def left_out_samples(search: SearchConfig, parts: Parts) -> list[str]:
    """Samples that are left out one at a time: those asked for, or all with enough events while others remain."""
    return [sample for sample, enough in _asked(search, parts) if enough]


def too_small(search: SearchConfig, parts: Parts) -> str:
    """A note on the processes that are too small to be left out; empty where there are none."""
    names = ", ".join(sample for sample, enough in _asked(search, parts) if not enough)
    least = search.sanity.leave_out_minimum
    return f"Too few events to be left out of training one at a time (fewer than {least}): {names}." if names else ""


def _asked(search: SearchConfig, parts: Parts) -> Iterator[tuple[str, bool]]:
    """Background samples to leave out, and whether they, and the rest, have enough events."""
    total = int(parts.where("background", TRAIN).sum())
    for sample in search.samples:
        asked = search.sanity.leave_out is None or sample.name in search.sanity.leave_out
        if sample.role == "background" and asked:
            train, test = (int(parts.where("background", part, sample.name).sum()) for part in (TRAIN, TEST))
            yield sample.name, min(train, test, total - train) >= search.sanity.leave_out_minimum


def _examined(
    what: tuple[SanityTest, str], detector: str, rows: Rows, pair: tuple[Scored, Scored], *, least: float, seed: int
) -> Examined:
    background, altered = pair
    auc = evaluate(detector, what[1], background, altered, seed=seed).auc
    counts = len(background.finite()), len(altered.finite())
    found = check(*what, TITLES.get(detector, detector), auc, least=least, counts=counts)
    return Examined(found, detector, rows, background, altered)


@dataclass(frozen=True)
class SanityTests:
    """All sanity tests of a search.

    Attributes:
        examined: detectors on altered events and left-out processes.
        drawn: pseudo-data.
        told: what may be told of them.
        notes: what was not tested.
    """

    examined: tuple[Examined, ...]
    drawn: Drawn
    told: PseudoData
    notes: tuple[str, ...] = ()


def draw_sanity(examined: Sequence[Examined], parts: Parts, search: SearchConfig) -> Iterator[FigureEntry]:
    """Score histograms: one figure per detector and kind of test, one per left-out process."""
    heading = Heading(search.luminosity_fb, experiment=search.report.experiment_label)
    groups: dict[tuple[str, str, str], list[Examined]] = {}
    for one in examined:
        process = one.check.name if one.check.test == "left-out process" else ""
        groups.setdefault((one.check.test, one.detector, process), []).append(one)
    for (test, detector, own), found in groups.items():
        figure = score_figure(_groups(found, parts), cut=None, xlabel=_score_label(found[0]), heading=heading)
        title = f"{found[0].check.detector}: {test}" + (f", {own}" if own else "")
        text = " ".join(one.check.sentence for one in found)
        shown = detector == search.main or bool(own)
        yield FigureEntry(f"sanity_{detector}_{test}_{own}", title, text, SECTION, figure, embedded=shown)


def _score_label(one: Examined) -> str:
    return f"Score, {one.check.detector}"


def _groups(found: Sequence[Examined], parts: Parts) -> list[Group]:
    """Ordinary background by process, and the altered events of each test as a line."""
    first = found[0]
    process = parts.table.process[first.rows]
    names = dict.fromkeys(process.tolist())
    background = [
        Group(
            str(name), "background", first.background.score[process == name], first.background.weight[process == name]
        )
        for name in names
    ]
    altered = [Group(_short(one), "signal", one.altered.score, one.altered.weight) for one in found]
    return [*background, *altered]


def _short(one: Examined) -> str:
    """Words for a legend."""
    words = {"shuffled features": "features shuffled", "dummy events": "cells swapped"}
    return words.get(one.check.test, one.check.name.replace("A factor of ", "lepton pT x ").split(" on the")[0])
