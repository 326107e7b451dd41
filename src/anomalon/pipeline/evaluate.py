"""Scores of the selected events, handed out as blinding allows, and every number made from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from anomalon import metrics
from anomalon.batches import TEST, TRAIN, VALIDATION
from anomalon.models.detector import Detector
from anomalon.pipeline.configuration import SearchConfig
from anomalon.pipeline.parts import Parts
from anomalon.pipeline.table import is_normalised
from anomalon.search.blinding import handed_out
from anomalon.search.candidates import background_fraction_above, drivers, top
from anomalon.search.evaluation import (
    BEST_VARIABLE,
    MET_ALONE,
    SUPERVISED,
    best_single_variable,
    evaluate,
    single_variable_score,
)
from anomalon.search.results import (
    Blinding,
    Candidate,
    Estimate,
    Evaluation,
    FlaggedProcess,
    Role,
    ThresholdSummary,
)
from anomalon.search.threshold import Scored, describe_threshold, fix_threshold, pass_rate

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Scores of every selected event by every detector, and which rows may be seen.

    Attributes:
        by_detector: detector -> scores (event,), NaN where an input is not finite or the row is withheld.
        main: name of the detector that flags events.
        thresholds: detector -> its threshold.
        shown: rows that blinding hands out, shape (event,).
    """

    by_detector: dict[str, Floats]
    main: str
    thresholds: dict[str, ThresholdSummary]
    shown: npt.NDArray[np.bool_]

    @property
    def score(self) -> Floats:
        """Scores of the main detector, shape (event,)."""
        return self.by_detector[self.main]

    @property
    def threshold(self) -> float:
        """Threshold of the main detector."""
        return self.thresholds[self.main].value

    @property
    def flagged(self) -> npt.NDArray[np.bool_]:
        """Rows above the main threshold that may be seen, shape (event,)."""
        return np.asarray(self.shown & (self.score > self.threshold), dtype=np.bool_)


def score(detectors: Sequence[Detector], parts: Parts, search: SearchConfig, state: Blinding) -> Scores:
    """Score every event, fix the thresholds on background validation events, and withhold what is blinded."""
    by_detector = {d.name: parts.score(d) for d in detectors}
    thresholds = {}
    for detector in detectors:
        values = by_detector[detector.name]
        cut = fix_threshold(scored(values, parts, "background", VALIDATION), search.threshold_quantile)
        detector.threshold = cut
        test = None if state.hides_background else scored(values, parts, "background", TEST)
        thresholds[detector.name] = describe_threshold(cut, search.threshold_quantile, test)
    main = search.main
    shown = handed_out(by_detector[main], thresholds[main].value, parts.table.is_data, state)
    visible = {name: np.where(shown, values, np.nan) for name, values in by_detector.items()}
    return Scores(visible, main, thresholds, shown)


def scored(values: Floats, parts: Parts, role: Role, part: int, sample: str | None = None) -> Scored:
    """Scores and weights of the usable events with a role in a part of the split."""
    where = parts.where(role, part, sample)
    return Scored(values[where], parts.table.weight[where])


def evaluate_all(scores: Scores, supervised: dict[str, Floats], parts: Parts, seed: int) -> list[Evaluation]:
    """Detectors, the best single variable and the supervised bound against every signal."""
    return [
        *evaluate_detectors(scores, parts, seed),
        *evaluate_best_variable(parts, seed),
        *evaluate_supervised(supervised, parts, seed),
    ]


def evaluate_detectors(scores: Scores, parts: Parts, seed: int) -> list[Evaluation]:
    """Every detector against every signal on test events, with the paired difference to MET alone."""
    rows = []
    for signal in signal_names(parts):
        met = _pair(scores.by_detector[MET_ALONE], parts, signal)
        for name, values in scores.by_detector.items():
            background, events = _pair(values, parts, signal)
            row = evaluate(name, signal, background, events, seed=seed)
            cut = scores.thresholds[name].value
            row = row.model_copy(update={"at_threshold": pass_rate(events, cut)})
            if name != MET_ALONE:
                row = row.model_copy(update={"auc_minus_met": _difference((background, events), met, seed)})
            rows.append(row)
    return rows


