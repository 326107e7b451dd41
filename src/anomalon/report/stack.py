"""Backgrounds stacked with their statistical band, and signals and data over them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from anomalon.report.binning import Bins, Histogram, histogram
from anomalon.report.records import Group
from anomalon.report.style import INK, LINES, note_in_legend


def draw_processes(axes: Axes, groups: Sequence[Group], bins: Bins, *, unit_area: bool = False) -> list[Histogram]:
    """Draw backgrounds as a stack, signals as lines, data as points with errors.

    Args:
        axes: to draw in.
        groups: with their colours.
        bins: of the histogram; what its outer bins hold is said in the legend.
        unit_area: scale the whole stack, and every other group, to unit area.

    Returns:
        What was drawn: the sum of the stack, if there is one, then the others.
    """
    drawn = []
    background = [g for g in groups if g.role == "background"]
    if background:
        drawn.append(_draw_stack(axes, background, bins, unit_area=unit_area))
    for i, group in enumerate(g for g in groups if g.role != "background"):
        filled = histogram(group.values, group.weights, bins)
        drawn.append(filled.density() if unit_area else filled)
        _draw_over(axes, drawn[-1], group, LINES[i % len(LINES)])
    note_in_legend(axes, bins.note)
    return drawn


def _draw_stack(axes: Axes, groups: Sequence[Group], bins: Bins, *, unit_area: bool) -> Histogram:
    filled = [histogram(g.values, g.weights, bins) for g in groups]
    values, errors = np.sum([h.values for h in filled], axis=0), np.sqrt(np.sum([h.errors**2 for h in filled], axis=0))
    scale = Histogram(values, errors, bins.edges).scale() if unit_area else np.ones(len(values))
    below = np.zeros(len(values))
    for group, h in zip(groups, filled, strict=True):
        above = below + h.values * scale
        axes.stairs(above, bins.edges, baseline=below, fill=True, color=group.colour, lw=0, label=group.label)
        below = above
    total = Histogram(values * scale, errors * scale, bins.edges)
    axes.stairs(total.values, bins.edges, color=INK, lw=0.8)
    axes.stairs(
        total.values + total.errors, bins.edges, baseline=np.maximum(total.values - total.errors, 0), fill=True,
        hatch="//////", facecolor="none", edgecolor="#555555", lw=0, label="Stat. unc.",
    )  # fmt: skip
    return total


def _draw_over(axes: Axes, filled: Histogram, group: Group, line: str) -> None:
    if group.role != "data":
        axes.stairs(filled.values, filled.edges, color=group.colour, ls=line, lw=2, label=group.label)
        return
    centres, some = (filled.edges[1:] + filled.edges[:-1]) / 2, filled.values > 0
    axes.errorbar(
        centres[some], filled.values[some], filled.errors[some], fmt="o", ms=4, lw=1.2, color=group.colour,
        label=group.label,
    )  # fmt: skip
