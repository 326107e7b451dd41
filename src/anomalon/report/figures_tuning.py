"""Figures of a tuning study: its history, and the objective against every setting."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from anomalon.report.style import DETECTOR_COLOURS, INK, MUTED, drawing, legend_on_top, new_axes, new_panels
from anomalon.search.tuning_results import TrialRecord, TuningResults

COLUMNS = 3


class Varied(Protocol):
    """What a figure needs to know of a setting: all its values, or two ends."""

    @property
    def ends(self) -> tuple[Any, ...]:
        """Values."""
        ...


def study_figures(results: TuningResults, space: Mapping[str, Varied]) -> Iterator[tuple[str, Figure]]:
    """Name and figure of each."""
    yield "history", history_figure(results)
    if any(t.value is not None for t in results.trials):
        yield "settings", settings_figure(results, space)


def history_figure(results: TuningResults) -> Figure:
    """Value of every finished trial in the order of their numbers, and the best so far; pruned ones at the bottom."""
    trials = sorted(results.trials, key=lambda t: t.number)
    complete = [t for t in trials if t.value is not None]
    with drawing():
        figure, axes = new_axes(6.4, 4.2)
        numbers, values = [t.number for t in complete], np.asarray([t.value for t in complete], dtype=np.float64)
        axes.plot(numbers, values, "o", ms=5, color=DETECTOR_COLOURS[0], label="Complete")
        if len(values):
            best = np.maximum.accumulate(values) if results.maximised else np.minimum.accumulate(values)
            axes.step(numbers, best, where="post", color=INK, lw=1.8, label="Best so far")
        pruned = [t.number for t in trials if t.value is None]
        if pruned:
            axes.plot(pruned, [0.04] * len(pruned), "x", ms=6, color=MUTED, transform=axes.get_xaxis_transform(),
                      label="Pruned")  # fmt: skip
        axes.set(xlabel="Trial", ylabel="Objective")
        legend_on_top(axes)
        return figure


def settings_figure(results: TuningResults, space: Mapping[str, Varied]) -> Figure:
    """Objective against each setting, one panel per setting; later trials are darker, the best one is marked."""
    complete = [t for t in sorted(results.trials, key=lambda t: t.number) if t.value is not None]
    rows = -(-len(space) // COLUMNS)
    with drawing():
        columns = min(len(space), COLUMNS)
        figure, panels = new_panels(rows, columns, panel=(3.6, 2.9), sharey="row")
        flat = [axes for row in panels for axes in row]
        for axes, (key, varied) in zip(flat, space.items(), strict=False):
            _panel(axes, key, varied, complete, results.best)
        for axes in flat[len(space) :]:
            axes.set_visible(False)
        for row in panels:
            row[0].set_ylabel("Objective")
        return figure


def _panel(axes: Axes, key: str, varied: Varied, trials: Sequence[TrialRecord], best: TrialRecord | None) -> None:
    where = {json.dumps(value, sort_keys=True): i for i, value in enumerate(varied.ends)}
    named = hasattr(varied, "choices")

    def place(trial: TrialRecord) -> float:
        value = trial.settings[key]
        return float(where[json.dumps(value, sort_keys=True)]) if named else float(value)

    known = [t for t in trials if key in t.settings]
    colours = np.linspace(0.35, 1.0, max(len(known), 1))
    xy = [(place(t), t.value or 0.0) for t in known]
    x, y = np.reshape(xy, (-1, 2)).T
    axes.scatter(x, y, c=colours[: len(known)], cmap="Blues", vmin=0, vmax=1, s=22, zorder=2)
    if best is not None and key in best.settings:
        axes.plot(place(best), best.value or 0.0, "D", ms=8, mfc="none", mec=DETECTOR_COLOURS[2], mew=1.8, zorder=3)
    if named:
        axes.set_xticks(range(len(where)), [str(value) for value in varied.ends], fontsize=9)
        axes.tick_params(axis="x", which="minor", length=0)
        axes.set_xlim(-0.5, len(where) - 0.5)
    else:
        _range_axis(axes, *varied.ends, log=getattr(varied, "log", False))
    axes.set_xlabel(key, fontsize=12)


def _range_axis(axes: Axes, low: float, high: float, *, log: bool) -> None:
    """The whole range, whatever was drawn from it."""
    if not log:
        margin = 0.05 * (high - low)
        axes.set_xlim(low - margin, high + margin)
        return
    axes.set_xscale("log")
    axes.set_xlim(low / (high / low) ** 0.05, high * (high / low) ** 0.05)
    axes.xaxis.set_minor_formatter(NullFormatter())
    _plain_ticks(axes, low, high)


def _plain_ticks(axes: Axes, low: float, high: float) -> None:
    """Plain numbers where the range spans less than a decade and a power of ten may be missing."""
    if high < 10 * low:
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
