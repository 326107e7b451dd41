"""A bump hunt: the spectrum over its background with the most significant window, and every bin's own significance."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from anomalon.bumps.hunt import bin_significances
from anomalon.bumps.records import BumpHuntResult
from anomalon.report.figures_compare import BAND, garwood
from anomalon.report.records import Floats
from anomalon.report.style import (
    BACKGROUND_COLOURS,
    INK,
    MUTED,
    SIGNAL_COLOURS,
    Heading,
    drawing,
    make_room,
    new_panels,
    note_in_legend,
    write_heading,
)

_WINDOW = SIGNAL_COLOURS[4]
_FILL = BACKGROUND_COLOURS[0]


def bump_figure(result: BumpHuntResult, heading: Heading | None = None, *, axis: str = "Mass [GeV]") -> Figure:
    """Draw the spectrum of a bump hunt, its most significant window shaded, over the significance of each bin.

    Args:
        result: of a hunt, with the spectrum above its best threshold.
        heading: above the axes.
        axis: label of the mass with its unit.
    """
    with drawing():
        figure, upper, lower = _panels()
        _draw_spectrum(upper, result, axis)
        _draw_significances(lower, result)
        _shade(lower, result, None)
        upper.set_xlim(result.spectrum.edges[0], result.spectrum.edges[-1])
        upper.tick_params(labelbottom=False)
        lower.set_xlabel(axis)
        write_heading(upper, heading)
        return figure


def _panels() -> tuple[Figure, Axes, Axes]:
    figure, grid = new_panels(2, 1, panel=(6.2, 2.8))
    width, height = figure.get_size_inches()
    upper, lower = grid[0][0], grid[1][0]
    left, span = 1.0 / width, 6.2 / width
    lower.set_position((left, 0.75 / height, span, 1.45 / height))
    upper.set_position((left, 2.32 / height, span, (height - 2.32 - 0.45) / height))
    lower.sharex(upper)
    return figure, upper, lower


def _draw_spectrum(axes: Axes, result: BumpHuntResult, axis: str) -> None:
    edges, observed, background, error = (np.asarray(x) for x in result.spectrum.model_dump().values())
    axes.stairs(background, edges, fill=True, color=_FILL, label="Sideband fit" if result.fit else "Background")
    axes.stairs(background, edges, color=INK, lw=0.8)
    if error.any():
        axes.stairs(
            background + error, edges, baseline=np.maximum(background - error, 0), fill=True, hatch="//////",
            facecolor="none", edgecolor=BAND, lw=0, label="Uncertainty",
        )  # fmt: skip
    seen = (observed > 0) | (garwood(observed)[1] < background)
    below, above = garwood(observed[seen])
    centres = ((edges[1:] + edges[:-1]) / 2)[seen]
    axes.errorbar(centres, observed[seen], [below, above], fmt="o", ms=5, lw=1.2, color=INK, label="Observed")
    _scale(axes, observed, background + error)
    widths = np.diff(edges)
    unit = axis.rsplit("[", 1)[-1].rstrip("]") if "[" in axis else ""
    per = f" / {widths[0]:.3g} {unit}".rstrip() if np.allclose(widths, widths[0]) else " / bin"
    axes.set_ylabel(f"Events{per}")
    _shade(axes, result, unit)
    for line in _words(result):
        note_in_legend(axes, line)
    _legend(axes)


def _shade(axes: Axes, result: BumpHuntResult, unit: str | None) -> None:
    """Mark the most significant window; named in the legend where the unit is known."""
    if result.window is not None:
        low, high = result.window.low, result.window.high
        name = None if unit is None else f"[{low:g}, {high:g}] {unit}".rstrip()
        axes.axvspan(low, high, color=_WINDOW, alpha=0.28, lw=0, zorder=0, label=name)


def _legend(axes: Axes) -> None:
    """Data and background at the left, what was found at the right."""
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda i: labels[i] != "Observed")
    rows = -(-len(labels) // 2)
    make_room(axes, rows)
    axes.legend([handles[i] for i in order], [labels[i] for i in order], loc="upper left", ncols=2)


def _scale(axes: Axes, observed: Floats, background: Floats) -> None:
    """A logarithmic axis where the background falls by more than a factor of 30."""
    top = float(max((observed + garwood(observed)[1]).max(), background.max()))
    positive = background[background > 0]
    if len(positive) and top > 30 * positive.min():
        axes.set_yscale("log")
        axes.set_ylim(max(min(float(positive.min()) / 3, 0.5), top * 1e-7), top * 2)
    else:
        axes.set_ylim(0, top * 1.1)


def _words(result: BumpHuntResult) -> list[str]:
    """What was found, for the legend."""
    if result.window is None:
        return ["no window has an excess"]
    sign, more = ("<", ">") if result.global_p_is_limit else ("=", "")
    return [
        f"local {result.window.local_z:.1f}$\\sigma$",
        f"global $p$ {sign} {result.global_p.value:.2g} ({more}{result.global_z:.1f}$\\sigma$)",
    ]


def _draw_significances(axes: Axes, result: BumpHuntResult) -> None:
    spectrum = result.spectrum
    z = bin_significances(spectrum.observed, spectrum.background, errors=spectrum.background_error)
    axes.stairs(np.maximum(z, 0), spectrum.edges, fill=True, color=SIGNAL_COLOURS[0])
    axes.stairs(np.minimum(z, 0), spectrum.edges, fill=True, color=BACKGROUND_COLOURS[2])
    axes.axhline(0, color=MUTED, lw=1)
    reach = max(2.4, 1.15 * float(np.abs(z).max()))
    axes.set_ylim(-reach, reach)
    # the panel above has its lowest tick at the upper end
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True, prune="upper"))
    axes.set_ylabel("Signif. [$\\sigma$]", loc="center")
