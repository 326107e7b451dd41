# ruff: noqa: RUF001 - Greek letters and the multiplication sign are what a table wants
"""The tables of a benchmark: ranking, figures per signal, left-out processes, times, events; and published figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from anomalon.report.data_tables import Cell, DataTable, Quantity
from anomalon.report.numbers import power_of_ten
from anomalon.search.benchmark_results import BenchmarkResults, Difference, Figure, Kind, Row, Standing
from anomalon.search.known import CAVEAT, CHALLENGE, SOURCE

MARKS: dict[Kind, str] = {"detector": "", "baseline": " (baseline)", "oracle": " (oracle)", "bound": " (bound)"}
"""Who competes with whom: an oracle and a bound have seen the signal's labels."""
SIGNS = {"above": " ▲", "below": " ▼", "level": ""}


def tables_of(results: BenchmarkResults) -> Iterator[DataTable]:
    """Every table of a benchmark, in the order in which it is read."""
    for what in dict.fromkeys(s.signals for s in results.standings):
        yield ranking_table(results, what)
    yield from signal_tables(results)
    if results.left_out:
        yield left_out_table(results)
    yield times_table(results)
    yield events_table(results)


def ranking_table(results: BenchmarkResults, what: str) -> DataTable:
    """Detectors by the median of their total improvements over a set of signals."""
    standings = [s for s in results.standings if s.signals == what]
    names = results.judge_on if what == "judged on" else results.choose_on
    return DataTable(
        name=f"ranking-{what.replace(' ', '-')}",
        title=f"Ranking, signals {what}",
        caption=(
            "Total improvement TI = max of eps_S/sqrt(eps_B) over eps_B = 1e-2, 1e-3, 1e-4 and over the channels, for "
            f"the signals {', '.join(names)}; points with fewer than {results.minimum_background} background events "
            "are left out. Above and below MET: AUC and eps_S at 1e-2 and 1e-3 that differ from those of MET alone by "
            "more than two errors upwards, or by more than one downwards."
        ),
        columns=("detector", "TI min", "TI median", "TI max", "signals", "above MET", "below MET", "signals all above"),
        rows=tuple(_standing(s) for s in standings),
    )


def _standing(s: Standing) -> tuple[Cell, ...]:
    compared = s.compared > 0
    return (
        s.detector + MARKS[s.kind], s.least, s.median, s.largest, s.ranked,
        f"{s.above}/{s.compared}" if compared else None, f"{s.below}/{s.compared}" if compared else None,
        len(s.signals_above) if compared else None,
    )  # fmt: skip


def terminal_tables(results: BenchmarkResults) -> Iterator[DataTable]:
    """What fits on a terminal: rankings, the main figures for every signal, left-out processes."""
    for what in dict.fromkeys(s.signals for s in results.standings):
        yield ranking_table(results, what)
    for table, (channel, signal) in zip(signal_tables(results), _signals(results), strict=True):
        rows = [row for row in results.rows if (row.channel, row.signal) == (channel, signal)]
        short = tuple(_short_row(row) for row in rows)
        columns = ("detector", "AUC", "ε_S at 10⁻²", "ε_S at 10⁻³", "SI", "Z", "N2")
        yield replace(table, columns=columns, rows=short, caption=_SHORT)
    if results.left_out:
        yield left_out_table(results)


_SHORT = "▲ ▼ above or below MET alone beyond the error; [raw background events left, * too few]; more in the tables."


def _short_row(row: Row) -> tuple[Cell, ...]:
    figures = [row.figure(name) for name in ("auc", "eps_S at 0.01", "eps_S at 0.001")]
    return (row.detector + MARKS[row.kind], *map(_short_cell, figures), row.improvement, row.significance, row.needed)


def _short_cell(figure: Figure | None) -> str | None:
    """A figure in few letters: half of its interval is its error."""
    if figure is None or figure.mean.low is None or figure.mean.high is None:
        return None
    text = f"{figure.mean.value:.3f} ± {0.5 * (figure.mean.high - figure.mean.low):.3f}"
    sign = _sign(figure)
    left = "" if figure.background_left is None else f" [{figure.background_left}{'' if figure.reliable else '*'}]"
    return text + sign + left


def _signals(results: BenchmarkResults) -> list[tuple[str, str]]:
    return list(dict.fromkeys((row.channel, row.signal) for row in results.rows))


def signal_tables(results: BenchmarkResults) -> Iterator[DataTable]:
    """One table per channel and signal: every detector, what stands beside it included."""
    for channel, signal in _signals(results):
        rows = [row for row in results.rows if (row.channel, row.signal) == (channel, signal)]
        yield signal_table(results, rows)


