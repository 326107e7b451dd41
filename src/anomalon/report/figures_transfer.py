"""Figures of a style transfer: every cell of its table, the variables of events, and the pictures themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from anomalon.report.style import INK, MUTED, drawing, new_panels

Values = npt.NDArray[np.float64]

UNBIASED, BIASED, GENERATED, CALIBRATED = "#b9c0c9", INK, "#bd1f01", "#3f90da"
_STARTS = (("content", "#bd1f01", "o"), ("noise", "#832db6", "s"), ("style", "#e76300", "^"))
_LINES = ("-", "--", ":", "-.")
_ENTRY = 3.4
"""Inches of an entry of a legend."""
_LEVELS = (INK, "#3f90da", MUTED)
_QUANTITIES = {"pt": ("p_T", "GeV"), "eta": (r"\eta", ""), "phi": (r"\phi", "rad")}
_OBJECTS = {"l1": r"\ell_1", "l2": r"\ell_2", "b1": "b_1", "b2": "b_2"}
_SUMS = {
    "met": r"$p_T^{miss}$ [GeV]", "met.phi": r"$\phi^{miss}$ [rad]", "ht": "$H_T$ [GeV]", "st": "$S_T$ [GeV]",
    "m_ll": r"$m_{\ell\ell}$ [GeV]", "mt_l1": r"$m_T(\ell_1)$ [GeV]", "mt_l2": r"$m_T(\ell_2)$ [GeV]",
    "m_bb": "$m_{bb}$ [GeV]", "pt_ll": r"$p_T(\ell\ell)$ [GeV]", "pt_bb": "$p_T(bb)$ [GeV]",
}  # fmt: skip


@dataclass(frozen=True)
class Point:
    """A cell of the table, as it is drawn.

    Attributes:
        network, layers, start: its choices.
        style: share of style.
        closed: fraction of the b-jets' pT; None where the truth is not known.
        auc: of the two-sample test.
    """

    network: str
    layers: str
    start: str
    style: float
    closed: float | None
    auc: float


def variable_label(name: str) -> str:
    """Axis label of a variable of a picture.

    >>> variable_label("b1.pt")
    '$p_T(b_1)$ [GeV]'
    """
    if name in _SUMS:
        return _SUMS[name]
    of, _, quantity = name.partition(".")
    symbol, unit = _QUANTITIES[quantity]
    return f"${symbol}({_OBJECTS[of]})$" + (f" [{unit}]" if unit else "")


def cells_figure(points: Sequence[Point], levels: Mapping[str, tuple[float | None, float]]) -> Figure:
    """AUC and closed fraction against the share of style: a column per choice of layers.

    Args:
        points: the cells.
        levels: (closed fraction, AUC) of what stands beside them, by name.
    """
    columns = list(dict.fromkeys(point.layers for point in points))
    known = all(point.closed is not None for point in points)
    with drawing():
        figure, grid = new_panels(1 + known, len(columns), panel=(3.4, 3.0), sharey="row")
        for k, layers in enumerate(columns):
            chosen = [point for point in points if point.layers == layers]
            _draw_cells(grid[0][k], chosen, {name: auc for name, (_, auc) in levels.items()}, "auc")
            grid[0][k].set_title(f"layers: {layers}", pad=6)
            if known:
                closed = {name: c for name, (c, _) in levels.items() if c is not None}
                _draw_cells(grid[1][k], chosen, closed, "closed")
            grid[-1][k].set_xlabel("Share of style [%]")
        grid[0][0].set_ylabel("Two-sample AUC")
        if known:
            grid[1][0].set_ylabel("Closed fraction of $p_T(b)$")
        _legend_above(figure, grid[0][0])
        return figure


def _legend_above(figure: Figure, axes: Axes) -> None:
    """The legend over the whole figure, which grows; panels keep their size in inches."""
    handles, labels = axes.get_legend_handles_labels()
    width, height = figure.get_size_inches()
    columns = max(int(width / _ENTRY), 1)
    extra = 0.3 * -(-len(labels) // columns)
    margins, share = figure.subplotpars, height / (height + extra)
    figure.set_figheight(height + extra)
    figure.subplots_adjust(bottom=margins.bottom * share, top=margins.top * share)
    figure.legend(handles, labels, loc="upper left", ncols=columns, bbox_to_anchor=(0.0, 1.0))


def _draw_cells(axes: Axes, points: Sequence[Point], levels: Mapping[str, float], what: str) -> None:
    networks = list(dict.fromkeys(point.network for point in points))
    for line, network in zip(_LINES, networks, strict=False):
        for start, colour, marker in _STARTS:
            some = [point for point in points if (point.network, point.start) == (network, start)]
            if some:
                x, y = [100 * point.style for point in some], [getattr(point, what) for point in some]
                label = f"from {start}, {network} weights"
                axes.plot(x, y, line, color=colour, marker=marker, ms=6, lw=1.4, label=label)
    for colour, (name, level) in zip(_LEVELS, levels.items(), strict=False):
        axes.axhline(level, color=colour, lw=2.0, ls=(0, (6, 2)) if name == "untreated" else "-", label=name, zorder=1)
    if what == "auc":
        axes.set_ylim(0.45, 1.02)
    shares = sorted({100 * point.style for point in points})
    axes.set_xticks(shares, minor=False)
    axes.xaxis.set_minor_locator(NullLocator())


def variables_figure(samples: Mapping[str, Values], names: Sequence[str], *, columns: int = 6) -> Figure:
    """Histograms of every variable, as shares of the events; the last bin holds what lies above.

    Args:
        samples: variables (event, variable) by name: the first one is filled, the others are lines.
        names: of the variables.
        columns: panels in a row.
    """
    rows = -(-len(names) // columns)
    with drawing():
        figure, grid = new_panels(rows, columns, panel=(2.5, 1.9), top=0.9)
        flat = [axes for row in grid for axes in row]
        for i, name in enumerate(names):
            _draw_variable(flat[i], {key: values[:, i] for key, values in samples.items()})
            flat[i].set_xlabel(variable_label(name))
        for axes in flat[len(names) :]:
            axes.set_visible(False)
        for row in grid:
            row[0].set_ylabel("Share of events")
        handles, labels = flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="upper left", ncols=len(labels), bbox_to_anchor=(0.05, 1.0))
        return figure


def _draw_variable(axes: Axes, samples: Mapping[str, Values]) -> None:
    together = np.concatenate([*samples.values()])
    low, high = np.quantile(together, [0.002, 0.985])
    edges = np.linspace(float(low), float(high), 26)
    colours = (UNBIASED, BIASED, GENERATED, CALIBRATED)
    for k, ((name, values), colour) in enumerate(zip(samples.items(), colours, strict=False)):
        heights = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] / max(len(values), 1)
        if k:
            axes.stairs(heights, edges, color=colour, lw=1.5, label=name)
        else:
            axes.stairs(heights, edges, color=colour, fill=True, label=name)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, None)
    axes.tick_params(labelsize=9.5)


def pictures_figure(pictures: Mapping[str, npt.NDArray[np.uint8]], zoom: tuple[int, int]) -> Figure:
    """Pictures beside each other, and their upper left corners of ``zoom`` pixels below."""
    with drawing():
        figure, grid = new_panels(2, len(pictures), panel=(3.4, 2.55))
        for k, (name, pixels) in enumerate(pictures.items()):
            for axes, shown in ((grid[0][k], pixels), (grid[1][k], pixels[: zoom[0], : zoom[1]])):
                axes.imshow(shown, interpolation="nearest", aspect="auto")
                axes.set_xticks([])
                axes.set_yticks([])
            grid[0][k].set_title(name, pad=6, fontsize=12)
        grid[0][0].set_ylabel("all events")
        grid[1][0].set_ylabel("a corner")
        return figure
