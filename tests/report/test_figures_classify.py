"""What the figures of a comparison of classifiers must show, read off their axes."""

from __future__ import annotations

import numpy as np
import pytest

from anomalon.metrics.estimate import Estimate
from anomalon.report.classification_page import render
from anomalon.report.figures_classify import (
    Plane,
    boundary_figure,
    classification_figures,
    importance_figure,
    performance_figure,
    scores_figure,
)
from anomalon.report.style import to_svg
from anomalon.search.classification import (
    Classification,
    ClassifierResult,
    Importance,
    Kind,
    Overtraining,
    Rejection,
    Reliability,
    RocPoints,
    ScoreHistogram,
    Sides,
    as_markdown,
)


def around(value: float, half: float = 0.003) -> Estimate:
    return Estimate(value=value, low=value - half, high=value + half)


def row(name: str, kind: Kind, auc: float, *, learned: bool = False) -> ClassifierResult:
    flat = (1.0,) * 4
    histogram = ScoreHistogram(
        edges=(0.0, 0.25, 0.5, 0.75, 1.0), train_background=(2.5, 0.9, 0.5, 0.1), train_signal=flat,
        test_background=(2.4, 1.0, 0.5, 0.1), test_signal=flat, test_background_error=(0.1,) * 4,
        test_signal_error=(0.1,) * 4,
    )  # fmt: skip
    sides = Sides(background=0.2, signal=0.3)
    return ClassifierResult(
        name=name, kind=kind, title="MET_pt > 90", inputs=("MET_pt", "HT"),
        auc=around(auc), accuracy=around(auc - 0.04),
        best_cut=90.0, fixed_accuracy=None, fixed_cut=None, single_accuracies=(), auc_gain=None, accuracy_gain=None,
        rejection=Rejection(background_efficiency=around(0.01), background_left=12, gain=around(3.0, 1.0)),
        expected=None,
        overtraining=Overtraining(train_auc=0.8, difference=0.02, distance=sides, p_value=sides) if learned else None,
        histogram=histogram if learned else None,
        reliability=Reliability(
            predicted=(0.2, 0.8), observed=(0.25, 0.75), error=0.05, raw_error=0.1, brier=0.2, raw_brier=0.21
        ) if learned else None,
        importance=(
            Importance(name="MET_pt", loss=0.1, spread=0.01), Importance(name="HT", loss=0.02, spread=0.01)
        ) if learned else (),
        roc=RocPoints(background_efficiency=(0.0, 0.5, 1.0), signal_efficiency=(0.0, 0.8, 1.0)), seconds=3.0,
    )  # fmt: skip


@pytest.fixture
def found() -> Classification:
    return Classification(
        anomalon="0", title="Tops", config={"seed": 1, "folds": 5}, learned=Sides(background=100, signal=90),
        tested=Sides(background=100, signal=90), left_out=2, expected=None, baseline="MET_pt", best_variable="best-cut",
        optimum=0.9, signal_efficiency=0.1,
        results=(row("best-cut", "cut", 0.7), row("trees", "classifier", 0.75, learned=True)),
    )  # fmt: skip


def plane() -> Plane:
    x = np.linspace(-2.0, 2.0, 30)
    grid = np.meshgrid(x, x)
    points = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    return Plane((x, x), grid[0], {"trees": 1 / (1 + np.exp(-grid[1]))}, points, np.repeat([0, 1], 20))


def test_every_figure_is_made_and_written_alike_twice(found: Classification) -> None:
    made = {name: figure for name, _, figure in classification_figures(found, plane())}
    assert list(made) == ["performance", "roc", "scores", "probabilities", "importance", "boundaries"]
    assert to_svg(made["roc"]) == to_svg(made["roc"])
    assert b"<svg" in to_svg(made["roc"])


def test_values_stand_at_their_places_and_the_best_cut_is_a_line(found: Classification) -> None:
    auc, accuracy = performance_figure(found).axes
    dots = [line.get_xdata() for line in auc.lines if line.get_marker() in "oD"]
    assert np.ravel(dots).tolist() == [0.75, 0.7]
    dashed = [line.get_xdata()[0] for line in auc.lines if line.get_linestyle() == "--"]
    assert dashed == [0.7]
    assert 0.9 in [line.get_xdata()[0] for line in accuracy.lines if line.get_linestyle() == ":"]


def test_overtraining_is_written_with_its_number(found: Classification) -> None:
    (axes,) = scores_figure([found.results[1]]).axes
    assert "+0.0200" in axes.texts[0].get_text()


def test_the_most_important_input_is_on_top(found: Classification) -> None:
    (axes,) = importance_figure(found.results[1]).axes
    widths = [patch.get_width() for patch in axes.patches]
    assert widths == [0.02, 0.1]
    assert axes.get_yticklabels()[-1].get_text() == "$p_T^{miss}$"


def test_boundaries_are_where_the_probability_is_one_half() -> None:
    (axes,) = boundary_figure(plane()).axes
    lines = [np.concatenate([path.vertices for path in c.get_paths()]) for c in axes.collections]
    np.testing.assert_allclose(lines[0][:, 0], 0.0, atol=1e-6)
    np.testing.assert_allclose(lines[1][:, 1], 0.0, atol=1e-2)


def test_the_table_and_the_page_have_every_row(found: Classification) -> None:
    text = as_markdown(found)
    assert "| trees | 2 | 0.7500 ± 0.0030 | 0.7100 ± 0.0030 | - | 19.00 % | 1 % (12) | 3 (2 to 4) |" in text
    assert "Best cut on one variable: MET_pt > 90." in text
    assert "- trees: MET_pt 0.100, HT 0.020" in text
    page = render(found, {"roc": ("ROC curves", b"png")})
    assert page.count("<tr>") == 3
    assert "data:image/png;base64" in page
