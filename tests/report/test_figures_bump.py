"""What a figure of a bump hunt must show, read off its axes."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle, StepPatch

from anomalon.bumps.hunt import BumpHuntSettings, bin_significances, bump_hunt
from anomalon.bumps.records import BumpHuntResult
from anomalon.bumps.sideband_hunt import bump_hunt_sidebands
from anomalon.bumps.sidebands import SidebandSettings
from anomalon.report.figures_bump import bump_figure
from anomalon.report.style import Heading, to_png

EDGES = np.linspace(100.0, 300.0, 21)
BACKGROUND = 400 * np.exp(-(EDGES[:-1] - 100) / 40) + 2


def hunt(extra: float, errors: float = 0.0) -> BumpHuntResult:
    observed = np.floor(BACKGROUND)
    observed[8:10] += extra
    return bump_hunt(observed, BACKGROUND, edges=EDGES, errors=errors * BACKGROUND, settings=BumpHuntSettings(toys=50))


def texts(figure: Figure) -> list[str]:
    legend = figure.axes[0].get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def shades(figure: Figure) -> list[tuple[float, float]]:
    found = []
    for axes in figure.axes:
        for patch in axes.patches:
            if isinstance(patch, Rectangle | Polygon) and not isinstance(patch, StepPatch):
                x = patch.get_extents().transformed(axes.transData.inverted())
                found.append((x.x0, x.x1))
    return found


def test_the_window_is_shaded_in_both_panels_and_named() -> None:
    figure = bump_figure(hunt(60))
    assert shades(figure) == [pytest.approx((180.0, 200.0))] * 2
    assert "[180, 200] GeV" in texts(figure)
    assert any(text.startswith("local ") for text in texts(figure))
    assert any("global $p$ < 0.02 (>" in text for text in texts(figure))


def test_without_an_excess_no_window_is_shaded_and_the_legend_says_so() -> None:
    observed = np.floor(BACKGROUND * 0.8)
    figure = bump_figure(bump_hunt(observed, BACKGROUND, edges=EDGES, settings=BumpHuntSettings(toys=20)))
    assert shades(figure) == []
    assert "no window has an excess" in texts(figure)


def test_the_lower_panel_has_the_significance_of_each_bin() -> None:
    result = hunt(60, errors=0.1)
    drawn = [patch.get_data().values for patch in bump_figure(result).axes[1].patches if isinstance(patch, StepPatch)]
    z = bin_significances(result.spectrum.observed, result.spectrum.background, errors=result.spectrum.background_error)
    assert np.sum(drawn, axis=0) == pytest.approx(z)
    low, high = bump_figure(result).axes[1].get_ylim()
    assert low < z.min() < z.max() < high


def test_the_uncertainty_is_drawn_where_there_is_one_and_a_fit_is_called_one() -> None:
    assert "Uncertainty" not in texts(bump_figure(hunt(30)))
    assert {"Observed", "Background", "Uncertainty"} <= set(texts(bump_figure(hunt(30, errors=0.1))))
    fitted = bump_hunt_sidebands(
        np.random.default_rng(0).poisson(BACKGROUND),
        EDGES,
        settings=BumpHuntSettings(toys=20, max_width=4),
        sidebands=SidebandSettings(function="exponential"),
    )
    assert "Sideband fit" in texts(bump_figure(fitted))


def test_axis_and_heading_are_as_given() -> None:
    figure = bump_figure(hunt(10), Heading(luminosity_fb=140.0), axis="m(3l) [TeV]")
    upper, lower = figure.axes
    assert lower.get_xlabel() == "m(3l) [TeV]"
    assert upper.get_ylabel() == "Events / 10 TeV"
    assert any("140 fb" in text.get_text() for text in upper.texts)


def test_an_empty_spectrum_is_drawn() -> None:
    result = bump_hunt(np.zeros(20), BACKGROUND, edges=EDGES, settings=BumpHuntSettings(toys=20))
    assert to_png(bump_figure(result), dpi=40).startswith(b"\x89PNG")


def test_the_legend_covers_no_point() -> None:
    figure = bump_figure(hunt(300, errors=0.1))
    figure.canvas.draw()
    axes = figure.axes[0]
    legend = axes.get_legend()
    assert legend is not None
    assert legend.get_window_extent().transformed(axes.transData.inverted()).y0 > BACKGROUND.max()
