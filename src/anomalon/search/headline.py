"""What stands out, in sentences."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from anomalon.features.labels import label
from anomalon.search.evaluation import MET_ALONE
from anomalon.search.results import (
    Background,
    Candidate,
    DetectorSummary,
    Driver,
    Estimate,
    Evaluation,
    SampleSummary,
    ThresholdSummary,
)

WORKING_POINT = 1e-2
LEAST_SHARE = 0.05
"""Share of a score from which on a feature is named beside the first."""


@dataclass(frozen=True)
class _Search:
    """What the sentences are made from."""

    main: DetectorSummary
    detectors: Sequence[DetectorSummary]
    evaluations: Sequence[Evaluation]

    def title(self, detector: str) -> str:
        return next((d.title for d in self.detectors if d.name == detector), detector)

    def found(self, signal: str) -> list[Evaluation]:
        """Evaluations of the detectors that never saw a signal."""
        unsupervised = {d.name for d in self.detectors if d.role == "detector"}
        return [e for e in self.evaluations if e.signal == signal and e.detector in unsupervised]

    def one(self, detector: str, signal: str) -> Evaluation | None:
        return next((e for e in self.evaluations if (e.detector, e.signal) == (detector, signal)), None)


def headline(
    main: DetectorSummary,
    detectors: Sequence[DetectorSummary],
    evaluations: Sequence[Evaluation],
    samples: Sequence[SampleSummary],
    candidates: Sequence[Candidate],
    *,
    background: Background = "simulation",
) -> tuple[str, ...]:
    """Sentences for the top of the report and the end of the terminal output: the verdict first."""
    search = _Search(main, detectors, evaluations)
    signals = [s for s in samples if s.role == "signal"]
    titles = {s.process: s.title for s in samples}
    lines = [
        _verdict(search, signals),
        *(_signal(search, s) for s in signals),
        _threshold(main, background),
        *(_candidate(c, titles) for c in candidates[:1]),
    ]
    return tuple(_capital(line) for line in lines if line)


def _verdict(search: _Search, signals: Sequence[SampleSummary]) -> str:
    """Which detectors beat MET alone on which signals; signals with the same answer share a clause."""
    clauses: dict[str, list[str]] = {}
    for signal in signals:
        gains = [(e.detector, e.auc_minus_met) for e in search.found(signal.name) if e.auc_minus_met is not None]
        if gains:
            better = [search.title(name) for name, gain in gains if gain.low is not None and gain.low > 0]
            worse = [search.title(name) for name, gain in gains if not (gain.low is not None and gain.low > 0)]
            clauses.setdefault(_winners(better, worse), []).append(signal.title)
    text = "; ".join(f"{who} on {_list(titles)}" for who, titles in clauses.items())
    return f"{text} (AUC, 68 % interval of the difference)." if text else ""


def _winners(better: Sequence[str], worse: Sequence[str]) -> str:
    """Who beats MET alone.

    >>> _winners(["A"], ["B"]), _winners([], ["B", "C"]), _winners(["A", "B", "C"], ["D"])
    ('only A beats MET alone', 'no detector beats MET alone', 'every detector but D beats MET alone')
    """
    if not better:
        return "no detector beats MET alone"
    if not worse:
        return "every detector beats MET alone" if len(better) > 1 else f"{better[0]} beats MET alone"
    if len(worse) == 1 and len(better) > 1:
        return f"every detector but {worse[0]} beats MET alone"
    return f"only {_list(better)} beat{'s' if len(better) == 1 else ''} MET alone"


def _signal(search: _Search, sample: SampleSummary) -> str:
    main, met = search.one(search.main.name, sample.name), search.one(MET_ALONE, sample.name)
    best = max(search.found(sample.name), key=lambda e: e.auc.value, default=None)
    parts = [f"{search.title(e.detector)} {_interval(e.auc)}" for e in (main, met) if e is not None]
    if best is not None and best is not main:
        parts.append(f"best detector: {search.title(best.detector)} {_interval(best.auc)}")
    if not parts:
        return ""
    return f"{sample.title}: AUC of {', '.join(parts)}.{_rates(search, main, met)}"


def _rates(search: _Search, main: Evaluation | None, met: Evaluation | None) -> str:
    """Signal kept at the working point, and above the main detector's threshold."""
    kept = [
        f"{search.title(e.detector)} keeps {_percent(p.signal_efficiency)}"
        for e in (main, met)
        if e is not None
        for p in e.working_points
        if p.background_efficiency == WORKING_POINT
    ]
    text = f" With {100 * WORKING_POINT:g} % of the background, {' of the signal, '.join(kept)}." if kept else ""
    if main is not None and main.at_threshold is not None:
        text += f" The threshold flags {_percent(main.at_threshold)} of it."
    return text


