"""What the figures hold: read back from the axes, not from the pixels."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes

from anomalon.features.labels import label
from anomalon.report import FigureData, Group, Heading, assemble, figures_features, figures_performance, figures_scores
from anomalon.report.assemble import search_figures
from anomalon.report.figures_scores import Cut
from anomalon.report.style import to_pdf, to_png
from anomalon.search.results import Curve
from tests.report.synthetic import make_data, make_results

RANDOM = np.random.default_rng(7)
BACKGROUND = Group("WZ", "background", RANDOM.exponential(40.0, 500), np.full(500, 0.5))
SIGNAL = Group("W'", "signal", np.append(RANDOM.exponential(200.0, 99), np.nan), np.full(100, 0.01))


def stairs(axes: Axes, name: str) -> np.ndarray:
    return next(p for p in axes.patches if p.get_label() == name).get_data().values


def texts(axes: Axes) -> str:
    legend = axes.get_legend()
    return " ".join([t.get_text() for t in axes.texts] + [t.get_text() for t in (legend.get_texts() if legend else [])])


def test_a_density_integrates_to_one_and_says_what_is_missing() -> None:
    axes = figures_features.density_figure("MET_pt", [BACKGROUND, SIGNAL], Heading(140.0)).axes[0]
    width = np.diff(next(p for p in axes.patches if p.get_label() == "WZ").get_data().edges)
    assert (stairs(axes, "WZ") * width).sum() == pytest.approx(1)
    assert (stairs(axes, "W' (1% missing)") * width).sum() == pytest.approx(1)
    assert axes.get_xlabel() == "$p_T^{miss}$ [GeV]"
    assert "140 fb$^{-1}$ (13 TeV)" in texts(axes)


def test_the_legend_stands_above_the_histogram() -> None:
    figure = figures_features.density_figure("nJet", [BACKGROUND, SIGNAL])
    to_png(figure)
    axes = figure.axes[0]
    lowest = axes.transData.inverted().transform(axes.get_legend().get_window_extent())[0, 1]
    assert lowest >= max(stairs(axes, "WZ").max(), stairs(axes, "W' (1% missing)").max())


def test_a_page_has_a_panel_per_feature() -> None:
    pages = list(figures_features.density_pages([(f"f{i}", [BACKGROUND, SIGNAL]) for i in range(14)]))
    assert [sum(axes.axison for axes in page.axes) for page in pages] == [12, 2]


def test_correlation_uses_weights_and_leaves_pairs_without_common_events_blank() -> None:
    a = np.array([[1.0, 2.0, np.nan], [2.0, 1.0, np.nan], [3.0, 5.0, np.nan], [4.0, 4.0, 1.0], [0.0, np.nan, 2.0]])
    w = np.array([1.0, 2.0, 3.0, 0.5, 1.0])
    matrix = figures_features.weighted_correlation(a, w)
    covariance = np.cov(a[:4, :2].T, aweights=w[:4])
    assert matrix[0, 1] == pytest.approx(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]))
    assert np.isnan(matrix[1, 2])
    assert matrix == pytest.approx(matrix.T, nan_ok=True)


def test_correlation_of_large_nearly_equal_numbers_is_exact() -> None:
    x = RANDOM.normal(size=200)
    values = np.column_stack([1e6 + x, 1e6 - x, np.full(200, 3.0)])
    matrix = figures_features.weighted_correlation(values, np.ones(200))
    assert matrix[0, 1] == pytest.approx(-1)
    assert np.isnan(matrix[2]).all()


def test_the_score_is_weighted_and_the_threshold_is_drawn_and_named() -> None:
    axes = figures_scores.score_figure([BACKGROUND, SIGNAL], cut=Cut(120.0, 0.95)).axes[0]
    assert stairs(axes, "WZ").sum() == pytest.approx(250.0)
    assert stairs(axes, "W'").sum() == pytest.approx(0.99)
    assert [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() != "None"] == [120.0]
    assert "Threshold 120: 95 % of background below" in texts(axes)


def test_the_index_figure_shows_all_events_and_zooms_on_the_threshold() -> None:
    positions = [np.arange(500.0), np.arange(500.0, 600.0)]
    whole, zoom = figures_scores.index_figure([BACKGROUND, SIGNAL], positions, cut=Cut(120.0, 0.95)).axes
    assert [len(c.get_offsets()) for c in whole.collections] == [500, 99]
    for axes in (whole, zoom):
        assert [line.get_ydata()[0] for line in axes.lines] == [120.0]
    assert zoom.get_ylim()[0] < 120 < zoom.get_ylim()[1]
    assert zoom.get_ylim()[1] < whole.get_ylim()[1]


def test_far_points_of_a_projection_are_counted_not_shown() -> None:
    xy = np.vstack([RANDOM.normal(size=(5000, 2)), [[1e6, 0.0]]])
    axes = figures_scores.embedding_figure([Group("WZ", "background", xy, np.ones(5001))], axis_labels=("x", "y")).axes[
        0
    ]
    assert axes.get_xlim()[1] < 10
    assert "outside" in texts(axes)


def test_curves_fade_where_few_background_events_are_left() -> None:
    results = make_results()
    axes = figures_performance.roc_figure(results, "wprime").axes[0]
    line = next(line for line in axes.lines if line.get_label() == "Autoencoder")
    curve = results.evaluation("autoencoder", "wprime").curve
    drawn = np.isfinite(line.get_xdata())
    assert (drawn == (np.array(curve.background_left) >= 10)).all()
    assert axes.get_xlim() == (1e-4, 1)
    assert axes.get_xscale() == "log"


def test_a_perfect_detector_and_a_missing_interval_can_be_drawn() -> None:
    results = make_results()
    perfect = results.evaluations[0].model_copy(
        update={"auc": results.evaluations[0].auc.model_copy(update={"value": 1.0, "low": None})}
    )
    figure = figures_performance.key_figure(
        results.model_copy(update={"evaluations": (perfect, *results.evaluations[1:])})
    )
    assert to_png(figure).startswith(b"\x89PNG")
    assert "1.0000" in texts(figure.axes[0])


def test_the_key_figure_shows_the_numbers_and_met_alone() -> None:
    results = make_results()
    axes = figures_performance.key_figure(results).axes[0]
    met = results.evaluation("met", "wprime").auc.value
    assert any(line.get_linestyle() == "--" and line.get_xdata()[0] == met for line in axes.lines)
    assert "0.9749" in texts(axes)
    assert [t.get_text() for t in axes.get_yticklabels()][-1] == "Autoencoder"


def test_the_best_epoch_is_marked_counted_from_one() -> None:
    results = make_results()
    training = results.detectors[0].training
    axes = figures_performance.training_figure(training).axes[0]
    assert any("epoch 48" in str(line.get_label()) for line in axes.lines)


def sections(entries: Sequence[object]) -> list[str]:
    return [entry.section for entry in entries]  # type: ignore[attr-defined]


def test_all_figures_are_made_and_written() -> None:
    entries = list(search_figures(make_results(), make_data(600)))
    names = [entry.name for entry in entries]
    assert names[0] == "performance"
    assert {
        "roc_wprime",
        "sic_wprime",
        "score_autoencoder",
        "score_vs_index",
        "PCA_code",
        "correlation",
        "flagged",
    } <= set(names)
    assert {"training_autoencoder", "features_1", "feature_MET_pt"} <= set(names)
    for name in ("performance", "score_vs_index", "PCA_code"):
        figure = entries[names.index(name)].figure
        assert to_png(figure, dpi=50).startswith(b"\x89PNG")
        assert to_pdf(figure).startswith(b"%PDF")


def test_without_events_the_figures_of_the_numbers_remain() -> None:
    results = make_results()
    assert set(sections(list(search_figures(results)))) == {"Performance", "Training"}
    assert set(sections(list(search_figures(results, make_data(0))))) == {"Performance", "Training"}
    bare = make_results(evaluations=(), flagged=(), detectors=())
    assert list(search_figures(bare)) == []


def test_nothing_but_nan_and_a_single_event_can_be_drawn() -> None:
    nothing = Group("ZZ", "background", np.full(5, np.nan), np.ones(5))
    one = Group("W'", "signal", np.array([3.0]), np.ones(1))
    for groups in ([nothing], [one], [nothing, one], []):
        assert to_png(figures_features.density_figure("MET_pt", groups), dpi=40)
        assert to_png(figures_scores.score_figure(groups, cut=Cut(2.0, 0.95)), dpi=40)


def test_negative_weights_and_blinded_data_can_be_drawn() -> None:
    background = Group("WZ", "background", BACKGROUND.values, np.where(np.arange(500) % 5 == 0, -1.0, 1.0))
    data = Group("Data", "data", RANDOM.exponential(40.0, 80), np.ones(80))
    axes = figures_scores.score_figure([background, data], cut=None).axes[0]
    assert axes.containers
    assert to_png(axes.figure, dpi=40)


def test_an_empty_curve_is_left_out() -> None:
    results = make_results()
    empty = Curve(background_efficiency=(), signal_efficiency=(), background_left=())
    evaluations = tuple(e.model_copy(update={"curve": empty}) for e in results.evaluations)
    figure = figures_performance.sic_figure(results.model_copy(update={"evaluations": evaluations}), "wprime")
    assert [line.get_label() for line in figure.axes[0].lines] == ["Guessing"]


def test_a_masked_value_is_missing_even_if_it_is_a_number() -> None:
    data = make_data(50)
    stale = data.features.values.copy()
    stale[~data.features.mask] = 91.0
    features = type(data.features)(stale, data.features.mask, data.features.names)
    changed = FigureData(features, data.processes, data.roles, data.weights, data.tested, data.scores)
    for one, other in zip(data.feature_groups("A_Zmass"), changed.feature_groups("A_Zmass"), strict=True):
        assert one.missing == other.missing > 0


def test_the_callers_settings_come_back() -> None:
    before = mpl.rcParams["font.size"], mpl.rcParams["xtick.direction"]
    figures_performance.key_figure(make_results())
    assert (mpl.rcParams["font.size"], mpl.rcParams["xtick.direction"]) == before


@pytest.mark.parametrize("name", make_data(3).features.names)
def test_every_feature_of_the_trilepton_set_has_a_label_of_its_own(name: str) -> None:
    assert label(name).words != name
    assert label(name).kind != "energy" or label(name).unit == "GeV"


def test_measured_events_are_not_called_simulation() -> None:
    simulated = make_results()
    mixed = tuple(s.model_copy(update={"origin": "data"} if s.role == "background" else {}) for s in simulated.samples)
    for results, status in ((simulated, "Simulation"), (make_results(samples=mixed), "Data and simulation")):
        assert status in [text.get_text() for text in next(search_figures(results)).figure.axes[0].texts]


def test_a_large_process_is_thinned_over_the_whole_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemble, "MAX_POINTS", 100)
    entries = search_figures(make_results(), make_data(3000))
    axes = next(entry for entry in entries if entry.name == "score_vs_index").figure.axes[0]
    points = {c.get_label(): c.get_offsets()[:, 0] for c in axes.collections}
    assert max(len(x) for x in points.values()) <= 100
    assert all(x.max() > 900 and x.min() < 100 for x in points.values())
