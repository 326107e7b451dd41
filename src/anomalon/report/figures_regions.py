"""Figures of regions: variables stacked by process inside them, and the significance along a cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from anomalon.features.labels import label
from anomalon.report.binning import Bins, Histogram, feature_bins
from anomalon.report.records import Group
from anomalon.report.stack import draw_processes
from anomalon.report.style import (
    DETECTOR_COLOURS,
    INK,
    LINES,
    Heading,
    drawing,
    legend_above,
    new_axes,
    new_panels,
    write_heading,
)
from anomalon.search.statistics import CutScan

COARSE = 20
"""Bins of a variable inside a region, where events are few."""


def region_stacks(columns: Mapping[str, Sequence[Group]], heading: Heading | None = None) -> Figure:
    """Expected events of several variables in one region: backgrounds stacked, signals as lines.

    Args:
        columns: variable -> groups with their colours, all with the same processes.
        heading: the line above.
    """
    with drawing():
        across = min(len(columns), 2)
        rows = -(-len(columns) // across)
        figure, grid = new_panels(rows, across, panel=(5.0, 3.5), top=1.35)
        flat = [axes for row in grid for axes in row]
        for axes, (name, groups) in zip(flat, columns.items(), strict=False):
            _stack(axes, name, groups)
        for axes in flat[len(columns) :]:
            axes.set_axis_off()
        handles, names = flat[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="upper center", ncols=4, bbox_to_anchor=(0.5, 1.0), fontsize=9.5)
        write_heading(flat[0], heading)
        return figure


def _stack(axes: Axes, name: str, groups: Sequence[Group]) -> None:
    what = label(name)
    bins = feature_bins(groups, what.kind, count=COARSE)
    drawn = draw_processes(axes, groups, Bins(bins.edges))
    axes.set_xlim(bins.edges[0], bins.edges[-1])
    axes.set_xlabel(what.axis)
    axes.set_ylabel(f"Events / {np.diff(bins.edges)[0]:.3g} {what.unit}".rstrip())
    _logarithmic(axes, drawn)
    if bins.note:
        axes.text(0.97, 0.96, bins.note, transform=axes.transAxes, ha="right", va="top", fontsize=9.5)


def _logarithmic(axes: Axes, drawn: Sequence[Histogram]) -> None:
    """A logarithmic axis from a fraction of the smallest background bin, so that weak signals can be seen."""
    heights = np.concatenate([h.values for h in drawn]) if drawn else np.ones(1)
    positive = heights[heights > 0]
    top = float(positive.max()) if len(positive) else 1.0
    axes.set_ylim(max(float(positive.min()) / 2, top * 1e-5) if len(positive) else 0.1, top * 8)
    axes.set_yscale("log")


def cut_scan_figure(
    scans: Sequence[CutScan], titles: Mapping[str, str], variable: str, heading: Heading | None = None
) -> Figure:
    """Significance with background uncertainty along the cut: one line per region, and the cut alone in black.

    Args:
        scans: of one signal.
        titles: of the lines, by ``detector/region``.
        variable: that is cut on.
        heading: the line above.
    """
    what = label(variable)
    with drawing():
        figure, axes = new_axes(6.4, 4.4)
        number = 0
        for one in scans:
            alone = one.region == "all"
            colour = INK if alone else DETECTOR_COLOURS[number % len(DETECTOR_COLOURS)]
            number += not alone
            reliable = np.asarray(one.effective) >= LEAST
            z = np.asarray(one.asimov_uncertain)
            name = titles[f"{one.detector}/{one.region}"]
            style = "--" if alone else LINES[0]
            axes.plot(np.asarray(one.cuts)[reliable], z[reliable], color=colour, ls=style, lw=2, label=name)
        axes.set_xlabel(f"{what.words.capitalize()} at least [{what.unit}]" if what.unit else what.words)
        axes.set_ylabel("Asimov significance Z")
        axes.set_ylim(bottom=0)
        axes.margins(x=0)
        legend_above(axes, columns=2)
        write_heading(axes, heading)
        return figure


LEAST = 10.0
"""Effective background events below which a significance is not drawn."""
