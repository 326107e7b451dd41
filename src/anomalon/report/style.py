"""The look of every figure: ticks inward on all sides, large type, units, colours that all eyes can tell apart.

Figures are made without pyplot, so nothing global is opened or has to be closed. Margins are set in inches:
automatic layout takes longer than drawing on figures of many panels.

Colours: Petroff, arXiv:2107.02270, the palettes that CMS recommends.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

BACKGROUND_COLOURS = (
    "#92dadd", "#94a4a2", "#3f90da", "#b9ac70", "#717581", "#a96b59",
    "#c9e3b4", "#e3c7e8", "#2f5d62", "#f3d9b1", "#7a9e48", "#b58db6",
)  # fmt: skip
SIGNAL_COLOURS = ("#bd1f01", "#832db6", "#e76300", "#111111", "#ffa90e")
DETECTOR_COLOURS = ("#3f90da", "#ffa90e", "#bd1f01", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#92dadd")
LINES = ("-", "--", "-.", ":")
INK = "#1a1a1a"
MUTED = "#717581"

_RC: dict[str, Any] = {
    "font.family": [
        "TeX Gyre Heros",
        "DejaVu Sans",
    ],  # the second fills gaps, such as the prime
    "font.size": 13.0,
    "axes.labelsize": 15.0,
    "axes.titlesize": 14.0,
    "axes.linewidth": 1.1,
    "axes.edgecolor": INK,
    "axes.formatter.use_mathtext": True,
    "axes.unicode_minus": True,
    "xtick.labelsize": 12.5,
    "ytick.labelsize": 12.5,
    "xtick.major.size": 7.0,
    "ytick.major.size": 7.0,
    "xtick.minor.size": 3.5,
    "ytick.minor.size": 3.5,
    "xtick.major.pad": 5.0,
    "legend.fontsize": 11.5,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "legend.borderaxespad": 0.6,
    "legend.columnspacing": 1.2,
    "legend.labelspacing": 0.35,
    "lines.linewidth": 1.8,
    "legend.title_fontsize": 12.5,
    "hatch.linewidth": 0.6,
    "savefig.facecolor": "white",
    "figure.facecolor": "white",
}


@dataclass(frozen=True)
class Heading:
    """The line above the axes: whose data, and how much of it.

    Attributes:
        luminosity_fb: in fb^-1; None leaves it out.
        energy_tev: of the collisions; None leaves it out.
        experiment: none by default: a label is for those who may speak for an experiment.
        status: such as ``Simulation``; None lets :func:`anomalon.report.search_figures` tell from the samples.

    >>> Heading(luminosity_fb=140.0).right
    '140 fb$^{-1}$ (13 TeV)'
    """

    luminosity_fb: float | None = None
    energy_tev: float | None = 13.0
    experiment: str = ""
    status: str | None = None

    @property
    def right(self) -> str:
        """Luminosity and energy."""
        luminosity = f"{self.luminosity_fb:.4g} fb$^{{-1}}$" if self.luminosity_fb is not None else ""
        energy = f"{self.energy_tev:g} TeV" if self.energy_tev is not None else ""
        return f"{luminosity} ({energy})" if luminosity and energy else luminosity or energy


@cache
def _settings() -> Any:
    # mplhep registers its fonts when it is imported; half a second that only a drawing needs
    from mplhep import style  # noqa: PLC0415

    return {**style.CMS, **_RC}


@contextmanager
def drawing() -> Iterator[None]:
    """Settings in force while a figure is made or written; those of the caller come back afterwards."""
    with mpl.rc_context(_settings()):
        yield


def new_panels(
    rows: int, columns: int, *, panel: tuple[float, float], sharey: bool | Literal["row"] = False, top: float = 0.45
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of panels of a fixed size in inches, with room for labels; axes by row and column."""
    left, right, bottom, gap = 1.0, 0.25, 0.75, (0.25 if sharey else 0.85)
    width = left + right + columns * panel[0] + (columns - 1) * gap
    height = top + bottom + rows * panel[1] + (rows - 1) * 0.85
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=sharey)
    figure.subplots_adjust(
        left=left / width,
        right=1 - right / width,
        bottom=bottom / height,
        top=1 - top / height,
        wspace=gap / panel[0],
        hspace=0.85 / panel[1],
    )
    return figure, [list(row) for row in axes]


def new_axes(width: float = 6.0, height: float = 4.6) -> tuple[Figure, Axes]:
    """A figure with one pair of axes of this size in inches."""
    figure, axes = new_panels(1, 1, panel=(width, height))
    return figure, axes[0][0]


def room_for_names(figure: Figure, names: Sequence[str]) -> None:
    """Widen a figure at the left for the names of its rows; panels keep their size in inches."""
    extra = max(0.0, 0.1 * max((len(name) for name in names), default=0) - 0.85)
    width = float(figure.get_figwidth())
    margins = figure.subplotpars
    figure.set_figwidth(width + extra)
    figure.subplots_adjust(
        left=(margins.left * width + extra) / (width + extra), right=(margins.right * width + extra) / (width + extra)
    )


