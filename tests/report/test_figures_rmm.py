from __future__ import annotations

import numpy as np
import pytest

from anomalon.features import RapidityMassMatrix
from anomalon.features.labels import label
from anomalon.report.figures_rmm import DECADES, EMPTY, rmm_figure
from anomalon.report.style import to_png

SET = RapidityMassMatrix(counts={"jet": 2, "muon": 1, "photon": 1})


def matrix() -> np.ndarray:
    cells = np.zeros((5, 5))
    cells[0, 0], cells[1, 1], cells[1, 3], cells[3, 1], cells[2, 2] = 0.01, 0.5, 1e-3, 1e-12, -1.0
    return cells


def test_empty_and_negative_cells_have_no_colour_and_tiny_ones_the_lowest() -> None:
    axes = rmm_figure(matrix(), SET, "ttbar, mean of 3 events").axes[0]
    image = axes.images[0]
    hidden = np.ma.getmaskarray(image.get_array())
    assert sorted(zip(*np.nonzero(~hidden), strict=True)) == [(0, 0), (1, 1), (1, 3), (3, 1)]
    assert (image.norm.vmin, image.norm.vmax) == (pytest.approx(0.5 * 10.0**-DECADES), 0.5)
    assert axes.get_facecolor()[:3] == pytest.approx([int(EMPTY[i : i + 2], 16) / 255 for i in (1, 3, 5)])


def test_every_type_is_named_at_both_sides_with_lines_between_them() -> None:
    axes = rmm_figure(matrix(), SET, "ttbar").axes[0]
    words = [text.get_text() for text in axes.texts]
    for name in ("$p_T^{miss}$", "Jets", r"$\mu$", r"$\gamma$"):
        assert words.count(name) == 2
    assert {float(line.get_xdata()[0]) for line in axes.lines if line.get_ydata()[0] == 0} >= {0.5, 2.5, 3.5}
    assert "ttbar" in words


def test_a_matrix_without_anything_and_one_in_gev_are_drawn(caplog: pytest.LogCaptureFixture) -> None:
    assert to_png(rmm_figure(np.zeros((5, 5)), SET)).startswith(b"\x89PNG")
    gev = rmm_figure(matrix() * 13000, SET.model_copy(update={"normalise": False}))
    assert gev.axes[1].get_ylabel() == "Cell (energies in GeV)"
    to_png(gev)
    assert not caplog.records  # such as glyphs that the fonts lack


@pytest.mark.parametrize("normalise", [True, False])
def test_every_cell_has_a_label_of_its_own_with_its_unit(normalise: bool) -> None:
    names = RapidityMassMatrix(counts={"jet": 2, "bjet": 1, "photon": 1}, normalise=normalise).names
    labels = [label(name) for name in names]
    assert len({what.symbol for what in labels}) == len({what.words for what in labels}) == len(names)
    for name, what in zip(names, labels, strict=True):
        if name.startswith(("m(", "mT(", "eT(")):
            assert what.unit == ("√s" if normalise else "GeV")
