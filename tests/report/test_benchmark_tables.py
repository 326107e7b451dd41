"""Tables and figures of a benchmark: what competes is told from what stands beside, and from what others published."""

from __future__ import annotations

import pytest

from anomalon.metrics.estimate import Estimate
from anomalon.report.benchmark_tables import known_table, tables_of, terminal_tables
from anomalon.report.data_tables import to_csv, to_latex, to_markdown
from anomalon.report.figures_benchmark import figures_of
from anomalon.search.benchmark_results import (
    BenchmarkResults,
    Difference,
    Figure,
    Kind,
    LeftOut,
    Row,
    Standing,
    Verdict,
)
from anomalon.search.known import CHALLENGE

POINTS = ("auc", "eps_S at 0.01", "eps_S at 0.001")


def figure(name: str, value: float, verdict: Verdict | None, *, reliable: bool = True) -> Figure:
    return Figure(
        name=name, mean=Estimate(value=value, low=value - 0.01, high=value + 0.01), seed_deviation=0.02,
        background_left=None if name == "auc" else 40, reliable=reliable,
        minus_met=None if verdict is None else Difference(value=0.1, error=0.01, verdict=verdict),
    )  # fmt: skip


def row(detector: str, kind: Kind, value: float, verdict: Verdict | None, *, reliable: bool = True) -> Row:
    figures = tuple(figure(name, value, verdict, reliable=reliable or name == "auc") for name in POINTS)
    return Row(
        channel="one", detector=detector, kind=kind, signal="stop", seeds=3, figures=figures, improvement=9 * value
    )


@pytest.fixture
def results() -> BenchmarkResults:
    rows = (
        row("met", "baseline", 0.5, None),
        row("flow", "detector", 0.6, "above"),
        row("forest", "detector", 0.4, "below", reliable=False),
        row("supervised", "bound", 0.9, "above"),
    )
    standings = tuple(
        Standing(
            signals="judged on", detector=r.detector, kind=r.kind, least=1, median=2, largest=3, ranked=1, compared=2
        )
        for r in rows
    )
    half = Estimate(value=0.5, low=0.45, high=0.55)
    left_out = LeftOut(channel="one", detector="flow", sample="zz", auc=half, met=half, difference=half, events=50)
    return BenchmarkResults(
        anomalon_version="0",
        title="t",
        seeds=(1, 2, 3),
        replicas=20,
        background_uncertainty=0.2,
        minimum_background=10,
        choose_on=(),
        judge_on=("stop",),
        channels=(),
        cells=(),
        rows=rows,
        standings=standings,
        left_out=(left_out,),
    )


def test_every_table_has_every_form(results: BenchmarkResults) -> None:
    names = [table.name for table in tables_of(results)]
    assert names == ["ranking-judged-on", "one-stop", "left-out", "times", "events"]
    for table in tables_of(results):
        assert all(len(cells) == len(table.columns) for cells in table.rows)
        assert to_markdown(table)
        assert to_csv(table)
        assert "\\begin{tabular}" in to_latex(table)


def test_what_stands_beside_is_marked(results: BenchmarkResults) -> None:
    for table in (next(t for t in tables_of(results) if t.name == "one-stop"), list(terminal_tables(results))[1]):
        assert [str(cells[0]) for cells in table.rows] == ["met (baseline)", "flow", "forest", "supervised (bound)"]


def test_an_arrow_needs_a_point_that_means_something(results: BenchmarkResults) -> None:
    table = next(t for t in tables_of(results) if t.name == "one-stop")
    met, flow, forest, _ = (str(cells[3]) for cells in table.rows)
    assert "▲" in flow
    assert "▲" not in met
    assert "▼" not in forest
    assert forest.endswith("[40*]")


def test_published_figures_are_in_no_table_of_ours(results: BenchmarkResults) -> None:
    ours = "".join(to_markdown(t) + t.caption for t in tables_of(results))
    assert not any(p.model in ours for p in CHALLENGE if "flow" not in p.model)
    assert "PUBLISHED ELSEWHERE" in known_table().title
    assert all("published" in column for column in known_table().columns)


def test_a_heat_map_has_a_row_per_detector_and_greys_what_means_little(results: BenchmarkResults) -> None:
    figures = dict(figures_of(results))
    axes = figures["one-eps_S-at-0.01"].axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["flow", "forest", "met (baseline)", "supervised (bound)"]
    texts = [t.get_text() for t in axes.texts]
    assert "0.600 ▲" in texts
    assert "(0.400)" in texts
    assert "improvement-judged-on" in figures


def test_the_heading_of_a_tall_heat_map_is_in_the_picture(results: BenchmarkResults) -> None:
    many = tuple(row(f"detector-{k}", "detector", 0.5, None) for k in range(40))
    drawn = dict(figures_of(results.model_copy(update={"rows": (*results.rows, *many)})))["one-eps_S-at-0.01"]
    drawn.canvas.draw()
    heading = next(t for t in drawn.axes[0].texts if t.get_text().endswith(", one"))
    assert heading.get_window_extent().y1 < drawn.bbox.y1
