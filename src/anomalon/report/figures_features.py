"""Figures of the inputs: densities of signal and background, and how the features hang together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from anomalon.features.labels import Label, label
from anomalon.report.binning import feature_bins
from anomalon.report.numbers import MINUS
from anomalon.report.records import Floats, Group, coloured, of_role
from anomalon.report.stack import draw_processes
from anomalon.report.style import INK, MUTED, Heading, drawing, legend_above, new_axes, new_panels, write_heading
from anomalon.search.results import Role

LOG_KINDS = ("energy",)


def density_figure(name: str, groups: Sequence[Group], heading: Heading | None = None) -> Figure:
    """Densities of one feature: stacked backgrounds of unit area, every signal of unit area over them.

    Values that are not finite are left out; the legend gives their fraction per process.
    """
    with drawing():
        figure, axes = new_axes()
        _draw_densities(axes, label(name), coloured(groups), detailed=True)
        legend_above(axes, columns=2)
        write_heading(axes, heading)
        return figure


def density_pages(
    columns: Sequence[tuple[str, Sequence[Group]]], heading: Heading | None = None, per_page: int = 12
) -> Iterator[Figure]:
    """Densities of many features, three by four panels a page."""
    for start in range(0, len(columns), per_page):
        yield _density_page(columns[start : start + per_page], heading)


def _density_page(columns: Sequence[tuple[str, Sequence[Group]]], heading: Heading | None) -> Figure:
    with drawing():
        rows = -(-len(columns) // 3)
        figure, grid = new_panels(rows, 3, panel=(3.7, 2.7), top=1.05)
        flat = [axes for row in grid for axes in row]
        for axes, (name, groups) in zip(flat, columns, strict=False):
            _draw_densities(axes, label(name), coloured(groups), detailed=False)
        for axes in flat[len(columns) :]:
            axes.set_axis_off()
        handles, names = flat[0].get_legend_handles_labels()
        across = min(len(names), 4 if sum(map(len, names)) > 80 else 8) or 1
        figure.legend(handles, names, loc="upper center", ncols=across, bbox_to_anchor=(0.5, 1.0))
        if heading is not None:
            write_heading(flat[0], heading, right=False)
            flat[2].text(1, 1.02, heading.right, transform=flat[2].transAxes, fontsize=12.5, va="bottom", ha="right")
        return figure


def _draw_densities(axes: Axes, what: Label, groups: Sequence[Group], *, detailed: bool) -> None:
    bins = feature_bins(groups, what.kind)
    if detailed:
        drawn = draw_processes(axes, [replace(g, label=_name(g)) for g in groups], bins, unit_area=True)
    else:  # the legend is shared by the page: what differs between panels is written into them
        drawn = draw_processes(axes, groups, replace(bins, overflow=False, underflow=False), unit_area=True)
        note = "\n".join(part for part in (bins.note, _missing(groups)) if part)
        axes.text(0.97, 0.96, note, transform=axes.transAxes, ha="right", va="top", fontsize=9.5, color=MUTED)
    axes.set_xlim(bins.edges[0], bins.edges[-1])
    axes.set_xlabel(what.axis)
    _density_axis(axes, what, top=max((float(h.values.max()) for h in drawn), default=0.0))


def _density_axis(axes: Axes, what: Label, *, top: float) -> None:
    counts = what.kind in ("count", "flag")
    axes.set_ylabel("Fraction" if counts else f"Density [1/{what.unit}]" if what.unit else "Density")
    if counts:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.xaxis.set_minor_locator(NullLocator())
    if what.kind == "flag":
        axes.set_xticks([0, 1], ["no", "yes"])
    if what.kind in LOG_KINDS and top > 0:
        axes.set_yscale("log")
        axes.set_ylim(top * 1e-4, top * 15)
    else:
        axes.set_ylim(0, top * 1.4 or 1)


def _name(group: Group) -> str:
    return f"{group.label} ({group.missing:.0%} missing)" if group.missing > 0 else group.label


def _missing(groups: Sequence[Group]) -> str:
    parts = []
    names: tuple[tuple[Role, str], ...] = (("background", "bkg"), ("signal", "sig"), ("data", "data"))
    for role, name in names:
        chosen = of_role(groups, role)
        n = sum(len(g.values) for g in chosen)
        share = sum(g.missing * len(g.values) for g in chosen) / n if n else 0.0
        if share > 0:
            parts.append(f"{name} {share:.0%}")
    return f"missing: {', '.join(parts)}" if parts else ""


def weighted_correlation(values: Floats, weights: Floats) -> Floats:
    """Weighted Pearson correlation of every pair of columns over the events that have both.

    Args:
        values: shape (event, feature), NaN where missing.
        weights: shape (event,).

    Returns:
        Shape (feature, feature); NaN where fewer than three events have both or one of them is constant.

    >>> weighted_correlation(np.array([[0.0, 1.0], [1.0, 0.0], [2.0, -1.0]]), np.ones(3)).round(3).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    here = np.isfinite(values)
    m = here.astype(np.float64)
    centre = np.where(here, values, 0.0).sum(axis=0) / np.maximum(here.sum(axis=0), 1)
    x = np.where(here, values - centre, 0.0)
    w = np.asarray(weights, dtype=np.float64)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        total = (w * m).T @ m
        mean = (w * x).T @ m / total
        variance = (w * x * x).T @ m / total - mean**2
        covariance = (w * x).T @ x / total - mean * mean.T
        result = covariance / np.sqrt(variance * variance.T)
    scale = (w * x * x).T @ m / np.where(total != 0, total, 1)
    constant = (variance <= 1e-9 * scale) | ((m.T @ m) < 3) | ~(total > 0)
    return np.asarray(np.where(constant | constant.T, np.nan, np.clip(result, -1, 1)))


