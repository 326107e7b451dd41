"""Figures of what the detectors achieve: the key picture, ROC curves, SIC curves, training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from anomalon.report.names import typeset
from anomalon.report.numbers import interval
from anomalon.report.records import Floats
from anomalon.report.style import (
    DETECTOR_COLOURS,
    INK,
    MUTED,
    Heading,
    decade_ticks,
    drawing,
    legend_on_top,
    new_axes,
    new_panels,
    room_for_names,
    write_heading,
)
from anomalon.report.tables import ordered, signal_title
from anomalon.search.results import Curve, DetectorSummary, Estimate, Evaluation, SearchResults, TrainingSummary

MINIMUM_BACKGROUND = 10
"""Raw background events that a point of a curve needs to be drawn in full."""


@dataclass(frozen=True)
class Pen:
    """How a detector is drawn in every figure."""

    colour: str
    line: str
    width: float
    marker: str


def pens(detectors: Sequence[DetectorSummary], main: str) -> dict[str, Pen]:
    """Colours for detectors, greys for baselines and the bound; the main detector is the widest line."""
    free = iter(DETECTOR_COLOURS * (1 + len(detectors) // len(DETECTOR_COLOURS)))
    baseline = iter([Pen(INK, "--", 1.8, "D"), Pen(MUTED, ":", 1.8, "d")] * len(detectors))
    result = {}
    for d in sorted(detectors, key=lambda d: d.name != main):
        if d.role == "detector":
            result[d.name] = Pen(next(free), "-", 2.8 if d.name == main else 1.7, "o")
        else:
            result[d.name] = next(baseline) if d.role == "baseline" else Pen("#7a21dd", "-.", 1.6, "^")
    return result


def key_figure(results: SearchResults, heading: Heading | None = None) -> Figure:
    """AUC and signal efficiency at a background efficiency of 1e-2, per detector and signal, with intervals.

    The dashed line is MET alone. The axis of the AUC is logarithmic in 1 - AUC, for it is there that detectors differ.
    """
    rows, signals = _bottom_up(results.detectors), results.signals
    with drawing():
        figure, grid = new_panels(
            2, max(len(signals), 1), panel=(4.3, max(1.5, 0.42 * len(rows))), sharey=True, top=0.8
        )
        room_for_names(figure, [d.title for d in rows])
        for column, signal in enumerate(signals):
            _key_panel(grid[0][column], results, signal, _auc_of)
            _auc_axis(grid[0][column])
            grid[0][column].set_title(_title_of(results, signal), pad=24)
            _key_panel(grid[1][column], results, signal, _efficiency_of)
            _room_for_text(grid[1][column])
            grid[1][column].set_xlabel(r"$\varepsilon_S$ at $\varepsilon_B = 10^{-2}$")
        grid[0][0].set_yticks(range(len(rows)), [d.title for d in rows])
        write_heading(grid[0][0], heading, right=False)
        write_heading(grid[0][-1], Heading(heading.luminosity_fb, heading.energy_tev, "", "") if heading else None)
        return figure


def _bottom_up(detectors: Sequence[DetectorSummary]) -> list[DetectorSummary]:
    """Bound, baselines, detectors, each in reversed order: the first detector ends on top."""
    return ordered(detectors)[::-1]


def _auc_of(evaluation: Evaluation) -> Estimate | None:
    return evaluation.auc


def _efficiency_of(evaluation: Evaluation) -> Estimate | None:
    return next(
        (p.signal_efficiency for p in evaluation.working_points if np.isclose(p.background_efficiency, 1e-2)), None
    )


def _key_panel(
    axes: Axes, results: SearchResults, signal: str, number: Callable[[Evaluation], Estimate | None]
) -> None:
    drawn = pens(results.detectors, results.main_detector)
    rows = _bottom_up(results.detectors)
    for row, detector in enumerate(rows):
        evaluation = results.evaluation(detector.name, signal)
        estimate = number(evaluation) if evaluation else None
        if estimate is None:
            continue
        _dot(axes, row, estimate, drawn[detector.name])
        if detector.name == "met":
            axes.axvline(min(estimate.value, _AUC_END), color=INK, lw=1.2, ls="--", zorder=1)
    for row in range(1, len(rows)):
        if rows[row].role != rows[row - 1].role:
            axes.axhline(row - 0.5, color=MUTED, lw=0.8)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.tick_params(axis="y", which="both", length=0)


_AUC_END = 1 - 1e-5


def _dot(axes: Axes, row: int, estimate: Estimate, pen: Pen) -> None:
    value = min(estimate.value, _AUC_END)
    if estimate.low is not None and estimate.high is not None:
        axes.plot(
            [estimate.low, min(estimate.high, _AUC_END)], [row, row], color=pen.colour, lw=2.4, solid_capstyle="butt"
        )
    axes.plot(value, row, pen.marker, color=pen.colour, ms=7, mec="white", mew=0.8)
    axes.annotate(
        interval(estimate), (0.985, row), xycoords=axes.get_yaxis_transform(), ha="right", va="center", fontsize=9.5
    )


def _auc_axis(axes: Axes) -> None:
    """Logarithmic in 1 - AUC, with room for the numbers at the right."""
    ends = [float(x) for line in axes.lines for x in np.atleast_1d(line.get_xdata()) if 0 < float(x) < 1]
    low, high = min(ends, default=0.5), max(ends, default=0.99)
    axes.set_xscale("function", functions=(_to_log, _from_log))
    start, end = _to_log(min(low, 0.9) - 0.02), _to_log(high)
    axes.set_xlim(float(_from_log(start)), float(_from_log(end + 0.85 * (end - start) + 0.1)))
    shown = np.ptp(_to_log(np.asarray(axes.get_xlim())))
    ticks = _spaced([t for t in _AUC_TICKS if start <= _to_log(t) <= end + 0.05 * shown], 0.13 * float(shown))
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FixedFormatter([f"{t:g}" for t in ticks]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(axis="x", labelsize=10.5)
    axes.set_xlabel("AUC")


_AUC_TICKS = (0.5, 0.9, 0.99, 0.999, 0.9999, 0.7, 0.8, 0.95, 0.98, 0.997, 0.3, 0.6, 0.85, 0.97, 0.995, 0.998)
"""Ticks of the AUC, the most wanted first."""


def _spaced(ticks: Sequence[float], distance: float) -> list[float]:
    """The ticks that keep their distance from those before."""
    kept: list[float] = []
    for tick in ticks:
        if all(abs(_to_log(tick) - _to_log(other)) >= distance for other in kept):
            kept.append(tick)
    return sorted(kept)


def _to_log(auc: Floats | float) -> Floats:
    return np.asarray(-np.log10(np.maximum(1 - np.asarray(auc, dtype=np.float64), 1e-9)))


def _from_log(x: Floats | float) -> Floats:
    return np.asarray(1 - 10.0 ** -np.asarray(x, dtype=np.float64))


def _room_for_text(axes: Axes) -> None:
    ends = [float(x) for line in axes.lines for x in np.atleast_1d(line.get_xdata()) if 0 < float(x) < 1]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    span = max(high - low, 0.02)
    axes.set_xlim(max(low - 0.12 * span, -0.02), high + 0.85 * span)
    axes.set_xticks([t for t in axes.get_xticks() if axes.get_xlim()[0] <= t <= 1.0])


def _title_of(results: SearchResults, sample: str) -> str:
    return typeset(signal_title(results, sample))


def roc_figure(results: SearchResults, signal: str, heading: Heading | None = None) -> Figure:
    """ROC curves of all detectors for a signal, logarithmic in the background efficiency from 1e-4.

    A curve fades where fewer than ten raw background events are left above the cut.
    """
    with drawing():
        figure, axes = new_axes(6.4, 4.8)
        x = np.geomspace(1e-4, 1, 200)
        axes.plot(x, x, color=MUTED, lw=1, ls=(0, (1, 2)), label="Guessing")
        _curves(axes, results, signal, lambda c: (np.asarray(c.background_efficiency), np.asarray(c.signal_efficiency)))
        _shade_few(axes, results, signal)
        axes.set_xscale("log")
        axes.set(xlim=(1e-4, 1), ylim=(0, 1.03), xlabel=r"Background efficiency $\varepsilon_B$")
        axes.set_ylabel(r"Signal efficiency $\varepsilon_S$")
        legend_on_top(axes, title=_title_of(results, signal))
        write_heading(axes, heading)
        return figure


def _shade_few(axes: Axes, results: SearchResults, signal: str) -> None:
    """Grey where even the main detector has fewer than ten background events left."""
    evaluation = results.evaluation(results.main_detector, signal)
    if evaluation is None:
        return
    few = [b for b, n in zip(evaluation.curve.background_efficiency, evaluation.curve.background_left, strict=True)
           if n < MINIMUM_BACKGROUND]  # fmt: skip
    if few and max(few) > 1e-4:
        label = f"< {MINIMUM_BACKGROUND} background events"
        axes.axvspan(1e-4, max(few), color="#e9e9ec", zorder=0, lw=0, label=label)


def sic_figure(results: SearchResults, signal: str, heading: Heading | None = None) -> Figure:
    """Significance improvement eps_S / sqrt(eps_B) against the signal efficiency, from ten background events on."""

    def improvement(curve: Curve) -> tuple[Floats, Floats]:
        b, s = np.asarray(curve.background_efficiency), np.asarray(curve.signal_efficiency)
        return s, np.divide(s, np.sqrt(b), out=np.full(len(b), np.nan), where=b > 0)

    with drawing():
        figure, axes = new_axes(6.4, 4.8)
        x = np.linspace(0.005, 1, 200)
        axes.plot(x, np.sqrt(x), color=MUTED, lw=1, ls=(0, (1, 2)), label="Guessing")
        _curves(axes, results, signal, improvement)
        axes.set(xlim=(0, 1), xlabel=r"Signal efficiency $\varepsilon_S$")
        axes.set_ylabel(r"Improvement $\varepsilon_S$/√$\varepsilon_B$")
        _sic_axis(axes)
        legend_on_top(axes, title=_title_of(results, signal))
        write_heading(axes, heading)
        return figure


def _sic_axis(axes: Axes) -> None:
    heights = [np.asarray(line.get_ydata(), dtype=np.float64) for line in axes.lines]
    values = np.concatenate([h[np.isfinite(h) & (h > 0)] for h in heights])
    top = float(values.max()) if len(values) else 1.0
    if top > 8:
        axes.set_yscale("log")
        axes.set_ylim(0.3, top * 1.3)
    else:
        axes.set_ylim(0, top * 1.1)


def _curves(
    axes: Axes, results: SearchResults, signal: str, coordinates: Callable[[Curve], tuple[Floats, Floats]]
) -> None:
    drawn = pens(results.detectors, results.main_detector)
    for detector in reversed(_bottom_up(results.detectors)):
        evaluation = results.evaluation(detector.name, signal)
        if evaluation is None or not evaluation.curve.background_efficiency:
            continue
        x, y = coordinates(evaluation.curve)
        enough, pen = np.asarray(evaluation.curve.background_left) >= MINIMUM_BACKGROUND, drawn[detector.name]
        above = 4 if detector.name == results.main_detector else 3
        faint = ~enough | np.append(~enough[1:], False) | np.insert(~enough[:-1], 0, False)
        _line(axes, (x, y), enough, color=pen.colour, ls=pen.line, lw=pen.width, label=detector.title, zorder=above)
        _line(axes, (x, y), faint, color=pen.colour, ls=":", lw=1.0, alpha=0.6, zorder=above)


def _line(axes: Axes, xy: tuple[Floats, Floats], where: npt.NDArray[np.bool_], **style: Any) -> None:
    axes.plot(np.where(where, xy[0], np.nan), np.where(where, xy[1], np.nan), **style)


def training_figure(training: TrainingSummary, heading: Heading | None = None) -> Figure:
    """Loss of training and validation per epoch with the best epoch marked, and the learning rate below."""
    epochs = np.arange(1, len(training.train_loss) + 1)
    with drawing():
        figure, axes = new_axes(6.4, 5.0)
        place = axes.get_position()
        rate = figure.add_axes((place.x0, place.y0, place.width, 0.25 * place.height))
        axes.set_position((place.x0, place.y0 + 0.29 * place.height, place.width, 0.71 * place.height))
        axes.plot(epochs, training.train_loss, color=DETECTOR_COLOURS[0], label="Training")
        axes.plot(epochs, training.validation_loss, color=DETECTOR_COLOURS[1], label="Validation")
        _mark_best(axes, training)
        axes.set_ylabel("Loss")
        axes.set_xticklabels([])
        rate.plot(np.arange(1, len(training.learning_rate) + 1), training.learning_rate, color=INK, lw=1.4)
        rate.set(xlabel="Epoch", yscale="log")
        rate.set_ylabel("Learning rate", fontsize=11.5)
        decade_ticks(rate)
        for part in (axes, rate):
            part.set_xlim(0.5, max(len(epochs), 1) + 0.5)
        legend_on_top(axes)
        write_heading(axes, heading)
        return figure


def _mark_best(axes: Axes, training: TrainingSummary) -> None:
    values = [x for x in (*training.train_loss, *training.validation_loss) if x > 0]
    if values and max(values) > 20 * min(values):
        axes.set_yscale("log")
    if 0 <= training.best_epoch < len(training.validation_loss):
        best, epoch = training.validation_loss[training.best_epoch], training.best_epoch + 1
        axes.axvline(epoch, color=MUTED, lw=1.2, ls="--")
        axes.plot(
            epoch,
            best,
            "o",
            color=DETECTOR_COLOURS[1],
            mec=INK,
            ms=8,
            ls="none",
            label=f"Best: epoch {epoch}, {best:.4g}",
        )
