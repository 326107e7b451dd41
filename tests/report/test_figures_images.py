"""Pictures of events in (eta, phi), input beside reconstruction."""

from __future__ import annotations

import numpy as np
import pytest

from anomalon.report.figures_images import Pictured, reconstructions_figure
from anomalon.report.style import to_png


def pictured(row: int, column: int) -> Pictured:
    seen = np.zeros((2, 4, 8))
    seen[0, row, column] = 3.0
    return Pictured("an event", seen, 0.5 * seen, (0.5 * seen) ** 2)


@pytest.mark.parametrize(("column", "phi"), [(0, 0.0), (1, np.pi / 4), (7, -np.pi / 4), (4, -np.pi)])
def test_an_object_is_drawn_where_it_is(column: int, phi: float) -> None:
    figure = reconstructions_figure([pictured(3, column)], ("jet", "met"), eta_max=2.0)
    (letter,) = [text for text in figure.axes[0].texts if text.get_text() == "j"]
    x, y = letter.get_position()
    assert (x, y) == pytest.approx((phi, 1.5))
    left, right, low, high = figure.axes[0].images[0].get_extent()
    pixels = figure.axes[0].images[0].get_array()
    at = int((x - left) / (right - left) * 8), int((y - low) / (high - low) * 4)
    assert pixels[at[1], at[0]] == 3.0


def test_the_terms_of_a_score_add_up_to_all_of_it() -> None:
    figure = reconstructions_figure([pictured(0, 0), pictured(1, 2)], ("jet", "met"), eta_max=2.0)
    assert [float(axes.images[0].get_array().sum()) for axes in (figure.axes[2], figure.axes[5])] == [100, 100]
    assert to_png(figure).startswith(b"\x89PNG")


def test_an_empty_event_is_drawn() -> None:
    nothing = np.zeros((2, 4, 8))
    figure = reconstructions_figure([Pictured("nothing", nothing, nothing, nothing)], ("jet", "met"), eta_max=2.0)
    assert not [text for text in figure.axes[0].texts if text.get_text() in ("j", "b")]
