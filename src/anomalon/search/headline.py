"""What stands out, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from anomalon.search.evaluation import MET_ALONE
from anomalon.search.results import Candidate, DetectorSummary, Estimate, Evaluation, SampleSummary

WORKING_POINT = 1e-2


def headline(
    main: DetectorSummary,
    detectors: Sequence[DetectorSummary],
    evaluations: Sequence[Evaluation],
    samples: Sequence[SampleSummary],
    candidates: Sequence[Candidate],
) -> tuple[str, ...]:
    """Sentences for the top of the report and the end of the terminal output."""
    unsupervised = {d.name for d in detectors if d.role == "detector"}
    lines = [_threshold(main)] if main.threshold else []
    for sample in samples:
        if sample.role == "signal":
            own = [e for e in evaluations if e.signal == sample.name]
            lines.append(_signal(sample, main.name, [e for e in own if e.detector in unsupervised], own))
    if candidates:
        lines.append(_candidate(candidates[0]))
    return tuple(lines)


def _threshold(main: DetectorSummary) -> str:
    cut = main.threshold
    if cut is None:
        return ""
    return (
        f"{main.title}, cut at the {100 * cut.quantile:g} % quantile of the background validation score, flags "
        f"{_percent(cut.false_positive_rate)} of the test background "
        f"({cut.background_above} of {cut.background_total} events)."
    )


def _signal(sample: SampleSummary, main: str, found: Sequence[Evaluation], every: Sequence[Evaluation]) -> str:
    met = next((e for e in every if e.detector == MET_ALONE), None)
    chosen = next((e for e in found if e.detector == main), None)
    best = max(found, key=lambda e: e.auc.value, default=None)
    parts = []
    if chosen is not None:
        flagged = f", {_percent(chosen.at_threshold)} of it flagged" if chosen.at_threshold else ""
        parts.append(f"{chosen.detector} reaches AUC {_interval(chosen.auc)}{flagged}")
    if best is not None and best is not chosen:
        parts.append(f"the best detector here, {best.detector}, {_interval(best.auc)}")
    if met is not None:
        parts.append(f"MET alone {_interval(met.auc)}")
    return f"{sample.title}: {'; '.join(parts)}. {_verdict(chosen)}{_rates(chosen, met)}"


def _verdict(chosen: Evaluation | None) -> str:
    gain = chosen.auc_minus_met if chosen else None
    if chosen is None or gain is None or gain.low is None or gain.high is None:
        return ""
    if gain.low > 0:
        return f"{chosen.detector} beats MET alone in AUC"
    if gain.high < 0:
        return f"{chosen.detector} falls behind MET alone in AUC"
    return f"{chosen.detector} and MET alone do not differ in AUC within the interval"


def _rates(chosen: Evaluation | None, met: Evaluation | None) -> str:
    points = [
        next((p for p in e.working_points if p.background_efficiency == WORKING_POINT), None)
        for e in (chosen, met)
        if e
    ]
    if len(points) < 2 or points[0] is None or points[1] is None:
        return "."
    return (
        f"; at a background efficiency of {WORKING_POINT:g} it keeps {_percent(points[0].signal_efficiency)} of the "
        f"signal, MET alone {_percent(points[1].signal_efficiency)}."
    )


def _candidate(first: Candidate) -> str:
    why = ", ".join(f"{d.feature} = {d.value:.4g}" for d in first.drivers)
    return (
        f"Most anomalous event: {first.run}:{first.lumi}:{first.event} ({first.process}), "
        f"score {first.score:.4g}{f', driven by {why}' if why else ''}."
    )


def _interval(x: Estimate) -> str:
    digits = 4 if x.value > 0.99 else 3
    return f"{x.value:.{digits}f}" + (f" [{x.low:.{digits}f}, {x.high:.{digits}f}]" if x.low is not None else "")


def _percent(x: Estimate | None) -> str:
    if x is None:
        return "an unknown share"
    if x.low is None or x.high is None:
        return f"{100 * x.value:.3g} %"
    return f"{100 * x.value:.1f} % [{100 * x.low:.1f}, {100 * x.high:.1f}]"
