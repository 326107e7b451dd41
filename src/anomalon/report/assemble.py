"""All figures of a search, in the order of the report, drawn one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
import numpy.typing as npt

from anomalon.features import Features
from anomalon.features.labels import label
from anomalon.report.figures_features import correlation_figure, density_figure, density_pages
from anomalon.report.figures_performance import key_figure, roc_figure, sic_figure, training_figure
from anomalon.report.figures_scores import Cut, embedding_figure, flagged_figure, index_figure, score_figure
from anomalon.report.names import named, process_names, typeset
from anomalon.report.records import FigureEntry, Floats, Group, coloured
from anomalon.report.style import Heading
from anomalon.report.tables import signal_title
from anomalon.search.evaluation import MET_ALONE
from anomalon.search.results import DetectorSummary, Role, SearchResults

PERFORMANCE, SCORES, CODE, INPUTS, TRAINING = "Performance", "Scores", "Code", "Inputs", "Training"


@dataclass(frozen=True)
class Projection:
    """Events in the plane of a projection.

    Attributes:
        xy: shape (point, 2).
        rows: of the events in :class:`FigureData`, shape (point,).
        axis_labels: of x and y.
    """

    xy: Floats
    rows: npt.NDArray[np.integer]
    axis_labels: tuple[str, str] = ("First component", "Second component")


@dataclass(frozen=True)
class FigureData:
    """Arrays of the selected events, in the mixed order; of blinded data only what may be seen.

    Attributes:
        features: every column of the feature set.
        processes: name per event, shape (event,).
        roles: of every process; its order is that of the legends.
        weights: expected yield per event, shape (event,).
        tested: whether the event belongs to the test sample, shape (event,).
        scores: per detector, shape (event,), NaN where there is none.
        projections: of the code, by title.
        titles: of the processes in legends; :func:`search_figures` takes them from the results.
    """

    features: Features
    processes: npt.NDArray[np.str_]
    roles: Mapping[str, Role]
    weights: Floats
    tested: npt.NDArray[np.bool_]
    scores: Mapping[str, Floats]
    projections: Mapping[str, Projection] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)

    def groups(self, values: Floats, rows: npt.NDArray[np.integer]) -> tuple[Group, ...]:
        """Groups of the processes for values (row, ...) of some rows; every process keeps its colour."""
        names, weights = self.processes[rows], self.weights[rows]
        every = [
            Group(named(name, self.titles), role, values[names == name], weights[names == name])
            for name, role in self.roles.items()
        ]
        return tuple(group for group in coloured(every) if len(group.values))

    def feature_groups(self, name: str) -> tuple[Group, ...]:
        """Groups of one feature over all selected events; a value that the mask calls missing is NaN."""
        column = self.features.index(name)
        values = np.where(self.features.mask[:, column], self.features.values[:, column], np.nan)
        return self.groups(values, np.arange(len(values)))


def search_figures(
    results: SearchResults, data: FigureData | None = None, heading: Heading | None = None
) -> Iterator[FigureEntry]:
    """Draw every figure of a search, the key picture first.

    Args:
        results: the numbers; performance, training and flagged events are drawn from them alone.
        data: arrays of the events; None leaves out what needs them.
        heading: the line above each figure; by default luminosity and 13 TeV, no experiment, and whether events are
            simulated or measured.
    """
    heading = heading or Heading(results.luminosity_fb)
    if heading.status is None:
        heading = replace(heading, status=_status(results))
    with_events = _event_figures(results, data, heading) if data is not None and len(data.weights) else ()
    return chain(_performance_figures(results, heading), with_events, _training_figures(results, heading))


def _event_figures(results: SearchResults, data: FigureData, heading: Heading) -> Iterator[FigureEntry]:
    data = replace(data, titles=process_names(results) | dict(data.titles))
    yield from _score_figures(results, data, heading)
    yield from _code_figures(results, data, heading)
    yield from _input_figures(results, data, heading)


def _status(results: SearchResults) -> str:
    """Whether events are simulated, measured or both."""
    kinds = {s.origin == "data" for s in results.samples}
    return {(True,): "Data", (False, True): "Data and simulation"}.get(tuple(sorted(kinds)), "Simulation")


def _performance_figures(results: SearchResults, heading: Heading) -> Iterator[FigureEntry]:
    if results.evaluations:
        text = (
            "Area under the ROC curve (top, on an axis logarithmic in 1 - AUC) and signal efficiency at a background "
            "efficiency of 10⁻² (bottom) on test events with 68 % intervals. Dashed line: MET alone. Below the line: "
            "baselines; the best single variable is chosen with the signal's labels, and the supervised bound is "
            "trained on the signal."
        )
        figure = key_figure(results, heading)
        yield FigureEntry("performance", "Detectors beside MET alone", text, PERFORMANCE, figure, wide=True)
    for signal in results.signals:
        if any(e.signal == signal for e in results.evaluations):
            yield from _curve_figures(results, signal, heading)
    if results.flagged:
        text = (
            "Test events above the threshold of the main detector: as counted (left) and as expected at the stated "
            "luminosity (right), with statistical error."
        )
        figure = flagged_figure(results.flagged, heading, process_names(results))
        yield FigureEntry("flagged", "Flagged events by process", text, PERFORMANCE, figure, wide=True)


def _curve_figures(results: SearchResults, signal: str, heading: Heading) -> Iterator[FigureEntry]:
    few = "Thin dotted parts have fewer than ten raw background events left and mean little"
    title = typeset(signal_title(results, signal))
    text = f"{few}; the grey region is where that holds for the main detector."
    yield FigureEntry(f"roc_{signal}", f"ROC, {title}", text, PERFORMANCE, roc_figure(results, signal, heading))
    text = f"Factor by which S/√B grows when cutting on the score. {few}."
    figure = sic_figure(results, signal, heading)
    yield FigureEntry(f"sic_{signal}", f"Significance improvement, {title}", text, PERFORMANCE, figure)


def _score_figures(results: SearchResults, data: FigureData, heading: Heading) -> Iterator[FigureEntry]:
    rows = np.flatnonzero(data.tested)
    for detector in sorted(results.detectors, key=lambda d: d.name != results.main_detector):
        if detector.name in data.scores:
            groups = data.groups(data.scores[detector.name][rows], rows)
            figure = score_figure(groups, cut=_cut(detector), xlabel=_score_label(detector), heading=heading)
            title = f"Score, {detector.title}"
            yield FigureEntry(f"score_{detector.name}", title, _score_caption(results), SCORES, figure)
    main = next((d for d in results.detectors if d.name == results.main_detector), None)
    if main is not None and main.name in data.scores:
        yield _index_entry(data, rows, main, heading)


def _score_caption(results: SearchResults) -> str:
    text = "Test events with their expected weights; backgrounds are stacked."
    if results.background == "data":
        signals = ", signals as expected in the same part of the luminosity" if results.signals else ""
        text = f"Test events: the data as counted{signals}."
    return text + _withheld(results)


def _withheld(results: SearchResults) -> str:
    """What a figure lacks: rows above the threshold of one detector are missing from the scores of all of them."""
    title = next((d.title for d in results.detectors if d.name == results.main_detector), results.main_detector)
    return f" Data above the threshold of {title} is withheld." if results.blinding.applies else ""


def _score_label(detector: DetectorSummary) -> str:
    """Title of the detector; MET alone is a momentum with a unit."""
    return label("MET_pt").axis if detector.name == MET_ALONE else f"Score, {detector.title}"


def _index_entry(
    data: FigureData, rows: npt.NDArray[np.integer], detector: DetectorSummary, heading: Heading
) -> FigureEntry:
    shown = _thinned(rows, data.processes)
    points = np.column_stack([np.searchsorted(rows, shown), data.scores[detector.name][shown]])
    both = data.groups(points, shown)
    groups = [replace(group, values=group.values[:, 1]) for group in both]
    figure = index_figure(groups, [group.values[:, 0] for group in both], cut=_cut(detector), heading=heading)
    text = (
        f"Score of {detector.title} for test events in mixed order, all (left) and around the threshold (right); "
        f"at most {MAX_POINTS} events of a process, unweighted."
    )
    return FigureEntry("score_vs_index", "Score versus event index", text, SCORES, figure, wide=True)


MAX_POINTS = 2000
"""Points of a process in a scatter plot: more hide each other."""


def _thinned(rows: npt.NDArray[np.integer], processes: npt.NDArray[np.str_]) -> npt.NDArray[np.integer]:
    """Every second, third, ... event of a process with too many, so that the points still span the whole sample."""
    names = processes[rows]
    chosen = [rows[names == name] for name in np.unique(names)]
    return np.sort(np.concatenate([own[:: -(-len(own) // MAX_POINTS)] for own in chosen])) if chosen else rows


def _cut(detector: DetectorSummary) -> Cut | None:
    return Cut(detector.threshold.value, detector.threshold.quantile) if detector.threshold else None


def _code_figures(results: SearchResults, data: FigureData, heading: Heading) -> Iterator[FigureEntry]:
    titles = {d.name: d.title for d in results.detectors}
    for name, projection in data.projections.items():
        method, of, detector = name.partition(" of the code of ")
        title = f"{method} of the code, {named(detector, titles)}" if of else name
        figure = embedding_figure(
            data.groups(projection.xy, projection.rows), axis_labels=projection.axis_labels, heading=heading
        )
        text = f"{title}: {len(projection.rows)} events, signals drawn on top, unweighted."
        yield FigureEntry(name.replace(" of the ", "_"), title, text, CODE, figure)


def _input_figures(results: SearchResults, data: FigureData, heading: Heading) -> Iterator[FigureEntry]:
    columns = [(name, data.feature_groups(name)) for name in data.features.names]
    columns = [(name, groups) for name, groups in columns if any(g.present.any() for g in groups)]
    text = (
        "Density of each feature over the selected events that have it: backgrounds stacked to unit area, "
        "each signal to unit area. Missing values are left out, their fraction is stated."
    ) + _withheld(results)
    for page, figure in enumerate(density_pages(columns, heading), start=1):
        yield FigureEntry(f"features_{page}", f"Features, page {page}", text, INPUTS, figure, wide=True)
    yield _correlation_entry(results, data, heading)
    for name, groups in columns:
        title = label(name).words
        figure = density_figure(name, groups, heading)
        yield FigureEntry(f"feature_{name}", title, text, INPUTS, figure, embedded=False)


def _correlation_entry(results: SearchResults, data: FigureData, heading: Heading) -> FigureEntry:
    background = np.isin(data.processes, [p for p, role in data.roles.items() if role == results.background_role])
    chosen = data.features[background]
    values = np.where(chosen.mask, chosen.values, np.nan)
    text = (
        "Weighted linear correlation in per cent between features on background, over the events that have both; "
        "pairs without common events are blank, and so is what never varies. Below 5 % no number is written."
    ) + (_withheld(results) if results.background == "data" else "")
    figure = correlation_figure(values, data.weights[background], data.features.names, heading)
    return FigureEntry("correlation", "Correlation of the features", text, INPUTS, figure, wide=True)


def _training_figures(results: SearchResults, heading: Heading) -> Iterator[FigureEntry]:
    for d in results.detectors:
        if d.training is not None and d.training.train_loss:
            text = f"{d.training.epochs} epochs; stopped: {d.training.stopped}. The best epoch's weights are used."
            figure = training_figure(d.training, heading)
            yield FigureEntry(f"training_{d.name}", f"Training, {d.title}", text, TRAINING, figure)
