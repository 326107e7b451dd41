"""Figures of the score: its distribution, event by event, the space of the code, and what lies above the threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from anomalon.report.binning import Bins, Histogram, is_logarithmic, score_bins
from anomalon.report.names import named
from anomalon.report.numbers import integer, with_error
from anomalon.report.records import Floats, Group, coloured
from anomalon.report.stack import draw_processes
from anomalon.report.style import (
    BACKGROUND_COLOURS,
    INK,
    MUTED,
    SIGNAL_COLOURS,
    Heading,
    decade_ticks,
    drawing,
    legend_on_top,
    new_axes,
    new_panels,
    room_for_names,
    write_heading,
)
from anomalon.search.results import FlaggedProcess


@dataclass(frozen=True)
class Cut:
    """Where a score is cut.

    Attributes:
        value: the threshold.
        quantile: of the background validation score.
    """

    value: float
    quantile: float

    @property
    def text(self) -> str:
        """The threshold in words.

        >>> Cut(1300.0, 0.95).text
        'Threshold 1300: 95 % of background below'
        """
        return f"Threshold {self.value:.4g}: {100 * self.quantile:g} % of background below"


def score_figure(
    groups: Sequence[Group], *, cut: Cut | None, xlabel: str = "Anomaly score", heading: Heading | None = None
) -> Figure:
    """Expected events per bin of the score: backgrounds stacked, signals as lines, the threshold."""
    groups = coloured(groups)
    bins = score_bins(groups)
    with drawing():
        figure, axes = new_axes(7.0, 4.8)
        _score_axis(axes, draw_processes(axes, groups, bins), bins)
        axes.set_xlabel(xlabel)
        if cut is not None:
            axes.axvline(cut.value, color=INK, lw=1.6, ls=(0, (5, 2)), label=cut.text)
        legend_on_top(axes)
        write_heading(axes, heading)
        return figure


def _score_axis(axes: Axes, drawn: Sequence[Histogram], bins: Bins) -> None:
    """Logarithmic y from half of the smallest filled bin, log x where the bins are."""
    heights = np.concatenate([h.values for h in drawn]) if drawn else np.ones(1)
    positive = heights[heights > 0] if (heights > 0).any() else np.ones(1)
    top = float(positive.max())
    low = max(float(positive.min()) / 2, top * 1e-8)
    axes.set_ylim(low, max(top * 2, low * 100))  # before the scale: a logarithmic axis refuses to look at zeros
    axes.set_yscale("log")
    if not np.allclose(np.diff(bins.edges), bins.edges[1] - bins.edges[0]):
        axes.set_xscale("log")
    axes.set_xlim(bins.edges[0], bins.edges[-1])
    axes.set_ylabel("Events / bin")


def index_figure(
    groups: Sequence[Group], positions: Sequence[Floats], *, cut: Cut | None, heading: Heading | None = None
) -> Figure:
    """Score versus event index, all of it and around the threshold.

    Args:
        groups: scores per process.
        positions: for each group the index of its events in the mixed sample, shape (event,).
        cut: the threshold.
        heading: the line above.
    """
    groups = coloured(groups)
    with drawing():
        figure, grid = new_panels(1, 2, panel=(6.2, 4.4))
        for axes in grid[0]:
            for group, index in sorted(zip(groups, positions, strict=True), key=lambda pair: pair[0].role == "signal"):
                _points(axes, replace(group, values=np.column_stack([index, group.values])), large=6.0)
            axes.set_xlabel("Event index")
            axes.margins(x=0.01)
            if cut is not None:
                axes.axhline(cut.value, color=INK, lw=1.6, ls=(0, (5, 2)), label=cut.text, zorder=5)
        _index_axes(grid[0], groups, cut)
        grid[0][0].set_ylabel("Anomaly score")
        decade_ticks(grid[0][1])
        legend_on_top(grid[0][0], columns=min(len(groups) + 1, 4), markerscale=2.5)
        write_heading(grid[0][0], heading, right=False)
        write_heading(grid[0][1], replace(heading, experiment="", status="Zoom") if heading else None)
        return figure


def _index_axes(axes: Sequence[Axes], groups: Sequence[Group], cut: Cut | None) -> None:
    scores = np.concatenate([g.values[g.present] for g in groups]) if groups else np.empty(0)
    if is_logarithmic(scores):
        axes[0].set_yscale("log")
        axes[0].set_ylim(scores.min() / 1.2, scores.max() * 1.2)
    if cut is None or len(scores) == 0:
        return
    if is_logarithmic(scores) and cut.value > 0:
        axes[1].set_yscale("log")
        axes[1].set_ylim(cut.value / 3, cut.value * 3)
    else:
        width = max(float(np.quantile(abs(scores - cut.value), 0.3)), 1e-9)
        axes[1].set_ylim(cut.value - width, cut.value + width)


def _points(axes: Axes, group: Group, large: float = 7.0) -> None:
    """Signals over background; points become pixels in a PDF, so that it opens fast."""
    xy = group.values[group.present]
    signal = group.role == "signal"
    axes.scatter(
        xy[:, 0], xy[:, 1], s=large * (2.0 if signal else 1.0), color=group.colour, label=group.label, lw=0,
        alpha=0.9 if signal else 0.75, marker="o", rasterized=True, zorder=3 if signal else 2,
    )  # fmt: skip


def embedding_figure(
    groups: Sequence[Group], *, axis_labels: tuple[str, str], heading: Heading | None = None
) -> Figure:
    """Points of a two-dimensional projection of the code, such as PCA or t-SNE.

    Args:
        groups: values of shape (event, 2).
        axis_labels: of x and y.
        heading: the line above.
    """
    with drawing():
        figure, axes = new_axes(6.0, 5.0)
        for group in sorted(coloured(groups), key=lambda g: g.role == "signal"):
            _points(axes, group, large=9.0)
        axes.set(xlabel=axis_labels[0], ylabel=axis_labels[1])
        _robust_limits(axes, groups)
        legend_on_top(axes, markerscale=2)
        write_heading(axes, heading)
        return figure


def _robust_limits(axes: Axes, groups: Sequence[Group]) -> None:
    """Leave far events outside, and say how many: they must not squeeze all others into a dot."""
    points = [g.values[g.present] for g in groups if g.present.any()]
    if not points:
        return
    xy = np.concatenate(points)
    low, high = np.quantile(xy, (0.005, 0.995), axis=0)
    width = high - low + 1e-9
    low, high = np.maximum(low - 0.25 * width, xy.min(axis=0)), np.minimum(high + 0.25 * width, xy.max(axis=0))
    axes.set_xlim(low[0] - 0.04 * width[0], high[0] + 0.04 * width[0])
    axes.set_ylim(low[1] - 0.04 * width[1], high[1] + 0.04 * width[1])
    outside = int(((xy < low) | (xy > high)).any(axis=1).sum())
    if outside:
        text = f"{outside} point{'s' * (outside > 1)} outside"
        axes.text(0.98, 0.02, text, transform=axes.transAxes, ha="right", fontsize=9.5, color=MUTED)


def flagged_figure(
    flagged: Sequence[FlaggedProcess], heading: Heading | None = None, names: Mapping[str, str] | None = None
) -> Figure:
    """Test events above the threshold by process: as counted and as expected at the stated luminosity."""
    rows = list(reversed(flagged))
    shown = [named(r.process, names or {}) for r in rows]
    with drawing():
        figure, grid = new_panels(1, 2, panel=(4.6, max(1.6, 0.5 * len(rows))), sharey=True)
        room_for_names(figure, shown)
        counted, expected = grid[0]
        colours = _row_colours(rows)
        counted.barh(range(len(rows)), [r.flagged for r in rows], color=colours, height=0.65)
        expected.barh(
            range(len(rows)), [r.expected or 0.0 for r in rows], color=colours, height=0.65,
            xerr=[r.error or 0.0 for r in rows], ecolor=INK, capsize=3,
        )  # fmt: skip
        _name_bars(
            counted, [f"{integer(r.flagged)} of {integer(r.tested)}" for r in rows], [float(r.flagged) for r in rows]
        )
        ends = [(r.expected or 0.0) + (r.error or 0.0) for r in rows]
        _name_bars(expected, [_expectation(r) for r in rows], ends)
        counted.set_yticks(range(len(rows)), shown)
        counted.set_xlabel("Test events above threshold")
        expected.set_xlabel("Expected events above threshold")
        write_heading(counted, heading, right=False)
        write_heading(expected, replace(heading, experiment="", status="") if heading else None)
        return figure


def _expectation(row: FlaggedProcess) -> str:
    """Nothing is expected of data; of simulation without a cross section nothing can be."""
    if row.expected is None:
        return "no expectation" if row.role == "data" else "not normalised"
    return with_error(row.expected, row.error)


def _row_colours(rows: Sequence[FlaggedProcess]) -> list[str]:
    return [{"signal": SIGNAL_COLOURS[0], "data": INK}.get(r.role, BACKGROUND_COLOURS[2]) for r in rows]


def _name_bars(axes: Axes, texts: Sequence[str], ends: Sequence[float]) -> None:
    axes.tick_params(axis="y", which="both", length=0)
    positive = [e for e in ends if e > 0]
    if positive and max(positive) > 50 * min(positive):
        axes.set_xscale("log")
        axes.set_xlim(min(positive) / 3, max(positive) * 30)
    else:
        axes.set_xlim(0, max([*positive, 1e-9]) * 1.35)
    for row, (text, end) in enumerate(zip(texts, ends, strict=True)):
        start = end if end > 0 else axes.get_xlim()[0]
        axes.annotate(text, (start, row), xytext=(5, 0), textcoords="offset points", va="center", fontsize=11)
