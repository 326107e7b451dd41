"""Figures of a comparison of classifiers: performance, ROC curves, overtraining, probabilities, inputs, boundaries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from anomalon.features.labels import label
from anomalon.metrics.estimate import Estimate
from anomalon.report.records import Floats
from anomalon.report.style import (
    BACKGROUND_COLOURS,
    DETECTOR_COLOURS,
    INK,
    MUTED,
    SIGNAL_COLOURS,
    drawing,
    legend_on_top,
    new_axes,
    new_panels,
    room_for_names,
)
from anomalon.search.classification import Classification, ClassifierResult, with_error

_COLUMNS = 3
_MOST_INPUTS = 15
_BACKGROUND, _SIGNAL = BACKGROUND_COLOURS[2], SIGNAL_COLOURS[0]
_LOWEST_EFFICIENCY = 1e-4


@dataclass(frozen=True)
class Plane:
    """Probabilities over the plane of two features.

    Attributes:
        axes: points along either feature, shape (point,).
        optimal: log odds from the densities, shape (second, first).
        probabilities: calibrated, of the classifiers by name, the same shape.
        points: some events, shape (event, 2).
        labels: their classes, shape (event,).
        names: of the features.
    """

    axes: tuple[Floats, Floats]
    optimal: Floats
    probabilities: dict[str, Floats]
    points: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    names: tuple[str, str] = ("x", "y")


def classification_figures(found: Classification, plane: Plane | None = None) -> Iterator[tuple[str, str, Figure]]:
    """Name, title and figure of everything that there is to draw."""
    yield "performance", "AUC and accuracy", performance_figure(found)
    yield "roc", "ROC curves", roc_figure(found)
    fitted = [one for one in found.results if one.histogram is not None]
    if fitted:
        yield "scores", "Scores in training and held out", scores_figure(fitted)
        yield "probabilities", "Calibrated probabilities", reliability_figure(fitted)
    told = [one for one in fitted if one.importance]
    if told:
        most = max(told, key=lambda one: len(one.inputs))
        yield "importance", f"Importance of the inputs of {most.name}", importance_figure(most)
    if plane is not None and plane.probabilities:
        yield "boundaries", "Boundaries", boundary_figure(plane)


def performance_figure(found: Classification) -> Figure:
    """AUC and accuracy at the best cut of every row; the dashed line is the best cut on one variable."""
    shown = found.results[::-1]
    with drawing():
        figure, grid = new_panels(1, 2, panel=(4.6, max(1.6, 0.42 * len(shown))), sharey=True)
        room_for_names(figure, [one.name for one in shown])
        _dots(grid[0][0], [one.auc for one in shown], shown, "AUC")
        _dots(grid[0][1], [one.accuracy for one in shown], shown, "Accuracy at the best cut")
        if found.optimum is not None:
            grid[0][1].axvline(found.optimum, color=DETECTOR_COLOURS[3], lw=1.2, ls=":", label="optimal rule")
        grid[0][0].set_yticks(range(len(shown)), [one.name for one in shown])
        grid[0][0].set_ylim(-0.6, len(shown) - 0.4)
        return figure


def _dots(axes: Axes, values: Sequence[Estimate], shown: Sequence[ClassifierResult], title: str) -> None:
    best = next((v.value for v, one in zip(values, shown, strict=True) if one.name == "best-cut"), None)
    for row, (value, one) in enumerate(zip(values, shown, strict=True)):
        colour = {"cut": INK, "bound": DETECTOR_COLOURS[3], "average": DETECTOR_COLOURS[2]}.get(one.kind, _BACKGROUND)
        low, high = value.low or value.value, value.high or value.value
        axes.plot([low, high], [row, row], color=colour, lw=2.4, solid_capstyle="butt")
        axes.plot(value.value, row, "D" if one.kind == "cut" else "o", color=colour, ms=7, mec="white", mew=0.8)
        axes.annotate(
            with_error(value), (0.985, row), xycoords=axes.get_yaxis_transform(), ha="right", va="center", fontsize=9.5
        )
    if best is not None:
        axes.axvline(best, color=INK, lw=1.2, ls="--", zorder=1)
    ends = [value.value for value in values]
    span = max(max(ends) - min(ends), 0.004)
    axes.set_xlim(min(ends) - 0.1 * span, max(ends) + 0.95 * span)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_xticks(
        [tick for tick in axes.get_xticks() if axes.get_xlim()[0] <= tick <= min(1.0, max(ends) + 0.2 * span)]
    )
    axes.tick_params(axis="y", which="both", length=0)
    axes.set_xlabel(title)


def roc_figure(found: Classification) -> Figure:
    """Signal efficiency against background efficiency, logarithmic; the dotted line is the share of the table."""
    colours = iter(DETECTOR_COLOURS * len(found.results))
    with drawing():
        figure, axes = new_axes(6.8, 4.8)
        x = np.geomspace(_LOWEST_EFFICIENCY, 1, 400)
        axes.plot(x, x, color=MUTED, lw=1, ls=(0, (1, 2)), label="guessing")
        for one in found.results:
            cut = one.kind == "cut"
            style: dict[str, Any] = {
                "color": INK if cut else next(colours),
                "lw": 1.4 if cut else 1.8,
                "ls": "--" if cut else "-",
            }
            # Between two cuts straight in efficiencies, which a logarithmic axis would not draw from zero on.
            y = np.interp(x, one.roc.background_efficiency, one.roc.signal_efficiency)
            axes.plot(x, y, label=one.name, **style)
        axes.axhline(found.signal_efficiency, color=MUTED, lw=0.8, ls=":")
        axes.set_xscale("log")
        axes.set(xlim=(_LOWEST_EFFICIENCY, 1), ylim=(0, 1.03), xlabel=r"Background efficiency $\varepsilon_B$")
        axes.set_ylabel(r"Signal efficiency $\varepsilon_S$")
        legend_on_top(axes)
        return figure


def scores_figure(fitted: Sequence[ClassifierResult]) -> Figure:
    """Probabilities that classifiers give, in training (filled) and held out (points), with the overtraining told."""
    with drawing():
        figure, panels = _panels(len(fitted), (3.6, 2.7))
        for axes, one in zip(panels, fitted, strict=False):
            _scores(axes, one)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="upper center", ncols=4)
        return figure


def _scores(axes: Axes, one: ClassifierResult) -> None:
    h = one.histogram
    if h is None:
        return
    edges = np.asarray(h.edges)
    centres = 0.5 * (edges[1:] + edges[:-1])
    for name, colour in (("background", _BACKGROUND), ("signal", _SIGNAL)):
        train, test, error = (
            np.asarray(getattr(h, key)) for key in (f"train_{name}", f"test_{name}", f"test_{name}_error")
        )
        axes.stairs(train, edges, fill=True, color=colour, alpha=0.3, lw=0)
        axes.stairs(train, edges, color=colour, lw=1.0, label=f"{name}, training")
        some = test > 0
        axes.errorbar(
            centres[some], test[some], error[some], fmt="o", ms=2.6, lw=0.9, color=colour, label=f"{name}, held out"
        )
    axes.set_yscale("log")
    top = max(*h.train_background, *h.train_signal)
    low = min(v for side in (h.test_background, h.test_signal) for v in side if v > 0)
    axes.set_ylim(max(low / 2, top * 1e-5), top * 30)
    axes.set_xlim(0, 1)
    axes.set_title(one.name, fontsize=11.5, loc="left")
    if one.overtraining is not None:
        over = one.overtraining
        text = f"training - held out: AUC {over.difference:+.4f}"
        text += f"\nKS p: {over.p_value.background:.2g}, {over.p_value.signal:.2g}"
        axes.text(0.03, 0.96, text, transform=axes.transAxes, va="top", fontsize=9)
    axes.set_xlabel("Probability of the classifier", fontsize=11.5)
    axes.set_ylabel("Density", fontsize=11.5)


def reliability_figure(fitted: Sequence[ClassifierResult]) -> Figure:
    """Fraction of signal against calibrated probability, held out, on the diagonal where probabilities are right."""
    with drawing():
        figure, axes = new_axes(5.0, 4.6)
        axes.plot([0, 1], [0, 1], color=MUTED, lw=1, ls=(0, (1, 2)))
        for one, colour in zip(fitted, DETECTOR_COLOURS * len(fitted), strict=False):
            if (found := one.reliability) is not None:
                text = f"{one.name}: {100 * found.error:.1f} %, raw {100 * found.raw_error:.1f} %"
                axes.plot(found.predicted, found.observed, "o-", ms=4.5, lw=1.2, color=colour, label=text)
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="Calibrated probability", ylabel="Fraction of signal")
        legend_on_top(axes, columns=1, title="Mean distance from the diagonal")
        return figure


def importance_figure(one: ClassifierResult) -> Figure:
    """AUC lost when an input is shuffled, the most important on top, with the spread over repetitions."""
    shown = one.importance[:_MOST_INPUTS][::-1]
    with drawing():
        figure, axes = new_axes(5.4, max(1.6, 0.33 * len(shown)))
        names = [label(item.name).symbol for item in shown]
        room_for_names(figure, ["m" * 19])
        axes.barh(
            range(len(shown)), [item.loss for item in shown], xerr=[item.spread for item in shown], color=_BACKGROUND
        )
        axes.set_yticks(range(len(shown)), names)
        axes.set_ylim(-0.6, len(shown) - 0.4)
        axes.tick_params(axis="y", which="both", length=0)
        axes.axvline(0, color=INK, lw=0.8)
        axes.set_xlabel("AUC lost when the input is shuffled")
        axes.set_title(one.name, fontsize=12.5, loc="left")
        return figure


def boundary_figure(plane: Plane) -> Figure:
    """Where classifiers cut the plane in two (probability one half), beside the optimal boundary, over events."""
    with drawing():
        figure, panels = _panels(len(plane.probabilities), (3.4, 3.0))
        for axes, (name, found) in zip(panels, plane.probabilities.items(), strict=False):
            for k, colour in ((0, _BACKGROUND), (1, _SIGNAL)):
                chosen = plane.points[plane.labels == k]
                axes.plot(chosen[:, 0], chosen[:, 1], ".", ms=2.8, alpha=0.5, color=colour, mec="none", rasterized=True)
            axes.contour(*plane.axes, plane.optimal, levels=[0.0], colors=[MUTED], linewidths=2.4, linestyles="--")
            if found.min() < 0.5 < found.max():
                axes.contour(*plane.axes, found, levels=[0.5], colors=[INK], linewidths=1.8)
            axes.set_title(name, fontsize=11.5, loc="left")
            axes.set_xlabel(f"${plane.names[0]}$")
            axes.set_ylabel(f"${plane.names[1]}$")
        panels[0].plot([], [], color=INK, lw=1.8, label="probability one half")
        panels[0].plot([], [], color=MUTED, lw=2.4, ls="--", label="optimal boundary")
        for name, colour in (("background", _BACKGROUND), ("signal", _SIGNAL)):
            panels[0].plot([], [], ".", ms=9, color=colour, label=name)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="upper center", ncols=4)
        return figure


def _panels(number: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """Panels in rows of three; those that stay empty are taken away."""
    columns = min(number, _COLUMNS)
    figure, grid = new_panels(-(-number // columns), columns, panel=size, top=0.75)
    panels = [axes for row in grid for axes in row]
    for axes in panels[number:]:
        axes.remove()
    return figure, panels[:number]