def correlation_figure(values: Floats, weights: Floats, names: Sequence[str], heading: Heading | None = None) -> Figure:
    """Correlation matrix in per cent; pairs without common events stay blank, empty columns are left out.

    Args:
        values: shape (event, feature), NaN where missing.
        weights: shape (event,).
        names: one per column.
        heading: the line above.
    """
    matrix = weighted_correlation(values, weights)
    keep = np.isfinite(np.diag(matrix))
    matrix, kept = matrix[np.ix_(keep, keep)], [label(n).symbol for n, k in zip(names, keep, strict=True) if k]
    with drawing():
        size = max(4.0, 0.34 * len(kept))
        figure = Figure(figsize=(size + 3.4, size + 2.4))
        axes = figure.add_axes((2.0 / (size + 3.4), 1.9 / (size + 2.4), size / (size + 3.4), size / (size + 2.4)))
        image = axes.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
        bar = figure.add_axes(
            ((size + 2.2) / (size + 3.4), 1.9 / (size + 2.4), 0.25 / (size + 3.4), size / (size + 2.4))
        )
        figure.colorbar(image, cax=bar, label="Correlation (background)")
        _label_cells(axes, matrix, kept)
        write_heading(axes, heading)
        return figure


def _label_cells(axes: Axes, matrix: Floats, names: Sequence[str]) -> None:
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=10.5)
    axes.set_yticks(range(len(names)), names, fontsize=10.5)
    axes.tick_params(which="both", length=0)
    axes.minorticks_off()
    axes.set_facecolor("#d4d4d8")
    fontsize = 7.0 if len(names) > 14 else 10.0
    for (row, column), value in np.ndenumerate(matrix):
        if abs(value) >= 0.05:
            colour = "white" if abs(value) > 0.6 else INK
            text = f"{100 * value:.0f}".replace("-", MINUS)
            axes.text(column, row, text, ha="center", va="center", fontsize=fontsize, color=colour)
