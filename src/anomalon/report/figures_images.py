"""Pictures of events in (eta, phi): what a network saw, what it gave back, and where the difference lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from anomalon.report.style import INK, drawing, new_panels

Floats = npt.NDArray[np.float64]

LETTERS = {"jet": "j", "bjet": "b", "electron": "e", "muon": "μ", "photon": "\N{GREEK SMALL LETTER GAMMA}", "met": ""}
_COLUMNS = ("Seen", "Given back", "Terms of the score [%]")
_EMPTY = 1e-6


@dataclass(frozen=True)
class Pictured:
    """One event.

    Attributes:
        title: above its pictures.
        seen, given: inputs and reconstruction, shape (channel, eta, phi).
        terms: what each cell adds to the score, same shape.
    """

    title: str
    seen: Floats
    given: Floats
    terms: Floats


def reconstructions_figure(
    events: Sequence[Pictured], channels: Sequence[str], *, eta_max: float, unit: str = "ln(1 + $p_T$/GeV)"
) -> Figure:
    """A row per event: its deposits with the letters of their objects, the reconstruction, and the terms of its score.

    Args:
        events: at least one.
        channels: names of the pictures of an event.
        eta_max: where the pictures end.
        unit: of the inputs.
    """
    with drawing():
        figure, grid = new_panels(len(events), 3, panel=(3.7, 2.5), sharey="row")
        for axes, event in zip(grid, events, strict=True):
            top = max(float(event.seen.max()), _EMPTY)
            shown = [_picture(axes[k], x, eta_max, top) for k, x in enumerate((event.seen, event.given))]
            _letters(axes[0], event.seen, channels, eta_max)
            share = 100 * event.terms / max(float(event.terms.sum()), _EMPTY)
            terms = _picture(axes[2], share, eta_max, None, added=True)
            figure.colorbar(shown[1], ax=axes[1], pad=0.02).set_label(unit, fontsize=11)
            figure.colorbar(terms, ax=axes[2], pad=0.02)
            axes[0].set_ylabel(r"$\eta$")
            axes[0].text(0.0, 1.03, event.title, transform=axes[0].transAxes, fontsize=11.5, color=INK)
            for k in (1, 2):
                axes[k].text(0.0, 1.03, _COLUMNS[k], transform=axes[k].transAxes, fontsize=11.5, color=INK)
        for panel in grid[-1]:
            panel.set_xlabel(r"$\phi$ from the hardest object [rad]")
        return figure


def _picture(axes: Axes, cells: Floats, eta_max: float, top: float | None, *, added: bool = False) -> Any:
    """The largest of the channels per cell, or their sum, with phi = 0 in the middle."""
    flat = cells.sum(axis=0) if added else cells.max(axis=0)
    columns = flat.shape[1]
    return axes.imshow(
        np.roll(flat, columns // 2, axis=1), origin="lower", aspect="auto", interpolation="nearest", cmap="viridis",
        extent=_extent(columns, eta_max), vmin=0.0, vmax=top,
    )  # fmt: skip


def _letters(axes: Axes, cells: Floats, channels: Sequence[str], eta_max: float) -> None:
    """Names of the objects on their cells."""
    rows, columns = cells.shape[1:]
    left, right, _, _ = _extent(columns, eta_max)
    for number, channel in enumerate(channels):
        for row, column in zip(*np.nonzero(cells[number] > _EMPTY), strict=True):
            x = left + (right - left) * ((column + columns // 2) % columns + 0.5) / columns
            y = -eta_max + 2 * eta_max * (row + 0.5) / rows
            axes.text(x, y, LETTERS[channel], ha="center", va="center", fontsize=9, color="white", fontweight="bold")


def _extent(columns: int, eta_max: float) -> tuple[float, float, float, float]:
    """Edges of the pictures after phi = 0, the middle of a column, was moved to the middle."""
    cell = 2 * np.pi / columns
    left = -(columns // 2 + 0.5) * cell
    return (left, left + 2 * np.pi, -eta_max, eta_max)
