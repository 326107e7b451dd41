"""Figures of a style transfer."""

from __future__ import annotations

import numpy as np
import pytest

from anomalon.report.figures_transfer import Point, cells_figure, pictures_figure, variable_label, variables_figure
from anomalon.report.style import to_png
from anomalon.style.picture_variables import PRIMARY, SECONDARY

NAMES = (*PRIMARY, *SECONDARY)


def points(*, known: bool = True) -> list[Point]:
    return [
        Point("random", layers, start, style, style if known else None, 0.9)
        for layers in ("deep", "shallow") for start in ("content", "noise", "style") for style in (0.2, 0.5)
    ]  # fmt: skip


@pytest.mark.parametrize("known", [True, False])
def test_every_cell_is_a_point(known: bool) -> None:
    levels = {"untreated": (0.0 if known else None, 0.86), "calibrator: response": (0.99 if known else None, 0.5)}
    figure = cells_figure(points(known=known), levels)
    drawn = [line for axes in figure.axes for line in axes.lines if len(line.get_xdata()) == 2 and line.get_marker()]
    marked = [line for line in drawn if line.get_marker() != "None"]
    assert len(figure.axes) == (4 if known else 2)
    assert sum(len(line.get_xdata()) for line in marked) == len(points()) * (2 if known else 1)
    assert to_png(figure).startswith(b"\x89PNG")


def test_every_variable_has_a_panel_and_a_name() -> None:
    rng = np.random.default_rng(1)
    samples = {name: rng.exponential(size=(200, len(NAMES))) for name in ("unbiased", "biased", "generated")}
    figure = variables_figure(samples, NAMES)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_xlabel() for axes in shown] == [variable_label(name) for name in NAMES]
    assert len({variable_label(name) for name in NAMES}) == len(NAMES)
    heights = shown[0].patches[0].get_data().values
    assert heights.sum() == pytest.approx(1.0)


def test_pictures_are_shown_whole_and_enlarged() -> None:
    picture = np.zeros((30, 40, 3), dtype=np.uint8)
    figure = pictures_figure({"content": picture, "style": picture}, (6, 8))
    assert [axes.images[0].get_array().shape[:2] for axes in figure.axes] == [(30, 40)] * 2 + [(6, 8)] * 2
