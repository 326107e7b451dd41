"""From cells to rows and standings: means over the seeds, differences to MET alone on the same replicas, rankings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from anomalon.metrics.estimate import Estimate
from anomalon.search.benchmark_results import (
    Cell,
    CellFigures,
    Difference,
    Figure,
    Row,
    Standing,
    Time,
    Verdict,
)
from anomalon.search.challenge import rank, total_improvements
from anomalon.search.evaluation import MET_ALONE

Floats = npt.NDArray[np.float64]

AUC = "auc"
COMPARED = (AUC, "eps_S at 0.01", "eps_S at 0.001")
"""Figures in which a detector has to be above MET alone."""
TAILS = (0.16, 0.84)
CLEARLY = 2.0
"""Errors by which a difference has to exceed zero."""


@dataclass(frozen=True)
class Seen:
    """A cell with the replicas of its figures, by signal, each of shape (1 + replica, 1 + point)."""

    cell: Cell
    drawn: Mapping[str, Floats]

    def figures(self, signal: str) -> CellFigures | None:
        """What the cell says of a signal, if anything."""
        return next((f for f in self.cell.figures if f.signal == signal), None)


def rows_of(cells: Sequence[Seen]) -> tuple[Row, ...]:
    """One row per channel, detector and signal, in the order of the cells."""
    groups: dict[tuple[str, str], list[Seen]] = {}
    for seen in cells:
        groups.setdefault((seen.cell.channel, seen.cell.detector), []).append(seen)
    rows = []
    for (channel, detector), group in groups.items():
        beside = None if detector == MET_ALONE else groups.get((channel, MET_ALONE), [None])[0]
        rows += [_row(group, signal, beside) for signal in (f.signal for f in group[0].cell.figures)]
    return tuple(rows)


def _row(group: Sequence[Seen], signal: str, met: Seen | None) -> Row:
    found = [f for f in (seen.figures(signal) for seen in group) if f is not None]
    beside = met.figures(signal) if met is not None else None
    cell, z, needed = group[0].cell, _mean(f.significance for f in found), _mean(f.needed for f in found)
    return Row(
        channel=cell.channel,
        detector=cell.detector,
        kind=cell.kind,
        signal=signal,
        seeds=len(found),
        detail=found[0].detail,
        figures=_figures(group, found, signal, met),
        improvement=_mean(f.improvement for f in found),
        max_sic=_mean(f.max_sic for f in found),
        significance=z,
        significance_gain=_ratio(z, beside.significance if beside is not None else None),
        needed=needed,
        needed_over_met=_ratio(needed, beside.needed if beside is not None else None),
    )


def _figures(group: Sequence[Seen], found: Sequence[CellFigures], signal: str, met: Seen | None) -> tuple[Figure, ...]:
    """AUC and signal efficiencies, means over the seeds."""
    drawn = np.stack([seen.drawn[signal] for seen in group])  # (seed, 1 + replica, 1 + point)
    others = met.drawn[signal] if met is not None else None
    figures = [Figure(name=AUC, **_over_seeds(drawn[:, :, 0], None if others is None else others[:, 0]))]
    for k, point in enumerate(found[0].points, start=1):
        figures.append(
            Figure(
                name=f"eps_S at {point.background_efficiency:g}",
                background_left=min(f.points[k - 1].background_left for f in found),
                reliable=all(f.points[k - 1].reliable for f in found),
                **_over_seeds(drawn[:, :, k], None if others is None else others[:, k]),
            )
        )
    return tuple(figures)


def _over_seeds(drawn: Floats, met: Floats | None) -> dict[str, Any]:
    """Mean, deviation over the seeds and difference to MET, of one figure with its replicas (seed, 1 + replica)."""
    mean = drawn.mean(axis=0)
    low, high = np.nanquantile(mean[1:], TAILS)
    value = float(mean[0])
    deviation = float(np.std(drawn[:, 0], ddof=1)) if len(drawn) > 1 else None
    return {
        "mean": Estimate(value=value, low=min(float(low), value), high=max(float(high), value)),
        "seed_deviation": deviation,
        "minus_met": None if met is None else _difference(mean - met, deviation, len(drawn)),
    }


def _difference(values: Floats, deviation: float | None, seeds: int) -> Difference:
    """From the difference and its replicas, shape (1 + replica,)."""
    error = float(np.hypot(np.nanstd(values[1:], ddof=1), (deviation or 0.0) / np.sqrt(seeds)))
    return Difference(value=float(values[0]), error=error, verdict=verdict(float(values[0]), error))


def verdict(value: float, error: float) -> Verdict:
    """Above by more than two errors, below by more than one, or level.

    >>> verdict(0.03, 0.01), verdict(0.015, 0.01), verdict(-0.015, 0.01)
    ('above', 'level', 'below')
    """
    if value > CLEARLY * error:
        return "above"
    return "below" if value < -error else "level"


def standings_of(rows: Sequence[Row], signals: Mapping[str, Sequence[str]]) -> tuple[Standing, ...]:
    """Standing of every detector over each set of signals, by the median of its total improvements, best first."""
    found = []
    for what, names in signals.items():
        own = [row for row in rows if row.signal in names]
        detectors = dict.fromkeys((row.detector, row.kind) for row in own)
        made = [_standing(what, [row for row in own if row.detector == name]) for name, _ in detectors]
        found += sorted(made, key=lambda s: -(s.median if s.median is not None else -1.0))
    return tuple(found)


def _standing(what: str, rows: Sequence[Row]) -> Standing:
    ranking = rank(total_improvements((row.signal, row.improvement) for row in rows))
    verdicts = {signal: _verdicts(row for row in rows if row.signal == signal) for signal in {r.signal for r in rows}}
    everything = [v for found in verdicts.values() for v in found]
    return Standing(
        signals=what,
        detector=rows[0].detector,
        kind=rows[0].kind,
        least=ranking.least if ranking else None,
        median=ranking.median if ranking else None,
        largest=ranking.largest if ranking else None,
        ranked=ranking.signals if ranking else 0,
        above=everything.count("above"),
        below=everything.count("below"),
        compared=len(everything),
        signals_above=tuple(sorted(s for s, found in verdicts.items() if found and set(found) == {"above"})),
    )


def _verdicts(rows: Iterable[Row]) -> list[Verdict]:
    figures = (f for row in rows for f in row.figures if f.name in COMPARED and f.reliable)
    return [f.minus_met.verdict for f in figures if f.minus_met is not None]


def times_of(cells: Sequence[Seen]) -> tuple[Time, ...]:
    """Mean times per channel and detector, and how much of each score is MET."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for seen in cells:
        groups.setdefault((seen.cell.channel, seen.cell.detector), []).append(seen.cell)
    return tuple(
        Time(
            channel=channel,
            detector=detector,
            training_seconds=float(np.mean([c.training_seconds for c in group])),
            scoring_seconds=float(np.mean([c.scoring_seconds for c in group])),
            scored=group[0].scored,
            likeness=group[0].likeness,
        )
        for (channel, detector), group in groups.items()
    )


def _mean(values: Iterable[float | None]) -> float | None:
    """Mean; None where a seed has no value."""
    found = list(values)
    known = [value for value in found if value is not None]
    return float(np.mean(known)) if known and len(known) == len(found) else None


def _ratio(value: float | None, other: float | None) -> float | None:
    return value / other if value is not None and other else None