def evaluate_best_variable(parts: Parts, seed: int) -> list[Evaluation]:
    """The best single variable for every signal: an oracle, chosen on training events and evaluated on test events."""
    rows = []
    for signal in signal_names(parts):
        background, events = parts.of_part("background", TRAIN), parts.of_part("signal", TRAIN, signal)
        if not len(background) or not len(events):
            continue
        name, direction = best_single_variable(
            background.features, events.features, background_weights=background.weight
        )
        values = single_variable_score(parts.table.features, name, direction)
        pair = _pair(values, parts, signal)
        detail = f"{name}, {'high' if direction == 'high' else 'low'} values"
        row = evaluate(BEST_VARIABLE, signal, *pair, seed=seed)
        rows.append(row.model_copy(update={"detail": detail}))
    return rows


def evaluate_supervised(by_signal: dict[str, Floats], parts: Parts, seed: int) -> list[Evaluation]:
    """The supervised bound for every signal, on test events."""
    rows = []
    for signal, values in by_signal.items():
        background, events = _pair(values, parts, signal)
        rows.append(evaluate(SUPERVISED, signal, background, events, seed=seed))
    return rows


def signal_names(parts: Parts) -> tuple[str, ...]:
    """Names of the signals that have test events, in the order of the samples."""
    names = (s.name for s in parts.table.samples)
    return tuple(name for name in names if parts.where("signal", TEST, name).any())


def flagged_processes(scores: Scores, parts: Parts, search: SearchConfig, state: Blinding) -> list[FlaggedProcess]:
    """Events above the main threshold by process; what is trained on and signals on test events only.

    Yields of simulation are scaled to the whole.
    """
    weight = parts.test_weight()
    expected = {s.name for s in parts.table.samples if is_normalised(s) and not s.is_data}
    rows = []
    for sample in search.samples:
        own = parts.table.sample_name == sample.name
        tested = own & parts.usable & ((parts.split == TEST) | (parts.role == "data"))
        if sample.role == "data" and state.applies:
            continue
        above = tested & scores.flagged
        rows.append(
            FlaggedProcess(
                process=sample.process_name,
                role=sample.role,
                flagged=int(above.sum()),
                tested=int(tested.sum()),
                expected=float(weight[above].sum()) if sample.name in expected else None,
                error=float(np.sqrt((weight[above] ** 2).sum())) if sample.name in expected else None,
            )
        )
    return rows


def list_candidates(scores: Scores, detector: Detector, parts: Parts, n: int) -> list[Candidate]:
    """The highest scores among test events and the collision data that may be seen."""
    allowed = scores.shown & ((parts.split == TEST) | (parts.role == "data"))
    chosen = top(scores.score, allowed, n)
    background = scored(scores.score, parts, "background", TEST)
    table, role = parts.table[chosen], parts.configured_role[chosen]
    seen = parts.features_of(detector, chosen)
    inputs, shares = seen.select(detector.inputs), detector.explain(seen)
    return [
        Candidate(
            rank=k + 1,
            run=int(table.ids.run[k]),
            lumi=int(table.ids.lumi[k]),
            event=int(table.ids.event[k]),
            sample=str(table.sample_name[k]),
            process=str(table.process[k]),
            role=str(role[k]),  # type: ignore[arg-type]
            weight=None if table.is_data[k] else float(table.weight[k]),
            score=float(scores.score[i]),
            background_fraction_above=background_fraction_above(float(scores.score[i]), background),
            drivers=() if shares is None else drivers(inputs.names, inputs.values[k], shares[k]),
        )
        for k, i in enumerate(chosen)
    ]


def _pair(values: Floats, parts: Parts, signal: str) -> tuple[Scored, Scored]:
    return scored(values, parts, "background", TEST), scored(values, parts, "signal", TEST, signal)


def _difference(ours: tuple[Scored, Scored], met: tuple[Scored, Scored], seed: int) -> Estimate:
    """AUC of a detector minus that of MET alone, both on the same bootstrap replicas."""
    keep_b = np.isfinite(ours[0].score) & np.isfinite(met[0].score)
    keep_s = np.isfinite(ours[1].score) & np.isfinite(met[1].score)
    interval = metrics.auc_difference(
        (ours[0].score[keep_b], ours[1].score[keep_s]),
        (met[0].score[keep_b], met[1].score[keep_s]),
        background_weights=met[0].weight[keep_b],
        signal_weights=met[1].weight[keep_s],
        settings=metrics.EvaluationSettings(seed=seed),
    )
    return Estimate(value=interval.value, low=interval.low68, high=interval.high68)
