"""What the page's template lays out: rows and cells, computed here so that the template only places them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anomalon.features.labels import label
from anomalon.report import numbers
from anomalon.report.tables import (
    PerformanceRow,
    background_efficiencies,
    column_name,
    ordered,
    performance_rows,
    signal_title,
)
from anomalon.search.blinding import WITHHELD
from anomalon.search.results import DetectorSummary, SearchResults

__all__ = ["background_efficiencies", "column_name", "signal_title"]


@dataclass(frozen=True)
class SignalTable:
    """All detectors against one signal."""

    signal: str
    title: str
    rows: tuple[PerformanceRow, ...]


@dataclass(frozen=True)
class OverviewRow:
    """One detector against all signals; None where it was not evaluated."""

    detector: DetectorSummary
    cells: tuple[PerformanceRow | None, ...]


@dataclass(frozen=True)
class CutflowCell:
    """One process after one cut, as text; ``withheld`` where blinding hides it."""

    raw: str
    weighted: str
    relative: str
    efficiency: str
    withheld: bool = False


@dataclass(frozen=True)
class CutflowTable:
    """Cuts down, processes across."""

    processes: tuple[str, ...]
    rows: tuple[tuple[str, tuple[CutflowCell | None, ...]], ...]


@dataclass(frozen=True)
class LedgerTable:
    """The ledger's entries and their sums."""

    entries: tuple[Mapping[str, Any], ...]
    totals: Mapping[str, int]
    balanced: bool


def performance(results: SearchResults) -> tuple[SignalTable, ...]:
    """One table per signal that was evaluated."""
    rows = performance_rows(results)
    tables = (
        SignalTable(s, signal_title(results, s), tuple(r for r in rows if r.signal == s)) for s in results.signals
    )
    return tuple(table for table in tables if table.rows)


def overview(results: SearchResults) -> tuple[OverviewRow, ...]:
    """Detectors x signals."""
    found = {(r.detector.name, r.signal): r for r in performance_rows(results)}
    rows = (OverviewRow(d, tuple(found.get((d.name, s)) for s in results.signals)) for d in ordered(results.detectors))
    return tuple(row for row in rows if any(row.cells))


def caveats(results: SearchResults) -> tuple[tuple[str, str], ...]:
    """Caveat -> names of the samples that it holds for; ``all samples`` where it is everyone's."""
    found: dict[str, list[str]] = {}
    for sample in results.samples:
        for caveat in sample.caveats:
            found.setdefault(caveat, []).append(sample.name)
    everyone = max(len(results.samples), 2)
    return tuple((text, "all samples" if len(who) == everyone else ", ".join(who)) for text, who in found.items())


def smallest_fraction(results: SearchResults) -> float | None:
    """One over the number of test background events: a smaller fraction cannot be counted."""
    n = sum(part.test for part in results.split if part.role == results.background_role)
    return 1 / n if n else None


def cutflow(results: SearchResults) -> CutflowTable:
    """The cutflow with a column per process, in the order of its rows."""
    processes = tuple(dict.fromkeys(str(row["process"]) for row in results.cutflow))
    cells = {(_cut(row), str(row["process"])): _cutflow_cell(row) for row in results.cutflow}
    cuts = tuple(dict.fromkeys(_cut(row) for row in results.cutflow))
    return CutflowTable(processes, tuple((cut, tuple(cells.get((cut, p)) for p in processes)) for cut in cuts))


def _cut(row: Mapping[str, Any]) -> str:
    return str(row["cut"]).removesuffix(f", {WITHHELD}")


def _cutflow_cell(row: Mapping[str, Any]) -> CutflowCell:
    return CutflowCell(
        raw=numbers.integer(row.get("raw")),
        weighted=numbers.with_error(row.get("weighted"), row.get("error")),
        relative=numbers.percent(row.get("relative_efficiency")),
        efficiency=numbers.percent(row.get("efficiency")),
        withheld=str(row["cut"]).endswith(WITHHELD),
    )


def ledger(results: SearchResults) -> LedgerTable:
    """The ledger with its sums, and whether every event read is accounted for."""
    entries = tuple(
        _LEDGER_ROW | row | {"skipped_total": sum(row.get("skipped", {}).values())} for row in results.ledger
    )
    names = ("read", "written", "cut", "duplicated", "skipped_total")
    totals = {name: sum(int(row.get(name) or 0) for row in entries) for name in names}
    return LedgerTable(entries, totals, totals["read"] == sum(totals[n] for n in names[1:]))


_LEDGER_ROW: dict[str, Any] = {
    "file": "",
    "read": 0,
    "written": 0,
    "cut": 0,
    "duplicated": 0,
    "skipped": {},
    "error": "",
}


def feature_words(name: str) -> str:
    """A feature in words, for a table."""
    return label(name).words


def feature_value(value: float, name: str) -> str:
    """A feature's value with its unit.

    >>> feature_value(412.34, "MET_pt"), feature_value(3.0, "nMuon"), feature_value(1.0, "channel_A")
    ('412 GeV', '3', 'yes')
    """
    what = label(name)
    if what.kind == "flag":
        return "yes" if value > 0.5 else "no"
    text = numbers.integer(value) if what.kind == "count" else numbers.significant(value)
    return f"{text} {what.unit}".strip()