def signal_table(results: BenchmarkResults, rows: Sequence[Row]) -> DataTable:
    """Every detector for one signal in one channel."""
    channel, signal = rows[0].channel, rows[0].signal
    points = [f.name for f in rows[0].figures if f.name != "auc"]
    role = "chosen on" if signal in results.choose_on else "judged on" if signal in results.judge_on else "neither"
    uncertainty = f"{100 * results.background_uncertainty:g} %"
    return DataTable(
        name=f"{channel}-{signal}",
        title=f"{channel}, {signal} ({role})",
        caption=(
            f"Means over {max(row.seeds for row in rows)} seeds with the 68 % interval of the events; in brackets the "
            "raw background events left, starred where too few. Arrows: above or below MET alone beyond the error. "
            f"Z: Asimov significance at the best cut with {uncertainty} uncertainty of the background; N2: signal "
            "events needed for Z = 2."
        ),
        columns=(
            "detector", "AUC", "AUC − MET", *(f"ε_S at {power_of_ten(_efficiency(name))}" for name in points),
            "seeds ±", "SI", "max SIC", "Z", "Z / Z(MET)", "N2", "N2 / N2(MET)",
        ),
        rows=tuple(_signal_row(row, points) for row in rows),
    )  # fmt: skip


def _signal_row(row: Row, points: Sequence[str]) -> tuple[Cell, ...]:
    auc = row.figure("auc")
    tail = row.figure("eps_S at 0.001")
    return (
        row.detector + MARKS[row.kind] + (f": {row.detail}" if row.detail else ""),
        _value(auc),
        _minus(auc.minus_met if auc is not None else None),
        *(_efficiency_cell(row.figure(name)) for name in points),
        tail.seed_deviation if tail is not None else None,
        row.improvement, row.max_sic, row.significance, row.significance_gain, row.needed, row.needed_over_met,
    )  # fmt: skip


def _value(figure: Figure | None) -> str | None:
    """A figure with its interval, and how it compares with MET."""
    if figure is None:
        return None
    return f"{Quantity.of(figure.mean)}{_sign(figure)}"


def _sign(figure: Figure) -> str:
    """An arrow where a figure that means something differs from that of MET alone."""
    return SIGNS[figure.minus_met.verdict] if figure.minus_met is not None and figure.reliable else ""


def _efficiency_cell(figure: Figure | None) -> str | None:
    if figure is None:
        return None
    return f"{_value(figure)} [{figure.background_left}{'' if figure.reliable else '*'}]"


def _minus(difference: Difference | None) -> Quantity | None:
    return None if difference is None else Quantity(difference.value, difference.error, difference.error)


def _efficiency(name: str) -> float:
    return float(name.removeprefix("eps_S at "))


def left_out_table(results: BenchmarkResults) -> DataTable:
    """Background processes as signals: whether a score is more than high MET."""
    return DataTable(
        name="left-out",
        title="Background processes left out of training",
        caption=(
            "AUC of a process that was left out of training against the rest of the background, and that of MET alone; "
            "one seed. A score that only grows with MET sees no more than MET does."
        ),
        columns=("channel", "left out", "detector", "AUC", "AUC of MET", "difference", "test events"),
        rows=tuple(
            (
                x.channel,
                x.sample,
                x.detector,
                Quantity.of(x.auc),
                Quantity.of(x.met),
                Quantity.of(x.difference),
                x.events,
            )
            for x in results.left_out
        ),
    )


def times_table(results: BenchmarkResults) -> DataTable:
    """What training and scoring took, and how much of a score is MET."""
    return DataTable(
        name="times",
        title="Times, and likeness to MET",
        caption=(
            "Mean wall-clock seconds over the seeds, other trainings running beside; rank correlation of score and MET "
            "on test background, and the part of the highest per cent of scores that is also in that of MET."
        ),
        columns=("channel", "detector", "training [s]", "scoring [s]", "events scored", "correlation", "shared top"),
        rows=tuple(
            (
                t.channel, t.detector, t.training_seconds, t.scoring_seconds, t.scored,
                t.likeness.rank_correlation if t.likeness else None, t.likeness.shared if t.likeness else None,
            )
            for t in results.times
        ),
    )  # fmt: skip


def events_table(results: BenchmarkResults) -> DataTable:
    """Events of every sample after the selection."""
    return DataTable(
        name="events",
        title="Events",
        caption="After the selection; expected at the channel's luminosity.",
        columns=("channel", "sample", "role", "selected", "test", "expected"),
        rows=tuple(
            (c.channel, s.name, s.role, s.selected, s.test, s.expected) for c in results.channels for s in c.samples
        ),
    )


def known_table() -> DataTable:
    """Published figures of the challenge, marked as such."""
    return DataTable(
        name="published",
        title=f"PUBLISHED ELSEWHERE: median total improvement, {SOURCE}",
        caption=CAVEAT,
        columns=("published model", "median TI (published)"),
        rows=tuple((p.model, p.median_improvement) for p in CHALLENGE),
    )