def _threshold(main: DetectorSummary, background: Background) -> str:
    cut = main.threshold
    if cut is None:
        return ""
    if background == "data":
        return _threshold_on_data(main.title, cut)
    if cut.false_positive_rate is None:
        return ""
    return (
        f"{main.title}, cut at the {100 * cut.quantile:g} % quantile of the background validation score, flags "
        f"{_percent(cut.false_positive_rate)} of the test background by weight "
        f"({cut.background_above} of {cut.background_total} simulated events)."
    )


def _threshold_on_data(title: str, cut: ThresholdSummary) -> str:
    """What the threshold flags says nothing where the data fixed it."""
    asked = f"{100 * (1 - cut.quantile):.3g} %"
    where = f"The data is its own background: {title} is cut at the {100 * cut.quantile:g} % quantile of its own score"
    if cut.false_positive_rate is None:
        return (
            f"{where}, so about {asked} of the data lie above by construction, whatever it holds. What lies there is "
            "withheld until --unblind REASON."
        )
    return (
        f"{where} and flags {_percent(cut.false_positive_rate)} of the test data ({cut.background_above} of "
        f"{cut.background_total} events). About {asked} is what the quantile asks for, whatever the data holds: it is "
        "no evidence of anything."
    )


def _candidate(first: Candidate, titles: dict[str, str]) -> str:
    named = [d for i, d in enumerate(first.drivers) if i == 0 or d.share >= LEAST_SHARE]
    why = f", driven by {_list([_driver(d) for d in named])}" if named else ""
    title = titles.get(first.process, first.process)
    return f"Most anomalous event: {first.run}:{first.lumi}:{first.event} ({title}), score {first.score:.4g}{why}."


def _driver(driver: Driver) -> str:
    """A feature in words with its value and unit.

    >>> _driver(Driver(feature="MET_pt", value=812.34, share=0.6))
    'missing transverse momentum (812 GeV)'
    """
    what = label(driver.feature)
    value = f"{driver.value:.0f}" if what.kind == "count" or abs(driver.value) >= 100 else f"{driver.value:.3g}"
    if what.kind == "flag":
        value = "yes" if driver.value > 0.5 else "no"
    return f"{what.words} ({' '.join(part for part in (value, what.unit) if part)})"


def _capital(line: str) -> str:
    """A capital first letter, where the first word is a word and not a symbol such as k-means or ttbar."""
    return line[0].upper() + line[1:] if re.match(r"(?!ttbar)([a-z]{2,})[ ,:-]", line) else line


def _list(names: Sequence[str]) -> str:
    """Names with commas and a last 'and'.

    >>> _list(["A"]), _list(["A", "B", "C"])
    ('A', 'A, B and C')
    """
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def _interval(x: Estimate) -> str:
    digits = 4 if x.value > 0.99 else 3
    return f"{x.value:.{digits}f}" + (f" [{x.low:.{digits}f}, {x.high:.{digits}f}]" if x.low is not None else "")


def _percent(x: Estimate) -> str:
    if x.low is None or x.high is None:
        return f"{100 * x.value:.3g} %"
    return f"{100 * x.value:.1f} % [{100 * x.low:.1f}, {100 * x.high:.1f}]"
