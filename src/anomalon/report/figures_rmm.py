"""Pictures of rapidity-mass matrices: one event, or the mean of many, with the types of objects marked."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from anomalon.features.rmm import RapidityMassMatrix
from anomalon.features.rmm_layout import Block
from anomalon.report.style import INK, MUTED, drawing

SYMBOLS = {"jet": "Jets", "bjet": "b jets", "electron": "$e$", "muon": r"$\mu$", "photon": r"$\gamma$"}
KEY = "Above the diagonal masses, on it transverse energies and imbalances, below it rapidities"
EMPTY = "#ececef"
COLOURS = "viridis"
DECADES = 4
"""Of the colour scale: smaller cells have its lowest colour."""
SIDE = 5.6
LEFT, RIGHT, BOTTOM, TOP = 0.75, 1.25, 0.42, 0.85
"""Side of the matrix and margins in inches."""


def rmm_figure(matrix: npt.ArrayLike, feature_set: RapidityMassMatrix, title: str = "") -> Figure:
    """Draw a matrix on a logarithmic colour scale; cells that are 0 are grey.

    Above the diagonal are masses, in row 0 transverse masses, below the diagonal rapidity differences.

    Args:
        matrix: shape (row, column); one event, or the mean of many. Negative means, of negative weights, count as 0.
        feature_set: whose rows and units these are.
        title: such as the process and the number of events.
    """
    values = np.asarray(matrix, dtype=np.float64)
    with drawing():
        width, height = LEFT + SIDE + RIGHT, BOTTOM + SIDE + TOP
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes((LEFT / width, BOTTOM / height, SIDE / width, SIDE / height))
        bar = figure.add_axes(((LEFT + SIDE + 0.15) / width, BOTTOM / height, 0.22 / width, SIDE / height))
        axes.set_facecolor(EMPTY)
        shown = np.ma.masked_where(~(values > 0), values)
        image = axes.imshow(shown, cmap=COLOURS, norm=_norm(values), interpolation="nearest")
        figure.colorbar(image, cax=bar, label=_unit(feature_set), extend="min")
        _mark_blocks(axes, feature_set.layout.blocks, len(values))
        axes.text(0, 1 + 0.48 / SIDE, title, transform=axes.transAxes, fontsize=14, va="bottom", color=INK)
        axes.text(0, -0.1 / SIDE, KEY, transform=axes.transAxes, fontsize=10.5, va="top", color=MUTED)
        return figure


def _norm(values: npt.NDArray[np.float64]) -> LogNorm:
    """Down from the largest cell to the smallest, but no more than some decades."""
    positive = values[np.isfinite(values) & (values > 0)]
    high = float(positive.max()) if len(positive) else 1.0
    low = max(float(positive.min()), high * 10.0**-DECADES) if len(positive) else high
    return LogNorm(min(low, high / 10.0), high)


def _unit(feature_set: RapidityMassMatrix) -> str:
    return f"Cell (energies {'/ √s' if feature_set.normalise else 'in GeV'})"


def _mark_blocks(axes: Axes, blocks: tuple[Block, ...], size: int) -> None:
    """Lines between the types, and their names at the top and the left."""
    axes.tick_params(which="both", length=0, labelbottom=False, labelleft=False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.minorticks_off()
    for colour, width in (("white", 2.6), (INK, 0.9)):
        for block in blocks:
            axes.axhline(block.first - 0.5, color=colour, linewidth=width)
            axes.axvline(block.first - 0.5, color=colour, linewidth=width)
    names = [(0.0, "$p_T^{miss}$"), *(((b.first + b.stop - 1) / 2, SYMBOLS[b.kind]) for b in blocks)]
    for place, name in names:
        across, down = (place + 0.5) / size, 1 - (place + 0.5) / size
        axes.text(across, 1.012, name, transform=axes.transAxes, ha="center", va="bottom", fontsize=13)
        turn = 0 if name.startswith("$") else 90
        axes.text(-0.015, down, name, transform=axes.transAxes, ha="right", va="center", fontsize=13, rotation=turn)
