"""What a figure of a comparison must show, read off its axes."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from anomalon.report.figures_compare import Comparison, Filled, comparison_figure, new_histogram
from anomalon.search.results import Role

EDGES = np.linspace(0.0, 4.0, 5)


def filled(label: str, role: Role, contents: list[float], weight: float = 1.0) -> Filled:
    """Bins with these sums of weights, made of entries of one weight."""
    histogram = new_histogram("x", EDGES)
    histogram.view().value = contents
    histogram.view().variance = np.asarray(contents) * weight
    return Filled(label, role, histogram, raw=int(sum(contents)))


def figure_of(background: list[float], data: list[float], weight: float = 1.0) -> Figure:
    processes = (filled("b", "background", background, weight), filled("data", "data", data))
    return comparison_figure(Comparison("muons.eta", processes))


def markers(figure: Figure, marker: str) -> list[float]:
    """Where points of a kind are drawn in the ratio panel."""
    lines = [line for line in figure.axes[1].lines if line.get_marker() == marker]
    return [float(x) for line in lines for x in np.atleast_1d(line.get_xdata())]


def test_the_uncertainty_band_stays_below_the_legend() -> None:
    figure = figure_of([100, 10, 10, 10], [100, 10, 10, 10], weight=60.0)
    axes = figure.axes[0]
    figure.canvas.draw()
    bottom = axes.get_legend().get_window_extent().transformed(axes.transData.inverted()).y0  # type: ignore[union-attr]
    assert bottom > 100 + np.sqrt(100 * 60)


def test_a_ratio_outside_the_panel_is_marked_on_its_side() -> None:
    for last, above, below in ((300, [3.5], []), (1, [], [3.5])):
        figure = figure_of([100, 100, 100, 100], [100, 100, 100, last])
        assert (markers(figure, "^"), markers(figure, "v")) == (above, below)


def test_an_empty_bin_where_events_were_expected_is_a_point_at_zero() -> None:
    figure = figure_of([50, 50, 10, 0.1], [50, 50, 0, 0])
    assert markers(figure, "o") == [0.5, 1.5, 2.5]
    assert markers(figure, "v") == [2.5]


def test_the_highest_tick_of_the_ratio_leaves_room_for_the_zero_above_it() -> None:
    axes = figure_of([50, 50, 10, 1], [100, 0, 0, 3]).axes[1]
    low, high = axes.get_ylim()
    ticks = [tick for tick in axes.get_yticks() if low <= tick <= high]
    assert len(ticks) >= 2
    assert max(ticks) < high - 0.1 * (high - low)


def test_the_ratio_has_a_tick_at_one() -> None:
    for last in (1, 60, 100, 130, 300):
        axes = figure_of([100, 100, 100, 100], [100, 80, 100, last]).axes[1]
        assert np.isclose(axes.get_yticks(), 1.0).any()