def write_heading(axes: Axes, heading: Heading | None, *, right: bool = True) -> None:
    """Write experiment and status top left, luminosity and energy top right of the axes."""
    if heading is None:
        return
    words = heading.experiment.replace(" ", r"\ ")  # mathtext swallows plain spaces
    name = rf"$\bf{{{words}}}$ " if words else ""
    axes.text(
        0, 1.015, f"{name}{heading.status or ''}", transform=axes.transAxes, fontsize=12.5, va="bottom", style="italic"
    )
    if right:
        axes.text(1, 1.015, heading.right, transform=axes.transAxes, fontsize=12.5, va="bottom", ha="right")


def make_room(axes: Axes, rows: int, fontsize: float = 11.5) -> None:
    """Raise the upper end of the y axis so that a legend of so many rows stands above the data."""
    height = axes.get_position().height * axes.figure.figure.get_figheight()
    share = min((rows * fontsize * 1.4 + 14) / 72 / height, 0.6)
    low, high = axes.get_ylim()
    if axes.get_yscale() == "log":
        axes.set_ylim(low, low * float(np.power(high / low, 1 / (1 - share))))
    else:
        axes.set_ylim(low, low + (high - low) / (1 - share))


def legend_above(axes: Axes, columns: int = 2, **options: Any) -> None:
    """Draw the legend at the top of the axes, above the data."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        make_room(axes, -(-len(labels) // columns))
        axes.legend(handles, labels, loc="upper left", ncols=columns, **options)


def note_in_legend(axes: Axes, note: str) -> None:
    """Add a line of text to the legend: there it can cover no data."""
    if note:
        axes.plot([], [], " ", label=note)


_MANY, _SMALLER = 14, 0.8
"""Entries from which on a legend is written smaller, and how much."""


def legend_on_top(axes: Axes, *, columns: int | None = None, **options: Any) -> None:
    """Draw the legend above the frame; the figure grows, the axes keep their size in inches.

    Args:
        axes: with labelled artists.
        columns: None takes as many as fit over the axes.
        options: of matplotlib's legend.
    """
    handles, labels = axes.get_legend_handles_labels()
    if not handles:
        return
    figure = axes.figure.figure
    scale = _SMALLER if len(labels) > _MANY else 1.0
    columns = columns or _columns_within(axes.get_position().width * figure.get_figwidth() / scale, labels)
    rows = -(-len(labels) // columns) + ("title" in options)
    _grow(figure, scale * rows * 0.235 + 0.12)
    height = axes.get_position().height * figure.get_figheight()
    size = {"fontsize": scale * mpl.rcParams["legend.fontsize"]}
    axes.legend(
        handles, labels, loc="lower left", ncols=columns, bbox_to_anchor=(0.0, 1 + 0.33 / height), borderaxespad=0,
        borderpad=0, alignment="left", **{**size, **options},
    )  # fmt: skip


def _columns_within(width: float, labels: Sequence[str]) -> int:
    """The most columns whose entries, filled column by column, fit into so many inches."""
    inches = [0.078 * len(text) + 0.6 for text in labels]  # with handle and gap
    for columns in range(min(len(labels), 8), 1, -1):
        if sum(max(column) for column in np.array_split(inches, columns)) <= width:
            return columns
    return 1


def _grow(figure: Figure, extra: float) -> None:
    """Add so many inches at the top and leave everything else where it is."""
    height = figure.get_figheight()
    share = height / (height + extra)
    places = [(axes, axes.get_position()) for axes in figure.axes]
    figure.set_figheight(height + extra)
    for axes, place in places:
        axes.set_position((place.x0, place.y0 * share, place.width, place.height * share))


def decade_ticks(axes: Axes) -> None:
    """Plain numbers on a logarithmic y axis that spans less than two decades."""
    low, high = axes.get_ylim()
    if axes.get_yscale() == "log" and high < 100 * low:
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())


def to_png(figure: Figure, dpi: float = 150.0) -> bytes:
    """The figure as PNG."""
    buffer = io.BytesIO()
    with drawing():
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def to_pdf(figure: Figure) -> bytes:
    """The figure as PDF, without a date, so that the same figure gives the same file."""
    buffer = io.BytesIO()
    with drawing():
        figure.savefig(buffer, format="pdf", dpi=150, metadata={"CreationDate": None})
    return buffer.getvalue()


def to_svg(figure: Figure) -> bytes:
    """The figure as SVG with its text as paths; without a date, so that the same figure gives the same file."""
    buffer = io.BytesIO()
    with drawing(), mpl.rc_context({"svg.hashsalt": "anomalon"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
