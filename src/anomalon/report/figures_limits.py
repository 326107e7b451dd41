"""Figures of likelihoods: expected limits of all signals, and what moves the fitted signal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from anomalon.likelihood.pulls import Impacts
from anomalon.report.style import INK, MUTED, Heading, drawing, new_panels, room_for_names, write_heading
from anomalon.search.inference import SignalInference

ONE_SIGMA, TWO_SIGMA = "#85d1fb", "#ffdf7f"
"""Colours of the 68 % and 95 % bands, those that CMS recommends since 2024."""


def limits_figure(
    found: Sequence[SignalInference], titles: Mapping[str, str], heading: Heading | None = None
) -> Figure:
    """Upper limits on signal strengths: median and bands, observed where it may be seen, the cut alone beside it."""
    with drawing():
        figure, grid = new_panels(1, 1, panel=(6.4, max(1.4, 0.75 * len(found))), top=1.05)
        axes = grid[0][0]
        names = [titles.get(one.signal_name, one.signal_name) for one in reversed(found)]
        room_for_names(figure, names)
        for y, one in enumerate(reversed(found)):
            _limit(axes, y, one)
        axes.axvline(1.0, color=MUTED, lw=1.2, ls=":")
        axes.set_xscale("log")
        axes.set_ylim(-0.6, len(found) - 0.4)
        axes.set_yticks(range(len(found)), names)
        axes.tick_params(axis="y", which="both", length=0)
        axes.set_xlabel(
            f"{100 * found[0].limits.confidence:g} % {found[0].limits.method} upper limit on the signal strength µ"
        )
        _legend(figure, observed=any(one.limits.observed is not None for one in found))
        write_heading(axes, heading)
        return figure


def _limit(axes: Axes, y: int, one: SignalInference) -> None:
    band = one.limits.expected
    for low, high, colour in (
        (band.minus_2, band.plus_2, TWO_SIGMA),
        (band.minus_1, band.plus_1, ONE_SIGMA),
    ):
        if low is not None and high is not None:
            axes.barh(y, high - low, left=low, height=0.5, color=colour, lw=0)
    if band.median is not None:
        axes.plot([band.median] * 2, [y - 0.25, y + 0.25], color=INK, ls="--", lw=1.8)
    if one.alone.expected.median is not None:
        axes.plot(one.alone.expected.median, y, marker="D", mfc="white", mec=INK, ms=6, ls="")
    if one.limits.observed is not None:
        axes.plot([one.limits.observed] * 2, [y - 0.25, y + 0.25], color=INK, lw=2.2)


def _legend(figure: Figure, *, observed: bool) -> None:
    entries: list[Line2D | Patch] = [
        Line2D([], [], color=INK, ls="--", lw=1.8, label="Expected"),
        Patch(color=ONE_SIGMA, label="68 %"),
        Patch(color=TWO_SIGMA, label="95 %"),
        Line2D([], [], marker="D", mfc="white", mec=INK, ls="", label="Expected, no score"),
    ]
    if observed:
        entries.insert(0, Line2D([], [], color=INK, lw=2.2, label="Observed"))
    figure.legend(handles=entries, loc="upper center", ncols=len(entries), bbox_to_anchor=(0.55, 1.0))


def impacts_figure(impacts: Impacts, heading: Heading | None = None, most: int = 20) -> Figure:
    """Nuisance parameters by their impact on the signal strength, with their pulls.

    Args:
        impacts: ranked.
        heading: the line above.
        most: parameters at most.
    """
    rows = impacts.ranked[:most]
    with drawing():
        figure, grid = new_panels(1, 2, panel=(4.2, max(1.6, 0.33 * len(rows))), sharey=True)
        pulls, shifts = grid[0]
        room_for_names(figure, [row.parameter for row in rows])
        y = np.arange(len(rows))[::-1]
        pulls.axvspan(-1, 1, color="#eeeeee", lw=0)
        pulls.errorbar(
            [row.pull for row in rows], y, xerr=[row.constraint for row in rows], fmt="o", ms=4, color=INK, lw=1.4
        )
        pulls.set_xlim(-2.2, 2.2)
        pulls.set_xlabel("Pull")
        for sign, colour in (("down", "#bd1f01"), ("up", "#3f90da")):
            before = [getattr(row, f"prefit_{sign}") for row in rows]
            shifts.barh(y, before, height=0.75, fill=False, ec=colour, lw=1.2)
            shifts.barh(
                y,
                [getattr(row, sign) for row in rows],
                height=0.75,
                color=colour,
                alpha=0.75,
                label=f"parameter {sign}",
            )
        shifts.axvline(0, color=INK, lw=0.8)
        shifts.set_xlabel("Shift of µ (outlined: before the fit)")
        shifts.legend(loc="lower right", fontsize=9.5)
        pulls.set_yticks(y, [row.parameter for row in rows], fontsize=9)
        for axes in (pulls, shifts):
            axes.tick_params(axis="y", which="both", length=0)
        write_heading(pulls, heading, right=False)
        write_heading(shifts, replace(heading, experiment="", status="") if heading is not None else None)
        return figure
