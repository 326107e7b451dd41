"""What goes into a figure, and what a figure is in the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from anomalon.report.style import BACKGROUND_COLOURS, INK, SIGNAL_COLOURS
from anomalon.search.results import Role

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Group:
    """Events of one process in a figure.

    Attributes:
        label: name in the legend.
        role: backgrounds are filled and stacked, signals are lines, data are points.
        values: shape (event,), or (event, 2) in a scatter plot; NaN where missing.
        weights: shape (event,).
        colour: any matplotlib colour; empty lets :func:`coloured` choose.
    """

    label: str
    role: Role
    values: Floats
    weights: Floats
    colour: str = ""

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """Whether the event has a finite value, shape (event,)."""
        finite = np.isfinite(self.values)
        return np.asarray(finite if finite.ndim == 1 else finite.all(axis=1), dtype=np.bool_)

    @property
    def missing(self) -> float:
        """Fraction of the events, unweighted, without a finite value."""
        return float(1 - self.present.mean()) if len(self.values) else 0.0

    def only_present(self) -> Group:
        """The group without the events that have no finite value."""
        return replace(self, values=self.values[self.present], weights=self.weights[self.present])


@dataclass(frozen=True)
class FigureEntry:
    """A figure with the words around it.

    Attributes:
        name: file name without ending.
        title: heading in the report.
        caption: what is seen, with the numbers needed to read it.
        section: title of the group of figures that it belongs to.
        figure: the drawing.
        embedded: whether ``report.html`` shows it; the others are only written as files.
        wide: whether it needs the whole width of the page.
    """

    name: str
    title: str
    caption: str
    section: str
    figure: Figure
    embedded: bool = True
    wide: bool = False


def coloured(groups: Sequence[Group]) -> tuple[Group, ...]:
    """Give every group without a colour one of its role's; the order decides, so pass groups in a fixed order."""
    palettes = {"background": BACKGROUND_COLOURS, "signal": SIGNAL_COLOURS, "data": (INK,)}
    seen = dict.fromkeys(palettes, 0)
    result = []
    for group in groups:
        palette = palettes[group.role]
        result.append(group if group.colour else replace(group, colour=palette[seen[group.role] % len(palette)]))
        seen[group.role] += 1
    return tuple(result)


def of_role(groups: Sequence[Group], role: Role) -> list[Group]:
    """The groups of a role."""
    return [group for group in groups if group.role == role]
