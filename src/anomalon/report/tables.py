"""The table of detectors and signals, as records, as Markdown and for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from anomalon.report.numbers import NONE, interval, power_of_ten
from anomalon.search.results import DetectorSummary, Estimate, Evaluation, SearchResults, WorkingPoint

ROLE_ORDER = {"detector": 0, "baseline": 1, "bound": 2}
ROLE_NOTES = {"detector": "", "baseline": "baseline", "bound": "supervised bound"}


@dataclass(frozen=True)
class PerformanceRow:
    """One detector against one signal.

    Attributes:
        best: names of the columns (``auc``, ``eps_S at 0.01``) in which it is the best of the detectors;
            baselines and the bound do not compete.
    """

    detector: DetectorSummary
    signal: str
    evaluation: Evaluation
    best: frozenset[str]

    def point(self, background_efficiency: float) -> WorkingPoint | None:
        """The working point at a background efficiency, if there is one."""
        points = self.evaluation.working_points
        return next((p for p in points if abs(p.background_efficiency / background_efficiency - 1) < 1e-6), None)


def ordered(detectors: Sequence[DetectorSummary]) -> list[DetectorSummary]:
    """Detectors first, then baselines, then the bound."""
    return sorted(detectors, key=lambda d: ROLE_ORDER[d.role])


def background_efficiencies(results: SearchResults) -> tuple[float, ...]:
    """Background efficiencies of the working points, from the largest."""
    found = {p.background_efficiency for e in results.evaluations for p in e.working_points}
    return tuple(sorted(found, reverse=True))


def performance_rows(results: SearchResults) -> list[PerformanceRow]:
    """One row per signal and detector, signal by signal."""
    rows = []
    for signal in results.signals:
        evaluated = [(d, results.evaluation(d.name, signal)) for d in ordered(results.detectors)]
        present = [(d, e) for d, e in evaluated if e is not None]
        best = _best([e for d, e in present if d.role == "detector"])
        rows += [
            PerformanceRow(d, signal, e, frozenset(column for column, name in best.items() if name == d.name))
            for d, e in present
        ]
    return rows


def _best(evaluations: Sequence[Evaluation]) -> dict[str, str]:
    """Column -> detector with the largest value; working points with too few background events do not count."""
    columns: dict[str, dict[str, float]] = {}
    for e in evaluations:
        columns.setdefault("auc", {})[e.detector] = e.auc.value
        for p in e.working_points:
            if p.reliable:
                columns.setdefault(column_name(p.background_efficiency), {})[e.detector] = p.signal_efficiency.value
        if e.max_sic is not None:
            columns.setdefault("max_sic", {})[e.detector] = e.max_sic
    return {column: max(values, key=values.__getitem__) for column, values in columns.items() if len(values) > 1}


def column_name(background_efficiency: float) -> str:
    """Key of a working point's column in :attr:`PerformanceRow.best`."""
    return f"eps_S at {background_efficiency:g}"


def signal_title(results: SearchResults, signal: str) -> str:
    """Title of the signal's sample."""
    return next((s.title or s.name for s in results.samples if s.name == signal), signal)


def to_markdown(results: SearchResults, background_efficiency: float = 1e-2) -> str:
    """Detectors x signals as a Markdown table: AUC and signal efficiency with 68 % intervals.

    The best detector per column is bold; a dagger marks fewer than ten background events above the cut.
    """
    eps = f"ε_S at {power_of_ten(background_efficiency)}"
    header = [
        "Detector",
        *(f"{_cell(signal_title(results, s))}: {what}" for s in results.signals for what in ("AUC", eps)),
    ]
    lines = [_line(header), _line(["---"] * len(header))]
    rows = {(r.detector.name, r.signal): r for r in performance_rows(results)}
    for d in ordered(results.detectors):
        note = f" ({ROLE_NOTES[d.role]})" if ROLE_NOTES[d.role] and ROLE_NOTES[d.role] not in d.title.lower() else ""
        cells = [_cell(d.title) + note]
        for signal in results.signals:
            cells += _numbers(rows.get((d.name, signal)), background_efficiency)
        lines.append(_line(cells))
    return "\n".join(lines) + "\n"


def _numbers(row: PerformanceRow | None, background_efficiency: float) -> list[str]:
    if row is None:
        return [NONE, NONE]
    point = row.point(background_efficiency)
    dagger = "" if point is None or point.reliable else " †"
    return [
        _bold(row.evaluation.auc, "auc" in row.best),
        _bold(point.signal_efficiency if point else None, column_name(background_efficiency) in row.best) + dagger,
    ]


def _bold(estimate: Estimate | None, bold: bool) -> str:
    return f"**{interval(estimate)}**" if bold else interval(estimate)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def rich_table(results: SearchResults, background_efficiency: float = 1e-2) -> Table:
    """The same table for the terminal."""
    table = Table(title="Detectors on test events (68 % intervals)", title_justify="left")
    table.add_column("Detector", no_wrap=True)
    for signal in results.signals:
        table.add_column(f"{signal}\nAUC", justify="right")
        table.add_column(f"{signal}\nε_S at {power_of_ten(background_efficiency)}", justify="right")
    rows = {(r.detector.name, r.signal): r for r in performance_rows(results)}
    last = None
    for d in ordered(results.detectors):
        if last is not None and d.role != last:
            table.add_section()
        cells = [
            c.replace("**", "") for s in results.signals for c in _numbers(rows.get((d.name, s)), background_efficiency)
        ]
        table.add_row(d.title, *cells, style="bold" if d.name == results.main_detector else "")
        last = d.role
    return table
