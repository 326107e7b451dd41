"""Figures of a benchmark: a heat map of detectors and signals, and the total improvements by detector."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from anomalon.report.benchmark_tables import MARKS
from anomalon.report.records import Floats
from anomalon.report.style import INK, MUTED, drawing, new_axes, room_for_names
from anomalon.search.benchmark_results import BenchmarkResults, Row, Standing
from anomalon.search.challenge import total_improvements

COLOURS = "viridis"
CELL = (1.25, 0.42)
"""Width and height of a cell of the heat map in inches."""
_SIGNS = {"above": " ▲", "below": " ▼", "level": ""}


def figures_of(results: BenchmarkResults) -> Iterator[tuple[str, Figure]]:
    """Name and figure of each; those without any value are left out."""
    for what in dict.fromkeys(s.signals for s in results.standings):
        standings = [s for s in results.standings if s.signals == what and s.median is not None]
        if standings:
            yield f"improvement-{what.replace(' ', '-')}", improvement_figure(results, standings)
    for channel in dict.fromkeys(row.channel for row in results.rows):
        for name, label in (("auc", "AUC"), ("eps_S at 0.01", r"$\varepsilon_S$ at $\varepsilon_B = 10^{-2}$"),
                            ("eps_S at 0.001", r"$\varepsilon_S$ at $\varepsilon_B = 10^{-3}$")):  # fmt: skip
            yield f"{channel}-{name.replace(' ', '-')}", heat_map(results, channel, name, label)


def heat_map(results: BenchmarkResults, channel: str, name: str, label: str) -> Figure:
    """One figure of every detector (rows) for every signal (columns); arrows where it is above or below MET alone.

    Points with fewer background events than the benchmark asks for are grey.
    """
    rows = [row for row in results.rows if row.channel == channel]
    detectors, signals = _detectors(results, rows), list(dict.fromkeys(row.signal for row in rows))
    found = {(row.detector, row.signal): row for row in rows}
    values, texts = np.full((len(detectors), len(signals)), np.nan), {}
    for i, (detector, _) in enumerate(detectors):
        for j, signal in enumerate(signals):
            figure = found[detector, signal].figure(name) if (detector, signal) in found else None
            if figure is None:
                continue
            values[i, j] = figure.mean.value if figure.reliable else np.nan
            sign = _SIGNS[figure.minus_met.verdict] if figure.minus_met is not None else ""
            texts[i, j] = f"{figure.mean.value:.3f}{sign}" if figure.reliable else f"({figure.mean.value:.3f})"
    with drawing():
        figure_, axes = new_axes(CELL[0] * len(signals), CELL[1] * len(detectors))
        room_for_names(figure_, [text for _, text in detectors])
        _cells(axes, values, texts)
        axes.set_xticks(range(len(signals)), signals, rotation=30, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(detectors)), [text for _, text in detectors])
        competing = sum(kind == "detector" for kind in {row.detector: row.kind for row in rows}.values())
        axes.axhline(competing - 0.5, color="white", lw=3)
        axes.annotate(
            f"{label}, {channel}", (0, 1), (0, 6), xycoords="axes fraction", textcoords="offset points", fontsize=13
        )
        _more_room_below(figure_, max(len(signal) for signal in signals))
        return figure_


def _detectors(results: BenchmarkResults, rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Names and labels of the detectors, best first; below them what stands beside and does not compete."""
    order = {s.detector: i for i, s in reversed(list(enumerate(results.standings)))}
    kinds = {row.detector: row.kind for row in rows}
    names = sorted(kinds, key=lambda d: (kinds[d] != "detector", order.get(d, 0)))
    return [(name, name + MARKS[kinds[name]]) for name in names]


def _cells(axes: Axes, values: Floats, texts: dict[tuple[int, int], str]) -> None:
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    norm = Normalize(low, high if high > low else low + 1.0)
    axes.set_facecolor("#e9e9ec")
    image = axes.imshow(values, cmap=COLOURS, norm=norm, interpolation="nearest", aspect="auto")
    axes.tick_params(which="both", length=0)
    for (i, j), text in texts.items():
        bright = np.isfinite(values[i, j]) and sum(image.cmap(norm(values[i, j]))[:3]) < 1.5
        axes.text(j, i, text, ha="center", va="center", fontsize=10.5, color="white" if bright else INK)


def _more_room_below(figure: Figure, letters: int) -> None:
    """Room for slanted names below the axes, which keep their size."""
    extra = 0.055 * letters
    height, margins = float(figure.get_figheight()), figure.subplotpars
    figure.set_figheight(height + extra)
    figure.subplots_adjust(
        bottom=(margins.bottom * height + extra) / (height + extra),
        top=(margins.top * height + extra) / (height + extra),
    )


def improvement_figure(results: BenchmarkResults, standings: Sequence[Standing]) -> Figure:
    """Total improvement of every signal by detector, with the median marked; the best detector on top."""
    with drawing():
        figure, axes = new_axes(6.4, 0.38 * len(standings) + 0.6)
        names = [s.detector + MARKS[s.kind] for s in standings]
        room_for_names(figure, names)
        signals = results.judge_on if standings[0].signals == "judged on" else results.choose_on
        values = [_improvements(results, s.detector, signals) for s in standings]
        for y, (standing, own) in enumerate(zip(standings, values, strict=True)):
            colour = "#3f90da" if standing.kind == "detector" else MUTED
            axes.plot([min(own), max(own)], [y, y], color=colour, lw=1.6, zorder=2)
            axes.plot(own, [y] * len(own), "o", color=colour, ms=4, alpha=0.7, ls="none", zorder=3)
            axes.plot(standing.median or 0.0, y, "D", color=INK, ms=6, ls="none", zorder=4)
        axes.plot([], [], "D", color=INK, ms=6, ls="none", label="Median over the signals")
        axes.axvline(1.0, color=MUTED, lw=1, ls=":")
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.tick_params(axis="y", which="both", length=0)
        positive = [x for own in values for x in own if x > 0]
        if positive and max(positive) > 10 * min(positive):
            axes.set_xscale("log")
        axes.set_xlabel(r"Total improvement, max of $\varepsilon_S$/√$\varepsilon_B$")
        axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), borderpad=0)
        return figure


def _improvements(results: BenchmarkResults, detector: str, signals: Sequence[str]) -> list[float]:
    rows = (row for row in results.rows if row.detector == detector and row.signal in signals)
    return list(total_improvements((row.signal, row.improvement) for row in rows).values())
