"""Comparisons: stacked backgrounds with their statistical band, signals over them, data with a ratio panel.

Histograms are ``hist`` objects with weights; what lies outside the edges is drawn in the outer bins, and the legend
says so. Values that are not finite are counted beforehand: a histogram would call NaN overflow.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import hist
import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import chi2

from anomalon.features.labels import KNOWN, Label, label
from anomalon.report.binning import Bins
from anomalon.report.records import Floats
from anomalon.report.style import (
    BACKGROUND_COLOURS,
    INK,
    LINES,
    MUTED,
    SIGNAL_COLOURS,
    Heading,
    drawing,
    make_room,
    new_panels,
    note_in_legend,
    write_heading,
)
from anomalon.search.results import Role

BAND = "#555555"
LOG_KINDS = ("energy",)
ONE_SIGMA = 0.682689492137086


@dataclass(frozen=True)
class Filled:
    """One process in one variable.

    Attributes:
        label: name in the legend.
        role: backgrounds are stacked, signals are lines, data are points.
        histogram: with weights, under- and overflow included.
        raw: number of entries that are finite.
        not_finite: entries that are NaN or infinite, or missing.
    """

    label: str
    role: Role
    histogram: hist.Hist[Any]
    raw: int = 0
    not_finite: int = 0

    @property
    def values(self) -> Floats:
        """Sum of weights per bin; the outer bins hold under- and overflow, shape (bin,)."""
        return _folded(_view(self.histogram).value)

    @property
    def variances(self) -> Floats:
        """Sum of squared weights per bin, shape (bin,)."""
        return _folded(_view(self.histogram).variance)

    @property
    def total(self) -> float:
        """Sum of the weights of all finite entries."""
        return float(_view(self.histogram).value.sum())

    def plus(self, other: Filled) -> Filled:
        """The entries of both; labels and roles are equal."""
        return replace(
            self,
            histogram=self.histogram + other.histogram,
            raw=self.raw + other.raw,
            not_finite=self.not_finite + other.not_finite,
        )

    def scaled(self, factor: float) -> Filled:
        """The same with every weight multiplied."""
        return replace(self, histogram=self.histogram * factor)


@dataclass(frozen=True)
class Comparison:
    """All processes in one variable.

    Attributes:
        name: of the variable: a feature or an event column.
        processes: in the order of the legend.
        note: a few words for the legend.
    """

    name: str
    processes: tuple[Filled, ...]
    note: str = ""

    @property
    def edges(self) -> Floats:
        """Bin edges, shape (bin + 1,)."""
        return np.asarray(self.processes[0].histogram.axes[0].edges)

    @property
    def bins(self) -> Bins:
        """Edges, and whether anything lies outside them."""
        flows = [_view(p.histogram).variance for p in self.processes]
        return Bins(self.edges, overflow=any(f[-1] > 0 for f in flows), underflow=any(f[0] > 0 for f in flows))

    def of_role(self, role: Role) -> list[Filled]:
        """Processes of a role."""
        return [process for process in self.processes if process.role == role]

    def background(self) -> tuple[Floats, Floats]:
        """Sum of the backgrounds per bin and its variance, each of shape (bin,)."""
        chosen = self.of_role("background")
        zero = np.zeros(len(self.edges) - 1)
        return sum((p.values for p in chosen), zero), sum((p.variances for p in chosen), zero)

    def negative_bins(self) -> list[str]:
        """Ranges of the bins whose background is negative in total: no logarithmic axis can show them."""
        values, _ = self.background()
        return [f"[{a:g}, {b:g}]" for v, a, b in zip(values, self.edges[:-1], self.edges[1:], strict=True) if v < 0]


def new_histogram(name: str, edges: Floats) -> hist.Hist[Any]:
    """An empty histogram with weights."""
    return hist.Hist(hist.axis.Variable(np.asarray(edges, dtype=np.float64), name=name), storage=hist.storage.Weight())


def comparison_figure(comparison: Comparison, heading: Heading | None = None) -> Figure:
    """Draw one variable; a ratio panel where there are data and background to divide."""
    with drawing():
        ratio = bool(comparison.of_role("data")) and bool(comparison.of_role("background"))
        figure, axes, below = _panels(ratio=ratio)
        what = variable_label(comparison.name)
        _draw_main(axes, comparison, what)
        if below is not None:
            _draw_ratio(below, comparison)
            axes.tick_params(labelbottom=False)
        _finish_axis(below if below is not None else axes, what)
        axes.set_xlim(comparison.edges[0], comparison.edges[-1])
        write_heading(axes, heading)
        return figure


def garwood(counts: Floats) -> tuple[Floats, Floats]:
    """Distances to the ends of the central 68 % interval of a Poisson mean, each of shape (bin,).

    Ref: F. Garwood, Biometrika 28 (1936) 437.

    >>> low, high = garwood(np.array([0.0, 4.0]))
    >>> low.round(2).tolist(), high.round(2).tolist()
    ([0.0, 1.91], [1.84, 3.16])
    """
    tail = (1 - ONE_SIGMA) / 2
    n = np.asarray(counts, dtype=np.float64)
    low = np.where(n > 0, chi2.ppf(tail, 2 * np.maximum(n, 1e-9)) / 2, 0.0)
    return n - low, chi2.ppf(1 - tail, 2 * (n + 1)) / 2 - n


_OBJECT = re.compile(r"(?P<what>electrons|muons|photons|jets|fatjets)\.(?P<column>\w+?)(?:\[(?P<place>\d+)\])?")
_NAMES = {"electrons": "electron", "muons": "muon", "photons": "photon", "jets": "jet", "fatjets": "fat jet"}
_COLUMNS: dict[str, Label] = {
    "pt": Label("$p_T$", "GeV", "pT", "energy"),
    "mass": Label("mass", "GeV", "mass", "energy"),
    "eta": Label(r"$\eta$", "", "eta"),
    "phi": Label(r"$\phi$", "rad", "phi"),
    "btag": Label("b tag", "", "b tag", "flag"),
    "charge": Label("charge", "", "charge"),
    "isolation": Label("relative isolation", "", "relative isolation"),
    "d0_significance": Label(r"$d_0/\sigma$", "", "d0 significance"),
    "id": Label("identification", "", "identification", "count"),
}
_PLACES = ("Leading", "Second", "Third", "Fourth")


def variable_label(name: str) -> Label:
    """The label of a feature or of an event column.

    >>> variable_label("jets.pt[0]").axis, variable_label("muons.n").kind
    ('Leading jet $p_T$ [GeV]', 'count')
    """
    if name in ("met.pt", "met.phi"):
        return KNOWN["MET_pt"] if name == "met.pt" else Label(r"$\phi(p_T^{miss})$", "rad", "MET phi")
    match = _OBJECT.fullmatch(name)
    if match is None:
        return label(name)
    thing = _NAMES[match["what"]]
    if match["column"] == "n":
        return Label(f"Number of {thing}s", "", f"number of {thing}s", "count")
    column = _COLUMNS.get(match["column"], Label(match["column"].replace("_", " "), "", match["column"]))
    place = int(match["place"]) if match["place"] else None
    who = thing.capitalize() if place is None else f"{_PLACES[place] if place < 4 else f'{place + 1}th'} {thing}"
    return Label(f"{who} {column.symbol}", column.unit, f"{who} {column.words}", column.kind)


def _per_object(name: str) -> bool:
    """Whether an event has several entries."""
    match = _OBJECT.fullmatch(name)
    return match is not None and match["place"] is None and match["column"] != "n"


def _view(histogram: hist.Hist[Any]) -> Any:
    """Sums of weights and of squared weights, under- and overflow included."""
    return histogram.view(flow=True)


def _folded(flow: Any) -> Floats:
    """Bins with the under- and overflow in the outer ones."""
    values = np.array(flow[1:-1], dtype=np.float64)
    values[0] += flow[0]
    values[-1] += flow[-1]
    return values


def _panels(*, ratio: bool) -> tuple[Figure, Axes, Axes | None]:
    if not ratio:
        figure, grid = new_panels(1, 1, panel=(6.2, 4.8))
        return figure, grid[0][0], None
    figure, grid = new_panels(2, 1, panel=(6.2, 2.8))
    width, height = figure.get_size_inches()
    upper, lower = grid[0][0], grid[1][0]
    left, span = 1.0 / width, 6.2 / width
    lower.set_position((left, 0.75 / height, span, 1.45 / height))
    upper.set_position((left, 2.32 / height, span, (height - 2.32 - 0.45) / height))
    lower.sharex(upper)
    return figure, upper, lower


def _draw_main(axes: Axes, comparison: Comparison, what: Label) -> None:
    import mplhep  # noqa: PLC0415 half a second that only a drawing needs

    edges, (total, variance) = comparison.edges, comparison.background()
    stack = sorted(comparison.of_role("background"), key=lambda p: p.total)
    colours = {p.label: BACKGROUND_COLOURS[i % 6] for i, p in enumerate(comparison.of_role("background"))}
    if stack:
        mplhep.histplot(
            [p.values for p in stack], bins=edges, stack=True, histtype="fill", ax=axes,
            color=[colours[p.label] for p in stack], label=[p.label for p in stack], lw=0, yerr=False,
        )  # fmt: skip
        axes.stairs(total, edges, color=INK, lw=0.8)
        _band(axes, edges, total, np.sqrt(variance), "Stat. unc.")
    for i, signal in enumerate(comparison.of_role("signal")):
        mplhep.histplot(
            signal.values, bins=edges, histtype="step", ax=axes, color=SIGNAL_COLOURS[i % 5], ls=LINES[i % 4], lw=2,
            label=signal.label, yerr=False,
        )  # fmt: skip
    for data in comparison.of_role("data"):
        low, high = garwood(data.values)
        seen = np.where(_telling(data.values, total), data.values, np.nan)
        mplhep.histplot(
            seen, bins=edges, yerr=[low, high], histtype="errorbar", ax=axes, color=INK, label=data.label, ms=8, lw=1.2
        )
    _scale_y(axes, comparison, what)
    empty = "" if any(p.raw for p in comparison.processes) else "no event has this quantity"
    for note in (comparison.bins.note, comparison.note, empty):
        note_in_legend(axes, note)
    _order_legend(axes, comparison)


def _scale_y(axes: Axes, comparison: Comparison, what: Label) -> None:
    tops = [p.values.max(initial=0) for p in comparison.of_role("signal")]
    tops += [(p.values + garwood(p.values)[1]).max(initial=0) for p in comparison.of_role("data") if p.raw]
    total, variance = comparison.background()
    top = max(float((total + np.sqrt(variance)).max(initial=0)), *map(float, tops), 0.0) or 1.0
    shown = np.concatenate([total, *(p.values for p in comparison.processes)])
    positive = shown[shown > 0]
    if what.kind in LOG_KINDS and len(positive) and top > 30 * positive.min():
        axes.set_yscale("log")
        floor = max(float(total[total > 0].min(initial=top)) / 5, top * 1e-6)
        axes.set_ylim(floor, top * 2)
    else:
        axes.set_ylim(min(0.0, 1.1 * float(total.min(initial=0))), top * 1.15)
    widths = np.diff(comparison.edges)
    per = f" / {widths[0]:.3g} {what.unit}" if what.unit and np.allclose(widths, widths[0]) else ""
    axes.set_ylabel(f"{'Entries' if _per_object(comparison.name) else 'Events'}{per}")


def _order_legend(axes: Axes, comparison: Comparison) -> None:
    """Data first, then the stack from its top, its uncertainty, the signals and the notes."""
    found = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    stack = sorted(comparison.of_role("background"), key=lambda p: -p.total)
    wanted = [*comparison.of_role("data"), *stack]
    names = list(dict.fromkeys(p.label for p in wanted if p.label in found))
    names += [name for name in found if name not in names]
    if names:
        columns = 2 if len(names) > 3 else 1
        make_room(axes, -(-len(names) // columns))
        axes.legend([found[name] for name in names], names, loc="upper left", ncols=columns)


def _band(axes: Axes, edges: Floats, centre: Floats, error: Floats, name: str | None) -> None:
    axes.stairs(
        centre + error, edges, baseline=centre - error, fill=True, hatch="//////", facecolor="none", edgecolor=BAND,
        lw=0, label=name,
    )  # fmt: skip


def _draw_ratio(axes: Axes, comparison: Comparison) -> None:
    total, variance = comparison.background()
    good = total > 0
    safe = np.where(good, total, 1.0)
    _band(axes, comparison.edges, np.where(good, 1.0, np.nan), np.where(good, np.sqrt(variance) / safe, np.nan), None)
    axes.axhline(1.0, color=MUTED, lw=1)
    centres = (comparison.edges[1:] + comparison.edges[:-1]) / 2
    reach = 0.5
    for data in comparison.of_role("data"):
        low, high = garwood(data.values)
        seen = good & _telling(data.values, total)
        ratio = np.where(seen, data.values / safe, np.nan)
        errors = np.array([low, high])[:, seen] / safe[seen]
        axes.errorbar(centres[seen], ratio[seen], errors, fmt="o", ms=5, lw=1.2, color=INK)
        off = np.abs(ratio[seen] - 1)
        reach = max(reach, min(1.0, float(np.quantile(off, 0.8)) * 1.3)) if len(off) else reach
        _arrows(axes, centres[seen], ratio[seen], reach)
    axes.set_ylim(1 - reach * 1.02, 1 + reach * 1.02)
    # the panel above has its 0 at the upper end
    axes.set_yticks([tick for tick in (0.0, 0.5, 1.0, 1.5) if -reach <= tick - 1 <= 0.8 * reach])
    axes.set_ylabel("Data / bkg.", loc="center")


def _telling(counts: Floats, expected: Floats) -> npt.NDArray[np.bool_]:
    """Bins whose data is drawn: those with an event, and empty ones where more than their interval is expected."""
    return np.asarray((counts > 0) | (garwood(counts)[1] < expected), dtype=np.bool_)


def _arrows(axes: Axes, centres: Floats, ratio: Floats, reach: float) -> None:
    """Mark points that lie above or below the panel, which shows 1 - reach to 1 + reach."""
    for marker, side, out in (("^", 1, ratio > 1 + reach), ("v", -1, ratio < 1 - reach)):
        height = 1 + side * 0.95 * reach
        axes.plot(centres[out], np.full(out.sum(), height), marker=marker, ls="", ms=7, color=INK, clip_on=False)


def _finish_axis(axes: Axes, what: Label) -> None:
    axes.set_xlabel(what.axis)
    if what.kind == "flag":
        axes.set_xticks([0, 1], ["no", "yes"])
        axes.xaxis.set_minor_locator(mpl.ticker.NullLocator())
